//! What crosses the bridge beside the engine's own views.

use serde::{Deserialize, Serialize};
use specta::Type;
use waxwing_client::{Connection, ErrorView, ProfileView};

/// Which screen the window shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum AppState {
    /// The engine is starting.
    Starting,
    /// Nobody has registered in this profile.
    FirstRun {
        /// A relay on this computer, if one was started.
        local_relay: Option<String>,
        /// This program's version.
        version: String,
        /// Which build of it.
        build: String,
    },
    /// The profile is sealed under a passphrase, which is asked for.
    Locked {
        /// What was wrong with the last one.
        error: Option<ErrorView>,
        /// This program's version.
        version: String,
    },
    /// The engine cannot run.
    Problem {
        /// Why.
        error: ErrorView,
        /// This program's version.
        version: String,
    },
    /// The engine runs.
    Ready {
        /// The own account.
        profile: ProfileView,
        /// How it stands with the relay.
        connection: Connection,
        /// This program's version.
        version: String,
        /// A relay on this computer, if one was started.
        local_relay: Option<String>,
    },
}

/// The recovery phrase.
#[derive(Debug, Clone, Serialize, Deserialize, Type)]
pub(crate) struct PhraseView {
    /// Its 24 words.
    pub(crate) words: Vec<String>,
}

/// Which two words are asked for. Places count from 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
pub(crate) struct PhraseChallenge {
    /// Place of the first one.
    pub(crate) first: u32,
    /// Place of the second one.
    pub(crate) second: u32,
}

/// A QR code, without the quiet zone around it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
pub(crate) struct QrView {
    /// Modules on each side.
    pub(crate) size: u32,
    /// `size * size` characters, row by row; `1` is dark.
    pub(crate) modules: String,
}
