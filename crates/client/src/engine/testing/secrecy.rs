//! What a thief gets who takes everything that a device has: not what was read before (forward secrecy), and not what is said after
//! the device has renewed itself (post-compromise security).

use std::collections::HashSet;

use waxwing_protocol::envelope::{self, Message, OpenContext};
use waxwing_protocol::{ChannelSecret, Content};
use waxwing_wire::frame::LogEntry;
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::{DeviceId, LogId, MessageId};

use super::super::rotation::old_keys_live_ms;
use super::device::Device;
use super::faults::{change, everybody, group, rotate, say, shows};
use super::ledger::Outside;
use super::plunder::is_in;
use super::world::World;
use crate::mls::{Group, GroupChange, Incoming};
use crate::store::conversations::ConversationId;
use crate::store::{logs, messages};

impl Device {
    /// The outer layer of an entry, opened with this device's sealing keys and that channel secret.
    pub(super) fn opens(&mut self, log: LogId, secret: &ChannelSecret, entry: &LogEntry) -> Option<envelope::Opened> {
        let place = OpenContext {
            envelope_id: entry.entry_id,
            kind: entry.kind,
            log,
            tag_key: Some(&secret.tag_key()),
            erased: &[],
        };
        envelope::open(&entry.blob, &self.opening.list(), self.account, &place).ok()
    }

    /// The MLS message in an entry, through the outer layer, and which device it is of.
    pub(super) fn inside_by(
        &mut self,
        log: LogId,
        secret: &ChannelSecret,
        entry: &LogEntry,
    ) -> Option<(DeviceId, Vec<u8>)> {
        let opened = self.opens(log, secret, entry)?;
        let crypto = self.crypto.clone();
        let device = opened.claimed().device;
        let leaf =
            self.look(|tx| Group::load(&crypto, tx, log)?.map(|group| group.leaf(device)).transpose()).flatten()?;
        let message: Message = opened.verify_leaf(&leaf.identity).ok()?;
        match Content::decode(entry.kind, &message.content) {
            Ok(Content::Mls(bytes)) => Some((device, bytes)),
            _ => None,
        }
    }

    fn inside(&mut self, log: LogId, entry: &LogEntry) -> Option<Vec<u8>> {
        let secret = self.look(|tx| Ok(logs::load(tx, log)?.unwrap().secret));
        self.inside_by(log, &secret, entry).map(|(_, mls)| mls)
    }

    /// Whether it has a group in its database, be it one that it is not in any more.
    pub(super) fn knows_group(&mut self, log: LogId) -> bool {
        let crypto = self.crypto.clone();
        self.look(|tx| Ok(Group::load(&crypto, tx, log)?.is_some()))
    }

    /// Whether MLS gives up what is in it, with all that is in the database.
    pub(super) fn decrypts(&mut self, log: LogId, from: DeviceId, kind: EnvelopeKind, mls: &[u8]) -> bool {
        let crypto = self.crypto.clone();
        self.look(|tx| {
            let mut group = Group::load(&crypto, tx, log)?.unwrap();
            let read = group.read(from, kind == EnvelopeKind::Handshake, mls);
            Ok(matches!(read, Ok(Incoming::Message(_) | Incoming::Change(_))))
        })
    }
}

fn setting(people: usize) -> (World, ConversationId, LogId) {
    let (mut world, id) = group(people);
    // Past the updates that come after joining.
    world.settle();
    let log = world.devices[0].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap().log));
    (world, id, log)
}

fn last_entries(world: &World, log: LogId, n: usize) -> Vec<LogEntry> {
    let entries = &world.outside.relay.logs[&log].entries;
    entries[entries.len() - n..].to_vec()
}

fn erase(device: &mut Device, said: &[MessageId]) {
    device.look(|tx| {
        for id in said {
            let message = messages::find(tx, *id)?;
            assert_eq!(message.text, id.to_string());
        }
        Ok(())
    });
    let said = said.to_vec();
    device
        .tx(|tx| said.iter().try_for_each(|id| messages::find(tx, *id).and_then(|one| messages::delete(tx, &one))))
        .unwrap();
}

/// The index of somebody's leaf.
fn leaf(world: &mut World, who: usize, log: LogId) -> u32 {
    let crypto = world.devices[who].crypto.clone();
    world.devices[who].look(|tx| Ok(Group::load(&crypto, tx, log)?.unwrap().own_leaf()?.index))
}

fn tokens(device: &mut Device, log: LogId) -> ChannelSecret {
    device.look(|tx| Ok(logs::load(tx, log)?.unwrap().secret))
}

#[test]
fn forward_secrecy_what_was_read_and_deleted_is_gone() {
    let (mut world, id, log) = setting(2);
    let ada = world.devices[0].device;
    let mut before = world.devices[1].copy();
    let said: Vec<_> = (0..10).map(|_| say(&mut world, 0, id)).collect();
    let entries = last_entries(&world, log, 10);
    everybody(&mut world);
    assert!(said.iter().all(|message| shows(&mut world, 1, id, *message)));
    erase(&mut world.devices[1], &said);

    let mut thief = world.devices[1].copy();
    for entry in &entries {
        let mls = thief.inside(log, entry).expect("the outer layer opens: its keys last for a rotation");
        assert!(!thief.decrypts(log, ada, entry.kind, &mls), "what was read can be read again");
        // With what the device had before it read, the same bytes do decrypt: it is the erased keys that are missing.
        assert!(before.decrypts(log, ada, entry.kind, &mls));
    }
    let bytes = world.devices[1].bytes();
    for message in &said {
        let text = message.to_string();
        assert!(!bytes.windows(text.len()).any(|window| window == text.as_bytes()), "the text is in the database");
    }
    outer_layer_closes(&mut world, log, &entries);
}

/// The outer layer of what was recorded opens for as long as the sealing keys are kept, and ends with them.
fn outer_layer_closes(world: &mut World, log: LogId, entries: &[LogEntry]) {
    let old = tokens(&mut world.devices[1], log);
    let live = world.devices[1].look(old_keys_live_ms);
    rotate(world, 1);
    everybody(world);
    let opens = |world: &mut World| {
        world.on(1, |device, outside| device.tend_keys(outside)).unwrap();
        let mut thief = world.devices[1].copy();
        entries.iter().filter(|entry| thief.opens(log, &old, entry).is_some()).count()
    };
    // A day before its time, and after it. This computer's clock, which must agree, cannot be moved: what it has written down can.
    assert_eq!(opens(world), entries.len());
    let back = "UPDATE old_sealing_keys SET retired_local_ms = retired_local_ms - ?1";
    assert_eq!(world.devices[1].db.execute(back, [live + 1]).unwrap(), 1);
    world.outside.now += live - 24 * 60 * 60 * 1000;
    assert_eq!(opens(world), entries.len(), "what was sealed to it may still come");
    world.outside.now += 24 * 60 * 60 * 1000 + 1;
    assert_eq!(opens(world), 0, "the outer layer opens for ever");
}

/// OpenMLS's refusal says that it does not look; here what the message was read with is looked for in every byte that is left. After each
/// of them, for a ratchet that moves on only now and then would keep the keys of the words in between.
#[test]
fn forward_secrecy_the_receiver_keeps_no_secret_of_what_was_read() {
    let (mut world, id, log) = setting(2);
    let (ada, before) = (world.devices[0].device, world.devices[1].bytes());
    let mut gone = HashSet::new();
    for number in 0..10 {
        say(&mut world, 0, id);
        let entry = last_entries(&world, log, 1).remove(0);
        let (mut still, had) = (world.devices[1].copy(), world.devices[1].message_secrets(log));
        everybody(&mut world);
        let has = world.devices[1].message_secrets(log);
        let used: HashSet<_> = had.difference(&has).copied().collect();
        assert!(!used.is_empty(), "nothing was given up for message {number}");
        // They are what it takes: without them, and with all else that there was, it opens no more.
        let mls = still.inside(log, &entry).unwrap();
        assert!(still.decrypts(log, ada, entry.kind, &mls));
        still.forgets_secrets(log, &used);
        assert!(!still.decrypts(log, ada, entry.kind, &mls), "message {number} opens without what was given up for it");
        let bytes = world.devices[1].bytes();
        assert!(
            !used.iter().any(|secret| is_in(&bytes, secret)),
            "what opens message {number} is still in the database"
        );
        gone.extend(used);
    }
    let last = world.devices[1].bytes();
    assert!(!gone.iter().any(|secret| is_in(&last, secret)), "a secret has come back");
    // That it would be found: the first ones were in the file.
    assert!(gone.iter().any(|secret| is_in(&before, secret)));
}

/// Nor does the sender keep a key to what was sent. OpenMLS would not even try, so the state is altered until it does.
#[test]
fn forward_secrecy_the_sender_keeps_no_key_either() {
    let (mut world, id, log) = setting(2);
    let ada = world.devices[0].device;
    let beas_leaf = leaf(&mut world, 1, log);
    let mut before = world.devices[0].copy();
    for _ in 0..10 {
        say(&mut world, 0, id);
    }
    let entries = last_entries(&world, log, 10);
    let mut after = world.devices[0].copy();
    let (had, has) = (before.message_secrets(log), after.message_secrets(log));
    before.poses_as(log, beas_leaf);
    after.poses_as(log, beas_leaf);
    for entry in &entries {
        let mls = before.inside(log, entry).unwrap();
        assert!(before.decrypts(log, ada, entry.kind, &mls), "with what the sender had before, it opens");
        assert!(!after.decrypts(log, ada, entry.kind, &mls), "with what the sender has, it opens");
    }
    // What they were derived from is nowhere in the file, either.
    let gone: Vec<_> = had.difference(&has).collect();
    let (first, last) = (before.bytes(), world.devices[0].bytes());
    assert!(!gone.is_empty() && gone.iter().all(|secret| is_in(&first, secret)));
    assert!(!gone.iter().any(|secret| is_in(&last, secret)), "a ratchet's old secret is in the sender's database");
}

#[test]
fn post_compromise_a_self_update_locks_the_thief_out() {
    let (mut world, id, log) = setting(3);
    let (ada, bea) = (world.devices[0].device, world.devices[1].device);
    let mut thief = world.devices[1].copy();
    // The thief reads along at first: past another member's update too, which says nothing of what the thief has.
    change(&mut world, 2, id, &GroupChange::Update);
    let heard = say(&mut world, 0, id);
    everybody(&mut world);
    assert!(shows(&mut world, 1, id, heard));
    on_its_own(&mut world, &mut thief, log);
    assert!(
        thief.look(|tx| Ok(messages::find(tx, heard).is_ok())),
        "the thief does not get along with what was stolen"
    );

    let (mut cem, old) = (world.devices[2].copy(), thief.epoch_secrets(log));
    change(&mut world, 1, id, &GroupChange::Update);
    let update = last_entries(&world, log, 1).remove(0);
    assert_eq!(update.kind, EnvelopeKind::Handshake);
    everybody(&mut world);
    // The outer layer of the update itself is sealed as before it.
    let commit = thief.inside(log, &update).expect("the outer layer of the update opens");
    let entry = locked_out(&mut world, &mut thief, id, log);
    // Nor with tags from elsewhere: the content is MLS's, whatever becomes of the outer layer.
    let mls = world.devices[1].inside(log, &entry).expect("the outer layer opens for her");
    assert!(!thief.decrypts(log, ada, entry.kind, &mls), "what is said after the update decrypts");

    // The thief knows the ratchet that the commit is encrypted with, and each secret of its path is sealed to whoever is below its
    // place in the tree and not to the committer. As each of the others' leaves, with all the keys that the thief has:
    for who in [0, 2] {
        let mut posing = thief.copy();
        posing.poses_as(log, leaf(&mut world, who, log));
        assert!(!posing.follows(log, (bea, &commit), (ada, &mls)), "the update's path opens");
    }
    // It is the key pairs that are missing, and nothing else: with cem's the same thief is in.
    let mut posing = thief.copy();
    posing.takes_key_pairs_of(&mut cem, log);
    posing.poses_as(log, leaf(&mut world, 2, log));
    assert!(posing.follows(log, (bea, &commit), (ada, &mls)));

    // And of what the epoch after it is made of, leaf and path, key schedule and message secrets, the thief has nothing.
    let crypto = world.devices[1].crypto.clone();
    let own = world.devices[1].look(|tx| Group::load(&crypto, tx, log)?.unwrap().own_leaf());
    let (new, hers, stolen) = (world.devices[1].epoch_secrets(log), world.devices[1].bytes(), thief.bytes());
    assert!(new.contains(&own.encryption_key) && new.len() > 10, "{} secrets", new.len());
    assert!(new.iter().all(|secret| is_in(&hers, secret)) && old.iter().all(|secret| is_in(&stolen, secret)));
    assert!(!new.iter().any(|secret| is_in(&stolen, secret)), "a secret of the thief's outlives the update");
}

#[test]
fn post_compromise_a_rotation_locks_the_thief_out() {
    let (mut world, id, log) = setting(3);
    let mut thief = world.devices[1].copy();
    rotate(&mut world, 1);
    everybody(&mut world);
    let entry = locked_out(&mut world, &mut thief, id, log);
    // Whoever tells the thief of the tags: the sealing keys are others, too.
    let new = world.devices[1].look(|tx| Ok(logs::load(tx, log)?.unwrap()));
    assert!(thief.opens(log, &new.secret, &entry).is_none());
}

/// The thief's program reads the log, as far as it gets.
fn on_its_own(world: &mut World, thief: &mut Device, log: LogId) {
    let relay = std::mem::take(&mut world.outside.relay);
    let mut elsewhere = Outside { relay, now: world.outside.now, ..Outside::default() };
    let _ = thief.drain_log(&mut elsewhere, log);
    world.outside.relay = elsewhere.relay;
}

/// The first one says something that the second one reads. Whoever has all that the second one had before can read it neither at the relay
/// nor if the relay hands it out, and write nothing. The entry.
fn locked_out(world: &mut World, thief: &mut Device, id: ConversationId, log: LogId) -> LogEntry {
    let message = say(world, 0, id);
    let entry = last_entries(world, log, 1).remove(0);
    everybody(world);
    assert!(shows(world, 1, id, message));

    let old = thief.look(|tx| Ok(logs::load(tx, log)?.unwrap()));
    let new = world.devices[1].look(|tx| Ok(logs::load(tx, log)?.unwrap()));
    assert_ne!(old.secret.as_bytes(), new.secret.as_bytes());
    let relay = &mut world.outside.relay;
    // Reading ends with the handshake that brought the new tokens; writing ends at once.
    let page = relay.read_log(log, old.secret.read_token().as_slice(), old.cursor).unwrap();
    assert!(page.head < entry.seq);
    let append = waxwing_wire::frame::Append {
        entry_id: waxwing_wire::EnvelopeId::from_bytes([1; 16]),
        kind: EnvelopeKind::App,
        after: page.head,
        rekey: None,
        blob: vec![0; 64],
    };
    let answer = relay.append(log, old.secret.write_token().as_slice(), &append);
    assert_eq!(answer, Err(ProblemCode::Rekeyed));
    // And if the relay hands the entries out: no old tag finds anything.
    assert!(thief.opens(log, &old.secret, &entry).is_none());
    assert!(world.devices[1].opens(log, &new.secret, &entry).is_some());
    // Nor does an engine get there by itself.
    on_its_own(world, thief, log);
    assert!(thief.look(|tx| Ok(messages::find(tx, message).is_err())));
    entry
}

#[test]
fn p12_private_parts_of_replaced_key_packages_are_erased() {
    let (mut world, _) = group(2);
    let packages = |world: &mut World| -> HashSet<Vec<u8>> {
        world.devices[1].look(|tx| {
            let mut statement = tx.prepare("SELECT key FROM mls_state WHERE group_id = x'' AND kind = 16")?;
            Ok(statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
        })
    };
    let first = packages(&mut world);
    rotate(&mut world, 1);
    everybody(&mut world);
    let second: HashSet<_> = packages(&mut world).difference(&first).cloned().collect();
    assert!(!first.is_empty() && !second.is_empty());
    assert!(packages(&mut world).is_superset(&first), "a Welcome for one of them may be on its way");
    world.outside.now += world.devices[1].look(old_keys_live_ms) + 1;
    rotate(&mut world, 1);
    everybody(&mut world);
    let now = packages(&mut world);
    assert!(now.is_disjoint(&first) && now.is_superset(&second) && now.len() > second.len());
}
