//! One engine without a relay: what is left of keys that were erased, in a database that is not encrypted and in the keystore (P12).

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use waxwing_protocol::{AccountKey, DeviceKeys, DeviceSeeds, RecoveryPhrase, statement};
use waxwing_wire::ids::to_hex;
use waxwing_wire::{ChainEntry, VerifiedChain};

use super::super::Engine;
use super::super::keys::Cause;
use super::super::recover_here::{finish_stored_recovery, prepare};
use super::lone::{DAY_MS, Lone};
use super::shell;
use crate::error::ErrorCode;
use crate::keystore::{Keystore, Secrets};
use crate::random;
use crate::store::{conversations, keys, recovery};
use crate::views::{RotationSchedule, Standing};

/// Everything in the profile's folder.
type Remains = HashMap<String, String>;

/// Bytes as a text in which each is one letter: what looks for texts is fast, even in a build for tests.
fn letters(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

pub(super) async fn remains(folder: &Path) -> Remains {
    let mut all = HashMap::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            let bytes = std::fs::read(file.path()).unwrap();
            all.insert(file.file_name().into_string().unwrap(), letters(&bytes));
        }
    }
    all
}

/// All ways to write a secret that `tests/src/search.rs` knows, but those with two bytes for each letter.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let hex = to_hex(secret);
    let mut forms = vec![secret.to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes()];
    for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        for offset in 0..3 {
            // The letters that depend on the secret alone when so many other bytes come before it: letter i holds bits 6i to 6i + 6.
            let padded = [vec![0; offset], secret.to_vec()].concat();
            let (first, end) = ((8 * offset).div_ceil(6), 8 * padded.len() / 6);
            forms.push(engine.encode(&padded).as_bytes()[first..end].to_vec());
        }
    }
    forms
}

pub(super) fn files_with(all: &Remains, secret: &[u8]) -> Vec<String> {
    let forms: Vec<_> = forms(secret).iter().map(|form| letters(form)).collect();
    let has = |text: &String| forms.iter().any(|form| text.contains(form.as_str()));
    let mut names: Vec<_> = all.iter().filter(|(_, text)| has(text)).map(|(name, _)| name.clone()).collect();
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
    lone.client.end_tasks().await;
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
        lone.client.end_tasks().await;
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
    lone.client.end_tasks().await;
}

const DATABASE: &str = "waxwing.db";
const WAL: &str = "waxwing.db-wal";

/// The control of every search here: what is planted in a row is found however it is written, in the WAL and in the database; once the row is
/// deleted it is still there, and after a checkpoint it is not.
#[tokio::test]
async fn p12_what_is_planted_in_the_database_is_found_until_it_is_erased() {
    let lone = Lone::new().await;
    // Nobody else writes meanwhile.
    lone.client.end_tasks().await;
    let engine = lone.engine();
    let create = engine.store.run(|tx| Ok(tx.execute_batch("CREATE TABLE planted (bytes BLOB NOT NULL)")?));
    create.await.unwrap();
    engine.store.checkpoint().await.unwrap();
    let found = async |secret: &[u8]| files_with(&remains(lone.folder.path()).await, secret);
    let delete = async || engine.store.run(|tx| Ok(tx.execute("DELETE FROM planted", [])?)).await.unwrap();
    for form in 0..forms(&[0; 32]).len() {
        let secret: [u8; 32] = random::bytes();
        let row = [b"before".as_slice(), &forms(&secret)[form], b"after"].concat();
        let plant = async || {
            let row = row.clone();
            engine.store.run(move |tx| Ok(tx.execute("INSERT INTO planted VALUES (?1)", [row])?)).await.unwrap()
        };
        assert_eq!(found(&secret).await, Vec::<String>::new(), "form {form}");
        plant().await;
        assert_eq!(found(&secret).await, [WAL], "form {form}");
        assert_eq!(delete().await, 1);
        assert_eq!(found(&secret).await, [WAL], "form {form}: deleted, and not erased");
        engine.store.checkpoint().await.unwrap();
        assert_eq!(found(&secret).await, Vec::<String>::new(), "form {form}");
        plant().await;
        engine.store.checkpoint().await.unwrap();
        assert_eq!(found(&secret).await, [DATABASE], "form {form}");
        delete().await;
        engine.store.checkpoint().await.unwrap();
        assert_eq!(found(&secret).await, Vec::<String>::new(), "form {form}");
    }
}

/// Whatever stands in the profile's files is searched, in whichever table. A search index of words would keep them in a form of its own, which is not
/// looked for: there is none, and whoever makes one adds its form.
#[tokio::test]
async fn p12_no_search_index_keeps_what_is_erased() {
    let lone = Lone::new().await;
    let made = |tx: &rusqlite::Transaction<'_>| {
        let mut statement = tx.prepare("SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL TABLE%'")?;
        Ok(statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?)
    };
    assert_eq!(lone.engine().store.run(made).await.unwrap(), Vec::<String>::new());
    let create = |tx: &rusqlite::Transaction<'_>| Ok(tx.execute_batch("CREATE VIRTUAL TABLE words USING fts5(text)")?);
    lone.engine().store.run(create).await.unwrap();
    assert_eq!(lone.engine().store.run(made).await.unwrap(), ["words"], "the control");
}

/// The seed that comes is in the journal until the keystore has it; the one that goes was never in a file.
#[tokio::test]
async fn p12_a_replaced_account_key_and_its_journal_leave_no_seed_behind() {
    let lone = Lone::new().await;
    // The engine itself would go on with it as well.
    lone.client.end_tasks().await;
    let engine = lone.engine();
    let old = *engine.account_key().seed();
    engine.begin_account_change(&[], false).await.unwrap();
    let change = engine.store.run(keys::account_change).await.unwrap().unwrap();
    let new = *change.key.seed();
    assert!(!files_with(&remains(lone.folder.path()).await, &new).is_empty(), "the control");
    engine.store_account_seed(&change).await.unwrap();
    engine.finish_account_change(change).await.unwrap();
    let after = remains(lone.folder.path()).await;
    for seed in [old, new] {
        assert_eq!(files_with(&after, &seed), Vec::<String>::new());
    }
    // The keystore holds the one in force alone.
    assert_eq!(engine.secrets.lock().await.account_seed, new);
    let Lone { client, folder } = lone;
    drop(client);
    let (_, stored): (Keystore, Secrets) = reopen(folder.path()).await;
    assert_eq!(stored.account_seed, new);
    let after = remains(folder.path()).await;
    assert!([old, new].iter().all(|seed| files_with(&after, seed).is_empty()), "left after the end");
}

/// Somebody else's entry stands in the own chain where one's own was to come.
async fn overtaken(engine: &Engine, entry: ChainEntry) {
    let mut chain = VerifiedChain::clone(&*engine.chain(engine.account).await.unwrap());
    chain.extend(entry.as_bytes()).unwrap();
    let (me, seq, bytes) = (engine.account, chain.seq(), entry.as_bytes().to_vec());
    engine.store.run(move |tx| keys::add_chain_entries(tx, me, seq, &[bytes])).await.unwrap();
    engine.chains.keep(Arc::new(chain));
}

async fn another_account_key(engine: &Engine) -> ChainEntry {
    let chain = engine.chain(engine.account).await.unwrap();
    let new = AccountKey::generate(&mut random::rng());
    statement::rotate_account_key(&chain, &engine.account_key(), &new, &[], engine.now_ms())
}

/// The relay will never take what a journal holds: with it go the seeds, from the WAL too.
#[tokio::test]
async fn p12_a_journal_that_comes_to_nothing_leaves_no_seeds_behind() {
    for device_keys in [true, false] {
        let lone = Lone::new().await;
        let engine = lone.engine();
        // The engine itself would look at it as well.
        lone.client.end_tasks().await;
        let in_force = secrets_of(&engine.keys());
        let mut seeds: Vec<Vec<u8>> = if device_keys {
            engine.begin_rotation(Cause::ByHand).await.unwrap();
            let rotation = engine.store.run(keys::rotation).await.unwrap().unwrap();
            rotation.seeds.to_bytes().chunks(32).map(<[u8]>::to_vec).collect()
        } else {
            engine.begin_account_change(&[], true).await.unwrap();
            let change = engine.store.run(keys::account_change).await.unwrap().unwrap();
            vec![change.key.seed().to_vec()]
        };
        overtaken(engine, another_account_key(engine).await).await;
        let during = remains(lone.folder.path()).await;
        assert!(seeds.iter().all(|seed| !files_with(&during, seed).is_empty()), "the control");
        // A rotation puts what it is to replace beside the old keys, but for the one that speaks to the relay.
        let put_by: &[Vec<u8>] = if device_keys { &in_force[1..] } else { &[] };
        assert!(put_by.iter().all(|seed| !files_with(&during, seed).is_empty()), "the control: the keys in force");
        let outcome = if device_keys { engine.advance_rotation().await } else { engine.advance_account_change().await };
        assert_eq!(outcome.unwrap_err().code(), ErrorCode::OwnKeysChanged);
        let left = engine.store.run(|tx| Ok((keys::rotation(tx)?.is_some(), keys::account_change(tx)?.is_some())));
        assert_eq!(left.await.unwrap(), (false, false));
        let after = remains(lone.folder.path()).await;
        // The keystore alone has those in force, sealed.
        seeds.extend(in_force);
        for seed in &seeds {
            assert_eq!(files_with(&after, seed), Vec::<String>::new(), "device keys: {device_keys}");
        }
        assert_eq!(lone.client.keys().await.unwrap().old_versions_kept, 0, "device keys: {device_keys}");
        let opening = engine.opening_keys().await.unwrap();
        assert_eq!(opening.list().iter().map(|keys| keys.key_version()).collect::<Vec<_>>(), [1]);
    }
}

/// A recovery in place: its journal, whether it comes to an end or to nothing, and all that the old device had.
#[tokio::test]
async fn p12_a_recovery_and_its_journal_leave_nothing_behind() {
    for accepted in [true, false] {
        let lone = Lone::new().await;
        let words = lone.client.phrase_words().await.unwrap();
        lone.client.end_tasks().await;
        let engine = lone.engine();
        let phrase = RecoveryPhrase::parse(&words.join(" ")).unwrap();
        let chain = engine.chain(engine.account).await.unwrap();
        let journal = prepare(&chain, &phrase.recovery_key(), engine.now_ms()).unwrap();
        let entry = ChainEntry::decode(&journal.entry).unwrap();
        let mut new: Vec<_> = journal.device_seeds.to_bytes().chunks(32).map(<[u8]>::to_vec).collect();
        new.push(journal.account_seed.to_vec());
        engine.store.run(move |tx| recovery::begin(tx, &journal)).await.unwrap();
        let during = remains(lone.folder.path()).await;
        assert!(new.iter().all(|seed| !files_with(&during, seed).is_empty()), "the control");
        assert!(!files_with(&during, phrase.entropy().as_slice()).is_empty(), "the control: the phrase");
        let mut old = secrets_of(&engine.keys());
        old.push(engine.account_key().seed().to_vec());
        // Its own entry is the chain's newest, or another one is.
        let newest = if accepted { entry } else { another_account_key(engine).await };
        overtaken(engine, newest).await;
        let secrets = engine.secrets.lock().await.clone();
        let held = finish_stored_recovery(&engine.profile, &engine.keystore, secrets, &engine.store).await.unwrap();
        let after = remains(lone.folder.path()).await;
        for seed in &new {
            assert_eq!(files_with(&after, seed), Vec::<String>::new(), "accepted: {accepted}");
        }
        assert!(engine.store.run(recovery::load).await.unwrap().is_none());
        if accepted {
            assert_eq!(held.account_seed.as_slice(), new[5]);
            for secret in &old {
                assert_eq!(files_with(&after, secret), Vec::<String>::new(), "the old device's");
            }
            assert!(files_with(&after, phrase.entropy().as_slice()).is_empty(), "the phrase that was typed");
        } else {
            assert_eq!(held.account_seed.as_slice(), old[5], "nothing came of it");
        }
    }
}

/// In a running app, and without anybody's asking: a thief who comes a moment later finds nothing of it, neither secrets of messages that
/// were read nor texts that were deleted.
#[tokio::test]
async fn p12_what_is_erased_leaves_the_wal_by_itself() {
    let lone = Lone::new().await;
    let engine = lone.engine();
    for number in 0..2_u8 {
        let secret = [[number; 16], random::bytes()].concat();
        let row = secret.clone();
        let write = "INSERT INTO mls_state (group_id, kind, key, value) VALUES (x'', 99, x'', ?1)";
        engine.store.run(move |tx| Ok(tx.execute(write, [row])?)).await.unwrap();
        assert!(!files_with(&remains(lone.folder.path()).await, &secret).is_empty(), "the control");
        engine.store.run(|tx| Ok(tx.execute("DELETE FROM mls_state WHERE kind = 99", [])?)).await.unwrap();
        let gone = async {
            while !files_with(&remains(lone.folder.path()).await, &secret).is_empty() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), gone).await.expect("it stands in a file");
    }
}
