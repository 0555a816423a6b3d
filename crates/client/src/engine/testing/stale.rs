//! Somebody seals to a key that is erased, since their relay has kept the newer one from them: they are told, and seal it again (design section 5).

use waxwing_protocol::{AppMessage, StaleKey};
use waxwing_wire::EnvelopeId;

use super::super::context::Chains;
use super::faults::{change, everybody, group, requests, rotate, say, shows};
use super::world::World;
use crate::mls::GroupChange;
use crate::store::{keys, outbox};

/// Bea knows of Ada's keys nothing but the first version, and Ada has erased that.
fn estranged() -> (World, crate::store::conversations::ConversationId) {
    let (mut world, id) = group(3);
    estrange(&mut world, id);
    (world, id)
}

fn estrange(world: &mut World, id: crate::store::conversations::ConversationId) {
    // The leaf that she was added with is replaced before.
    say(world, 1, id);
    everybody(world);
    rotate(world, 0);
    everybody(world);
    let ada = world.devices[0].account;
    world.devices[1]
        .tx(|tx| Ok(tx.execute("DELETE FROM chain_entries WHERE account = ?1 AND seq > 0", [ada.as_bytes()])?))
        .unwrap();
    world.devices[1].chains = Chains::default();
    world.devices[0].tx(|tx| Ok(tx.execute("DELETE FROM old_sealing_keys", [])?)).unwrap();
    world.devices[0].renew_opening();
}

fn head(world: &World) -> usize {
    world.outside.relay.logs.values().map(|log| log.entries.len()).max().unwrap()
}

#[test]
fn what_was_sealed_to_an_erased_key_is_sealed_again() {
    let (mut world, id) = estranged();
    let ada = world.devices[0].account;
    let said = [say(&mut world, 1, id), say(&mut world, 1, id)];
    everybody(&mut world);
    assert!(said.iter().all(|message| !shows(&mut world, 0, id, *message) && shows(&mut world, 2, id, *message)));
    let aside = world.devices[0].set_aside();
    assert_eq!(aside, ["it is sealed to an erased key", "it is sealed to an erased key"]);
    // One notice for both, a moment later.
    let before = head(&world);
    world.outside.now += 3000;
    everybody(&mut world);
    assert_eq!(head(&world), before + 3, "a notice and two texts");
    for who in 0..3 {
        assert!(said.iter().all(|message| shows(&mut world, who, id, *message)), "{who}");
    }
    let known = world.devices[1].look(|tx| keys::chain(tx, ada)).unwrap();
    assert_eq!(known.seq(), 1, "bea has ada's newer keys");
    // And seals to those from here on.
    let more = say(&mut world, 1, id);
    everybody(&mut world);
    assert!(shows(&mut world, 0, id, more));
    assert_eq!(world.devices[0].set_aside().len(), 2);
    // Not checked to the end: what is said again stands in the log twice, and is shown once.
    world.settle();
}

#[test]
fn what_is_sealed_before_the_notice_is_read_is_not_lost_either() {
    let (mut world, id) = estranged();
    let first = say(&mut world, 1, id);
    world.on(0, |device, outside| device.sync(outside));
    // The notice waits a moment; meanwhile she says more, and it does not fit into the notice any more once that is on its way.
    world.outside.now += 3000;
    world.on(0, |device, outside| device.flush(outside)).unwrap();
    let second = say(&mut world, 1, id);
    everybody(&mut world);
    world.outside.now += 61_000;
    everybody(&mut world);
    for message in [first, second] {
        assert!((0..3).all(|who| shows(&mut world, who, id, message)));
    }
    // Not checked to the end: what is said again stands in the log twice, and is shown once.
    world.settle();
}

/// Nothing is sent back before one accepts, and nothing is forgotten until then.
#[test]
fn what_a_request_could_not_open_is_asked_for_once_it_is_accepted() {
    let (mut world, id) = requests();
    world.outside.spreads = true;
    rotate(&mut world, 1);
    let bea = world.devices[1].account;
    for who in [0, 2] {
        world.devices[who]
            .tx(|tx| Ok(tx.execute("DELETE FROM chain_entries WHERE account = ?1 AND seq > 0", [bea.as_bytes()])?))
            .unwrap();
        world.devices[who].chains = Chains::default();
    }
    world.devices[1].tx(|tx| Ok(tx.execute("DELETE FROM old_sealing_keys", [])?)).unwrap();
    world.devices[1].renew_opening();
    let said = [say(&mut world, 0, id), say(&mut world, 0, id)];
    let before = head(&world);
    everybody(&mut world);
    world.outside.now += 61_000;
    everybody(&mut world);
    let aside = world.devices[1].set_aside();
    assert!(
        aside.len() >= said.len() && aside.iter().all(|reason| *reason == "it is sealed to an erased key"),
        "{aside:?}"
    );
    assert_eq!(head(&world), before, "she has not accepted");
    assert!(said.iter().all(|message| !shows(&mut world, 1, id, *message)), "the control");
    world.on(1, |device, outside| device.accept(outside, id)).unwrap();
    everybody(&mut world);
    world.outside.now += 61_000;
    everybody(&mut world);
    assert!(said.iter().all(|message| shows(&mut world, 1, id, *message)));
    // And nothing is left to be asked for again.
    let left = world.devices[1]
        .look(|tx| Ok(tx.query_row("SELECT count(*) FROM sealed_to_erased", [], |row| row.get::<_, u64>(0))?));
    assert_eq!(left, 0);
}

/// What the others are told of an envelope of Bea's that was sealed to nobody's erased key, or before somebody came in.
fn ask_for(world: &mut World, who: usize, id: crate::store::conversations::ConversationId, entries: Vec<Vec<u8>>) {
    let own: Vec<[u8; 16]> = world.devices[1].look(|tx| {
        let mut statement = tx.prepare("SELECT envelope FROM sealed_for ORDER BY at_ms")?;
        Ok(statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
    });
    let envelopes =
        own.into_iter().map(EnvelopeId::from_bytes).take(60).chain([EnvelopeId::from_bytes([9; 16])]).collect();
    let content = AppMessage::StaleKey(StaleKey { from_seq: 1, entries, envelopes }).encode();
    world.devices[who].tx(|tx| outbox::push(tx, &id, None, &content)).unwrap();
}

#[test]
fn nobody_gets_at_what_was_said_before_by_asking_for_it() {
    let mut world = World::new(9, 4);
    let others = [world.devices[1].account, world.devices[2].account];
    let id = world.create_with(0, &others);
    everybody(&mut world);
    let before = [say(&mut world, 1, id), say(&mut world, 1, id)];
    everybody(&mut world);
    let newcomer = world.devices[3].account;
    change(&mut world, 0, id, &GroupChange::Add(vec![newcomer]));
    everybody(&mut world);
    say(&mut world, 3, id);
    everybody(&mut world);
    // A newcomer, and a member whose keys are no older than those that it was sealed to: each notice costs its own place in the log.
    for who in [3, 2] {
        let length = head(&world);
        ask_for(&mut world, who, id, vec![vec![7; 40]]);
        everybody(&mut world);
        assert_eq!(head(&world), length + 1, "{who}");
    }
    // Also with newer keys that are proved: it was sealed for no device of the newcomer. For the other's it was, and is said again to them.
    for (who, again) in [(3, 0), (2, before.len())] {
        rotate(&mut world, who);
        everybody(&mut world);
        let account = world.devices[who].account;
        let proof = world.devices[who].look(|tx| keys::chain_entries(tx, account))[1..].to_vec();
        let length = head(&world);
        ask_for(&mut world, who, id, proof);
        everybody(&mut world);
        assert_eq!(head(&world), length + 1 + again, "{who}");
    }
    assert!(before.iter().all(|message| !shows(&mut world, 3, id, *message)));
    let known = world.devices[1].look(|tx| keys::chain(tx, newcomer)).unwrap();
    assert_eq!(known.seq(), 1, "what proves itself is taken in");
    // Not checked to the end: what is said again stands in the log twice.
    world.settle();
}

/// Somebody comes in right behind the notice: what is said again is for whoever it was for, and for nobody else.
#[test]
fn what_is_said_again_is_for_nobody_who_came_in_since() {
    let mut world = World::new(9, 4);
    let others = [world.devices[1].account, world.devices[2].account];
    let id = world.create_with(0, &others);
    everybody(&mut world);
    estrange(&mut world, id);
    let said = say(&mut world, 1, id);
    world.on(0, |ada, outside| ada.sync(outside)).unwrap();
    assert_eq!(world.devices[0].set_aside(), ["it is sealed to an erased key"]);
    world.outside.now += 3000;
    world.on(0, |ada, outside| ada.flush(outside)).unwrap();
    let newcomer = world.devices[3].account;
    change(&mut world, 0, id, &GroupChange::Add(vec![newcomer]));
    // Bea reads both at once.
    everybody(&mut world);
    assert!(shows(&mut world, 0, id, said), "whoever has asked has it");
    assert!(!shows(&mut world, 3, id, said), "and nobody else");
    assert_eq!(world.devices[3].set_aside(), ["it does not open"]);
    let after = say(&mut world, 1, id);
    everybody(&mut world);
    assert!(shows(&mut world, 3, id, after), "the control");
}
