//! The Waxwing relay: stores ciphertext, chains and inboxes, and holds no key that opens any of it.
//!
//! # The API
//!
//! One file per command in [`mod@command`]: parse, apply, reply. Bodies that carry envelopes or key packages are binary
//! ([`waxwing_wire::frame`]), the rest is JSON ([`waxwing_wire::api`]); whatever is no success is a
//! [`waxwing_wire::problem::Problem`]. Every answer names the API version (`waxwing-api`) and forbids caching.
//!
//! | request | who | body → answer |
//! |---|---|---|
//! | `GET /healthz` | anyone | → 200 `ok` |
//! | `GET /openapi.json` | anyone, limited | → this table for programs, with every status and code (OpenAPI 3.1) |
//! | `GET /i` | anyone | → the static page behind invite links |
//! | `GET /v1/relay` | anyone | → [`RelayInfo`](waxwing_wire::api::RelayInfo) |
//! | `GET /.well-known/jwks.json` | anyone | → the token keys (RFC 7517) |
//! | `POST /v1/accounts` | anyone, limited; or with an invitation ([`REGISTRATION_HEADER`](waxwing_wire::api::REGISTRATION_HEADER)) | [`SubmitEntry`](waxwing_wire::api::SubmitEntry) → 201 [`EntryAccepted`](waxwing_wire::api::EntryAccepted); `invalid_entry`, `name_taken`, `account_exists`, `registration_invite_required`, `registration_closed` |
//! | `GET /v1/accounts/{name\|id}/chain?from=n` | anyone, limited | → [`ChainPage`](waxwing_wire::api::ChainPage); `unknown_account` |
//! | `GET /v1/transparency/checkpoint` | anyone, limited | → the transparency log's newest checkpoint, a signed note ([`SignedCheckpoint`](waxwing_wire::transparency::SignedCheckpoint)) |
//! | `GET /v1/transparency/leaves?from=n` | anyone, limited | → [`decode_leaves`](waxwing_wire::transparency::decode_leaves) |
//! | `GET /v1/transparency/proof?first=m&second=n` | anyone, limited | → [`ConsistencyProof`](waxwing_wire::api::ConsistencyProof) |
//! | `GET /v1/transparency/proof?index=i&size=n` | anyone, limited | → [`InclusionProof`](waxwing_wire::api::InclusionProof) |
//! | `GET /v1/transparency/restored` | anyone, limited | → [`Restorations`](waxwing_wire::api::Restorations) |
//! | `POST /v1/accounts/{id}/chain` | a device of the account | `SubmitEntry` → 201 `EntryAccepted`; `chain_conflict`, `invalid_entry` |
//! | `POST /oauth/token` | a device, by assertion and DPoP | form → [`TokenResponse`](waxwing_wire::api::TokenResponse); `unauthorized` |
//! | `PUT`, `DELETE /v1/access-keys` | a device of the account | [`AccessKeys`](waxwing_wire::api::AccessKeys) → 204; `quota_exceeded` |
//! | `POST /v1/key-packages` | a device, limited | [`UploadKeyPackages`](waxwing_wire::frame::UploadKeyPackages) → 201 [`KeyPackageCount`](waxwing_wire::api::KeyPackageCount); `quota_exceeded` |
//! | `GET /v1/key-packages` | that device | → `KeyPackageCount` |
//! | `POST /v1/key-packages/claim` | access key, or any device; limited | [`ClaimKeyPackages`](waxwing_wire::frame::ClaimKeyPackages) → [`ClaimedKeyPackages`](waxwing_wire::frame::ClaimedKeyPackages); `inbox_refused` |
//! | `POST /v1/logs` | any device | [`CreateLog`](waxwing_wire::frame::CreateLog) → 201; `log_refused` |
//! | `POST /v1/logs/{id}/entries` | write token | [`Append`](waxwing_wire::frame::Append) → 201 [`Stored`](waxwing_wire::api::Stored); `id_reused`, `rekeyed`, `conflict`, `quota_exceeded`, `log_refused` |
//! | `GET /v1/logs/{id}/entries?after=n` | read token | → [`LogPage`](waxwing_wire::frame::LogPage); `gone`, `log_refused` |
//! | `POST /v1/inboxes/{device}` | access key, or any device | [`InboxSend`](waxwing_wire::frame::InboxSend) → 201 `Stored`; `inbox_refused`, `id_reused`, `quota_exceeded` |
//! | `GET /v1/inboxes/{device}?after=n` | that device | → [`InboxPage`](waxwing_wire::frame::InboxPage) |
//! | `POST /v1/inboxes/{device}/ack` | that device | [`Ack`](waxwing_wire::api::Ack) → 204 |
//! | `PUT /v1/blobs/{id}` | any device | bytes, all or a part → 201 or 202 [`BlobReceived`](waxwing_wire::api::BlobReceived); `wrong_offset`, `blob_mismatch`, `quota_exceeded` |
//! | `GET /v1/blobs/{id}` | whoever knows the id, limited | → bytes, all or a range; `unknown_blob`, `range_not_satisfiable` |
//! | `GET /v1/subscribe` | anyone; a device for its inbox and checkpoints | WebSocket: [`Subscribe`](waxwing_wire::api::Subscribe) in, [`Push`](waxwing_wire::frame::Push) out |
//!
//! Devices authenticate with `Authorization: DPoP TOKEN` and `DPoP: PROOF` (RFC 9449), logs with
//! `Authorization: Bearer` and the base64url of their token, inbox senders and claimers with `waxwing-access-key`. A proof without a nonce of the
//! relay's that is good now is answered `use_dpop_nonce`, with one in the header `dpop-nonce`.
//!
//! A device of an account that the operator has disabled is answered `account_disabled`, whatever it asks for.
//!
//! # The parts
//!
//! [`storage`] is a trait with two backends, the embedded SQLite and PostgreSQL: a 201 is sent after an fsynced commit, never before.
//! [`program`] is what the binary is: flags, configuration file, `init`.
//! `blobs` keeps larger ciphertext in files, through `object_store`.
//! [`hub`] wakes subscribers and is never load-bearing. `serve` owns sockets, timeouts and the graceful stop.
//! `operator` is the operator's listener (`/metrics`, `/readyz`), `admin` the socket for what they do, `audit` what they look at afterwards.
//! Not here: anything that could decrypt (`cargo tree -p waxwing-relay` shows it).

mod access;
#[cfg(unix)]
mod admin;
mod audit;
pub mod auth;
mod blobs;
mod budget;
mod bus;
pub mod clock;
pub mod command;
pub mod config;
mod crowd;
mod database;
pub mod error;
mod high_water;
pub mod hub;
mod inflow;
mod judges;
mod keys;
pub mod limits;
mod listen;
mod log_signer;
mod metrics;
mod names;
mod nonce;
mod openapi;
mod operator;
mod private_file;
#[cfg(unix)]
pub mod program;
mod proxies;
mod pseudonym;
mod relay;
pub mod replay;
mod request;
mod router;
mod serve;
mod space;
mod state;
pub mod storage;
mod tls;
mod token_keys;

pub use bus::{BusError, NatsConfig, NatsUrl};
pub use config::{BlobLimits, Config, Database, Limits, Quotas, Rate, Registration, Timeouts, Tls};
pub use log_signer::LogSigner;
pub use relay::stopped::migrate;
pub use relay::{Relay, StartError, start};
pub use storage::{MigrateError, Moved, PostgresConfig, PostgresUrl, StorageStats, sqlite_version};
