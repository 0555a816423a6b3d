//! A thief of somebody's account key shows the contacts an entry that stands in no log, and the owner states another in its place: whoever took the
//! thief's takes the owner's, and is told (P2, P11).

use std::sync::Arc;

use waxwing_protocol::{AccountKey, AppMessage, RecoveryPhrase, StaleKey, statement};
use waxwing_wire::api::{ChainPage, EntryBytes};
use waxwing_wire::{AccountId, ChainEntry, EnvelopeId, RelayAddress, VerifiedChain};

use super::super::context::{Chains, is_line_of};
use super::super::{Engine, follow, given_up};
use super::device::Device;
use super::doubts::{Log, RELAY, in_doubt, leaf, lone};
use super::faults::{everybody, group, say, shows};
use super::lone::Lone;
use super::made_up::{account_key, device_keys, extended};
use super::small_relay::{Asked, SmallRelay, problem};
use super::world::World;
use crate::mls::Group;
use crate::random;
use crate::store::contacts::Contact;
use crate::store::conversations::{ConversationId, NewConversation};
use crate::store::{account, contacts, conversations, keys, logs, messages, outbox, unproved, verifications};
use crate::views::{ConversationKind, Notice, Safety, Standing, Trust};

/// Bea, whose first two entries are proved, and who was verified; what a thief of her account key shows, and what she states in its place.
struct Bea {
    account: AccountId,
    proved: VerifiedChain,
    entries: Vec<Vec<u8>>,
    thiefs: ChainEntry,
    owners: ChainEntry,
    log: Log,
    relay: SmallRelay,
}

impl Bea {
    /// Her relay shows her own chain, which goes on with a recovery or with another version of her device's keys.
    async fn new(recovers: bool) -> Self {
        let (key, phrase, account) =
            (account_key(), RecoveryPhrase::generate(&mut random::rng()), AccountId::from_bytes([7; 16]));
        let name = Some("bea".parse().unwrap());
        let recovery = phrase.recovery_key();
        let create = statement::create(account, RELAY, name, &key, &recovery, &device_keys(7, 1), 0);
        let first = VerifiedChain::verify(&[create.as_bytes()]).unwrap();
        let rotation = statement::rotate_device_keys(&first, &key, &device_keys(7, 2), 1);
        let proved = extended(&first, &rotation);
        let thiefs = statement::add_device(&proved, &key, &device_keys(8, 1), 2);
        let (new_key, new_device) = (account_key(), device_keys(9, 1));
        let new = statement::NewKeys { recovery_key: &recovery, account_key: &new_key, device: &new_device };
        let owners = match recovers {
            true => statement::recover(&proved, &recovery, &new, 3),
            false => statement::rotate_device_keys(&proved, &key, &device_keys(7, 3), 3),
        };
        let entries = vec![create.as_bytes().to_vec(), rotation.as_bytes().to_vec()];
        let shown = [entries.clone(), vec![owners.as_bytes().to_vec()]].concat();
        let relay = SmallRelay::new(move |asked: Asked| {
            let answer = shows_chain(&asked, account, &shown);
            async move { answer.map_or_else(|| problem(404, "not_found"), |body| (200, body)) }
        });
        let relay = relay.await;
        let mut log = Log::new().branch(&relay.address.authority());
        log.leaves = (0..2).map(|seq| leaf(&proved, seq)).collect();
        Self { account, proved, entries, thiefs, owners, log, relay }
    }

    /// She is known there, has been verified, and then the thief's entry has come: in a conversation, or as the relay's log had it.
    async fn is_known(&self, engine: &Engine, in_conversation: bool) {
        let (account, proved, entries) = (self.account, self.proved.clone(), self.entries.clone());
        let (relay, thiefs): (RelayAddress, _) = (self.relay.address.clone(), self.thiefs.as_bytes().to_vec());
        let known = engine.store.run(move |tx| {
            let contact = Contact {
                account,
                name: "bea".parse().unwrap(),
                relay,
                display_name: "Bea".to_owned(),
                trust: Trust::FirstUse,
                access_key: None,
                known: true,
                blocked: false,
            };
            contacts::upsert(tx, &contact)?;
            keys::add_chain_entries(tx, account, 0, &entries)?;
            let new = NewConversation {
                id: &[7; 32],
                kind: ConversationKind::Direct,
                account,
                standing: Standing::Member,
                title: "",
                profile_sent: true,
            };
            conversations::insert(tx, &new, 0)?;
            verifications::set(tx, &proved, 1)?;
            keys::add_chain_entries(tx, account, 2, &[thiefs])?;
            if in_conversation { unproved::learned(tx, account, 2) } else { Ok(()) }
        });
        known.await.unwrap();
        // In memory, too.
        assert_eq!(engine.chain(account).await.unwrap().seq(), 2);
    }

    async fn knows(&self, engine: &Engine) -> ([u8; 32], Safety) {
        let account = self.account;
        let safety = engine.store.run(move |tx| verifications::of(tx, account)).await.unwrap();
        (engine.chain(account).await.unwrap().head(), safety)
    }
}

fn shows_chain(asked: &Asked, account: AccountId, shown: &[Vec<u8>]) -> Option<Vec<u8>> {
    let from: usize = asked.what.strip_prefix(&format!("GET /v1/accounts/{account}/chain?from="))?.parse().ok()?;
    let page = ChainPage {
        account,
        name: None,
        head: u32::try_from(shown.len()).unwrap() - 1,
        entries: shown.iter().skip(from).cloned().map(EntryBytes).collect(),
        indexes: vec![],
        name_index: None,
        checkpoint: None,
    };
    Some(serde_json::to_vec(&page).unwrap())
}

async fn notices(lone: &Lone) -> Vec<Notice> {
    let said = lone.engine().store.run(|tx| messages::page(tx, &account::require(tx)?, &[7; 32], None, 50));
    said.await.unwrap().messages.into_iter().filter_map(|line| line.notice).collect()
}

/// A group may have followed any of them.
#[tokio::test]
async fn p2_of_any_number_of_entries_that_gave_way_all_are_remembered_and_some_are_kept() {
    const ENTRIES: u32 = 300;
    let lone = lone().await;
    let (key, phrase, account) =
        (account_key(), RecoveryPhrase::generate(&mut random::rng()), AccountId::from_bytes([7; 16]));
    let name = Some("bea".parse().unwrap());
    let create = statement::create(account, RELAY, name, &key, &phrase.recovery_key(), &device_keys(7, 1), 0);
    let mut chain = VerifiedChain::verify(&[create.as_bytes()]).unwrap();
    let mut entries = vec![create.as_bytes().to_vec()];
    for version in 2..=ENTRIES + 1 {
        let entry = statement::rotate_device_keys(&chain, &key, &device_keys(7, version), 1);
        chain = extended(&chain, &entry);
        entries.push(entry.as_bytes().to_vec());
    }
    let gave = lone.engine().store.run(move |tx| {
        keys::add_chain_entries(tx, account, 0, &entries)?;
        keys::give_up_entries(tx, account, 1, 5)?;
        let all = (1..=ENTRIES).map(|seq| keys::is_given_up(tx, account, &chain.hash_at(seq).unwrap()));
        let all = all.collect::<Result<Vec<_>, _>>()?.into_iter().filter(|given_up| *given_up).count();
        let kept = "SELECT count(*), max(seq) FROM entries_given_up WHERE length(bytes) > 0";
        Ok((all, tx.query_row(kept, [], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?)))?))
    });
    assert_eq!(gave.await.unwrap(), (ENTRIES as usize, (256, 256)));
}

#[tokio::test]
async fn p2_p11_what_came_in_a_conversation_alone_gives_way_to_what_the_log_holds() {
    for recovers in [true, false] {
        gives_way_to(recovers).await;
    }
}

async fn gives_way_to(recovers: bool) {
    let (lone, mut bea) = (lone().await, Bea::new(recovers).await);
    let engine = lone.engine();
    bea.is_known(engine, true).await;
    let (account, thiefs) = (bea.account, bea.thiefs.hash());
    let stolen = engine.chain(account).await.unwrap();
    assert_eq!(bea.knows(engine).await, (thiefs, Safety::Verified));
    // She states another, and her relay's log says so. Whoever had her number compared compares it again, also where her own device goes on.
    bea.log.leaves.push(leaf(&extended(&bea.proved, &bea.owners), 2));
    bea.log.is_read(engine).await;
    engine.look_at_logs().await.unwrap();
    assert_eq!(bea.knows(engine).await, (bea.owners.hash(), Safety::Ask), "the owner's, and to be compared again");
    assert!(!in_doubt(engine, account).await, "the doubt never ends");
    let (kept, unlogged, news) = engine
        .store
        .run(move |tx| {
            Ok((keys::is_given_up(tx, account, &thiefs)?, unproved::unlogged_from(tx, account)?, unproved::news(tx)?))
        })
        .await
        .unwrap();
    assert!(kept, "what somebody could sign is kept");
    assert_eq!((unlogged, news), (None, vec![]));
    let said = notices(&lone).await;
    assert_eq!(said.iter().filter(|one| matches!(one, Notice::KeysGivenUp { .. })).count(), 1, "{said:?}");
    // Whoever has read the chain before does not bring it back.
    engine.chains.keep(stolen);
    assert_eq!(bea.knows(engine).await.0, bea.owners.hash());
    let again = engine.store.run(move |tx| {
        let mut entries = keys::chain_entries(tx, account)?;
        keys::add_chain_entries(tx, account, 3, &[entries.remove(1)])
    });
    again.await.expect_err("an entry that goes on from another one than is stored");
}

/// Who was shown it first is not asked: what the log has held once stays, and nothing gives way where it holds both.
#[tokio::test]
async fn p2_what_the_log_holds_gives_way_to_nothing() {
    for in_conversation in [false, true] {
        let (lone, mut bea) = (lone().await, Bea::new(true).await);
        let engine = lone.engine();
        bea.is_known(engine, in_conversation).await;
        if in_conversation {
            bea.log.leaves.push(leaf(&extended(&bea.proved, &bea.thiefs), 2));
        }
        bea.log.leaves.push(leaf(&extended(&bea.proved, &bea.owners), 2));
        bea.log.is_read(engine).await;
        engine.look_at_logs().await.unwrap();
        assert_eq!(bea.knows(engine).await, (bea.thiefs.hash(), Safety::Broken), "{in_conversation}");
    }
}

/// The owner states another account key in the place of what a thief has shown.
fn states(world: &mut World, who: usize) -> VerifiedChain {
    let World { outside, devices, .. } = world;
    let owner = &mut devices[who];
    let (me, new) = (owner.account, account_key());
    let chain = owner.look(|tx| keys::chain(tx, me)).unwrap();
    let old = AccountKey::from_seed(&owner.kept.account_seed);
    let entry = statement::rotate_account_key(&chain, &old, &new, &[], outside.now);
    outside.relay.append_chain(me, entry.as_bytes()).unwrap();
    owner.kept.account_seed = *new.seed();
    let (chain, bytes) = (extended(&chain, &entry), entry.as_bytes().to_vec());
    let seq = chain.seq();
    owner.tx(|tx| keys::add_chain_entries(tx, me, seq, &[bytes])).unwrap();
    owner.chains.keep(Arc::new(chain.clone()));
    chain
}

/// `gives_way`, of what the log holds by then. The groups that this device may begin anew are.
fn gives_way(world: &mut World, who: usize, chain: &VerifiedChain) -> usize {
    let fresh = world.outside.relay.chain(chain.account(), 1).unwrap();
    let (context, chain) = (world.devices[who].context(world.outside.now), Arc::new(chain.clone()));
    let gave = world.devices[who].tx(|tx| given_up::take(tx, &context, &chain, &fresh)).unwrap().unwrap();
    world.devices[who].chains.replace(chain, gave.given_up);
    for log in &gave.astray {
        world.on(who, |device, outside| device.mend(outside, *log)).unwrap();
    }
    gave.astray.len()
}

fn all_hear(world: &mut World, id: ConversationId) {
    for from in 0..world.devices.len() {
        let message = say(world, from, id);
        everybody(world);
        assert!((0..world.devices.len()).all(|who| shows(world, who, id, message)), "{from} is not heard");
    }
}

fn line_is_of(world: &mut World, who: usize, id: ConversationId, chain: &VerifiedChain) -> bool {
    let crypto = Arc::clone(&world.devices[who].crypto);
    world.devices[who].look(|tx| {
        let log = logs::to_send(tx, &id)?.unwrap().log;
        let facts = Group::load(&crypto, tx, log)?.unwrap().facts()?;
        let line = facts.roster.line(chain.account()).unwrap();
        Ok(is_line_of(line, chain) && line.chain_head == chain.head())
    })
}

#[test]
fn p2_p13_a_thiefs_entry_in_a_notice_of_erased_keys_parts_nobody_from_the_owner() {
    let (mut world, id) = group(3);
    let thief = &mut world.devices[1];
    let (bea, key) = (thief.account, AccountKey::from_seed(&thief.kept.account_seed));
    let known = thief.look(|tx| keys::chain(tx, bea)).unwrap();
    let entry = statement::add_device(&known, &key, &device_keys(200, 1), 1);
    let told = StaleKey {
        from_seq: 1,
        entries: vec![entry.as_bytes().to_vec()],
        envelopes: vec![EnvelopeId::from_bytes([9; 16])],
    };
    thief.tx(|tx| outbox::push(tx, &id, None, &AppMessage::StaleKey(told).encode()).map(drop)).unwrap();
    everybody(&mut world);
    for who in [0, 2] {
        let (chain, unlogged) =
            world.devices[who].look(|tx| Ok((keys::chain(tx, bea)?, unproved::unlogged_from(tx, bea)?)));
        assert_eq!((chain.unwrap().head(), unlogged), (entry.hash(), Some(1)), "the control: {who} has taken it");
    }
    let chain = states(&mut world, 1);
    for who in [0, 2] {
        assert_eq!(gives_way(&mut world, who, &chain), 0, "no group has followed it");
    }
    let context = world.devices[1].context(world.outside.now);
    world.devices[1].tx(|tx| follow::chain_grew(tx, &context, bea).map(drop)).unwrap();
    everybody(&mut world);
    world.outside.now += 4000;
    all_hear(&mut world, id);
    assert!((0..3).all(|who| line_is_of(&mut world, who, id, &chain)), "the group has not followed");
}

#[test]
fn p2_p13_a_group_that_has_followed_a_thiefs_entry_is_begun_anew() {
    let (mut world, id) = group(3);
    // Bea's device is the thief's for a while: it follows an entry that her relay never hears of.
    let (now, bea) = (world.outside.now, world.devices[1].account);
    let thief: &mut Device = &mut world.devices[1];
    let known = thief.look(|tx| keys::chain(tx, bea)).unwrap();
    let key = AccountKey::from_seed(&thief.kept.account_seed);
    let entry = statement::rotate_account_key(&known, &key, &account_key(), &[], now);
    let stolen = extended(&known, &entry);
    let bytes = entry.as_bytes().to_vec();
    thief.tx(|tx| keys::add_chain_entries(tx, bea, 1, &[bytes])).unwrap();
    thief.chains.keep(Arc::new(stolen.clone()));
    let context = thief.context(now);
    assert!(thief.tx(|tx| follow::chain_grew(tx, &context, bea)).unwrap());
    everybody(&mut world);
    assert!([0, 2].iter().all(|who| line_is_of(&mut world, *who, id, &stolen)), "the control: the group follows it");
    let owner = &mut world.devices[1];
    owner
        .tx(|tx| Ok(tx.execute("DELETE FROM chain_entries WHERE account = ?1 AND seq > 0", [bea.as_bytes()])?))
        .unwrap();
    owner.chains = Chains::default();

    let chain = states(&mut world, 1);
    assert_eq!(gives_way(&mut world, 2, &chain), 0, "Cem is no admin");
    assert_eq!(gives_way(&mut world, 0, &chain), 1);
    everybody(&mut world);
    everybody(&mut world);
    assert!((0..3).all(|who| line_is_of(&mut world, who, id, &chain)), "not begun anew, or not with her");
    all_hear(&mut world, id);
}
