//! A relay out of a backup: what it still has, under which origin its log goes on, and what it gives out no more.

use std::path::Path;
use std::process::Command;

use reqwest::{Method, StatusCode};
use waxwing_wire::api::{RelayInfo, Restorations};
use waxwing_wire::frame::UploadKeyPackages;
use waxwing_wire::transparency::{NoteKey, Restored, SignedCheckpoint};

use crate::auditor::Auditor;
use crate::kit::{Account, Kit, app};
use crate::process::{PROGRAM, run};

/// What `waxwing-relay restore` says, or why it fails.
fn restore(from: &Path, data: &Path) -> Result<String, String> {
    let output = run(Command::new(PROGRAM).args(["restore", "--from"]).arg(from).arg("--data").arg(data));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

async fn restorations(kit: &Kit) -> Vec<String> {
    kit.http.get("/v1/transparency/restored").await.json::<Restorations>().await.unwrap().notes
}

async fn log_key(kit: &Kit) -> NoteKey {
    let info: RelayInfo = kit.http.get("/v1/relay").await.json().await.unwrap();
    info.log_key.unwrap().parse().unwrap()
}

async fn checkpoint(kit: &Kit, key: &NoteKey) -> SignedCheckpoint {
    let note = kit.http.get("/v1/transparency/checkpoint").await.bytes().await.unwrap();
    SignedCheckpoint::verify(&note, key).unwrap()
}

async fn upload(kit: &Kit, account: &Account) {
    let packages = vec![vec![1], vec![2]];
    let upload = UploadKeyPackages { replace: false, last_resort: Some(vec![3]), packages }.encode();
    let answer = kit.http.authed(account, Method::POST, "/v1/key-packages").body(upload).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
}

/// Takes the database out of the folder, as after a lost disk; the keys are there again.
fn lose(kit: &Kit) {
    std::fs::remove_file(kit.folder.path().join("relay.db")).unwrap();
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
        let notes = restorations(&kit).await;
        assert_eq!(notes.len(), 1);
        let note = Restored::verify(notes[0].as_bytes(), old_key.public()).unwrap();
        assert_eq!((note.previous.as_str(), note.size), (audience.as_str(), at_backup.size));
        assert_eq!((note.root, note.time_ms), (at_backup.root, at_backup.time_ms));
        assert!(note.origin.starts_with(&format!("{audience}/")) && !origins.contains(&note.origin));
        origins.push(note.origin.clone());
        // The key stays, under the new name; checkpoints are the new log's.
        let key = log_key(&kit).await;
        assert_eq!((key.name(), key.public()), (note.origin.as_str(), old_key.public()));
        let first = checkpoint(&kit, &key).await.checkpoint().clone();
        assert_eq!((first.size, first.root), (at_backup.size, at_backup.root));
        assert!(first.time_ms > at_backup.time_ms);
        // It is the relay of before: names, tokens, logs.
        let info: RelayInfo = kit.http.get("/v1/relay").await.json().await.unwrap();
        assert_eq!(info.audience, audience);
        kit.http.token(&alice).await;
        let page = kit.http.page(&log, 0).await;
        assert_eq!(page.entries.len(), 1);
        assert_eq!(page.entries[0].blob, b"before the backup");
        // And it grows, whole, by whoever lost their account once more.
        let name = format!("bob-{turn}");
        kit.account(&name).await;
        let mut auditor = Auditor::new(&kit.http).await;
        let leaves = auditor.check(&kit.http).await;
        assert_eq!(leaves.len() as u64, at_backup.size + 2);
        kit.restart().await;
        assert_eq!(restorations(&kit).await, notes);
        kit.take().stop().await;
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
