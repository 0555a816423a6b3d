//! `GET /healthz`: the process answers. Says nothing about the database.

/// Replies.
pub(crate) async fn run() -> &'static str {
    "ok"
}
