//! A recovery in place is killed wherever it stands (D2), again and again: the profile always starts, the history is whole, and in the end the
//! account is this device's. Real processes and a real relay.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too
