//! Relays whose answer about somebody's keys is old and fits together all the same: restored, lagging or lying. Nobody's words are lost by it.

use std::sync::Arc;

use waxwing_protocol::{AccountKey, AppMessage, DeviceKeys, DeviceSeeds, statement};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{AccountId, LogId, MessageId};

use super::super::held::KEPT_MS;
use super::device::Device;
use super::faults::{change, everybody, group, rotate, shows};
use super::world::World;
use crate::mls::{GroupChange, Plan};
use crate::random;
use crate::store::conversations::ConversationId;
use crate::store::logs::{self, Trouble};
use crate::store::{account, held, keys, messages};
use crate::views::Notice;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

impl Device {
    /// How often the timeline says that words of a device are kept back.
    pub(super) fn told_kept_back(&mut self, id: ConversationId) -> usize {
        self.look(|tx| {
            let page = messages::page(tx, &account::require(tx)?, &id, None, 500)?;
            Ok(page.messages.iter().filter(|line| matches!(line.notice, Some(Notice::KeptBack { .. }))).count())
        })
    }
}

/// Ada (admin), bea and cem; bea's leaf has newer keys, and the entry that states them is nowhere but with her.
struct Newer {
    world: World,
    id: ConversationId,
    log: LogId,
    bea: AccountId,
    keys: Arc<DeviceKeys>,
    entry: Vec<u8>,
}

impl Newer {
    fn new() -> Self {
        let (mut world, id) = group(3);
        let log = world.devices[0].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap().log));
        let bea = world.devices[1].account;
        let new = DeviceKeys::new(world.devices[1].device, 2, DeviceSeeds::generate(&mut random::rng())).unwrap();
        let keys = Arc::new(new);
        let chain = world.devices[1].look(|tx| keys::chain(tx, bea)).unwrap();
        let key = AccountKey::from_seed(&world.devices[1].kept.account_seed);
        let entry = statement::rotate_device_keys(&chain, &key, &keys, world.outside.now).as_bytes().to_vec();
        let World { outside, devices, .. } = &mut world;
        devices[1].commit_anyway(outside, (id, log), &keys, Plan::default());
        Self { world, id, log, bea, keys, entry }
    }

    /// Bea says something with her new keys.
    fn says(&mut self) -> MessageId {
        let log = self.log;
        self.world.on(1, |device, outside| device.drain_log(outside, log)).unwrap();
        let message = MessageId::from_bytes(random::bytes());
        let text = AppMessage::Text { message_id: message, text: message.to_string() }.encode();
        let mls = self.world.devices[1].says(self.log, &text);
        let (entry, blob) = self.world.devices[1].envelope(self.log, EnvelopeKind::App, mls, (self.bea, &self.keys));
        self.world.outside.relay.inject(self.log, entry, EnvelopeKind::App, blob);
        message
    }

    /// Ada and cem look, twice.
    fn look(&mut self) {
        for who in [0, 2, 0, 2] {
            self.world.on(who, |device, outside| device.sync(outside));
        }
    }

    fn shown(&mut self, message: MessageId) -> [bool; 2] {
        [0, 2].map(|who| shows(&mut self.world, who, self.id, message))
    }

    fn told(&mut self) -> [usize; 2] {
        [0, 2].map(|who| self.world.devices[who].told_kept_back(self.id))
    }

    fn kept(&mut self) -> [usize; 2] {
        [0, 2].map(|who| self.world.devices[who].look(|tx| held::of(tx, self.bea)).len())
    }
}

#[test]
fn p5_words_that_an_older_chain_does_not_state_are_kept_and_shown_once_one_does() {
    let mut newer = Newer::new();
    let first = newer.says();
    newer.look();
    let second = newer.says();
    newer.look();
    assert_eq!(newer.shown(first), [false; 2], "whose words are they?");
    assert_eq!((newer.kept(), newer.told()), ([2; 2], [1; 2]), "kept, and told once a day");
    newer.world.outside.now += DAY_MS + 1;
    newer.look();
    assert_eq!(newer.told(), [1; 2], "nothing new was said");
    let third = newer.says();
    newer.look();
    assert_eq!(newer.told(), [2; 2], "and once more on the next day");
    newer.world.outside.relay.append_chain(newer.bea, &newer.entry).unwrap();
    newer.look();
    for message in [first, second, third] {
        assert_eq!(newer.shown(message), [true; 2]);
    }
    assert_eq!(newer.kept(), [0; 2]);
}

/// First their relay does not answer, and then it lags behind: what was kept stays.
#[test]
fn p5_an_older_chain_loses_nothing_of_what_was_kept_before() {
    let mut newer = Newer::new();
    newer.world.outside.relay.dark.insert(newer.bea);
    let message = newer.says();
    newer.look();
    assert_eq!((newer.kept(), newer.told()), ([1; 2], [0; 2]), "nobody knows yet what their chain states");
    newer.world.outside.relay.dark.clear();
    newer.look();
    assert_eq!((newer.kept(), newer.told()), ([1; 2], [1; 2]));
    newer.world.outside.relay.append_chain(newer.bea, &newer.entry).unwrap();
    newer.look();
    assert_eq!((newer.kept(), newer.shown(message)), ([0; 2], [true; 2]));
}

#[test]
fn what_no_chain_comes_to_state_is_kept_for_30_days() {
    let mut newer = Newer::new();
    let message = newer.says();
    newer.look();
    newer.world.outside.now += KEPT_MS - 1;
    newer.look();
    assert_eq!(newer.kept(), [1; 2]);
    newer.world.outside.now += 1;
    newer.look();
    assert_eq!((newer.kept(), newer.shown(message)), ([0; 2], [false; 2]));
    assert_eq!(newer.told(), [1; 2]);
}

/// Once the device has other keys under that version by its chain, no entry will ever state the leaf.
#[test]
fn p1_what_a_chain_can_never_state_is_nobodys_word() {
    let mut newer = Newer::new();
    let message = newer.says();
    newer.look();
    assert_eq!(newer.kept(), [1; 2]);
    let chain = newer.world.devices[1].look(|tx| keys::chain(tx, newer.bea)).unwrap();
    let key = AccountKey::from_seed(&newer.world.devices[1].kept.account_seed);
    let other = DeviceKeys::new(newer.keys.device(), 2, DeviceSeeds::generate(&mut random::rng())).unwrap();
    let entry = statement::rotate_device_keys(&chain, &key, &other, newer.world.outside.now).as_bytes().to_vec();
    newer.world.outside.relay.append_chain(newer.bea, &entry).unwrap();
    newer.look();
    assert_eq!((newer.kept(), newer.shown(message)), ([0; 2], [false; 2]));
}

/// Whoever lets somebody back in brings what the others may lack of their keys: their relay need not be asked, and may show less.
#[test]
fn p5_whoever_is_let_back_in_with_newer_keys_is_heard_whatever_their_relay_shows() {
    let (mut world, id) = group(3);
    world.settle();
    let log = world.devices[0].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap().log));
    let bea = world.devices[1].account;
    // She has lost her place, and rotates before anybody has let her back in.
    world.devices[1].tx(|tx| logs::note_trouble(tx, log, Trouble::Behind)).unwrap();
    rotate(&mut world, 1);
    world.on(1, |device, outside| device.sync(outside));
    // Ada sees it, and answers; from then on the relay shows what was there before.
    world.on(0, |device, outside| device.drain_inbox(outside)).unwrap();
    assert_eq!(world.devices[0].look(|tx| keys::chain(tx, bea)).unwrap().seq(), 1, "the control: ada knows");
    world.outside.relay.withhold_chain(bea);
    world.outside.now += 4000;
    // The commit, and the Welcome behind it.
    for _ in 0..2 {
        world.on(0, |device, outside| device.flush(outside)).unwrap();
    }
    world.on(1, |device, outside| device.drain_inbox(outside)).unwrap();
    assert_eq!(world.devices[1].look(|tx| Ok(logs::load(tx, log)?.unwrap().trouble)), Trouble::None, "the control");
    let message = MessageId::from_bytes(random::bytes());
    world.on(1, |device, outside| device.send(outside, id, message)).unwrap();
    world.on(1, |device, outside| device.flush(outside));
    world.on(2, |device, outside| device.drain_log(outside, log)).unwrap();
    assert_eq!(world.devices[2].look(|tx| keys::chain(tx, bea)).unwrap().seq(), 1);
    assert!(shows(&mut world, 2, id, message));
    // And so is what comes after.
    change(&mut world, 0, id, &GroupChange::Update);
    everybody(&mut world);
}
