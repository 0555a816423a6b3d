//! A change that cannot be made of a group as it is: somebody in it has keys that nothing can be sealed to, or somebody who is to come in has.
//! It holds up nothing. Words need no commit, and the removal of whoever it is takes those keys out.
//!
//! Not here: what keeps such keys out of a group (`mls::rules`, `mls::read_package`).

use rusqlite::Transaction;
use waxwing_wire::{AccountId, LogId};

use super::claims;
use super::sealing::Outcome;
use crate::error::Error;
use crate::mls::GroupChange;
use crate::store::conversations::ConversationId;
use crate::store::outbox::{self, Item};
use crate::store::people;

/// How long a change waits then.
const AGAIN_MS: u64 = 15 * 60 * 1000;

/// What becomes of it. `alone`: whether nobody but oneself is in the group.
pub(super) fn outcome(
    tx: &Transaction<'_>,
    item: &Item,
    (log, alone): (LogId, bool),
    change: &GroupChange,
    (error, now): (Error, u64),
) -> Result<Outcome, Error> {
    tracing::warn!(%error, "a change of a group cannot be made now");
    Ok(match change {
        // It may be one of them alone: the others come in by another commit.
        GroupChange::Add(_) if claims::halve(tx, (item.n, &item.conversation, log), &item.content)? => {
            Outcome::Later(0)
        }
        // What is said there is for those who are to come: as long as there is nobody, it waits with them.
        GroupChange::Add(_) if alone && others_come(tx, (item.n, &item.conversation), now)? => {
            Outcome::Later(now.saturating_add(AGAIN_MS))
        }
        GroupChange::Add(_) if alone => Outcome::Wait(error),
        // Somebody waits for these and is told. Made much later, when the group can be changed again, they would be a surprise: whoever was not
        // the one to remove would go all the same.
        GroupChange::Add(_) | GroupChange::Remove(_) | GroupChange::SetRole { .. } | GroupChange::Rename(_) => {
            Outcome::Refused(error)
        }
        GroupChange::Update
        | GroupChange::JoinUpdate
        | GroupChange::RotateUpdate
        | GroupChange::Admit { .. }
        | GroupChange::Resync { .. }
        | GroupChange::AnswerLeave { .. }
        | GroupChange::AddOwn
        | GroupChange::Follow(_) => Outcome::Later(now.saturating_add(AGAIN_MS)),
    })
}

/// Whether others than by this change are to be brought in now, or ask to be.
pub(super) fn others_come(tx: &Transaction<'_>, item: (i64, &ConversationId), now: u64) -> Result<bool, Error> {
    let (n, conversation) = item;
    let due = |other: &Item| other.n != n && other.not_before_ms <= now;
    Ok(outbox::changes(tx, conversation)?.iter().any(|other| due(other) && brings_in(other)))
}

/// Whether anybody but oneself is still to be brought into a group, or back, now or later.
pub(super) fn anybody_comes(
    tx: &Transaction<'_>,
    conversation: &ConversationId,
    (log, me): (LogId, AccountId),
) -> Result<bool, Error> {
    let people = people::of(tx, conversation)?;
    let in_it = |who| who != me && people.iter().any(|person| person.account == who);
    let back = |item: &Item| matches!(GroupChange::decode(&item.content), Ok(GroupChange::Follow(who)) if in_it(who));
    let changes = outbox::changes(tx, conversation)?;
    Ok(changes.iter().any(|item| item.log == Some(log) && (brings_in(item) || back(item))))
}

fn brings_in(item: &Item) -> bool {
    matches!(GroupChange::decode(&item.content), Ok(GroupChange::Add(_) | GroupChange::Admit { .. }))
}
