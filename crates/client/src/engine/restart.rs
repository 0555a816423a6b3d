//! Starting a conversation anew where nobody can go on: by an admin, with the last good roster, one generation on (design section 6).

use rusqlite::Transaction;
use waxwing_protocol::group::{GroupKind, Roster, RosterLine, RosterRole};
use waxwing_wire::{LogId, RelayAddress};

use super::context::{Context, own_line};
use super::conversations::{make_group, started_line};
use super::emit::Changes;
use super::resync::retire;
use super::{carried, given_up};
use crate::error::Error;
use crate::mls::{self, Group, GroupChange};
use crate::store::logs::Trouble;
use crate::store::{account, begun_anew, conversations, logs, messages, outbox, people};
use crate::views::{ConversationKind, Notice, Standing};

/// A new log and group with the last good roster, one generation on: by an admin, or by whoever is stuck in a conversation of two.
pub(super) fn reboot(
    tx: &Transaction<'_>,
    context: &Context,
    log: &logs::Log,
    relay: RelayAddress,
) -> Result<Option<Changes>, Error> {
    let conversation = conversations::load(tx, &log.conversation)?;
    let Some(group) = Group::load(&context.crypto, tx, log.log)? else { return Ok(None) };
    let facts = group.facts()?;
    let mut roster = facts.roster.clone();
    let admins = mls::rules::admins(&roster, &facts.leaves);
    let admin = admins.contains(&context.account);
    let newer = logs::of(tx, &log.conversation)?.iter().any(|other| other.active && other.generation > log.generation);
    if conversation.standing != Standing::Member || newer || (roster.kind == GroupKind::Group && !admin) {
        return Ok(None);
    }
    roster.generation = roster.generation.saturating_add(1);
    if let Some(line) = roster.line(context.account).cloned() {
        roster.set(RosterLine { role: RosterRole::Admin, ..line });
    }
    let carried = carried::of(tx, context, log, &facts)?;
    carried.without(&mut roster);
    given_up::mend_lines(tx, &mut roster)?;
    let others: Vec<_> =
        roster.lines.iter().map(|line| line.account).filter(|account| *account != context.account).collect();
    let of_many = roster.kind == GroupKind::Group;
    let new = make_group(tx, context, roster, relay)?;
    if of_many {
        begun_anew::note(tx, new.log, &admins.into_iter().collect::<Vec<_>>())?;
    }
    retire(tx, log)?;
    if !others.is_empty() {
        outbox::push_change_first(tx, &log.conversation, new.log, &GroupChange::Add(others).encode()?)?;
    }
    let me = account::require(tx)?;
    let spoiler = spoiler(tx, &me, log)?;
    let notice = Notice::Restarted { name: me.display_name, mine: true, spoiler };
    let mut changes = begun(tx, context, &log.conversation, notice)?;
    carried.take_along(tx, context, (log, &facts, new.log), &mut changes)?;
    Ok(Some(changes))
}

/// The timeline's line about it; what stood in the way does so no more.
fn begun(
    tx: &Transaction<'_>,
    context: &Context,
    conversation: &conversations::ConversationId,
    notice: Notice,
) -> Result<Changes, Error> {
    let line = started_line(conversation, context.account, true, context.now, &notice);
    messages::insert(tx, &line)?;
    conversations::set_problem(tx, conversation, None)?;
    let mut changes = Changes::default();
    changes.message(context.account, line.id, false);
    changes.conversation(*conversation);
    changes.group(*conversation);
    Ok(changes)
}

/// Nobody has let this device back in for a day, and nothing of the group is left here to ask with, as after a recovery: an admin begins anew
/// with everybody who is known to have been in it. Everybody else may still leave.
pub(super) fn begin_without(
    tx: &Transaction<'_>,
    context: &Context,
    log: &logs::Log,
    relay: RelayAddress,
) -> Result<Option<Changes>, Error> {
    let conversation = conversations::load(tx, &log.conversation)?;
    let me = account::require(tx)?;
    let known = people::of(tx, &log.conversation)?;
    let may = conversation.kind == ConversationKind::Group
        && conversation.standing == Standing::Member
        && people::is_admin(&known, me.account);
    let newer = logs::of(tx, &log.conversation)?.iter().any(|other| other.generation > log.generation);
    if !may || newer || Group::load(&context.crypto, tx, log.log)?.is_some() {
        return Ok(None);
    }
    logs::set_inactive(tx, log.log)?;
    let new = begin_with_all(tx, context, &conversation, log.generation.saturating_add(1), relay)?;
    let admins: Vec<_> = known.iter().map(|one| one.account).filter(|one| people::is_admin(&known, *one)).collect();
    begun_anew::note(tx, new, &admins)?;
    let notice = Notice::Restarted { name: me.display_name, mine: true, spoiler: None };
    begun(tx, context, &log.conversation, notice).map(Some)
}

/// A new log and group for a group conversation of which there is none here: with oneself alone, and everybody who is known to be in it to be
/// added first of all.
pub(super) fn begin_with_all(
    tx: &Transaction<'_>,
    context: &Context,
    conversation: &conversations::Conversation,
    generation: u32,
    relay: RelayAddress,
) -> Result<LogId, Error> {
    let me = account::require(tx)?;
    let own = context.chains.load(tx, me.account)?.ok_or_else(|| super::not_found("no own chain"))?;
    let others: Vec<_> = people::of(tx, &conversation.id)?.into_iter().map(|person| person.account).collect();
    let roster = Roster {
        kind: GroupKind::Group,
        conversation: conversation.id,
        generation,
        name: conversation.title.clone(),
        lines: vec![own_line(&me, &own, RosterRole::Admin)],
    };
    let log = make_group(tx, context, roster, relay)?;
    let others: Vec<_> = others.into_iter().filter(|account| *account != me.account).collect();
    if !others.is_empty() {
        outbox::push_change_first(tx, &conversation.id, log.log, &GroupChange::Add(others).encode()?)?;
    }
    Ok(log.log)
}

/// Whose doing it is that a log is frozen, as shown; none where it is not, or where nobody's signature says so.
pub(super) fn spoiler(tx: &Transaction<'_>, me: &account::Account, log: &logs::Log) -> Result<Option<String>, Error> {
    let signed = log.spoiler.filter(|_| matches!(log.trouble, Trouble::Frozen | Trouble::Behind));
    signed.map(|who| people::name(tx, me, who)).transpose()
}
