//! Links open outside: https only, handed to the desktop as one argument of its own opener, never through a shell.

use std::io;
use std::process::{Command, Stdio};

use thiserror::Error;
use url::Url;

/// Why a link was not opened.
#[derive(Debug, Error)]
pub(crate) enum LinkError {
    /// It is no https address.
    #[error("only https links are opened")]
    NotHttps,
    /// The desktop's opener did not start.
    #[error("the desktop's opener did not start: {0}")]
    Opener(#[from] io::Error),
}

/// Opens the address in the user's browser.
pub(crate) fn open(address: &str) -> Result<(), LinkError> {
    let url = parse(address)?;
    let mut command = opener();
    let mut child =
        command.arg(url.as_str()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    // A browser may stay; waiting for it elsewhere leaves no zombie behind.
    std::thread::spawn(move || child.wait());
    Ok(())
}

fn parse(address: &str) -> Result<Url, LinkError> {
    let url = Url::parse(address).map_err(|_| LinkError::NotHttps)?;
    if url.scheme() == "https" && url.has_host() { Ok(url) } else { Err(LinkError::NotHttps) }
}

#[cfg(target_os = "linux")]
fn opener() -> Command {
    Command::new("xdg-open")
}

#[cfg(target_os = "macos")]
fn opener() -> Command {
    Command::new("/usr/bin/open")
}

#[cfg(target_os = "windows")]
fn opener() -> Command {
    let mut command = Command::new("rundll32");
    command.arg("url.dll,FileProtocolHandler");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_only() {
        assert_eq!(parse("https://example.org/a b?c=d").unwrap().as_str(), "https://example.org/a%20b?c=d");
        for address in
            ["http://example.org", "file:///etc/passwd", "javascript:alert(1)", "-h", "", "https:", "mailto:a@b"]
        {
            assert!(parse(address).is_err(), "{address}");
        }
    }
}
