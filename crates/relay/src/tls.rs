//! TLS 1.3 and 1.2 by rustls on aws-lc-rs: from certificate files, read again when they change, or with a self-signed certificate that
//! clients pin. Where the operator names authorities, only clients with a certificate of theirs are served.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use rustls::crypto::aws_lc_rs;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use waxwing_wire::hash;
use zeroize::Zeroizing;

use crate::config::Tls;
use crate::private_file;

const CERTIFICATE: &str = "tls-certificate.der";
const KEY: &str = "tls-key.der";
/// A certificate that was made, until its key is there.
const MADE: &str = "tls-certificate.new";

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
    /// One half of the own certificate is gone: clients have its SHA-256, and another pair would lock all of them out.
    #[error(
        "{missing} is gone from the folder of keys, and {there} is there: put the relay's own back from your backup, for apps know the relay by that certificate. \
         Only where nobody uses this relay yet, remove {there}, too, and another pair is made, with which the relay's address is another one"
    )]
    Half {
        /// The file that is not there.
        missing: &'static str,
        /// The file that is.
        there: &'static str,
    },
    /// The own certificate could not be made.
    #[error("no certificate could be made: {0}")]
    Make(#[from] rcgen::Error),
    /// The authorities of client certificates cannot be read.
    #[error("the authorities of client certificates cannot be used: {0}")]
    ClientCa(#[from] VerifierBuilderError),
    /// There is nothing for client certificates to protect.
    #[error("client certificates need TLS")]
    ClientCaWithoutTls,
}

/// TLS as the listener needs it.
pub(crate) struct ServerTls {
    sources: Sources,
    current: RwLock<Arc<ServerConfig>>,
    seen: Mutex<Seen>,
    /// SHA-256 of the certificate, if clients are to pin it.
    pub(crate) pin: Option<[u8; 32]>,
}

/// Where certificates come from.
struct Sources {
    tls: Tls,
    client_ca: Option<PathBuf>,
    folder: PathBuf,
    /// They stand in a self-signed certificate.
    names: Vec<String>,
}

/// What the files looked like.
struct Seen {
    /// When those in use were read.
    loaded: Vec<Stamp>,
    /// When they last could not be used: said once.
    broken: Vec<Stamp>,
}

/// What changes when a file is written or replaced. Symbolic links are followed, so another target is a change, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl Stamp {
    fn of(path: &Path) -> Self {
        let Ok(file) = std::fs::metadata(path) else { return Self { modified: None, length: 0, inode: 0 } };
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&file);
        #[cfg(not(unix))]
        let inode = 0;
        Self { modified: file.modified().ok(), length: file.len(), inode }
    }
}

impl ServerTls {
    /// Sets TLS up; none for plain HTTP. `names` stand in a self-signed certificate.
    pub(crate) fn open(
        tls: &Tls,
        client_ca: Option<&Path>,
        folder: &Path,
        names: Vec<String>,
    ) -> Result<Option<Self>, TlsError> {
        if *tls == Tls::Off {
            return if client_ca.is_none() { Ok(None) } else { Err(TlsError::ClientCaWithoutTls) };
        }
        let sources =
            Sources { tls: tls.clone(), client_ca: client_ca.map(Path::to_owned), folder: folder.to_owned(), names };
        let loaded = sources.stamps();
        let (config, pin) = sources.load()?;
        let seen = Mutex::new(Seen { loaded, broken: Vec::new() });
        Ok(Some(Self { sources, current: RwLock::new(config), seen, pin }))
    }

    /// For the next connection.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the files again if they have changed. Files that cannot be used change nothing: what was in force stays so, and they are tried
    /// again, since the other half of a new pair may still be on its way.
    pub(crate) fn refresh(&self) {
        let stamps = self.sources.stamps();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if stamps == seen.loaded {
            return;
        }
        match self.sources.load() {
            Ok((config, _)) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
                *seen = Seen { loaded: stamps, broken: Vec::new() };
                tracing::info!("the certificate was read again");
            }
            Err(error) if seen.broken != stamps => {
                tracing::error!(%error, "the new certificate cannot be used; the old one stays in force");
                seen.broken = stamps;
            }
            Err(_) => {}
        }
    }
}

impl Sources {
    /// The files that an operator replaces.
    fn stamps(&self) -> Vec<Stamp> {
        let files = match &self.tls {
            Tls::Files { certificate, key } => vec![certificate, key],
            Tls::Off | Tls::SelfSigned => Vec::new(),
        };
        files.into_iter().chain(&self.client_ca).map(|path| Stamp::of(path)).collect()
    }

    fn load(&self) -> Result<(Arc<ServerConfig>, Option<[u8; 32]>), TlsError> {
        let (chain, key, pin) = match &self.tls {
            Tls::Files { certificate, key } => {
                let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
                (chain, PrivateKeyDer::from_pem_file(key)?, None)
            }
            Tls::Off | Tls::SelfSigned => {
                let (certificate, key) = self_signed(&self.folder, self.names.clone())?;
                let pin = hash(&[certificate.as_ref()]);
                (vec![certificate], key, Some(pin))
            }
        };
        Ok((self.configure(chain, key)?, pin))
    }

    fn configure(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Arc<ServerConfig>, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for authority in CertificateDer::pem_file_iter(path)? {
                    roots.add(authority?)?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// The own certificate: made once, since its SHA-256 is part of the relay's address.
fn self_signed(
    folder: &Path,
    names: Vec<String>,
) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), TlsError> {
    let (certificate_path, key_path) = (folder.join(CERTIFICATE), folder.join(KEY));
    let made_path = folder.join(MADE);
    let half = |missing, there| Err(TlsError::Half { missing, there });
    match (private_file::read(&certificate_path)?, private_file::read(&key_path)?) {
        (Some(certificate), Some(key)) => return Ok((certificate.into(), PrivatePkcs8KeyDer::from(key).into())),
        (None, Some(key)) => {
            // Whoever made the pair was cut off right behind the key.
            let Some(certificate) = private_file::read(&made_path)? else { return half(CERTIFICATE, KEY) };
            private_file::rename(&made_path, &certificate_path)?;
            return Ok((certificate.into(), PrivatePkcs8KeyDer::from(key).into()));
        }
        (Some(_), None) => return half(KEY, CERTIFICATE),
        (None, None) => {}
    }
    let key = rcgen::KeyPair::generate()?;
    let mut params = rcgen::CertificateParams::new(names)?;
    // People compare the pin, not the dates: a certificate that ran out would only lock them out.
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(4096, 1, 1);
    let certificate = params.self_signed(&key)?.der().to_vec();
    let key = Zeroizing::new(key.serialize_der());
    // Both are on disk before one has its name: a crash leaves no half of a pair that cannot be made whole.
    private_file::write(&made_path, &certificate)?;
    private_file::write(&key_path, &key)?;
    private_file::rename(&made_path, &certificate_path)?;
    Ok((certificate.into(), PrivatePkcs8KeyDer::from(key.to_vec()).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clients pin the certificate: another one is made for nobody who has one.
    #[test]
    fn a_pair_is_made_only_where_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let open = || self_signed(folder.path(), vec!["localhost".to_owned()]);
        let (first, _) = open().unwrap();
        let files = [CERTIFICATE, KEY].map(|name| std::fs::read(at(name)).unwrap());
        let half = |missing, there| {
            std::fs::rename(at(missing), at("away")).unwrap();
            let refused = open().err();
            assert!(
                matches!(refused, Some(TlsError::Half { missing: named, there: other }) if (named, other) == (missing, there)),
                "{refused:?}"
            );
            assert!(!at(missing).exists());
            std::fs::rename(at("away"), at(missing)).unwrap();
        };
        half(CERTIFICATE, KEY);
        half(KEY, CERTIFICATE);
        assert_eq!([CERTIFICATE, KEY].map(|name| std::fs::read(at(name)).unwrap()), files);
        // A crash while they were made, on either side of the key.
        std::fs::rename(at(CERTIFICATE), at(MADE)).unwrap();
        assert_eq!(open().unwrap().0, first);
        assert!(at(CERTIFICATE).exists() && !at(MADE).exists());
        std::fs::rename(at(CERTIFICATE), at(MADE)).unwrap();
        std::fs::remove_file(at(KEY)).unwrap();
        let (second, _) = open().unwrap();
        assert!(second != first && open().unwrap().0 == second);
    }
}
