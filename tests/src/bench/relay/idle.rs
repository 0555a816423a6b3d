//! Connections that wait for news that does not come: what each costs the relay in memory, in the clear and under TLS.
//!
//! They are held by processes of their own, from several loopback addresses, since one process has no more descriptors than the relay, and one address no more
//! ports than 28,000.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};

use super::super::report::Report;
use super::place::Backend;
use super::server::{Protection, Server, most_connections};
use super::websocket::{Socket, Stream, connect};

const MANY: usize = 10_000;
const UNDER_TLS: usize = 10_000;
/// Connections that each process holds.
const EACH: usize = 2_500;
const IDLE: Duration = Duration::from_secs(60);
/// Opened at a time: the relay's backlog is short.
const AT_ONCE: usize = 64;

/// Measures both.
pub fn measure(report: &mut Report, backend: Backend) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for (protection, number, key) in [
        (Protection::Plain, MANY, "idle_bytes_per_connection"),
        (Protection::Tls, UNDER_TLS, "idle_tls_bytes_per_connection"),
    ] {
        eprintln!("idle: {number} connections, {protection:?}");
        let server = runtime.block_on(Server::start(backend, protection));
        // What the first ones cost is there for good, and is not theirs.
        let warm = Holder::start(&server, 50, 1, protection);
        drop(warm);
        std::thread::sleep(Duration::from_secs(2));
        let before = server.memory();
        let holders: Vec<_> = (0..number.div_ceil(EACH))
            .map(|turn| Holder::start(&server, EACH.min(number - turn * EACH), 2 + turn as u8, protection))
            .collect();
        let held: usize = holders.iter().map(|holder| holder.held).sum();
        if held < number {
            report
                .fail(format!("{held} of {number} connections ({protection:?}) could be had: is `ulimit -n` too low?"));
        }
        std::thread::sleep(IDLE);
        let bytes = (server.memory().saturating_sub(before)) as f64 / held as f64;
        report.value(key, bytes);
        report.note(format!("{held} idle connections ({protection:?}): {bytes:.0} bytes each"));
        if protection == Protection::Plain {
            let (more, ended) = up_to_the_limit(&server, most_connections().saturating_sub(held));
            let all = held + more;
            report.value("idle_connections", all as f64);
            report.note(format!("{all} connections at once; {ended}"));
        }
        drop(holders);
        server.stop();
    }
}

/// Opens further connections, `most` of them at most, until no more can be had; gives how many those were, and why there are no more.
fn up_to_the_limit(server: &Server, most: usize) -> (usize, &'static str) {
    let (mut held, mut more) = (Vec::new(), 0);
    // Addresses of this computer that no holder has yet.
    for turn in 20..=u8::MAX {
        if more >= most {
            return (
                more,
                "as many as the limit of open files leaves (ulimit -Hn less 256): the relay itself may be able to hold more",
            );
        }
        if memory_is_short() {
            return (more, "then a quarter of the machine's memory was left, and no more were opened");
        }
        let asked = EACH.min(most - more);
        let holder = Holder::start(server, asked, turn, Protection::Plain);
        let had = holder.held;
        held.push(holder);
        more += had;
        if had < asked {
            return (more, "no more could be had");
        }
    }
    (more, "then the bench had no more addresses to come from")
}

/// Whether less than a quarter of the memory is left: the load is on the same machine, and takes as much as the relay.
fn memory_is_short() -> bool {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    of("MemAvailable:") < of("MemTotal:") / 4
}

/// A process that holds connections.
struct Holder {
    child: Child,
    held: usize,
}

impl Holder {
    fn start(server: &Server, number: usize, from: u8, protection: Protection) -> Self {
        // Its soft limit is the usual one, and the relay's is not.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", r#"ulimit -S -n "$(ulimit -H -n)"; exec "$0" "$@""#]);
        command.arg(std::env::current_exe().unwrap());
        command.args(["hold", &server.address.to_string(), &number.to_string(), &from.to_string()]);
        command.arg(if protection == Protection::Tls { "tls" } else { "plain" });
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        Self { held: line.trim().parse().unwrap(), child }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Holds connections until the input ends; prints how many could be had.
pub fn hold(arguments: &[String]) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let [address, number, from, protection] = arguments else { panic!("hold ADDRESS NUMBER FROM PROTECTION") };
    let (address, number): (SocketAddr, usize) = (address.parse().unwrap(), number.parse().unwrap());
    let (from, tls) = (from.parse().unwrap(), protection == "tls");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut held = 0;
        for start in (0..number).step_by(AT_ONCE) {
            let opening: Vec<_> = (start..number.min(start + AT_ONCE))
                .map(|_| tokio::spawn(open(address, [127, 0, 0, from], tls)))
                .collect();
            let asked = opening.len();
            let mut had = 0;
            for socket in opening {
                let Ok(Some(mut socket)) = socket.await else { continue };
                had += 1;
                tokio::spawn(async move { while socket.next().await.is_ok() {} });
            }
            held += had;
            if had < asked {
                break;
            }
        }
        println!("{held}");
        std::io::stdout().flush().unwrap();
        let _ = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await;
    });
}

async fn open(address: SocketAddr, from: [u8; 4], tls: bool) -> Option<Socket> {
    let opening = async {
        let tcp = connect(address, from).await.ok()?;
        let stream: Box<dyn Stream> = if tls {
            let config = ClientConfig::builder()
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Any))
                .with_no_client_auth();
            let name = ServerName::try_from("relay.example").ok()?;
            Box::new(tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.ok()?)
        } else {
            Box::new(tcp)
        };
        Socket::upgrade(stream).await.ok()
    };
    tokio::time::timeout(Duration::from_secs(20), opening).await.ok().flatten()
}

/// Takes any certificate: what is measured is the relay's memory.
#[derive(Debug)]
struct Any;

impl ServerCertVerifier for Any {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
