//! One engine without a relay, and a transparency log of somebody else's relay that was read before: what it says against keys, what others say
//! against it, and what ends a doubt (P11, P17).

use std::collections::HashSet;
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use waxwing_protocol::envelope::CompactCheckpoint;
use waxwing_protocol::{AccountKey, ChainPageError, DeviceKeys, DeviceSeeds, RecoveryPhrase, Refuted, statement};
use waxwing_wire::transparency::{Checkpoint, Frontier, Leaf, SignedCheckpoint, account_hash};
use waxwing_wire::{AccountId, ChainError, DeviceId, RelayAddress, VerifiedChain};

use super::super::Engine;
use super::super::transparency::{Heard, Kept, keep_heard};
use super::lone::Lone;
use crate::event::Event;
use crate::random;
use crate::relay::ChainRefused;
use crate::store::contacts::Contact;
use crate::store::conversations::NewConversation;
use crate::store::transparency::{self as stored, Against, Evidence};
use crate::store::{contacts, conversations, keys, unproved, verifications};
use crate::views::{ConversationKind, Standing, Trust};

/// Nobody listens there.
pub(super) const RELAY: &str = "127.0.0.1:2";

/// A log as its relay has it.
pub(super) struct Log {
    key: SigningKey,
    origin: String,
    pub(super) leaves: Vec<Leaf>,
}

impl Log {
    pub(super) fn new() -> Self {
        Self { key: SigningKey::from_bytes(&random::bytes()), origin: RELAY.to_owned(), leaves: Vec::new() }
    }

    /// The same leaves under the same key, to go on differently.
    pub(super) fn branch(&self, origin: &str) -> Self {
        Self { key: self.key.clone(), origin: origin.to_owned(), leaves: self.leaves.clone() }
    }

    pub(super) fn edge(&self, size: usize) -> Frontier {
        let mut edge = Frontier::new();
        self.leaves[..size].iter().for_each(|leaf| edge.append(leaf.hash()).unwrap());
        edge
    }

    /// What it signs about its first leaves.
    pub(super) fn signs(&self, size: usize, time_ms: u64) -> SignedCheckpoint {
        let root = self.edge(size).root();
        let checkpoint = Checkpoint { origin: self.origin.clone(), size: size as u64, root, time_ms };
        SignedCheckpoint::sign(&checkpoint, &self.key).unwrap()
    }

    pub(super) fn compact(&self, size: usize, time_ms: u64) -> CompactCheckpoint {
        self.signs(size, time_ms).to_compact().try_into().unwrap()
    }

    /// The engine has read all of it.
    pub(super) async fn is_read(&self, engine: &Engine) {
        self.is_read_at(engine, 1_800_000_000_000).await;
    }

    /// The same, as its relay has signed it at this time.
    pub(super) async fn is_read_at(&self, engine: &Engine, time_ms: u64) {
        let (newest, edge) = (self.signs(self.leaves.len(), time_ms), self.edge(self.leaves.len()));
        let (leaves, now) = (self.leaves.clone(), engine.now_ms());
        let read = engine.store.run(move |tx| {
            stored::pin(tx, newest.key())?;
            let log = stored::load(tx, stored::relay_of(newest.key().name()))?.unwrap();
            let from = log.size();
            stored::add_leaves(tx, log.n, from, &leaves[usize::try_from(from).unwrap()..], &edge)?;
            stored::set_proved(tx, log.n, &newest, (&edge, now))
        });
        read.await.unwrap();
    }
}

/// Others have seen this of their relays' logs, as it is kept with the words that it came with.
pub(super) async fn keeps(engine: &Engine, heard: HashSet<Heard>) -> Kept {
    let (all, now) = (Arc::clone(&engine.heard), engine.now_ms());
    engine.store.run(move |tx| Ok(keep_heard(tx, &all, heard, now))).await.unwrap()
}

/// The same, and the engine goes on.
pub(super) async fn hears(engine: &Engine, heard: HashSet<Heard>) {
    engine.hear(keeps(engine, heard).await);
}

/// Somebody whose chain is known here: two entries.
pub(super) fn chain(number: u8) -> (VerifiedChain, Vec<Vec<u8>>) {
    let (account_key, phrase) =
        (AccountKey::generate(&mut random::rng()), RecoveryPhrase::generate(&mut random::rng()));
    let device = |version| {
        let seeds = DeviceSeeds::generate(&mut random::rng());
        DeviceKeys::new(DeviceId::from_bytes([number; 16]), version, seeds).unwrap()
    };
    let account = AccountId::from_bytes([number; 16]);
    let name = Some(format!("bird{number}").parse().unwrap());
    let entry = statement::create(account, RELAY, name, &account_key, &phrase.recovery_key(), &device(1), 0);
    let mut chain = VerifiedChain::verify(&[entry.as_bytes()]).unwrap();
    let rotation = statement::rotate_device_keys(&chain, &account_key, &device(2), 1);
    chain.extend(rotation.as_bytes()).unwrap();
    (chain, vec![entry.as_bytes().to_vec(), rotation.as_bytes().to_vec()])
}

pub(super) async fn know(engine: &Engine, (chain, entries): &(VerifiedChain, Vec<Vec<u8>>)) {
    let (account, entries, name) = (chain.account(), entries.clone(), chain.name().unwrap().clone());
    let known = engine.store.run(move |tx| {
        let contact = Contact {
            account,
            name: name.clone(),
            relay: RELAY.parse().unwrap(),
            display_name: name.to_string(),
            trust: Trust::FirstUse,
            access_key: None,
            known: true,
            blocked: false,
        };
        contacts::upsert(tx, &contact)?;
        keys::add_chain_entries(tx, account, 0, &entries)?;
        let new = NewConversation {
            id: &[account.as_bytes()[0]; 32],
            kind: ConversationKind::Direct,
            account,
            standing: Standing::Member,
            title: "",
            profile_sent: true,
        };
        conversations::insert(tx, &new, 0)
    });
    assert!(known.await.unwrap());
}

pub(super) fn leaf(chain: &VerifiedChain, seq: u32) -> Leaf {
    let entry_hash = chain.hash_at(seq).unwrap_or([0xee; 32]);
    Leaf::Chain { account_hash: account_hash(&chain.account()), seq, entry_hash }
}

/// An engine whose tasks have ended: nothing happens but what the test does.
pub(super) async fn lone() -> Lone {
    let lone = Lone::new().await;
    lone.client.end_tasks().await;
    lone
}

pub(super) async fn in_doubt(engine: &Engine, account: AccountId) -> bool {
    engine.store.run(move |tx| verifications::trouble_since(tx, account)).await.unwrap().is_some()
}

#[tokio::test]
async fn p11_a_doubt_ends_only_when_all_that_is_known_stands_in_the_log() {
    let lone = lone().await;
    let (engine, bea) = (lone.engine(), chain(7));
    know(engine, &bea).await;
    let (relay, account): (RelayAddress, _) = (RELAY.parse().unwrap(), bea.0.account());
    let mut log = Log::new();
    log.leaves.push(leaf(&bea.0, 0));
    log.is_read(engine).await;
    assert!(engine.stands(&relay, &bea.0).await.unwrap(), "nothing is in doubt");
    engine.store.run(move |tx| verifications::note_trouble(tx, account, "not there", 1)).await.unwrap();
    assert!(!engine.stands(&relay, &bea.0).await.unwrap(), "the second entry is not there");
    log.leaves.push(leaf(&bea.0, 1));
    log.is_read(engine).await;
    assert!(engine.stands(&relay, &bea.0).await.unwrap(), "now it is");
    // A log that has shown two histories ends no doubt.
    let evidence = Evidence { n: 0, against: Against::Diverged, first: "one".into(), second: "other".into(), at_ms: 1 };
    engine.store.run(move |tx| stored::keep_evidence(tx, RELAY, &evidence)).await.unwrap();
    assert!(!engine.stands(&relay, &bea.0).await.unwrap());
}

#[tokio::test]
async fn p11_chains_that_came_in_a_conversation_are_looked_up_after_a_restart_as_well() {
    let lone = lone().await;
    let (engine, bea, cem) = (lone.engine(), chain(7), chain(8));
    let mut log = Log::new();
    log.leaves.extend([leaf(&bea.0, 0), leaf(&cem.0, 0), leaf(&cem.0, 1)]);
    for one in [&bea, &cem] {
        know(engine, one).await;
        let account = one.0.account();
        engine.store.run(move |tx| unproved::note(tx, account)).await.unwrap();
    }
    log.is_read(engine).await;
    let mut events = engine.events.subscribe();
    engine.check_learned().await.unwrap();
    // Cem's are there. Bea's second entry is not, and her relay does not answer: it is not forgotten.
    assert_eq!(engine.store.run(unproved::all).await.unwrap(), [bea.0.account()]);
    assert!(!in_doubt(engine, cem.0.account()).await && !in_doubt(engine, bea.0.account()).await);
    assert!(events.try_recv().is_err());
    drop(events);
    let Lone { client, folder } = lone;
    drop(client);
    let lone = Lone::again(folder).await;
    lone.client.end_tasks().await;
    assert_eq!(lone.engine().store.run(unproved::all).await.unwrap(), [bea.0.account()]);
    // With the entry in the log there is nothing left to do.
    log.leaves.push(leaf(&bea.0, 1));
    log.is_read(lone.engine()).await;
    lone.engine().check_learned().await.unwrap();
    assert!(lone.engine().store.run(unproved::all).await.unwrap().is_empty());
}

#[tokio::test]
async fn p11_another_entry_in_the_log_is_told_and_said_once_whoever_else_cannot_be_reached() {
    let lone = lone().await;
    let (engine, bea, cem) = (lone.engine(), chain(7), chain(8));
    know(engine, &bea).await;
    know(engine, &cem).await;
    let mut log = Log::new();
    let other = Leaf::Chain { account_hash: account_hash(&bea.0.account()), seq: 1, entry_hash: [1; 32] };
    // Of Cem there is a newer entry, and his relay does not answer.
    log.leaves.extend([leaf(&bea.0, 0), leaf(&bea.0, 1), other, leaf(&cem.0, 2)]);
    log.is_read(engine).await;
    let mut events = engine.events.subscribe();
    engine.look_at_logs().await.unwrap();
    assert!(in_doubt(engine, bea.0.account()).await && !in_doubt(engine, cem.0.account()).await);
    let mut told = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let Event::Conversation { conversation } = event {
            told.push(conversation.account_id);
        }
    }
    assert!(told.contains(&bea.0.account().to_string()), "nobody has verified her: it is told all the same; {told:?}");
    // Her relay shows a chain that goes on; Cem's still does not answer.
    let account = bea.0.account();
    engine.store.run(move |tx| verifications::end_trouble(tx, account)).await.unwrap();
    engine.look_at_logs().await.unwrap();
    assert!(!in_doubt(engine, account).await, "it is found again and again");
    assert_eq!(engine.store.run(unproved::news).await.unwrap(), [cem.0.account()], "and Cem is not forgotten");
}

#[tokio::test]
async fn p17_what_others_have_seen_is_judged_by_the_leaves_that_were_read_here() {
    let lone = lone().await;
    let (engine, bea) = (lone.engine(), chain(7));
    know(engine, &bea).await;
    let mut log = Log::new();
    log.leaves = (0..8).map(|seq| Leaf::Name { name_hash: [seq; 32], entry_hash: [seq; 32] }).collect();
    log.is_read(engine).await;
    let evidence = async || engine.store.run(|tx| stored::evidence(tx, RELAY)).await.unwrap();
    // More than are compared at a time; the relay does not answer, and is not asked.
    let honest = (1..=8).flat_map(|size| (0..20).map(move |hour| (size, hour)));
    let heard: HashSet<_> = honest.map(|(size, hour)| (bea.0.account(), log.compact(size, hour))).collect();
    hears(engine, heard.clone()).await;
    for left in [96, 32, 0, 0] {
        engine.compare_heard().await;
        assert_eq!(engine.heard.lock().unwrap().new.len(), left, "the rest has its turn");
    }
    assert_eq!(engine.heard.lock().unwrap().known.len(), 160);
    assert!(evidence().await.is_empty(), "every shorter log is the beginning of the longer one");
    // The same key has signed another history of six leaves.
    let mut branch = log.branch(RELAY);
    branch.leaves[5] = Leaf::Name { name_hash: [0xff; 32], entry_hash: [0xff; 32] };
    hears(engine, HashSet::from([(bea.0.account(), branch.compact(6, 5))])).await;
    engine.compare_heard().await;
    let found: Vec<_> = evidence().await.into_iter().map(|one| one.against).collect();
    assert_eq!(found, [Against::Diverged]);
}

#[tokio::test]
async fn p17_made_up_checkpoints_take_no_room() {
    let lone = lone().await;
    let (engine, bea) = (lone.engine(), chain(7));
    know(engine, &bea).await;
    let mut log = Log::new();
    log.leaves.push(leaf(&bea.0, 0));
    log.is_read(engine).await;
    let real = (bea.0.account(), log.compact(1, 7));
    let mut heard: HashSet<_> = (0..200)
        .map(|number: u8| {
            let mut made_up = real.1;
            made_up[111] ^= number.saturating_add(1);
            made_up[0] = number;
            (bea.0.account(), made_up)
        })
        .collect();
    heard.insert(real);
    hears(engine, heard).await;
    assert_eq!(engine.heard.lock().unwrap().new, HashSet::from([real]));
}

#[tokio::test]
async fn the_root_of_a_shorter_log_is_found_however_long_the_log_is() {
    let lone = lone().await;
    let engine = lone.engine();
    let mut log = Log::new();
    let hash = |number: u32| {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&number.to_be_bytes());
        hash
    };
    log.leaves = (0..66_000).map(|n| Leaf::Name { name_hash: hash(n), entry_hash: hash(n) }).collect();
    log.is_read(engine).await;
    let newest = log.signs(log.leaves.len(), 1_800_000_000_000);
    for size in [65_999, 1, 4095, 4096, 4097, 65_536, 65_537, 66_000] {
        let root = engine.own_root(newest.key(), size as u64).await.unwrap();
        assert_eq!(root, log.edge(size).root(), "{size}");
    }
    let kept = |tx: &rusqlite::Transaction<'_>| {
        Ok(tx.query_row("SELECT count(*) FROM transparency_edges", [], |row| row.get::<_, u32>(0))?)
    };
    assert_eq!(engine.store.run(kept).await.unwrap(), 16);
}

/// A relay can make up as many accounts as it likes.
#[tokio::test]
async fn p2_refuted_entries_are_kept_of_known_accounts_alone() {
    let lone = lone().await;
    let (engine, bea) = (lone.engine(), chain(7));
    know(engine, &bea).await;
    for (account, kept) in [(bea.0.account(), 1), (AccountId::from_bytes([9; 16]), 0)] {
        let refuted = Some(Refuted { account, hash: [5; 32] });
        let answer = ChainPageError::Chain { error: ChainError::Signature, refuted };
        engine.noting_refuted::<()>(Err(ChainRefused::Page(answer))).await.unwrap_err();
        assert_eq!(engine.store.run(move |tx| keys::refuted(tx, account)).await.unwrap().len(), kept);
    }
}
