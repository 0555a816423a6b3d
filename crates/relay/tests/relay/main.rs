//! The relay over real HTTP, and as a real process. Tests that stand for a line of the list of failure modes carry its tag.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod abuse;
mod accounts;
mod admin;
mod auditor;
mod auth;
mod blobs;
mod config;
mod devices;
mod disk_full;
mod http;
mod inboxes;
mod key_packages;
mod kit;
mod logs;
mod operator;
mod process;
mod registration;
mod restore;
mod serving;
mod subscribe;
mod tls;
mod transparency;
