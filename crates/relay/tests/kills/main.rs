//! The relay as a process that is killed, loses power, has no space left, or has its PostgreSQL or its NATS fail, under load; and what was promised
//! before that.
//!
//! What clients were told is kept here, outside of the relay ([`ledger`]). Another storage than the embedded one is another [`backend::Backend`].
//! One process that ends again and again is a [`campaign`]; two processes, and load that goes on while something fails, are [`steady`].
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod accounts;
mod backend;
mod blobs;
mod campaign;
mod chance;
mod check;
#[allow(dead_code)]
#[path = "../storage/cluster.rs"]
mod cluster;
mod disk;
mod disk_full;
mod disk_full_postgres;
mod fault;
mod follow;
mod full;
mod kill;
#[allow(dead_code)]
#[path = "../relay/kit.rs"]
mod kit;
mod ledger;
mod load;
#[allow(dead_code)]
#[path = "../relay/nats.rs"]
mod nats;
mod outages;
mod pair;
mod place;
mod power;
mod power_loss;
mod program;
mod steady;
mod watch;
mod way;
mod world;
