//! The program over PostgreSQL: where the address comes from, where it never goes, and the way there from SQLite.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

use reqwest::{Method, StatusCode};

use crate::cluster::Cluster;
use crate::kit::{Account, Http, Log, app};
use crate::process::{PROGRAM, Running, run, serve, url};

const DATABASE: &str = "WAXWING_RELAY_DATABASE_URL";
/// Stands in each address; PostgreSQL does not ask for it here.
const PASSWORD: &str = "hunter2";

fn over_postgres(folder: &Path, audience: &str, more: &[&str]) -> Command {
    let mut command = serve(folder, "127.0.0.1:0", &["--audience", audience, "--log", "trace"]);
    command.args(more);
    command
}

fn said(mut relay: Running) -> String {
    relay.signal("-TERM");
    let mut text = String::new();
    relay.0.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(relay.0.wait().unwrap().success(), "{text}");
    text
}

/// A folder of a relay that has stopped, with `alice` and one entry in it, and the configuration that names the folder.
async fn stopped_relay(folder: &Path, more: &str) -> (String, u64) {
    let data = folder.join("data");
    let (mut relay, lines) = Running::of(serve(&data, "127.0.0.1:0", &[]), 1);
    let http = Http::new(&url(&lines));
    let mut alice = Account::new("alice", &http.authority());
    assert_eq!(http.register(&alice).await.status(), StatusCode::CREATED);
    alice.token = http.token(&alice).await;
    let log = Log::new();
    http.authed(&alice, Method::POST, "/v1/logs").body(log.create().encode()).send().await.unwrap();
    let seq = http.stored(&log, &app(0, b"before")).await;
    relay.signal("-TERM");
    assert!(relay.0.wait().unwrap().success());
    let file = folder.join("relay.toml");
    std::fs::write(&file, format!("listen = \"127.0.0.1:0\"\ndata = {:?}\n{more}", data.display().to_string()))
        .unwrap();
    (file.display().to_string(), seq)
}

/// `migrate --from sqlite --to postgres`: where both are stands in the configuration, or in flags and variables that win over it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_moves_by_its_configuration() {
    let cluster = Cluster::shared();
    let folder = tempfile::tempdir().unwrap();
    let address = folder.path().join("address");
    let (file, entries) =
        stopped_relay(folder.path(), &format!("database-url-file = {:?}\n", address.display().to_string())).await;
    let migrate = |more: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.args(["migrate", "--from", "sqlite", "--to", "postgres"]).args(more);
        command
    };
    let refusal = |command: &mut Command| {
        let output = run(command);
        assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refusal(&mut migrate(&[])).contains("say which relay"));
    assert!(refusal(&mut migrate(&["--config", "/nowhere"])).contains("cannot be read"));
    let nowhere = refusal(&mut migrate(&["--config", &file]));
    assert!(nowhere.contains("address") && nowhere.contains("cannot be read"), "{nowhere}");
    let data = folder.path().join("data").display().to_string();
    assert!(refusal(&mut migrate(&["--data", &data])).contains("PostgreSQL's address is needed"));
    for wrong in ["sqlite:", "postgres", "postgres:/x"] {
        let mut command = Command::new(PROGRAM);
        let text = refusal(command.args(["migrate", "--from", wrong, "--to", "postgres", "--config", &file]));
        assert!(text.contains("sqlite:DIR"), "{text}");
    }
    let moved = |database: &str, command: &mut Command| {
        let output = run(command);
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(output.status.success(), "{err}");
        assert!(out.lines().any(|line| line.trim() == format!("{entries} log_entries")), "{out}");
        assert_eq!(cluster.sql(database, "SELECT count(*) FROM log_entries").trim(), entries.to_string());
        assert!(!out.contains(PASSWORD) && !err.contains(PASSWORD));
    };
    let new = |database: &str| {
        cluster.sql("postgres", &format!("CREATE DATABASE {database}"));
        cluster.url(database)
    };
    // All of it from the configuration, which is named by a flag or a variable.
    std::fs::write(&address, new("configured")).unwrap();
    moved("configured", &mut migrate(&["--config", &file]));
    std::fs::write(&address, new("by_variable")).unwrap();
    moved("by_variable", migrate(&[]).env("WAXWING_RELAY_CONFIG", &file));
    // A flag wins, and nothing but folder and address is needed.
    let other = folder.path().join("other");
    std::fs::write(&other, new("by_flag")).unwrap();
    let other = other.display().to_string();
    moved("by_flag", &mut migrate(&["--config", &file, "--database-url-file", &other]));
    moved("without", migrate(&["--data", &data]).env(DATABASE, new("without")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_moves_and_its_address_is_told_nobody() {
    let cluster = Cluster::shared();
    cluster.sql("postgres", "CREATE DATABASE moving");
    let address = cluster.url("moving");
    let folder = tempfile::tempdir().unwrap();
    let (mut relay, lines) = Running::of(serve(folder.path(), "127.0.0.1:0", &[]), 1);
    let http = Http::new(&url(&lines));
    let audience = http.authority();
    let mut alice = Account::new("alice", &audience);
    assert_eq!(http.register(&alice).await.status(), StatusCode::CREATED);
    alice.token = http.token(&alice).await;
    let log = Log::new();
    http.authed(&alice, Method::POST, "/v1/logs").body(log.create().encode()).send().await.unwrap();
    http.stored(&log, &app(0, b"before")).await;

    let from = format!("sqlite:{}", folder.path().display());
    let migrate = |more: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.args(["migrate", "--from", &from, "--to", "postgres"]).args(more);
        command
    };
    // While it runs, without an address, and to somewhere else.
    let running = run(migrate(&[]).env(DATABASE, &address));
    assert!(!running.status.success() && String::from_utf8(running.stderr).unwrap().contains("stop it first"));
    relay.signal("-TERM");
    assert!(relay.0.wait().unwrap().success());
    assert!(!run(&mut migrate(&[])).status.success());
    assert!(!run(migrate(&["--to", "sqlite"]).env(DATABASE, &address)).status.success());
    let moved = run(migrate(&[]).env(DATABASE, &address));
    let (out, err) = (String::from_utf8(moved.stdout).unwrap(), String::from_utf8(moved.stderr).unwrap());
    assert!(moved.status.success(), "{err}");
    assert!(out.lines().any(|line| line.trim() == "1 log_entries"), "{out}");
    assert!(!out.contains(PASSWORD) && !err.contains(PASSWORD));

    // The address from the environment, or from a file; another folder, with the keys of the first.
    let file = folder.path().join("address");
    std::fs::write(&file, format!("{address}\n")).unwrap();
    let other = tempfile::tempdir().unwrap();
    let keys = folder.path().to_str().unwrap().to_owned();
    let mut from_environment = over_postgres(folder.path(), &audience, &[]);
    from_environment.env(DATABASE, &address);
    let (one, lines) = Running::of(from_environment, 1);
    let first = http.moved(&url(&lines));
    let more = ["--database-url-file", file.to_str().unwrap(), "--keys", &keys];
    let (two, lines) = Running::of(over_postgres(other.path(), &audience, &more), 1);
    let second = http.moved(&url(&lines));
    first.stored(&log, &app(0, b"after")).await;
    let page = second.page(&log, 0).await;
    assert_eq!(
        page.entries.iter().map(|entry| entry.blob.as_slice()).collect::<Vec<_>>(),
        [b"before".as_slice(), b"after"]
    );
    let token = second.token(&alice).await;
    alice.token = token;
    assert_eq!(first.authed(&alice, Method::GET, "/v1/key-packages").send().await.unwrap().status(), StatusCode::OK);
    for relay in [one, two] {
        // Nor does anybody see it who looks at the processes of the machine.
        let line = std::fs::read(format!("/proc/{}/cmdline", relay.0.id())).unwrap();
        assert!(!String::from_utf8_lossy(&line).contains(PASSWORD));
        let text = said(relay);
        assert!(text.contains("stopping"), "the search sees nothing");
        for secret in [PASSWORD, "alice", &log.id.to_string(), &alice.device.to_string(), &alice.token] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    let mut alone = over_postgres(folder.path(), &audience, &[]);
    let refused = run(alone.env("WAXWING_RELAY_NATS_URL", "nats://127.0.0.1:1").stderr(Stdio::piped()));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("NATS is for several processes"));
}
