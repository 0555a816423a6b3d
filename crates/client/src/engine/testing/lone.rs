//! One engine without a relay: when a rotation is due by relay time, and what is left of keys that were erased, in a database that is
//! not encrypted and in the keystore.

use std::collections::HashMap;
use std::path::Path;

use tempfile::TempDir;
use waxwing_protocol::{DeviceKeys, DeviceSeeds};
use waxwing_wire::AccountId;
use waxwing_wire::ids::to_hex;

use super::super::keys::Cause;
use super::super::{Client, Engine, register};
use super::shell;
use crate::keystore::{Keystore, Secrets};
use crate::mls::GroupChange;
use crate::store::{Store, keys, logs, outbox, rotation as schedule};
use crate::views::RotationSchedule;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const YEAR_MS: i64 = 365 * DAY_MS;

struct Lone {
    client: Client,
    folder: TempDir,
}

impl Lone {
    async fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let (profile, keystore, secrets, store) = shell::registered(folder.path(), |dir, _| Store::plain(dir)).await;
        let client = register::run(&profile, keystore, secrets, store).await.unwrap();
        Self { client, folder }
    }

    /// Goes down and comes up again, on the same files.
    async fn restart(self) -> Self {
        self.client.stop().await;
        let Self { client, folder } = self;
        drop(client);
        let profile = loop {
            match crate::profile::Profile::open(folder.path()) {
                Ok(profile) => break profile,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        let (keystore, secrets) = Keystore::open(&profile, shell::passphrase()).await.unwrap();
        let store = Store::plain(profile.dir()).unwrap();
        let client = register::run(&profile, keystore, secrets, store).await.unwrap();
        Self { client, folder }
    }

    fn engine(&self) -> &Engine {
        &self.client.0
    }

    /// The relay's clock differs from this computer's by so much: as well one is wrong as the other.
    fn relay_is_ahead(&self, ms: i64) {
        self.engine().home.set_offset(ms);
    }

    /// The keys are looked after; whether a rotation is under way then. The relay takes nothing, so it stays so.
    async fn rotates(&self) -> bool {
        self.engine().tend_keys().await;
        self.client.keys().await.unwrap().rotating
    }

    /// A rotation that a relay has taken.
    async fn rotate(&self, cause: Cause) {
        let engine = self.engine();
        engine.begin_rotation(cause).await.unwrap();
        let rotation = engine.store.run(keys::rotation).await.unwrap().unwrap();
        engine.store_new_seeds(&rotation).await.unwrap();
        engine.finish_rotation(rotation).await.unwrap();
    }

    /// When each update of an own leaf is to go out.
    async fn updates(&self) -> Vec<u64> {
        let change = GroupChange::RotateUpdate.encode().unwrap();
        let find = self.engine().store.run(move |tx| {
            let ids = schedule::conversations(tx)?;
            let items = ids.iter().map(|id| outbox::changes(tx, id)).collect::<Result<Vec<_>, _>>()?;
            Ok(items
                .concat()
                .into_iter()
                .filter(|item| *item.content == change)
                .map(|item| item.not_before_ms)
                .collect())
        });
        find.await.unwrap()
    }
}

#[tokio::test]
async fn d8_a_rotation_is_due_by_relay_time_whatever_the_local_clock_says() {
    // By so much the local clock is behind (or ahead).
    for wrong in [0, YEAR_MS, -YEAR_MS, 10 * YEAR_MS, -10 * YEAR_MS] {
        let lone = Lone::new().await;
        // Before the relay has told the time nothing is begun, however old the keys seem.
        assert!(!lone.rotates().await, "{wrong}");
        lone.relay_is_ahead(wrong);
        assert!(!lone.rotates().await, "{wrong}: the keys are new");
        lone.relay_is_ahead(wrong + 30 * DAY_MS - 60_000);
        assert!(!lone.rotates().await, "{wrong}: a minute too early");
        lone.relay_is_ahead(wrong + 30 * DAY_MS + 1000);
        assert!(lone.rotates().await, "{wrong}: after 30 days");
        let view = lone.client.keys().await.unwrap();
        assert!(view.rotation_problem.is_some(), "no relay is there to take it");
        lone.client.stop().await;
    }
}

/// The local clock is set, forwards or backwards, while the program does not run: relay time has not moved.
#[tokio::test]
async fn d8_a_local_clock_that_is_set_brings_no_rotation_about_and_prevents_none() {
    let lone = Lone::new().await;
    lone.relay_is_ahead(0);
    assert!(!lone.rotates().await);
    for wrong in [5 * YEAR_MS, -5 * YEAR_MS] {
        // What the database says stays as it was; the offset takes up what the clock has lost or won. It cannot be set in a test, so
        // the place of the anchor is moved instead.
        let engine = lone.engine();
        let moved = i64::try_from(engine.store.run(schedule::since).await.unwrap().1).unwrap();
        lone.relay_is_ahead(wrong);
        engine
            .store
            .run(move |tx| {
                let (version, _) = schedule::since(tx)?;
                schedule::set_since(tx, version, u64::try_from(moved + wrong).unwrap_or(0))
            })
            .await
            .unwrap();
        assert!(!lone.rotates().await);
        lone.relay_is_ahead(0);
        engine.store.run(move |tx| schedule::set_since(tx, 1, u64::try_from(moved).unwrap())).await.unwrap();
    }
    lone.relay_is_ahead(31 * DAY_MS);
    assert!(lone.rotates().await);
    lone.client.stop().await;
}

#[tokio::test]
async fn a_relay_whose_clock_was_ahead_delays_nothing_for_good() {
    let lone = Lone::new().await;
    lone.relay_is_ahead(20 * YEAR_MS);
    assert!(!lone.rotates().await);
    // It was set right: counted from now on.
    lone.relay_is_ahead(0);
    assert!(!lone.rotates().await);
    lone.relay_is_ahead(31 * DAY_MS);
    assert!(lone.rotates().await);
    lone.client.stop().await;
}

#[tokio::test]
async fn the_schedule_is_kept_and_followed() {
    let mut lone = Lone::new().await;
    let view = lone.client.keys().await.unwrap();
    assert_eq!((view.schedule, view.old_keys_live_days), (RotationSchedule::Days30, 67));
    lone.relay_is_ahead(0);
    assert!(!lone.rotates().await);
    for (wanted, days, live) in [
        (RotationSchedule::Days7, Some(7.0), 44),
        (RotationSchedule::Days90, Some(90.0), 127),
        (RotationSchedule::Manual, None, 127),
    ] {
        lone.client.set_rotation_schedule(wanted).await.unwrap();
        lone = lone.restart().await;
        let view = lone.client.keys().await.unwrap();
        assert_eq!((view.schedule, view.old_keys_live_days), (wanted, live));
        let since = lone.engine().store.run(schedule::since).await.unwrap().1 as f64;
        assert_eq!(view.next_rotation_at, days.map(|days| since + days * DAY_MS as f64));
    }
    lone.relay_is_ahead(400 * DAY_MS);
    assert!(!lone.rotates().await, "by hand alone");
    lone.client.set_rotation_schedule(RotationSchedule::Days90).await.unwrap();
    assert!(lone.rotates().await);
    lone.client.stop().await;
}

/// A relay that lies about the time would have the chain filled up and old keys erased.
#[tokio::test]
async fn p6_a_relay_cannot_bring_about_one_rotation_after_another() {
    let lone = Lone::new().await;
    lone.relay_is_ahead(0);
    assert!(!lone.rotates().await);
    lone.relay_is_ahead(31 * DAY_MS);
    assert!(lone.rotates().await);
    let engine = lone.engine();
    let rotation = engine.store.run(keys::rotation).await.unwrap().unwrap();
    engine.store_new_seeds(&rotation).await.unwrap();
    engine.finish_rotation(rotation).await.unwrap();
    for months in 2..10 {
        lone.relay_is_ahead(months * 31 * DAY_MS);
        assert!(!lone.rotates().await);
    }
    assert_eq!(lone.client.keys().await.unwrap().version, 2);
    lone.client.stop().await;
}

/// The keystore has the new seeds and the database has not followed when it goes down; at the next start relay time is not known.
#[tokio::test]
async fn d2_a_scheduled_rotation_that_ends_at_a_start_spreads_its_updates_once_relay_time_is_known() {
    let lone = Lone::new().await;
    for name in ["one", "two", "three"] {
        lone.client.create_group(name, &[]).await.unwrap();
    }
    lone.relay_is_ahead(0);
    let engine = lone.engine();
    engine.begin_rotation(Cause::Schedule).await.unwrap();
    let rotation = engine.store.run(keys::rotation).await.unwrap().unwrap();
    engine.store_new_seeds(&rotation).await.unwrap();
    let lone = lone.restart().await;
    let view = lone.client.keys().await.unwrap();
    assert_eq!((view.version, view.rotating), (2, false));
    let outcome = view.outcome.unwrap();
    assert_eq!((outcome.scheduled, outcome.conversations, outcome.updated), (true, 3, 0));
    assert!(outcome.waiting.iter().all(|wait| wait.due.is_none()), "{outcome:?}");
    for wrong in [5 * YEAR_MS, 0] {
        lone.relay_is_ahead(wrong);
        lone.engine().tend_keys().await;
        let now = lone.engine().now_ms();
        let day = u64::try_from(DAY_MS).unwrap();
        let times = lone.updates().await;
        assert!(times.len() == 3 && times.iter().all(|time| (now - 60_000..now + day).contains(time)), "{times:?}");
    }
    lone.client.stop().await;
}

/// Somebody could not be added while the relay was out of reach and the local clock ten years ahead: they are tried again in a minute, by a
/// clock that is right.
#[tokio::test]
async fn d8_what_was_put_off_by_a_clock_that_was_ahead_is_due_once_relay_time_is_known() {
    let lone = Lone::new().await;
    lone.client.create_group("one", &[]).await.unwrap();
    let change = GroupChange::Add(vec![AccountId::from_bytes([9; 16])]).encode().unwrap();
    let when = || async {
        let find = |tx: &rusqlite::Transaction<'_>| {
            let ids = schedule::conversations(tx)?;
            let items = ids.iter().map(|id| outbox::changes(tx, id)).collect::<Result<Vec<_>, _>>()?.concat();
            Ok(items.into_iter().map(|item| item.not_before_ms).collect::<Vec<_>>())
        };
        lone.engine().store.run(find).await.unwrap()
    };
    let now = lone.engine().now_ms();
    let (soon, ahead) = (now + 60_000, now + u64::try_from(10 * YEAR_MS).unwrap());
    let put_off = lone.engine().store.run(move |tx| {
        let id = schedule::conversations(tx)?[0];
        let log = logs::to_send(tx, &id)?.unwrap().log;
        outbox::push_change(tx, &id, log, &change, ahead)?;
        outbox::push_change(tx, &id, log, &change, soon)
    });
    put_off.await.unwrap();
    lone.engine().tend_keys().await;
    assert_eq!(when().await, [ahead, soon], "not before relay time is known");
    lone.relay_is_ahead(0);
    lone.engine().tend_keys().await;
    assert_eq!(when().await, [0, soon]);
    lone.client.stop().await;
}

/// The user is in a hurry where the schedule was not.
#[tokio::test]
async fn rotate_now_takes_over_what_the_schedule_has_begun() {
    let lone = Lone::new().await;
    lone.client.create_group("one", &[]).await.unwrap();
    lone.relay_is_ahead(0);
    let engine = lone.engine();
    engine.begin_rotation(Cause::Schedule).await.unwrap();
    let view = lone.client.rotate_keys().await.unwrap();
    assert!(view.rotating);
    let rotation = engine.store.run(keys::rotation).await.unwrap().unwrap();
    assert_eq!((rotation.key_version, rotation.scheduled), (2, false));
    engine.store_new_seeds(&rotation).await.unwrap();
    engine.finish_rotation(rotation).await.unwrap();
    assert_eq!(lone.updates().await, [0]);
    lone.client.stop().await;
}

/// Everything in the profile's folder, and what the keystore's file holds once it is opened: the seeds in it, as bytes.
async fn remains(folder: &Path) -> HashMap<String, Vec<u8>> {
    let mut all = HashMap::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            all.insert(file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap());
        }
    }
    all
}

fn files_with(all: &HashMap<String, Vec<u8>>, needle: &[u8]) -> Vec<String> {
    let hex = to_hex(needle).into_bytes();
    let has = |bytes: &[u8]| [needle, &hex].iter().any(|form| bytes.windows(form.len()).any(|window| window == *form));
    let mut names: Vec<_> = all.iter().filter(|(_, bytes)| has(bytes)).map(|(name, _)| name.clone()).collect();
    names.sort();
    names
}

/// Each secret seed of a version, and its sealing keys as they are stored once they are old.
fn secrets_of(device_keys: &DeviceKeys) -> Vec<Vec<u8>> {
    let seeds = device_keys.seeds().to_bytes();
    seeds.chunks(32).map(<[u8]>::to_vec).collect()
}

#[tokio::test]
async fn p12_old_keys_are_erased_from_database_wal_and_keystore() {
    let lone = Lone::new().await;
    lone.client.set_rotation_schedule(RotationSchedule::Manual).await.unwrap();
    lone.relay_is_ahead(0);
    let engine = lone.engine();
    let mut secrets = vec![secrets_of(&engine.keys())];
    for _ in 0..3 {
        lone.rotate(Cause::ByHand).await;
        secrets.push(secrets_of(&engine.keys()));
    }
    // The control: what is not erased yet is found, so the search sees what it looks for.
    let before = remains(lone.folder.path()).await;
    for version in &secrets[..3] {
        assert!(version.iter().any(|needle| !files_with(&before, needle).is_empty()), "the search finds nothing");
    }
    // The sealing seeds, x25519 and xwing, are kept for as long as messages may come.
    for version in &secrets[..3] {
        for needle in &version[3..] {
            assert!(!files_with(&before, needle).is_empty());
        }
    }
    // One that is planted in a file beside the database is found as well.
    std::fs::write(lone.folder.path().join("planted"), &secrets[0][4]).unwrap();
    assert!(files_with(&remains(lone.folder.path()).await, &secrets[0][4]).contains(&"planted".to_owned()));
    std::fs::remove_file(lone.folder.path().join("planted")).unwrap();

    // 127 days: not a day sooner.
    lone.relay_is_ahead(126 * DAY_MS);
    engine.tend_keys().await;
    assert_eq!(lone.client.keys().await.unwrap().old_versions_kept, 3);
    lone.relay_is_ahead(128 * DAY_MS);
    engine.tend_keys().await;
    // The newest two stay as long as one of the two clocks does not say so: the relay may lie about the time.
    assert_eq!(lone.client.keys().await.unwrap().old_versions_kept, 2);
    let after = remains(lone.folder.path()).await;
    for needle in &secrets[0] {
        assert_eq!(files_with(&after, needle), Vec::<String>::new(), "version 1 is left in a file");
    }
    for needle in &secrets[2][3..] {
        assert!(!files_with(&after, needle).is_empty(), "the control: version 3 is kept, and found");
    }
    // Nor in memory, as far as that can be asked for: nothing opens what was sealed to it.
    let opening = engine.opening_keys().await.unwrap();
    let versions: Vec<_> = opening.list().iter().map(|keys| keys.key_version()).collect();
    assert_eq!(versions, [4, 3, 2]);
    // Where this computer's clock agrees, they go as well, whatever the schedule.
    let as_long = 128 * DAY_MS;
    engine
        .store
        .run(move |tx| {
            Ok(tx.execute("UPDATE old_sealing_keys SET retired_local_ms = retired_local_ms - ?1", [as_long])?)
        })
        .await
        .unwrap();
    engine.tend_keys().await;
    assert_eq!(lone.client.keys().await.unwrap().old_versions_kept, 0);
    let last = remains(lone.folder.path()).await;
    for version in &secrets[..3] {
        for needle in &version[3..] {
            assert_eq!(files_with(&last, needle), Vec::<String>::new(), "a replaced version is left in a file");
        }
    }
    let opening = engine.opening_keys().await.unwrap();
    assert_eq!(opening.list().iter().map(|keys| keys.key_version()).collect::<Vec<_>>(), [4]);
    // The keystore holds the version in force alone.
    let held = engine.secrets.lock().await.clone();
    assert_eq!(held.key_version, 4);
    assert_eq!(held.device_seeds.chunks(32).map(<[u8]>::to_vec).collect::<Vec<_>>(), secrets[3]);
    drop(held);
    lone.client.stop().await;
    let Lone { client, folder } = lone;
    drop(client);
    let after = remains(folder.path()).await;
    assert!(secrets[0].iter().all(|needle| files_with(&after, needle).is_empty()), "left after the end");
    let (_, stored): (Keystore, Secrets) = reopen(folder.path()).await;
    assert_eq!(*DeviceSeeds::from_bytes(&stored.device_seeds).to_bytes(), *secrets[3].concat());
}

async fn reopen(folder: &Path) -> (Keystore, Secrets) {
    let profile = loop {
        match crate::profile::Profile::open(folder) {
            Ok(profile) => break profile,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    Keystore::open(&profile, shell::passphrase()).await.unwrap()
}

/// The journal of a rotation holds the new seeds until the keystore has them; then it is gone, from the WAL too.
#[tokio::test]
async fn p12_the_journal_leaves_no_seeds_behind() {
    let lone = Lone::new().await;
    lone.relay_is_ahead(0);
    let engine = lone.engine();
    engine.begin_rotation(Cause::ByHand).await.unwrap();
    let rotation = engine.store.run(keys::rotation).await.unwrap().unwrap();
    let seeds: Vec<Vec<u8>> = rotation.seeds.to_bytes().chunks(32).map(<[u8]>::to_vec).collect();
    let during = remains(lone.folder.path()).await;
    assert!(seeds.iter().all(|seed| !files_with(&during, seed).is_empty()), "the control");
    engine.store_new_seeds(&rotation).await.unwrap();
    engine.finish_rotation(rotation).await.unwrap();
    let after = remains(lone.folder.path()).await;
    assert!(seeds.iter().all(|seed| files_with(&after, seed).is_empty()));
    lone.client.stop().await;
}
