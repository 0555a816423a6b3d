//! The program itself: its lines, its signals, and what outlives kill -9 beside logs and inboxes (those: tests/kills).

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::StatusCode;
use waxwing_wire::api::{EntryBytes, SubmitEntry};
use waxwing_wire::frame::{ClaimKeyPackages, ClaimedKeyPackages, UploadKeyPackages};

use crate::auditor::Auditor;
use crate::kit::{Account, Http, Log, app, random};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_waxwing-relay");

pub fn serve(folder: &Path, listen: &str, more: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["serve", "--listen", listen, "--data"]).arg(folder).args(more);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Ends the program also when a test fails.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn start(folder: &Path, listen: &str, more: &[&str]) -> (Self, Vec<String>) {
        Self::of(serve(folder, listen, more), 1 + usize::from(more.contains(&"self-signed")))
    }

    /// Starts the program and waits for so many lines.
    pub fn of(mut command: Command, lines: usize) -> (Self, Vec<String>) {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let lines = out.lines().take(lines).map(Result::unwrap).collect();
        (Self(child), lines)
    }

    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.0.id().to_string()]).status().unwrap().success());
    }
}

pub fn url(lines: &[String]) -> String {
    lines[0].rsplit(' ').next().unwrap().to_owned()
}

pub fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

#[test]
fn it_says_what_it_is() {
    let version = run(Command::new(PROGRAM).arg("--version"));
    let text = String::from_utf8(version.stdout).unwrap();
    assert_eq!(
        text.trim(),
        format!("waxwing-relay {} (SQLite {})", env!("CARGO_PKG_VERSION"), waxwing_relay::sqlite_version())
    );
    let help = String::from_utf8(run(Command::new(PROGRAM).args(["serve", "--help"])).stdout).unwrap();
    for flag in ["--listen", "--data", "--tls", "--tls-cert", "--audience", "--rate-registration"] {
        assert!(help.contains(flag), "{flag}");
    }
    assert!(!run(Command::new(PROGRAM).args(["serve", "--unknown"])).status.success());
}

/// `systemctl start` comes back before the relay has its socket, and so does a script that starts one.
#[test]
fn an_operator_may_ask_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let asked = Command::new(PROGRAM)
        .args(["admin", "--data"])
        .arg(&data)
        .arg("stats")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let _relay = Running::start(&data, "127.0.0.1:0", &[]);
    let answer = asked.wait_with_output().unwrap();
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
}

#[test]
fn a_wrong_start_is_one_clear_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let refused = run(&mut serve(folder.path(), "0.0.0.0:0", &[]));
    assert!(!refused.status.success() && refused.stdout.is_empty());
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(text.contains("plain HTTP is for this computer alone") && text.lines().count() == 1, "{text}");
}

#[test]
fn the_lines_on_standard_output_and_a_stop_by_signal() {
    for (signal, more) in [("-TERM", vec![]), ("-INT", vec!["--tls", "self-signed"])] {
        let folder = tempfile::tempdir().unwrap();
        let (mut relay, lines) = Running::start(folder.path(), "127.0.0.1:0", &more);
        let scheme = if more.is_empty() { "http" } else { "https" };
        let start = format!("waxwing-relay {} listening on {scheme}://127.0.0.1:", env!("CARGO_PKG_VERSION"));
        assert!(lines[0].starts_with(&start), "{lines:?}");
        if let Some(second) = lines.get(1) {
            let pin = second.strip_prefix("certificate sha256 ").unwrap();
            assert!(waxwing_wire::ids::from_hex::<32>(pin).is_some());
        }
        relay.signal(signal);
        assert!(relay.0.wait().unwrap().success());
        assert!(!folder.path().join("relay.db-wal").exists());
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let metadata = file.unwrap().metadata().unwrap();
            let mode = if metadata.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777, mode);
        }
    }
}

/// The program under limits of its shell's.
fn limited(limits: &str, folder: &Path, more: &[&str]) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("{limits} && exec \"$0\" \"$@\""), PROGRAM, "serve", "--listen", "127.0.0.1:0"]);
    command.arg("--data").arg(folder).args(more);
    command
}

/// A3: connections never take all descriptors. While they have all that they may, what else needs one goes on; who comes then waits.
#[tokio::test]
async fn a3_connections_leave_descriptors_for_everything_else() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--timeout-header", "600", "--operator-listen", "0"];
    let (mut relay, lines) = Running::of(limited("ulimit -n 320", folder.path(), &arguments), 2);
    let address = url(&lines[..1]).strip_prefix("http://").unwrap().to_owned();
    let operator = Http::new(lines[1].strip_prefix("operator ").unwrap());
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(tokio::net::TcpStream::connect(&address).await.unwrap());
    }
    // More than it has descriptors; some of them find the kernel's queue full.
    let more: Vec<_> = (0..300).map(|_| tokio::spawn(tokio::net::TcpStream::connect(address.clone()))).collect();
    // All that it takes: 64 of the 320.
    let open = async || {
        let metrics = operator.get("/metrics").await.text().await.unwrap();
        let line = metrics.lines().find_map(|line| line.strip_prefix("waxwing_relay_connections ")).unwrap();
        line.parse::<usize>().unwrap()
    };
    let until = tokio::time::Instant::now() + Duration::from_secs(30);
    // The operator's own is among them.
    while open().await < 65 {
        assert!(tokio::time::Instant::now() < until, "{} connections", open().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(open().await, 65);
    let copy = folder.path().join("copy");
    let backup = run(Command::new(PROGRAM).args(["admin", "--data"]).arg(folder.path()).arg("backup").arg(&copy));
    assert!(backup.status.success() && copy.exists(), "{}", String::from_utf8_lossy(&backup.stderr));
    let rotation = run(Command::new(PROGRAM).args(["admin", "--data"]).arg(folder.path()).args(["keys", "rotate"]));
    assert!(rotation.status.success(), "{}", String::from_utf8_lossy(&rotation.stderr));
    // Those who waited are served once there is room.
    let mut last = silent.pop().unwrap();
    more.iter().for_each(tokio::task::JoinHandle::abort);
    drop((more, silent));
    tokio::io::AsyncWriteExt::write_all(&mut last, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    let read = tokio::io::AsyncReadExt::read_exact(&mut last, &mut answer);
    tokio::time::timeout(Duration::from_secs(30), read).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    drop(last);
    relay.signal("-TERM");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut relay.0.stderr.take().unwrap(), &mut text).unwrap();
    assert!(text.contains("64 connections at a time and not 20000") && text.contains("LimitNOFILE"), "{text}");
}

/// The soft limit is low for the sake of programs that use select(2); this one does not.
#[test]
fn the_limit_of_open_files_is_raised_to_the_hard_one() {
    let limits = |process: &str| {
        let text = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
        let line = text.lines().find(|line| line.starts_with("Max open files")).unwrap().to_owned();
        let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        (numbers[0], numbers[1])
    };
    let hard = limits("self").1;
    let folder = tempfile::tempdir().unwrap();
    let (relay, _) = Running::of(limited("ulimit -S -n 300", folder.path(), &[]), 1);
    assert_eq!(limits(&relay.0.id().to_string()), (hard, hard));
}

/// A5: whatever happens, the log on standard error names nobody. The address of the relay itself is no secret.
#[tokio::test]
async fn a5_logs_name_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (mut relay, lines) = Running::start(folder.path(), "127.0.0.1:0", &["--log", "waxwing_relay=trace,info"]);
    let http = Http::new(&url(&lines));
    let mut alice = Account::new("alicewonder", &http.authority());
    http.register(&alice).await;
    alice.token = http.token(&alice).await;
    let log = Log::new();
    http.authed(&alice, reqwest::Method::POST, "/v1/logs").body(log.create().encode()).send().await.unwrap();
    http.stored(&log, &app(0, b"x")).await;
    http.append(log.id, b"wrong", &app(0, b"x")).await;
    http.get("/v1/accounts/alicewonder/chain").await;
    relay.signal("-TERM");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut relay.0.stderr.take().unwrap(), &mut text).unwrap();
    assert!(text.contains("stopping"), "{text}");
    let token = waxwing_wire::api::base64url::encode(&log.write);
    for secret in [
        "alicewonder",
        &alice.id.to_string(),
        &alice.device.to_string(),
        &log.id.to_string(),
        &alice.token,
        &token,
        "127.0.0.1",
    ] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

/// D1: killed while blobs are put up, each is whole or not there, and what was answered is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_kill_9_leaves_whole_blobs_or_none() {
    // Each round is longer than the one before, and reads every blob.
    let kills = std::env::var("WAXWING_KILLS").map_or(5, |kills| kills.parse::<u64>().unwrap() / 20);
    let folder = tempfile::tempdir().unwrap();
    let audience = "127.0.0.1:1";
    let mut alice = Account::new("alice", audience);
    let (mut tried, mut answered) = (Vec::new(), std::collections::HashSet::new());
    for round in 0..=kills {
        let (mut relay, lines) = Running::start(folder.path(), "127.0.0.1:0", &["--audience", audience]);
        let http = Http::new(&url(&lines));
        for (id, blob) in &tried {
            let answer = http.get(&format!("/v1/blobs/{id}")).await;
            match answer.status() {
                StatusCode::OK => assert_eq!(answer.bytes().await.unwrap(), *blob),
                status => assert!(status == StatusCode::NOT_FOUND && !answered.contains(id), "{status}"),
            }
        }
        if round == kills {
            break;
        }
        assert_eq!(http.register(&alice).await.status(), StatusCode::CREATED);
        alice.token = http.token(&alice).await;
        let killed = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(150 + 37 * round)).await;
            relay.0.kill().unwrap();
            relay.0.wait().unwrap();
        });
        for size in (0..).map(|turn| 1 + 70_000 * (turn % 9)) {
            let blob: Vec<u8> = random::<64>().iter().copied().cycle().take(size).collect();
            let id = waxwing_wire::BlobId::of(&blob);
            let request = http.authed(&alice, reqwest::Method::PUT, &format!("/v1/blobs/{id}")).body(blob.clone());
            tried.push((id, blob));
            let Ok(answer) = request.send().await else { break };
            assert_eq!(answer.status(), StatusCode::CREATED);
            answered.insert(id);
        }
        killed.await.unwrap();
    }
    assert!(answered.len() as u64 > kills && tried.len() > answered.len(), "{} of {}", answered.len(), tried.len());
}

/// D1: killed right after it has handed out a key package, the relay hands it out to nobody else, and to the same claim again.
#[tokio::test]
async fn d1_kill_9_hands_out_no_key_package_twice() {
    let folder = tempfile::tempdir().unwrap();
    let audience = "127.0.0.1:1";
    let mut alice = Account::new("alice", audience);
    let claim = |number: u8| ClaimKeyPackages { account: alice.id, claim: [number; 16] }.encode();
    let claims: Vec<_> = (0..2).map(claim).collect();
    let mut got = Vec::new();
    let anywhere = Http::new("");
    for round in 0..4 {
        let (relay, lines) = Running::start(folder.path(), "127.0.0.1:0", &["--audience", audience, "--log", "warn"]);
        let http = anywhere.moved(&url(&lines));
        if round == 0 {
            assert_eq!(http.register(&alice).await.status(), StatusCode::CREATED);
            alice.token = http.token(&alice).await;
            let packages = vec![vec![1], vec![2]];
            let upload = UploadKeyPackages { replace: false, last_resort: None, packages }.encode();
            let answer =
                http.authed(&alice, reqwest::Method::POST, "/v1/key-packages").body(upload).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::CREATED);
        }
        let claim =
            http.authed(&alice, reqwest::Method::POST, "/v1/key-packages/claim").body(claims[round / 2].clone());
        let answer = claim.send().await.unwrap().bytes().await.unwrap();
        // Drops: SIGKILL.
        drop(relay);
        got.push(ClaimedKeyPackages::decode(&answer).unwrap().devices[0].package.clone());
    }
    assert_eq!(got, [[1], [1], [2], [2]]);
}

/// Registers accounts until told to stop; gives the names of those that were answered 201.
async fn registrations(http: Http, audience: &'static str, prefix: String, stop: Arc<AtomicBool>) -> Vec<String> {
    let mut names = Vec::new();
    for turn in 0usize.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let name = format!("{prefix}-{turn}");
        let account = Account::new(&name, audience);
        let body = SubmitEntry { entry: EntryBytes(account.chain[0].clone()) };
        let Ok(answer) = http.request(reqwest::Method::POST, "/v1/accounts").json(&body).send().await else { break };
        assert_eq!(answer.status(), StatusCode::CREATED);
        names.push(name);
    }
    names
}

/// P17: killed anywhere, each stored entry has its leaf, and every checkpoint that anybody was shown is a beginning of the later log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p17_kill_9_leaves_one_log() {
    // Each look reads the whole log: a few for every 300 of the others.
    let kills = std::env::var("WAXWING_KILLS").map_or(6, |kills| kills.parse::<u64>().unwrap() / 6);
    let folder = tempfile::tempdir().unwrap();
    let audience = "127.0.0.1:1";
    let more = [
        "--audience",
        audience,
        "--log",
        "warn",
        "--rate-registration",
        "100000",
        "--rate-lookup",
        "1000000",
        "--rate-registration-total",
        "100000",
        "--rate-lookup-total",
        "1000000",
        "--rate-address",
        "1000000",
    ];
    let mut auditor: Option<Auditor> = None;
    let mut names: Vec<String> = Vec::new();
    for round in 0..=kills {
        let (relay, lines) = Running::start(folder.path(), "127.0.0.1:0", &more);
        let http = Http::new(&url(&lines));
        let auditor = match &mut auditor {
            Some(auditor) => auditor,
            none => none.insert(Auditor::new(&http).await),
        };
        let leaves = auditor.check(&http).await;
        // All of them in the end: each takes a hash of the name.
        let checked = if round == kills { names.as_slice() } else { &names[names.len().saturating_sub(4)..] };
        for name in checked {
            auditor.chain(&http, name, &leaves).await;
        }
        // Chain leaf and name leaf came together, or not at all.
        assert_eq!(leaves.len() % 2, 0);
        assert!(leaves.len() >= 2 * names.len());
        if round == kills {
            break;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let load = |task| {
            tokio::spawn(registrations(http.clone(), audience, format!("name-{round}-{task}"), Arc::clone(&stop)))
        };
        let loads: Vec<_> = (0..4).map(load).collect();
        let until = tokio::time::Instant::now() + Duration::from_millis(250 + round * 37 % 150);
        while tokio::time::Instant::now() < until {
            auditor.checkpoint(&http).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Drops: SIGKILL.
        drop(relay);
        stop.store(true, Ordering::Relaxed);
        for load in loads {
            names.extend(load.await.unwrap());
        }
    }
    assert!(names.len() > 5, "only {} accounts", names.len());
}

/// What the relay is built from cannot decrypt messages, and holds one implementation of Ed25519.
#[test]
fn the_relay_links_nothing_that_decrypts() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut tree = Command::new(cargo);
    tree.args(["tree", "--offline", "-p", "waxwing-relay", "-e", "normal", "--prefix", "none"]);
    let tree = run(tree.current_dir(env!("CARGO_MANIFEST_DIR")));
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let text = String::from_utf8(tree.stdout).unwrap();
    let mut crates: Vec<_> = text.lines().filter_map(|line| line.split_once(' ')).collect();
    crates.sort_unstable();
    crates.dedup();
    let versions = |name: &str| crates.iter().filter(|(found, _)| *found == name).count();
    for absent in ["hpke", "openmls", "chacha20poly1305", "waxwing-protocol", "waxwing-client", "ring"] {
        assert_eq!(versions(absent), 0, "{absent}");
    }
    let dalek = crates.iter().map(|(name, version)| (*name, version.trim_end_matches(" (*)")));
    let dalek: std::collections::HashSet<_> = dalek.filter(|(name, _)| *name == "ed25519-dalek").collect();
    assert_eq!(dalek.len(), 1, "{dalek:?}");
    assert_eq!(versions("rusqlite"), 1);
}
