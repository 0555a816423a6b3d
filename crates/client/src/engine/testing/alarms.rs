//! One engine without a relay, and what its own relay's log says of the own account: which entries are an alarm, and which are not; and which are
//! missing there (P11).

use waxwing_protocol::{AccountKey, RecoveryPhrase, statement};
use waxwing_wire::transparency::{Leaf, account_hash, name_hash};
use waxwing_wire::{AccountId, ChainEntry, DeviceId, MAX_U64, VerifiedChain};

use super::super::Engine;
use super::super::chains::own_entries;
use super::super::key_log::{Logged, history};
use super::super::keys::Cause;
use super::doubts::{Log, leaf, lone};
use super::lone::Lone;
use super::made_up::{account_key, device_keys, extended};
use crate::error::ErrorCode;
use crate::event::Event;
use crate::random;
use crate::store::transparency::{self, Against, Evidence};
use crate::store::{keys, recovery, restorations};
use crate::views::KeyAlarmView;

/// Where a [`Lone`] is at home, and as whom.
const HOME: &str = "127.0.0.1:1";
const NAME: &str = "shell";

fn name(entry_hash: [u8; 32]) -> Leaf {
    Leaf::Name { name_hash: name_hash(&NAME.parse().unwrap(), HOME).unwrap(), entry_hash }
}

pub(super) fn entry(engine: &Engine, seq: u32, entry_hash: [u8; 32]) -> Leaf {
    Leaf::Chain { account_hash: account_hash(&engine.account), seq, entry_hash }
}

/// The home relay's log, read up to the account's own two leaves, and looked through.
pub(super) async fn log_of(engine: &Engine) -> Log {
    let chain = engine.chain(engine.account).await.unwrap();
    let mut log = Log::new().branch(HOME);
    log.leaves = vec![leaf(&chain, 0), name(chain.head())];
    log.is_read(engine).await;
    engine.look_at_logs().await.unwrap();
    log
}

/// Reads one more leaf, and looks; the alarms that there are then, by place in the log and in the chain, and whether they were told.
async fn alarms_after(lone: &Lone, log: &mut Log, more: Leaf) -> (Vec<(f64, Option<u32>)>, bool) {
    let (engine, mut told) = (lone.engine(), false);
    let mut events = engine.events.subscribe();
    log.leaves.push(more);
    log.is_read(engine).await;
    engine.look_at_logs().await.unwrap();
    while let Ok(event) = events.try_recv() {
        told |= matches!(event, Event::Log { log } if !log.alarms.is_empty());
    }
    let alarms = lone.client.transparency_log().await.unwrap().alarms;
    (alarms.into_iter().map(|alarm| (alarm.index.unwrap(), alarm.seq)).collect(), told)
}

#[tokio::test]
async fn p11_an_entry_of_ones_own_that_nothing_is_known_of_is_an_alarm_whatever_lies_behind_it() {
    let lone = lone().await;
    let engine = lone.engine();
    let mut log = log_of(engine).await;
    assert_eq!(lone.client.transparency_log().await.unwrap().alarms, [], "the control: one's own entries");
    let others = Leaf::Name { name_hash: [3; 32], entry_hash: [9; 32] };
    assert_eq!(alarms_after(&lone, &mut log, others).await, (vec![], false), "somebody else's name");
    // Made up: no entry has this hash, so no relay can ever show one.
    let made_up = entry(engine, 1, [0xee; 32]);
    assert_eq!(alarms_after(&lone, &mut log, made_up).await, (vec![(3.0, Some(1))], true));
    // In the place of one that is known, too.
    let instead = entry(engine, 0, [0xdd; 32]);
    assert_eq!(alarms_after(&lone, &mut log, instead).await, (vec![(3.0, Some(1)), (4.0, Some(0))], true));
}

#[tokio::test]
async fn p11_the_own_name_given_to_another_account_is_an_alarm() {
    let lone = lone().await;
    let mut log = log_of(lone.engine()).await;
    assert_eq!(alarms_after(&lone, &mut log, name([7; 32])).await, (vec![(2.0, None)], true));
}

/// Each alarm is a row, and a paragraph: a relay can put in a million leaves. The first ones count, and none of one kind hides one of the other.
#[tokio::test]
async fn p17_of_any_number_of_alarms_the_first_of_each_kind_are_kept_and_that_there_are_more_is_told() {
    let lone = lone().await;
    let engine = lone.engine();
    let mut log = log_of(engine).await;
    let made_up = |n: u32| {
        let mut hash = [0xee; 32];
        hash[..4].copy_from_slice(&n.to_be_bytes());
        hash
    };
    let view = async || {
        let view = lone.client.transparency_log().await.unwrap();
        let (entries, names): (Vec<&KeyAlarmView>, Vec<&KeyAlarmView>) =
            view.alarms.iter().partition(|alarm| alarm.seq.is_some());
        let last = entries.last().and_then(|alarm| alarm.index).unwrap_or(0.0);
        (entries.len(), names.len(), last, view.more_alarms)
    };
    let rows = async || {
        let count = |tx: &rusqlite::Transaction<'_>| {
            Ok(tx.query_row("SELECT count(*) FROM key_alarms", [], |row| row.get::<_, u32>(0))?)
        };
        engine.store.run(count).await.unwrap()
    };
    // Nor are leaves an alarm that bear the own hashes, and are about something else.
    let Leaf::Name { name_hash, .. } = name([0; 32]) else { panic!("no name") };
    log.leaves.push(Leaf::Name { name_hash: account_hash(&engine.account), entry_hash: [1; 32] });
    log.leaves.push(Leaf::Chain { account_hash: name_hash, seq: 1, entry_hash: [1; 32] });
    log.leaves.extend((0..64).map(|n| entry(engine, n, made_up(n))));
    log.is_read(engine).await;
    engine.look_at_logs().await.unwrap();
    assert_eq!(view().await, (64, 0, 67.0, false), "the control: that many are kept");
    log.leaves.extend((64..500).map(|n| entry(engine, 7, made_up(n))));
    log.is_read(engine).await;
    engine.look_at_logs().await.unwrap();
    assert_eq!((view().await, rows().await), ((64, 0, 67.0, true), 65));
    // With no room left for entries.
    log.leaves.push(name([7; 32]));
    log.is_read(engine).await;
    let mut events = engine.events.subscribe();
    engine.look_at_logs().await.unwrap();
    assert_eq!(view().await, (64, 1, 67.0, true));
    let mut told = false;
    while let Ok(event) = events.try_recv() {
        told |= matches!(event, Event::Log { .. });
    }
    assert!(told, "it is not told");
    log.leaves.extend((0..500).map(|n| Leaf::Name { name_hash, entry_hash: made_up(n) }));
    log.is_read(engine).await;
    engine.look_at_logs().await.unwrap();
    assert_eq!((view().await, rows().await), ((64, 64, 67.0, true), 130));
}

/// Whoever takes the account back has dealt with what stands in the chain by then, and with nothing else.
#[tokio::test]
async fn p11_a_recovery_in_place_ends_no_alarm_that_stays_true() {
    let lone = lone().await;
    let engine = lone.engine();
    let mut log = log_of(engine).await;
    engine.begin_rotation(Cause::ByHand).await.unwrap();
    let stolen = engine.store.run(keys::rotation).await.unwrap().unwrap();
    let stated = ChainEntry::decode(&stolen.entry).unwrap();
    engine.store.run(keys::end_rotation).await.unwrap();
    alarms_after(&lone, &mut log, entry(engine, 1, stated.hash())).await;
    alarms_after(&lone, &mut log, name([7; 32])).await;
    let raised = alarms_after(&lone, &mut log, entry(engine, 1, [0xee; 32])).await;
    let (thief, given_away, made_up) = ((2.0, Some(1)), (3.0, None), (4.0, Some(1)));
    assert_eq!(raised.0, [thief, given_away, made_up]);
    // As the relay has it, the recovery's own entry aside.
    let me = engine.account;
    let taken_over = engine.store.run(move |tx| {
        keys::add_chain_entries(tx, me, 1, &[stolen.entry])?;
        recovery::take_over(tx, me, DeviceId::from_bytes([5; 16]), 0)
    });
    taken_over.await.unwrap();
    let stands = lone.client.transparency_log().await.unwrap().alarms;
    let stands: Vec<_> = stands.iter().map(|alarm| (alarm.index.unwrap(), alarm.seq)).collect();
    assert_eq!(stands, [given_away, made_up]);
}

/// The relay has taken an entry, and its answer was lost: it stands in the log before it stands in the chain here. Another one in its place is
/// somebody else's.
#[tokio::test]
async fn p11_a_rotation_under_way_hides_no_other_entry_in_its_place() {
    for own in [true, false] {
        let lone = lone().await;
        let engine = lone.engine();
        let mut log = log_of(engine).await;
        engine.begin_rotation(Cause::ByHand).await.unwrap();
        let rotation = engine.store.run(keys::rotation).await.unwrap().unwrap();
        let stated = ChainEntry::decode(&rotation.entry).unwrap();
        assert_eq!(stated.unsigned.seq, 1);
        let hash = if own { stated.hash() } else { [0xee; 32] };
        let expected = if own { (vec![], false) } else { (vec![(2.0, Some(1))], true) };
        assert_eq!(alarms_after(&lone, &mut log, entry(engine, 1, hash)).await, expected, "own: {own}");
    }
}

/// The same of a closing: it is the user's own act, and 'recover my account' is no answer to it.
#[tokio::test]
async fn p11_a_closing_under_way_is_no_alarm_and_hides_no_other_entry_in_its_place() {
    for own in [true, false] {
        let lone = lone().await;
        let engine = lone.engine();
        let mut log = log_of(engine).await;
        let chain = engine.chain(engine.account).await.unwrap();
        let stated = ChainEntry::decode(&engine.begin_closing(&chain).await.unwrap()).unwrap();
        let hash = if own { stated.hash() } else { [0xee; 32] };
        let expected = if own { (vec![], false) } else { (vec![(2.0, Some(1))], true) };
        assert_eq!(alarms_after(&lone, &mut log, entry(engine, 1, hash)).await, expected, "own: {own}");
    }
}

/// The relay says that it has taken an entry, and nobody ever sees it there.
#[tokio::test]
async fn p11_an_own_entry_that_the_relay_has_taken_and_does_not_log_is_told() {
    let lone = lone().await;
    let engine = lone.engine();
    let mut log = log_of(engine).await;
    let problem = async || {
        engine.look_for_own_entries().await.unwrap();
        let log = lone.client.transparency_log().await.unwrap().unlogged_problem;
        assert_eq!(lone.client.keys().await.unwrap().rotation_problem, log, "it is told of in both places");
        log
    };
    assert_eq!(problem().await, None, "the control: all is there");
    lone.rotate(Cause::ByHand).await;
    let taken = engine.now_ms();
    // Signed before it, and at what may be the same moment.
    for signed in [taken - 3_600_000, taken, taken + 30_000] {
        log.is_read_at(engine, signed).await;
        assert_eq!(problem().await, None, "{}", i128::from(signed) - i128::from(taken));
    }
    let mut events = engine.events.subscribe();
    log.is_read_at(engine, taken + 3_600_000).await;
    let told = problem().await.unwrap();
    assert_eq!((told.code, told.detail.ends_with("[1]")), (ErrorCode::KeysNotLogged, true), "{told:?}");
    let mut kinds = Vec::new();
    while let Ok(event) = events.try_recv() {
        kinds.push(match event {
            Event::Log { log } => (true, log.unlogged_problem.is_some()),
            Event::Keys { keys } => (false, keys.rotation_problem.is_some()),
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(kinds, [(true, true), (false, true)]);
    assert_eq!(problem().await, Some(told.clone()));
    assert!(events.try_recv().is_err(), "it is told again and again");
    // A relay that was restored is told again what it has lost, first.
    let restored = engine.store.run(|tx| {
        tx.execute(
            "INSERT INTO transparency_restorations (relay, origin, previous, size, time_ms, found_ms, note, redo)
             VALUES (?1, 'other', ?1, 0, 0, 0, '', 1)",
            [HOME],
        )?;
        Ok(())
    });
    restored.await.unwrap();
    assert_eq!(problem().await, None);
    engine.store.run(|tx| restorations::done(tx, restorations::last(tx)?)).await.unwrap();
    assert_eq!(problem().await, Some(told));
    let chain = engine.chain(engine.account).await.unwrap();
    log.leaves.push(leaf(&chain, 1));
    log.is_read_at(engine, taken + 7_200_000).await;
    assert_eq!(problem().await, None, "now it is there");
}

/// Only what the log has signed itself takes back what it states.
#[tokio::test]
async fn p17_a_proof_that_was_not_given_hides_no_keys_that_are_held_back() {
    let lone = lone().await;
    let engine = lone.engine();
    let mut log = log_of(engine).await;
    let chain = engine.chain(engine.account).await.unwrap();
    assert!(!engine.is_held_back(&chain).await.unwrap(), "the control");
    log.leaves.push(entry(engine, 1, [0xee; 32]));
    log.is_read(engine).await;
    assert!(engine.is_held_back(&chain).await.unwrap());
    for (against, held_back) in [(Against::Unproved, true), (Against::Diverged, false)] {
        let evidence = Evidence { n: 0, against, first: "one".into(), second: format!("{against:?}"), at_ms: 1 };
        engine.store.run(move |tx| transparency::keep_evidence(tx, HOME, &evidence)).await.unwrap();
        assert_eq!(engine.is_held_back(&chain).await.unwrap(), held_back, "{against:?}");
    }
}

/// Whoever signs an entry says when, up to 2^63 - 1: no calendar has that day.
#[test]
fn p11_an_entry_of_an_impossible_time_is_shown_with_the_last_one_that_is_possible() {
    let (key, account) = (account_key(), AccountId::from_bytes([7; 16]));
    let recovery = RecoveryPhrase::generate(&mut random::rng()).recovery_key();
    let create = statement::create(account, HOME, None, &key, &recovery, &device_keys(7, 1), 5);
    let chain = VerifiedChain::verify(&[create.as_bytes()]).unwrap();
    let rotation = statement::rotate_device_keys(&chain, &key, &device_keys(7, 2), MAX_U64);
    let history = history(&extended(&chain, &rotation), &Logged::default());
    assert_eq!(history.iter().map(|item| item.at).collect::<Vec<_>>(), [253_402_300_799_000.0, 5.0]);
}

/// A database that lacks own entries, and a thief's behind them at the relay.
#[test]
fn d14_p11_of_what_an_older_database_lacks_own_entries_alone_are_taken_up() {
    let (key, new_key, account) = (account_key(), account_key(), AccountId::from_bytes([7; 16]));
    let recovery = RecoveryPhrase::generate(&mut random::rng()).recovery_key();
    let create = statement::create(account, HOME, None, &key, &recovery, &device_keys(7, 1), 0);
    let known = VerifiedChain::verify(&[create.as_bytes()]).unwrap();
    let (own, strange) = (device_keys(7, 2), device_keys(8, 1));
    let taken = |entries: &[&ChainEntry], account_key: &AccountKey| {
        let fresh: Vec<_> = entries.iter().map(|entry| entry.as_bytes().to_vec()).collect();
        let wanted = (own.device(), own.record(), &account_key.public());
        own_entries(&known, &fresh, wanted).map(|(chain, taken)| {
            assert_eq!(taken, fresh[..chain.seq() as usize]);
            taken.len()
        })
    };
    let rotation = statement::rotate_device_keys(&known, &key, &own, 1);
    let rotated = extended(&known, &rotation);
    let replaced = statement::rotate_account_key(&rotated, &key, &new_key, &[], 2);
    assert_eq!(taken(&[&rotation], &key), Some(1));
    assert_eq!(taken(&[&rotation, &replaced], &new_key), Some(2));
    // The account key is stolen: another device, behind them or before.
    let behind = statement::add_device(&rotated, &key, &strange, 3);
    assert_eq!(taken(&[&rotation, &behind], &key), Some(1), "a thief's entry is taken for one's own");
    let before = statement::add_device(&known, &key, &strange, 3);
    let with_thief = extended(&known, &before);
    let rotation = statement::rotate_device_keys(&with_thief, &key, &own, 4);
    assert_eq!(taken(&[&before, &rotation], &key), None);
    // Shut out by its owner with this very device.
    let rotated = extended(&with_thief, &rotation);
    let shut_out = statement::rotate_account_key(&rotated, &key, &new_key, &[strange.device()], 5);
    assert_eq!(taken(&[&before, &rotation, &shut_out], &new_key), Some(3));
    // What leads to other keys is not one's own doing.
    assert_eq!(taken(&[&before], &key), None);
}
