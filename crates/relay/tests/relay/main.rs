//! The relay over real HTTP, and as a real process. Tests that stand for a line of the list of failure modes carry its tag.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod accounts;
mod auditor;
mod auth;
mod devices;
mod inboxes;
mod key_packages;
mod kit;
mod logs;
mod process;
mod serving;
mod subscribe;
mod transparency;
