//! Joining a group by a Welcome, inside the inbox entry's transaction.

use rusqlite::Transaction;
use waxwing_protocol::content::Welcome;
use waxwing_protocol::group::{GroupKind, Roster};
use waxwing_protocol::{conversation_id, is_group_conversation};
use waxwing_wire::chain::What;
use waxwing_wire::limits::{MAX_GROUP_DEVICES, MAX_GROUP_PEOPLE};
use waxwing_wire::{AccountId, VerifiedChain};

use super::context::{Context, is_line_of, meet};
use super::conversations::{introduce_oneself, started_line};
use super::emit::Changes;
use super::entries::{peer_display_name, states};
use super::handshake::store_people;
use super::inbox::CheckedSender;
use super::not_followed;
use super::own_leaves;
use super::restart::spoiler;
use super::restored;
use super::resync::{self, retire};
use crate::error::Error;
use crate::mls::rules::{self, GroupFacts};
use crate::mls::{self, GroupChange, Joined, storage};
use crate::random;
use crate::store::contacts::Contact;
use crate::store::conversations::NewConversation;
use crate::store::logs::Noted;
use crate::store::lost_welcomes::LostWelcome;
use crate::store::{
    account, begun_anew, contacts, conversations, deliveries, logs, lost_welcomes, messages, outbox, people,
    restorations,
};
use crate::views::{ConversationKind, Notice, Standing, Trust};

/// Far more than anybody starts a conversation anew; room is left for whoever does it next.
const MOST_GENERATIONS: u32 = u32::MAX / 2;
/// Of a group that nobody has begun anew.
pub(super) const FIRST_GENERATION: u32 = 1;
/// Most logs that somebody else can make one follow for one conversation.
const MOST_LOGS: usize = 8;
/// The own leaf is replaced within a day of joining, at a random time.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// A Welcome and who sent it.
pub(super) struct Welcomed {
    pub(super) welcome: Welcome,
    pub(super) sender: CheckedSender,
}

/// Joins, if the Welcome is what it should be; else says why not, and nothing was changed but that another Welcome may be asked for, or its
/// sender told that nobody follows them.
pub(super) fn welcomed(
    tx: &Transaction<'_>,
    context: &Context,
    welcomed: Welcomed,
    changes: &mut Changes,
) -> Result<Option<&'static str>, Error> {
    tx.execute_batch("SAVEPOINT welcome")?;
    let refused = join(tx, context, &welcomed, changes)?;
    if let Some(reason) = refused {
        tx.execute_batch("ROLLBACK TO welcome")?;
        *changes = Changes::default();
        match reason {
            mls::NO_PRIVATE_PART => resync::ask_again(tx, context, &welcomed)?,
            not_followed::MAY_NOT | not_followed::BRINGS_SOMEBODY => not_followed::tell(tx, context, &welcomed)?,
            _ => {}
        }
    }
    tx.execute_batch("RELEASE welcome")?;
    Ok(refused)
}

/// Whether a Welcome answers what another of those who were asked has answered before, and nobody's words have shown yet whose group it is.
/// It is kept until then: should the first have lied, this one lets the device in.
pub(super) fn must_wait(tx: &Transaction<'_>, welcomed: &Welcomed) -> Result<bool, Error> {
    let Welcomed { welcome, sender: CheckedSender { message, .. } } = welcomed;
    let Some(first) = logs::answered_by(tx, welcome.log, &welcome.nonce)? else { return Ok(false) };
    let here = logs::load(tx, welcome.log)?.is_some_and(|log| log.active && log.conversation == welcome.conversation);
    let asked = logs::is_noted(tx, welcome.log, message.sender.device, Noted::AskedToo)?;
    Ok(here && asked && !logs::is_belied(tx, welcome.log)? && first != message.sender.account)
}

fn join(
    tx: &Transaction<'_>,
    context: &Context,
    welcomed: &Welcomed,
    changes: &mut Changes,
) -> Result<Option<&'static str>, Error> {
    let Welcomed { welcome, sender: CheckedSender { message, chain, .. } } = welcomed;
    let known_log = logs::load(tx, welcome.log)?;
    let (_, nonce) = logs::resync(tx, welcome.log)?;
    // Where what the first answer said of the group has shown to be untrue, that of another who was asked counts.
    let belied = logs::answered_by(tx, welcome.log, &welcome.nonce)?
        .is_some_and(|first| first != message.sender.account)
        && logs::is_belied(tx, welcome.log)?;
    let asked_for = ((nonce == Some(welcome.nonce)
        && logs::is_noted(tx, welcome.log, message.sender.device, Noted::Asked)?)
        || (belied && logs::is_noted(tx, welcome.log, message.sender.device, Noted::AskedToo)?))
        && known_log.as_ref().is_some_and(|log| log.conversation == welcome.conversation);
    let lost = LostWelcome {
        log: welcome.log,
        conversation: welcome.conversation,
        device: message.sender.device,
        nonce: welcome.nonce,
    };
    // The Welcome before could not be opened: this one is judged as that would have been.
    let again = !asked_for && lost_welcomes::answers(tx, &lost)?;
    if welcome.nonce != [0; 16] && !asked_for && !again {
        return Ok(Some("it answers a resync that was not asked for"));
    }
    let in_it = known_log.as_ref().is_some_and(|log| log.active || log.conversation != welcome.conversation);
    if in_it && !asked_for {
        // P3: nobody replaces a group that one is in.
        return Ok(Some("one is in its group already"));
    }
    if known_log.is_none() && logs::foreign(tx, &welcome.conversation)? >= MOST_LOGS {
        return Ok(Some("its sender makes one log after another"));
    }
    storage::delete_group(tx, welcome.log.as_bytes())?;
    let Joined { facts, sender, own } = match mls::join(&context.crypto, tx, welcome.log, &welcome.mls)? {
        Ok(joined) => joined,
        Err(reason) => return Ok(Some(reason)),
    };
    if (sender.identity.account, sender.identity.device) != (message.sender.account, message.sender.device) {
        return Ok(Some("its two signatures are of two senders"));
    }
    if !states(chain, &sender) {
        return Ok(Some("its sender's leaf is not in their chain"));
    }
    if (own.identity.account, own.identity.device) != (context.account, context.device) {
        return Ok(Some("it is for another device"));
    }
    let own_chain = context.chains.load(tx, context.account)?.ok_or_else(|| super::not_found("no own chain"))?;
    if let Some(reason) = judge(&facts, welcome, &own_chain, chain, asked_for) {
        return Ok(Some(reason));
    }
    if let Some(reason) = judge_restart(tx, &facts, welcome)? {
        return Ok(Some(reason));
    }
    // After a recovery in place nothing was asked for: whoever is in the group brings one back.
    let awaited = nonce.is_some() && known_log.as_ref().is_some_and(|log| !log.active);
    let returns = known_log.as_ref().filter(|_| awaited && !asked_for);
    if returns.is_some_and(|known| !is_same(known, welcome, &facts)) {
        return Ok(Some("it is of another group than the one before"));
    }
    // Somebody may have come in since this device last read, and be the first to let it back in; whoever was taken out knows the ids, too.
    let unknown = match returns {
        Some(_) => people::of(tx, &welcome.conversation)?.iter().all(|one| one.account != welcome.sender.account),
        None => false,
    };
    let repaired = (asked_for || awaited) && known_log.is_some();
    if asked_for && known_log.as_ref().is_some_and(|known| !is_same(known, welcome, &facts)) {
        return Ok(Some("it is of another group than the one that was asked about"));
    }
    store(tx, context, welcome, &facts, own.identity.key_version, repaired, changes)?;
    if unknown {
        // The user decides, as about any group that a stranger brings one into; until then nothing is said there.
        conversations::set_standing(tx, &welcome.conversation, Standing::Request)?;
    }
    lost_welcomes::remove(tx, welcome.log)?;
    Ok(None)
}

/// Whether a Welcome lets one back into a group that is known here.
fn is_same(known: &logs::Log, welcome: &Welcome, facts: &GroupFacts) -> bool {
    known.relay.authority() == welcome.relay.authority() && known.generation == facts.roster.generation
}

/// What every group must be that one lets oneself be brought into.
///
/// `asked_for`: it answers a resync, which any member may.
fn judge(
    facts: &GroupFacts,
    welcome: &Welcome,
    own: &VerifiedChain,
    sender: &VerifiedChain,
    asked_for: bool,
) -> Option<&'static str> {
    let roster = &facts.roster;
    if roster.conversation != welcome.conversation {
        return Some("its group is of another conversation");
    }
    if welcome.slot == 0 {
        return Some("it was added by no commit");
    }
    let is = |chain: &VerifiedChain| roster.line(chain.account()).is_some_and(|line| is_line_of(line, chain));
    if !is(own) || !is(sender) {
        return Some("its roster has other keys");
    }
    let mut devices = std::collections::HashSet::new();
    let sound = roster.lines.len() <= MAX_GROUP_PEOPLE
        && facts.leaves.len() <= MAX_GROUP_DEVICES
        && facts
            .leaves
            .iter()
            .all(|leaf| roster.line(leaf.identity.account).is_some() && devices.insert(leaf.identity.device));
    if !sound {
        return Some("its leaves and its roster do not fit");
    }
    let (me, by) = (own.account(), sender.account());
    let mine = me == by;
    match roster.kind {
        GroupKind::Direct => {
            let peer = other_of(roster, me).unwrap_or(me);
            let two = roster.lines.len() == 2 && roster.conversation == conversation_id(me, peer);
            (!two || !(mine || by == peer)).then_some("it is no conversation of the two")
        }
        // Nor does it take the place of a conversation of two that there is not yet.
        GroupKind::Group if !is_group_conversation(&roster.conversation) => Some("its id is not that of a group"),
        GroupKind::Group => {
            // Whoever has recovered their account is brought back by any member, with their chain as the proof.
            let back = own.events().iter().rev().any(|event| {
                matches!(event.what, What::Recovered { .. })
                    && roster.line(me).is_some_and(|line| line.chain_seq >= event.place.seq)
            });
            let admin = mine || asked_for || back || rules::admins(roster, &facts.leaves).contains(&by);
            (!admin).then_some("its sender may not add anybody")
        }
        GroupKind::NoteToSelf => {
            let own = mine && roster.lines.len() == 1 && roster.conversation == conversation_id(me, me);
            (!own).then_some("somebody else's note to self")
        }
    }
}

/// The other one of two.
fn other_of(roster: &Roster, me: AccountId) -> Option<AccountId> {
    roster.lines.iter().map(|line| line.account).find(|account| *account != me)
}

fn store(
    tx: &Transaction<'_>,
    context: &Context,
    welcome: &Welcome,
    facts: &GroupFacts,
    own_version: u32,
    repaired: bool,
    changes: &mut Changes,
) -> Result<(), Error> {
    let (id, sender, roster) = (welcome.conversation, welcome.sender.account, &facts.roster);
    // By another own device: what the user does there is done here.
    let mine = sender == context.account;
    let known = mine || contacts::load(tx, sender)?.is_some_and(|contact| contact.known);
    let kind = match roster.kind {
        GroupKind::Direct => ConversationKind::Direct,
        GroupKind::Group => ConversationKind::Group,
        GroupKind::NoteToSelf => ConversationKind::NoteToSelf,
    };
    let direct = kind == ConversationKind::Direct;
    let with = if direct { other_of(roster, context.account).unwrap_or(sender) } else { sender };
    if !mine {
        contacts::upsert(
            tx,
            &Contact {
                account: sender,
                name: welcome.sender.name.clone(),
                relay: welcome.sender.home.clone(),
                display_name: peer_display_name(&welcome.sender.display_name, welcome.sender.name.as_str()),
                trust: Trust::FirstUse,
                access_key: Some(welcome.sender.access_key.clone()),
                known,
                blocked: false,
            },
        )?;
    }
    meet(tx, context.account, roster)?;
    if mine && direct {
        contacts::set_known(tx, with)?;
    }
    // Whoever asked to be let in, and is, by whom they asked, has accepted that already.
    let asked = match conversations::all(tx)?.into_iter().find(|one| one.id == id) {
        Some(one) => one.standing == Standing::Asked && one.account == sender && !direct,
        None => false,
    };
    let standing = if known || asked { Standing::Member } else { Standing::Request };
    let new = NewConversation { id: &id, kind, account: with, standing, title: &roster.name, profile_sent: mine };
    let first = conversations::insert(tx, &new, context.now)?;
    let conversation = conversations::load(tx, &id)?;
    // Let back in to say that one leaves: that still stands.
    let leaving = repaired && matches!(conversation.standing, Standing::Left | Standing::Asked);
    let again = matches!(conversation.standing, Standing::Left | Standing::Removed | Standing::Asked) && !leaving;
    if again {
        conversations::set_standing(tx, &id, standing)?;
        conversations::set_profile_sent(tx, &id, mine)?;
        conversations::set_account(tx, &id, with)?;
        conversations::set_problem(tx, &id, None)?;
        deliveries::remove_asking(tx, &id)?;
    }
    let standing = if again || first { standing } else { conversation.standing };
    let restarted = !first && !again && !repaired && logs::of(tx, &id)?.iter().any(|log| begins_anew(log, roster));
    give_up_own(tx, &id, direct)?;
    // Where it is known, whoever lets one back in has no say in how its relay proves itself.
    let relay = logs::load(tx, welcome.log)?.filter(|_| repaired).map_or(welcome.relay.clone(), |known| known.relay);
    let log = logs::Log {
        log: welcome.log,
        conversation: id,
        relay,
        generation: roster.generation,
        secret: welcome.channel_secret.clone(),
        mine: false,
        created: true,
        active: true,
        peer_seen: true,
        update_due: true,
        cursor: welcome.slot,
        running: welcome.running,
        last_handshake: welcome.slot,
        handshake_running: welcome.running,
        trouble: logs::Trouble::None,
        spoiler: None,
    };
    let lost = restorations::is_unread(tx, log.log)?;
    if repaired {
        // What the relay has accepted in the stretch that is not read stands there, for whoever was in the group then.
        messages::place_accepted(tx, log.log, welcome.slot)?;
        outbox::forget_accepted(tx, log.log, welcome.slot)?;
    }
    let asked_devices = logs::noted_devices(tx, log.log, Noted::Asked, None)?;
    logs::insert(tx, &log, context.now)?;
    begun_anew::forget_all(tx, &log.conversation)?;
    logs::set_joined(tx, log.log, welcome.slot, context.now)?;
    if repaired && welcome.nonce != [0; 16] {
        logs::set_answered(tx, log.log, &welcome.nonce, sender, &asked_devices, context.now)?;
    }
    // Whoever let one back in, or began anew, may have done so since the relay was restored: what was said there since is lost, or nobody
    // looks there.
    if standing == Standing::Member && (restarted || (repaired && lost)) {
        restored::say_again(tx, context, &id, &facts.leaves)?;
    }
    let mut spoiled_by = None;
    let mut replaced: Vec<_> =
        logs::of(tx, &id)?.into_iter().filter(|one| one.active && one.generation < roster.generation).collect();
    replaced.sort_by_key(|one| one.generation);
    let too_many = replaced.len().saturating_sub(MOST_LOGS);
    for (at, older) in replaced.into_iter().enumerate() {
        spoiled_by = spoiler(tx, &account::require(tx)?, &older)?.or(spoiled_by);
        // The last ones are read on, since somebody may not know yet; not any number of them.
        let trouble = if at < too_many { logs::Trouble::Frozen } else { older.trouble };
        retire(tx, &logs::Log { trouble, ..older })?;
    }
    let before = if restarted || repaired { people::of(tx, &id)? } else { Vec::new() };
    let new_here = if restarted || repaired { newcomers(facts, &before) } else { Vec::new() };
    let gone: Vec<_> = before.iter().map(|one| one.account).filter(|one| facts.roster.line(*one).is_none()).collect();
    store_people(tx, &log, facts)?;
    if standing == Standing::Member {
        let soon = u64::from_be_bytes(random::bytes()) % DAY_MS;
        // With keys that were replaced meanwhile, at once.
        let when = if own_version == context.keys.key_version() { context.now + soon } else { 0 };
        outbox::push_change(tx, &id, log.log, &GroupChange::JoinUpdate.encode()?, when)?;
        own_leaves::queue(tx, context, &log)?;
        if !direct {
            introduce_oneself(tx, &account::require(tx)?, &conversations::load(tx, &id)?)?;
        }
    }
    if repaired || restarted {
        conversations::set_problem(tx, &id, None)?;
        let name = people::name(tx, &account::require(tx)?, sender)?;
        let notice = if repaired { Notice::Repaired } else { Notice::Restarted { name, mine, spoiler: spoiled_by } };
        let line = started_line(&id, sender, mine, context.now, &notice);
        messages::insert(tx, &line)?;
        changes.message(sender, line.id, false);
    }
    let me = account::require(tx)?;
    let named = |of: &[AccountId]| of.iter().map(|one| people::name(tx, &me, *one)).collect::<Result<Vec<_>, _>>();
    let added = Notice::Added { by: people::name(tx, &me, sender)?, mine, names: named(&new_here)?, me: false };
    let missing = Notice::Gone { names: named(&gone)? };
    for notice in [(!new_here.is_empty()).then_some(added), (!gone.is_empty()).then_some(missing)].iter().flatten() {
        let line = started_line(&id, sender, mine, context.now, notice);
        messages::insert(tx, &line)?;
        changes.message(sender, line.id, false);
    }
    if first || again {
        let how = match (mine, direct, asked) {
            (true, ..) => Arrival::Own,
            (_, true, _) => Arrival::Direct,
            (_, false, true) => Arrival::ByLink,
            (_, false, false) => Arrival::Added,
        };
        note_arrival(tx, context, &conversation.id, sender, how, changes)?;
    }
    conversations::touch(tx, &id, context.now)?;
    changes.conversation(id);
    changes.group(id);
    Ok(())
}

/// Whether a group takes the place of one that is known, or stands beside it as one that was begun anew at the same time.
fn begins_anew(known: &logs::Log, roster: &Roster) -> bool {
    let beside = known.active && known.generation == roster.generation && roster.generation > FIRST_GENERATION;
    known.generation < roster.generation || beside
}

/// A group that takes the place of another one of its conversation comes from an admin of the last good roster, and brings nobody new. Two
/// admins may begin anew at once: then all follow both, and what is said goes where the lower log id is.
fn judge_restart(tx: &Transaction<'_>, facts: &GroupFacts, welcome: &Welcome) -> Result<Option<&'static str>, Error> {
    let id = welcome.conversation;
    let others = logs::of(tx, &id)?;
    let before = others.iter().filter(|log| log.log != welcome.log).map(|log| log.generation).max();
    let Some(before) = before.filter(|_| facts.roster.kind == GroupKind::Group) else { return Ok(None) };
    let known = people::of(tx, &id)?;
    let standing = conversations::load(tx, &id)?.standing;
    if !matches!(standing, Standing::Member | Standing::Request) {
        // One was out of it: this is an invitation like any other.
        return Ok(None);
    }
    if facts.roster.generation > MOST_GENERATIONS {
        return Ok(Some("it was started anew too often"));
    }
    if facts.roster.generation < before || (before <= FIRST_GENERATION && facts.roster.generation == before) {
        return Ok(Some("its group is not newer than the one before"));
    }
    if !people::is_admin(&known, welcome.sender.account) {
        return Ok(Some(not_followed::MAY_NOT));
    }
    // Whoever has lost their own place may know less than the admin, and sees who is new.
    let mut lost = others.iter().any(|log| log.trouble != logs::Trouble::None);
    for log in &others {
        // Or has begun anew without whom they were about to take out.
        lost |= logs::is_full(tx, log.log)?;
    }
    let stranger = !newcomers(facts, &known).is_empty();
    Ok((stranger && !lost).then_some(not_followed::BRINGS_SOMEBODY))
}

/// Who is in a group and was not known to be.
fn newcomers(facts: &GroupFacts, known: &[people::Person]) -> Vec<AccountId> {
    let all = facts.roster.lines.iter().map(|line| line.account);
    all.filter(|account| known.iter().all(|person| person.account != *account)).collect()
}

/// Of two people who start a conversation at once, whoever has not brought the other in yet gives up the own group: nobody else
/// knows of it. One that may be known stays, and both are read.
fn give_up_own(tx: &Transaction<'_>, id: &conversations::ConversationId, direct: bool) -> Result<(), Error> {
    if !direct {
        return Ok(());
    }
    let waiting = outbox::changes(tx, id)?;
    for log in logs::of(tx, id)?.iter().filter(|log| log.mine && log.active && log.last_handshake == 0) {
        let adding = |item: &outbox::Item| {
            item.log == Some(log.log) && matches!(GroupChange::decode(&item.content), Ok(GroupChange::Add(_)))
        };
        if waiting.iter().any(|item| adding(item) && item.sealed.is_none()) {
            outbox::remove_changes(tx, log.log)?;
            storage::delete_group(tx, log.log.as_bytes())?;
            logs::remove(tx, log.log)?;
        }
    }
    Ok(())
}

/// How one came into a conversation.
enum Arrival {
    Direct,
    Added,
    ByLink,
    /// With another own device, which was there before.
    Own,
}

fn note_arrival(
    tx: &Transaction<'_>,
    context: &Context,
    id: &conversations::ConversationId,
    sender: AccountId,
    how: Arrival,
    changes: &mut Changes,
) -> Result<(), Error> {
    let me = account::require(tx)?;
    let by = people::name(tx, &me, sender)?;
    let notice = match how {
        Arrival::Direct => Notice::Started { name: by, mine: false },
        Arrival::Own => Notice::Started { name: by, mine: true },
        Arrival::Added => Notice::Added { by, mine: false, names: vec![me.display_name.clone()], me: true },
        Arrival::ByLink => Notice::JoinedByLink { by, mine: false, name: me.display_name.clone(), me: true },
    };
    let line = started_line(id, sender, sender == context.account, context.now, &notice);
    messages::insert(tx, &line)?;
    changes.message(sender, line.id, false);
    Ok(())
}
