//! TLS 1.3 and 1.2 by rustls on aws-lc-rs: from certificate files, or with a self-signed certificate that clients pin.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use waxwing_wire::hash;
use zeroize::Zeroizing;

use crate::config::Tls;
use crate::private_file;

const CERTIFICATE: &str = "tls-certificate.der";
const KEY: &str = "tls-key.der";

/// TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The own certificate's files cannot be read or written.
    #[error("the files of the relay's own certificate cannot be used: {0}")]
    Io(#[from] std::io::Error),
    /// A certificate or key file cannot be read.
    #[error("the certificate or key file cannot be read: {0}")]
    Pem(#[from] rustls_pki_types::pem::Error),
    /// Certificate and key do not fit, or are not usable.
    #[error("the certificate cannot be used: {0}")]
    Rustls(#[from] rustls::Error),
    /// The own certificate could not be made.
    #[error("no certificate could be made: {0}")]
    Make(#[from] rcgen::Error),
}

/// TLS as the listener needs it.
pub(crate) struct ServerTls {
    /// For each connection.
    pub(crate) config: Arc<ServerConfig>,
    /// SHA-256 of the certificate, if clients are to pin it.
    pub(crate) pin: Option<[u8; 32]>,
}

impl ServerTls {
    /// Sets TLS up; none for plain HTTP. `names` stand in a self-signed certificate.
    pub(crate) fn open(tls: &Tls, folder: &Path, names: Vec<String>) -> Result<Option<Self>, TlsError> {
        match tls {
            Tls::Off => Ok(None),
            Tls::SelfSigned => {
                let (certificate, key) = self_signed(folder, names)?;
                let pin = hash(&[certificate.as_ref()]);
                Ok(Some(Self { config: configure(vec![certificate], key)?, pin: Some(pin) }))
            }
            Tls::Files { certificate, key } => {
                let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
                let key = PrivateKeyDer::from_pem_file(key)?;
                Ok(Some(Self { config: configure(chain, key)?, pin: None }))
            }
        }
    }
}

fn configure(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The own certificate: made once, since its SHA-256 is part of the relay's address.
fn self_signed(
    folder: &Path,
    names: Vec<String>,
) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), TlsError> {
    let (certificate_path, key_path) = (folder.join(CERTIFICATE), folder.join(KEY));
    if let (Some(certificate), Some(key)) = (private_file::read(&certificate_path)?, private_file::read(&key_path)?) {
        return Ok((certificate.into(), PrivatePkcs8KeyDer::from(key).into()));
    }
    let key = rcgen::KeyPair::generate()?;
    let mut params = rcgen::CertificateParams::new(names)?;
    // People compare the pin, not the dates: a certificate that ran out would only lock them out.
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(4096, 1, 1);
    let certificate = params.self_signed(&key)?.der().to_vec();
    let key = Zeroizing::new(key.serialize_der());
    // The key first: a certificate without its key would be kept and never work.
    private_file::write(&key_path, &key)?;
    private_file::write(&certificate_path, &certificate)?;
    Ok((certificate.into(), PrivatePkcs8KeyDer::from(key.to_vec()).into()))
}
