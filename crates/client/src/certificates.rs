//! Certificates of a profile's own: what it shows to a relay that serves nobody without one. Each is a file in the profile's folder
//! `certificates`, named by the relay: the chain, the own certificate first, and its key, in PEM. Whoever looks after the computer may put it there.
//!
//! The lock of the profile is not needed: a file is replaced as a whole, and read whenever a relay asks. Not here: showing one
//! (`relay::own_certificate`).

mod names;

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, InconsistentKeys, RootCertStore};
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use serde::{Deserialize, Serialize};
use waxwing_wire::ids::to_hex;
use waxwing_wire::{RelayAddress, hash};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorCode, ErrorView};
use crate::profile::{create_private, write_durably};
use crate::views::Millis;

const FOLDER: &str = "certificates";
/// Longest file, in bytes: a chain is a few thousand.
const LONGEST: usize = 64 * 1024;
/// The first second of the year 10000, which no certificate reaches.
const END_OF_TIME: u64 = 253_402_300_800;

/// A certificate that is here for a relay. Nothing of its key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateView {
    /// The relay's address, without a pin.
    pub relay: String,
    /// SHA-256 of the certificate (DER), where it can be used.
    pub fingerprint: Option<String>,
    /// Until when it is valid, where that can be read.
    pub valid_until: Option<Millis>,
    /// Why it cannot be shown, if so.
    pub problem: Option<ErrorView>,
}

/// Why a certificate's file cannot be used. Holds nothing of what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("it cannot be read: {0}")]
    Unreadable(io::ErrorKind),
    #[error("others may read or change it (mode {0:03o})")]
    OpenToOthers(u32),
    #[error("it is longer than {LONGEST} bytes")]
    TooLong,
    #[error("its PEM is broken")]
    NotPem,
    #[error("it holds no certificate in PEM")]
    NoCertificate,
    #[error("its first certificate cannot be read")]
    BadCertificate,
    #[error("it holds no key in PEM, or one under a passphrase")]
    NoKey,
    #[error("its key is of a kind that cannot be used")]
    BadKey,
    #[error("its key is not that of its first certificate")]
    OtherKey,
}

impl Unusable {
    fn unreadable(error: &io::Error) -> Self {
        Self::Unreadable(error.kind())
    }

    fn of(self, file: &Path) -> Error {
        Error::new(ErrorCode::CertificateUnusable, format!("{}: {self}", file.display()))
    }
}

/// Puts the certificate in `file` into the profile in the folder `profile`, to be shown to `relay` alone from its next connection on, in the
/// place of another one. The folder need not exist, and who may read `file` is the user's affair.
///
/// [`ErrorCode::CertificateUnusable`] where it is none with its key: nothing is changed then.
pub fn add_certificate(profile: &Path, relay: &str, file: &Path) -> Result<CertificateView, Error> {
    let relay = parse(relay)?;
    let opened = File::open(file).map_err(|error| Unusable::unreadable(&error));
    let text = opened.and_then(read).map_err(|why| why.of(file))?;
    let certificate = understand(&text).map_err(|why| why.of(file))?;
    let folder = profile.join(FOLDER);
    create_private(&folder)?;
    write_durably(&folder, &names::of(&relay), &text)?;
    Ok(view(&relay, Ok(&certificate)))
}

/// Takes the certificate for `relay` out of the profile in the folder `profile`; whether there was one.
pub fn remove_certificate(profile: &Path, relay: &str) -> Result<bool, Error> {
    match fs::remove_file(file_of(profile, &parse(relay)?)) {
        Ok(()) => Ok(true),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The certificates in the profile in the folder `profile`, by relay; also those that cannot be used. Files with names of no relay's are passed over.
pub fn certificates(profile: &Path) -> Result<Vec<CertificateView>, Error> {
    let entries = match fs::read_dir(profile.join(FOLDER)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut views = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Some(relay) = entry.file_name().to_str().and_then(names::relay) else { continue };
        match load(&entry.path()) {
            Ok(Some(certificate)) => views.push(view(&relay, Ok(&certificate))),
            Err(why) => views.push(view(&relay, Err(why.of(&entry.path())))),
            // It was taken away meanwhile.
            Ok(None) => {}
        }
    }
    views.sort_by(|one, other| one.relay.cmp(&other.relay));
    Ok(views)
}

/// Where the certificate for a relay is, if there is one.
pub(crate) fn file_of(profile: &Path, relay: &RelayAddress) -> PathBuf {
    profile.join(FOLDER).join(names::of(relay))
}

/// A certificate and its key; none where there is no file.
pub(crate) fn load(file: &Path) -> Result<Option<CertifiedKey>, Unusable> {
    let file = match File::open(file) {
        Ok(file) => file,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(Unusable::unreadable(&error)),
    };
    check_private(&file)?;
    understand(&read(file)?).map(Some)
}

/// Names may be so long that no file is called so.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidFilename)
}

/// Asks the open file, and not its path, which may mean another file by then.
#[cfg(unix)]
fn check_private(file: &File) -> Result<(), Unusable> {
    use std::os::unix::fs::PermissionsExt as _;

    let mode = file.metadata().map_err(|error| Unusable::unreadable(&error))?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(Unusable::OpenToOthers(mode)) }
}

#[cfg(not(unix))]
fn check_private(_file: &File) -> Result<(), Unusable> {
    Ok(())
}

fn read(file: File) -> Result<Zeroizing<Vec<u8>>, Unusable> {
    // As large as it will ever be: a buffer that grows leaves copies of the key behind.
    let mut text = Zeroizing::new(Vec::with_capacity(LONGEST + 1));
    file.take(LONGEST as u64 + 1).read_to_end(&mut text).map_err(|error| Unusable::unreadable(&error))?;
    if text.len() > LONGEST { Err(Unusable::TooLong) } else { Ok(text) }
}

fn understand(text: &[u8]) -> Result<CertifiedKey, Unusable> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let chain = chain.map_err(|_| Unusable::NotPem)?;
    if chain.is_empty() {
        return Err(Unusable::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(text).map(Zeroizing::new).map_err(|error| match error {
        pem::Error::NoItemsFound => Unusable::NoKey,
        _ => Unusable::NotPem,
    })?;
    let certified = CertifiedKey::new(chain, any_supported_type(&key).map_err(|_| Unusable::BadKey)?);
    match certified.keys_match() {
        // Of a key that does not tell its public half the relay will say it.
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => Err(Unusable::OtherKey),
        Err(_) => Err(Unusable::BadCertificate),
    }
}

fn view(relay: &RelayAddress, certificate: Result<&CertifiedKey, Error>) -> CertificateView {
    let relay = relay.authority();
    match certificate {
        Err(error) => CertificateView { relay, fingerprint: None, valid_until: None, problem: Some(error.view()) },
        Ok(certificate) => {
            let own = certificate.cert.first();
            CertificateView {
                relay,
                fingerprint: own.map(|own| to_hex(&hash(&[own.as_ref()]))),
                valid_until: own.and_then(valid_until),
                problem: None,
            }
        }
    }
}

/// rustls shows nobody what is in a certificate, but it does say of one that has expired when that was: by the end of time all have.
fn valid_until(certificate: &CertificateDer<'_>) -> Option<Millis> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let end = UnixTime::since_unix_epoch(Duration::from_secs(END_OF_TIME));
    let algorithms = default_provider().signature_verification_algorithms.all;
    match verify_server_cert_signed_by_trust_anchor(&parsed, &RootCertStore::empty(), &[], end, algorithms) {
        Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Some(not_after.as_secs() as Millis * 1000.0)
        }
        _ => None,
    }
}

fn parse(relay: &str) -> Result<RelayAddress, Error> {
    relay.trim().parse().map_err(|error| Error::new(ErrorCode::InvalidAddress, format!("{error}")))
}

#[cfg(test)]
mod tests;
