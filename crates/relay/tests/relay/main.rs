//! The relay over real HTTP, and as a real process. Tests that stand for a line of the list of failure modes carry its tag.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod abuse;
mod accounts;
mod admin;
mod auditor;
mod auth;
mod blobs;
#[path = "../storage/cluster.rs"]
#[allow(dead_code)]
mod cluster;
mod config;
mod devices;
mod disk_full;
mod http;
mod inboxes;
mod kept;
mod key_packages;
mod kit;
mod logs;
mod many;
mod memory;
mod moving;
mod nats;
mod nobody;
mod nonces;
mod operator;
mod process;
mod proxy;
mod registration;
mod reserve;
mod restore;
mod restore_postgres;
mod rotation;
mod serving;
mod stolen;
mod subscribe;
mod tls;
mod transparency;
