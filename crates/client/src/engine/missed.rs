//! Members' devices for which something was sealed to the others alone, since nothing was known of their keys and their relay did not answer:
//! nobody's relay keeps a group from speaking (docs/protocol.md "Wraps"). Once their chain is here, what they have not heard is said again.
//! Not here: how a device that has missed a commit comes back in (`resync`).

use std::collections::HashSet;

use rusqlite::Transaction;
use waxwing_protocol::AppMessage;
use waxwing_wire::{AccountId, DeviceId, EnvelopeId};

use super::Engine;
use super::context::Context;
use crate::error::Error;
use crate::mls::Group;
use crate::store::{conversations, logs, messages, outbox, sealed_for};

impl Engine {
    /// Asks again for chains that could not be had when something was sealed.
    pub(super) async fn mend_missed(&self) -> Result<(), Error> {
        let mut accounts: Vec<_> =
            self.store.run(sealed_for::missed).await?.into_iter().map(|(account, _)| account).collect();
        accounts.dedup();
        for account in accounts {
            if let Err(error) = self.chain_for_reading(account).await {
                tracing::info!(%error, "a member's chain cannot be had");
                continue;
            }
            let context = self.context();
            if self.store.run(move |tx| say_again(tx, &context, account)).await? {
                self.outbox_wake.notify_one();
            }
        }
        Ok(())
    }
}

/// An account's chain was asked for: what was sealed without its devices is said again to those that it states. They may have missed a change of
/// the group as well, and not be able to read that; so it stays noted until they are let back in, or too old. True if something waits to be sent.
pub(super) fn say_again(tx: &Transaction<'_>, context: &Context, account: AccountId) -> Result<bool, Error> {
    let Some(chain) = context.chains.load(tx, account)? else { return Ok(false) };
    let devices = sealed_for::missed(tx)?.into_iter().filter(|(of, _)| *of == account);
    let mut any = false;
    for (_, device) in devices {
        sealed_for::miss_no_more(tx, device)?;
        if chain.device(device).is_none() {
            continue;
        }
        any |= !to(tx, context, device, None)?.is_empty();
        // The own name, and the key that goes with it, are told with the next words.
        for id in conversations::with(tx, account)? {
            conversations::set_profile_sent(tx, &id, false)?;
        }
    }
    Ok(any)
}

/// A device was let back in: what it got no wrap of it can read now, if it takes that Welcome. Another may overtake it, so until the device has
/// spoken what is said to it counts as without a wrap. True if something waits to be sent.
pub(super) fn back_in(
    tx: &Transaction<'_>,
    context: &Context,
    log: &logs::Log,
    (account, device): (AccountId, DeviceId),
) -> Result<bool, Error> {
    let known = context.chains.load(tx, account)?.is_some_and(|chain| chain.device(device).is_some());
    if account == context.account || !known {
        return Ok(false);
    }
    Ok(!to(tx, context, device, Some(log.conversation))?.is_empty())
}

/// A device has spoken in the group as it is, so it reads what is said there: what it may not have heard is said to it once more, for the last
/// time. It may have come back before its keys were known here, or by another Welcome than the one that was told of. True if something waits to
/// be sent.
pub(super) fn has_spoken(
    tx: &Transaction<'_>,
    context: &Context,
    log: &logs::Log,
    (account, device): (AccountId, DeviceId),
) -> Result<bool, Error> {
    if !sealed_for::is_out_of_step_in(tx, log.log, device)? {
        return Ok(false);
    }
    if context.chains.load(tx, account)?.is_none_or(|chain| chain.device(device).is_none()) {
        return Ok(false);
    }
    let said = to(tx, context, device, Some(log.conversation))?;
    said.iter().try_for_each(|envelope| sealed_for::is_said_again(tx, *envelope))?;
    sealed_for::is_in_step(tx, log.log, device)?;
    Ok(!said.is_empty())
}

/// Says again what has no wrap for a device, to whom it was for; gives the envelopes.
fn to(
    tx: &Transaction<'_>,
    context: &Context,
    device: DeviceId,
    only: Option<conversations::ConversationId>,
) -> Result<Vec<EnvelopeId>, Error> {
    let (mut said, mut texts) = (Vec::new(), HashSet::new());
    for (envelope, conversation) in sealed_for::without(tx, device)? {
        if only.is_some_and(|only| only != conversation) {
            continue;
        }
        let Some(message_id) = sealed_for::to_say_again(tx, envelope)?.and_then(|sealed| sealed.message) else {
            continue;
        };
        let Some(log) = logs::to_send(tx, &conversation)? else { continue };
        let Some(group) = Group::load(&context.crypto, tx, log.log)? else { continue };
        if group.leaf(device)?.is_none() {
            continue;
        }
        let Some(text) = messages::own_text(tx, &conversation, message_id)? else { continue };
        said.push(envelope);
        if texts.insert(message_id) {
            outbox::push(tx, &conversation, Some(message_id), &AppMessage::Text { message_id, text }.encode())?;
        }
    }
    Ok(said)
}
