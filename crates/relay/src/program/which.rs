//! Which relay a command is about: its data folder, given or named by its configuration file.

use std::path::PathBuf;

use clap::Args;

use super::layers::{BadConfig, Loaded};

/// The folder, or the file that names it.
#[derive(Args)]
pub(super) struct Which {
    /// The relay's data folder.
    #[arg(long, value_name = "DIR", env = "WAXWING_RELAY_DATA")]
    data: Option<PathBuf>,
    /// Its configuration file: what is not given here is taken from there.
    #[arg(long, value_name = "FILE", env = "WAXWING_RELAY_CONFIG")]
    config: Option<PathBuf>,
}

/// Nobody knows which relay is meant.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unknown {
    /// Neither folder nor file, or a file that names none.
    #[error("say which relay: --data DIR, or --config FILE with a file that names it")]
    Nowhere,
    /// The file that names it.
    #[error(transparent)]
    Config(#[from] BadConfig),
}

impl Which {
    /// The configuration, where one is named.
    pub(super) fn configuration(&self) -> Result<Option<Loaded>, Unknown> {
        Ok(self.config.as_deref().map(Loaded::read).transpose()?)
    }

    /// The data folder: as it is given, or else as the configuration has it.
    pub(super) fn data(&self, configuration: Option<&Loaded>) -> Result<PathBuf, Unknown> {
        let configured = || configuration?.value("data").map(PathBuf::from);
        self.data.clone().or_else(configured).ok_or(Unknown::Nowhere)
    }
}
