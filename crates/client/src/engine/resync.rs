//! Getting back into a group that this device has lost its place in, and letting others back (design section 6). Never before the log was
//! read to its head. Not here: starting anew where nobody can go on (`restart`).

use rusqlite::Transaction;
use waxwing_protocol::LeafKeys;
use waxwing_protocol::content::{Content, ResyncRequest};
use waxwing_protocol::envelope::Recipient;
use waxwing_protocol::group::ResyncProof;
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{AccountId, DeviceId, LogId, RelayAddress, hash};
use zeroize::Zeroizing;

use super::Engine;
use super::context::Context;
use super::conversations::started_line;
use super::deliveries::is_reachable;
use super::emit::Changes;
use super::inbox::CheckedSender;
use super::join::Welcomed;
use super::not_followed;
use super::restart::{begin_without, reboot};
use super::sealing::seal_for_inbox;
use crate::error::{Error, ErrorCode};
use crate::mls::rules::Leaf;
use crate::mls::{self, Group, GroupChange, storage};
use crate::random;
use crate::store::logs::{Noted, Trouble};
use crate::store::lost_welcomes::{self, LostWelcome};
use crate::store::{account, contacts, conversations, deliveries, keys, links, logs, messages, outbox, people};
use crate::views::{ConversationKind, Notice, Standing};

/// At most one request a day for each group, and one answer a day for each device.
pub(super) const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// An answer counts as one of the day for a little less: a request takes its time, the next one may take less.
pub(super) const ANSWERED_FOR_MS: u64 = DAY_MS - 60 * 60 * 1000;
/// How many devices are asked.
const ASKED: usize = 2;
/// How many requests each of them gets, by keys of different versions.
const MOST_PROOFS: u32 = 8;
/// Those who are asked answer within this time of each other; compare-and-swap decides.
const ANSWER_WITHIN_MS: u64 = 3000;

impl Engine {
    /// With the log read to its head: asks for a resync, or starts anew, where that is due.
    pub(super) async fn mend(&self, log: LogId) -> Result<(), Error> {
        let stored = self.store.run(move |tx| logs::load(tx, log)).await?;
        let Some(stored) = stored.filter(|log| log.trouble != Trouble::None) else { return Ok(()) };
        tracing::debug!(trouble = ?stored.trouble, "a group needs mending");
        let context = self.context();
        let home = self.home.address().clone();
        let changes = self.store.run(move |tx| mend(tx, &context, &stored, home)).await?;
        // Woken only for something new to send: whatever waits would else wake itself.
        if let Some(changes) = changes {
            self.tell(changes).await;
            self.logs_changed.send_modify(|count| *count += 1);
            self.outbox_wake.notify_one();
        }
        Ok(())
    }

    /// Nobody can write to this log any more.
    pub(super) async fn freeze(&self, log: LogId) -> Result<(), Error> {
        // Nor does a device that was revoked get to see the commit that takes it out.
        if self.is_shut_out().await? {
            return self.mend(log).await;
        }
        // A device that has lost its place sees another log than the others: that nobody can write is not for it to say.
        self.store.run(move |tx| logs::note_trouble(tx, log, Trouble::Frozen)).await?;
        self.mend(log).await
    }
}

/// What is due for a group in trouble, which one is in or waits to be let back into; none if that is nothing.
pub(super) fn mend(
    tx: &Transaction<'_>,
    context: &Context,
    log: &logs::Log,
    home: RelayAddress,
) -> Result<Option<Changes>, Error> {
    let (asked_ms, nonce) = logs::resync(tx, log.log)?;
    if !log.active && nonce.is_none() {
        return Ok(None);
    }
    let newer = |other: &logs::Log| other.active && other.generation > log.generation;
    let over = log.active && matches!(log.trouble, Trouble::Frozen | Trouble::Behind);
    if over && logs::of(tx, &log.conversation)?.iter().any(newer) {
        // Another group has taken its place. What waits for this one would hold up what is said in that.
        retire(tx, log)?;
        let mut changes = Changes::default();
        changes.conversation(log.conversation);
        return Ok(Some(changes));
    }
    let left = matches!(conversations::load(tx, &log.conversation)?.standing, Standing::Left | Standing::Asked);
    match log.trouble {
        Trouble::None if !log.active && context.now.saturating_sub(asked_ms) >= DAY_MS => {
            match begin_without(tx, context, log, home)? {
                None => not_followed::not_let_in(tx, context, log),
                begun => Ok(begun),
            }
        }
        Trouble::None if log.active => not_followed::nobody_follows(tx, context, log),
        Trouble::None => Ok(None),
        // Whoever may not begin anew asks, too: the others may be well, and this device alone was given nothing that it could take in.
        Trouble::Frozen => match reboot(tx, context, log, home)? {
            Some(changes) => Ok(Some(changes)),
            None => asks(tx, context, log),
        },
        // The member that signed the last handshake has locked everybody out: this device could not take it in, and neither could whoever
        // asked to be let back in meanwhile. Nobody is left to answer, so nobody waits a day for it.
        Trouble::Behind if log.spoiler.is_some() && logs::noted(tx, log.log, Noted::Stuck)? > 0 => {
            logs::set_frozen(tx, log.log)?;
            reboot(tx, context, &logs::Log { trouble: Trouble::Frozen, ..log.clone() }, home)
        }
        // Nobody else is there to ask.
        Trouble::RolledBack if left && alone(tx, context, log.log)? => gone(tx, log).map(Some),
        Trouble::RolledBack if alone(tx, context, log.log)? => reboot(tx, context, log, home),
        Trouble::Lost | Trouble::Behind | Trouble::RolledBack => {
            let unanswered = nonce.is_some() && context.now.saturating_sub(asked_ms) >= DAY_MS;
            // Those who were asked may wait to be let back in themselves, each for the other.
            if unanswered && left {
                return gone(tx, log).map(Some);
            }
            if unanswered && let Some(changes) = reboot(tx, context, log, home)? {
                return Ok(Some(changes));
            }
            asks(tx, context, log)
        }
    }
}

fn asks(tx: &Transaction<'_>, context: &Context, log: &logs::Log) -> Result<Option<Changes>, Error> {
    let asked = ask(tx, context, log)?;
    let mut changes = Changes::default();
    changes.conversation(log.conversation);
    Ok(asked.then_some(changes))
}

/// One has left, cannot say so, and nobody lets one back in to do it: it is not waited for any longer.
fn gone(tx: &Transaction<'_>, log: &logs::Log) -> Result<Changes, Error> {
    storage::delete_group(tx, log.log.as_bytes())?;
    logs::set_inactive(tx, log.log)?;
    outbox::remove_all(tx, &log.conversation)?;
    conversations::set_problem(tx, &log.conversation, None)?;
    let mut changes = Changes::default();
    changes.conversation(log.conversation);
    Ok(changes)
}

fn alone(tx: &Transaction<'_>, context: &Context, log: LogId) -> Result<bool, Error> {
    let Some(group) = Group::load(&context.crypto, tx, log)? else { return Ok(false) };
    Ok(group.leaves()?.len() == 1)
}

/// Asks two devices of the last good tree, with a fresh key package and a proof by the own leaf. False if that is not due.
fn ask(tx: &Transaction<'_>, context: &Context, log: &logs::Log) -> Result<bool, Error> {
    let (asked_ms, _) = logs::resync(tx, log.log)?;
    if context.now.saturating_sub(asked_ms) < DAY_MS {
        return Ok(false);
    }
    // Whoever has left must be let back in to say so; whoever has never accepted says nothing.
    let conversation = conversations::load(tx, &log.conversation)?;
    if !matches!(conversation.standing, Standing::Member | Standing::Left | Standing::Asked) || conversation.declined {
        return Ok(false);
    }
    let Some(group) = Group::load(&context.crypto, tx, log.log)? else { return Ok(false) };
    let nonce = random::bytes();
    let requests = requests(tx, context, log.log, group.own_leaf()?.identity.key_version, nonce)?;
    let mut others: Vec<Leaf> = Vec::new();
    for leaf in group.leaves()?.into_iter().filter(|leaf| leaf.identity.device != context.device) {
        // Whoever nothing can be sent to is not asked; another one is.
        if is_reachable(tx, leaf.identity.account)? {
            others.push(leaf);
        }
    }
    // Own devices first, then any; last of all whoever signed what could not be taken in. One of the two is an admin, who alone could begin
    // anew, should all have lost their places.
    let facts = group.facts()?;
    let admins = mls::rules::admins(&facts.roster, &facts.leaves);
    others.sort_by_cached_key(|leaf| {
        let account = leaf.identity.account;
        (account != context.account, log.spoiler == Some(account), random::bytes::<8>())
    });
    let may = |leaf: &Leaf| admins.contains(&leaf.identity.account) && log.spoiler != Some(leaf.identity.account);
    if let Some(first) = others.iter().position(may) {
        let admin = others.remove(first);
        others.insert(usize::from(others.first().is_some_and(|leaf| leaf.identity.account == context.account)), admin);
    }
    logs::forget_noted(tx, log.log, Noted::Asked)?;
    let mut asked = 0;
    for leaf in &others {
        if asked == ASKED {
            break;
        }
        let to = (leaf.identity.account, leaf.identity.device);
        let mut sent = false;
        for request in &requests {
            sent |= deliver(tx, context, log.conversation, to, EnvelopeKind::Resync, request)?;
        }
        if sent {
            logs::note_device(tx, log.log, to.1, Noted::Asked, context.now, 0)?;
            asked += 1;
        }
    }
    logs::set_resync(tx, log.log, context.now, &nonce)?;
    if log.trouble != Trouble::Lost {
        let waits = Error::new(ErrorCode::LostPlace, "this device waits to be let back in").view();
        conversations::set_problem(tx, &log.conversation, Some(&waits))?;
    }
    Ok(true)
}

/// Requests to be let back into a group under one nonce, each with a proof by other keys: those of `leaf_version`, and of all versions since
/// then that are still kept. An older database does not know how often its leaf was renewed: one of the proofs will hold.
fn requests(
    tx: &Transaction<'_>,
    context: &Context,
    log: LogId,
    leaf_version: u32,
    nonce: [u8; 16],
) -> Result<Vec<Zeroizing<Vec<u8>>>, Error> {
    let (key_package, _) = mls::make_packages(&context.crypto, tx, context.account, &context.keys, 0)?;
    let package_hash = hash(&[&key_package]);
    let request = |keys: &LeafKeys| {
        let proof = ResyncProof::sign(keys.mls(), log, context.account, context.device, nonce, package_hash);
        Content::Resync(ResyncRequest { log, proof, key_package: key_package.clone() }).encode()
    };
    let mut requests = vec![request(context.keys.leaf())];
    for version in versions_since(leaf_version, context.keys.key_version()) {
        requests.extend(context.leaf_keys(tx, version)?.as_deref().map(request));
    }
    Ok(requests)
}

/// The versions before `newest` that a leaf may have which had `leaf` once: the newest few, and that one itself.
fn versions_since(leaf: u32, newest: u32) -> impl Iterator<Item = u32> {
    let recent = leaf.max(newest.saturating_sub(MOST_PROOFS - 2))..newest;
    let first = (leaf < recent.start).then_some(leaf);
    recent.rev().chain(first)
}

/// A Welcome cannot be opened: the private part of its key package is gone, as after an older database. Its sender is asked for
/// another, at most once a day, if one knows them: nobody else learns of it. The leaf that the Welcome belongs to has the MLS key
/// of the keys in force when its key package was made.
pub(super) fn ask_again(tx: &Transaction<'_>, context: &Context, welcomed: &Welcomed) -> Result<(), Error> {
    let Welcomed { welcome, sender: CheckedSender { message, .. } } = welcomed;
    let (account, device) = (message.sender.account, message.sender.device);
    if !contacts::load(tx, account)?.is_some_and(|contact| contact.known && !contact.blocked) {
        return Ok(());
    }
    let oldest = keys::oldest_device_keys(tx)?.unwrap_or(context.keys.key_version());
    let nonce = random::bytes();
    let lost = LostWelcome { log: welcome.log, conversation: welcome.conversation, device, nonce };
    // Before a key package is made: each leaves a private part that is kept for long.
    if !lost_welcomes::note(tx, &lost, context.now, context.now.saturating_sub(DAY_MS))? {
        return Ok(());
    }
    let requests = requests(tx, context, welcome.log, oldest, nonce)?;
    for request in &requests {
        deliver(tx, context, welcome.conversation, (account, device), EnvelopeKind::Resync, request)?;
    }
    Ok(())
}

/// Seals something for a device's inbox, to be sent from there on until it has arrived. False if nothing is known of the device, or if
/// there is no way to it; a Welcome waits for one.
pub(super) fn deliver(
    tx: &Transaction<'_>,
    context: &Context,
    conversation: conversations::ConversationId,
    (account, device): (AccountId, DeviceId),
    kind: EnvelopeKind,
    content: &[u8],
) -> Result<bool, Error> {
    let Some(chain) = context.chains.load(tx, account)? else { return Ok(false) };
    let Some(record) = chain.device(device).map(|state| &state.current().record) else { return Ok(false) };
    if kind != EnvelopeKind::Welcome && !is_reachable(tx, account)? {
        return Ok(false);
    }
    let relay = match contacts::load(tx, account)? {
        Some(contact) => contact.relay,
        None => account::require(tx)?.relay,
    };
    let recipient = Recipient { account, record };
    let (entry_id, blob) =
        seal_for_inbox(&context.keys, context.account, kind, &recipient, content, (context.now, context.checkpoint))?;
    deliveries::push(
        tx,
        &deliveries::Delivery { entry_id, kind, conversation, account, device, relay, blob, link: None },
    )?;
    Ok(true)
}

/// Somebody asks to be let back in. Queued, if it may be done; else says why not.
pub(super) fn asked(
    tx: &Transaction<'_>,
    context: &Context,
    (account, device): (AccountId, DeviceId),
    request: ResyncRequest,
) -> Result<Option<&'static str>, Error> {
    if (request.proof.account, request.proof.device) != (account, device) {
        return Ok(Some("it asks for somebody else"));
    }
    let log = logs::load(tx, request.log)?.filter(|log| log.active);
    let Some(log) = log else { return Ok(Some("it asks about a group that is not followed")) };
    // Whoever has left is in the group until somebody takes them out, and nobody else may be there to answer.
    let conversation = conversations::load(tx, &log.conversation)?;
    if !matches!(conversation.standing, Standing::Member | Standing::Left) || conversation.declined {
        return Ok(Some("it asks before one has accepted"));
    }
    let Some(group) = Group::load(&context.crypto, tx, log.log)? else {
        return Ok(Some("it asks about a group that one is not in"));
    };
    let since = context.now.saturating_sub(ANSWERED_FOR_MS);
    let leaf = group.leaf(device)?.filter(|leaf| leaf.identity.account == account);
    let Some(leaf) = leaf else {
        if !logs::note_device(tx, log.log, device, Noted::Answered, context.now, since)? {
            return Ok(Some("it asks too often"));
        }
        let content = Content::Removed { log: log.log, seq: log.last_handshake }.encode();
        deliver(tx, context, log.conversation, (account, device), EnvelopeKind::Notice, &content)?;
        return Ok(Some("it is not in the group any more"));
    };
    if !request.proof.holds(&leaf.mls_key, log.log) {
        return Ok(Some("its proof does not hold"));
    }
    let waiting = unanswered(tx, &log, &request)?;
    if waiting.is_none() && !logs::note_device(tx, log.log, device, Noted::Answered, context.now, since)? {
        return Ok(Some("it asks too often"));
    }
    if log.trouble == Trouble::Behind && log.spoiler.is_some_and(|who| who != account) {
        logs::note_device(tx, log.log, device, Noted::Stuck, context.now, 0)?;
    }
    let content = Content::Resync(request).encode().to_vec();
    let when = context.now + u64::from_be_bytes(random::bytes()) % ANSWER_WITHIN_MS;
    let change = GroupChange::Resync { account, content }.encode()?;
    match waiting {
        Some(n) => outbox::replace_change(tx, n, &change)?,
        None => outbox::push_change(tx, &log.conversation, log.log, &change, when)?,
    }
    Ok(None)
}

/// An answer to an earlier request of the same device that is not sealed yet: whoever was away for days finds several, and only what was
/// asked last is still waited for.
fn unanswered(tx: &Transaction<'_>, log: &logs::Log, request: &ResyncRequest) -> Result<Option<i64>, Error> {
    for item in outbox::changes(tx, &log.conversation)? {
        if item.log != Some(log.log) || item.sealed.is_some() {
            continue;
        }
        let GroupChange::Resync { content, .. } = GroupChange::decode(&item.content)? else { continue };
        if let Ok(Content::Resync(before)) = Content::decode(EnvelopeKind::Resync, &content)
            && before.proof.device == request.proof.device
            && before.proof.nonce != request.proof.nonce
        {
            return Ok(Some(item.n));
        }
    }
    Ok(None)
}

/// A notice that this device was taken out. It counts where this device is blind and has asked the sender, or knows them as an admin; and from an
/// admin alone where it waits for the Welcome that lets it back in, which one answer has brought on its way: else it sees that in the log.
pub(super) fn told_removed(
    tx: &Transaction<'_>,
    context: &Context,
    (log, seq): (LogId, u64),
    (account, device): (AccountId, DeviceId),
    changes: &mut Changes,
) -> Result<(), Error> {
    if not_followed::told(tx, context, (log, seq), (account, device))? {
        return Ok(());
    }
    let blind = |trouble| matches!(trouble, Trouble::Behind | Trouble::RolledBack | Trouble::Frozen);
    let (_, nonce) = logs::resync(tx, log)?;
    // A log that is not read any more shows nobody that one was taken out of its group meanwhile: what is waited for would never come.
    let told = |log: &logs::Log| if log.active { blind(log.trouble) } else { nonce.is_some() };
    let Some(log) = logs::load(tx, log)?.filter(told) else { return Ok(()) };
    let admin = people::is_admin(&people::of(tx, &log.conversation)?, account);
    let asked = log.active && logs::is_noted(tx, log.log, device, Noted::Asked)?;
    if seq < log.last_handshake || !(admin || asked) {
        return Ok(());
    }
    storage::delete_group(tx, log.log.as_bytes())?;
    logs::set_inactive(tx, log.log)?;
    outbox::remove_changes(tx, log.log)?;
    let id = log.conversation;
    let found = conversations::load(tx, &id)?;
    if found.kind == ConversationKind::Direct {
        // It begins anew with the next words, and with those that nobody has read here.
        outbox::unseal_for(tx, log.log)?;
        outbox::unseal_accepted(tx, log.log)?;
        conversations::set_problem(tx, &id, None)?;
        changes.conversation(id);
        return Ok(());
    }
    outbox::forget_accepted(tx, log.log, u64::MAX)?;
    let others = logs::of(tx, &id)?.iter().any(|other| other.active);
    if others || found.standing != Standing::Member {
        return Ok(());
    }
    conversations::set_standing(tx, &id, Standing::Removed)?;
    conversations::set_problem(tx, &id, None)?;
    links::end(tx, &id)?;
    let me = account::require(tx)?;
    let rest: Vec<_> = people::of(tx, &id)?.into_iter().filter(|one| one.account != me.account).collect();
    people::replace(tx, &id, &rest)?;
    let by = people::name(tx, &me, account)?;
    let notice = Notice::Removed { by, mine: false, name: me.display_name.clone(), me: true };
    let line = started_line(&id, account, false, context.now, &notice);
    messages::insert(tx, &line)?;
    changes.message(account, line.id, false);
    changes.conversation(id);
    changes.group(id);
    Ok(())
}

/// Nothing more is said in a log that another one takes the place of: what waits goes there. One that nobody can use is forgotten.
pub(super) fn retire(tx: &Transaction<'_>, log: &logs::Log) -> Result<(), Error> {
    outbox::remove_changes(tx, log.log)?;
    outbox::unseal_for(tx, log.log)?;
    if log.trouble != Trouble::None {
        outbox::unseal_accepted(tx, log.log)?;
        storage::delete_group(tx, log.log.as_bytes())?;
        logs::set_inactive(tx, log.log)?;
    }
    Ok(())
}
