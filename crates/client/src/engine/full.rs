//! A log that has no room left at its relay: whoever can write to it can fill it up. What is to be said there waits, the conversation says why, and
//! once that has been so for an hour, whoever may begins anew (docs/protocol.md "Reboot").
//!
//! Not here: how one begins anew (`restart`), and what of the changes that wait goes along (`carried`).

use rusqlite::Transaction;
use waxwing_wire::{LogId, RelayAddress};

use super::Engine;
use super::attempt::Attempt;
use super::context::Context;
use super::emit::Changes;
use super::restart::reboot;
use super::resync::retire;
use crate::error::{Error, ErrorCode};
use crate::store::conversations;
use crate::store::logs::{self, Trouble};
use crate::store::outbox::{self, Item, What};

/// A log that has been full for this long is given up. Entries expire after weeks, so it will not have room by itself.
pub(super) const FULL_MS: u64 = 60 * 60 * 1000;
/// What is said is tried again after this time.
pub(super) const AGAIN_MS: u64 = 60 * 1000;

/// Why something waits that a log has no room for.
pub(super) fn why() -> Error {
    Error::new(ErrorCode::LogFull, "the relay has no room left for this conversation")
}

impl Engine {
    /// The relay has no room in the log for an item.
    pub(super) async fn has_no_room(&self, item: &Item, log: LogId) -> Result<Attempt, Error> {
        let (context, of) = (self.context(), item.clone());
        let (since, changes) = self.store.run(move |tx| no_room(tx, &context, &of, log)).await?;
        self.tell(changes).await;
        let now = self.now_ms();
        // A device whose keys are in force no more is not the one to mend anything.
        if now.saturating_sub(since) >= FULL_MS && !self.is_shut_out().await? {
            // What others have said there is read first.
            self.drain_log(log).await?;
            let (context, home) = (self.context(), self.home.address().clone());
            if let Some(changes) = self.store.run(move |tx| begin_anew(tx, &context, log, home)).await? {
                self.tell(changes).await;
                self.logs_changed.send_modify(|count| *count += 1);
                return Ok(Attempt::Reseal);
            }
        }
        Ok(match item.what {
            What::Message => Attempt::Later(now + AGAIN_MS),
            // Sealed as it is: it may be in the log already, whatever the relay says, and no other change may take its place. Where there
            // is no room for a change there is none for words either.
            What::Change => Attempt::Wait(why()),
        })
    }
}

/// An item waits, and the conversation says why. Since when there is no room.
pub(super) fn no_room(
    tx: &Transaction<'_>,
    context: &Context,
    item: &Item,
    log: LogId,
) -> Result<(u64, Changes), Error> {
    if item.what == What::Message {
        // There may be room for a change all the same: somebody can be taken out.
        outbox::postpone_messages(tx, &item.conversation, context.now.saturating_add(AGAIN_MS))?;
    }
    let mut changes = Changes::default();
    if conversations::set_problem(tx, &item.conversation, Some(&why().view()))? {
        changes.conversation(item.conversation);
    }
    Ok((logs::note_full(tx, log, context.now)?, changes))
}

/// The log is given up: for the one that another has begun already, or for a new one, by whoever may begin anew. None where neither is so: an
/// admin will, once their app finds the same.
pub(super) fn begin_anew(
    tx: &Transaction<'_>,
    context: &Context,
    log: LogId,
    relay: RelayAddress,
) -> Result<Option<Changes>, Error> {
    let Some(log) = logs::load(tx, log)?.filter(|log| log.active) else { return Ok(None) };
    if matches!(log.trouble, Trouble::Behind | Trouble::RolledBack) {
        // It does not know who is in the group by now.
        return Ok(None);
    }
    // It is nobody's change that has locked it.
    let given_up = logs::Log { trouble: Trouble::Frozen, spoiler: None, ..log };
    let newer = |other: &logs::Log| other.active && other.generation > given_up.generation;
    if logs::of(tx, &given_up.conversation)?.iter().any(newer) {
        retire(tx, &given_up)?;
        let mut changes = Changes::default();
        changes.conversation(given_up.conversation);
        return Ok(Some(changes));
    }
    let begun = reboot(tx, context, &given_up, relay)?;
    if begun.is_some() {
        outbox::hurry_messages(tx, &given_up.conversation)?;
    }
    Ok(begun)
}
