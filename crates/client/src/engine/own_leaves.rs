//! Places of the own other devices in groups: each device of an account takes part in what the account does. Any own device brings in those that have
//! no leaf yet; the rules let it, whoever else may not (docs/protocol.md "Judging commits", b).
//!
//! Not here: devices that a recovery has put in the place of all (`follow`), and those that were revoked.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Transaction;
use waxwing_protocol::group::CommitData;
use waxwing_wire::limits::MAX_GROUP_DEVICES;
use waxwing_wire::{DeviceId, LogId, VerifiedChain};

use super::changes::Planned;
use super::context::Context;
use super::{Engine, chain_parts, not_found};
use crate::error::{Error, ErrorCode};
use crate::mls::rules::GroupFacts;
use crate::mls::{ClaimedPackage, Group, GroupChange, Plan, read_package};
use crate::random;
use crate::store::{conversations, logs, outbox};
use crate::views::Standing;

/// Longest wait for own key packages while a conversation waits behind it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Devices in force that have no leaf.
fn missing(chain: &VerifiedChain, context: &Context, facts: &GroupFacts) -> Vec<DeviceId> {
    let here = |device: &DeviceId| facts.leaves.iter().any(|leaf| leaf.identity.device == *device);
    let others = chain.devices().map(|device| device.id()).filter(|device| *device != context.device);
    others.filter(|device| !here(device)).collect()
}

fn has_others(chain: &VerifiedChain, context: &Context) -> bool {
    chain.devices().any(|device| device.id() != context.device)
}

/// Queues, where one takes part in a log's group, that own devices come in which are not there. True if that is something new.
pub(super) fn queue(tx: &Transaction<'_>, context: &Context, log: &logs::Log) -> Result<bool, Error> {
    let Some(chain) = context.chains.load(tx, context.account)? else { return Ok(false) };
    if !has_others(&chain, context)
        || !log.active
        || conversations::load(tx, &log.conversation)?.standing != Standing::Member
    {
        return Ok(false);
    }
    let Some(group) = Group::load(&context.crypto, tx, log.log)? else { return Ok(false) };
    if missing(&chain, context, &group.facts()?).is_empty() {
        return Ok(false);
    }
    outbox::push_change_once(tx, &log.conversation, log.log, &GroupChange::AddOwn.encode()?, 0)?;
    Ok(true)
}

/// The same in every group that one is in. True if something waits to be sent.
pub(super) fn queue_everywhere(tx: &Transaction<'_>, context: &Context) -> Result<bool, Error> {
    let mut any = false;
    for log in logs::active(tx)? {
        any |= queue(tx, context, &log)?;
    }
    Ok(any)
}

/// Plans it, as the group stands.
pub(super) fn plan(
    tx: &Transaction<'_>,
    context: &Context,
    (facts, own_version): (&GroupFacts, u32),
    claimed: Vec<ClaimedPackage>,
    mut data: CommitData,
) -> Result<Planned, Error> {
    let chain = context.chains.load(tx, context.account)?.ok_or_else(|| not_found("no own chain"))?;
    let wanted = missing(&chain, context, facts);
    let room = MAX_GROUP_DEVICES.saturating_sub(facts.leaves.len());
    if wanted.is_empty() || room == 0 {
        return Ok(Planned::Nothing);
    }
    let mut add: Vec<_> = claimed.into_iter().filter(|one| wanted.contains(&one.device)).collect();
    add.truncate(room);
    if add.is_empty() {
        return Ok(Planned::Again);
    }
    // Their words count once the others know the entry that states them.
    chain_parts::bring_news(tx, &mut data.chains, context.account, (context.device, own_version))?;
    Ok(Planned::Commit(Plan { add, data, ..Plan::default() }))
}

impl Engine {
    /// A key package of each own device that is not in this log's group; none where all are.
    pub(super) async fn claim_own(&self, log: LogId) -> Result<Vec<ClaimedPackage>, Error> {
        let chain = self.chain(self.account).await?;
        let (context, known) = (self.context(), Arc::clone(&chain));
        let wanted = self.store.run(move |tx| match Group::load(&context.crypto, tx, log)? {
            Some(group) => Ok(missing(&known, &context, &group.facts()?)),
            None => Ok(Vec::new()),
        });
        let wanted = wanted.await?;
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let claim = self.home.claim_key_packages(self.account, random::bytes(), None);
        let claimed = tokio::time::timeout(PATIENCE, claim).await;
        let claimed = claimed.map_err(|_| Error::new(ErrorCode::RelayDown, "no answer in time"))??;
        let mut usable = Vec::new();
        for package in claimed.into_iter().filter(|package| wanted.contains(&package.device)) {
            match read_package(&self.crypto, &chain, package.device, &package.package) {
                Ok(package) => usable.push(package),
                Err(error) => tracing::info!(%error, "a key package of an own device is not used"),
            }
        }
        if usable.is_empty() {
            return Err(Error::new(ErrorCode::NoKeyPackage, "no other own device can be added now"));
        }
        Ok(usable)
    }
}
