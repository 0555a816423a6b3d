//! What a member can make who does not keep to the rules: commits that nobody judges before they are sent, envelopes with any sender.

use openmls::messages::group_info::VerifiableGroupInfo;
use openmls::prelude::{
    BasicCredential, CredentialWithKey, Extension, ExtensionType, Extensions, LeafNodeIndex, LeafNodeParameters,
    MlsGroup, MlsMessageBodyIn, MlsMessageIn, OpenMlsProvider as _, ProposalType, RequiredCapabilitiesExtension,
    UnknownExtension,
};
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::types::SignatureScheme;
use tls_codec::{DeserializeBytes as _, Serialize as _};
use waxwing_protocol::content::Content;
use waxwing_protocol::envelope::{Recipient, SealRequest, Sender, seal};
use waxwing_protocol::group::{CommitData, ROSTER_EXTENSION, Roster};
use waxwing_protocol::{DeviceKeys, DeviceSeeds, Epoch, Suite};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{AccountId, DeviceId, EnvelopeId, LogId};

use super::device::Device;
use crate::mls::{Group, Provider};
use crate::random;
use crate::store::{keys, logs};

/// How an envelope differs from what an honest member seals.
#[derive(Default)]
pub(super) struct Twist {
    /// A member's device for which there is nothing in it.
    pub(super) without: Option<DeviceId>,
    /// A member's device that finds its wrap in it, and cannot open that.
    pub(super) shut: Option<DeviceId>,
    /// The state of the group that its sender claims to be in.
    pub(super) epoch: Option<Epoch>,
    /// When it was sealed, by its sender's word.
    pub(super) sent_ms: Option<u64>,
    pub(super) counter: Option<u64>,
    /// The handshake that its sender has read last.
    pub(super) after: Option<u64>,
}

/// What a forged commit does.
#[derive(Default)]
pub(super) struct Forged {
    pub(super) remove: Vec<AccountId>,
    pub(super) roster: Option<Roster>,
    pub(super) data: CommitData,
}

/// Signs as a leaf.
pub(super) struct Key<'a>(pub(super) &'a ed25519_dalek::SigningKey);

impl Signer for Key<'_> {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        use ed25519_dalek::Signer as _;
        Ok(self.0.sign(payload).to_bytes().to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

impl Device {
    pub(super) fn roster(&mut self, log: LogId) -> Roster {
        let crypto = self.crypto.clone();
        self.look(|tx| Group::load(&crypto, tx, log)?.unwrap().roster())
    }

    /// An MLS commit as this member would sign it, judged by nobody. The own state stays as it is.
    pub(super) fn forge(&mut self, log: LogId, forged: Forged) -> Vec<u8> {
        let (crypto, own) = (self.crypto.clone(), self.keys.clone());
        self.look(|tx| {
            let leaves = Group::load(&crypto, tx, log)?.unwrap().leaves()?;
            let provider = Provider::new(&crypto, tx);
            let id = openmls::group::GroupId::from_slice(log.as_bytes());
            let mut group = MlsGroup::load(provider.storage(), &id).unwrap().unwrap();
            group.set_aad(forged.data.encode());
            let gone = leaves.iter().filter(|leaf| forged.remove.contains(&leaf.identity.account));
            let gone: Vec<_> = gone.map(|leaf| LeafNodeIndex::new(leaf.index)).collect();
            let mut builder = group.commit_builder().force_self_update(true).propose_removals(gone);
            if let Some(roster) = &forged.roster {
                builder = builder.propose_group_context_extensions(extensions(roster)).unwrap();
            }
            let loaded = builder.load_psks(provider.storage()).unwrap();
            let built = loaded.build(provider.rand(), provider.crypto(), &Key(own.mls()), |_| true).unwrap();
            let (commit, _, _) = built.stage_commit(&provider).unwrap().into_messages();
            Ok(commit.tls_serialize_detached().unwrap())
        })
    }

    /// The group's public state and its tree, signed: what MLS demands for an external commit.
    pub(super) fn group_info(&mut self, log: LogId) -> VerifiableGroupInfo {
        let (crypto, own) = (self.crypto.clone(), self.keys.clone());
        self.look(|tx| {
            let provider = Provider::new(&crypto, tx);
            let id = openmls::group::GroupId::from_slice(log.as_bytes());
            let group = MlsGroup::load(provider.storage(), &id).unwrap().unwrap();
            let info = group.export_group_info(provider.crypto(), &Key(own.mls()), true).unwrap();
            let bytes = info.tls_serialize_detached().unwrap();
            let (message, _) = MlsMessageIn::tls_deserialize_bytes(&bytes).unwrap();
            Ok(match message.extract() {
                MlsMessageBodyIn::GroupInfo(info) => info,
                _ => panic!("no group info"),
            })
        })
    }

    /// The commit with which this device would add itself to a group, by itself.
    pub(super) fn external_commit(&mut self, info: &VerifiableGroupInfo) -> Vec<u8> {
        let (crypto, own, account) = (self.crypto.clone(), self.keys.clone(), self.account);
        let data = CommitData::default().encode();
        self.look(|tx| {
            let provider = Provider::new(&crypto, tx);
            let identity = waxwing_protocol::LeafIdentity::of(account, own.record()).encode();
            let credential_with_key = CredentialWithKey {
                credential: BasicCredential::new(identity).into(),
                signature_key: own.record().mls.to_vec().into(),
            };
            let leaf = LeafNodeParameters::builder().with_capabilities(crate::mls::capabilities()).build();
            let builder = MlsGroup::external_commit_builder()
                .with_aad(data)
                .build_group(&provider, info.clone(), credential_with_key)
                .unwrap()
                .leaf_node_parameters(leaf);
            let loaded = builder.load_psks(provider.storage()).unwrap();
            let built = loaded.build(provider.rand(), provider.crypto(), &Key(own.mls()), |_| true).unwrap();
            let (_, commit) = built.finalize(&provider).unwrap();
            Ok(commit.commit().tls_serialize_detached().unwrap())
        })
    }

    /// An MLS application message as this member would send it. The own state stays as it is.
    pub(super) fn encrypt(&mut self, log: LogId, bytes: &[u8]) -> Vec<u8> {
        let (crypto, own) = (self.crypto.clone(), self.keys.clone());
        self.look(|tx| Group::load(&crypto, tx, log)?.unwrap().encrypt(own.leaf(), bytes))
    }

    /// An envelope for everybody in the log, said to be from `account` and signed with `signer`'s keys.
    pub(super) fn envelope(
        &mut self,
        log: LogId,
        kind: EnvelopeKind,
        mls: Vec<u8>,
        (account, signer): (AccountId, &DeviceKeys),
    ) -> (EnvelopeId, Vec<u8>) {
        self.envelope_as(log, kind, mls, (account, signer), EnvelopeId::from_bytes(random::bytes()))
    }

    /// The same under an id that is given.
    pub(super) fn envelope_as(
        &mut self,
        log: LogId,
        kind: EnvelopeKind,
        mls: Vec<u8>,
        (account, signer): (AccountId, &DeviceKeys),
        envelope_id: EnvelopeId,
    ) -> (EnvelopeId, Vec<u8>) {
        (envelope_id, self.envelope_twisted(&Twist::default(), log, kind, mls, (account, signer), envelope_id))
    }

    /// The same, other than it should be.
    pub(super) fn envelope_twisted(
        &mut self,
        twist: &Twist,
        log: LogId,
        kind: EnvelopeKind,
        mls: Vec<u8>,
        (account, signer): (AccountId, &DeviceKeys),
        envelope_id: EnvelopeId,
    ) -> Vec<u8> {
        let (crypto, now) = (self.crypto.clone(), 1_800_000_000_000);
        self.look(|tx| {
            let (group, stored) = (Group::load(&crypto, tx, log)?.unwrap(), logs::load(tx, log)?.unwrap());
            let leaves = group.leaves()?;
            let chains = leaves.iter().map(|leaf| keys::chain(tx, leaf.identity.account).unwrap());
            let chains: Vec<_> = chains.map(Option::unwrap).collect();
            let mut records: Vec<_> = leaves
                .iter()
                .zip(&chains)
                .filter_map(|(leaf, chain)| {
                    Some((chain.account(), chain.device(leaf.identity.device)?.current().record.clone()))
                })
                .collect();
            if records.iter().all(|(_, record)| record.device != signer.device()) {
                records.push((account, signer.record().clone()));
            }
            records.retain(|(_, record)| Some(record.device) != twist.without);
            for (_, record) in records.iter_mut().filter(|(_, record)| Some(record.device) == twist.shut) {
                let others = DeviceKeys::new(record.device, 1, DeviceSeeds::generate(&mut random::rng())).unwrap();
                (record.x25519, record.xwing) = (others.record().x25519, others.record().xwing.clone());
            }
            let recipients: Vec<_> =
                records.iter().map(|(account, record)| Recipient { account: *account, record }).collect();
            let request = SealRequest {
                kind,
                suite: if kind == EnvelopeKind::App { Suite::X25519 } else { Suite::XWing },
                envelope_id,
                sender: Sender { account, keys: signer.leaf() },
                recipients: &recipients,
                tag_key: Some(&stored.secret.tag_key()),
                log,
                after: twist.after.unwrap_or(stored.last_handshake),
                counter: twist.counter.unwrap_or(1),
                sent_ms: twist.sent_ms.unwrap_or(now),
                epoch: twist.epoch.unwrap_or_else(|| group.epoch()),
                running_hash: stored.handshake_running,
                checkpoint: None,
                content: &Content::Mls(mls).encode(),
            };
            Ok(seal(&request, &mut random::rng()).unwrap())
        })
    }
}

fn extensions(roster: &Roster) -> Extensions<openmls::prelude::GroupContext> {
    let demanded =
        RequiredCapabilitiesExtension::new(&[ExtensionType::Unknown(ROSTER_EXTENSION)], &[] as &[ProposalType], &[]);
    Extensions::from_vec(vec![
        Extension::RequiredCapabilities(demanded),
        Extension::Unknown(ROSTER_EXTENSION, UnknownExtension(roster.encode())),
    ])
    .unwrap()
}
