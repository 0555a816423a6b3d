//! A log that has no room left at its relay: whoever can write to it can fill it up. What is to be said there waits, and the conversation says why;
//! day by day there is room again, as entries expire. Where there is none for changes either, nobody can be taken out: once that has been so for an
//! hour, whoever may begins anew (docs/protocol.md "Reboot").
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

/// A log that has had no room for changes for this long is given up: whoever has filled that up, too, would else stay for weeks.
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
        if item.what == What::Change
            && let Some(changes) = self.store.run(move |tx| leave_replaced(tx, log)).await?
        {
            self.tell(changes).await;
            return Ok(Attempt::Reseal);
        }
        // A device whose keys are in force no more is not the one to mend anything.
        if item.what == What::Change && now.saturating_sub(since) >= FULL_MS && !self.is_shut_out().await? {
            // Another may have begun anew already; and what others have said there is read first.
            self.drain_inbox().await?;
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

/// Another log has taken its place: what waits to be changed in this one would hold up what is said in that.
pub(super) fn leave_replaced(tx: &Transaction<'_>, log: LogId) -> Result<Option<Changes>, Error> {
    let Some(log) = logs::load(tx, log)?.filter(|log| log.active) else { return Ok(None) };
    let newer = |other: &logs::Log| other.active && other.generation > log.generation;
    if !logs::of(tx, &log.conversation)?.iter().any(newer) {
        return Ok(None);
    }
    retire(tx, &log)?;
    let mut changes = Changes::default();
    conversations::set_problem(tx, &log.conversation, None)?;
    changes.conversation(log.conversation);
    Ok(Some(changes))
}

/// The log is given up for a new one, by whoever may begin anew: it is read on, since others may still say something there. None where another has
/// begun already or one may not: an admin will, once their app finds the same.
pub(super) fn begin_anew(
    tx: &Transaction<'_>,
    context: &Context,
    log: LogId,
    relay: RelayAddress,
) -> Result<Option<Changes>, Error> {
    let Some(log) = logs::load(tx, log)?.filter(|log| log.active) else { return Ok(None) };
    if log.trouble != Trouble::None {
        // It does not know who is in the group by now, or is on its way out of it.
        return Ok(None);
    }
    let begun = reboot(tx, context, &log, relay)?;
    if begun.is_some() {
        outbox::hurry_messages(tx, &log.conversation)?;
    }
    Ok(begun)
}
