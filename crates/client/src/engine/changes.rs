//! Changes of a group: planned against the group as it stands when their turn comes.

use rusqlite::Transaction;
use waxwing_protocol::group::{CommitData, GroupKind, RosterRole};
use waxwing_protocol::{AppMessage, Content};
use waxwing_wire::AccountId;
use waxwing_wire::limits::{MAX_GROUP_DEVICES, MAX_GROUP_PEOPLE};
use waxwing_wire::log::EnvelopeKind;

use super::context::{Context, contact_line};
use super::deliveries::is_reachable;
use super::{admit, chain_parts, follow, own_leaves};
use crate::error::{Error, ErrorCode};
use crate::mls::rules::{self, GroupFacts};
use crate::mls::{ClaimedPackage, Group, GroupChange, Plan, read_package};
use crate::store::{contacts, logs};

/// What is to be done.
pub(super) enum Planned {
    Commit(Plan),
    /// It is so already, or nobody wants it any more.
    Nothing,
    /// The group stands otherwise by now than when its needs were looked at: that is done again.
    Again,
    /// It may not be done, for good.
    Refused(Error),
}

/// Plans a change. `claimed`: key packages of those whom it adds.
pub(super) fn plan(
    tx: &Transaction<'_>,
    context: &Context,
    group: &Group<'_>,
    log: &logs::Log,
    change: &GroupChange,
    claimed: Vec<ClaimedPackage>,
) -> Result<Planned, Error> {
    let facts = group.facts()?;
    let own = group.own_leaf()?;
    let rotates = own.identity.key_version != context.keys.key_version();
    // A rotation's news travels with whatever comes first.
    let mut data = CommitData::default();
    if rotates {
        data.chains.extend(chain_parts::news(tx, context.account, (context.device, own.identity.key_version))?);
    }
    let admin =
        facts.roster.kind != GroupKind::Group || rules::admins(&facts.roster, &facts.leaves).contains(&context.account);
    let not_admin = || Planned::Refused(Error::new(ErrorCode::NotAdmin, "only an admin may do this"));
    let mut roster = facts.roster.clone();
    Ok(match change {
        GroupChange::Update if rotates => Planned::Commit(Plan { data, ..Plan::default() }),
        GroupChange::Update => Planned::Commit(Plan::default()),
        GroupChange::JoinUpdate if log.update_due || rotates => Planned::Commit(Plan { data, ..Plan::default() }),
        GroupChange::JoinUpdate => Planned::Nothing,
        GroupChange::RotateUpdate if rotates => Planned::Commit(Plan { data, ..Plan::default() }),
        GroupChange::RotateUpdate => Planned::Nothing,
        GroupChange::Add(people) => {
            if !admin {
                return Ok(not_admin());
            }
            add(tx, context, &facts, people, claimed, data)?
        }
        GroupChange::Admit { account, link, asked_ms } => {
            let stands = admit::stands(tx, context, &log.conversation, (*account, link, *asked_ms))?;
            if !stands || !admin || roster.line(*account).is_some() {
                return Ok(Planned::Nothing);
            }
            match add(tx, context, &facts, &[*account], claimed, data)? {
                // Nobody here has asked for it, so nobody is told.
                Planned::Refused(_) => Planned::Nothing,
                planned => planned,
            }
        }
        GroupChange::Remove(account) => {
            if !admin {
                return Ok(not_admin());
            }
            if roster.line(*account).is_none() || *account == context.account {
                return Ok(Planned::Nothing);
            }
            roster.remove(*account);
            Planned::Commit(Plan { remove: leaves_of(&facts, *account), roster: Some(roster), data, ..Plan::default() })
        }
        GroupChange::Resync { account, content } => {
            let request = match Content::decode(EnvelopeKind::Resync, content) {
                Ok(Content::Resync(request)) if request.log == log.log && request.proof.account == *account => request,
                _ => return Ok(Planned::Nothing),
            };
            let proof = request.proof;
            let Some(leaf) = facts.leaves.iter().find(|leaf| leaf.identity.device == proof.device) else {
                return Ok(Planned::Nothing);
            };
            // Let in and not told of it, it would have no place at all; whoever else was asked may know a way.
            if !is_reachable(tx, *account)? {
                return Ok(Planned::Nothing);
            }
            let Some(chain) = context.chains.load(tx, *account)? else { return Ok(Planned::Nothing) };
            let Ok(again) = read_package(&context.crypto, &chain, proof.device, &request.key_package) else {
                return Ok(Planned::Nothing);
            };
            // Another one may have answered by now: the leaf is then the key package's.
            let done = group.has_leaf_of(&again);
            if done || leaf.identity.account != *account || !proof.holds(&leaf.mls_key, log.log) {
                return Ok(Planned::Nothing);
            }
            if chain
                .device(proof.device)
                .is_some_and(|now| now.current().record.key_version > leaf.identity.key_version)
            {
                // The others may know nothing of those keys yet, and their relay may not show them.
                chain_parts::bring_news(tx, &mut data.chains, *account, (proof.device, leaf.identity.key_version))?;
            }
            let (nonce, remove) = (proof.nonce, vec![leaf.index]);
            data.resyncs.push(proof);
            Planned::Commit(Plan { add: vec![again], remove, roster: None, data, nonce })
        }
        GroupChange::AnswerLeave { account, message } => {
            let Ok(AppMessage::Leave(proof)) = AppMessage::decode(message) else { return Ok(Planned::Nothing) };
            let asked = facts.leaves.iter().find(|leaf| leaf.identity.device == proof.device);
            if asked.is_none_or(|leaf| !proof.holds(&leaf.mls_key, &leaf.encryption_key, log.log))
                || *account == context.account
            {
                return Ok(Planned::Nothing);
            }
            roster.remove(*account);
            data.leaves.push(proof);
            Planned::Commit(Plan { remove: leaves_of(&facts, *account), roster: Some(roster), data, ..Plan::default() })
        }
        GroupChange::Follow(account) => follow::plan(tx, context, (log, &facts), *account, (claimed, data))?,
        GroupChange::AddOwn => own_leaves::plan(tx, context, (&facts, own.identity.key_version), claimed, data)?,
        GroupChange::SetRole { account, admin: wanted } => {
            if !admin {
                return Ok(not_admin());
            }
            let role = if *wanted { RosterRole::Admin } else { RosterRole::Member };
            let Some(line) = roster.line(*account).filter(|line| line.role != role).cloned() else {
                return Ok(Planned::Nothing);
            };
            roster.set(waxwing_protocol::group::RosterLine { role, ..line });
            Planned::Commit(Plan { roster: Some(roster), data, ..Plan::default() })
        }
        GroupChange::Rename(name) => {
            if !admin {
                return Ok(not_admin());
            }
            if roster.name == *name {
                return Ok(Planned::Nothing);
            }
            roster.name.clone_from(name);
            Planned::Commit(Plan { roster: Some(roster), data, ..Plan::default() })
        }
    })
}

/// Brings people in with the key packages claimed, those who are not in it yet.
pub(super) fn add(
    tx: &Transaction<'_>,
    context: &Context,
    facts: &GroupFacts,
    people: &[AccountId],
    claimed: Vec<ClaimedPackage>,
    mut data: CommitData,
) -> Result<Planned, Error> {
    let mut roster = facts.roster.clone();
    let here = |account: &AccountId| facts.leaves.iter().any(|leaf| leaf.identity.account == *account);
    let new: Vec<_> = people.iter().copied().filter(|account| !here(account)).collect();
    if new.is_empty() {
        return Ok(Planned::Nothing);
    }
    for account in &new {
        if facts.roster.kind == GroupKind::Group && roster.line(*account).is_none() {
            let contact = contacts::load(tx, *account)?.ok_or_else(|| super::not_found("no such contact"))?;
            let chain = context.chains.load(tx, *account)?.ok_or_else(|| super::not_found("no chain"))?;
            roster.set(contact_line(&contact, &chain, RosterRole::Member));
        }
        chain_parts::bring(tx, &mut data.chains, *account)?;
    }
    let add: Vec<_> = claimed.into_iter().filter(|one| new.contains(&one.account)).collect();
    if roster.lines.len() > MAX_GROUP_PEOPLE || facts.leaves.len() + add.len() > MAX_GROUP_DEVICES {
        return Ok(Planned::Refused(Error::new(ErrorCode::GroupFull, "the group is full")));
    }
    let roster = (roster != facts.roster).then_some(roster);
    Ok(Planned::Commit(Plan { add, roster, data, ..Plan::default() }))
}

fn leaves_of(facts: &GroupFacts, account: AccountId) -> Vec<u32> {
    facts.leaves.iter().filter(|leaf| leaf.identity.account == account).map(|leaf| leaf.index).collect()
}
