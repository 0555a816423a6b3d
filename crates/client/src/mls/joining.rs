//! Joining a group by a Welcome.

use openmls::prelude::{LeafNodeIndex, MlsMessageBodyIn, MlsMessageIn, StagedWelcome, WelcomeError};
use rusqlite::Transaction;
use tls_codec::Deserialize as _;
use waxwing_wire::LogId;

use super::facts::{leaf_of, roster_of};
use super::group::internal;
use super::rules::{GroupFacts, Leaf};
use super::{Crypto, Provider, SUITE, join_config};
use crate::error::Error;

/// A group that was joined.
pub(crate) struct Joined {
    pub(crate) facts: GroupFacts,
    /// The leaf of whoever sent the Welcome.
    pub(crate) sender: Leaf,
    pub(crate) own: Leaf,
}

/// Why a Welcome is of no use whose key package this device does not have, or not any more.
pub(crate) const NO_PRIVATE_PART: &str = "the private part of its key package is not here";

/// Joins a group by an `MLSMessage` with a Welcome. A group of the same id must be gone before.
///
/// `Ok(Err)`: the Welcome is of no use; the caller rolls back what reading it has changed.
pub(crate) fn join(
    crypto: &Crypto,
    tx: &Transaction<'_>,
    id: LogId,
    bytes: &[u8],
) -> Result<Result<Joined, &'static str>, Error> {
    let provider = Provider::new(crypto, tx);
    let mut rest = bytes;
    let message = MlsMessageIn::tls_deserialize(&mut rest).ok().map(MlsMessageIn::extract);
    let welcome = match message {
        Some(MlsMessageBodyIn::Welcome(welcome)) if rest.is_empty() => welcome,
        _ => return Ok(Err("it holds no Welcome")),
    };
    let staged = match StagedWelcome::new_from_welcome(&provider, &join_config(), welcome, None) {
        Ok(staged) => staged,
        Err(WelcomeError::NoMatchingKeyPackage) => return Ok(Err(NO_PRIVATE_PART)),
        Err(error) => {
            tracing::info!(%error, "a Welcome does not open");
            return Ok(Err("its Welcome does not open"));
        }
    };
    let context = staged.group_context();
    if context.group_id().as_slice() != id.as_bytes() || context.ciphersuite() != SUITE {
        return Ok(Err("its Welcome is for another group"));
    }
    let Some(roster) = roster_of(context.extensions()) else { return Ok(Err("its group has no roster")) };
    let leaf = |member: openmls::prelude::Member| {
        leaf_of(member.index.u32(), &member.credential, &member.signature_key, &member.encryption_key)
    };
    let Some(leaves) = staged.members().map(leaf).collect::<Option<Vec<_>>>() else {
        return Ok(Err("its group has a leaf that says not who it is"));
    };
    let find = |index: LeafNodeIndex| leaves.iter().find(|leaf| leaf.index == index.u32()).copied();
    let (sender, own) = (find(staged.welcome_sender_index()), find(staged.own_leaf_index()));
    let (Some(sender), Some(own)) = (sender, own) else { return Ok(Err("its sender is not in the group")) };
    staged.into_group(&provider).map_err(internal("joining a group"))?;
    Ok(Ok(Joined { facts: GroupFacts { id, roster, leaves }, sender, own }))
}
