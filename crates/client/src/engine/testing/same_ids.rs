//! Two members' texts under one message id: whoever has read a text can say another under its id before it is said again to somebody.

use waxwing_protocol::AppMessage;
use waxwing_wire::{AccountId, MessageId, hash, label};

use super::faults::{everybody, group};
use super::world::World;
use crate::store::conversations::ConversationId;
use crate::store::{account, messages, outbox};

const ADA: usize = 0;
const BEA: usize = 1;
const CEM: usize = 2;

/// Says a text under an id of one's own choice, whatever one has said under it before.
fn says(world: &mut World, who: usize, id: ConversationId, message_id: MessageId, text: &str) {
    let content = AppMessage::Text { message_id, text: text.to_owned() }.encode();
    world.devices[who].tx(|tx| outbox::push(tx, &id, None, &content)).unwrap();
    everybody(world);
}

/// What Cem is shown: under which id, of whom, and what.
fn shown(world: &mut World, id: ConversationId) -> Vec<(String, String, String)> {
    let page = world.devices[CEM].look(|tx| messages::page(tx, &account::require(tx)?, &id, None, 500));
    let texts = page.messages.into_iter().filter(|line| line.notice.is_none());
    let lines: Vec<_> = texts.map(|line| (line.id, line.sender, line.text)).collect();
    let ids: std::collections::HashSet<_> = lines.iter().map(|line| line.0.clone()).collect();
    assert_eq!(ids.len(), lines.len(), "two lines have one id: {lines:?}");
    lines
}

fn texts(world: &mut World, id: ConversationId) -> Vec<String> {
    shown(world, id).into_iter().map(|line| line.2).collect()
}

/// Cem deletes a line as it is shown to him.
fn deletes(world: &mut World, line: &str) {
    let line = line.parse().unwrap();
    world.devices[CEM].tx(|tx| messages::delete(tx, &messages::find(tx, line)?)).unwrap();
}

fn made_of(sender: AccountId, id: MessageId) -> MessageId {
    let digest = hash(&[&label("line"), sender.as_bytes(), id.as_bytes()]);
    MessageId::from_bytes(*digest.first_chunk().unwrap())
}

#[test]
fn p13_no_member_makes_anothers_text_vanish_by_its_id() {
    let (mut world, id) = group(3);
    let x = MessageId::from_bytes([7; 16]);
    says(&mut world, BEA, id, x, "Mallory's");
    says(&mut world, ADA, id, x, "Ada's");
    assert_eq!(texts(&mut world, id), ["Mallory's", "Ada's"]);
    // What is said again is the line that is there.
    says(&mut world, ADA, id, x, "Ada's");
    says(&mut world, BEA, id, x, "Mallory's");
    assert_eq!(texts(&mut world, id), ["Mallory's", "Ada's"]);
    // Each is deleted for itself, and for good.
    let first = shown(&mut world, id)[0].0.clone();
    deletes(&mut world, &first);
    says(&mut world, ADA, id, x, "Ada's");
    says(&mut world, BEA, id, x, "Mallory's");
    assert_eq!(texts(&mut world, id), ["Ada's"]);
    let second = shown(&mut world, id)[0].0.clone();
    deletes(&mut world, &second);
    says(&mut world, ADA, id, x, "Ada's");
    says(&mut world, BEA, id, x, "Mallory's");
    assert_eq!(texts(&mut world, id), [""; 0]);
}

/// Nor where the id that it would give way to is taken as well.
#[test]
fn p13_nor_by_taking_the_next_id_too() {
    let (mut world, id) = group(3);
    let (x, ada) = (MessageId::from_bytes([7; 16]), world.devices[ADA].account);
    let next = made_of(ada, x);
    says(&mut world, BEA, id, x, "Mallory's");
    says(&mut world, BEA, id, next, "one more");
    says(&mut world, ADA, id, x, "Ada's");
    assert_eq!(texts(&mut world, id), ["Mallory's", "one more", "Ada's"]);
    let (taken, mine) = (shown(&mut world, id)[1].0.clone(), shown(&mut world, id)[2].clone());
    assert_eq!(mine, (made_of(ada, next).to_string(), ada.to_string(), "Ada's".to_owned()));
    deletes(&mut world, &taken);
    says(&mut world, ADA, id, x, "Ada's");
    assert_eq!(texts(&mut world, id), ["Mallory's", "Ada's"], "it is shown twice");
}
