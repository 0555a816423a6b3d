//! A relay was restored from a backup: what one's own has lost of this account is stated again, and what was said since is said again.
//!
//! Not here: how a restoration is known from a lie (`transparency::restored`), what becomes of a conversation's log that went back (`receive`).

use std::sync::PoisonError;

use rusqlite::Transaction;
use waxwing_protocol::AppMessage;
use waxwing_wire::limits::MAX_ACCESS_KEYS;
use waxwing_wire::problem::ProblemCode;
use zeroize::Zeroizing;

use super::context::Context;
use super::entries::Reading;
use super::join::FIRST_GENERATION;
use super::register::refusal;
use super::{Client, Engine};
use crate::error::{Error, ErrorCode, ErrorView};
use crate::mls::rules::{GroupFacts, Leaf};
use crate::relay::{ApiError, Invitation};
use crate::store::conversations::ConversationId;
use crate::store::{keys, logs, messages, outbox, restorations, sealed_for};
use crate::views::{LogView, Standing};

/// A checkpoint is signed each hour: what was said in the hour before the backup's last one may be lost, too.
const BEFORE_MS: u64 = 60 * 60 * 1000;
/// A conversation that begins anew so long after a restoration does not do so because of it.
const KEPT_MS: u64 = 30 * 24 * 60 * 60 * 1000;
/// Most of one's own texts that are said again in a conversation.
const MOST_SAID_AGAIN: u32 = 512;

impl Client {
    /// Tells the own relay again what it has lost, where it has not taken that by itself: it may want its operator's invitation for an
    /// account that it does not have any more. Blank is none.
    pub async fn register_again(&self, invitation: Zeroizing<String>) -> Result<LogView, Error> {
        let invitation = Invitation::parse(&invitation)?;
        self.0.tell_all_again(invitation.as_ref()).await?;
        self.transparency_log().await
    }
}

impl Engine {
    /// After the own relay was restored: tells it what it has lost, until it has taken all of it.
    pub(super) async fn tell_restored_relay(&self) -> Result<(), Error> {
        if self.store.run(restorations::redo).await? { self.tell_all_again(None).await } else { Ok(()) }
    }

    pub(super) async fn tell_all_again(&self, invitation: Option<&Invitation>) -> Result<(), Error> {
        let last = self.store.run(restorations::last).await?;
        let outcome = self.state_again(invitation).await;
        let lasting = |error: &&Error| !matches!(error.code(), ErrorCode::RelayDown | ErrorCode::RelayBusy);
        self.set_restored_problem(outcome.as_ref().err().filter(lasting).map(Error::view)).await;
        outcome?;
        // With the keys in force, which the relay may only now know.
        self.credentials.forget().await;
        let forgotten = self.store.run(restorations::forgotten_access_keys).await?;
        for some in forgotten.chunks(MAX_ACCESS_KEYS) {
            self.home.delete_access_keys(some.to_vec()).await?;
        }
        self.flush_access_keys().await?;
        self.refill_key_packages().await?;
        self.store.run(move |tx| restorations::done(tx, last)).await?;
        tracing::info!("the restored relay has what it had lost of this account");
        self.try_now.send_modify(|count| *count += 1);
        self.outbox_wake.notify_one();
        Ok(())
    }

    /// Has the relay take the own entries that its log does not hold: the same bytes again, from the first one on where it has lost the account.
    async fn state_again(&self, invitation: Option<&Invitation>) -> Result<(), Error> {
        // No change of the chain meanwhile.
        let _one = self.rotating.lock().await;
        let (me, chain) = (self.account, self.chain(self.account).await?);
        let logged = self.logged(&chain).await?;
        let entries = self.store.run(move |tx| keys::chain_entries(tx, me)).await?;
        let mut named = true;
        for (seq, entry) in (0..).zip(&entries).filter(|(seq, _)| logged.place(*seq).is_none()) {
            if seq == 0 {
                let made = self.home.create_account(entry, invitation).await;
                made.map_err(|error| refusal(error, invitation.is_some()))?;
                continue;
            }
            let mut outcome = Err(ApiError::Malformed("no path"));
            if named {
                outcome = self.home.append_chain(me, entry).await;
                // The relay knows none of the keys that are in force here.
                named = !matches!(&outcome, Err(error) if error.problem() == Some(ProblemCode::Unauthorized));
            }
            if !named {
                outcome = self.home.append_unnamed(me, entry).await;
            }
            match outcome {
                Err(error) if error.problem() == Some(ProblemCode::ChainConflict) => {
                    return Err(Error::new(ErrorCode::OwnKeysChanged, "the relay has another entry in the own chain"));
                }
                outcome => outcome?,
            };
        }
        Ok(())
    }

    async fn set_restored_problem(&self, problem: Option<ErrorView>) {
        let news = {
            let mut known = self.restored_problem.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *known, problem.clone()) != problem
        };
        if news {
            self.tell_log(&self.home.address().authority()).await;
        }
    }

    /// Whether a log that went back has done so with its relay, which was restored from a backup.
    pub(super) async fn went_back_with_its_relay(&self, log: &logs::Log) -> Result<bool, Error> {
        let id = log.log;
        if self.store.run(move |tx| restorations::is_unread(tx, id)).await? {
            return Ok(true);
        }
        // Perhaps nobody has looked since.
        if let Err(error) = self.follow_log(&log.relay).await {
            tracing::info!(%error, "whether a relay was restored cannot be seen now");
            return Ok(false);
        }
        self.store.run(move |tx| restorations::is_unread(tx, id)).await
    }
}

/// In a group that was begun anew, somebody is brought in again: what they may have lost with their relay is said again. Whoever could not be
/// had at first comes later than the others.
pub(super) fn say_again_to_newcomers(
    reading: &mut Reading<'_>,
    before: &GroupFacts,
    after: &GroupFacts,
) -> Result<(), Error> {
    // Whoever was on the roster already: somebody who comes in has heard nothing that could be lost to them.
    let new = |leaf: &Leaf| {
        let account = leaf.identity.account;
        before.roster.line(account).is_some() && before.leaves.iter().all(|old| old.identity.account != account)
    };
    if reading.log.generation <= FIRST_GENERATION
        || reading.conversation.standing != Standing::Member
        || !after.leaves.iter().any(new)
    {
        return Ok(());
    }
    say_again(reading.tx, reading.context, &reading.log.conversation, &after.leaves)?;
    reading.taken.wake = true;
    Ok(())
}

/// A conversation goes on in another log, since its relay was restored from a backup, or its log went back for no known reason. What one has
/// said since then may be lost, or stand where nobody looks any more: it is said again. Whoever has it knows it by its id. What was not for every device that is here now is not: whoever
/// has recovered since has no claim to it by a restoration.
pub(super) fn say_again(
    tx: &Transaction<'_>,
    context: &Context,
    conversation: &ConversationId,
    here: &[Leaf],
) -> Result<(), Error> {
    let mut since: Option<u64> = None;
    let after = context.now.saturating_sub(KEPT_MS);
    for log in logs::of(tx, conversation)? {
        let restored = restorations::lost_since(tx, &log.relay.authority(), after)?;
        // No note says how far it went back: as far as others may not have read.
        let went_back = logs::went_back(tx, log.log)?.is_some_and(|found| found >= after);
        since = since.into_iter().chain(restored.or(went_back.then_some(after))).min();
    }
    let Some(since) = since else { return Ok(()) };
    let mut waiting =
        outbox::messages(tx, conversation)?.into_iter().filter_map(|item| item.message).collect::<Vec<_>>();
    for (message_id, devices) in
        sealed_for::texts_since(tx, conversation, since.saturating_sub(BEFORE_MS), MOST_SAID_AGAIN)?
    {
        let mut others = here.iter().filter(|leaf| leaf.identity.account != context.account);
        let for_all = others.all(|leaf| devices.contains(&leaf.identity.device));
        if !for_all || waiting.contains(&message_id) {
            continue;
        }
        let Some(text) = messages::own_text(tx, conversation, message_id)? else { continue };
        outbox::push(tx, conversation, Some(message_id), &AppMessage::Text { message_id, text }.encode())?;
        waiting.push(message_id);
    }
    Ok(())
}
