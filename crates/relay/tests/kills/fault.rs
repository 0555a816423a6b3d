//! Why a task of the load stops early.

use std::fmt;

/// Why something ended.
#[derive(Debug)]
pub enum End {
    /// The relay is not there: it was killed. What was asked last may or may not be stored.
    Gone,
    /// The relay says that its database is away: 503. The same.
    Away,
    /// The relay broke a promise.
    Broken(Broken),
}

/// A promise that was not kept, in words.
#[derive(Debug)]
pub struct Broken(pub String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Broken> for End {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl From<reqwest::Error> for End {
    fn from(_: reqwest::Error) -> Self {
        Self::Gone
    }
}

/// Gives a [`Broken`] unless the condition holds.
macro_rules! promised {
    ($condition:expr, $($words:tt)+) => {
        if !$condition {
            return Err($crate::fault::Broken(format!($($words)+)).into());
        }
    };
}

pub(crate) use promised;
