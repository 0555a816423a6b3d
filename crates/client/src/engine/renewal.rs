//! When the own leaf of a group is replaced without anything else being changed (design section 6 'Settings'): a week after the last time
//! on a device that has sent something since, or after so many envelopes. A thief of the keys that were loses what is said then.
//!
//! Not here: the updates that a rotation brings about (`rotation`), and what an update does to the log (`mls::rules`).

use rusqlite::Transaction;

use super::rotation::some_time_after;
use crate::error::Error;
use crate::mls::GroupChange;
use crate::store::conversations::Conversation;
use crate::store::{logs, outbox};

/// A leaf that has sent something is replaced after this time by itself, and before the next words.
pub(super) const AFTER_MS: u64 = 7 * 24 * 60 * 60 * 1000;
/// And before the next words after this many envelopes.
pub(super) const AFTER_ENVELOPES: u64 = 500;

/// Before words: the own leaf stops being the one of a key package before the first ones, and is replaced now and then afterwards.
pub(super) fn before_words(tx: &Transaction<'_>, conversation: &Conversation, now: u64) -> Result<(), Error> {
    let Some(log) = logs::to_send(tx, &conversation.id)? else { return Ok(()) };
    let change = if log.update_due {
        GroupChange::JoinUpdate
    } else if logs::is_stale(tx, log.log, now.saturating_sub(AFTER_MS), AFTER_ENVELOPES)? {
        GroupChange::Update
    } else {
        return Ok(());
    };
    let queued = outbox::changes(tx, &conversation.id)?
        .iter()
        .any(|item| item.not_before_ms == 0 && GroupChange::decode(&item.content).as_ref() == Ok(&change));
    if queued {
        return Ok(());
    }
    // One that waits for its time has it now.
    outbox::push_change_once(tx, &conversation.id, log.log, &change.encode()?, 0)
}

/// Without words, with relay time known: whoever has nothing more to say must not leave a thief what the others say. Each group's update
/// has a time of its own within a day, and none is queued where the leaf is to be replaced anyhow.
pub(super) fn by_time(tx: &Transaction<'_>, now: u64) -> Result<(), Error> {
    for (log, conversation) in logs::stale(tx, now.saturating_sub(AFTER_MS))? {
        let replaces = |item: &outbox::Item| {
            let change = GroupChange::decode(&item.content);
            let own_leaf =
                matches!(change, Ok(GroupChange::Update | GroupChange::JoinUpdate | GroupChange::RotateUpdate));
            own_leaf && item.log == Some(log)
        };
        if !outbox::changes(tx, &conversation)?.iter().any(replaces) {
            outbox::push_change(tx, &conversation, log, &GroupChange::Update.encode()?, some_time_after(now))?;
        }
    }
    Ok(())
}
