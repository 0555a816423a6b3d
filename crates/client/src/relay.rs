//! The relay's HTTP API, from the client's side: requests, tokens, TLS. One [`RelayApi`] for each relay spoken to.
//!
//! Not here: when to ask (`engine`), and what envelopes mean (`waxwing-protocol`).

mod auth;
mod clock;
mod failure;
mod http;
mod key_packages;
mod own_certificate;
mod proven;
mod register;
mod subscribe;
mod tls;
mod transparency;

pub(crate) use auth::Credentials;
pub(crate) use clock::local_ms;
pub(crate) use failure::{ApiError, ChainRefused};
pub(crate) use http::RelayApi;
pub(crate) use own_certificate::OwnFault;
pub(crate) use register::Invitation;
pub(crate) use subscribe::Frame;
