//! A relay that serves those alone who show it a certificate (`client-ca`), and people who have one or have none.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests too

mod terminal;
mod world;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use terminal::Terminal;
use waxwing_client::{
    Client, Connection, ErrorCode, Profile, ProfileState, add_certificate, check_relay, remove_certificate,
};
use world::{Person, World, introduce};

struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    pem: String,
}

fn authority(name: &str) -> Authority {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    let pem = params.self_signed(&key).unwrap().pem();
    Authority { issuer: rcgen::Issuer::new(params, key), pem }
}

impl Authority {
    /// A certificate with its key, as its holder is given it.
    fn issue(&self, until: i32) -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["client".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        format!("{}{}", certificate.pem(), key.serialize_pem())
    }
}

const VALID: i32 = 4000;

/// A file beside the profiles that holds this.
fn given(world: &World, text: &str) -> PathBuf {
    let file = world.dir.path().join("given.pem");
    fs::write(&file, text).unwrap();
    file
}

fn give(world: &World, profile: &Path, text: &str) {
    add_certificate(profile, &world.address(), &given(world, text)).unwrap();
}

/// Where the certificate for the world's relay is in a profile.
fn file_in(world: &World, profile: &Path) -> PathBuf {
    profile.join(format!("certificates/127.0.0.1_{}.pem", world.listen.port()))
}

/// Everything in a folder, by its path.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            files.extend(self::files(&entry.path()));
        } else {
            files.insert(entry.path(), fs::read(entry.path()).unwrap());
        }
    }
    files
}

async fn is_offline_for(person: &Person, code: ErrorCode) {
    person
        .until(&format!("{code:?}"), async |client| {
            let is_so = matches!(client.connection(), Connection::Offline { reason, .. } if reason.code == code);
            if !is_so {
                client.try_now();
            }
            is_so.then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_certificate_is_served_and_who_has_none_is_told_why() {
    let (ours, theirs) = (authority("ours"), authority("theirs"));
    let mut world = World::asking(&ours.pem).await;
    let dir = world.dir.path().join("alice");
    let profile = Profile::open(&dir).unwrap();
    let refused = async |world: &World, code: ErrorCode| {
        let before = files(&dir);
        // Again and again: what is told must not hang on whether the alert is read before the connection breaks.
        let mut lost = 0;
        for _ in 0..10 {
            let told = check_relay(&dir, &world.address()).await.unwrap_err().code();
            // A request that is handed to a connection in the very moment in which that ends waits for nothing until its time is over
            // (hyperium/hyper#4122): seldom, and the next one is told.
            let late = told == ErrorCode::RelayDown;
            lost += u32::from(late);
            assert!(told == code || (late && lost == 1), "{told:?}");
        }
        let error = Client::register(&profile, world.registration("alice")).await.map(|_| ()).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(&world.listen.to_string()), "{error}");
        assert_eq!(profile.state(), ProfileState::Fresh);
        assert_eq!(files(&dir), before, "{code:?}");
    };
    refused(&world, ErrorCode::CertificateNeeded).await;
    for bad in [theirs.issue(VALID), ours.issue(2001)] {
        give(&world, &dir, &bad);
        refused(&world, ErrorCode::CertificateRefused).await;
    }
    give(&world, &dir, &ours.issue(VALID));
    let file = file_in(&world, &dir);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    refused(&world, ErrorCode::CertificateUnusable).await;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(check_relay(&dir, &world.address()).await.unwrap().loopback);

    // Everything goes: what is named and what is not, requests and subscriptions.
    drop(profile);
    give(&world, &world.dir.path().join("bob"), &ours.issue(VALID));
    let (alice, bob) = (world.register("alice").await, world.register("bob").await);
    let conversation = introduce(&alice, &bob).await;
    alice.until_online().await;
    bob.until_online().await;
    alice.send(&conversation, "behind closed doors").await;
    bob.until_texts(&conversation, &["behind closed doors"]).await;

    // Another relay that asks is shown nothing, though it would take it.
    let other = World::asking(&ours.pem).await;
    let elsewhere = check_relay(&dir, &other.address()).await.unwrap_err();
    assert_eq!(elsewhere.code(), ErrorCode::CertificateNeeded);

    // Taken away and put back while the app runs: what was written meanwhile goes out.
    world.stop_relay().await;
    assert!(remove_certificate(&dir, &world.address()).unwrap());
    world.start_relay().await;
    is_offline_for(&alice, ErrorCode::CertificateNeeded).await;
    alice.send(&conversation, "kept").await;
    give(&world, &dir, &ours.issue(VALID));
    alice.client.try_now();
    alice.until_online().await;
    bob.until_texts(&conversation, &["behind closed doors", "kept"]).await;
}

/// A relay that does not ask is none the wiser, and a file that cannot be used is nothing to it.
#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_ask_is_shown_nothing() {
    let world = World::with_tls(waxwing_relay::Tls::SelfSigned).await;
    let dir = world.dir.path().join("alice");
    give(&world, &dir, &authority("ours").issue(VALID));
    fs::write(file_in(&world, &dir), "no PEM at all").unwrap();
    world.register("alice").await.until_online().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_terminal() {
    let (ours, theirs) = (authority("ours"), authority("theirs"));
    let world = World::asking(&ours.pem).await;
    let (address, listen) = (world.address(), world.listen.to_string());
    let alice = Terminal::at(&listen, "alice", &[]);
    let register = ["register", "alice", "--relay", address.as_str()];
    let none = "The relay serves only those who show it a certificate, and this profile has none for it. Nothing goes through it; what is written is kept here.";
    alice.fails(&register, "certificateNeeded", none);

    let file = given(&world, &theirs.issue(VALID));
    let add = ["certificate", "add", file.to_str().unwrap(), "--relay", listen.as_str()];
    let strange = alice.run(&add);
    let taken = "The relay does not take the certificate that it was shown: it may have expired, been withdrawn, or be for another relay. What is written is kept here.";
    alice.fails(&register, "certificateRefused", taken);

    fs::write(&file, "no PEM at all").unwrap();
    let unusable = "The file with a certificate for a relay cannot be used, so it is shown to nobody, and nothing goes through a relay that asks for it.";
    alice.fails(&add, "certificateUnusable", unusable);
    assert_eq!(alice.run(&["certificate", "list"]), strange, "nothing was changed");

    let text = ours.issue(VALID);
    fs::write(&file, &text).unwrap();
    let added = alice.run(&add);
    assert_eq!((&added[0]["relay"], added.len()), (&listen.as_str().into(), 1));
    assert_ne!(added[0]["fingerprint"], strange[0]["fingerprint"]);
    assert_eq!(alice.run(&["certificate", "list"]), added);
    let said = alice.says(&["certificate", "list"]);
    assert_eq!(said.lines().next().unwrap(), format!("{listen}  (valid until 4000-01-01 00:00Z)"));
    let mode = fs::metadata(file_in(&world, &alice.profile())).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // Not even the log of everything has the key in it.
    let output = alice.command(&register).env("WAXWING_LOG", "trace").output().unwrap();
    let (log, told) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success() && told.contains(&alice.address), "{log}");
    assert!(log.len() > 200, "no log was written");
    let key = text.split_once("-----BEGIN PRIVATE KEY-----").unwrap().1;
    for line in key.lines().filter(|line| !line.is_empty() && !line.starts_with('-')) {
        assert!(!log.contains(line) && !told.contains(line));
    }

    alice.run(&["certificate", "remove", "--relay", &listen]);
    let gone = format!("There is no certificate for {listen} in this profile. Nothing was removed.");
    alice.fails(&["certificate", "remove", "--relay", &listen], "notFound", &gone);
    alice.fails(&["sync"], "certificateNeeded", none);
    alice.run(&add);
    alice.run(&["sync"]);
}
