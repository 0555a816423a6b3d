//! What the rules go by, read from OpenMLS: what a commit does, who a leaf is, and whether a key that it sets can be sealed to.

use std::collections::HashSet;

use openmls::prelude::{
    BasicCredential, Credential, Extension, ExtensionType, Extensions, GroupContext, LeafNode, MlsGroup, Proposal,
    ProposalType, RequiredCapabilitiesExtension, Sender, StagedCommit, UnknownExtension,
};
use openmls::treesync::RatchetTree;
use tls_codec::{Deserialize as _, Serialize, VLBytes};
use waxwing_protocol::LeafIdentity;
use waxwing_protocol::group::{CommitData, ROSTER_EXTENSION, Roster};
use waxwing_wire::device::is_x25519;
use waxwing_wire::hash;

use super::group::{broken, internal};
use super::key_package::message;
use super::rules::{AddedLeaf, CommitFacts, Leaf};
use super::{Crypto, lifetime};
use crate::error::Error;

/// What a staged commit does, in the words of the rules. Of the keys that it sets, those of leaves are looked at here.
pub(super) fn facts_of(
    staged: &StagedCommit,
    committer: u32,
    before: Roster,
    data: CommitData,
) -> Result<CommitFacts, Error> {
    let (mut anything_else, mut unusable_key) = (false, false);
    for queued in staged.queued_proposals() {
        let by_committer = matches!(queued.sender(), Sender::Member(index) if index.u32() == committer);
        let known =
            matches!(queued.proposal(), Proposal::Add(_) | Proposal::Remove(_) | Proposal::GroupContextExtensions(_));
        anything_else |= !by_committer || !known;
    }
    let added = staged
        .add_proposals()
        .map(|queued| {
            let package = queued.add_proposal().key_package();
            let leaf = identity_of(package.leaf_node()).ok_or_else(|| broken("an added leaf"))?;
            unusable_key |= !can_be_sealed_to(package.leaf_node().encryption_key());
            // OpenMLS holds a lifetime against its own clock. With any other than the endless one, two clocks could judge apart.
            anything_else |= *package.life_time() != lifetime();
            let key_package = hash(&[&message(package.clone())?]);
            Ok(AddedLeaf { identity: leaf.0, mls_key: leaf.1, key_package })
        })
        .collect::<Result<_, Error>>()?;
    let removed = staged.remove_proposals().map(|queued| queued.remove_proposal().removed().u32()).collect();
    let path = match staged.update_path_leaf_node() {
        None => None,
        Some(leaf) => {
            unusable_key |= !can_be_sealed_to(leaf.encryption_key());
            Some(identity_of(leaf).ok_or_else(|| broken("the committer's leaf"))?)
        }
    };
    let extensions = staged.group_context().extensions();
    anything_else |= !has_our_extensions(extensions);
    let roster = roster_of(extensions).unwrap_or_else(|| {
        anything_else = true;
        before
    });
    Ok(CommitFacts { committer, added, removed, path, roster, anything_else, unusable_key, data })
}

/// Exactly what every group here has: the roster, and the demand that everybody knows it.
fn has_our_extensions(extensions: &Extensions<GroupContext>) -> bool {
    let roster = ExtensionType::Unknown(ROSTER_EXTENSION);
    let demanded = extensions.required_capabilities().is_some_and(|required| {
        required.extension_types() == [roster]
            && required.proposal_types().is_empty()
            && required.credential_types().is_empty()
    });
    demanded && extensions.iter().count() == 2 && extensions.contains(roster)
}

pub(super) fn extensions(roster: &Roster) -> Result<Extensions<GroupContext>, Error> {
    let demanded =
        RequiredCapabilitiesExtension::new(&[ExtensionType::Unknown(ROSTER_EXTENSION)], &[] as &[ProposalType], &[]);
    Extensions::from_vec(vec![
        Extension::RequiredCapabilities(demanded),
        Extension::Unknown(ROSTER_EXTENSION, UnknownExtension(roster.encode())),
    ])
    .map_err(internal("the roster"))
}

pub(super) fn roster_of(extensions: &Extensions<GroupContext>) -> Option<Roster> {
    Roster::decode(&extensions.unknown(ROSTER_EXTENSION)?.0).ok()
}

pub(super) fn leaf_of(index: u32, credential: &Credential, mls_key: &[u8], encryption_key: &[u8]) -> Option<Leaf> {
    let (mls_key, encryption_key) = (mls_key.try_into().ok()?, encryption_key.try_into().ok()?);
    Some(Leaf { index, identity: named_in(credential)?, mls_key, encryption_key })
}

fn named_in(credential: &Credential) -> Option<LeafIdentity> {
    let credential = BasicCredential::try_from(credential.clone()).ok()?;
    LeafIdentity::decode(credential.identity()).ok()
}

fn identity_of(leaf: &LeafNode) -> Option<(LeafIdentity, [u8; 32])> {
    Some((named_in(leaf.credential())?, leaf.signature_key().as_slice().try_into().ok()?))
}

/// The bytes of an encryption key, which OpenMLS shows in no other way than as they travel; also of a parent node, which begins with it.
fn key_bytes(key: &impl Serialize) -> Option<Vec<u8>> {
    let bytes = key.tls_serialize_detached().ok()?;
    Some(VLBytes::tls_deserialize(&mut bytes.as_slice()).ok()?.as_slice().to_vec())
}

/// Whether HPKE can seal to a key: MLS itself does not look, and whoever has one that it cannot seal to in their way makes no commit.
pub(super) fn can_be_sealed_to(key: &impl Serialize) -> bool {
    key_bytes(key).is_some_and(|bytes| is_usable(&bytes))
}

fn is_usable(key: &[u8]) -> bool {
    key.try_into().is_ok_and(is_x25519)
}

/// Whether a commit sets the key of a node above the leaves that nothing can be sealed to. Whoever is below such a node sees that its key is not
/// the one that follows from the path; the others see the key alone. What was there before is no fault of this commit.
///
/// Whoever goes by the commit is shown no tree any more, and takes it: nobody but whoever may take them out can do that to them.
pub(super) fn sets_unusable_node(group: &MlsGroup, staged: &StagedCommit, crypto: &Crypto) -> Result<bool, Error> {
    let after = staged.export_ratchet_tree(crypto, group.export_ratchet_tree()).map_err(internal("a commit's tree"))?;
    let new = after.as_ref().map(unusable_nodes).unwrap_or_default();
    Ok(!new.is_empty() && !new.is_subset(&unusable_nodes(&group.export_ratchet_tree())))
}

fn unusable_nodes(tree: &RatchetTree) -> HashSet<Vec<u8>> {
    tree.parents().filter_map(key_bytes).filter(|key| !is_usable(key)).collect()
}
