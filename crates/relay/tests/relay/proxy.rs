//! The examples for nginx and Caddy in front of a relay: `docs/examples`, as they are but for ports and where files and certificates are.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, StatusCode};
use reqwest_websocket::Upgrade as _;
use waxwing_relay::{Rate, Registration};
use waxwing_wire::api::Subscribe;
use waxwing_wire::frame::{InboxSend, Push};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::{BlobId, EnvelopeId};

use crate::kit::{Account, Http, Kit, code, random, seq};
use crate::process::Running;
use crate::subscribe::{ask_for, push};

const NGINX: &str = include_str!("../../../../docs/examples/nginx.conf");
const CADDY: &str = include_str!("../../../../docs/examples/Caddyfile");
const NAME: &str = "relay.example.org";
/// Of a blob: six times what the example once let through.
const LARGEST: usize = 24 * 1024 * 1024;

/// The certificate and its key, in files of this folder.
fn certificate(folder: &Path) -> [String; 2] {
    let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()]).unwrap();
    [("certificate.pem", made.cert.pem()), ("key.pem", made.signing_key.serialize_pem())].map(|(name, pem)| {
        std::fs::write(folder.join(name), pem).unwrap();
        folder.join(name).display().to_string()
    })
}

/// An example with some of it in other words; each must be there once.
fn altered<const N: usize>(example: &str, changes: [(&str, String); N]) -> String {
    let mut site = example.to_owned();
    for (theirs, ours) in changes {
        assert_eq!(site.matches(theirs).count(), 1, "{theirs}");
        site = site.replace(theirs, &ours);
    }
    site
}

/// Ends with the test.
fn started(mut command: Command, listen: u16, log: &Path) -> Running {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut running = Running(command.spawn().unwrap());
    let until = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(("127.0.0.1", listen)).is_err() {
        let said = std::fs::read_to_string(log).unwrap_or_default();
        assert!(running.0.try_wait().unwrap().is_none() && Instant::now() < until, "it did not start: {said}");
        std::thread::sleep(Duration::from_millis(20));
    }
    running
}

/// Starts nginx with the example.
fn nginx(program: &str, folder: &Path, listen: u16, relay: u16) -> Running {
    let path = |name: &str| folder.join(name).display().to_string();
    let [certificate, key] = certificate(folder);
    let changes = [
        ("listen 443 ssl;", format!("listen 127.0.0.1:{listen} ssl;")),
        ("listen [::]:443 ssl;", String::new()),
        ("/etc/letsencrypt/live/relay.example.org/fullchain.pem", certificate),
        ("/etc/letsencrypt/live/relay.example.org/privkey.pem", key),
        ("/var/log/nginx/waxwing.error.log", path("error.log")),
        ("http://127.0.0.1:8787", format!("http://127.0.0.1:{relay}")),
    ];
    std::fs::write(path("site.conf"), altered(NGINX, changes)).unwrap();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|what| format!("{what}_temp_path {};\n", path(what))).concat();
    let around = format!(
        "daemon off; master_process off; pid {};\nerror_log {};\nevents {{}}\nhttp {{\n{temporary}include {};\n}}\n",
        path("pid"),
        path("main.log"),
        path("site.conf"),
    );
    std::fs::write(path("nginx.conf"), around).unwrap();
    let mut command = Command::new(program);
    command.arg("-p").arg(folder).args(["-c", &path("nginx.conf")]).stderr(Stdio::null());
    started(command, listen, &folder.join("main.log"))
}

/// Starts Caddy with the example. It gets no certificate from anybody here, and redirects nobody.
fn caddy(program: &str, folder: &Path, listen: u16, relay: u16) -> Running {
    let [certificate, key] = certificate(folder);
    let site = format!(
        "https://{NAME}:{listen} {{\n\tbind 127.0.0.1\n\ttls {certificate} {key}\n\treverse_proxy 127.0.0.1:{relay} {{"
    );
    let site = altered(CADDY, [("relay.example.org {\n\treverse_proxy 127.0.0.1:8787 {", site)]);
    std::fs::write(folder.join("Caddyfile"), format!("{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{site}"))
        .unwrap();
    let log = std::fs::File::create(folder.join("main.log")).unwrap();
    let mut command = Command::new(program);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(folder.join("Caddyfile")).stderr(log);
    for home in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
        command.env(home, folder);
    }
    started(command, listen, &folder.join("main.log"))
}

fn installed(name: &str) -> Option<String> {
    let found = ["/usr/sbin", "/usr/bin"]
        .map(|folder| format!("{folder}/{name}"))
        .into_iter()
        .find(|path| Path::new(path).exists());
    if found.is_none() {
        println!("SKIPPED: {name} is not installed; script/bootstrap test installs it");
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_the_example_for_nginx_is_a_good_one() {
    if let Some(program) = installed("nginx") {
        is_good(|folder, listen, relay| nginx(&program, folder, listen, relay)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_the_example_for_caddy_is_a_good_one() {
    if let Some(program) = installed("caddy") {
        is_good(|folder, listen, relay| caddy(&program, folder, listen, relay)).await;
    }
}

/// A3: tokens are bound to the address outside, WebSockets come through, a large blob does in one piece, and nobody says where they come from.
async fn is_good(proxy: impl FnOnce(&Path, u16, u16) -> Running) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let audience = format!("{NAME}:{port}");
    let kit = Kit::with(|config| {
        config.audience = Some(audience.clone());
        config.registration = Some(Registration::Open);
        config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        config.limits.lookup = Rate { per_minute: 1, burst: 2 };
        config.limits.blobs.max_bytes = LARGEST as u64;
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let _proxy = proxy(folder.path(), port, kit.address().port());
    let from = |address: &str| {
        let client = Client::builder().no_proxy().tls_danger_accept_invalid_certs(true);
        let client = client.resolve(NAME, ([127, 0, 0, 1], port).into()).local_address(Some(address.parse().unwrap()));
        Http::by(client.build().unwrap(), &format!("https://{audience}"))
    };
    let http = from("127.0.0.9");
    let mut alice = Account::new("alice", &audience);
    assert_eq!(http.register(&alice).await.status(), StatusCode::CREATED);
    alice.token = http.token(&alice).await;

    let socket = http.authed(&alice, Method::GET, "/v1/subscribe").upgrade().send().await.unwrap();
    let mut socket = socket.into_websocket().await.unwrap();
    ask_for(&mut socket, &Subscribe { logs: Vec::new(), inbox: true, transparency: false }).await;
    assert_eq!(push(&mut socket).await, Push::Ready);
    let letter =
        InboxSend { entry_id: EnvelopeId::from_bytes(random()), kind: EnvelopeKind::Welcome, blob: b"hello".to_vec() };
    let send = http.authed(&alice, Method::POST, &format!("/v1/inboxes/{}", alice.device)).body(letter.encode());
    assert_eq!(seq(send.send().await.unwrap()).await, 1);
    assert_eq!(push(&mut socket).await, Push::Inbox { head: 1 });

    let put = async |blob: Vec<u8>| {
        let path = format!("/v1/blobs/{}", BlobId::of(&blob));
        http.authed(&alice, Method::PUT, &path).body(blob).send().await.unwrap()
    };
    assert_eq!(put(vec![7; LARGEST]).await.status(), StatusCode::CREATED);
    // It is the relay that says no, in words that an app understands.
    let refused = put(vec![7; LARGEST + 1]).await;
    assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(code(refused).await, ProblemCode::TooLarge);

    let look_up = async |http: &Http, forged: &str| {
        let request = http.request(Method::GET, "/v1/accounts/nobody/chain").header("x-forwarded-for", forged);
        request.send().await.unwrap().status()
    };
    for forged in ["198.51.100.1", "198.51.100.2"] {
        assert_eq!(look_up(&http, forged).await, StatusCode::NOT_FOUND);
    }
    for forged in ["198.51.100.3", "127.0.0.10", "127.0.0.1"] {
        assert_eq!(look_up(&http, forged).await, StatusCode::TOO_MANY_REQUESTS, "{forged}");
    }
    // And whoever does come from elsewhere is somebody else.
    assert_eq!(look_up(&from("127.0.0.10"), "127.0.0.9").await, StatusCode::NOT_FOUND);
}
