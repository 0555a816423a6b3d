//! The profile's own certificate, shown to the one relay that it is for when that relay asks; and whether a connection has ended over it.
//!
//! With TLS 1.3 a relay refuses after the handshake, when the first request is on its way already: what comes back is an alert, or a
//! connection that broke off with the alert unread. That is why what was handed over is kept in mind until there is an answer.
//!
//! The file is read whenever the relay asks: what is put there or renewed is shown by the next connection, and no key stays in memory.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, SignatureScheme};
use waxwing_wire::RelayAddress;

use super::failure::causes;
use crate::certificates::{self, Unusable};

/// What is wrong with a certificate that a relay has asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OwnFault {
    /// There is none for this relay.
    #[error("and there is none for it in this profile")]
    Needed,
    /// It was shown, and the relay has ended the connection.
    #[error("and does not take the one that it was shown")]
    Refused,
    /// There is a file, and nothing in it that could be shown.
    #[error("and the file that is here for it cannot be used: {0}")]
    Unusable(Unusable),
}

/// The certificate for one relay, if there is one. Holds the file's name alone.
#[derive(Debug)]
pub(super) struct OwnCertificate {
    file: PathBuf,
    /// Since the relay has asked, and until it answers: what is wrong if it does not.
    suspected: Mutex<Option<OwnFault>>,
}

impl OwnCertificate {
    pub(super) fn new(profile: &Path, relay: &RelayAddress) -> Self {
        Self { file: certificates::file_of(profile, relay), suspected: Mutex::default() }
    }

    /// Whether something might be shown.
    pub(super) fn is_there(&self) -> bool {
        self.file.exists()
    }

    /// The relay has let the connection in.
    pub(super) fn is_taken(&self) {
        self.suspect(None);
    }

    /// What is wrong with it, if that is what a request failed for.
    pub(super) fn fault(&self, error: &reqwest::Error) -> Option<OwnFault> {
        let suspected = self.suspect(None)?;
        let broke_off = !error.is_connect() && !error.is_timeout();
        (broke_off || refuses_certificate(error)).then_some(suspected)
    }

    fn suspect(&self, fault: Option<OwnFault>) -> Option<OwnFault> {
        std::mem::replace(&mut *self.suspected.lock().unwrap_or_else(PoisonError::into_inner), fault)
    }
}

impl ResolvesClientCert for OwnCertificate {
    /// Whatever authorities the relay names: there is no other to choose, and it says itself if it does not take this one. Reads a small file
    /// while the handshake waits.
    fn resolve(&self, _authorities: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let (fault, certificate) = match certificates::load(&self.file) {
            Ok(None) => (OwnFault::Needed, None),
            Ok(Some(certificate)) => (OwnFault::Refused, Some(Arc::new(certificate))),
            Err(why) => {
                tracing::warn!(%why, "the certificate that a relay asks for cannot be used");
                (OwnFault::Unusable(why), None)
            }
        };
        self.suspect(Some(fault));
        certificate
    }

    /// There may be one by the time that the relay asks.
    fn has_certs(&self) -> bool {
        true
    }
}

/// Whether the other side has said so: TLS 1.2 in the handshake, TLS 1.3 after it.
fn refuses_certificate(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| {
        matches!(
            cause.downcast_ref::<rustls::Error>(),
            Some(rustls::Error::AlertReceived(
                AlertDescription::CertificateRequired
                    | AlertDescription::NoCertificate
                    | AlertDescription::BadCertificate
                    | AlertDescription::UnsupportedCertificate
                    | AlertDescription::CertificateRevoked
                    | AlertDescription::CertificateExpired
                    | AlertDescription::CertificateUnknown
                    | AlertDescription::UnknownCA
                    | AlertDescription::AccessDenied
                    | AlertDescription::DecryptError
                    | AlertDescription::HandshakeFailure
            ))
        )
    })
}
