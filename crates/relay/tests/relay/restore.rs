//! A relay out of a backup of SQLite: what it still has, under which origin its log goes on, and what it gives out no more.

use std::process::Command;

use reqwest::{Method, StatusCode};
use waxwing_relay::storage::OpenError;
use waxwing_relay::{Config, Database, StartError, start};
use waxwing_wire::EnvelopeId;
use waxwing_wire::api::{EntryBytes, RelayInfo, Restorations, SubmitEntry};
use waxwing_wire::frame::{InboxSend, UploadKeyPackages};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::transparency::{Checkpoint, NoteKey, Restored, SignedCheckpoint};

use crate::auditor::Auditor;
use crate::inboxes::{as_stranger, inbox};
use crate::kept::{Kept, lose, restore};
use crate::kit::{Account, Kit, Log, app, code, random, seq};
use crate::process::{PROGRAM, run};

pub async fn restorations(kit: &Kit) -> Vec<String> {
    kit.http.get("/v1/transparency/restored").await.json::<Restorations>().await.unwrap().notes
}

pub async fn log_key(kit: &Kit) -> NoteKey {
    let info: RelayInfo = kit.http.get("/v1/relay").await.json().await.unwrap();
    info.log_key.unwrap().parse().unwrap()
}

pub async fn checkpoint(kit: &Kit, key: &NoteKey) -> SignedCheckpoint {
    let note = kit.http.get("/v1/transparency/checkpoint").await.bytes().await.unwrap();
    SignedCheckpoint::verify(&note, key).unwrap()
}

pub async fn upload(kit: &Kit, account: &Account) {
    let packages = vec![vec![1], vec![2]];
    let upload = UploadKeyPackages { replace: false, last_resort: Some(vec![3]), packages }.encode();
    let answer = kit.http.authed(account, Method::POST, "/v1/key-packages").body(upload).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
}

/// The relay out of a backup is the relay of before, its log goes on under a new origin, which is given, and `newcomer` gets an account.
pub async fn goes_on(
    kit: &Kit,
    old_key: &NoteKey,
    at_backup: &Checkpoint,
    alice: &Account,
    log: &Log,
    newcomer: &str,
) -> String {
    let notes = restorations(kit).await;
    assert_eq!(notes.len(), 1);
    let audience = old_key.name();
    let note = Restored::verify(notes[0].as_bytes(), old_key.public()).unwrap();
    assert_eq!((note.previous.as_str(), note.size), (audience, at_backup.size));
    assert_eq!((note.root, note.time_ms), (at_backup.root, at_backup.time_ms));
    assert!(note.origin.starts_with(&format!("{audience}/")));
    // The key stays, under the new name; checkpoints are the new log's.
    let key = log_key(kit).await;
    assert_eq!((key.name(), key.public()), (note.origin.as_str(), old_key.public()));
    let first = checkpoint(kit, &key).await.checkpoint().clone();
    assert_eq!((first.size, first.root), (at_backup.size, at_backup.root));
    assert!(first.time_ms > at_backup.time_ms);
    // It is the relay of before: names, tokens, logs.
    let info: RelayInfo = kit.http.get("/v1/relay").await.json().await.unwrap();
    assert_eq!(info.audience, audience);
    kit.http.token(alice).await;
    let page = kit.http.page(log, 0).await;
    assert_eq!(page.entries.len(), 1);
    assert_eq!(page.entries[0].blob, b"before the backup");
    // And it grows, whole, by whoever lost their account once more.
    kit.account(newcomer).await;
    let mut auditor = Auditor::new(&kit.http).await;
    let leaves = auditor.check(&kit.http).await;
    assert_eq!(leaves.len() as u64, at_backup.size + 2);
    note.origin
}

/// D14: a relay from a backup says so under a new origin, joined to the old one by a note of the log's key.
#[tokio::test]
async fn d14_a_restored_relay_says_where_its_log_goes_on() {
    let mut kit = Kit::new().await;
    let audience = kit.http.authority();
    let alice = kit.account("alice").await;
    let log = kit.log(&alice).await;
    kit.http.stored(&log, &app(0, b"before the backup")).await;
    upload(&kit, &alice).await;
    kit.admin(&["invite"]).await.unwrap();
    assert_eq!(restorations(&kit).await, Vec::<String>::new());
    let old_key = log_key(&kit).await;
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("backup");
    kit.admin(&["backup", file.to_str().unwrap()]).await.unwrap();
    let at_backup = checkpoint(&kit, &old_key).await.checkpoint().clone();
    // Lost with the disk.
    kit.account("bob").await;
    kit.http.stored(&log, &app(0, b"after the backup")).await;
    let lost = checkpoint(&kit, &old_key).await.checkpoint().clone();
    assert!(lost.size > at_backup.size);
    let refused = restore(&file, kit.folder.path()).unwrap_err();
    assert!(refused.contains("running"), "{refused}");
    kit.take().stop().await;
    let refused = restore(&file, kit.folder.path()).unwrap_err();
    assert!(refused.contains("database already"), "{refused}");

    let mut origins = vec![audience.clone()];
    // Twice from one backup: the two logs go on differently, so no origin is used again.
    for turn in 0..2 {
        lose(&kit);
        let told = restore(&file, kit.folder.path()).unwrap();
        assert!(told.contains(&format!("with {} leaves", at_backup.size)), "{told}");
        kit.start().await;
        let origin = goes_on(&kit, &old_key, &at_backup, &alice, &log, &format!("bob-{turn}")).await;
        assert!(!origins.contains(&origin));
        origins.push(origin);
        let notes = restorations(&kit).await;
        kit.restart().await;
        assert_eq!(restorations(&kit).await, notes);
        kit.take().stop().await;
    }
}

/// `admin restore` is `restore`, with the folder where `admin` has it or where `restore` has it, or in the configuration.
#[tokio::test]
async fn admin_restore_is_restore() {
    let mut kit = Kit::new().await;
    kit.account("alice").await;
    let out = tempfile::tempdir().unwrap();
    let (file, config) = (out.path().join("backup"), out.path().join("relay.toml"));
    kit.admin(&["backup", file.to_str().unwrap()]).await.unwrap();
    let data = kit.folder.path().to_str().unwrap().to_owned();
    std::fs::write(&config, format!("data = {data:?}\n")).unwrap();
    let [file, config] = [&file, &config].map(|path| path.to_str().unwrap());
    let from = ["restore", "--from", file];
    let refusal = |arguments: &[&str]| {
        let output = run(Command::new(PROGRAM).args(arguments));
        assert!(!output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let running = refusal(&[&["admin", "--data", &data], from.as_slice()].concat());
    assert!(running.contains("running on this data folder"), "{running}");
    assert!(refusal(&["admin", "restore", "--from", file]).contains("say which relay"));
    kit.take().stop().await;
    for arguments in [
        [&["admin", "--data", &data], from.as_slice()].concat(),
        [&["admin"], from.as_slice(), &["--data", &data]].concat(),
        [&["admin", "--config", config], from.as_slice()].concat(),
        [from.as_slice(), &["--config", config]].concat(),
    ] {
        let exists = refusal(&arguments);
        assert!(exists.contains("database already"), "{arguments:?}: {exists}");
        lose(&kit);
        let output = run(Command::new(PROGRAM).args(&arguments));
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        assert!(String::from_utf8(output.stdout).unwrap().starts_with("Restored, with 2 leaves"));
    }
    kit.start().await;
    assert_eq!(restorations(&kit).await.len(), 1);
    assert!(kit.admin(&["audit"]).await.unwrap().contains("restored"));
    let help = String::from_utf8(run(Command::new(PROGRAM).args(["admin", "--help"])).stdout).unwrap();
    let acts = ["stats", "disable", "enable", "quota", "keys", "audit", "backup", "restore", "invite"];
    for act in acts {
        assert!(help.lines().any(|line| line.trim_start().starts_with(&format!("{act} "))), "{act}: {help}");
    }
}

/// D14: what may have been given to somebody after the backup is given to nobody else.
#[tokio::test]
async fn d14_what_may_have_been_used_is_void() {
    let mut kit = Kit::new().await;
    let alice = kit.account("alice").await;
    upload(&kit, &alice).await;
    kit.admin(&["invite"]).await.unwrap();
    kit.admin(&["disable", "alice"]).await.unwrap();
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("backup");
    kit.admin(&["backup", file.to_str().unwrap()]).await.unwrap();
    kit.take().stop().await;
    lose(&kit);
    restore(&file, kit.folder.path()).unwrap();
    kit.start().await;
    kit.admin(&["enable", "alice"]).await.unwrap();
    let counts = kit.admin(&["quota", "alice"]).await.unwrap();
    assert!(counts.contains("key-packages: 0"), "{counts}");
    assert!(kit.admin(&["stats"]).await.unwrap().contains("invitations: 0"));
    // The last resort is for this; the others, uploaded again, stay spent.
    let count = |kit: &Kit| kit.http.authed(&alice, Method::GET, "/v1/key-packages").send();
    let left: waxwing_wire::api::KeyPackageCount = count(&kit).await.unwrap().json().await.unwrap();
    assert_eq!((left.count, left.last_resort), (0, true));
    upload(&kit, &alice).await;
    let left: waxwing_wire::api::KeyPackageCount = count(&kit).await.unwrap().json().await.unwrap();
    assert_eq!(left.count, 0);
}

#[tokio::test]
async fn what_is_no_backup_of_this_relay_is_refused_and_leaves_nothing() {
    let mut kit = Kit::new().await;
    kit.account("alice").await;
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("backup");
    kit.admin(&["backup", file.to_str().unwrap()]).await.unwrap();
    kit.take().stop().await;
    let other = tempfile::tempdir().unwrap();
    let refusal = restore(&file, other.path()).unwrap_err();
    assert!(refusal.contains("log-key.json"), "{refusal}");
    // Another relay's key.
    let stranger = Kit::new().await;
    std::fs::copy(stranger.folder.path().join("log-key.json"), other.path().join("log-key.json")).unwrap();
    let refusal = restore(&file, other.path()).unwrap_err();
    assert!(refusal.contains("another key"), "{refusal}");
    std::fs::copy(kit.folder.path().join("log-key.json"), other.path().join("log-key.json")).unwrap();
    let whole = std::fs::read(&file).unwrap();
    let cases: [(&str, Vec<u8>); 4] = [
        ("empty", Vec::new()),
        ("text", b"no database at all, but long enough to be looked at".repeat(100)),
        ("half", whole[..whole.len() / 2].to_vec()),
        ("flipped", {
            // In the middle of every page: something that matters is among it.
            let mut bytes = whole.clone();
            bytes.iter_mut().skip(4096 + 2000).step_by(4096).for_each(|byte| *byte ^= 0xff);
            bytes.iter_mut().skip(4096 + 3).step_by(4096).for_each(|byte| *byte ^= 0xff);
            bytes
        }),
    ];
    for (what, bytes) in cases {
        let damaged = out.path().join(what);
        std::fs::write(&damaged, bytes).unwrap();
        let refusal = restore(&damaged, other.path()).unwrap_err();
        assert!(refusal.contains("cannot be used"), "{what}: {refusal}");
        let mut left: Vec<_> = std::fs::read_dir(other.path())
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["lock", "log-key.json"], "{what}");
    }
    // A write-ahead log that was left there is not taken for the restored database's.
    let wal = other.path().join("relay.db-wal");
    std::fs::write(&wal, b"x").unwrap();
    assert!(restore(&file, other.path()).unwrap_err().contains("move relay.db, relay.db-wal"));
    std::fs::remove_file(&wal).unwrap();
    restore(&file, other.path()).unwrap();
}

/// Starts a relay on the kit's folder, and gives why it does not.
pub async fn refused(kit: &Kit, audience: &str, database: Database) -> StartError {
    let mut config = Config::new("127.0.0.1:0".parse().unwrap(), kit.folder.path().to_owned());
    config.audience = Some(audience.to_owned());
    config.database = database;
    start(config).await.err().expect("it starts")
}

/// D14: an older `relay.db` in the place of the relay's own is noticed; the newest one, and one that was restored, are not held up.
#[tokio::test]
async fn d14_a_database_that_went_back_does_not_start() {
    let mut kit = Kit::new().await;
    let audience = kit.http.authority();
    kit.account("alice").await;
    let (database, out) = (kit.folder.path().join("relay.db"), tempfile::tempdir().unwrap());
    let [older, newest] = ["older", "newest"].map(|name| out.path().join(name));
    kit.admin(&["backup", older.to_str().unwrap()]).await.unwrap();
    kit.account("bob").await;
    kit.take().stop().await;
    std::fs::copy(&database, &newest).unwrap();
    std::fs::copy(&older, &database).unwrap();
    let error = refused(&kit, &audience, Database::Sqlite).await;
    assert!(matches!(error, StartError::Storage(OpenError::WentBack)), "{error:?}");
    assert!(error.to_string().contains("waxwing-relay restore"));
    std::fs::copy(&newest, &database).unwrap();
    kit.start().await;
    kit.restart().await;
    kit.take().stop().await;
    // The command is how an older one goes on.
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(kit.folder.path().join(format!("relay.db{end}")));
    }
    restore(&older, kit.folder.path()).unwrap();
    kit.start().await;
    kit.restart().await;
    assert_eq!(restorations(&kit).await.len(), 1);
}

/// D14: devices have read on since the backup, and ask for what comes after that.
#[tokio::test]
async fn d14_no_place_in_an_inbox_is_given_twice() {
    no_place_in_an_inbox_is_given_twice(&Kept::Sqlite).await;
}

pub async fn no_place_in_an_inbox_is_given_twice(kept: &Kept) {
    let mut kit = kept.relay().await;
    let (alice, bob) = (kit.account("alice").await, kit.account("bob").await);
    let letter = |blob: &[u8]| InboxSend {
        entry_id: EnvelopeId::from_bytes(random()),
        kind: EnvelopeKind::Welcome,
        blob: blob.to_vec(),
    };
    assert_eq!(seq(as_stranger(&kit, alice.device, &bob, &letter(b"before")).await).await, 1);
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("backup");
    kept.back_up(&kit, &file).await;
    let mut last = 0;
    for _ in 0..3 {
        last = seq(as_stranger(&kit, alice.device, &bob, &letter(b"lost")).await).await;
    }
    kept.go_back(&mut kit, &file).await;
    assert!(seq(as_stranger(&kit, alice.device, &bob, &letter(b"after")).await).await > last);
    // Whoever has read up to the last one gets what is new, and no more.
    let page = inbox(&kit, &alice, last).await;
    assert_eq!(page.entries.iter().map(|entry| entry.blob.as_slice()).collect::<Vec<_>>(), [b"after"]);
    assert_eq!(inbox(&kit, &alice, 0).await.entries.len(), 2);
}

/// D14: a device whose keys were replaced after the backup has none that the relay knows. Its entries prove themselves.
#[tokio::test]
async fn d14_a_restored_relay_takes_lost_entries_without_a_token() {
    a_restored_relay_takes_lost_entries_without_a_token(&Kept::Sqlite).await;
}

pub async fn a_restored_relay_takes_lost_entries_without_a_token(kept: &Kept) {
    let mut kit = kept.relay().await;
    let (mut alice, bob) = (kit.account("alice").await, kit.account("bob").await);
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("backup");
    kept.back_up(&kit, &file).await;
    let unnamed = async |kit: &Kit, account: waxwing_wire::AccountId, entry: &[u8]| {
        let body = SubmitEntry { entry: EntryBytes(entry.to_vec()) };
        kit.http.request(Method::POST, &format!("/v1/accounts/{account}/chain")).json(&body).send().await.unwrap()
    };
    let first = alice.rotation();
    let lost = first.0.clone();
    assert_eq!(
        code(unnamed(&kit, alice.id, &lost).await).await,
        ProblemCode::Unauthorized,
        "not before it was restored"
    );
    alice.adopt(first);
    let second = alice.rotation();
    let next = second.0.clone();
    alice.adopt(second);
    kept.go_back(&mut kit, &file).await;
    // Nobody else's, none that the key in force has not signed, none out of turn.
    assert_eq!(code(unnamed(&kit, bob.id, &lost).await).await, ProblemCode::InvalidEntry);
    let mut forged = lost.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(code(unnamed(&kit, alice.id, &forged).await).await, ProblemCode::InvalidEntry);
    assert_eq!(code(unnamed(&kit, alice.id, &next).await).await, ProblemCode::ChainConflict);
    for entry in [&lost, &next, &lost] {
        assert_eq!(unnamed(&kit, alice.id, entry).await.status(), StatusCode::CREATED);
    }
    alice.token = kit.http.token(&alice).await;

    // Not for good: a month later an entry needs a token again.
    let third = alice.rotation().0;
    let mut forged = third.clone();
    *forged.last_mut().unwrap() ^= 1;
    for (days, refused) in [(29, ProblemCode::InvalidEntry), (30, ProblemCode::Unauthorized)] {
        kit.take().stop().await;
        kept.set_restored(&kit, days);
        kept.start(&mut kit).await;
        assert_eq!(code(unnamed(&kit, alice.id, &forged).await).await, refused, "after {days} days");
    }
    assert_eq!(code(unnamed(&kit, alice.id, &third).await).await, ProblemCode::Unauthorized);
    assert_eq!(crate::accounts::submit(&kit, &alice, &third).await.status(), StatusCode::CREATED);
    assert_eq!(restorations(&kit).await.len(), 1, "that it was restored is told for good");
}
