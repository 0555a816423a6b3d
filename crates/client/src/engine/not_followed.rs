//! Whom nobody follows: a device that has begun a conversation anew, and was taken out of it or is no admin any more without knowing that, or
//! that nobody has let back in for a week. It says so, and what to do, and nothing looks as if it had been sent.
//!
//! Who does not follow answers the Welcome with the `removed` notice for the very group and place that it names: both are known to nobody but
//! those who were brought in, and of them a leaf of that group must have signed it. No member may put an admin out by it, so it counts only
//! for as long as nobody else speaks there, and only from an admin of the group before, or from everybody; and after a day: who refuses may not have
//! read yet what makes this device an admin, and those who do follow show themselves at once.

use rusqlite::Transaction;
use waxwing_protocol::content::Content;
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{AccountId, DeviceId, LogId};

use super::context::Context;
use super::conversations::started_line;
use super::emit::Changes;
use super::join::Welcomed;
use super::resync::{self, ANSWERED_FOR_MS, DAY_MS};
use crate::error::{Error, ErrorCode, ErrorView};
use crate::mls::{Group, GroupChange, storage};
use crate::store::conversations::ConversationId;
use crate::store::logs::{self, Noted};
use crate::store::{account, begun_anew, conversations, deliveries, links, messages, outbox, people};
use crate::views::{ConversationKind, MessageState, Notice, Standing};

/// Why a Welcome is refused whose sender has begun anew.
pub(super) const MAY_NOT: &str = "its sender may not start the group anew";
/// The same: the roster that they know has somebody on it who is not there any more, or never was.
pub(super) const BRINGS_SOMEBODY: &str = "it brings in somebody who was not there";
/// How long a device that was recovered waits to be let back into a group that it may not begin anew.
const GIVE_UP_MS: u64 = 7 * DAY_MS;

/// A Welcome was refused since its sender may not begin anew, or not with these people: they are told, once a day. Nobody else is: whoever has heard the conversation's id
/// somewhere does not learn by it who is in there.
pub(super) fn tell(tx: &Transaction<'_>, context: &Context, welcomed: &Welcomed) -> Result<(), Error> {
    let (welcome, sender) = (&welcomed.welcome, &welcomed.sender.message.sender);
    let id = welcome.conversation;
    let was_here = people::of(tx, &id)?.iter().any(|one| one.account == sender.account)
        || links::is_removed(tx, &id, sender.account)?;
    if !was_here || conversations::load(tx, &id)?.standing != Standing::Member {
        return Ok(());
    }
    let Some(known) = logs::of(tx, &id)?.into_iter().max_by_key(|log| log.generation) else { return Ok(()) };
    let since = context.now.saturating_sub(ANSWERED_FOR_MS);
    if logs::note_device(tx, known.log, sender.device, Noted::NotFollowed, context.now, since)? {
        let content = Content::Removed { log: welcome.log, seq: welcome.slot }.encode();
        resync::deliver(tx, context, id, (sender.account, sender.device), EnvelopeKind::Notice, &content)?;
    }
    Ok(())
}

/// A `removed` notice. True if it says that its sender does not follow this device into a group that this one has begun anew: that is noted.
pub(super) fn told(
    tx: &Transaction<'_>,
    context: &Context,
    (log, seq): (LogId, u64),
    (account, device): (AccountId, DeviceId),
) -> Result<bool, Error> {
    if begun_anew::load(tx, log)?.is_none() {
        return Ok(false);
    }
    // A commit that takes this device out of it stands behind what was read.
    let alone = |log: &logs::Log| log.active && !log.peer_seen && (1..=log.last_handshake).contains(&seq);
    let Some(log) = logs::load(tx, log)?.filter(alone) else { return Ok(false) };
    let Some(group) = Group::load(&context.crypto, tx, log.log)? else { return Ok(false) };
    let theirs = group.leaves()?.into_iter().any(|leaf| {
        leaf.identity.account != context.account && (leaf.identity.account, leaf.identity.device) == (account, device)
    });
    if theirs {
        // The first time counts.
        logs::note_device(tx, log.log, device, Noted::Refuses, context.now, 1)?;
    }
    Ok(theirs)
}

/// A group that this device has begun anew is given up where nobody follows, which was said a day ago.
pub(super) fn nobody_follows(
    tx: &Transaction<'_>,
    context: &Context,
    log: &logs::Log,
) -> Result<Option<Changes>, Error> {
    let Some(begun) = begun_anew::load(tx, log.log)? else { return Ok(None) };
    let id = log.conversation;
    let elsewhere = logs::to_send(tx, &id)?.is_none_or(|one| one.log != log.log);
    if log.peer_seen || elsewhere || conversations::load(tx, &id)?.standing != Standing::Member {
        return Ok(None);
    }
    let refuse = logs::noted_devices(tx, log.log, Noted::Refuses, Some(context.now.saturating_sub(DAY_MS)))?;
    let Some(group) = Group::load(&context.crypto, tx, log.log)? else { return Ok(None) };
    let leaves = group.leaves()?;
    let refuses = |account: &AccountId| {
        leaves.iter().any(|leaf| leaf.identity.account == *account && refuse.contains(&leaf.identity.device))
    };
    let mut others = people::of(tx, &id)?;
    others.retain(|one| one.account != context.account);
    let an_admin = begun.admins.iter().any(|admin| *admin != context.account && refuses(admin));
    let everybody = !others.is_empty() && others.iter().all(|one| refuses(&one.account)) && !adds(tx, log)?;
    if !an_admin && !everybody {
        return Ok(None);
    }
    let mut changes = Changes::default();
    give_up(tx, context, log, begun.ord, &mut changes)?;
    Ok(Some(changes))
}

/// Whether somebody is still to be brought in.
fn adds(tx: &Transaction<'_>, log: &logs::Log) -> Result<bool, Error> {
    for item in outbox::changes(tx, &log.conversation)?.iter().filter(|item| item.log == Some(log.log)) {
        if matches!(GroupChange::decode(&item.content)?, GroupChange::Add(_) | GroupChange::Admit { .. }) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The group that was begun anew is nobody's. What was said in it has reached nobody, and is not shown as if it had.
fn give_up(
    tx: &Transaction<'_>,
    context: &Context,
    log: &logs::Log,
    ord: i64,
    changes: &mut Changes,
) -> Result<(), Error> {
    let id = log.conversation;
    storage::delete_group(tx, log.log.as_bytes())?;
    logs::set_inactive(tx, log.log)?;
    outbox::remove_changes(tx, log.log)?;
    outbox::unseal_for(tx, log.log)?;
    outbox::unseal_accepted(tx, log.log)?;
    for message in messages::take_back_since(tx, &id, ord, &unheard())? {
        changes.message(context.account, message, false);
    }
    if logs::of(tx, &id)?.iter().any(|other| other.active) {
        // The one before is still read here, and says what became of this device in it.
        changes.conversation(id);
        changes.group(id);
        return Ok(());
    }
    shut_out(tx, context, &id, true, changes)
}

fn unheard() -> ErrorView {
    Error::new(ErrorCode::NotMember, "nobody was there to read it").view()
}

/// Nobody has let a device that was recovered back in for a week, and it may not begin anew: it does not wait for ever without a word.
pub(super) fn not_let_in(tx: &Transaction<'_>, context: &Context, log: &logs::Log) -> Result<Option<Changes>, Error> {
    let conversation = conversations::load(tx, &log.conversation)?;
    if conversation.kind != ConversationKind::Group || conversation.standing != Standing::Member {
        return Ok(None);
    }
    let all = logs::of(tx, &conversation.id)?;
    for one in &all {
        let (asked_ms, nonce) = logs::resync(tx, one.log)?;
        let waits = nonce.is_some() && context.now.saturating_sub(asked_ms) < GIVE_UP_MS;
        // Whoever has something left of the group asks.
        if one.active || waits || Group::load(&context.crypto, tx, one.log)?.is_some() {
            return Ok(None);
        }
    }
    for one in &all {
        logs::set_inactive(tx, one.log)?;
    }
    let mut changes = Changes::default();
    shut_out(tx, context, &conversation.id, false, &mut changes)?;
    Ok(Some(changes))
}

/// One takes part no more until an admin adds one again. What waits has failed, and can be sent again then.
fn shut_out(
    tx: &Transaction<'_>,
    context: &Context,
    id: &ConversationId,
    anew: bool,
    changes: &mut Changes,
) -> Result<(), Error> {
    deliveries::remove_welcomes(tx, id)?;
    for message in outbox::remove_unsealed(tx, id)? {
        // One that was only to be said again has arrived long ago.
        if messages::load(tx, context.account, message)?.is_some_and(|line| !line.placed) {
            messages::set_state(tx, context.account, message, MessageState::Failed, Some(&unheard()))?;
            changes.message(context.account, message, false);
        }
    }
    conversations::set_standing(tx, id, Standing::Removed)?;
    conversations::set_problem(tx, id, None)?;
    links::end(tx, id)?;
    let me = account::require(tx)?;
    let rest: Vec<_> = people::of(tx, id)?.into_iter().filter(|one| one.account != me.account).collect();
    people::replace(tx, id, &rest)?;
    let notice = Notice::ShutOut { anew };
    let line = started_line(id, me.account, true, context.now, &notice);
    messages::insert(tx, &line)?;
    changes.message(me.account, line.id, false);
    changes.conversation(*id);
    changes.group(*id);
    Ok(())
}
