//! Two are asked to let one back in, and both answer: which of them is believed, in what, and until when. And who may say that one is out.

use waxwing_protocol::envelope::Recipient;
use waxwing_protocol::{AppMessage, Content};
use waxwing_wire::frame::InboxSend;
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{AccountId, DeviceId, EnvelopeId, LogId, MessageId};

use super::super::sealing::seal_for_inbox;
use super::back_in::{let_in_falsely, let_in_falsely_with, log_of, loses_place, trouble};
use super::faults::{everybody, group, rotate, say, shows};
use super::forge::Twist;
use super::liar::impostor;
use super::world::World;
use crate::mls::Group;
use crate::store::conversations::ConversationId;
use crate::store::logs::Trouble;
use crate::store::{aside, conversations, held, keys, logs};
use crate::views::Standing;

const ADA: usize = 0;
const BEA: usize = 1;
const CEM: usize = 2;

/// Cem has lost his place, has asked Ada and Bea, and Ada has let him back in. Under which nonce.
fn let_in_by_ada() -> (World, ConversationId, LogId, [u8; 16]) {
    let (mut world, id) = group(3);
    let log = log_of(&mut world, id);
    loses_place(&mut world, log);
    let nonce = world.devices[CEM].look(|tx| logs::resync(tx, log)).1.unwrap();
    for _ in 0..2 {
        world.on(ADA, |ada, outside| ada.sync(outside));
        world.outside.now += 4000;
    }
    world.on(CEM, |cem, outside| cem.sync(outside));
    assert_eq!(trouble(&mut world, CEM, log), Trouble::None);
    (world, id, log, nonce)
}

/// Bea answers as well, with a group of her own making; Cem looks into his inbox.
fn bea_answers_falsely(world: &mut World, (id, log): (ConversationId, LogId), nonce: [u8; 16]) {
    world.devices[CEM].tx(|tx| Ok(tx.execute("UPDATE logs SET resync_nonce = ?1", [nonce])?)).unwrap();
    let_in_falsely(world, (id, log), None);
    world.devices[CEM].tx(|tx| Ok(tx.execute("UPDATE logs SET resync_nonce = NULL", [])?)).unwrap();
    world.on(CEM, |cem, outside| cem.drain_inbox(outside)).unwrap();
}

/// What is known of somebody's chain after a start, entry by entry.
fn known(world: &mut World, who: usize, of: AccountId) -> Vec<Vec<u8>> {
    let World { outside, devices, .. } = world;
    devices[who].restart(outside);
    devices[who].look(|tx| keys::chain_entries(tx, of))
}

/// The chain is kept at hand from then on, and what comes later goes behind it: without it there would be a gap, and no chain.
#[test]
fn p3_with_a_welcome_that_waits_what_is_new_of_its_senders_chain_is_stored() {
    let (mut world, id, log, nonce) = let_in_by_ada();
    let bea = world.devices[BEA].account;
    let before = world.devices[CEM].look(|tx| keys::chain_entries(tx, bea));
    rotate(&mut world, BEA);
    bea_answers_falsely(&mut world, (id, log), nonce);
    assert_eq!(world.devices[CEM].look(aside::waiting).len(), 1, "the control");
    assert_eq!(world.devices[CEM].look(|tx| keys::chain_entries(tx, bea)).len(), 2, "it is at hand and not stored");
    // Her next entry comes along with what she says in the group, behind the one that Cem has at hand.
    rotate(&mut world, BEA);
    everybody(&mut world);
    let theirs = world.outside.relay.chain(bea, 0).unwrap();
    assert_eq!((before.len(), theirs.len()), (1, 3), "the control");
    assert_eq!(known(&mut world, CEM, bea), theirs, "there is a gap");
    let said = say(&mut world, BEA, id);
    everybody(&mut world);
    assert!(shows(&mut world, CEM, id, said));
}

/// Nobody has said anything against the first answer. That something else cannot be read is no reason to take another.
#[test]
fn p3_a_second_answer_counts_where_the_first_is_belied_and_on_no_other_trouble() {
    let (mut world, id, log, nonce) = let_in_by_ada();
    bea_answers_falsely(&mut world, (id, log), nonce);
    // What he is in then is looked at here, not by the ledger.
    world.outside.ledger.misled.insert(world.devices[CEM].account);
    for trouble in [Trouble::Lost, Trouble::Behind] {
        world.devices[CEM].tx(|tx| logs::note_trouble(tx, log, trouble)).unwrap();
        world.on(CEM, |cem, outside| cem.sync(outside));
        assert_eq!(world.devices[CEM].look(aside::waiting).len(), 1, "{trouble:?}: she is believed");
        let said = say(&mut world, ADA, id);
        world.on(CEM, |cem, outside| cem.sync(outside));
        assert!(shows(&mut world, CEM, id, said), "{trouble:?}: he is in a group of hers");
    }
    // The control: as soon as the first is belied.
    world.devices[CEM].tx(|tx| logs::belie(tx, log)).unwrap();
    world.on(CEM, |cem, outside| cem.retry_welcomes(outside));
    assert_eq!(world.devices[CEM].look(aside::waiting).len(), 0);
    let said = say(&mut world, ADA, id);
    world.on(CEM, |cem, outside| cem.sync(outside));
    assert!(!shows(&mut world, CEM, id, said), "the control: it was a group of hers");
}

/// In a group of her own making Bea has a second member speak, of whom Ada's chain knows nothing. That is nobody's word but hers.
#[test]
fn p3_no_member_of_a_false_group_vouches_for_it_but_by_keys_in_their_chain() {
    let (mut world, id) = group(3);
    let log = log_of(&mut world, id);
    loses_place(&mut world, log);
    let nonce = world.devices[CEM].look(|tx| logs::resync(tx, log)).1.unwrap();
    let (ada, bea, cem) = (world.devices[ADA].account, world.devices[BEA].account, world.devices[CEM].account);
    world.outside.ledger.misled.insert(cem);
    let mut guest = impostor("ada", ada, DeviceId::from_bytes([9; 16]));
    let welcome = let_in_falsely_with(&mut world, (id, log), None, Some(guest.claimed()));
    world.on(CEM, |cem, outside| cem.drain_inbox(outside)).unwrap();
    assert_eq!(trouble(&mut world, CEM, log), Trouble::None, "the control: she is believed");
    guest.joins(log, &welcome);
    let text = AppMessage::Text { message_id: MessageId::from_bytes([8; 16]), text: "hello".to_owned() }.encode();
    let (mls, crypto, entry) =
        (guest.says(log, &text), world.devices[CEM].crypto.clone(), EnvelopeId::from_bytes([8; 16]));
    let epoch = world.devices[CEM].look(|tx| Ok(Group::load(&crypto, tx, log)?.unwrap().epoch()));
    let twist = Twist { epoch: Some(epoch), ..Twist::default() };
    let (kind, signer) = (EnvelopeKind::App, (ada, &*guest.keys));
    let blob = world.devices[BEA].envelope_twisted(&twist, log, kind, mls, signer, entry);
    world.outside.relay.inject(log, entry, kind, blob);
    world.on(CEM, |cem, outside| cem.drain_log(outside, log)).unwrap();
    assert_eq!(world.devices[CEM].look(|tx| held::of(tx, ada)).len(), 1, "the control: it is read, and kept back");
    assert_eq!(world.devices[CEM].look(|tx| logs::answered_by(tx, log, &nonce)), Some(bea), "her group is the others'");
}

/// Somebody tells Cem that he was taken out; whether he is in the group still.
fn told_that_he_is_out(world: &mut World, from: usize, (id, log): (ConversationId, LogId)) -> bool {
    let (cem, device) = (world.devices[CEM].account, world.devices[CEM].device);
    let context = world.devices[from].context(world.outside.now);
    let chain = world.devices[from].look(|tx| keys::chain(tx, cem)).unwrap();
    let recipient = Recipient { account: cem, record: &chain.device(device).unwrap().current().record };
    let content = Content::Removed { log, seq: 1 << 40 }.encode();
    let kind = EnvelopeKind::Notice;
    let (entry_id, blob) =
        seal_for_inbox(&context.keys, context.account, kind, &recipient, &content, (context.now, None)).unwrap();
    world.outside.relay.send(device, &InboxSend { entry_id, kind, blob }).unwrap();
    world.on(CEM, |cem, outside| cem.drain_inbox(outside)).unwrap();
    let (active, standing) = world.devices[CEM]
        .look(|tx| Ok((logs::load(tx, log)?.unwrap().active, conversations::load(tx, &id)?.standing)));
    assert_eq!(active, standing == Standing::Member);
    active
}

/// Bea is no admin. While she is asked, she may say that Cem is out; once another has let him in, that is over, whatever becomes of him.
#[test]
fn p3_whoever_was_asked_and_another_has_answered_is_believed_in_nothing_else() {
    let (mut world, id) = group(3);
    let log = log_of(&mut world, id);
    loses_place(&mut world, log);
    assert!(!told_that_he_is_out(&mut world, BEA, (id, log)), "the control: she was asked");
    let (mut world, id, log, _) = let_in_by_ada();
    world.devices[CEM].tx(|tx| logs::note_trouble(tx, log, Trouble::Behind)).unwrap();
    assert!(told_that_he_is_out(&mut world, BEA, (id, log)), "she has taken him out by a word");
    assert!(!told_that_he_is_out(&mut world, ADA, (id, log)), "the control: she is an admin");
}

/// Whoever can read the log sees there whether they are out.
#[test]
fn p3_that_one_is_out_counts_for_a_device_that_is_blind_and_for_no_other() {
    let blind = [Trouble::Behind, Trouble::RolledBack, Trouble::Frozen];
    for trouble in [Trouble::None, Trouble::Lost].into_iter().chain(blind) {
        let (mut world, id) = group(3);
        let log = log_of(&mut world, id);
        world.devices[CEM].tx(|tx| logs::note_trouble(tx, log, trouble)).unwrap();
        let stays = told_that_he_is_out(&mut world, ADA, (id, log));
        assert_eq!(stays, !blind.contains(&trouble), "{trouble:?}");
    }
}
