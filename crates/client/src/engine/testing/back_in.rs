//! Welcomes that let a device back in, and say something else than what was asked for: another relay, another generation, a place where no
//! handshake stands. And who is new, or gone, when one is back.

use rusqlite::params;
use waxwing_protocol::{Content, Recipient, Welcome};
use waxwing_wire::LogId;
use waxwing_wire::frame::InboxSend;
use waxwing_wire::log::EnvelopeKind;

use super::super::context::introduction;
use super::super::sealing::seal_for_inbox;
use super::faults::{change, everybody, group, say, shows};
use super::forge::Twist;
use super::lockouts::update_twisted;
use super::world::World;
use crate::mls::{ClaimedPackage, Group, GroupChange, Plan, read_package, storage};
use crate::store::conversations::ConversationId;
use crate::store::logs::Trouble;
use crate::store::{account, aside, keys, logs, messages};
use crate::views::Notice;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

pub(super) fn log_of(world: &mut World, id: ConversationId) -> LogId {
    world.devices[0].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap().log))
}

/// Cem has missed a handshake, and asks to be let back in.
pub(super) fn loses_place(world: &mut World, log: LogId) {
    let cem = world.devices[2].account;
    // That something waits until then is no fault.
    world.outside.ledger.restored.insert(cem);
    world.devices[2].tx(|tx| logs::note_trouble(tx, log, Trouble::Behind)).unwrap();
    world.on(2, |device, outside| device.sync(outside));
}

pub(super) fn trouble(world: &mut World, who: usize, log: LogId) -> Trouble {
    world.devices[who].look(|tx| Ok(logs::load(tx, log)?.unwrap().trouble))
}

fn notices(world: &mut World, who: usize, id: ConversationId) -> Vec<Notice> {
    world.devices[who].look(|tx| {
        let page = messages::page(tx, &account::require(tx)?, &id, None, 500)?;
        Ok(page.messages.into_iter().filter_map(|line| line.notice).collect())
    })
}

#[test]
fn a_welcome_of_another_relay_or_generation_lets_nobody_back_in() {
    for lie in
        ["UPDATE logs SET relay = 'elsewhere.example' WHERE log = ?1", "UPDATE logs SET generation = 7 WHERE log = ?1"]
    {
        let (mut world, id) = group(3);
        let log = log_of(&mut world, id);
        loses_place(&mut world, log);
        let of_group = lie.contains("generation");
        if of_group {
            // Cem knows the group as one that was begun anew; the Welcome is of the one before.
            world.devices[2].tx(|tx| Ok(tx.execute(lie, [log.as_bytes()])?)).unwrap();
        } else {
            for who in [0, 1] {
                world.devices[who].tx(|tx| Ok(tx.execute(lie, [log.as_bytes()])?)).unwrap();
            }
        }
        everybody(&mut world);
        world.outside.now += 4000;
        everybody(&mut world);
        let why = world.devices[2].set_aside();
        assert!(why.contains(&"it is of another group than the one that was asked about".to_owned()), "{lie}: {why:?}");
        assert_ne!(trouble(&mut world, 2, log), Trouble::None, "{lie}");
    }
}

/// The Welcome names the place of a text as that of its commit. Whoever lets one back in could, and everything that is said would be
/// sealed for another place than the one that one knows.
#[test]
fn a_place_that_no_member_knows_of_is_not_believed_for_long() {
    let (mut world, id) = group(3);
    let log = log_of(&mut world, id);
    loses_place(&mut world, log);
    everybody(&mut world);
    world.outside.now += 4000;
    everybody(&mut world);
    assert_eq!(trouble(&mut world, 2, log), Trouble::None, "the control");
    say(&mut world, 0, id);
    let running = {
        world.on(1, |device, outside| device.sync(outside));
        world.devices[1].look(|tx| Ok(logs::load(tx, log)?.unwrap()))
    };
    let now = world.outside.now;
    world.devices[2]
        .tx(|tx| {
            Ok(tx.execute(
                "UPDATE logs SET cursor = ?2, running = ?3, last_handshake = ?2, handshake_running = ?3, joined_slot = ?2, joined_ms = ?4
                 WHERE log = ?1",
                params![log.as_bytes(), running.cursor, running.running, now],
            )?)
        })
        .unwrap();
    world.outside.now += DAY_MS;
    let lost = [say(&mut world, 0, id), say(&mut world, 1, id)];
    world.on(2, |device, outside| device.sync(outside));
    assert!(lost.iter().all(|message| !shows(&mut world, 2, id, *message)), "the control");
    assert_eq!(trouble(&mut world, 2, log), Trouble::Behind);
    everybody(&mut world);
    world.outside.now += 4000;
    everybody(&mut world);
    assert_eq!(trouble(&mut world, 2, log), Trouble::None);
    let message = say(&mut world, 0, id);
    everybody(&mut world);
    assert!(shows(&mut world, 2, id, message));
}

/// Bea lets Cem back into a group of her own making, of her and him alone: under the same id, and as if it stood at `slot` of the log.
pub(super) fn let_in_falsely(world: &mut World, group: (ConversationId, LogId), slot: Option<u64>) {
    let_in_falsely_with(world, group, slot, None);
}

/// The same, with somebody else in it. The Welcome to it, for them.
pub(super) fn let_in_falsely_with(
    world: &mut World,
    (id, log): (ConversationId, LogId),
    slot: Option<u64>,
    also: Option<ClaimedPackage>,
) -> Vec<u8> {
    let cem = world.devices[2].account;
    let nonce = world.devices[2].look(|tx| logs::resync(tx, log)).1.unwrap();
    let World { outside, devices, .. } = &mut *world;
    let (device, package) = outside.relay.claim(cem).unwrap().remove(0);
    let bea = &mut devices[1];
    let context = bea.context(outside.now);
    let (content, record, mls) = bea.look(|tx| {
        let (me, stored) = (account::require(tx)?, logs::load(tx, log)?.unwrap());
        let mut roster = Group::load(&context.crypto, tx, log)?.unwrap().roster()?;
        let with = also.as_ref().map_or(cem, |also| also.account);
        roster.lines.retain(|line| [context.account, cem, with].contains(&line.account));
        let (own, chain) = (keys::chain(tx, me.account)?.unwrap(), keys::chain(tx, cem)?.unwrap());
        let claimed = read_package(&context.crypto, &chain, device, &package)?;
        storage::delete_group(tx, log.as_bytes())?;
        let mut group = Group::create(&context.crypto, tx, context.account, &context.keys, log, &roster)?;
        let plan = Plan { add: [claimed].into_iter().chain(also).collect(), ..Plan::default() };
        let committed = group.commit(context.account, context.keys.leaf(), &context.keys, plan)?;
        let mls = committed.welcome.unwrap().mls;
        let welcome = Welcome {
            conversation: id,
            relay: me.relay.clone(),
            log,
            channel_secret: stored.secret,
            slot: slot.unwrap_or(stored.last_handshake),
            running: stored.handshake_running,
            nonce,
            sender: introduction(&me, &own, me.invite_key.clone()),
            mls: mls.clone(),
        };
        Ok((Content::Welcome(welcome).encode(), chain.device(device).unwrap().current().record.clone(), mls))
    });
    let (kind, recipient) = (EnvelopeKind::Welcome, Recipient { account: cem, record: &record });
    let (entry_id, blob) =
        seal_for_inbox(&context.keys, context.account, kind, &recipient, &content, (outside.now, None)).unwrap();
    outside.relay.send(device, &InboxSend { entry_id, kind, blob }).unwrap();
    mls
}

#[test]
fn p3_of_two_who_let_one_back_in_the_one_who_lies_keeps_nobody_out() {
    for slot in [None, Some(1 << 40)] {
        let (mut world, id) = group(3);
        let log = log_of(&mut world, id);
        loses_place(&mut world, log);
        let_in_falsely(&mut world, (id, log), slot);
        let cem = world.devices[2].account;
        world.outside.ledger.misled.insert(cem);
        world.on(2, |cem, outside| cem.drain_inbox(outside)).unwrap();
        assert_eq!(trouble(&mut world, 2, log), Trouble::None, "she is believed");
        // Ada answers, too.
        for _ in 0..3 {
            world.on(0, |ada, outside| ada.sync(outside));
            world.outside.now += 4000;
            world.on(2, |cem, outside| cem.sync(outside));
        }
        assert_eq!(trouble(&mut world, 2, log), Trouble::None, "{slot:?}");
        let said = [say(&mut world, 0, id), say(&mut world, 2, id)];
        everybody(&mut world);
        for who in 0..3 {
            assert!(said.iter().all(|message| shows(&mut world, who, id, *message)), "{slot:?} {who}");
        }
    }
}

/// The first answer is the true one: another is not taken, whenever it comes.
#[test]
fn p3_whoever_is_back_in_is_not_led_astray_by_a_second_answer() {
    let (mut world, id) = group(3);
    let log = log_of(&mut world, id);
    loses_place(&mut world, log);
    let nonce = world.devices[2].look(|tx| logs::resync(tx, log)).1.unwrap();
    for _ in 0..2 {
        world.on(0, |ada, outside| ada.sync(outside));
        world.outside.now += 4000;
    }
    world.on(2, |cem, outside| cem.sync(outside));
    assert_eq!(trouble(&mut world, 2, log), Trouble::None);
    world.devices[2].tx(|tx| Ok(tx.execute("UPDATE logs SET resync_nonce = ?1", [nonce])?)).unwrap();
    let_in_falsely(&mut world, (id, log), None);
    world.devices[2].tx(|tx| Ok(tx.execute("UPDATE logs SET resync_nonce = NULL", [])?)).unwrap();
    world.on(2, |cem, outside| cem.sync(outside));
    assert_eq!(world.devices[2].look(aside::waiting).len(), 1, "nobody has spoken yet: it is kept");
    let said = say(&mut world, 1, id);
    everybody(&mut world);
    assert!(shows(&mut world, 2, id, said));
    assert_eq!(world.devices[2].look(aside::waiting).len(), 0, "she has spoken in the group that Ada has told of");
    world.settle();
}

/// Whoever was not asked, and is an admin, takes out whoever has lost their place and brings them in again.
#[test]
fn an_admin_who_was_not_asked_lets_one_back_in_by_removing_and_adding_them() {
    let (mut world, id) = group(3);
    let log = log_of(&mut world, id);
    let cem = world.devices[2].account;
    world.outside.ledger.restored.insert(cem);
    world.devices[2].tx(|tx| logs::note_trouble(tx, log, Trouble::Behind)).unwrap();
    // Nobody was asked today.
    let now = world.outside.now;
    world.devices[2].tx(|tx| logs::set_resync(tx, log, now, &[7; 16])).unwrap();
    change(&mut world, 0, id, &GroupChange::Remove(cem));
    everybody(&mut world);
    change(&mut world, 0, id, &GroupChange::Add(vec![cem]));
    everybody(&mut world);
    assert_eq!(trouble(&mut world, 2, log), Trouble::None);
    let said = [say(&mut world, 0, id), say(&mut world, 2, id)];
    everybody(&mut world);
    for who in 0..3 {
        assert!(said.iter().all(|message| shows(&mut world, who, id, *message)), "{who}");
    }
}

#[test]
fn whoever_is_back_is_told_who_came_and_who_is_gone() {
    let mut world = World::new(7, 5);
    let others: Vec<_> = world.others(0).into_iter().take(3).collect();
    let id = world.create_with(0, &others);
    everybody(&mut world);
    let log = log_of(&mut world, id);
    let (dot, eli) = (world.devices[3].account, world.devices[4].account);
    // Cem reads nothing of what follows, for a handshake before it does not open.
    let shut = Some(world.devices[2].device);
    update_twisted(&mut world, (id, log), 0, &Twist { shut, ..Twist::default() });
    loses_place(&mut world, log);
    change(&mut world, 0, id, &GroupChange::Remove(dot));
    change(&mut world, 0, id, &GroupChange::Add(vec![eli]));
    for _ in 0..2 {
        everybody(&mut world);
        world.outside.now += 4000;
    }
    assert_eq!(trouble(&mut world, 2, log), Trouble::None);
    let told = notices(&mut world, 2, id);
    let gone =
        |notice: &Notice| matches!(notice, Notice::Gone { names } if names.len() == 1 && names[0].starts_with("dot"));
    let came = |notice: &Notice| matches!(notice, Notice::Added { names, .. } if names.len() == 1 && names[0].starts_with("eli"));
    assert!(told.iter().any(gone) && told.iter().any(came), "{told:?}");
}
