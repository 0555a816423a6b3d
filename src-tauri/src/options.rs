//! The command line.

use std::io;
use std::path::PathBuf;

use clap::Parser;
use directories::BaseDirs;

/// Waxwing, the desktop messenger.
#[derive(Debug, Clone, Parser)]
#[command(version, about)]
pub(crate) struct Options {
    /// Folder that holds one account: its settings, encrypted history and lock. Made if it is not there.
    #[arg(long, value_name = "DIR")]
    profile: Option<PathBuf>,

    /// Address of a relay on this computer, offered as 'This computer' at the first run.
    #[arg(long, value_name = "HOST:PORT", env = "WAXWING_LOCAL_RELAY")]
    pub(crate) local_relay: Option<String>,
}

impl Options {
    /// The profile's folder, absolute: WebKit is told folders below it and has its own idea of a working folder.
    pub(crate) fn profile_dir(&self) -> io::Result<PathBuf> {
        match &self.profile {
            Some(dir) => std::path::absolute(dir),
            None => {
                let base = BaseDirs::new().ok_or_else(|| io::Error::other("no home folder is known"))?;
                Ok(base.data_dir().join("waxwing").join("profile"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_profile_becomes_absolute() {
        let options = Options::try_parse_from(["waxwing", "--profile", "somewhere"]).unwrap();
        let dir = options.profile_dir().unwrap();
        assert!(dir.is_absolute() && dir.ends_with("somewhere"));
    }

    #[test]
    fn the_usual_profile_is_in_the_data_folder() {
        let options = Options::try_parse_from(["waxwing"]).unwrap();
        assert!(options.profile_dir().unwrap().ends_with("waxwing/profile"));
    }
}
