//! What `waxwing-bench` measures, and how.
//!
//! | module | owns |
//! |---|---|
//! | `measure` | the measuring loop: warm-up, samples, median, spread |
//! | `report` | the table, and the figures as JSON |
//! | `crypto` | envelopes, messages and commits, beside their primitives |
//! | `keys` | the transparency log at a million leaves |
//! | `relay` | the relay as a process: accepts, delivery, idle connections, restart |

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark that cannot go on has nothing to say")]

pub mod crypto;
pub mod keys;
pub mod measure;
pub mod relay;
pub mod report;
