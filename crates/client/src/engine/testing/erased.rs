//! One engine without a relay: what is left of keys that were erased, in a database that is not encrypted and in the keystore (P12).

use std::collections::HashMap;
use std::path::Path;

use waxwing_protocol::{DeviceKeys, DeviceSeeds};
use waxwing_wire::ids::to_hex;

use super::super::keys::Cause;
use super::lone::{DAY_MS, Lone};
use super::shell;
use crate::keystore::{Keystore, Secrets};
use crate::store::{conversations, keys};
use crate::views::{RotationSchedule, Standing};

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

/// A Welcome that nobody answers, and a group that one has left: their leaves have the version that was in force at the time, for good.
#[tokio::test]
async fn p12_the_leaf_of_an_open_request_or_a_left_group_keeps_no_old_key() {
    for standing in [Standing::Request, Standing::Left] {
        let lone = Lone::new().await;
        lone.client.set_rotation_schedule(RotationSchedule::Manual).await.unwrap();
        let group = lone.client.create_group("one", &[]).await.unwrap();
        let id = conversations::parse_id(&group.id).unwrap();
        let engine = lone.engine();
        engine.store.run(move |tx| conversations::set_standing(tx, &id, standing)).await.unwrap();
        lone.relay_is_ahead(0);
        let mut secrets = vec![secrets_of(&engine.keys())];
        for _ in 0..8 {
            lone.rotate(Cause::ByHand).await;
            engine.tend_keys().await;
            secrets.push(secrets_of(&engine.keys()));
        }
        assert_eq!(lone.client.keys().await.unwrap().old_versions_kept, 5, "{standing:?}");
        let during = remains(lone.folder.path()).await;
        for (version, seeds) in secrets[..8].iter().enumerate() {
            // What opens messages is kept of the newest few alone.
            let kept = seeds[3..].iter().filter(|seed| !files_with(&during, seed).is_empty()).count();
            assert_eq!(kept, if version < 3 { 0 } else { 2 }, "{standing:?}: version {}", version + 1);
            // Nothing signs for the relay any more; what the leaf speaks with is still there.
            assert!(files_with(&during, &seeds[0]).is_empty());
            assert!(seeds[1..3].iter().all(|seed| !files_with(&during, seed).is_empty()));
        }
        // 127 days: not a day sooner.
        lone.relay_is_ahead(126 * DAY_MS);
        engine.tend_keys().await;
        let early = remains(lone.folder.path()).await;
        assert!(!files_with(&early, &secrets[0][2]).is_empty());
        lone.relay_is_ahead(128 * DAY_MS);
        engine.tend_keys().await;
        let after = remains(lone.folder.path()).await;
        for needle in secrets[..6].iter().flatten() {
            assert_eq!(files_with(&after, needle), Vec::<String>::new(), "{standing:?}");
        }
        assert!(!files_with(&after, &secrets[7][3]).is_empty(), "the control: the newest two stay, and are found");
        lone.client.stop().await;
    }
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
