//! One MLS group, for the length of one transaction.

use openmls::prelude::{
    GroupId, KeyPackageVerifyError, LeafNodeIndex, LeafNodeParameters, MlsGroup, MlsGroupCreateConfig,
    MlsMessageBodyIn, MlsMessageIn, NewSignerBundle, OpenMlsProvider as _, ProcessMessageError,
    ProcessedMessageContent, ProtocolMessage, Sender, StagedCommit, ValidationError,
};
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::types::SignatureScheme;
use rusqlite::Transaction;
use tls_codec::{Deserialize as _, Serialize as _, VLBytes};
use waxwing_protocol::group::{CHANNEL_SECRET_EXPORT, CommitData, Roster};
use waxwing_protocol::{ChannelSecret, DeviceKeys, Epoch, LeafKeys};
use waxwing_wire::{AccountId, DeviceId, LogId};
use zeroize::Zeroizing;

use super::facts::{extensions, facts_of, leaf_of, roster_of, sets_unusable_node};
use super::key_package::{ClaimedPackage, credential};
use super::rules::{self, CommitFacts, GroupFacts, Invalid, Leaf};
use super::storage::StorageError;
use super::{Crypto, PendingWelcome, Provider, SUITE, capabilities, join_config, lifetime};
use crate::error::{Error, ErrorCode};

/// Signs as a leaf, with the device's MLS key.
pub(super) struct LeafSigner<'a>(pub(super) &'a ed25519_dalek::SigningKey);

impl Signer for LeafSigner<'_> {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        use ed25519_dalek::Signer as _;
        Ok(self.0.sign(payload).to_bytes().to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// A group as it stands in the transaction.
pub(crate) struct Group<'a> {
    provider: Provider<'a>,
    mls: MlsGroup,
    id: LogId,
}

/// What a commit is to do.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) add: Vec<ClaimedPackage>,
    /// Leaves to remove.
    pub(crate) remove: Vec<u32>,
    /// The new roster, where it changes.
    pub(crate) roster: Option<Roster>,
    /// What travels along; whether it rekeys is found here.
    pub(crate) data: CommitData,
    pub(crate) nonce: [u8; 16],
}

/// A commit that waits for its place in the log.
pub(crate) struct Committed {
    /// The `MLSMessage`.
    pub(crate) message: Vec<u8>,
    /// The channel secret that it sets.
    pub(crate) secret: Option<ChannelSecret>,
    pub(crate) welcome: Option<PendingWelcome>,
}

/// A commit of somebody else that is valid, not merged yet.
pub(crate) struct StagedChange {
    staged: Box<StagedCommit>,
    pub(crate) facts: CommitFacts,
    /// Whether it removes the own leaf.
    pub(crate) removes_me: bool,
    /// The channel secret that it sets.
    pub(crate) secret: Option<ChannelSecret>,
}

/// What came in.
pub(crate) enum Incoming {
    /// An application message.
    Message(Zeroizing<Vec<u8>>),
    /// A valid commit.
    Change(Box<StagedChange>),
}

/// Why what came in is not used.
pub(crate) enum Unreadable {
    /// It is not what it should be; its sender is at fault.
    Refused(&'static str),
    /// A member's message or commit does not open here: this device may have lost its place.
    Stuck(&'static str),
    /// The database's trouble: nothing is known of the entry.
    Failed(Error),
}

/// A failure of OpenMLS at something that this program did itself.
pub(super) fn internal<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> Error {
    move |error| Error::new(ErrorCode::Internal, format!("MLS: {what}: {error}"))
}

pub(super) fn broken(what: &str) -> Error {
    Error::new(ErrorCode::Internal, format!("MLS: {what}"))
}

impl<'a> Group<'a> {
    /// Makes a group with the own leaf alone.
    pub(crate) fn create(
        crypto: &'a Crypto,
        tx: &'a Transaction<'a>,
        account: AccountId,
        keys: &DeviceKeys,
        id: LogId,
        roster: &Roster,
    ) -> Result<Self, Error> {
        let provider = Provider::new(crypto, tx);
        let config = join_config();
        let config = MlsGroupCreateConfig::builder()
            .ciphersuite(SUITE)
            .wire_format_policy(config.wire_format_policy())
            .use_ratchet_tree_extension(true)
            .max_past_epochs(0)
            .sender_ratchet_configuration(*config.sender_ratchet_configuration())
            .capabilities(capabilities())
            .lifetime(lifetime())
            .with_group_context_extensions(extensions(roster)?)
            .build();
        let group_id = GroupId::from_slice(id.as_bytes());
        let mls = MlsGroup::new_with_group_id(
            &provider,
            &LeafSigner(keys.mls()),
            &config,
            group_id,
            credential(account, keys),
        )
        .map_err(internal("a new group"))?;
        Ok(Self { provider, mls, id })
    }

    /// Loads a group; none if there is none, or one is not in it any more.
    pub(crate) fn load(crypto: &'a Crypto, tx: &'a Transaction<'a>, id: LogId) -> Result<Option<Self>, Error> {
        let provider = Provider::new(crypto, tx);
        let group_id = GroupId::from_slice(id.as_bytes());
        let mls = MlsGroup::load(provider.storage(), &group_id).map_err(internal("loading a group"))?;
        Ok(mls.filter(MlsGroup::is_active).map(|mls| Self { provider, mls, id }))
    }

    pub(crate) fn facts(&self) -> Result<GroupFacts, Error> {
        Ok(GroupFacts { id: self.id, roster: self.roster()?, leaves: self.leaves()? })
    }

    pub(crate) fn roster(&self) -> Result<Roster, Error> {
        roster_of(self.mls.extensions()).ok_or_else(|| broken("a group without a roster"))
    }

    pub(crate) fn leaves(&self) -> Result<Vec<Leaf>, Error> {
        let leaf = |member: openmls::prelude::Member| {
            leaf_of(member.index.u32(), &member.credential, &member.signature_key, &member.encryption_key)
        };
        self.mls.members().map(leaf).collect::<Option<_>>().ok_or_else(|| broken("a leaf that says not who it is"))
    }

    /// The leaf of a device.
    pub(crate) fn leaf(&self, device: DeviceId) -> Result<Option<Leaf>, Error> {
        Ok(self.leaves()?.into_iter().find(|leaf| leaf.identity.device == device))
    }

    /// The own leaf.
    pub(crate) fn own_leaf(&self) -> Result<Leaf, Error> {
        let own = self.mls.own_leaf_index().u32();
        let leaf = self.leaves()?.into_iter().find(|leaf| leaf.index == own);
        leaf.ok_or_else(|| broken("no own leaf"))
    }

    /// The epoch as envelopes state it.
    pub(crate) fn epoch(&self) -> Epoch {
        let authenticator = self.mls.epoch_authenticator().as_slice();
        Epoch { number: self.mls.epoch().as_u64(), authenticator: authenticator.try_into().unwrap_or_default() }
    }

    /// The channel secret that this epoch gives.
    pub(crate) fn channel_secret(&self) -> Result<ChannelSecret, Error> {
        let secret = self
            .mls
            .export_secret(self.provider.crypto(), CHANNEL_SECRET_EXPORT, &[], 32)
            .map_err(internal("the exporter"))?;
        secret_of(secret).ok_or_else(|| broken("the exporter's length"))
    }

    /// Whether a leaf is the one of this key package.
    pub(crate) fn has_leaf_of(&self, claimed: &ClaimedPackage) -> bool {
        // Its bytes are OpenMLS's own; the encoded forms are compared.
        let Ok(key) = claimed.package.leaf_node().encryption_key().tls_serialize_detached() else { return false };
        self.mls
            .members()
            .any(|member| VLBytes::from(member.encryption_key).tls_serialize_detached().is_ok_and(|known| known == key))
    }

    /// Whether an own commit waits for its place.
    pub(crate) fn has_pending(&self) -> bool {
        self.mls.pending_commit().is_some()
    }

    /// The own commit that waits is given up.
    pub(crate) fn drop_pending(&mut self) -> Result<(), Error> {
        self.mls.clear_pending_commit(self.provider.storage()).map_err(internal("clearing a commit"))
    }

    /// Encrypts an application message. `keys` are those of the own leaf.
    pub(crate) fn encrypt(&mut self, keys: &LeafKeys, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let message =
            self.mls.create_message(&self.provider, &LeafSigner(keys.mls()), bytes).map_err(internal("a message"))?;
        message.tls_serialize_detached().map_err(internal("a message"))
    }

    /// Makes a commit, which waits in the group until it is merged or another one is. `old` are the keys of the own leaf, `new`
    /// those that it is to have; the commit is judged as the others will judge it.
    ///
    /// Errors: `NotAdmin` where the rules refuse it, `ChangeImpossible` where it cannot be made in this group as it is. Nothing is wrong
    /// with the database then, and the group is as it was, without an own commit that waits.
    pub(crate) fn commit(
        &mut self,
        account: AccountId,
        old: &LeafKeys,
        new: &DeviceKeys,
        plan: Plan,
    ) -> Result<Committed, Error> {
        let Plan { add, remove, roster, mut data, nonce } = plan;
        let rotates = old.key_version() != new.key_version();
        let before = self.facts()?;
        data.rekey =
            rotates || rules::replaces_secret(&before, &add, &remove, roster.as_ref().unwrap_or(&before.roster));
        if CommitData::decode(&data.encode()).as_ref() != Ok(&data) {
            return Err(broken("what a commit brings along is too much"));
        }
        let devices: Vec<_> = add.iter().map(|claimed| (claimed.account, claimed.device)).collect();
        self.drop_pending()?;
        self.mls.set_aad(data.encode());
        let mut builder = self
            .mls
            .commit_builder()
            .force_self_update(true)
            .propose_removals(remove.iter().map(|index| LeafNodeIndex::new(*index)))
            .propose_adds(add.into_iter().map(|claimed| claimed.package))
            .leaf_node_parameters(LeafNodeParameters::builder().with_capabilities(capabilities()).build());
        if let Some(roster) = &roster {
            builder = builder.propose_group_context_extensions(extensions(roster)?).map_err(internal("the roster"))?;
        }
        let loaded = builder.load_psks(self.provider.storage()).map_err(internal("a commit"))?;
        let (rand, crypto) = (self.provider.rand(), self.provider.crypto());
        let built = if rotates {
            let signer = LeafSigner(new.mls());
            let bundle = NewSignerBundle { signer: &signer, credential_with_key: credential(account, new) };
            loaded.build_with_new_signer(rand, crypto, &LeafSigner(old.mls()), bundle, |_| true)
        } else {
            loaded.build(rand, crypto, &LeafSigner(old.mls()), |_| true)
        };
        // Nothing of this is stored: it is the group, or a key package, that does not let it be made.
        let impossible =
            |error| Error::new(ErrorCode::ChangeImpossible, format!("MLS: a commit cannot be made: {error}"));
        let bundle = built.map_err(impossible)?.stage_commit(&self.provider).map_err(internal("a commit"))?;
        let (commit, welcome, _) = bundle.into_messages();
        let message = commit.tls_serialize_detached().map_err(internal("a commit"))?;
        let welcome = match welcome {
            Some(welcome) if !devices.is_empty() => {
                let mls = welcome.tls_serialize_detached().map_err(internal("a Welcome"))?;
                Some(PendingWelcome { mls, devices, nonce })
            }
            _ => None,
        };
        let own = self.mls.own_leaf_index().u32();
        let staged = self.mls.pending_commit().ok_or_else(|| broken("a commit that does not wait"))?;
        let facts = facts_of(staged, own, before.roster.clone(), data)?;
        if let Err(Invalid(why)) = rules::judge(&before, &facts) {
            // No trouble of the database: this change cannot be made, nothing waits behind it, and it does not wait for a place.
            self.drop_pending()?;
            return Err(Error::new(ErrorCode::NotAdmin, format!("an own commit is not valid: {why}")));
        }
        let secret = if facts.data.rekey { exported(staged, self.provider.crypto())? } else { None };
        Ok(Committed { message, secret, welcome })
    }

    /// Reads a member's message. `handshake`: whether it stands in the log as one. `device`: who signed the envelope.
    pub(crate) fn read(&mut self, device: DeviceId, handshake: bool, bytes: &[u8]) -> Result<Incoming, Unreadable> {
        let mut rest = bytes;
        let message = MlsMessageIn::tls_deserialize(&mut rest).ok().map(MlsMessageIn::extract);
        let message = match message {
            Some(MlsMessageBodyIn::PrivateMessage(message)) if rest.is_empty() => ProtocolMessage::from(message),
            _ => return Err(Unreadable::Refused("it is no MLS message of the right form")),
        };
        if message.group_id().as_slice() != self.id.as_bytes() {
            return Err(Unreadable::Refused("it is for another group"));
        }
        if message.is_handshake_message() != handshake {
            return Err(Unreadable::Refused("a handshake and a message stand in for each other"));
        }
        if message.epoch() != self.mls.epoch() {
            return Err(Unreadable::Refused("it is of another epoch"));
        }
        let processed = self.mls.process_message(&self.provider, message).map_err(|error| {
            tracing::info!(%error, "an MLS message does not open");
            match error {
                ProcessMessageError::StorageError(error @ StorageError::Database(_)) => {
                    Unreadable::Failed(internal("reading a message")(error))
                }
                // A lifetime that is none here, see `facts_of`: nobody takes it, and nobody has lost their place by it.
                ProcessMessageError::ValidationError(ValidationError::KeyPackageVerifyError(
                    KeyPackageVerifyError::LifetimeError(_),
                )) => Unreadable::Refused("it adds a leaf that ends"),
                _ => Unreadable::Stuck("its MLS part does not open"),
            }
        })?;
        let Sender::Member(sender) = *processed.sender() else {
            return Err(Unreadable::Refused("it is not from a member"));
        };
        // The MLS sender and the envelope's must be one device (P3: identity taken from the wrong layer).
        let leaf = self.leaf(device).map_err(Unreadable::Failed)?;
        if leaf.is_none_or(|leaf| leaf.index != sender.u32()) {
            return Err(Unreadable::Refused("its two signatures are of two senders"));
        }
        let data = processed.aad().to_vec();
        match processed.into_content() {
            ProcessedMessageContent::ApplicationMessage(message) if !handshake && data.is_empty() => {
                Ok(Incoming::Message(Zeroizing::new(message.into_bytes())))
            }
            ProcessedMessageContent::StagedCommitMessage(staged) if handshake => {
                self.judge(sender.u32(), staged, &data).map(|change| Incoming::Change(Box::new(change)))
            }
            _ => Err(Unreadable::Refused("it is of a kind that is not used")),
        }
    }

    fn judge(&self, sender: u32, staged: Box<StagedCommit>, data: &[u8]) -> Result<StagedChange, Unreadable> {
        let data = CommitData::decode(data).map_err(|_| Unreadable::Refused("its data cannot be read"))?;
        let before = self.facts().map_err(Unreadable::Failed)?;
        let unjudged = |_| Unreadable::Refused("it cannot be judged");
        let mut facts = facts_of(&staged, sender, before.roster.clone(), data).map_err(unjudged)?;
        facts.unusable_key |= sets_unusable_node(&self.mls, &staged, self.provider.crypto()).map_err(unjudged)?;
        rules::judge(&before, &facts).map_err(|Invalid(why)| Unreadable::Refused(why))?;
        let removes_me = staged.self_removed();
        let secret = if facts.data.rekey && !removes_me {
            exported(&staged, self.provider.crypto()).map_err(Unreadable::Failed)?
        } else {
            None
        };
        Ok(StagedChange { staged, facts, removes_me, secret })
    }

    /// Merges somebody else's commit.
    pub(crate) fn merge(&mut self, change: Box<StagedChange>) -> Result<(), Error> {
        self.mls.merge_staged_commit(&self.provider, *change.staged).map_err(internal("merging a commit"))
    }

    /// Merges the own commit that waited; what it did.
    pub(crate) fn merge_pending(&mut self) -> Result<CommitFacts, Error> {
        let own = self.mls.own_leaf_index().u32();
        let before = self.roster()?;
        let staged = self.mls.pending_commit().ok_or_else(|| broken("no own commit waits"))?;
        let facts = facts_of(staged, own, before, CommitData::default())?;
        self.mls.merge_pending_commit(&self.provider).map_err(internal("merging an own commit"))?;
        Ok(facts)
    }
}

fn exported(staged: &StagedCommit, crypto: &Crypto) -> Result<Option<ChannelSecret>, Error> {
    let secret = staged.export_secret(crypto, CHANNEL_SECRET_EXPORT, &[], 32).map_err(internal("the exporter"))?;
    Ok(secret_of(secret))
}

fn secret_of(secret: Vec<u8>) -> Option<ChannelSecret> {
    let secret = Zeroizing::new(secret);
    let bytes: &[u8; 32] = secret.as_slice().try_into().ok()?;
    Some(ChannelSecret::from_bytes(bytes))
}
