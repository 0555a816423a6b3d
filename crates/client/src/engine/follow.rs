//! Groups follow their members' chains: whoever was revoked is taken out, whoever recovered their account is brought back in, and the
//! roster's keys move on. Any member does it, with the chain itself as the proof (design sections 4 and 6).
//!
//! Not here: how a chain becomes known, and whether a commit that follows one is valid (`mls::rules`).

use rusqlite::Transaction;
use waxwing_protocol::group::{ChainPart, CommitData, Followed, Roster, follow};
use waxwing_wire::chain::Statement;
use waxwing_wire::{AccountId, ChainEntry, VerifiedChain};

use super::changes::Planned;
use super::context::Context;
use crate::error::Error;
use crate::mls::rules::GroupFacts;
use crate::mls::{ClaimedPackage, Group, GroupChange, Plan};
use crate::random;
use crate::store::{conversations, keys, logs, outbox, people};
use crate::views::Standing;

/// All members see a recovery at about the same time; compare-and-swap decides among those who act at once.
const WITHIN_MS: u64 = 4000;
/// Whoever's key packages could not be had is tried again after this time, and nothing waits for it. Not without them, or nobody could
/// bring them back.
pub(super) const AGAIN_MS: u64 = 60 * 1000;

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
        let waits = outbox::changes(tx, &log.conversation)?
            .iter()
            .any(|item| matches!(GroupChange::decode(&item.content), Ok(GroupChange::Follow(who)) if who == account));
        let Some(group) = Group::load(&context.crypto, tx, log.log)?.filter(|_| !waits) else { continue };
        if due(tx, &group.facts()?, account)?.is_none() {
            continue;
        }
        let soon = u64::from_be_bytes(random::bytes()) % WITHIN_MS;
        let when = if account == context.account { 0 } else { context.now + soon };
        outbox::push_change(tx, &log.conversation, log.log, &GroupChange::Follow(account).encode()?, when)?;
        any = true;
    }
    Ok(any)
}

/// What of an account's chain a group does not know yet, if that concerns it.
fn due(tx: &Transaction<'_>, facts: &GroupFacts, account: AccountId) -> Result<Option<(ChainPart, Followed)>, Error> {
    let Some(line) = facts.roster.line(account) else { return Ok(None) };
    let from_seq = line.chain_seq.saturating_add(1);
    let entries: Vec<_> = keys::chain_entries(tx, account)?.into_iter().skip(from_seq as usize).collect();
    if !concerns_groups(&entries) {
        return Ok(None);
    }
    let part = ChainPart { account, from_seq, entries };
    Ok(follow(line, &part).map(|followed| (part, followed)))
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
    Ok(due(tx, &facts, account)?.is_some() && !missing(&chain, &facts).is_empty())
}

/// Devices in force that are not in a group.
fn missing(chain: &VerifiedChain, facts: &GroupFacts) -> Vec<waxwing_wire::DeviceId> {
    let here = |device| facts.leaves.iter().any(|leaf| leaf.identity.device == device);
    let in_force = if chain.is_closed() { Vec::new() } else { chain.devices().map(|device| device.id()).collect() };
    in_force.into_iter().filter(|device| !here(*device)).collect()
}

/// Plans it, as the group stands.
pub(super) fn plan(
    tx: &Transaction<'_>,
    facts: &GroupFacts,
    account: AccountId,
    claimed: Vec<ClaimedPackage>,
    mut data: CommitData,
) -> Result<Planned, Error> {
    let Some((part, followed)) = due(tx, facts, account)? else { return Ok(Planned::Nothing) };
    let Some(chain) = keys::chain(tx, account)? else { return Ok(Planned::Nothing) };
    let of_account = facts.leaves.iter().filter(|leaf| leaf.identity.account == account);
    let remove: Vec<_> =
        of_account.filter(|leaf| followed.removes(leaf.identity.device)).map(|leaf| leaf.index).collect();
    let wanted = missing(&chain, facts);
    let add: Vec<_> =
        claimed.into_iter().filter(|one| one.account == account && wanted.contains(&one.device)).collect();
    let mut roster: Roster = facts.roster.clone();
    if followed.is_closed() && roster.kind == waxwing_protocol::group::GroupKind::Group {
        roster.remove(account);
    } else {
        roster.set(followed.line);
    }
    // It may travel along already, as the news of an own rotation: once is enough.
    data.chains.retain(|known| known.account != account);
    data.chains.push(part);
    Ok(Planned::Commit(Plan { add, remove, roster: Some(roster), data, ..Plan::default() }))
}
