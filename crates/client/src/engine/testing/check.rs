//! What must hold in the end, when everything was delivered.

use std::collections::{BTreeSet, HashMap, HashSet};

use waxwing_protocol::ChannelSecret;
use waxwing_protocol::group::{GroupKind, RosterRole};
use waxwing_wire::frame::LogEntry;
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{AccountId, LogId, MessageId};

use super::device::Device;
use super::ledger::Outside;
use super::world::World;
use crate::mls::Group;
use crate::store::conversations::ConversationId;
use crate::store::{account, conversations, deliveries, logs, messages, people};
use crate::views::{MessageState, MessageView, Standing};

/// Where each message stands.
///
/// Twice only where an older copy of the sender's database sent it once more, or in the log that took another's place.
type Places = HashMap<MessageId, Vec<Place>>;

/// The log, the place there, and the last handshake before it; and whom alone it was sealed for, where it says a text again.
type Place = (LogId, u64, u64, Option<HashSet<AccountId>>);

impl World {
    pub(super) fn check(&mut self) {
        let places = places(&self.outside);
        let aside: Vec<_> = self.devices.iter_mut().map(|device| (device.name.clone(), device.set_aside())).collect();
        self.outside.ledger.story.push(format!("set aside: {aside:?}"));
        // After an older database a group can be left to nobody but whoever waits to be let back into it.
        let mut dead: BTreeSet<LogId> = self.outside.relay.logs.keys().copied().collect();
        for device in &mut self.devices {
            let here = |log: &logs::Log| log.active && log.trouble == logs::Trouble::None;
            dead.retain(|log| device.look(|tx| logs::load(tx, *log)).is_none_or(|log| !here(&log)));
        }
        if self.outside.ledger.restored.is_empty() {
            dead.clear();
        }
        *self.outside.ledger.counts.entry("left to whoever waits").or_default() += dead.len() as u64;
        self.devices.iter_mut().for_each(|device| nothing_waits(device, &dead));
        for (message, (sender, of)) in &self.outside.ledger.sent {
            let sender = self.devices.iter_mut().find(|device| device.account == *sender).unwrap();
            let line = sender.look(|tx| messages::load(tx, sender_of(tx)?, *message));
            let state = line.map(|line| line.state);
            let there = places.contains_key(message);
            let again = sender.look(|tx| messages::load(tx, sender_of(tx)?, *message)).and_then(|line| line.error);
            let waits = state == Some(MessageState::Sending) && nobody_is_left(sender, of, &dead);
            if line_is_lost(&self.outside, sender, state) || waits {
                continue;
            }
            let fits = if there { state == Some(MessageState::Sent) } else { state == Some(MessageState::Failed) };
            assert!(fits, "{} has a message that is {state:?} ({again:?}), and in a log: {there}", sender.name);
        }
        for device in &mut self.devices {
            texts(device, &self.outside, &places);
            groups(device, &self.outside, &dead);
        }
        leavers_are_gone(&mut self.devices);
        closed_to_others(&mut self.devices, &mut self.outside);
    }
}

/// Written after the copy that was put back was made, or sent after it.
fn line_is_lost(outside: &Outside, sender: &Device, state: Option<MessageState>) -> bool {
    matches!(state, None | Some(MessageState::Failed)) && outside.ledger.restored.contains(&sender.account)
}

/// Whether the sender waits to be let back into a conversation of which nobody takes part any more.
fn nobody_is_left(sender: &mut Device, of: &ConversationId, dead: &BTreeSet<LogId>) -> bool {
    let here: Vec<_> = sender.look(|tx| logs::of(tx, of)).into_iter().filter(|log| log.active).collect();
    !here.is_empty() && here.iter().all(|log| dead.contains(&log.log))
}

fn sender_of(tx: &rusqlite::Transaction<'_>) -> Result<AccountId, crate::error::Error> {
    Ok(account::require(tx)?.account)
}

fn places(outside: &Outside) -> Places {
    let mut places = Places::new();
    for (id, log) in &outside.relay.logs {
        let mut after = 0;
        for entry in &log.entries {
            if !log.injected.contains(&entry.seq)
                && let Some(message) = outside.ledger.sealed.get(&entry.entry_id)
            {
                let all: &mut Vec<_> = places.entry(*message).or_default();
                let twice = all.iter().any(|(other, ..)| other == id);
                all.push((*id, entry.seq, after, outside.ledger.again_for.get(&entry.entry_id).cloned()));
                let sender = outside.ledger.sent.get(message).map(|(sender, _)| sender);
                let again = sender.is_some_and(|sender| outside.ledger.restored.contains(sender));
                assert!(!twice || again, "a message stands in a log twice");
            }
            if entry.kind == EnvelopeKind::Handshake {
                after = entry.seq;
            }
        }
    }
    places
}

/// What waits in a conversation that nobody else is in any more waits for good.
fn nothing_waits(device: &mut Device, dead: &BTreeSet<LogId>) {
    let name = device.name.clone();
    let waits: Vec<String> = device.look(|tx| {
        let mut statement = tx.prepare(
            "SELECT what, accepted, not_before_ms, message IS NULL, blob IS NULL, conversation, log, after FROM outbox",
        )?;
        let rows = statement.query_map([], |row| {
            let told: (i64, i64, i64, bool, bool) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
            let (log, after): (Option<[u8; 16]>, Option<u64>) = (row.get(6)?, row.get(7)?);
            let log = log.map(LogId::from_bytes);
            let told =
                format!("(what, accepted, not before, no message, unsealed) = {told:?} for {log:?} after {after:?}");
            Ok((told, row.get(5)?))
        })?;
        let mut waits = Vec::new();
        for row in rows {
            let (told, conversation): (String, ConversationId) = row?;
            let mut here = logs::of(tx, &conversation)?.into_iter().filter(|log| log.active).peekable();
            if here.peek().is_none() || !here.all(|log| dead.contains(&log.log)) {
                waits.push(told);
            }
        }
        Ok(waits)
    });
    let aside = device.set_aside();
    assert!(waits.is_empty(), "in the outbox of {name} waits {waits:?}; set aside: {aside:?}");
    assert!(device.look(deliveries::waiting).is_empty(), "{name} still has something for inboxes");
}

/// Each text that the device was in the group for, once, in the order of the log; and no other.
fn texts(device: &mut Device, outside: &Outside, places: &Places) {
    let ledger = &outside.ledger;
    let me = device.account;
    // Whoever put back an older database lost the Welcomes that were on their way, too.
    let logs_here: BTreeSet<LogId> =
        outside.relay.logs.keys().copied().filter(|log| device.look(|tx| logs::load(tx, *log)).is_some()).collect();
    let unwelcomed = |sender: &AccountId, log: &LogId| ledger.restored.contains(sender) && !logs_here.contains(log);
    for conversation in device.conversations() {
        let (lines, unread) = device.look(|tx| {
            let me = account::require(tx)?;
            let page = messages::page(tx, &me, &conversation.id, None, 500)?;
            assert!(!page.more);
            Ok((page.messages, conversations::view(tx, &me, &conversation)?.unread))
        });
        let stranded = |line: &MessageView| line.state == MessageState::Failed;
        let texts: Vec<_> = lines.iter().filter(|line| line.notice.is_none() && !stranded(line)).collect();
        let mut last: HashMap<LogId, u64> = HashMap::new();
        for line in &texts {
            let id: MessageId = line.id.parse().unwrap();
            assert_eq!(line.text, line.id, "another text");
            assert_eq!(ledger.sent.get(&id).map(|(sender, _)| sender.to_string()), Some(line.sender.clone()));
            let Some([(log, seq, ..)]) = places.get(&id).map(Vec::as_slice) else { continue };
            if ledger.is_blind(me, *log, *seq) {
                continue;
            }
            let before = last.insert(*log, *seq).unwrap_or(0);
            let (mine, skewed) = (line.mine, ledger.skewed.contains(&(me, *log)));
            assert!(before < *seq || skewed, "{} shows {seq} (its own: {mine}) behind {before}", device.name);
        }
        let theirs: BTreeSet<MessageId> =
            texts.iter().filter(|line| !line.mine).map(|line| line.id.parse().unwrap()).collect();
        assert_eq!(theirs.len(), texts.iter().filter(|line| !line.mine).count(), "shown twice");
        let due: BTreeSet<MessageId> = ledger
            .sent
            .iter()
            .filter(|(_, (sender, of))| *sender != me && *of == conversation.id)
            .filter(|(message, (sender, _))| {
                places.get(*message).into_iter().flatten().any(|(log, seq, after, only)| {
                    if unwelcomed(sender, log) || ledger.is_unwelcomed(me, *log, *after) {
                        return false;
                    }
                    let here = ledger.member(me, *log, *after) && !ledger.is_away(me, *log, *seq);
                    let excused = ledger.is_overtaken(me, *log, *seq, *after) || ledger.is_blind(me, *log, *seq);
                    let for_me = only.as_ref().is_none_or(|only| only.contains(&me));
                    here && for_me && (theirs.contains(*message) || !excused)
                })
            })
            .map(|(message, _)| *message)
            .collect();
        let show = |set: &BTreeSet<MessageId>, other: &BTreeSet<MessageId>| -> Vec<_> {
            let why = |(sender, place): (&AccountId, &Place)| {
                let (log, seq, after) = (place.0, place.1, place.2);
                let facts = [
                    ("unwelcomed", unwelcomed(sender, &log)),
                    ("never joined", ledger.is_unwelcomed(me, log, after)),
                    ("member", ledger.member(me, log, after)),
                    ("away", ledger.is_away(me, log, seq)),
                    ("overtaken", ledger.is_overtaken(me, log, seq, after)),
                    ("blind", ledger.is_blind(me, log, seq)),
                ];
                let facts: Vec<_> = facts.into_iter().filter_map(|(fact, is)| is.then_some(fact)).collect();
                format!("{log:?} {seq} after {after}: {facts:?}, joined at {:?}", ledger.slots.get(&(me, log)))
            };
            let place_of =
                |message| places[message].iter().map(|place| why((&ledger.sent[message].0, place))).collect();
            set.difference(other).map(place_of).collect::<Vec<Vec<_>>>()
        };
        let aside = device.set_aside();
        assert_eq!(
            theirs,
            due,
            "{} ({:?}) lacks {:?} and has too much {:?}; set aside: {aside:?}",
            device.name,
            conversation.standing,
            show(&due, &theirs),
            show(&theirs, &due),
        );
        let unseen = theirs.iter().filter(|message| !ledger.read.contains(&(me, **message))).count();
        assert_eq!(unread as usize, unseen, "unread texts of {}", device.name);
    }
    // A conversation that this device has never heard of.
    let aside = device.set_aside();
    let known: BTreeSet<_> = device.conversations().into_iter().map(|one| one.id).collect();
    for (message, (sender, of)) in ledger.sent.iter().filter(|(_, (sender, of))| *sender != me && !known.contains(of)) {
        let due = places.get(message).into_iter().flatten().any(|(log, seq, after, only)| {
            let lost = unwelcomed(sender, log) || ledger.is_unwelcomed(me, *log, *after);
            let for_me = only.as_ref().is_none_or(|only| only.contains(&me));
            for_me && ledger.member(me, *log, *after) && !ledger.is_blind(me, *log, *seq) && !lost
        });
        assert!(!due, "{} was never brought into {of:?}; set aside: {aside:?}", device.name);
    }
}

/// Every member stands at the log's head in the same state, and shows who is in the group.
fn groups(device: &mut Device, outside: &Outside, dead: &BTreeSet<LogId>) {
    let (context, name, me) = (device.context(outside.now), device.name.clone(), device.account);
    for (id, log) in outside.relay.logs.iter().filter(|(id, _)| !dead.contains(id)) {
        // A log that was given up before anybody was brought in has no state.
        let Some(last) = outside.ledger.states.get(&(*id, log.last_handshake)) else { continue };
        let here = device.look(|tx| super::sync::state(tx, &context, *id));
        let over = device.look(|tx| match logs::load(tx, *id)? {
            // Its Welcome was lost with the database of whoever was to send it.
            None if !outside.ledger.restored.is_empty() => Ok(true),
            Some(log) => {
                // Or has begun anew what it may not any more, which the older database did not know.
                let left =
                    matches!(conversations::load(tx, &log.conversation)?.standing, Standing::Left | Standing::Removed);
                let gave_up = left && outside.ledger.restored.contains(&me);
                let newer = logs::of(tx, &log.conversation)?.iter().any(|other| other.generation > log.generation);
                Ok(gave_up || newer)
            }
            None => Ok(false),
        });
        let unwelcomed = outside.ledger.is_unwelcomed(me, *id, log.last_handshake);
        if here.is_none() && (over || unwelcomed || outside.ledger.has_forgotten(me, *id)) {
            // Another one has taken its place, or this device cannot know of it.
            continue;
        }
        let given_up = last.members == [me] && log.entries.is_empty();
        if !last.members.contains(&me) {
            assert!(here.is_none(), "{name} still follows a group that it is not in");
            continue;
        }
        if given_up && here.is_none() {
            continue;
        }
        let Some((after, state)) = here else { panic!("{name} has lost a group; set aside: {:?}", device.set_aside()) };
        assert_eq!((after, &state), (log.last_handshake, last), "{name} is in another state");
        device.look(|tx| {
            let stored = logs::load(tx, *id)?.unwrap();
            assert_eq!(stored.cursor, log.entries.len() as u64, "{name} has not read to the head");
            let roster = Group::load(&context.crypto, tx, *id)?.unwrap().roster()?;
            let conversation = conversations::load(tx, &stored.conversation)?;
            // Of several, as after copies that were put back, the one that is written to is shown.
            if logs::to_send(tx, &conversation.id)?.is_some_and(|counts| counts.log != *id) {
                return Ok(());
            }
            let shown: Vec<_> = people::of(tx, &conversation.id)?.iter().map(|one| (one.account, one.admin)).collect();
            let mut lines: Vec<_> =
                roster.lines.iter().map(|line| (line.account, line.role == RosterRole::Admin)).collect();
            lines.sort();
            assert_eq!(shown, lines, "{name} shows other people than the roster");
            if roster.kind == GroupKind::Group {
                assert_eq!(conversation.title, roster.name);
            }
            Ok(())
        });
    }
}

/// How many entries of each log are tried on those who are not in it.
const TRIED: usize = 40;

/// Nobody opens an entry who was not a member at its place: with the sealing keys that they have, and the channel secret that was in force
/// there, or the last one of anybody. Nor does MLS give up to them what a member finds in it, where they were in the group before or after.
///
/// Not what the relay has put in once more: whoever was a member where it first stood has its keys.
fn closed_to_others(devices: &mut [Device], outside: &mut Outside) {
    let (mut kept, mut kept_by_mls) = (0, 0);
    for (id, log) in &outside.relay.logs {
        let last: Vec<_> = devices.iter_mut().filter_map(|device| device.look(|tx| logs::load(tx, *id))).collect();
        let handshake = |entry: &&LogEntry| entry.kind == EnvelopeKind::Handshake;
        for (at, entry) in log.entries.iter().enumerate().rev().take(TRIED) {
            let after = log.entries[..at].iter().rfind(handshake).map_or(0, |entry| entry.seq);
            let Some(state) = outside.ledger.states.get(&(*id, after)).filter(|_| !log.injected.contains(&entry.seq))
            else {
                continue;
            };
            let mut secrets = vec![ChannelSecret::from_bytes(&state.secret)];
            secrets.extend(last.iter().map(|log| log.secret.clone()));
            secrets.dedup_by(|one, other| one.as_bytes() == other.as_bytes());
            let opens = |device: &mut Device| secrets.iter().any(|secret| device.opens(*id, secret, entry).is_some());
            let (mut members, mut others): (Vec<_>, Vec<_>) =
                devices.iter_mut().partition(|device| state.members.contains(&device.account));
            for device in &mut others {
                let name = device.name.clone();
                assert!(!opens(device), "{name} opens {} of {id:?}, and was not a member after {after}", entry.seq);
            }
            // Not counted: what no member can open any more either.
            if members.iter_mut().any(|device| opens(device)) {
                kept += others.len() as u64;
            }
            let inside =
                members.iter_mut().find_map(|device| secrets.iter().find_map(|one| device.inside_by(*id, one, entry)));
            let Some((from, mls)) = inside else { continue };
            for device in others.iter_mut().filter_map(|device| device.knows_group(*id).then_some(device)) {
                let name = device.name.clone();
                assert!(!device.decrypts(*id, from, entry.kind, &mls), "{name} decrypts {} of {id:?}", entry.seq);
                kept_by_mls += 1;
            }
        }
    }
    *outside.ledger.counts.entry("kept from others").or_default() += kept;
    *outside.ledger.counts.entry("kept from others by MLS").or_default() += kept_by_mls;
}

/// Whoever has left is taken out by somebody, where somebody is left who takes part.
fn leavers_are_gone(devices: &mut [Device]) {
    let mut staying = BTreeSet::new();
    let mut leaving = Vec::new();
    for device in devices.iter_mut() {
        for conversation in device.conversations() {
            for log in device.look(|tx| logs::of(tx, &conversation.id)).into_iter().filter(|log| log.active) {
                match conversation.standing {
                    Standing::Member => drop(staying.insert(log.log)),
                    Standing::Left => leaving.push((device.name.clone(), log.log)),
                    _ => {}
                }
            }
        }
    }
    leaving.retain(|(_, id)| staying.contains(id));
    assert!(leaving.is_empty(), "nobody has taken out {leaving:?}");
}
