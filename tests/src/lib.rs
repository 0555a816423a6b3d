//! Real windows, a real relay, a real keychain: what the tests in `tests/` are written with.
//!
//! | module | owns |
//! |---|---|
//! | `place` | where binaries, tools and artifacts are |
//! | `group` | processes that end together |
//! | `clock` | programs under another clock |
//! | `wait` | waiting for something to become true, never for time to pass |
//! | `relay` | a relay as a process of its own |
//! | `lies` | what a relay says of somebody's keys, changed behind its back |
//! | `person` | somebody with a home folder, a screen, a session bus, a keychain and a tauri-driver |
//! | `window` | one app window: finding, clicking, typing, pictures |
//! | `steps` | what people do: first run, add, write, read |
//! | `search` | looking for secrets in files, in every way they could be written |
//! | `memory` | the same in the memory of a process |
//! | `layers` | who imports whom, from cargo |
//!
//! Not here: anything of the product. A test that needs an inner function of the app belongs to the app.

pub mod clock;
pub mod group;
pub mod layers;
pub mod lies;
pub mod memory;
pub mod person;
pub mod place;
pub mod relay;
pub mod search;
pub mod steps;
pub mod wait;
pub mod window;

use std::io;

use thiserror::Error;

/// Why a test could not go on.
#[derive(Debug, Error)]
pub enum Fault {
    /// A file or a process.
    #[error("{0}: {1}")]
    Io(String, #[source] io::Error),
    /// The window's driver.
    #[error("{0}: {1}")]
    Driver(String, #[source] thirtyfour::error::WebDriverError),
    /// Something did not become true in time.
    #[error("waited {1} s for {0}")]
    Late(String, u64),
    /// Something is not as the test needs it.
    #[error("{0}")]
    Unexpected(String),
}

impl Fault {
    /// With what was being done.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::Io(what, error)
    }

    /// With what was being done.
    pub fn driver(what: impl Into<String>) -> impl FnOnce(thirtyfour::error::WebDriverError) -> Self {
        let what = what.into();
        move |error| Self::Driver(what, error)
    }
}

/// What most functions here answer.
pub type Outcome<T> = Result<T, Fault>;
