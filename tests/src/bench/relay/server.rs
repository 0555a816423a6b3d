//! The relay's process and its data.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use futures_util::stream::{self, StreamExt as _};
use waxwing_relay::LogSigner;
use waxwing_relay::storage::{Appended, Appending};
use waxwing_wire::api::base64url;
use waxwing_wire::frame::{Append, CreateLog, LogTokens};
use waxwing_wire::log::{EnvelopeKind, token_hash};
use waxwing_wire::{EnvelopeId, LogId, hash};

use super::super::report::Report;
use super::http::ENTRY;
use super::place::{Backend, Place};
use super::{people, percentile};

/// Logs that entries go to.
pub const LOGS: usize = 256;
/// Entries of the relay that is started again.
const STORED: u64 = 1_000_000;
/// How often it is started again.
const STARTS: usize = 5;
/// The name that the relay's key file and its log go by.
pub const AUDIENCE: &str = "relay.example";

/// As much as a rate can be.
const ANY: &str = "1000000/1000000";

/// How the relay's connections are protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// Plain HTTP.
    Plain,
    /// A certificate of the relay's own.
    Tls,
}

/// A log and what opens it.
#[derive(Debug, Clone)]
pub struct Log {
    pub id: LogId,
    pub write: [u8; 32],
    pub read: [u8; 32],
}

/// The relay, running. Killed where the run ends before its time.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    pub logs: Arc<Vec<Log>>,
    _place: Place,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn logs() -> Vec<Log> {
    let secret = |what: &[u8], number: usize| hash(&[what, &number.to_be_bytes()]);
    let log = |number| Log {
        id: LogId::from_bytes(*secret(b"log", number).first_chunk().unwrap()),
        write: secret(b"write", number),
        read: secret(b"read", number),
    };
    (0..LOGS).map(log).collect()
}

/// Makes people and logs in a place that no relay has used: to make them over HTTP takes longer.
async fn prepare(place: &Place, entries: u64) -> Vec<Log> {
    // The relay makes its keys at its first start, and signs its log with them from then on.
    let (mut first, _) = spawn(place, Protection::Plain);
    stop(&mut first);
    let signer = LogSigner::new(AUDIENCE, log_key(place.folder())).unwrap();
    let storage = place.open(signer).await;
    people::settle(storage.as_ref()).await;
    let logs = logs();
    for log in &logs {
        let tokens = LogTokens { write: token_hash(&log.write), read: token_hash(&log.read) };
        assert!(storage.create_log(CreateLog { log: log.id, tokens }).await.unwrap());
    }
    let append = |number: u64| {
        let log = &logs[number as usize % LOGS];
        let append = entry(
            number,
            EnvelopeId::from_bytes(*hash(&[b"filled", &number.to_be_bytes()]).first_chunk().unwrap()),
            ENTRY,
        );
        let digest = hash(&[&append.encode()]);
        let appending = Appending { log: log.id, write_hash: token_hash(&log.write), digest, append };
        let storage = &storage;
        async move { assert!(matches!(storage.append(appending).await, Ok(Appended::Stored { .. }))) }
    };
    stream::iter(0..entries).map(append).buffer_unordered(1024).for_each(|()| async {}).await;
    storage.close().await.unwrap();
    logs
}

fn log_key(folder: &Path) -> SigningKey {
    let kept: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.join("log-key.json")).unwrap()).unwrap();
    let seed = kept["seed"].as_str().and_then(base64url::decode).unwrap();
    SigningKey::from_bytes(&seed.try_into().unwrap())
}

/// An entry whose blob has so many bytes.
pub fn entry(number: u64, entry_id: EnvelopeId, len: usize) -> Append {
    let mut blob = vec![number as u8; len];
    blob[..8].copy_from_slice(&number.to_be_bytes());
    Append { entry_id, kind: EnvelopeKind::App, after: 0, rekey: None, blob }
}

/// Connections that a relay can have here: it raises its limit of open files to the hard one, which is ours too, and keeps 256 for everything else.
pub fn most_connections() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let hard = line.split_whitespace().nth(1).unwrap();
    // "unlimited" is no number: as many as a process can have where nobody has raised fs.nr_open.
    hard.parse().unwrap_or(1_048_576_usize).saturating_sub(256)
}

fn program() -> PathBuf {
    let bench = std::env::current_exe().unwrap();
    bench.with_file_name("waxwing-relay")
}

fn spawn(place: &Place, protection: Protection) -> (Child, SocketAddr) {
    let mut command = Command::new(program());
    command.args(["serve", "--listen", "127.0.0.1:0", "--audience", AUDIENCE, "--log", "error", "--data"]);
    command.arg(place.folder());
    place.tell(&mut command);
    // One address and a few logs are the whole world here.
    let most = most_connections().to_string();
    command.args(["--max-connections", &most, "--max-connections-per-address", &most]);
    for rate in
        ["address", "token", "lookup", "lookup-total", "stranger", "stranger-total", "claim", "claim-total", "account"]
    {
        command.arg(format!("--rate-{rate}={ANY}"));
    }
    if protection == Protection::Tls {
        command.args(["--tls", "self-signed"]);
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().rsplit_once("//").map(|(_, address)| address.parse().unwrap());
    (child, address.unwrap_or_else(|| panic!("the relay said {line:?}")))
}

/// Asks for a graceful stop and waits for it.
fn stop(child: &mut Child) {
    let told = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(told.is_ok_and(|status| status.success()));
    assert!(child.wait().is_ok_and(|status| status.success()), "the relay did not stop in order");
}

impl Server {
    /// Starts a relay in a place of its own, with the logs made.
    pub async fn start(backend: Backend, protection: Protection) -> Self {
        let place = Place::new(backend);
        let logs = Arc::new(prepare(&place, 0).await);
        let (child, address) = spawn(&place, protection);
        Self { child, address, logs, _place: place }
    }

    /// Proportional set size of the process, in bytes.
    pub fn memory(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
    }

    pub fn stop(mut self) {
        stop(&mut self.child);
    }
}

/// From the start of the program to its line that it is ready, with many entries stored.
pub async fn restart(report: &mut Report, backend: Backend) {
    eprintln!("restart: storing {STORED} entries");
    let place = Place::new(backend);
    let began = Instant::now();
    prepare(&place, STORED).await;
    eprintln!("stored in {:.0} s", began.elapsed().as_secs_f64());
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let start = Instant::now();
        let (mut child, _) = spawn(&place, Protection::Plain);
        times.push(start.elapsed().as_secs_f64() * 1000.0);
        std::thread::sleep(Duration::from_millis(50));
        stop(&mut child);
    }
    let median = percentile(&mut times, 0.5);
    report.value("ready_ms_1m", median);
    report
        .note(format!("ready again with {STORED} stored entries of 1 KiB: {median:.0} ms (median of {STARTS} starts)"));
}
