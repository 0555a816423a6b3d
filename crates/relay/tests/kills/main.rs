//! The relay as a process that is killed, loses power, or has no space left, under load; and what was promised before that.
//!
//! What clients were told is kept here, outside of the relay ([`ledger`]). Another storage than the embedded one is another [`backend::Backend`].
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod accounts;
mod backend;
mod campaign;
mod check;
mod disk_full;
mod fault;
mod kill;
#[allow(dead_code)]
#[path = "../relay/kit.rs"]
mod kit;
mod ledger;
mod load;
mod place;
mod power;
mod power_loss;
mod program;
mod world;
