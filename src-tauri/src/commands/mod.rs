//! What the window may ask. Each command delegates to the engine; each is declared (`names`), registered (`bridge`) and granted
//! (`capabilities/main.json`), and a test holds the three equal.

pub(crate) mod contacts;
pub(crate) mod conversations;
pub(crate) mod devices;
pub(crate) mod group_links;
pub(crate) mod groups;
pub(crate) mod keys;
pub(crate) mod messages;
#[cfg(test)]
pub(crate) mod names;
pub(crate) mod outside;
pub(crate) mod phrase;
pub(crate) mod safety;
pub(crate) mod start;

use waxwing_client::{Error, ErrorCode, ErrorView};

/// What every command answers.
pub(crate) type Answer<T> = Result<T, ErrorView>;

/// The engine's error, as it crosses.
fn view(error: Error) -> ErrorView {
    error.view()
}

/// A fault of this shell or of the desktop around it.
fn internal(error: impl std::fmt::Display) -> ErrorView {
    ErrorView { code: ErrorCode::Internal, detail: error.to_string() }
}
