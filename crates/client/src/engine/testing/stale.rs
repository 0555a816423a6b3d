//! Somebody seals to a key that is erased, since their relay has kept the newer one from them: they are told, and seal it again (design section 5).

use waxwing_protocol::{AppMessage, StaleKey};

use super::super::context::Chains;
use super::faults::{everybody, group, rotate, say, shows};
use super::world::World;
use crate::store::{keys, logs, outbox};

/// Bea knows of Ada's keys nothing but the first version, and Ada has erased that.
fn estranged() -> (World, crate::store::conversations::ConversationId) {
    let (mut world, id) = group(3);
    // The leaf that she was added with is replaced before.
    say(&mut world, 1, id);
    everybody(&mut world);
    rotate(&mut world, 0);
    everybody(&mut world);
    let ada = world.devices[0].account;
    world.devices[1]
        .tx(|tx| Ok(tx.execute("DELETE FROM chain_entries WHERE account = ?1 AND seq > 0", [ada.as_bytes()])?))
        .unwrap();
    world.devices[1].chains = Chains::default();
    world.devices[0].tx(|tx| Ok(tx.execute("DELETE FROM old_sealing_keys", [])?)).unwrap();
    world.devices[0].renew_opening();
    (world, id)
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
    world.settle();
    world.check();
}

#[test]
fn nobody_makes_others_say_things_again_and_again() {
    let (mut world, id) = group(3);
    say(&mut world, 1, id);
    everybody(&mut world);
    let own = world.devices[1].look(|tx| {
        Ok(tx.query_row("SELECT envelope FROM messages WHERE envelope IS NOT NULL", [], |row| {
            row.get::<_, [u8; 16]>(0)
        })?)
    });
    let told = StaleKey {
        from_seq: 1,
        entries: vec![vec![7; 40]],
        envelopes: vec![waxwing_wire::EnvelopeId::from_bytes(own), waxwing_wire::EnvelopeId::from_bytes([9; 16])],
    };
    let mut lengths = Vec::new();
    for _ in 0..3 {
        let content = AppMessage::StaleKey(told.clone()).encode();
        world.devices[2].tx(|tx| outbox::push(tx, &id, None, &content)).unwrap();
        everybody(&mut world);
        lengths.push(head(&world));
    }
    // The first costs one text, the others nothing but themselves; and what claims to be a chain changes nothing.
    assert_eq!([lengths[1] - lengths[0], lengths[2] - lengths[1]], [1, 1]);
    let cem = world.devices[2].account;
    let chain = world.devices[1].look(|tx| keys::chain(tx, cem)).unwrap();
    assert_eq!(chain.seq(), 0);
    assert!(world.devices[1].look(logs::active).iter().all(|log| log.trouble == logs::Trouble::None));
    world.settle();
    world.check();
}
