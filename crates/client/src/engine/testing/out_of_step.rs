//! Devices that got no wrap of a change, and cannot read what is said after it: once they are back, it is said to them again, in that
//! conversation. And what was said in a stretch that whoever said it does not read any more.

use waxwing_wire::{DeviceId, EnvelopeId, LogId, MessageId};

use super::super::missed;
use super::back_in::{log_of, trouble};
use super::faults::{change, everybody, group, say, shows};
use super::long_chains::{members, with_a_newcomer};
use super::world::World;
use crate::mls::GroupChange;
use crate::store::conversations::ConversationId;
use crate::store::logs::Trouble;
use crate::store::sealed_for::{self, NO_WRAP, SealedFor};
use crate::store::{logs, messages, outbox};
use crate::views::MessageState;

const ADA: usize = 0;
const BEA: usize = 1;
const CEM: usize = 2;
const DOT: usize = 3;
const A_DAY_LATER_MS: u64 = 25 * 60 * 60 * 1000;

/// Bea has taken out Cem while nothing was known of Dot's keys, and has said something since they are: Dot finds a wrap in it, and cannot read it.
fn dot_misses_a_change() -> (World, ConversationId, LogId, MessageId) {
    let (mut world, id) = with_a_newcomer(130);
    let (cem, dot) = (world.devices[CEM].account, world.devices[DOT].account);
    world.outside.ledger.misled.insert(dot);
    world.outside.ledger.restored.insert(dot);
    change(&mut world, BEA, id, &GroupChange::Remove(cem));
    world.outside.relay.dark.clear();
    let said = say(&mut world, BEA, id);
    // What was sealed without her is said again as soon as her keys are known: all of it before she is back.
    for who in [BEA, ADA, BEA, ADA, BEA] {
        world.on(who, |device, outside| device.sync(outside));
    }
    assert!(shows(&mut world, ADA, id, said));
    let log = members(&mut world, BEA, id).0;
    let device = world.devices[DOT].device;
    assert!(world.devices[BEA].look(|tx| sealed_for::is_out_of_step_in(tx, log, device)), "the control");
    world.on(DOT, |dot, outside| dot.drain_logs(outside));
    assert!(!shows(&mut world, DOT, id, said), "the control: she cannot read it");
    assert_ne!(trouble(&mut world, DOT, log), Trouble::None);
    (world, id, log, said)
}

/// Dot is let back in by whoever it is to be, and has said nothing yet. She asks two of those she knows of.
fn is_let_in_by(world: &mut World, who: usize, log: LogId) {
    for _ in 0..20 {
        world.on(DOT, |dot, outside| dot.sync(outside));
        for _ in 0..2 {
            world.outside.now += 4000;
            world.on(who, |device, outside| device.sync(outside));
        }
        world.on(DOT, |dot, outside| dot.drain_inbox(outside)).unwrap();
        if trouble(world, DOT, log) == Trouble::None {
            return;
        }
        world.outside.now += A_DAY_LATER_MS;
    }
    panic!("nobody lets her in");
}

/// Whether somebody else has let her in, or Bea herself, whose own commit does not tell what went along with it.
#[test]
fn d13_what_is_said_while_a_device_is_out_of_step_is_said_again_once_it_is_back() {
    for who in [ADA, BEA] {
        let (mut world, id, log, said) = dot_misses_a_change();
        is_let_in_by(&mut world, who, log);
        // She has not spoken: what Bea knows of it is what the log tells.
        for _ in 0..2 {
            world.on(BEA, |bea, outside| bea.sync(outside));
        }
        world.on(DOT, |dot, outside| dot.drain_logs(outside));
        assert!(shows(&mut world, DOT, id, said), "let in by {who}: it is lost");
        assert!(shows(&mut world, ADA, id, said));
    }
}

/// She comes back by another way than an answer to what she has asked, so nothing tells of it but that she speaks.
#[test]
fn d13_whoever_was_out_of_step_and_speaks_is_told_once_more() {
    let (mut world, id, log, said) = dot_misses_a_change();
    let (dot, now) = (world.devices[DOT].account, world.outside.now);
    // Nobody is asked today, and nothing that was to be asked goes out.
    world.devices[DOT]
        .tx(|tx| {
            tx.execute("DELETE FROM deliveries", [])?;
            logs::set_resync(tx, log, now, &[7; 16])
        })
        .unwrap();
    for change_of in [GroupChange::Remove(dot), GroupChange::Add(vec![dot])] {
        change(&mut world, ADA, id, &change_of);
        world.on(ADA, |ada, outside| ada.sync(outside));
        world.on(DOT, |dot, outside| dot.drain_inbox(outside)).unwrap();
    }
    assert_eq!(trouble(&mut world, DOT, log), Trouble::None, "Ada has brought her in again");
    for who in [BEA, DOT] {
        world.on(who, |device, outside| device.drain_logs(outside));
    }
    world.on(BEA, |bea, outside| bea.sync(outside));
    world.on(DOT, |dot, outside| dot.drain_logs(outside));
    assert!(!shows(&mut world, DOT, id, said), "the control: nothing tells Bea");
    say(&mut world, DOT, id);
    world.on(BEA, |bea, outside| bea.sync(outside));
    world.on(DOT, |dot, outside| dot.drain_logs(outside));
    assert!(shows(&mut world, DOT, id, said), "it is lost");
    // She is in step, and nothing is said to her any more but what is new.
    // Their names go along with their next words.
    for who in [DOT, BEA] {
        say(&mut world, who, id);
        everybody(&mut world);
    }
    let entries = world.outside.relay.logs[&log].entries.len();
    let last = [say(&mut world, DOT, id), say(&mut world, BEA, id)];
    everybody(&mut world);
    assert_eq!(world.outside.relay.logs[&log].entries.len(), entries + 2, "it is said again and again");
    assert!(last.iter().all(|message| shows(&mut world, DOT, id, *message) && shows(&mut world, ADA, id, *message)));
}

/// As if there had been no wrap for a device in what was said.
fn had_no_wrap(world: &mut World, number: u8, (message, device): (MessageId, DeviceId)) {
    let (now, recipients) = (world.outside.now, vec![(device, NO_WRAP)]);
    let sealed = SealedFor { message: Some(message), recipients };
    world.devices[ADA].tx(|tx| sealed_for::note(tx, EnvelopeId::from_bytes([number; 16]), &sealed, now)).unwrap();
}

/// What waits in each of two conversations, by message.
fn waiting(world: &mut World, ids: [ConversationId; 2]) -> [Vec<MessageId>; 2] {
    ids.map(|id| {
        let items = world.devices[ADA].look(|tx| outbox::messages(tx, &id));
        items.into_iter().filter_map(|item| item.message).collect()
    })
}

/// In the other one it cannot read anything yet: what was said there is neither said into the void nor forgotten.
#[test]
fn d13_whoever_is_back_in_one_conversation_is_told_again_what_was_said_there_alone() {
    let (mut world, one) = group(2);
    let others = world.others(ADA);
    let other = world.create_with(ADA, &others);
    everybody(&mut world);
    let who = (world.devices[BEA].account, world.devices[BEA].device);
    let (here, there) = (say(&mut world, ADA, one), say(&mut world, ADA, other));
    everybody(&mut world);
    had_no_wrap(&mut world, 1, (here, who.1));
    had_no_wrap(&mut world, 2, (there, who.1));
    let context = world.devices[ADA].context(world.outside.now);
    let logs = [one, other].map(|id| world.devices[ADA].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap())));
    let ada = &mut world.devices[ADA];
    assert!(ada.tx(|tx| missed::back_in(tx, &context, &logs[0], who)).unwrap());
    assert_eq!(waiting(&mut world, [one, other]), [vec![here], vec![]]);
    // As long as it has not spoken, another Welcome may have been the one that it took.
    let ada = &mut world.devices[ADA];
    let spoken = ada.tx(|tx| {
        logs.iter().try_for_each(|log| sealed_for::is_out_of_step(tx, log.log, who.1))?;
        let first = missed::has_spoken(tx, &context, &logs[0], who)?;
        Ok([first, missed::has_spoken(tx, &context, &logs[0], who)?, missed::back_in(tx, &context, &logs[0], who)?])
    });
    assert_eq!(spoken.unwrap(), [true, false, false], "once, for the last time");
    assert_eq!(waiting(&mut world, [one, other]), [vec![here; 2], vec![]]);
    let ada = &mut world.devices[ADA];
    assert!(ada.tx(|tx| missed::back_in(tx, &context, &logs[1], who)).unwrap(), "it is forgotten");
    assert_eq!(waiting(&mut world, [one, other]), [vec![here; 2], vec![there]]);
}

/// Cem has said something that the relay has stored, and was away until it was too old to be read. Whoever was in the group has it; Dot, who came
/// in since, was not meant by it.
#[test]
fn p5_what_was_accepted_in_a_stretch_that_is_not_read_any_more_is_not_said_to_newcomers() {
    let mut world = World::new(7, 4);
    let others: Vec<_> = world.others(ADA).into_iter().take(2).collect();
    let id = world.create_with(ADA, &others);
    everybody(&mut world);
    let log = log_of(&mut world, id);
    let (cem, dot) = (world.devices[CEM].account, world.devices[DOT].account);
    world.outside.ledger.restored.insert(cem);
    let said = say(&mut world, CEM, id);
    let line = |world: &mut World| world.devices[CEM].look(|tx| messages::load(tx, cem, said)).unwrap();
    assert!(!line(&mut world).placed, "the control: he has not read it in the log");
    change(&mut world, ADA, id, &GroupChange::Add(vec![dot]));
    for who in [ADA, BEA, DOT] {
        world.on(who, |device, outside| device.sync(outside));
    }
    let gone = world.outside.relay.logs[&log].entries.len() as u64;
    for who in [ADA, BEA, DOT] {
        world.on(who, |device, outside| device.drain_logs(outside)).unwrap();
    }
    world.outside.relay.dropped.insert(log, gone);
    for _ in 0..2 {
        everybody(&mut world);
        world.outside.now += 4000;
    }
    assert_eq!(trouble(&mut world, CEM, log), Trouble::None, "he is back in");
    let line = line(&mut world);
    assert!(line.placed && line.state == MessageState::Sent, "{:?}", line.state);
    let on_its_way = "SELECT count(*) FROM outbox WHERE message = ?1";
    let on_its_way =
        world.devices[CEM].look(|tx| Ok(tx.query_row(on_its_way, [said.as_bytes()], |row| row.get::<_, u64>(0))?));
    assert_eq!(on_its_way, 0);
    for _ in 0..2 {
        say(&mut world, ADA, id);
        world.outside.now += 6000;
        everybody(&mut world);
    }
    assert!(shows(&mut world, ADA, id, said) && shows(&mut world, BEA, id, said));
    assert!(!shows(&mut world, DOT, id, said), "she was not there");
}
