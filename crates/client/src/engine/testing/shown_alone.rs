//! Entries of the own chain that no own device has made, and that a conversation alone has shown: what is noted of them, and what becomes an alarm
//! without a place in the log (P11).

use std::sync::Arc;

use tokio::sync::broadcast::Receiver;
use waxwing_protocol::group::{ChainPart, CommitData};
use waxwing_protocol::statement::{self, NewKeys};
use waxwing_protocol::{AccountKey, AppMessage, RecoveryPhrase, StaleKey};
use waxwing_wire::{ChainEntry, DeviceId, EnvelopeId, VerifiedChain};

use super::super::Engine;
use super::super::keys::Cause;
use super::alarms::{entry, log_of};
use super::device::{Device, HOME};
use super::doubts::lone;
use super::faults::{everybody, group, rotate, say, shows};
use super::lone::Lone;
use super::made_up::{account_key, device_keys, extended};
use super::slow_logs::speaks_to;
use super::small_relay::chain_of;
use super::thieves::with_a_second_device;
use super::world::World;
use crate::event::Event;
use crate::mls::Plan;
use crate::random;
use crate::store::conversations::ConversationId;
use crate::store::own_shown::{self, Shown};
use crate::store::rotation::{self as schedule, LastAccountKey};
use crate::store::{account, keys, logs, outbox, recovery};

/// A device's own chain, its entries, and the account key, which somebody has stolen.
fn stolen(device: &mut Device) -> (VerifiedChain, Vec<Vec<u8>>, AccountKey) {
    let me = device.account;
    let entries = device.look(|tx| keys::chain_entries(tx, me));
    (VerifiedChain::verify(&entries).unwrap(), entries, AccountKey::from_seed(&device.kept.account_seed))
}

/// What is noted there, in the order of the chain.
fn noted_by(device: &mut Device) -> Vec<(u32, [u8; 32])> {
    let mut noted: Vec<_> = device.look(own_shown::all).into_iter().map(|one| (one.seq, one.hash)).collect();
    noted.sort_unstable();
    noted
}

/// A commit of bea's brings these entries of ada's chain along, and everybody reads it.
fn bea_shows(world: &mut World, id: ConversationId, from_seq: u32, entries: Vec<Vec<u8>>) {
    let World { outside, devices, .. } = &mut *world;
    let (log, account) = (devices[1].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap().log)), devices[0].account);
    let data = CommitData { chains: vec![ChainPart { account, from_seq, entries }], ..CommitData::default() };
    let keys = Arc::clone(&devices[1].keys);
    devices[1].commit_anyway(outside, (id, log), &keys, Plan { data, ..Plan::default() });
    everybody(world);
}

fn all_hear(world: &mut World, id: ConversationId) {
    for from in 0..world.devices.len() {
        let message = say(world, from, id);
        everybody(world);
        assert!((0..world.devices.len()).all(|who| shows(world, who, id, message)), "{from} is not heard");
    }
}

#[test]
fn p11_a_thiefs_entry_in_a_members_commit_is_noted_by_its_owner_and_changes_nothing() {
    let (mut world, id) = group(2);
    rotate(&mut world, 0);
    everybody(&mut world);
    let (chain, entries, key) = stolen(&mut world.devices[0]);
    assert_eq!((chain.seq(), noted_by(&mut world.devices[0])), (1, vec![]), "the control");
    // Behind all that is known, and another one behind that.
    let behind = statement::add_device(&chain, &key, &device_keys(200, 1), 1);
    let further = statement::rotate_account_key(&extended(&chain, &behind), &key, &account_key(), &[], 2);
    let thiefs = [&behind, &further].map(|entry| entry.as_bytes().to_vec());
    bea_shows(&mut world, id, 0, [entries.clone(), thiefs.to_vec()].concat());
    let both = [(2, behind.hash()), (3, further.hash())];
    assert_eq!(noted_by(&mut world.devices[0]), both);
    // In the place of one that is known.
    let before = VerifiedChain::verify(&entries[..1]).unwrap();
    let instead = statement::add_device(&before, &key, &device_keys(201, 1), 3);
    bea_shows(&mut world, id, 1, vec![instead.as_bytes().to_vec()]);
    // And the same once more.
    bea_shows(&mut world, id, 2, thiefs.to_vec());
    let all = [(1, instead.hash()), both[0], both[1]];
    assert_eq!((noted_by(&mut world.devices[0]), noted_by(&mut world.devices[1])), (all.to_vec(), vec![]));
    assert_eq!(stolen(&mut world.devices[0]).0, chain, "the own chain has grown");
    all_hear(&mut world, id);
}

/// Whoever knows the first entries of a part passes over them, whatever they are.
#[test]
fn p11_nothing_that_stands_before_it_hides_a_thiefs_entry_from_its_owner() {
    let (mut world, id) = group(2);
    rotate(&mut world, 0);
    everybody(&mut world);
    let (chain, entries, key) = stolen(&mut world.devices[0]);
    let mut thiefs = Vec::new();
    for number in 200..203 {
        thiefs.push(statement::add_device(&chain, &key, &device_keys(number, 1), 1));
    }
    let before = VerifiedChain::verify(&entries[..1]).unwrap();
    let fork = statement::add_device(&before, &key, &device_keys(203, 1), 3);
    let bytes = |entry: &ChainEntry| entry.as_bytes().to_vec();
    bea_shows(&mut world, id, 1, vec![b"junk".to_vec(), bytes(&thiefs[0])]);
    bea_shows(&mut world, id, 1, vec![bytes(&fork), bytes(&thiefs[1])]);
    // By now the first is known.
    bea_shows(&mut world, id, 1, vec![bytes(&fork), bytes(&thiefs[2])]);
    let mut all: Vec<_> = thiefs.iter().map(|entry| (2, entry.hash())).chain([(1, fork.hash())]).collect();
    all.sort_unstable();
    assert_eq!(noted_by(&mut world.devices[0]), all);
    all_hear(&mut world, id);
}

#[test]
fn p11_what_the_own_keys_have_not_signed_and_what_is_known_is_not_noted() {
    let (mut world, id) = group(2);
    let (chain, entries, key) = stolen(&mut world.devices[0]);
    let next = chain.seq() + 1;
    let signed = statement::add_device(&chain, &key, &device_keys(200, 1), 1);
    let mut broken = signed.as_bytes().to_vec();
    *broken.last_mut().unwrap() ^= 1;
    let strangers = statement::add_device(&chain, &account_key(), &device_keys(201, 1), 1);
    let beyond = statement::add_device(&extended(&chain, &signed), &key, &device_keys(202, 1), 2);
    let against_a_rule = statement::rotate_device_keys(&chain, &key, &device_keys(203, 7), 1);
    let recovery = RecoveryPhrase::generate(&mut random::rng()).recovery_key();
    let first = statement::create(chain.account(), HOME, None, &account_key(), &recovery, &device_keys(204, 1), 0);
    let parts = [
        (0, entries),
        (next, vec![broken]),
        (next, vec![strangers.as_bytes().to_vec()]),
        (next + 1, vec![beyond.as_bytes().to_vec()]),
        (next, vec![beyond.as_bytes().to_vec()]),
        (next, vec![against_a_rule.as_bytes().to_vec()]),
        (0, vec![first.as_bytes().to_vec()]),
        (next, vec![b"no entry".to_vec()]),
        (u32::MAX, vec![signed.as_bytes().to_vec()]),
    ];
    for (at, (from_seq, entries)) in parts.into_iter().enumerate() {
        bea_shows(&mut world, id, from_seq, entries);
        assert_eq!(noted_by(&mut world.devices[0]), [], "part {at}");
    }
    bea_shows(&mut world, id, next, vec![signed.as_bytes().to_vec()]);
    assert_eq!(noted_by(&mut world.devices[0]), [(next, signed.hash())], "the control");
    all_hear(&mut world, id);
}

#[test]
fn p11_a_thiefs_entry_beside_a_notice_of_erased_keys_is_noted_by_its_owner() {
    let (mut world, id, _, mut thief) = with_a_second_device();
    let (chain, _, key) = stolen(&mut thief);
    let entry = statement::add_device(&chain, &key, &device_keys(200, 1), 1);
    let told = StaleKey {
        from_seq: chain.seq() + 1,
        entries: vec![entry.as_bytes().to_vec()],
        envelopes: vec![EnvelopeId::from_bytes([9; 16])],
    };
    thief.tx(|tx| outbox::push(tx, &id, None, &AppMessage::StaleKey(told).encode()).map(drop)).unwrap();
    thief.flush(&mut world.outside).unwrap();
    everybody(&mut world);
    assert_eq!(noted_by(&mut world.devices[2]), [(chain.seq() + 1, entry.hash())]);
    assert_eq!(stolen(&mut world.devices[2]).0, chain);
}

/// Whoever could make it is shut out: whatever is still shown of that is over. With another account key alone it is not.
#[test]
fn p11_what_others_were_shut_out_for_is_not_noted_again() {
    for shut_out in [false, true] {
        let (mut world, id) = group(2);
        let (chain, _, key) = stolen(&mut world.devices[0]);
        let seq = chain.seq() + 1;
        let thiefs = statement::add_device(&chain, &key, &device_keys(200, 1), 1);
        let last = LastAccountKey { seq, at_ms: 2, shut_out };
        world.devices[0].tx(|tx| schedule::set_last_account_key(tx, &last)).unwrap();
        // What has come after it takes nothing back.
        let later = LastAccountKey { seq: seq + 5, at_ms: 3, shut_out: false };
        world.devices[0].tx(|tx| schedule::set_last_account_key(tx, &later)).unwrap();
        bea_shows(&mut world, id, seq, vec![thiefs.as_bytes().to_vec()]);
        assert_eq!(noted_by(&mut world.devices[0]).len(), usize::from(!shut_out), "{shut_out}");
    }
}

/// The same of whoever had the keys before the account was recovered.
#[test]
fn p11_what_came_before_a_recovery_is_not_noted_again() {
    let (mut world, id) = group(2);
    let (chain, _, key) = stolen(&mut world.devices[0]);
    let thiefs = statement::add_device(&chain, &key, &device_keys(200, 1), 1);
    let ada = &mut world.devices[0];
    let entropy = ada.look(account::phrase).unwrap();
    let recovery = RecoveryPhrase::from_entropy(&entropy).recovery_key();
    let (new, device, me) = (account_key(), device_keys(205, 1), ada.account);
    let with = NewKeys { recovery_key: &recovery, account_key: &new, device: &device };
    let recovered = extended(&chain, &statement::recover(&chain, &recovery, &with, 2));
    let entry = statement::recover(&chain, &recovery, &with, 2).as_bytes().to_vec();
    ada.tx(|tx| keys::add_chain_entries(tx, me, recovered.seq(), &[entry])).unwrap();
    ada.chains.keep(Arc::new(recovered));
    bea_shows(&mut world, id, chain.seq() + 1, vec![thiefs.as_bytes().to_vec()]);
    assert_eq!(noted_by(&mut world.devices[0]), []);
}

/// The database is an older copy: an own entry may be what a conversation shows, and nothing is judged before the chain leads to the keys in force.
#[tokio::test]
async fn p11_d14_an_own_entry_that_an_older_database_lacks_is_no_alarm() {
    let lone = lone().await;
    let engine = lone.engine();
    log_of(engine).await;
    lone.rotate(Cause::ByHand).await;
    let me = engine.account;
    let entries = engine.store.run(move |tx| keys::chain_entries(tx, me)).await.unwrap();
    let hash = engine.chain(me).await.unwrap().head();
    let older = move |tx: &rusqlite::Transaction<'_>| {
        Ok(tx.execute("DELETE FROM chain_entries WHERE account = ?1 AND seq > 0", [me.as_bytes()])?)
    };
    engine.store.run(older).await.unwrap();
    let lone = lone.restart().await;
    lone.client.end_tasks().await;
    let engine = lone.engine();
    is_shown(engine, hash).await;
    // Nobody can be asked; its relay does not show it yet.
    engine.look_at_logs().await.unwrap_err();
    assert_eq!((alarms(&lone).await, noted(engine).await.len()), (vec![], 1));
    let shows = async |many: usize| {
        let relay = chain_of(me, &entries[..many]).await;
        speaks_to(engine, "127.0.0.1:1", &relay);
        engine.look_at_logs().await.unwrap();
        (alarms(&lone).await, noted(engine).await.len())
    };
    assert_eq!(shows(1).await, (vec![], 1));
    // A relay that goes on like that does not hide it by that for ever; and what turns out to be one's own is an alarm no more.
    engine.store.run(own_shown::forget).await.unwrap();
    is_shown_at(engine, hash, engine.now_ms() - 25 * 60 * 60 * 1000).await;
    assert_eq!(shows(1).await, (vec![(None, Some(1))], 0));
    assert_eq!(shows(2).await, (vec![], 0));
}

/// An entry behind the own chain that somebody with its account key has signed.
async fn thiefs(engine: &Engine) -> ChainEntry {
    let chain = engine.chain(engine.account).await.unwrap();
    statement::add_device(&chain, &engine.account_key(), &device_keys(200, 1), 1)
}

/// A conversation has shown this entry.
async fn is_shown(engine: &Engine, hash: [u8; 32]) {
    is_shown_at(engine, hash, engine.now_ms()).await;
}

async fn is_shown_at(engine: &Engine, hash: [u8; 32], at_ms: u64) {
    let shown = Shown { seq: 1, hash, at_ms };
    assert!(engine.store.run(move |tx| own_shown::note(tx, &shown)).await.unwrap());
}

async fn noted(engine: &Engine) -> Vec<[u8; 32]> {
    engine.store.run(own_shown::all).await.unwrap().into_iter().map(|one| one.hash).collect()
}

/// The alarms by their places in the log and in the chain.
async fn alarms(lone: &Lone) -> Vec<(Option<f64>, Option<u32>)> {
    let alarms = lone.client.transparency_log().await.unwrap().alarms;
    alarms.into_iter().map(|alarm| (alarm.index, alarm.seq)).collect()
}

/// How often alarms were told since the last time.
fn told(events: &mut Receiver<Event>) -> usize {
    let mut told = 0;
    while let Ok(event) = events.try_recv() {
        told += usize::from(matches!(event, Event::Log { log } if !log.alarms.is_empty()));
    }
    told
}

#[tokio::test]
async fn p11_an_own_entry_that_a_conversation_alone_has_shown_is_an_alarm_until_the_log_says_more() {
    let lone = lone().await;
    let engine = lone.engine();
    let mut log = log_of(engine).await;
    let hash = thiefs(engine).await.hash();
    let mut events = engine.events.subscribe();
    is_shown(engine, hash).await;
    for _ in 0..2 {
        engine.look_at_logs().await.unwrap();
        assert_eq!((alarms(&lone).await, noted(engine).await), (vec![(None, Some(1))], vec![]));
    }
    assert_eq!(told(&mut events), 1, "told once");
    is_shown(engine, hash).await;
    engine.look_at_logs().await.unwrap();
    assert_eq!((alarms(&lone).await, told(&mut events)), (vec![(None, Some(1))], 0), "it is an alarm already");
    log.leaves.push(entry(engine, 1, hash));
    log.is_read(engine).await;
    engine.look_at_logs().await.unwrap();
    assert_eq!((alarms(&lone).await, told(&mut events)), (vec![(Some(2.0), Some(1))], 1), "once, with its place");
    is_shown(engine, hash).await;
    engine.look_at_logs().await.unwrap();
    assert_eq!((alarms(&lone).await, told(&mut events)), (vec![(Some(2.0), Some(1))], 0));
    assert!(noted(engine).await.is_empty());
    // One that both have from the start is one of the log.
    is_shown(engine, [0xee; 32]).await;
    log.leaves.push(entry(engine, 1, [0xee; 32]));
    log.is_read(engine).await;
    engine.look_at_logs().await.unwrap();
    assert_eq!(alarms(&lone).await, [(Some(2.0), Some(1)), (Some(3.0), Some(1))]);
}

/// Somebody has it from the log before the relay's answer is here.
#[tokio::test]
async fn p11_a_rotation_under_way_that_a_conversation_shows_is_an_alarm_only_if_it_comes_to_nothing() {
    for stands in [true, false] {
        let lone = lone().await;
        let engine = lone.engine();
        log_of(engine).await;
        engine.begin_rotation(Cause::ByHand).await.unwrap();
        let rotation = engine.store.run(keys::rotation).await.unwrap().unwrap();
        let hash = ChainEntry::decode(&rotation.entry).unwrap().hash();
        is_shown(engine, hash).await;
        engine.look_at_logs().await.unwrap();
        assert_eq!((alarms(&lone).await, noted(engine).await), (vec![], vec![hash]), "judged later");
        if stands {
            engine.store_new_seeds(&rotation).await.unwrap();
            engine.finish_rotation(rotation).await.unwrap();
        } else {
            engine.store.run(keys::end_rotation).await.unwrap();
        }
        engine.look_at_logs().await.unwrap();
        let expected = if stands { vec![] } else { vec![(None, Some(1))] };
        assert_eq!((alarms(&lone).await, noted(engine).await), (expected, vec![]), "{stands}");
    }
}

#[tokio::test]
async fn p11_p17_of_any_number_of_entries_that_conversations_show_the_first_are_kept() {
    let lone = lone().await;
    let engine = lone.engine();
    let mut log = log_of(engine).await;
    let shows = async |hashes: std::ops::RangeInclusive<u8>| {
        let note = engine.store.run(move |tx| {
            for n in hashes {
                own_shown::note(tx, &Shown { seq: 1, hash: [n; 32], at_ms: u64::from(n) })?;
            }
            Ok(own_shown::all(tx)?.len())
        });
        note.await.unwrap()
    };
    let more = async || lone.client.transparency_log().await.unwrap().more_alarms;
    assert_eq!(shows(1..=65).await, 64, "more are noted");
    engine.look_at_logs().await.unwrap();
    assert_eq!((alarms(&lone).await.len(), more().await, noted(engine).await.len()), (64, false, 0));
    assert_eq!(shows(101..=165).await, 64);
    engine.look_at_logs().await.unwrap();
    assert_eq!((alarms(&lone).await.len(), more().await, noted(engine).await.len()), (64, true, 0));
    let rows =
        engine.store.run(|tx| Ok(tx.query_row("SELECT count(*) FROM key_alarms", [], |row| row.get::<_, u32>(0))?));
    assert_eq!(rows.await.unwrap(), 65);
    // They hide nothing that the log says.
    log.leaves.push(entry(engine, 1, [0xee; 32]));
    log.is_read(engine).await;
    engine.look_at_logs().await.unwrap();
    let all = alarms(&lone).await;
    assert!(all.len() == 65 && all.contains(&(Some(2.0), Some(1))), "{all:?}");
}

#[tokio::test]
async fn p11_shutting_others_out_ends_an_alarm_without_a_place_and_another_account_key_alone_does_not() {
    for shuts_out in [false, true] {
        let lone = lone().await;
        let engine = lone.engine();
        let hash = thiefs(engine).await.hash();
        is_shown(engine, hash).await;
        engine.look_at_logs().await.unwrap();
        is_shown(engine, [0xee; 32]).await;
        assert_eq!(alarms(&lone).await, [(None, Some(1))], "the control");
        engine.begin_account_change(&[], shuts_out).await.unwrap();
        let change = engine.store.run(keys::account_change).await.unwrap().unwrap();
        engine.store_account_seed(&change).await.unwrap();
        engine.finish_account_change(change).await.unwrap();
        let left = usize::from(!shuts_out);
        assert_eq!((alarms(&lone).await.len(), noted(engine).await.len()), (left, left), "{shuts_out}");
    }
}

#[tokio::test]
async fn p11_a_recovery_in_place_ends_an_alarm_without_a_place_and_none_of_the_log() {
    let lone = lone().await;
    let engine = lone.engine();
    let mut log = log_of(engine).await;
    log.leaves.push(entry(engine, 1, [0xee; 32]));
    log.is_read(engine).await;
    is_shown(engine, thiefs(engine).await.hash()).await;
    engine.look_at_logs().await.unwrap();
    is_shown(engine, [0xdd; 32]).await;
    assert_eq!(alarms(&lone).await, [(None, Some(1)), (Some(2.0), Some(1))], "the control");
    let me = engine.account;
    let taken_over = engine.store.run(move |tx| recovery::take_over(tx, me, DeviceId::from_bytes([5; 16]), 0));
    taken_over.await.unwrap();
    assert_eq!((alarms(&lone).await, noted(engine).await), (vec![(Some(2.0), Some(1))], vec![]));
}
