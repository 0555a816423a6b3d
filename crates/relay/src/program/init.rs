//! `waxwing-relay init`: a configuration that works, the relay's keys, and what to do next.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use waxwing_wire::RelayAddress;

use super::{print, settings};
use crate::config::Tls;
use crate::relay::StartError;
use crate::relay::stopped::{Prepared, prepare};

/// What is to be set up.
#[derive(Args)]
pub(super) struct Init {
    /// The address under which people will reach this relay. Accounts are made for it: it can not be changed later.
    #[arg(long, value_name = "HOST[:PORT]")]
    domain: RelayAddress,
    /// Folder for database and keys.
    #[arg(long, value_name = "DIR", default_value = "waxwing-relay-data")]
    data: PathBuf,
    /// The file to write; one that exists is left alone.
    #[arg(long, value_name = "FILE", default_value = "waxwing-relay.toml")]
    config: PathBuf,
    /// Address and port to listen on; by default the domain's port on all of this computer's addresses.
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// Certificate chain, PEM. Without one the relay makes its own, and people add its SHA-256 to the address.
    #[arg(long, value_name = "FILE", requires = "tls_key", conflicts_with = "behind_proxy")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// A proxy on this computer does TLS and passes requests on, by default to 127.0.0.1:8787.
    #[arg(long)]
    behind_proxy: bool,
}

/// Nothing was set up, or not all of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum InitError {
    /// The file is there.
    #[error("{} exists; it was left as it is", .0.display())]
    Exists(PathBuf),
    /// A file or folder cannot be made.
    #[error("{} cannot be written: {}", .0.display(), .1)]
    Write(PathBuf, #[source] io::Error),
    /// A path is of no use.
    #[error("{} is no path that a configuration can name: {}", .0.display(), .1)]
    Path(PathBuf, &'static str),
    /// The domain has a certificate's hash in it.
    #[error("the domain is written HOST[:PORT]")]
    Domain,
    /// Keys or folder.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Nobody can read what to do next.
    #[error("standard output cannot be written: {0}")]
    Output(#[from] io::Error),
}

/// Sets up, and says what to do next.
pub(super) fn run(init: &Init) -> Result<(), InitError> {
    if init.domain.pin().is_some() {
        return Err(InitError::Domain);
    }
    let (config, data) = (absolute(&init.config)?, absolute(&init.data)?);
    // The file first: with it there is nothing to be made, and nothing of what is there is touched.
    let mut file = create(&config)?;
    let outcome = fill(init, &data, &config, &mut file);
    if outcome.is_err() {
        let _ = std::fs::remove_file(&config);
    }
    print(&outcome?).map_err(InitError::Output)
}

fn fill(init: &Init, data: &Path, config: &Path, file: &mut std::fs::File) -> Result<String, InitError> {
    let tls = tls(init)?;
    let prepared = prepare(data, &tls, &init.domain)?;
    let text = settings::example(&keys(init, data, &tls)?);
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|error| InitError::Write(config.to_owned(), error))?;
    Ok(next_steps(init, data, config, &prepared))
}

fn tls(init: &Init) -> Result<Tls, InitError> {
    Ok(match (&init.tls_cert, &init.tls_key) {
        (Some(certificate), Some(key)) => Tls::Files { certificate: absolute(certificate)?, key: absolute(key)? },
        _ if init.behind_proxy || init.domain.is_loopback() => Tls::Off,
        _ => Tls::SelfSigned,
    })
}

/// The keys that differ from their defaults.
fn keys(init: &Init, data: &Path, tls: &Tls) -> Result<Vec<(&'static str, String)>, InitError> {
    let audience = init.domain.authority();
    let port = audience.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    let listen = init.listen.unwrap_or(match (init.behind_proxy, init.domain.is_loopback()) {
        (true, _) => ([127, 0, 0, 1], 8787).into(),
        (false, true) => ([127, 0, 0, 1], port.unwrap_or(80)).into(),
        (false, false) => (std::net::Ipv6Addr::UNSPECIFIED, port.unwrap_or(443)).into(),
    });
    let mut keys = vec![("listen", listen.to_string()), ("data", text(data)?), ("audience", audience)];
    match tls {
        Tls::Off => {}
        Tls::SelfSigned => keys.push(("tls", "self-signed".to_owned())),
        Tls::Files { certificate, key } => keys.extend([("tls-cert", text(certificate)?), ("tls-key", text(key)?)]),
    }
    if init.behind_proxy {
        keys.push(("trusted-proxies", "127.0.0.1,::1".to_owned()));
    }
    Ok(keys)
}

fn next_steps(init: &Init, data: &Path, config: &Path, prepared: &Prepared) -> String {
    let (data, config) = (data.display(), config.display());
    let address = match prepared.pin {
        Some(pin) => init.domain.clone().with_pin(pin),
        None => init.domain.clone(),
    };
    let mut steps = vec![format!("Start the relay:\n     waxwing-relay serve --config {config}")];
    if !init.domain.is_loopback() {
        steps.push(format!("Make an invitation for yourself:\n     waxwing-relay admin --data {data} invite"));
    }
    steps.push(format!("In the app, the relay's address is:\n     {address}"));
    steps.push(format!(
        "Keep a copy of {data}/log-key.json{tls} in a safe place, away from this computer: without it nobody can\n     \
         be told that a restored relay is this one. docs/self-hosting.md says more.",
        tls = if prepared.pin.is_some() { " and tls-*.der" } else { "" },
    ));
    let steps: String = steps.iter().zip(1..).map(|(step, number)| format!("{number}. {step}\n")).collect();
    format!("Wrote {config} and made the keys in {data}.\n{steps}")
}

/// A new file of mode 0600; one that exists is an error.
fn create(path: &Path) -> Result<std::fs::File, InitError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => InitError::Exists(path.to_owned()),
        _ => InitError::Write(path.to_owned(), error),
    })
}

fn absolute(path: &Path) -> Result<PathBuf, InitError> {
    std::path::absolute(path).map_err(|_| InitError::Path(path.to_owned(), "the current folder is gone"))
}

fn text(path: &Path) -> Result<String, InitError> {
    path.to_str().map(str::to_owned).ok_or_else(|| InitError::Path(path.to_owned(), "it is not UTF-8"))
}
