//! What the last rotation, and the last replacement of the account key, have come to in each conversation.
//!
//! Not here: how either is done (`keys`, `account_key`), and how groups learn of it (`rotation`, `follow`).

use rusqlite::Transaction;
use waxwing_wire::LogId;
use waxwing_wire::ids::to_hex;

use super::context::Context;
use super::rotation::{TIME_UNKNOWN, leaf_version};
use crate::error::Error;
use crate::mls::{Group, GroupChange};
use crate::store::conversations::{self, ConversationId};
use crate::store::logs::Trouble;
use crate::store::{account, logs, outbox, rotation as schedule};
use crate::views::{AccountKeyOutcomeView, ConversationKind, RotationOutcomeView, RotationWait, RotationWaitView};

/// Conversations that wait which are told one by one; the others are only counted.
const MOST_TOLD: usize = 100;

/// How far something has got in the conversations that one takes part in.
#[derive(Default)]
struct Reach {
    conversations: u32,
    updated: u32,
    waiting: Vec<RotationWaitView>,
}

impl Reach {
    /// `is_done` in a log's group, or a change that `brings` it is waited for there.
    fn of(
        tx: &Transaction<'_>,
        context: &Context,
        brings: impl Fn(&outbox::Item) -> bool,
        is_done: impl Fn(LogId) -> Result<bool, Error>,
    ) -> Result<Self, Error> {
        let mut reach = Self::default();
        for id in schedule::conversations(tx)? {
            let Some(log) = logs::to_send(tx, &id)? else { continue };
            reach.conversations += 1;
            if is_done(log.log)? {
                reach.updated += 1;
            } else if reach.waiting.len() < MOST_TOLD {
                reach.waiting.push(waiting(tx, context, &id, &log, &brings)?);
            }
        }
        Ok(reach)
    }
}

/// How far the last rotation has got; none if there was none.
pub(super) fn of_rotation(tx: &Transaction<'_>, context: &Context) -> Result<Option<RotationOutcomeView>, Error> {
    let Some(last) = schedule::last(tx)? else { return Ok(None) };
    let newest = context.keys.key_version();
    let is_done = |log| Ok(leaf_version(tx, context, log)?.is_none_or(|version| version >= newest));
    // It goes along with whatever comes first.
    let reach = Reach::of(tx, context, |_| true, is_done)?;
    Ok(Some(RotationOutcomeView {
        version: last.version,
        at: last.at_ms as f64,
        scheduled: last.scheduled,
        conversations: reach.conversations,
        updated: reach.updated,
        waiting: reach.waiting,
    }))
}

/// How far the last replacement of the account key has got; none if there was none.
pub(super) fn of_account_key(tx: &Transaction<'_>, context: &Context) -> Result<Option<AccountKeyOutcomeView>, Error> {
    let Some(last) = schedule::last_account_key(tx)? else { return Ok(None) };
    let follow = GroupChange::Follow(context.account).encode()?;
    let is_done = |log| Ok(line_seq(tx, context, log)?.is_none_or(|seq| seq >= last.seq));
    let reach = Reach::of(tx, context, |item| *item.content == follow, is_done)?;
    Ok(Some(AccountKeyOutcomeView {
        at: last.at_ms as f64,
        shut_out: last.shut_out,
        conversations: reach.conversations,
        updated: reach.updated,
        waiting: reach.waiting,
    }))
}

/// Up to which entry of the own chain a group's roster has followed it, kept beside its log: to load all groups for it would take seconds.
fn line_seq(tx: &Transaction<'_>, context: &Context, log: LogId) -> Result<Option<u32>, Error> {
    if let Some(known) = schedule::line_seq(tx, log)? {
        return Ok(Some(known));
    }
    let Some(group) = Group::load(&context.crypto, tx, log)? else { return Ok(None) };
    let facts = group.facts()?;
    let Some(line) = facts.roster.line(context.account) else { return Ok(None) };
    schedule::set_line_seq(tx, log, line.chain_seq)?;
    Ok(Some(line.chain_seq))
}

/// Why a conversation waits for it.
fn waiting(
    tx: &Transaction<'_>,
    context: &Context,
    id: &ConversationId,
    log: &logs::Log,
    brings: impl Fn(&outbox::Item) -> bool,
) -> Result<RotationWaitView, Error> {
    let conversation = conversations::load(tx, id)?;
    let problem = conversation.problem();
    let of_log = |item: &&outbox::Item| item.log == Some(log.log) && brings(item);
    let due = outbox::changes(tx, id)?.iter().filter(of_log).map(|item| item.not_before_ms).min();
    let later = due.filter(|due| *due > context.now);
    let why = match (later, log.trouble) {
        (_, Trouble::Behind | Trouble::RolledBack | Trouble::Frozen) => RotationWait::Mending,
        (Some(_), _) => RotationWait::Later,
        (None, _) if problem.is_some() => RotationWait::Stopped,
        (None, _) => RotationWait::Sending,
    };
    let title = match conversation.kind {
        ConversationKind::NoteToSelf => account::require(tx)?.display_name,
        ConversationKind::Group => conversation.title.clone(),
        ConversationKind::Direct => {
            let contact = crate::store::contacts::load(tx, conversation.account)?;
            contact.map_or_else(String::new, |contact| contact.display_name)
        }
    };
    // The time is not given yet, or is far from anything that could be said.
    let due = later.filter(|due| *due < TIME_UNKNOWN).map(|due| due as f64);
    Ok(RotationWaitView { conversation: to_hex(id), kind: conversation.kind, title, why, due, problem })
}
