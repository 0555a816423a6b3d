//! Sealing into envelopes: messages and commits for a log, Welcomes and notices for inboxes; and the keys to open them with.

use std::collections::HashSet;
use std::sync::Arc;

use rusqlite::Transaction;
use waxwing_protocol::content::Content;
use waxwing_protocol::envelope::{CompactCheckpoint, Epoch, Recipient, SealError, SealRequest, Sender, Suite, seal};
use waxwing_protocol::group::LeaveProof;
use waxwing_protocol::{AppMessage, DeviceKeys, SealingKeys};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{AccountId, DeviceId, EnvelopeId, LogId, VerifiedChain};

use super::changes::{Planned, plan};
use super::context::Context;
use super::{Engine, claims, impossible, not_found};
use crate::error::{Error, ErrorCode};
use crate::mls::{ClaimedPackage, Group, GroupChange};
use crate::random;
use crate::store::logs::Trouble;
use crate::store::outbox::{Item, Sealed, What};
use crate::store::sealed_for::{self, SealedFor};
use crate::store::{conversations, keys, logs, messages, outbox};
use crate::views::ConversationKind;

/// Why nothing can be said in a group: it was joined so long ago, and not accepted, that the keys of the own leaf are erased. Whoever only
/// reads there is let in anew by an admin alone: there is nothing left to sign a request with.
pub(super) fn mute() -> Error {
    Error::new(ErrorCode::LeafKeysErased, "the own keys of that leaf are gone")
}

/// What came of sealing.
pub(super) enum Outcome {
    Sealed(Sealed),
    /// There is nothing to do any more; the item is gone.
    Done,
    /// This account's chain is needed first, as its relay has it now.
    Need(AccountId),
    /// It must wait.
    Wait(Error),
    /// It is tried again then, and holds up nothing.
    Later(u64),
    /// It cannot be done, and will not be tried again.
    Refused(Error),
}

/// A text that was said before has wraps for nobody who came in since: whoever is in the group may be another one than when it was queued.
/// False if that leaves nobody but oneself.
fn keep_to_who_had_it(
    tx: &Transaction<'_>,
    context: &Context,
    item: &Item,
    chains: &mut Vec<(DeviceId, Arc<VerifiedChain>)>,
    missed: &mut Vec<(AccountId, DeviceId)>,
) -> Result<bool, Error> {
    let Some(message) = item.message else { return Ok(true) };
    if !messages::load(tx, context.account, message)?.is_some_and(|line| line.placed) {
        return Ok(true);
    }
    // Of what is older than the relay keeps anything, nobody knows any more for whom it was.
    let Some(had) = sealed_for::devices_of(tx, message)? else {
        missed.clear();
        return Ok(false);
    };
    missed.retain(|(_, device)| had.contains(device));
    let own = |chain: &VerifiedChain| chain.account() == context.account;
    let had_it = |chain: &VerifiedChain| chain.past_devices().iter().any(|device| had.contains(&device.id()));
    chains.retain(|(device, chain)| own(chain) || had.contains(device) || had_it(chain));
    Ok(chains.iter().any(|(_, chain)| !own(chain)))
}

/// Seals an item for a log and stores the envelope with it. The caller holds the log's lock and has read it to its head.
///
/// `asked`: accounts whose relay has been asked already; `absent`: those whose chain cannot be had.
pub(super) fn seal_item(
    tx: &Transaction<'_>,
    context: &Context,
    item: &Item,
    log: LogId,
    claimed: Vec<ClaimedPackage>,
    (asked, absent): (&HashSet<AccountId>, &HashSet<AccountId>),
) -> Result<Outcome, Error> {
    if !outbox::exists(tx, item.n)? {
        return Ok(Outcome::Done);
    }
    let log = logs::load(tx, log)?.ok_or_else(|| not_found("no such log"))?;
    // What is sealed for an epoch that has passed is read by nobody.
    if matches!(log.trouble, Trouble::Behind | Trouble::RolledBack) {
        return Ok(Outcome::Wait(Error::new(ErrorCode::RelayBusy, "this device waits to be let back in")));
    }
    let Some(mut group) = Group::load(&context.crypto, tx, log.log)? else {
        return Ok(Outcome::Refused(Error::new(ErrorCode::NotMember, "one is not in the group")));
    };
    let own = group.own_leaf()?;
    let Some(leaf_keys) = context.leaf_keys(tx, own.identity.key_version)? else {
        return Ok(Outcome::Refused(mute()));
    };
    let (leaves, epoch) = (group.leaves()?, group.epoch());
    let (mut chains, mut missed) = (Vec::with_capacity(leaves.len()), Vec::new());
    for leaf in &leaves {
        match context.chains.load(tx, leaf.identity.account)? {
            Some(chain) if chain.device(leaf.identity.device).is_some() => chains.push((leaf.identity.device, chain)),
            // A device that is in no chain gets nothing, and keeps nobody from writing to the others.
            Some(_) if asked.contains(&leaf.identity.account) => {}
            // Nobody's relay keeps the others from being written to. What it is for will be said to this device again.
            _ if absent.contains(&leaf.identity.account) => missed.push((leaf.identity.account, leaf.identity.device)),
            // Its chain may lag behind its leaf: then the relay is asked.
            _ => return Ok(Outcome::Need(leaf.identity.account)),
        }
    }
    if !missed.is_empty() && chains.iter().all(|(_, chain)| chain.account() == context.account) {
        // There is nobody else to hear it.
        return Ok(Outcome::Wait(Error::new(ErrorCode::RelayBusy, "the others' chains cannot be had")));
    }
    let direct = conversations::load(tx, &log.conversation)?.kind == ConversationKind::Direct;
    let alone = leaves.iter().all(|leaf| leaf.identity.account == context.account);
    let mine = (log.log, context.account);
    if item.what == What::Message && !direct && alone && impossible::anybody_comes(tx, &log.conversation, mine)? {
        // What is said in a group without anybody else is for those who are to come.
        return Ok(Outcome::Later(context.now.saturating_add(ALONE_AGAIN_MS)));
    }
    if item.what == What::Message && !keep_to_who_had_it(tx, context, item, &mut chains, &mut missed)? {
        if !missed.is_empty() {
            // It is for them alone.
            return Ok(Outcome::Later(context.now.saturating_add(MISSED_AGAIN_MS)));
        }
        // It is for nobody who is here.
        outbox::remove(tx, item.n)?;
        return Ok(Outcome::Done);
    }
    // Also where the others' leaves are there and nothing is sealed to them: their devices were revoked, and who they are now is not in it yet.
    if item.what == What::Message && direct && chains.iter().all(|(_, chain)| chain.account() == context.account) {
        let peer = conversations::load(tx, &log.conversation)?.account;
        if context.chains.load(tx, peer)?.is_some_and(|chain| chain.is_closed()) {
            return Ok(Outcome::Refused(Error::new(ErrorCode::UnknownUser, "they have closed their account")));
        }
        // It would be sealed for oneself alone, and look as if it had been sent.
        return Ok(Outcome::Later(context.now.saturating_add(ALONE_AGAIN_MS)));
    }
    let (kind, suite, message, secret, welcome) = match item.what {
        What::Message => {
            let content = match AppMessage::decode(&item.content) {
                // Signed now, by the leaf as it is: an own update may have come between the wish and its turn.
                Ok(AppMessage::Leave(_)) => {
                    let (account, device) = (context.account, context.device);
                    let leaf = &own.encryption_key;
                    let proof = LeaveProof::sign(leaf_keys.mls(), log.log, account, device, leaf, random::bytes());
                    AppMessage::Leave(proof).encode()
                }
                _ => item.content.clone(),
            };
            let message = group.encrypt(&leaf_keys, &content)?;
            (EnvelopeKind::App, Suite::X25519, message, None, None)
        }
        What::Change => {
            let change = GroupChange::decode(&item.content)?;
            let planned = match plan(tx, context, &group, &log, &change, claimed)? {
                Planned::Commit(plan) => plan,
                Planned::Nothing => {
                    outbox::remove(tx, item.n)?;
                    return Ok(Outcome::Done);
                }
                Planned::Again => return Ok(Outcome::Later(context.now.saturating_add(PLAN_AGAIN_MS))),
                Planned::Refused(error) => return Ok(Outcome::Refused(error)),
            };
            let committed = match group.commit(context.account, &leaf_keys, &context.keys, planned) {
                Err(error) if error.code() == ErrorCode::NotAdmin => return Ok(Outcome::Refused(error)),
                Err(error) if error.code() == ErrorCode::ChangeImpossible => {
                    return impossible::outcome(tx, item, (log.log, alone), &change, (error, context.now));
                }
                committed => committed?,
            };
            let hurries = !matches!(change, GroupChange::Update | GroupChange::JoinUpdate);
            if !missed.is_empty() && (committed.secret.is_none() || !hurries) {
                // Whoever gets no wrap of a commit is out of step. With a new channel secret they cannot write either, and ask to be let back
                // in; without one they would speak, and nobody would hear them. So that waits, and holds up nothing.
                group.drop_pending()?;
                return Ok(Outcome::Later(context.now.saturating_add(MISSED_AGAIN_MS)));
            }
            for (_, device) in &missed {
                sealed_for::is_out_of_step(tx, log.log, *device)?;
            }
            let welcome = committed.welcome.as_ref().map(crate::mls::PendingWelcome::encode).transpose()?;
            (EnvelopeKind::Handshake, Suite::XWing, committed.message, committed.secret, welcome)
        }
    };
    let content = Content::Mls(message).encode();
    let recipients = recipients(&chains)?;
    let entry_id = EnvelopeId::from_bytes(random::bytes());
    let request = SealRequest {
        kind,
        suite,
        envelope_id: entry_id,
        sender: Sender { account: context.account, keys: &leaf_keys },
        recipients: &recipients,
        tag_key: Some(&log.secret.tag_key()),
        log: log.log,
        after: log.last_handshake,
        counter: logs::next_counter(tx, log.log)?,
        sent_ms: context.now,
        epoch,
        running_hash: log.handshake_running,
        checkpoint: context.checkpoint,
        content: &content,
    };
    let blob = match seal(&request, &mut random::rng()) {
        Ok(blob) => blob,
        Err(error) => {
            let place = (item.n, &item.conversation, log.log);
            if item.what == What::Change {
                // It will have no place in the log.
                group.drop_pending()?;
                if error == SealError::TooLong && claims::halve(tx, place, &item.content)? {
                    // Longer than was reckoned: those who are to come in come in two commits.
                    return Ok(Outcome::Later(0));
                }
            }
            return Ok(Outcome::Refused(Error::new(ErrorCode::Internal, format!("sealing: {error}"))));
        }
    };
    if item.what == What::Message {
        let message = match AppMessage::decode(&item.content) {
            Ok(AppMessage::Text { message_id, .. }) => Some(message_id),
            _ => None,
        };
        // Whoever has missed a change has a wrap and cannot read what is in it: once they are back, it is said again.
        let out_of_step = sealed_for::out_of_step(tx, log.log)?;
        let version = |device, version| if out_of_step.contains(&device) { sealed_for::NO_WRAP } else { version };
        let sealed = recipients.iter().map(|to| (to.record.device, version(to.record.device, to.record.key_version)));
        let recipients = sealed.chain(missed.iter().map(|(_, device)| (*device, sealed_for::NO_WRAP))).collect();
        for (account, device) in missed {
            sealed_for::miss(tx, account, device)?;
        }
        sealed_for::note(tx, entry_id, &SealedFor { message, recipients }, context.now)?;
    }
    let sealed = Sealed { log: log.log, entry_id, after: log.last_handshake, blob, secret, welcome };
    outbox::set_sealed(tx, item.n, &sealed)?;
    Ok(Outcome::Sealed(sealed))
}

/// How long a change waits that somebody would be out of step by without knowing it.
const MISSED_AGAIN_MS: u64 = 15 * 60 * 1000;
/// A change that is planned anew.
const PLAN_AGAIN_MS: u64 = 2000;
/// How long a text waits where the other side is not in the group yet.
const ALONE_AGAIN_MS: u64 = 60 * 1000;
/// Erased versions that are told from what is for somebody else.
const MOST_ERASED: usize = 64;

/// Every leaf's device under its keys in force, the own one among them.
fn recipients(devices: &[(DeviceId, Arc<VerifiedChain>)]) -> Result<Vec<Recipient<'_>>, Error> {
    devices
        .iter()
        .map(|(device, chain)| {
            let device = chain.device(*device).ok_or_else(|| not_found("a device without keys"))?;
            Ok(Recipient { account: chain.account(), record: &device.current().record })
        })
        .collect()
}

/// Seals for one device's inbox.
pub(super) fn seal_for_inbox(
    keys: &DeviceKeys,
    account: AccountId,
    kind: EnvelopeKind,
    recipient: &Recipient<'_>,
    content: &[u8],
    (sent_ms, checkpoint): (u64, Option<CompactCheckpoint>),
) -> Result<(EnvelopeId, Vec<u8>), Error> {
    let envelope_id = EnvelopeId::from_bytes(random::bytes());
    let request = SealRequest {
        kind,
        suite: Suite::XWing,
        envelope_id,
        sender: Sender { account, keys: keys.leaf() },
        recipients: std::slice::from_ref(recipient),
        tag_key: None,
        log: LogId::from_bytes([0; 16]),
        after: 0,
        counter: 0,
        sent_ms,
        epoch: Epoch::default(),
        running_hash: [0; 32],
        checkpoint,
        content,
    };
    let blob = seal(&request, &mut random::rng())
        .map_err(|error| Error::new(ErrorCode::Internal, format!("sealing: {error}")))?;
    Ok((envelope_id, blob))
}

impl Engine {
    /// Every sealing key of this device that an envelope may be for: those of a rotation under way, those in force, and
    /// older ones. Read after the envelopes were fetched, so that no version is missing.
    pub(super) async fn opening_keys(&self) -> Result<OpeningKeys, Error> {
        let device = self.device;
        let (old, pending) = self
            .store
            .run(move |tx| {
                let pending = match keys::rotation(tx)? {
                    Some(rotation) => Some(DeviceKeys::new(device, rotation.key_version, rotation.seeds)?),
                    None => None,
                };
                Ok((keys::old_sealing_keys(tx)?, pending))
            })
            .await?;
        Ok(OpeningKeys { pending, current: self.keys(), old })
    }
}

/// See [`Engine::opening_keys`].
pub(super) struct OpeningKeys {
    pending: Option<DeviceKeys>,
    current: Arc<DeviceKeys>,
    old: Vec<SealingKeys>,
}

impl OpeningKeys {
    /// Versions whose keys are erased, the newest first, as many as anybody can still seal to.
    pub(super) fn erased(&self) -> Vec<u32> {
        let kept: Vec<u32> = self.list().iter().map(|keys| keys.key_version()).collect();
        (1..self.current.key_version()).rev().filter(|version| !kept.contains(version)).take(MOST_ERASED).collect()
    }

    /// Newest first, each version once.
    pub(super) fn list(&self) -> Vec<&SealingKeys> {
        let mut list: Vec<&SealingKeys> = Vec::with_capacity(self.old.len() + 2);
        let newest = self.pending.iter().map(DeviceKeys::sealing).chain([self.current.sealing()]).chain(&self.old);
        for keys in newest {
            if list.iter().all(|known| known.key_version() != keys.key_version()) {
                list.push(keys);
            }
        }
        list
    }
}
