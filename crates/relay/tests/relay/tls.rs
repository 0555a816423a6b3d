//! Certificates that change under a running relay, and clients that must have one.

use std::path::Path;
use std::time::Duration;

use reqwest::{Client, Identity, StatusCode};
use waxwing_relay::{Config, Relay, StartError, Tls, start};

const SOON: Duration = Duration::from_secs(10);

struct Pair {
    certificate: String,
    key: String,
    der: Vec<u8>,
}

fn pair() -> Pair {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    Pair { certificate: made.cert.pem(), key: made.signing_key.serialize_pem(), der: made.cert.der().to_vec() }
}

fn put(folder: &Path, pair: &Pair) {
    std::fs::write(folder.join("certificate.pem"), &pair.certificate).unwrap();
    std::fs::write(folder.join("key.pem"), &pair.key).unwrap();
}

fn config(folder: &Path) -> Config {
    let mut config = Config::new("127.0.0.1:0".parse().unwrap(), folder.join("data"));
    config.tls = Tls::Files { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") };
    config.certificate_check = Duration::from_millis(50);
    config
}

fn builder() -> reqwest::ClientBuilder {
    // A connection for each request: a kept one keeps its certificate.
    Client::builder().no_proxy().tls_danger_accept_invalid_certs(true).tls_info(true).pool_max_idle_per_host(0)
}

/// The certificate that a new connection is shown.
async fn shown(relay: &Relay) -> Vec<u8> {
    let answer = builder().build().unwrap().get(format!("{}/healthz", relay.base_url())).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    answer.extensions().get::<reqwest::tls::TlsInfo>().unwrap().peer_certificate().unwrap().to_vec()
}

async fn until_shown(relay: &Relay, der: &[u8]) {
    let until = tokio::time::Instant::now() + SOON;
    while shown(relay).await != der {
        assert!(tokio::time::Instant::now() < until, "the new certificate is not shown");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

#[tokio::test]
async fn a_changed_certificate_is_taken_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second, third, fourth] = [(); 4].map(|()| pair());
    put(folder.path(), &first);
    let relay = start(config(folder.path())).await.unwrap();
    assert_eq!(shown(&relay).await, first.der);
    put(folder.path(), &second);
    until_shown(&relay, &second.der).await;
    // Not a certificate; then a certificate whose key is still to come.
    for broken in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &third.certificate] {
        std::fs::write(folder.path().join("certificate.pem"), broken).unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(shown(&relay).await, second.der);
    }
    std::fs::write(folder.path().join("key.pem"), &third.key).unwrap();
    until_shown(&relay, &third.der).await;
    // Replaced by renaming, as most tools do it.
    for (name, text) in [("certificate.pem", &fourth.certificate), ("key.pem", &fourth.key)] {
        let new = folder.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, folder.path().join(name)).unwrap();
    }
    until_shown(&relay, &fourth.der).await;
    // Taken away: what is in force stays so.
    std::fs::remove_file(folder.path().join("key.pem")).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(shown(&relay).await, fourth.der);
    relay.stop().await;
}

/// Processes that share a folder of keys, started at once for the first time: all have one certificate, and it is the folder's.
#[test]
fn first_starts_at_once_make_one_certificate() {
    const PROCESSES: usize = 4;
    let pin_of = |keys: &Path, ready: &dyn Fn()| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let data = tempfile::tempdir().unwrap();
        let mut config = Config::new("127.0.0.1:0".parse().unwrap(), data.path().to_owned());
        (config.tls, config.keys) = (Tls::SelfSigned, Some(keys.to_owned()));
        ready();
        runtime.block_on(async {
            let relay = start(config).await.unwrap();
            let pin = relay.pin().unwrap();
            relay.stop().await;
            pin
        })
    };
    for _ in 0..3 {
        let keys = tempfile::tempdir().unwrap();
        let together = std::sync::Barrier::new(PROCESSES);
        let wait = || {
            together.wait();
        };
        let pins: Vec<_> = std::thread::scope(|scope| {
            let start = || pin_of(keys.path(), &wait);
            let starts: Vec<_> = (0..PROCESSES).map(|_| scope.spawn(start)).collect();
            starts.into_iter().map(|started| started.join().unwrap()).collect()
        });
        assert_eq!(pins, [pin_of(keys.path(), &|| ()); PROCESSES]);
    }
}

struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    pem: String,
}

fn authority() -> Authority {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    Authority { issuer: rcgen::Issuer::new(params, key), pem }
}

fn client_of(authority: &Authority) -> Client {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["client".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority.issuer).unwrap().pem();
    let identity = Identity::from_pem(format!("{certificate}{}", key.serialize_pem()).as_bytes()).unwrap();
    builder().identity(identity).build().unwrap()
}

#[tokio::test]
async fn with_an_authority_only_its_clients_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let [ours, theirs] = [(); 2].map(|()| authority());
    let file = folder.path().join("clients.pem");
    std::fs::write(&file, &ours.pem).unwrap();
    put(folder.path(), &pair());
    for tls in [config(folder.path()).tls, Tls::SelfSigned] {
        let mut config = config(folder.path());
        (config.tls, config.client_ca) = (tls, Some(file.clone()));
        let relay = start(config).await.unwrap();
        let url = format!("{}/healthz", relay.base_url());
        let served = async |client: Client| client.get(&url).send().await.is_ok_and(|answer| answer.status() == 200);
        assert!(served(client_of(&ours)).await);
        assert!(!served(client_of(&theirs)).await);
        assert!(!served(builder().build().unwrap()).await);
        // The list of authorities is read again, too.
        std::fs::write(&file, &theirs.pem).unwrap();
        let until = tokio::time::Instant::now() + SOON;
        while !served(client_of(&theirs)).await {
            assert!(tokio::time::Instant::now() < until, "the new authority is not taken");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        assert!(!served(client_of(&ours)).await);
        std::fs::write(&file, &ours.pem).unwrap();
        relay.stop().await;
    }
}

#[tokio::test]
async fn authorities_that_are_none_keep_it_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clients.pem");
    std::fs::write(&file, "").unwrap();
    put(folder.path(), &pair());
    let mut config = config(folder.path());
    config.client_ca = Some(file);
    assert!(matches!(start(config.clone()).await, Err(StartError::Tls(_))));
    config.tls = Tls::Off;
    assert!(matches!(start(config).await, Err(StartError::Tls(_))));
}
