//! Whoever begins a conversation anew and may not: the others say so, and nothing looks as if it had been sent. Nobody else can put an admin out
//! by saying so. And a device that was recovered and is let back in by nobody.

use std::sync::Arc;

use waxwing_protocol::{Content, Recipient};
use waxwing_wire::frame::InboxSend;
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{LogId, MessageId};

use super::super::not_followed::{BRINGS_SOMEBODY, MAY_NOT};
use super::super::sealing::seal_for_inbox;
use super::faults::{change, everybody, group, say, shows};
use super::forge::Twist;
use super::lockouts::{again, update_twisted};
use super::world::World;
use crate::mls::GroupChange;
use crate::store::conversations::ConversationId;
use crate::store::logs::{Log, Trouble};
use crate::store::{account, conversations, deliveries, logs, messages, outbox};
use crate::views::{MessageState, Notice, Standing};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const ADA: usize = 0;
const BEA: usize = 1;
const CEM: usize = 2;
const DOT: usize = 3;

fn written_to(world: &mut World, who: usize, id: ConversationId) -> Log {
    world.devices[who].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap()))
}

fn standing(world: &mut World, who: usize, id: ConversationId) -> Standing {
    world.devices[who].look(|tx| Ok(conversations::load(tx, &id)?.standing))
}

fn state(world: &mut World, who: usize, message: MessageId) -> MessageState {
    let me = world.devices[who].account;
    world.devices[who].look(|tx| messages::load(tx, me, message)).unwrap().state
}

/// The lines that say that nobody follows.
fn shut_out(world: &mut World, who: usize, id: ConversationId) -> Vec<bool> {
    let page = world.devices[who].look(|tx| messages::page(tx, &account::require(tx)?, &id, None, 500));
    let anew = |notice| if let Notice::ShutOut { anew } = notice { Some(anew) } else { None };
    page.messages.into_iter().filter_map(|line| line.notice.and_then(anew)).collect()
}

/// As a recovery in place leaves it: nothing of the group, and the wait for whoever is in it.
fn recovers(world: &mut World, who: usize, log: LogId) {
    let (now, account) = (world.outside.now, world.devices[who].account);
    // That something waits until then is no fault.
    world.outside.ledger.restored.insert(account);
    world.devices[who]
        .tx(|tx| {
            crate::mls::storage::delete_group(tx, log.as_bytes())?;
            Ok(tx.execute(
                "UPDATE logs SET active = 0, resync_nonce = randomblob(16), resync_ms = ?2 WHERE log = ?1",
                rusqlite::params![log.as_bytes(), now],
            )?)
        })
        .unwrap();
}

fn looks(world: &mut World, who: usize) {
    for _ in 0..3 {
        world.on(who, |device, outside| device.sync(outside));
    }
}

/// Ada, an admin, knows nothing of what the others have done, and begins anew after a day that she was alone in.
fn begins_anew(world: &mut World, id: ConversationId) -> Log {
    world.outside.now += DAY_MS + 1;
    looks(world, ADA);
    let new = written_to(world, ADA, id);
    assert!(new.mine && new.generation == 2 && !new.peer_seen && new.last_handshake > 0, "the control");
    new
}

/// Says that the group of a log does not go on with `to`, since the commit in this place.
fn tells(world: &mut World, by: usize, to: usize, log: LogId, seq: u64) {
    let (sender, keys, now) = (world.devices[by].account, Arc::clone(&world.devices[by].keys), world.outside.now);
    let (account, record) = (world.devices[to].account, world.devices[to].keys.record().clone());
    let content = Content::Removed { log, seq }.encode();
    let (kind, recipient) = (EnvelopeKind::Notice, Recipient { account, record: &record });
    let (entry_id, blob) = seal_for_inbox(&keys, sender, kind, &recipient, &content, (now, None)).unwrap();
    world.outside.relay.send(record.device, &InboxSend { entry_id, kind, blob }).unwrap();
    looks(world, to);
}

/// `compose::retry`.
fn retries(world: &mut World, who: usize, id: ConversationId, message: MessageId) {
    let me = world.devices[who].account;
    world.devices[who]
        .tx(|tx| {
            let line = messages::load(tx, me, message)?.unwrap();
            messages::set_state(tx, me, message, MessageState::Sending, None)?;
            let again = waxwing_protocol::AppMessage::Text { message_id: message, text: line.text }.encode();
            outbox::push(tx, &id, Some(message), &again)
        })
        .unwrap();
}

/// Ada's text since she has begun anew is sent to nobody, and she is told: until she is added again, and sends it once more.
fn ends_and_is_let_in_again(world: &mut World, id: ConversationId, before: MessageId, (removed, reason): (bool, &str)) {
    let ada = world.devices[ADA].account;
    let text = say(world, ADA, id);
    looks(world, ADA);
    assert_eq!(state(world, ADA, text), MessageState::Sent, "the control: the relay has it");
    let waiting = MessageId::from_bytes([7; 16]);
    everybody(world);
    for who in [BEA, CEM, DOT] {
        let why = world.devices[who].set_aside();
        assert!(why.iter().any(|one| one == reason), "{who}: {why:?}");
        assert!(!shows(world, who, id, text), "the control");
    }
    // Who says so may not have read yet what makes her an admin: those who follow show themselves.
    assert_eq!((standing(world, ADA, id), state(world, ADA, text)), (Standing::Member, MessageState::Sent));
    world.outside.now += DAY_MS;
    looks(world, ADA);
    assert_eq!(standing(world, ADA, id), Standing::Removed, "she is told nothing");
    assert_eq!(shut_out(world, ADA, id), [true]);
    assert_eq!(state(world, ADA, text), MessageState::Failed, "it looks as if somebody had read it");
    assert_eq!(state(world, ADA, before), MessageState::Sent, "what was said before has arrived");
    assert!(world.devices[ADA].look(|tx| Ok(logs::of(tx, &id)?.iter().all(|log| !log.active))));
    assert!(world.devices[ADA].look(|tx| outbox::changes(tx, &id)).is_empty());
    assert!(world.devices[ADA].look(|tx| outbox::messages(tx, &id)).is_empty());
    assert!(world.devices[ADA].look(deliveries::waiting).is_empty());
    let people = world.devices[ADA].look(|tx| crate::store::people::of(tx, &id));
    assert!(people.iter().all(|one| one.account != ada), "she is shown among them");
    // Nothing goes out there, and she does not begin anew again and again.
    world.on(ADA, |device, outside| device.send(outside, id, waiting)).unwrap();
    world.outside.now += 2 * DAY_MS;
    everybody(world);
    assert_eq!((standing(world, ADA, id), shut_out(world, ADA, id).len()), (Standing::Removed, 1));
    // What she is told to do helps.
    if !removed {
        change(world, BEA, id, &GroupChange::Remove(ada));
        everybody(world);
    }
    change(world, BEA, id, &GroupChange::Add(vec![ada]));
    everybody(world);
    assert_eq!(standing(world, ADA, id), Standing::Member);
    retries(world, ADA, id, text);
    everybody(world);
    for who in [ADA, BEA, CEM, DOT] {
        assert!(shows(world, who, id, text), "{who}");
    }
    assert_eq!(state(world, ADA, text), MessageState::Sent);
}

fn two_admins(people: usize) -> (World, ConversationId, LogId, MessageId) {
    let (mut world, id) = group(people);
    let bea = world.devices[BEA].account;
    change(&mut world, ADA, id, &GroupChange::SetRole { account: bea, admin: true });
    let before = say(&mut world, ADA, id);
    everybody(&mut world);
    world.settle();
    let log = written_to(&mut world, ADA, id).log;
    (world, id, log, before)
}

/// Ada has recovered, and was removed before anybody has let her back in: she hears of neither.
#[test]
fn an_ex_admin_who_begins_anew_after_a_recovery_is_told_that_nobody_follows() {
    let (mut world, id, log, before) = two_admins(4);
    let (ada, device) = (world.devices[ADA].account, world.devices[ADA].device);
    recovers(&mut world, ADA, log);
    world.outside.relay.holds = true;
    change(&mut world, BEA, id, &GroupChange::Remove(ada));
    looks(&mut world, BEA);
    world.outside.relay.lose(device);
    world.outside.relay.holds = false;
    world.outside.relay.release();
    for who in [BEA, CEM, DOT] {
        looks(&mut world, who);
    }
    begins_anew(&mut world, id);
    ends_and_is_let_in_again(&mut world, id, before, (true, MAY_NOT));
}

/// Ada has lost her place, and is no admin any more: nobody is there for a day to let her back in.
#[test]
fn whoever_is_no_admin_any_more_and_begins_anew_is_told_that_nobody_follows() {
    let (mut world, id, log, before) = two_admins(4);
    let (ada, shut) = (world.devices[ADA].account, Some(world.devices[ADA].device));
    world.outside.ledger.restored.insert(ada);
    update_twisted(&mut world, (id, log), CEM, &Twist { shut, ..Twist::default() });
    for who in [BEA, CEM, DOT] {
        looks(&mut world, who);
    }
    change(&mut world, BEA, id, &GroupChange::SetRole { account: ada, admin: false });
    for who in [BEA, CEM, DOT] {
        looks(&mut world, who);
    }
    looks(&mut world, ADA);
    begins_anew(&mut world, id);
    ends_and_is_let_in_again(&mut world, id, before, (false, MAY_NOT));
}

/// Ada has lost her place, and has not read that somebody was removed meanwhile: those who have do not follow her, with that somebody on her roster.
#[test]
fn whoever_begins_anew_with_somebody_who_was_removed_is_told_that_nobody_follows() {
    const EVE: usize = 4;
    let (mut world, id, log, before) = two_admins(5);
    let (ada, eve) = (world.devices[ADA].account, world.devices[EVE].account);
    let shut = Some(world.devices[ADA].device);
    world.outside.ledger.restored.insert(ada);
    update_twisted(&mut world, (id, log), CEM, &Twist { shut, ..Twist::default() });
    for who in [BEA, CEM, DOT] {
        looks(&mut world, who);
    }
    change(&mut world, BEA, id, &GroupChange::Remove(eve));
    for who in [BEA, CEM, DOT, EVE] {
        looks(&mut world, who);
    }
    // Were she to join and to speak, the others' word would count for nothing.
    world.devices.truncate(EVE);
    looks(&mut world, ADA);
    begins_anew(&mut world, id);
    ends_and_is_let_in_again(&mut world, id, before, (false, BRINGS_SOMEBODY));
}

/// No member puts an admin out: of those who were none, all must say so; of nobody else it counts; and of nobody at all once others are there.
#[test]
fn p13_an_admin_who_begins_anew_is_put_out_by_no_member_and_no_outsider() {
    let (mut world, id) = {
        let mut world = World::new(7, 5);
        let within: Vec<_> = (1..4).map(|who| world.devices[who].account).collect();
        let id = world.create_with(ADA, &within);
        everybody(&mut world);
        (world, id)
    };
    let bea = world.devices[BEA].account;
    change(&mut world, ADA, id, &GroupChange::SetRole { account: bea, admin: true });
    everybody(&mut world);
    world.settle();
    let log = written_to(&mut world, ADA, id).log;
    recovers(&mut world, ADA, log);
    let new = begins_anew(&mut world, id);
    let place = new.last_handshake;
    let text = say(&mut world, ADA, id);
    looks(&mut world, ADA);
    let (outsider, lies) = (4, "a lie counts");
    tells(&mut world, outsider, ADA, new.log, place);
    tells(&mut world, CEM, ADA, new.log, place);
    tells(&mut world, CEM, ADA, new.log, place);
    tells(&mut world, DOT, ADA, new.log, place);
    assert_eq!(standing(&mut world, ADA, id), Standing::Member, "{lies}");
    // Of another place or log than she has told them.
    for (log, seq) in [(new.log, place + 1), (new.log, 0), (log, place)] {
        tells(&mut world, BEA, ADA, log, seq);
        assert_eq!(standing(&mut world, ADA, id), Standing::Member, "{lies}: {seq}");
    }
    world.outside.now += 2 * DAY_MS;
    looks(&mut world, ADA);
    assert_eq!(standing(&mut world, ADA, id), Standing::Member, "{lies} later");
    // Nor does an admin, where the others are there within a day.
    tells(&mut world, BEA, ADA, new.log, place);
    everybody(&mut world);
    let heard = say(&mut world, CEM, id);
    everybody(&mut world);
    assert_eq!(written_to(&mut world, CEM, id).log, new.log, "the control: they follow");
    for message in [text, heard] {
        assert!((0..4).all(|who| shows(&mut world, who, id, message)));
    }
    tells(&mut world, BEA, ADA, new.log, place);
    world.outside.now += 2 * DAY_MS;
    looks(&mut world, ADA);
    assert_eq!(standing(&mut world, ADA, id), Standing::Member, "{lies} where others are");
    assert_eq!((state(&mut world, ADA, text), shut_out(&mut world, ADA, id)), (MessageState::Sent, vec![]));
}

/// Nobody was an admin beside her. Where all refuse, nobody is there.
#[test]
fn where_all_refuse_nobody_is_there() {
    let (mut world, id) = group(3);
    world.settle();
    let log = written_to(&mut world, ADA, id).log;
    recovers(&mut world, ADA, log);
    let new = begins_anew(&mut world, id);
    let text = say(&mut world, ADA, id);
    looks(&mut world, ADA);
    tells(&mut world, BEA, ADA, new.log, new.last_handshake);
    world.outside.now += DAY_MS;
    looks(&mut world, ADA);
    assert_eq!(standing(&mut world, ADA, id), Standing::Member);
    tells(&mut world, CEM, ADA, new.log, new.last_handshake);
    world.outside.now += DAY_MS - 1;
    looks(&mut world, ADA);
    assert_eq!(standing(&mut world, ADA, id), Standing::Member);
    world.outside.now += 1;
    looks(&mut world, ADA);
    assert_eq!(
        (standing(&mut world, ADA, id), state(&mut world, ADA, text)),
        (Standing::Removed, MessageState::Failed)
    );
}

/// Whoever could be brought in at once does not speak for those who could not be yet: they alone would put an admin out.
#[test]
fn p13_who_is_still_to_be_brought_in_has_not_refused() {
    let (mut world, id) = group(3);
    world.settle();
    let (log, cem) = (written_to(&mut world, ADA, id).log, world.devices[CEM].device);
    let packages = world.outside.relay.packages.remove(&cem);
    recovers(&mut world, ADA, log);
    let new = begins_anew(&mut world, id);
    let text = say(&mut world, ADA, id);
    looks(&mut world, ADA);
    tells(&mut world, BEA, ADA, new.log, new.last_handshake);
    world.outside.now += DAY_MS;
    looks(&mut world, ADA);
    assert_eq!((standing(&mut world, ADA, id), state(&mut world, ADA, text)), (Standing::Member, MessageState::Sent));
    world.outside.relay.packages.extend(packages.map(|packages| (cem, packages)));
    everybody(&mut world);
    everybody(&mut world);
    assert!(shows(&mut world, CEM, id, text) || standing(&mut world, CEM, id) == Standing::Member);
}

/// A conversation of two has no admins: neither puts the other out of it.
#[test]
fn nobody_is_put_out_of_a_conversation_of_two() {
    let mut world = World::new(7, 2);
    let bea = world.devices[BEA].account;
    let id = world.on(ADA, |device, outside| device.start_direct(outside, bea)).unwrap();
    say(&mut world, ADA, id);
    everybody(&mut world);
    world.settle();
    let log = written_to(&mut world, ADA, id).log;
    world.outside.ledger.restored.insert(world.devices[ADA].account);
    world.devices[ADA].tx(|tx| logs::note_trouble(tx, log, Trouble::Behind)).unwrap();
    looks(&mut world, ADA);
    let new = begins_anew(&mut world, id);
    let text = say(&mut world, ADA, id);
    looks(&mut world, ADA);
    tells(&mut world, BEA, ADA, new.log, new.last_handshake);
    assert_eq!((standing(&mut world, ADA, id), state(&mut world, ADA, text)), (Standing::Member, MessageState::Sent));
    everybody(&mut world);
    assert!(shows(&mut world, BEA, id, text));
}

/// Only those who were in the group with whoever asks, and accept it themselves; once a day.
#[test]
fn p14_who_is_in_a_group_is_not_told_to_whoever_knows_its_id() {
    let (mut world, id) = group(3);
    world.settle();
    let (cem, told) = (world.devices[CEM].account, |world: &World| world.outside.relay.sent(EnvelopeKind::Notice));
    let before = told(&world);
    again(&mut world, id, CEM, 2);
    looks(&mut world, CEM);
    world.devices[ADA].db.execute("DELETE FROM people WHERE account = ?1", [cem.as_bytes()]).unwrap();
    looks(&mut world, ADA);
    let why = world.devices[ADA].set_aside();
    assert!(why.iter().any(|one| one == MAY_NOT), "the control: {why:?}");
    assert_eq!(told(&world), before, "a stranger learns that she is in there");
    looks(&mut world, BEA);
    assert_eq!(told(&world), before + 1, "the control");
    for (generation, later, times) in [(3, 0, 1), (4, DAY_MS, 2)] {
        world.outside.now += later;
        again(&mut world, id, CEM, generation);
        looks(&mut world, CEM);
        looks(&mut world, BEA);
        assert_eq!(told(&world), before + times);
    }
    world.devices[BEA].tx(|tx| conversations::set_standing(tx, &id, Standing::Request)).unwrap();
    world.outside.now += DAY_MS;
    again(&mut world, id, CEM, 5);
    looks(&mut world, CEM);
    looks(&mut world, BEA);
    assert_eq!(told(&world), before + 2, "something goes back before she accepts");
}

/// Cem, who may not begin anew, has recovered, and nobody lets him back in.
#[test]
fn a_recovered_member_whom_nobody_lets_back_in_waits_a_week_and_says_so() {
    let (mut world, id) = group(3);
    world.settle();
    let (log, cem) = (written_to(&mut world, CEM, id).log, world.devices[CEM].account);
    recovers(&mut world, CEM, log);
    let text = MessageId::from_bytes([9; 16]);
    world.on(CEM, |device, outside| device.send(outside, id, text)).unwrap();
    world.outside.now += 7 * DAY_MS - 1;
    looks(&mut world, CEM);
    assert_eq!(
        (standing(&mut world, CEM, id), state(&mut world, CEM, text)),
        (Standing::Member, MessageState::Sending)
    );
    assert!(shut_out(&mut world, CEM, id).is_empty());
    world.outside.now += 1;
    looks(&mut world, CEM);
    assert_eq!(
        (standing(&mut world, CEM, id), state(&mut world, CEM, text)),
        (Standing::Removed, MessageState::Failed)
    );
    assert_eq!(shut_out(&mut world, CEM, id), [false]);
    world.outside.now += 7 * DAY_MS;
    looks(&mut world, CEM);
    assert_eq!(shut_out(&mut world, CEM, id), [false], "it says so once");
    change(&mut world, ADA, id, &GroupChange::Remove(cem));
    everybody(&mut world);
    change(&mut world, ADA, id, &GroupChange::Add(vec![cem]));
    everybody(&mut world);
    assert_eq!(standing(&mut world, CEM, id), Standing::Member);
    retries(&mut world, CEM, id, text);
    everybody(&mut world);
    assert!((0..3).all(|who| shows(&mut world, who, id, text)));
}
