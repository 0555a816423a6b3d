//! Groups follow their members' chains: whoever was revoked is taken out, whoever recovered their account is brought back in, and the
//! roster's keys move on. Any member does it, with the chain itself as the proof (design sections 4 and 6).
//!
//! Not here: how a chain becomes known, and whether a commit that follows one is valid (`mls::rules`).

use std::collections::HashSet;

use rusqlite::Transaction;
use waxwing_protocol::group::{ChainPart, CommitData, Followed, GroupKind, Roster, follow};
use waxwing_protocol::{AppMessage, LeafIdentity};
use waxwing_wire::chain::{DeviceState, Statement, What};
use waxwing_wire::limits::MAX_GROUP_DEVICES;
use waxwing_wire::{AccountId, ChainEntry, DeviceId, VerifiedChain};

use super::changes::{Planned, add};
use super::context::Context;
use super::entries::Reading;
use super::own_leaves;
use crate::error::{Error, ErrorCode};
use crate::mls::rules::{self, GroupFacts};
use crate::mls::{ClaimedPackage, Group, GroupChange, Plan};
use crate::random;
use crate::store::{contacts, conversations, keys, logs, messages, outbox, people, sealed_for};
use crate::views::{ConversationKind, Standing};

/// All members see a recovery at about the same time; compare-and-swap decides among those who act at once.
const WITHIN_MS: u64 = 4000;
/// Most entries that one commit brings along: as many as a part holds.
const MOST_ENTRIES: usize = 64;
/// Whoever's key packages could not be had is tried again after as long as they have been waiting for, between these; and nothing waits
/// for it. Not without them, or nobody could bring them back.
const FIRST_AGAIN_MS: u64 = 2000;
const LAST_AGAIN_MS: u64 = 60 * 1000;
/// How old something may be that is said again for a device that was let in, and how much of it.
const SAID_AGAIN_MS: u64 = 60 * 60 * 1000;
const MOST_SAID_AGAIN: u32 = 64;

/// Whether entries change more than one device's keys: whom a group consists of, or the keys that prove it.
pub(super) fn concerns_groups(entries: &[Vec<u8>]) -> bool {
    let concerns = |statement: &Statement| {
        matches!(statement, Statement::Recover(_) | Statement::RotateAccountKey(_) | Statement::Close)
    };
    entries.iter().any(|bytes| ChainEntry::decode(bytes).is_ok_and(|entry| concerns(&entry.unsigned.statement)))
}

/// An account's stored chain has grown by entries that concern groups: each group that one shares with it is to follow. True if
/// something waits to be sent.
pub(super) fn chain_grew(tx: &Transaction<'_>, context: &Context, account: AccountId) -> Result<bool, Error> {
    let mut any = false;
    for log in logs::active(tx)? {
        let conversation = conversations::load(tx, &log.conversation)?;
        let shared = people::of(tx, &log.conversation)?.iter().any(|person| person.account == account);
        if !shared || conversation.standing != Standing::Member {
            continue;
        }
        let waits = outbox::changes(tx, &log.conversation)?.iter().any(|item| {
            item.log == Some(log.log)
                && item.sealed.is_none()
                && matches!(GroupChange::decode(&item.content), Ok(GroupChange::Follow(who)) if who == account)
        });
        let Some(group) = Group::load(&context.crypto, tx, log.log)?.filter(|_| !waits) else { continue };
        let facts = group.facts()?;
        if due(tx, &facts, account)?.is_none() && !is_left_out(tx, context, (&log, &facts), account)? {
            continue;
        }
        let soon = u64::from_be_bytes(random::bytes()) % WITHIN_MS;
        let when = if account == context.account { 0 } else { context.now + soon };
        outbox::push_change(tx, &log.conversation, log.log, &GroupChange::Follow(account).encode()?, when)?;
        any = true;
    }
    Ok(any)
}

/// Whether somebody is on the roster and has no leaf, since what states their device now did not fit beside what revoked the one before: an admin adds
/// them. Looked at again when it is done: they may have been taken out, or blocked, by then.
fn is_left_out(
    tx: &Transaction<'_>,
    context: &Context,
    (log, facts): (&logs::Log, &GroupFacts),
    account: AccountId,
) -> Result<bool, Error> {
    let roster = &facts.roster;
    let has_leaf = facts.leaves.iter().any(|leaf| leaf.identity.account == account);
    let admin = roster.kind != GroupKind::Group || rules::admins(roster, &facts.leaves).contains(&context.account);
    let full = facts.leaves.len() >= MAX_GROUP_DEVICES;
    if has_leaf || full || !admin || roster.line(account).is_none() {
        return Ok(false);
    }
    if context.chains.load(tx, account)?.is_none_or(|chain| chain.is_closed())
        || contacts::load(tx, account)?.is_none_or(|contact| contact.blocked)
        || logs::to_send(tx, &log.conversation)?.is_none_or(|written_to| written_to.log != log.log)
    {
        return Ok(false);
    }
    for item in outbox::changes(tx, &log.conversation)?.iter().filter(|item| item.log == Some(log.log)) {
        let about_them = match GroupChange::decode(&item.content)? {
            GroupChange::Add(people) => people.contains(&account),
            GroupChange::Admit { account: who, .. } | GroupChange::AnswerLeave { account: who, .. } => who == account,
            GroupChange::Remove(who) => who == account,
            _ => false,
        };
        if about_them {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Every group is looked at again, whatever was missed: a chain that grew while one could not act on it. True if something waits to be
/// sent.
pub(super) fn reconcile(tx: &Transaction<'_>, context: &Context) -> Result<bool, Error> {
    let mut accounts = Vec::new();
    for log in logs::active(tx)? {
        accounts.extend(people::of(tx, &log.conversation)?.into_iter().map(|person| person.account));
    }
    accounts.sort_unstable();
    accounts.dedup();
    let mut any = false;
    for account in accounts {
        // Most chains are nothing but rotations: that is seen without reading a group.
        if concerns_groups(keys::chain_entries(tx, account)?.get(1..).unwrap_or_default()) {
            any |= chain_grew(tx, context, account)?;
        }
    }
    any |= own_leaves::queue_everywhere(tx, context)?;
    Ok(any)
}

/// What of an account's chain a group does not know yet, if that concerns it.
fn due(tx: &Transaction<'_>, facts: &GroupFacts, account: AccountId) -> Result<Option<(ChainPart, Followed)>, Error> {
    let Some(line) = facts.roster.line(account) else { return Ok(None) };
    let from_seq = line.chain_seq.saturating_add(1);
    let mut entries: Vec<_> = keys::chain_entries(tx, account)?.into_iter().skip(from_seq as usize).collect();
    if !concerns_groups(&entries) {
        return Ok(None);
    }
    // Device rotations do not move a line, so there may be many: the way is then gone in several steps.
    let recovers = |bytes: &Vec<u8>| {
        ChainEntry::decode(bytes).is_ok_and(|entry| matches!(entry.unsigned.statement, Statement::Recover(_)))
    };
    entries.truncate(cut(entries.len(), entries.iter().rposition(recovers)));
    let part = ChainPart { account, from_seq, entries };
    Ok(follow(line, &part).map(|followed| (part, followed)))
}

/// How many of so many entries one step takes, the newest recovery among them here. It goes with all that follows it, as far as that fits: only then is
/// the device that it states brought back in the step that takes the others out.
fn cut(entries: usize, recovery: Option<usize>) -> usize {
    match recovery {
        Some(place) if place > 0 && entries > MOST_ENTRIES => place.min(MOST_ENTRIES),
        _ => entries.min(MOST_ENTRIES),
    }
}

/// Whether the change needs key packages: somebody has a device in force that is not in the group.
pub(super) fn needs_packages(
    tx: &Transaction<'_>,
    context: &Context,
    log: &logs::Log,
    account: AccountId,
) -> Result<bool, Error> {
    let Some(group) = Group::load(&context.crypto, tx, log.log)? else { return Ok(false) };
    let facts = group.facts()?;
    let Some(chain) = keys::chain(tx, account)? else { return Ok(false) };
    let Some((_, followed)) = due(tx, &facts, account)? else {
        return is_left_out(tx, context, (log, &facts), account);
    };
    Ok(!missing(&chain, &facts, &followed).is_empty())
}

/// Devices in force that are not in a group, and that the proof brings back: no other may be added by whoever follows a chain.
fn missing(chain: &VerifiedChain, facts: &GroupFacts, followed: &Followed) -> Vec<DeviceId> {
    let here = |device| facts.leaves.iter().any(|leaf| leaf.identity.device == device);
    let states = |state: &&DeviceState| {
        let record = &state.current().record;
        followed.states(&LeafIdentity::of(chain.account(), record), &record.mls)
    };
    if chain.is_closed() || !followed.is_recovered() {
        return Vec::new();
    }
    chain.devices().filter(states).map(DeviceState::id).filter(|device| !here(*device)).collect()
}

/// What a message waits for: somebody who has recovered their account is let in before more is said, since their old devices hear nothing
/// of it.
pub(super) enum First {
    /// Nothing.
    Nothing,
    /// A change, which comes first now.
    Change(i64),
    /// The only other side is not let in yet, and nobody would hear it: it is looked at again then.
    Nobody(u64),
}

/// Looks for that. `tried`: changes that did not get through in this pass.
pub(super) fn comes_first(
    tx: &Transaction<'_>,
    conversation: &conversations::ConversationId,
    now_ms: u64,
    tried: &HashSet<i64>,
) -> Result<First, Error> {
    let follows = |item: &outbox::Item| {
        item.sealed.is_none() && matches!(GroupChange::decode(&item.content), Ok(GroupChange::Follow(_)))
    };
    let waiting: Vec<_> = outbox::changes(tx, conversation)?.into_iter().filter(follows).collect();
    // One that was put off, since somebody's key packages cannot be had or they are to be verified first, keeps its time.
    let soon =
        |item: &&outbox::Item| item.not_before_ms <= now_ms.saturating_add(WITHIN_MS) && !tried.contains(&item.n);
    if let Some(item) = waiting.iter().find(soon) {
        return Ok(First::Change(outbox::move_first(tx, item.n)?));
    }
    let direct = conversations::load(tx, conversation)?.kind == ConversationKind::Direct;
    let when = waiting.iter().map(|item| item.not_before_ms).min();
    Ok(match when {
        Some(when) if direct => First::Nobody(when.max(now_ms.saturating_add(FIRST_AGAIN_MS))),
        _ => First::Nothing,
    })
}

/// When somebody is tried again: a device that was recovered a moment ago has its key packages still on their way.
pub(super) fn again(chain: Option<&VerifiedChain>, now_ms: u64) -> u64 {
    let changed = chain.and_then(|chain| chain.events().last()).map_or(0, |event| event.place.at_ms);
    now_ms + now_ms.saturating_sub(changed).clamp(FIRST_AGAIN_MS, LAST_AGAIN_MS)
}

/// Plans it, as the group stands.
pub(super) fn plan(
    tx: &Transaction<'_>,
    context: &Context,
    (log, facts): (&logs::Log, &GroupFacts),
    account: AccountId,
    (claimed, mut data): (Vec<ClaimedPackage>, CommitData),
) -> Result<Planned, Error> {
    let Some((part, followed)) = due(tx, facts, account)? else {
        return Ok(match is_left_out(tx, context, (log, facts), account)? {
            false => Planned::Nothing,
            true if claimed.iter().all(|one| one.account != account) => Planned::Again,
            true => add(tx, context, facts, &[account], claimed, data)?,
        });
    };
    let Some(chain) = keys::chain(tx, account)? else { return Ok(Planned::Nothing) };
    let of_account = facts.leaves.iter().filter(|leaf| leaf.identity.account == account);
    // A leaf that no entry of the own chain has ever stated is a thief's: the part names it not, and only the account itself may judge so.
    let ghost = |device| account == context.account && chain.past_device(device).is_none();
    let gone = |device| followed.removes(device) || ghost(device);
    let remove: Vec<_> = of_account.filter(|leaf| gone(leaf.identity.device)).map(|leaf| leaf.index).collect();
    let wanted = missing(&chain, facts, &followed);
    let mut add: Vec<_> =
        claimed.into_iter().filter(|one| one.account == account && wanted.contains(&one.device)).collect();
    if add.is_empty() && !wanted.is_empty() {
        // None were asked for: another one has gone a step meanwhile.
        return Ok(Planned::Again);
    }
    add.truncate(MAX_GROUP_DEVICES.saturating_sub(facts.leaves.len() - remove.len()));
    if add.is_empty() && !wanted.is_empty() {
        return Ok(Planned::Refused(Error::new(ErrorCode::GroupFull, "there is no room to bring a device back")));
    }
    let mut roster: Roster = facts.roster.clone();
    if followed.is_closed() && roster.kind == GroupKind::Group {
        roster.remove(account);
    } else {
        roster.set(followed.line);
    }
    // It may travel along already, as the news of an own rotation: once is enough.
    data.chains.retain(|known| known.account != account);
    data.chains.push(part);
    Ok(Planned::Commit(Plan { add, remove, roster: Some(roster), data, ..Plan::default() }))
}

/// From when on it is said again: since the recovery, where that was less than an hour ago by the time that the chain states. A time to come is that
/// of a clock that is ahead, or made up.
fn said_since(recovered_ms: u64, now_ms: u64) -> u64 {
    let recovered_ms = if recovered_ms > now_ms { 0 } else { recovered_ms };
    recovered_ms.max(now_ms.saturating_sub(SAID_AGAIN_MS))
}

/// What one has said since somebody recovered their account was sealed for devices that they have no more: it is said again, for the one that
/// they have. Everybody else knows it by its id; where somebody has come in since, it is not, since it was not for them. Nor is what is
/// older than an hour, whatever the chain's time says: a phrase opens no history.
pub(super) fn say_again(reading: &mut Reading<'_>, before: &GroupFacts, after: &GroupFacts) -> Result<(), Error> {
    let (mut since, mut back) = (None, HashSet::new());
    for line in before.roster.lines.iter().filter(|line| line.account != reading.context.account) {
        if after.roster.line(line.account).is_none_or(|now| now.chain_seq <= line.chain_seq) {
            continue;
        }
        let Some(chain) = reading.chain_of(line.account)? else { continue };
        let later = chain.events().iter().rev().take_while(|event| event.place.seq > line.chain_seq);
        let recovered: Vec<_> =
            later.filter(|event| matches!(event.what, What::Recovered { .. })).map(|event| event.place.at_ms).collect();
        if !recovered.is_empty() {
            back.insert(line.account);
        }
        since = recovered.into_iter().chain(since).min();
    }
    let Some(since) = since else { return Ok(()) };
    let (tx, conversation) = (reading.tx, reading.log.conversation);
    let since = said_since(since, reading.context.now);
    let others: Vec<_> = after.leaves.iter().filter(|leaf| !back.contains(&leaf.identity.account)).collect();
    let mut done = HashSet::new();
    for (message_id, devices) in sealed_for::texts_since(tx, &conversation, since, MOST_SAID_AGAIN)? {
        // Of whoever has recovered, the device before: somebody who came in later has no claim to it either.
        let was_for = |account: &AccountId| {
            let mut before = before.leaves.iter().filter(|leaf| leaf.identity.account == *account);
            before.any(|leaf| devices.contains(&leaf.identity.device))
        };
        let was_for_all = others.iter().all(|leaf| devices.contains(&leaf.identity.device)) && back.iter().all(was_for);
        if !was_for_all || !done.insert(message_id) {
            continue;
        }
        let Some(text) = messages::own_text(tx, &conversation, message_id)? else { continue };
        outbox::push(tx, &conversation, Some(message_id), &AppMessage::Text { message_id, text }.encode())?;
        reading.taken.wake = true;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_goes_with_what_follows_it() {
        for (entries, recovery, taken) in [
            (64, Some(0), 64),
            (64, Some(63), 64),
            (65, Some(40), 40),
            (65, Some(64), 64),
            (200, Some(100), 64),
            (136, Some(36), 36),
            // Nothing is before it.
            (100, Some(0), 64),
            (65, None, 64),
            (3, None, 3),
        ] {
            assert_eq!(cut(entries, recovery), taken, "{entries} {recovery:?}");
        }
    }

    #[test]
    fn a_chain_from_the_future_keeps_nothing_from_being_said_again() {
        const NOW: u64 = 1_800_000_000_000;
        assert_eq!(said_since(NOW - 5, NOW), NOW - 5);
        for recovered in [0, NOW - SAID_AGAIN_MS - 1, NOW + 1, u64::MAX] {
            assert_eq!(said_since(recovered, NOW), NOW - SAID_AGAIN_MS, "{recovered}");
        }
    }
}
