//! What an operator does while the relay runs.

use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use reqwest_websocket::CloseCode;
use waxwing_wire::EnvelopeId;
use waxwing_wire::api::Subscribe;
use waxwing_wire::frame::{InboxSend, Push};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::token::AccessToken;

use crate::devices::submit_unnamed;
use crate::kit::{Account, Kit, app, code, random};
use crate::subscribe::{ask_for, closed_with, connect_as, push};

fn field(told: &str, key: &str) -> String {
    let found = told.lines().find_map(|line| line.strip_prefix(&format!("{key}: ")));
    found.unwrap_or_else(|| panic!("{key} in {told}")).to_owned()
}

#[tokio::test]
async fn stats_and_quota_count() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    kit.account("bob").await;
    let log = kit.log(&alice).await;
    kit.http.stored(&log, &app(0, &[7; 1000])).await;
    let told = kit.admin(&["stats"]).await.unwrap();
    for (key, count) in [("accounts", "2"), ("devices", "2"), ("logs", "1"), ("transparency-leaves", "4")] {
        assert_eq!(field(&told, key), count, "{told}");
    }
    assert!(field(&told, "log-bytes").parse::<u64>().unwrap() >= 1000);
    assert!(field(&told, "database-bytes").parse::<u64>().unwrap() > 1000);
    let told = kit.admin(&["quota", "alice"]).await.unwrap();
    assert_eq!(field(&told, "quota-log"), (1024u64 * 1024 * 1024).to_string());
    assert_eq!((field(&told, "id"), field(&told, "inbox-bytes")), (alice.id.to_string(), "0".to_owned()));
    assert!(kit.admin(&["quota", "nobody"]).await.unwrap_err().contains("no such account"));
}

/// What an operator sets counts at once, outlives a restart, and is told to whoever sends too much.
#[tokio::test]
async fn quotas_are_set_for_everybody_and_for_an_account() {
    let mut kit = Kit::new().await;
    let (alice, bob) = (kit.account("alice").await, kit.account("bob").await);
    let log = kit.log(&alice).await;
    let send = async |kit: &Kit, to: &Account| {
        let (entry_id, kind) = (EnvelopeId::from_bytes(random()), EnvelopeKind::Notice);
        let letter = InboxSend { entry_id, kind, blob: vec![7; 1000] }.encode();
        kit.http.authed(&bob, Method::POST, &format!("/v1/inboxes/{}", to.device)).body(letter).send().await.unwrap()
    };
    kit.admin(&["quota", "--log", "2000", "--log-handshakes", "0", "--inbox-strangers", "0"]).await.unwrap();
    kit.http.stored(&log, &app(0, &[7; 1000])).await;
    for turn in 0..2 {
        let told = kit.admin(&["quota"]).await.unwrap();
        assert_eq!((field(&told, "quota-log"), field(&told, "quota-log-set-for")), ("2000".into(), "everybody".into()));
        assert!(!told.contains("quota-inbox-key-set-for"), "{told}");
        assert_eq!(
            code(kit.http.append(log.id, &log.write, &app(0, &[7; 1000])).await).await,
            ProblemCode::QuotaExceeded
        );
        assert_eq!(code(send(&kit, &bob).await).await, ProblemCode::QuotaExceeded);
        if turn == 0 {
            kit.admin(&["quota", "alice", "--inbox-strangers", "5000"]).await.unwrap();
        }
        assert_eq!(send(&kit, &alice).await.status(), StatusCode::CREATED);
        let told = kit.admin(&["quota", "alice"]).await.unwrap();
        assert_eq!(field(&told, "quota-inbox-strangers-set-for"), "account");
        assert_eq!(field(&told, "stranger-bytes"), ((turn + 1) * (1000 + 256)).to_string());
        kit.restart().await;
    }
    kit.admin(&["quota", "--log", "default", "--log-handshakes", "default"]).await.unwrap();
    assert_eq!(field(&kit.admin(&["quota"]).await.unwrap(), "quota-log"), (1024u64 * 1024 * 1024).to_string());
    kit.http.stored(&log, &app(0, &[7; 1000])).await;
    for bad in
        [["quota", "alice", "--log", "1"], ["quota", "nobody", "--inbox", "1"], ["quota", "alice", "--inbox", "-1"]]
    {
        kit.admin(&bad).await.unwrap_err();
    }
    assert!(kit.admin(&["audit"]).await.unwrap().contains("admin-quota-set account="));
}

/// The account's tokens are refused and its sockets closed within a second; what others keep goes on.
#[tokio::test]
async fn a_disabled_account_is_out_at_once_and_its_logs_go_on() {
    let mut kit = Kit::new().await;
    let (alice, bob) = (kit.account("alice").await, kit.account("bob").await);
    let log = kit.log(&alice).await;
    // One follows its inbox, one checkpoints alone.
    let mut sockets = Vec::new();
    for (account, inbox) in [(&alice, true), (&alice, false), (&bob, true)] {
        let mut socket = connect_as(&kit, account).await;
        ask_for(&mut socket, &Subscribe { logs: Vec::new(), inbox, transparency: !inbox }).await;
        assert_eq!(push(&mut socket).await, Push::Ready);
        sockets.push(socket);
    }
    kit.admin(&["disable", "alice"]).await.unwrap();
    let begun = Instant::now();
    for socket in &mut sockets[..2] {
        assert_eq!(closed_with(socket).await, CloseCode::Policy);
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    let own =
        async |kit: &Kit, account| kit.http.authed(account, Method::GET, "/v1/key-packages").send().await.unwrap();
    let refused = own(&kit, &alice).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert_eq!(code(refused).await, ProblemCode::AccountDisabled);
    let proof = kit.http.proof(&alice, "POST", "/oauth/token", None);
    let refused = kit.http.token_with(&alice, &alice.assertion(), &proof).await;
    assert_eq!(code(refused).await, ProblemCode::AccountDisabled);
    // A wrong key learns nothing of that.
    let proof = kit.http.proof(&bob, "POST", "/oauth/token", None);
    let mut forged = bob.assertion();
    forged.sub = alice.id;
    assert_eq!(code(kit.http.token_with(&bob, &forged, &proof).await).await, ProblemCode::Unauthorized);
    // The phrase, which needs no token, is no way around it; another's learns nothing.
    let (recovery, again) = alice.recover();
    assert_eq!(code(submit_unnamed(&kit, &alice, &recovery).await).await, ProblemCode::AccountDisabled);
    let mut foreign = Account::made(Some("alice"), &kit.http.authority(), alice.id, alice.device);
    foreign.chain.clone_from(&alice.chain);
    assert_eq!(code(submit_unnamed(&kit, &alice, &foreign.recover().0).await).await, ProblemCode::InvalidEntry);
    assert_eq!(own(&kit, &bob).await.status(), StatusCode::OK);
    kit.http.stored(&log, &app(0, b"said by whoever has the log's token")).await;
    assert_eq!(kit.http.page(&log, 0).await.entries.len(), 1);
    // It outlives a restart, and ends when the operator says so: by id as well.
    kit.restart().await;
    let proof = kit.http.proof(&alice, "POST", "/oauth/token", None);
    assert_eq!(code(kit.http.token_with(&alice, &alice.assertion(), &proof).await).await, ProblemCode::AccountDisabled);
    kit.admin(&["enable", &alice.id.to_string()]).await.unwrap();
    kit.http.token(&alice).await;
    assert_eq!(submit_unnamed(&kit, &alice, &recovery).await.status(), StatusCode::CREATED);
    kit.http.token(&again).await;
    assert!(kit.admin(&["disable", "nobody"]).await.unwrap_err().contains("no such account"));
}

/// A4: nobody notices that the key was changed, and the old one is told of for as long as it matters.
#[tokio::test]
async fn token_keys_overlap() {
    let mut kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let kids = async |kit: &Kit| -> Vec<String> {
        let keys: serde_json::Value = kit.http.get("/.well-known/jwks.json").await.json().await.unwrap();
        let kid = |key: &serde_json::Value| key["kid"].as_str().unwrap().to_owned();
        keys["keys"].as_array().unwrap().iter().map(kid).collect()
    };
    let old = kids(&kit).await;
    assert_eq!(old.len(), 1);
    let new = field(&kit.admin(&["keys", "rotate"]).await.unwrap(), "kid");
    for _ in 0..2 {
        assert_eq!(kids(&kit).await, [new.clone(), old[0].clone()]);
        assert_eq!(AccessToken::kid(&alice.token).unwrap(), old[0]);
        let answer = kit.http.authed(&alice, Method::GET, "/v1/key-packages").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "a token of the old key is good");
        assert_eq!(AccessToken::kid(&kit.http.token(&alice).await).unwrap(), new);
        kit.restart().await;
    }
}

/// Another process may have the folder of keys, for however long: everybody is served meanwhile.
#[tokio::test]
async fn a_rotation_that_waits_holds_up_nobody() {
    const HELD: Duration = Duration::from_secs(20);
    let kit = Kit::new().await;
    let (free, freed) = std::sync::mpsc::channel::<()>();
    let keys = std::fs::File::options().write(true).open(kit.folder.path().join("keys.lock")).unwrap();
    keys.lock().unwrap();
    // On a thread of its own: a relay that waited on this one would wait for good.
    let holding = std::thread::spawn(move || {
        let _ = freed.recv_timeout(HELD);
        drop(keys);
    });
    let began = Instant::now();
    let mut rotation = std::pin::pin!(kit.admin(&["keys", "rotate"]));
    let waiting = tokio::time::timeout(Duration::from_secs(2), &mut rotation).await;
    assert!(waiting.is_err(), "it does not wait: {waiting:?}");
    assert_eq!(kit.http.get("/healthz").await.status(), StatusCode::OK);
    let alice = kit.account("alice").await;
    assert!(kit.admin(&["stats"]).await.is_ok());
    assert!(began.elapsed() < HELD, "nobody was served");
    free.send(()).unwrap();
    holding.join().unwrap();
    let kid = field(&rotation.await.unwrap(), "kid");
    assert_eq!(AccessToken::kid(&kit.http.token(&alice).await).unwrap(), kid);
}

#[tokio::test]
async fn the_audit_log_tells_what_happened_and_to_nobody_by_name() {
    let mut kit = Kit::new().await;
    let mut alice = kit.account("alice").await;
    let rotation = alice.rotation();
    let answer = crate::accounts::submit(&kit, &alice, &rotation.0).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    alice.adopt(rotation);
    alice.token = "x.y.z".to_owned();
    kit.http.authed(&alice, Method::GET, "/v1/key-packages").send().await.unwrap();
    kit.admin(&["disable", "alice"]).await.unwrap();
    kit.admin(&["invite"]).await.unwrap();
    kit.restart().await;
    let text = kit.admin(&["audit"]).await.unwrap();
    for event in [
        "started",
        "registered account=",
        "keys-rotated account=",
        "token-refused address=",
        "admin-disabled account=",
        "admin-invited",
        "stopped",
        "admin-read-audit",
    ] {
        assert!(text.contains(event), "{event} in {text}");
    }
    for secret in ["alice", "127.0.0.1", &alice.id.to_string(), &alice.device.to_string()] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    // The hour, not the minute.
    assert!(text.lines().all(|line| line.as_bytes()[13] == b'Z' && line.as_bytes()[10] == b'T'), "{text}");
    assert_eq!(kit.admin(&["audit", "--lines", "1"]).await.unwrap().lines().count(), 1);
}

#[tokio::test]
async fn the_socket_is_private_and_goes_with_the_relay() {
    let mut kit = Kit::new().await;
    let path = kit.folder.path().join("admin.sock");
    let metadata = std::fs::metadata(&path).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    // What is no request is answered, and costs the relay nothing else.
    let garbage = |bytes: &'static [u8]| {
        let path = path.clone();
        tokio::task::spawn_blocking(move || {
            use std::io::{Read as _, Write as _};
            let mut stream = std::os::unix::net::UnixStream::connect(path).unwrap();
            stream.write_all(bytes).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        })
    };
    for bytes in [b"{}\n".as_slice(), b"x", b"{\"do\":\"burn\"}\n"] {
        assert!(garbage(bytes).await.unwrap().contains("refused"));
    }
    assert!(kit.admin(&["stats"]).await.is_ok());
    kit.take().stop().await;
    assert!(!path.exists());
    assert!(kit.admin(&["stats"]).await.unwrap_err().contains("no relay answers"));
}

/// Also where the modes of folder and socket would let them: the kernel says who asks. Needs root, to be somebody else.
#[tokio::test]
async fn another_user_is_refused() {
    use std::os::unix::fs::MetadataExt as _;
    use std::os::unix::process::CommandExt as _;
    const NOBODY: u32 = 65_534;
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("skipped: needs root");
        return;
    }
    let kit = Kit::new().await;
    let mode = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(kit.folder.path(), 0o755);
    mode(&kit.folder.path().join("admin.sock"), 0o666);
    // A place that they can run it from.
    let program = kit.folder.path().join("program");
    std::fs::copy(crate::process::PROGRAM, &program).unwrap();
    mode(&program, 0o755);
    let ask = |who: Option<u32>| {
        let mut command = std::process::Command::new(&program);
        command.args(["admin", "--data"]).arg(kit.folder.path()).arg("stats");
        if let Some(who) = who {
            command.uid(who).gid(who);
        }
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };
    let own = ask(None).await.unwrap();
    assert!(own.status.success(), "{own:?}");
    let theirs = ask(Some(NOBODY)).await.unwrap();
    assert!(!theirs.status.success() && theirs.stdout.is_empty(), "{theirs:?}");
    // They came as far as the socket.
    assert!(kit.admin(&["audit"]).await.unwrap().contains("admin-refused"), "{theirs:?}");
}

/// A copy of one moment, made while others write: whole, and with everything that was answered before.
#[tokio::test]
async fn a_backup_is_whole_while_others_write() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let log = kit.log(&alice).await;
    kit.http.stored(&log, &app(0, b"before")).await;
    let to = tempfile::tempdir().unwrap();
    let file = to.path().join("relay.backup");
    let name = file.to_str().unwrap().to_owned();
    let writing = async {
        let mut written = 0;
        while !file.exists() {
            kit.http.stored(&log, &app(0, &[7; 2000])).await;
            written += 1;
        }
        written
    };
    let arguments = ["backup", name.as_str()];
    let (written, told) = tokio::join!(writing, kit.admin(&arguments));
    assert!(written > 0);
    assert_eq!(field(&told.unwrap(), "bytes"), std::fs::metadata(&file).unwrap().len().to_string());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // Nothing beside it: no write-ahead log, nothing half done.
    assert_eq!(std::fs::read_dir(to.path()).unwrap().count(), 1);
    let copy = rusqlite::Connection::open(&file).unwrap();
    let check: String = copy.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    let (entries, head): (u64, u64) = copy
        .query_row("SELECT (SELECT count(*) FROM log_entries), head FROM logs", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert!(entries >= 1 && entries == head, "{entries} {head}");
    // A file that is there is left alone; one that cannot be is said.
    let before = std::fs::read(&file).unwrap();
    assert!(kit.admin(&["backup", &name]).await.unwrap_err().contains("already"));
    assert_eq!(std::fs::read(&file).unwrap(), before);
    assert!(kit.admin(&["backup", "/nonexistent/file"]).await.unwrap_err().contains("cannot be written"));
}

/// A copy that waits for its disk holds up no stop.
#[test]
fn a_backup_holds_up_no_stop() {
    use crate::process::{PROGRAM, Running, serve};
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().unwrap();
    let (mut relay, _) = Running::of(serve(folder.path(), "127.0.0.1:0", &["--timeout-drain", "1"]), 1);
    // The relay opens it for writing, which waits for somebody who reads.
    assert!(Command::new("mkfifo").arg(folder.path().join("copy.part")).status().unwrap().success());
    let mut backup = Command::new(PROGRAM);
    backup.args(["admin", "--data"]).arg(folder.path()).arg("backup").arg(folder.path().join("copy"));
    let mut backup = Running(backup.stderr(Stdio::piped()).spawn().unwrap());
    std::thread::sleep(Duration::from_secs(1));
    assert!(backup.0.try_wait().unwrap().is_none(), "it does not wait");
    relay.signal("-TERM");
    let until = Instant::now() + Duration::from_secs(30);
    let status = loop {
        match relay.0.try_wait().unwrap() {
            Some(status) => break status,
            None => assert!(Instant::now() < until, "it does not stop"),
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(status.success());
    // It was asked, and had not answered.
    let mut said = String::new();
    std::io::Read::read_to_string(&mut backup.0.stderr.take().unwrap(), &mut said).unwrap();
    assert!(!backup.0.wait().unwrap().success() && !said.contains("no relay answers"), "{said}");
}
