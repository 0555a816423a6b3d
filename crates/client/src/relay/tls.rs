//! TLS for relays with a pinned (self-signed) certificate, whose SHA-256 travels in the address and alone counts, and for those with a public one. And
//! why relays' certificates are not taken.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use rustls_platform_verifier::Verifier;
use waxwing_wire::{RelayAddress, hash};

use super::failure::ApiError;
use super::own_certificate::OwnCertificate;

/// A client configuration for one relay: it accepts exactly the certificate with the relay's pin or, where there is none, what the system's authorities
/// vouch for. `own` is shown where the relay asks.
pub(super) fn config(relay: &RelayAddress, own: Arc<OwnCertificate>) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match relay.pin() {
        Some(pin) => Arc::new(Pinned { pin: *pin, provider: Arc::clone(&provider) }),
        None => Arc::new(Public::new(relay, Arc::clone(&own), Arc::clone(&provider))?),
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(own);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
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

/// The system's authorities. A proxy that is itself spoken to by TLS is given the relay's configuration by reqwest, and could ask for the certificate
/// that is the relay's alone to see: where there is one, nobody else is spoken to.
#[derive(Debug)]
struct Public {
    relay: ServerName<'static>,
    own: Arc<OwnCertificate>,
    system: Verifier,
}

impl Public {
    fn new(relay: &RelayAddress, own: Arc<OwnCertificate>, provider: Arc<CryptoProvider>) -> Result<Self, Error> {
        let relay = ServerName::try_from(relay.host()).map_err(|error| Error::General(error.to_string()))?;
        Ok(Self { relay, own, system: Verifier::new(provider)? })
    }
}

impl ServerCertVerifier for Public {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *server_name != self.relay && self.own.is_there() {
            return Err(Error::InvalidCertificate(CertificateError::NotValidForName));
        }
        self.system.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.system.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.system.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.system.supported_verify_schemes()
    }
}

/// Why a certificate is not taken. That one is not valid now may be the clock's fault as well as the relay's.
pub(super) fn fault(why: &CertificateError) -> ApiError {
    match why {
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            ApiError::CertificateTime("is not valid yet")
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => ApiError::CertificateTime("has expired"),
        _ => ApiError::Certificate("is not the expected one"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::error::ErrorCode;

    /// By TLS to a proxy, say, which reqwest speaks to with the same settings.
    #[test]
    fn nobody_but_the_relay_is_spoken_to_with_a_certificate_to_show() {
        let profile = tempfile::tempdir().unwrap();
        let relay: RelayAddress = "relay.example.org:8443".parse().unwrap();
        let own = Arc::new(OwnCertificate::new(profile.path(), &relay));
        let public = Public::new(&relay, own, Arc::new(rustls::crypto::aws_lc_rs::default_provider())).unwrap();
        let refused = |name: &str| {
            let name = ServerName::try_from(name).unwrap();
            public
                .verify_server_cert(&CertificateDer::from(b"".as_slice()), &[], &name, &[], UnixTime::now())
                .unwrap_err()
        };
        let other_name = Error::InvalidCertificate(CertificateError::NotValidForName);
        for name in ["relay.example.org", "proxy.example.org", "10.0.0.1"] {
            assert_ne!(refused(name), other_name, "{name}");
        }
        std::fs::create_dir(profile.path().join("certificates")).unwrap();
        std::fs::write(profile.path().join("certificates/relay.example.org_8443.pem"), "").unwrap();
        assert_ne!(refused("relay.example.org"), other_name);
        for name in ["proxy.example.org", "10.0.0.1"] {
            assert_eq!(refused(name), other_name, "{name}");
        }
    }

    #[test]
    fn d8_certificates_under_a_clock_that_is_off() {
        let told = |why: CertificateError| crate::error::Error::from(fault(&why)).view();
        let (now, then) = (|seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds)), 1_800_000_000);
        let behind = CertificateError::NotValidYetContext { time: now(then - 1), not_before: now(then) };
        let ahead = CertificateError::ExpiredContext { time: now(then), not_after: now(then - 1) };
        for (why, what) in [
            (behind, "is not valid yet"),
            (CertificateError::NotValidYet, "is not valid yet"),
            (ahead, "has expired"),
            (CertificateError::Expired, "has expired"),
        ] {
            let view = told(why);
            assert_eq!(view.code, ErrorCode::CertificateTime, "{}", view.detail);
            assert_eq!(view.detail, format!("the relay's certificate {what}, by this computer's clock"));
        }
        let other = told(CertificateError::NotValidForName);
        assert_eq!(other.code, ErrorCode::WrongCertificate);
        assert!(!other.detail.contains("clock"), "{}", other.detail);
    }
}
