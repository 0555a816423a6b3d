//! TLS for relays with a pinned (self-signed) certificate: its SHA-256 travels in the address, and nothing else counts. And why certificates
//! are not taken.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use waxwing_wire::hash;

use super::failure::ApiError;

/// A client configuration that accepts exactly the certificate with this SHA-256.
pub(super) fn pinned(pin: [u8; 32]) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Arc::new(Pinned { pin, provider: Arc::clone(&provider) });
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

#[derive(Debug)]
struct Pinned {
    pin: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if hash(&[end_entity.as_ref()]) == self.pin {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Why a certificate is not taken. One that has expired may be the relay's fault as well as the clock's.
pub(super) fn fault(why: &CertificateError) -> ApiError {
    match why {
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => ApiError::NotValidYet,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            ApiError::Certificate("has expired, by this computer's clock")
        }
        _ => ApiError::Certificate("is not the expected one"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::error::ErrorCode;

    #[test]
    fn d8_certificates_under_a_clock_that_is_off() {
        let code = |why: CertificateError| crate::error::Error::from(fault(&why)).view();
        let (now, then) = (|seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds)), 1_800_000_000);
        let behind = CertificateError::NotValidYetContext { time: now(then - 1), not_before: now(then) };
        assert_eq!(code(behind).code, ErrorCode::ClockWrong);
        assert_eq!(code(CertificateError::NotValidYet).code, ErrorCode::ClockWrong);
        let ahead = code(CertificateError::ExpiredContext { time: now(then), not_after: now(then - 1) });
        assert_eq!(ahead.code, ErrorCode::WrongCertificate);
        assert!(ahead.detail.contains("by this computer's clock"), "{}", ahead.detail);
        let other = code(CertificateError::NotValidForName);
        assert_eq!(other.code, ErrorCode::WrongCertificate);
        assert!(!other.detail.contains("clock"), "{}", other.detail);
    }
}
