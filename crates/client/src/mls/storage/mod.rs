//! What OpenMLS stores, in the engine's database and inside the caller's transaction: the state of a group, a
//! message's row, the cursor and the outbox change together or not at all.
//!
//! OpenMLS changes a group in memory as it stores it, so whoever rolls back drops the `MlsGroup` too, and loads it again.
//!
//! Values are CBOR: OpenMLS reads older forms of its own state, for which the encoding must describe itself (with
//! bincode or postcard the state is corrupt). Keys are CBOR too, and pinned by tests: another form would find nothing.
//!
//! Erasing and overwriting erase: the store has `secure_delete` on, which fills with zeros what a row leaves. The WAL
//! still holds it until `Store::checkpoint`, seconds later. Encoded values are wiped here. Not wiped: SQLite's own copy of a value
//! bound to a statement, and its page cache.
//!
//! Not here: the transaction and its end, deciding anything, which key packages there are and how long they are kept.

mod codec;
mod rows;
#[cfg(test)]
mod tests;

use openmls_traits::storage::{CURRENT_VERSION, StorageProvider, traits};
use rusqlite::Transaction;

use rows::{Kind, Place};
pub(crate) use rows::{SCHEMA, correct_retired_packages, delete_group, erase_key_packages, retire_key_packages};

/// Why something was not stored or read. It names neither keys nor values.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The database refused or failed.
    #[error("MLS state: the database failed")]
    Database(#[from] rusqlite::Error),
    /// OpenMLS gave a value that has no encoding.
    #[error("MLS state: a value could not be encoded")]
    Encode,
    /// A stored value is damaged, or from a version that this one does not know.
    #[error("MLS state: a stored value could not be read")]
    Decode,
}

/// The storage of one transaction.
pub struct TxStorage<'a> {
    tx: &'a Transaction<'a>,
}

impl<'a> TxStorage<'a> {
    pub(crate) fn new(tx: &'a Transaction<'a>) -> Self {
        Self { tx }
    }
}

/// Write, read and delete of one value under `K`. The type parameters are in the order in which the trait has them.
macro_rules! value {
    (
        $place:ident $kind:ident:
        $write:ident<$w1:ident: $w1_is:ident, $w2:ident: $w2_is:ident>,
        $read:ident<$r1:ident: $r1_is:ident, $r2:ident: $r2_is:ident>,
        $delete:ident<$key_is:ident>
    ) => {
        fn $write<$w1: traits::$w1_is<CURRENT_VERSION>, $w2: traits::$w2_is<CURRENT_VERSION>>(
            &self,
            key: &K,
            value: &T,
        ) -> Result<(), StorageError> {
            rows::put(self.tx, &Place::$place(Kind::$kind, key)?, value)
        }

        fn $read<$r1: traits::$r1_is<CURRENT_VERSION>, $r2: traits::$r2_is<CURRENT_VERSION>>(
            &self,
            key: &K,
        ) -> Result<Option<T>, StorageError> {
            rows::find(self.tx, &Place::$place(Kind::$kind, key)?)
        }

        fn $delete<K: traits::$key_is<CURRENT_VERSION>>(&self, key: &K) -> Result<(), StorageError> {
            rows::erase(self.tx, &Place::$place(Kind::$kind, key)?)
        }
    };
}

impl StorageProvider<CURRENT_VERSION> for TxStorage<'_> {
    type Error = StorageError;

    // What a group has once.

    value!(only JoinConfig:
        write_mls_join_config<K: GroupId, T: MlsGroupJoinConfig>,
        mls_group_join_config<K: GroupId, T: MlsGroupJoinConfig>,
        delete_group_config<GroupId>);

    value!(only Tree: write_tree<K: GroupId, T: TreeSync>, tree<K: GroupId, T: TreeSync>, delete_tree<GroupId>);

    value!(only InterimTranscriptHash:
        write_interim_transcript_hash<K: GroupId, T: InterimTranscriptHash>,
        interim_transcript_hash<K: GroupId, T: InterimTranscriptHash>,
        delete_interim_transcript_hash<GroupId>);

    value!(only GroupContext:
        write_context<K: GroupId, T: GroupContext>,
        group_context<K: GroupId, T: GroupContext>,
        delete_context<GroupId>);

    value!(only ConfirmationTag:
        write_confirmation_tag<K: GroupId, T: ConfirmationTag>,
        confirmation_tag<K: GroupId, T: ConfirmationTag>,
        delete_confirmation_tag<GroupId>);

    value!(only GroupState:
        write_group_state<T: GroupState, K: GroupId>,
        group_state<T: GroupState, K: GroupId>,
        delete_group_state<GroupId>);

    value!(only MessageSecrets:
        write_message_secrets<K: GroupId, T: MessageSecrets>,
        message_secrets<K: GroupId, T: MessageSecrets>,
        delete_message_secrets<GroupId>);

    value!(only ResumptionPskStore:
        write_resumption_psk_store<K: GroupId, T: ResumptionPskStore>,
        resumption_psk_store<K: GroupId, T: ResumptionPskStore>,
        delete_all_resumption_psk_secrets<GroupId>);

    value!(only OwnLeafIndex:
        write_own_leaf_index<K: GroupId, T: LeafNodeIndex>,
        own_leaf_index<K: GroupId, T: LeafNodeIndex>,
        delete_own_leaf_index<GroupId>);

    value!(only GroupEpochSecrets:
        write_group_epoch_secrets<K: GroupId, T: GroupEpochSecrets>,
        group_epoch_secrets<K: GroupId, T: GroupEpochSecrets>,
        delete_group_epoch_secrets<GroupId>);

    // What belongs to no group.

    value!(apart SignatureKeyPair:
        write_signature_key_pair<K: SignaturePublicKey, T: SignatureKeyPair>,
        signature_key_pair<K: SignaturePublicKey, T: SignatureKeyPair>,
        delete_signature_key_pair<SignaturePublicKey>);

    value!(apart EncryptionKeyPair:
        write_encryption_key_pair<K: EncryptionKey, T: HpkeKeyPair>,
        encryption_key_pair<T: HpkeKeyPair, K: EncryptionKey>,
        delete_encryption_key_pair<EncryptionKey>);

    value!(apart KeyPackage:
        write_key_package<K: HashReference, T: KeyPackage>,
        key_package<K: HashReference, T: KeyPackage>,
        delete_key_package<HashReference>);

    value!(apart Psk: write_psk<K: PskId, T: PskBundle>, psk<T: PskBundle, K: PskId>, delete_psk<PskId>);

    // A group's key pairs, a list for each epoch and own leaf.

    fn write_encryption_epoch_key_pairs<
        G: traits::GroupId<CURRENT_VERSION>,
        E: traits::EpochKey<CURRENT_VERSION>,
        T: traits::HpkeKeyPair<CURRENT_VERSION>,
    >(
        &self,
        group: &G,
        epoch: &E,
        leaf_index: u32,
        key_pairs: &[T],
    ) -> Result<(), StorageError> {
        rows::put(self.tx, &Place::within(Kind::EpochKeyPairs, group, &(epoch, leaf_index))?, key_pairs)
    }

    fn encryption_epoch_key_pairs<
        G: traits::GroupId<CURRENT_VERSION>,
        E: traits::EpochKey<CURRENT_VERSION>,
        T: traits::HpkeKeyPair<CURRENT_VERSION>,
    >(
        &self,
        group: &G,
        epoch: &E,
        leaf_index: u32,
    ) -> Result<Vec<T>, StorageError> {
        let place = Place::within(Kind::EpochKeyPairs, group, &(epoch, leaf_index))?;
        Ok(rows::find(self.tx, &place)?.unwrap_or_default())
    }

    fn delete_encryption_epoch_key_pairs<G: traits::GroupId<CURRENT_VERSION>, E: traits::EpochKey<CURRENT_VERSION>>(
        &self,
        group: &G,
        epoch: &E,
        leaf_index: u32,
    ) -> Result<(), StorageError> {
        rows::erase(self.tx, &Place::within(Kind::EpochKeyPairs, group, &(epoch, leaf_index))?)
    }

    // A group's own leaf nodes, from update proposals.

    fn append_own_leaf_node<G: traits::GroupId<CURRENT_VERSION>, T: traits::LeafNode<CURRENT_VERSION>>(
        &self,
        group: &G,
        leaf_node: &T,
    ) -> Result<(), StorageError> {
        rows::append(self.tx, Kind::OwnLeafNode, group, leaf_node)
    }

    fn own_leaf_nodes<G: traits::GroupId<CURRENT_VERSION>, T: traits::LeafNode<CURRENT_VERSION>>(
        &self,
        group: &G,
    ) -> Result<Vec<T>, StorageError> {
        rows::list(self.tx, Kind::OwnLeafNode, group, |row| rows::column(row, "value"))
    }

    fn delete_own_leaf_nodes<G: traits::GroupId<CURRENT_VERSION>>(&self, group: &G) -> Result<(), StorageError> {
        rows::erase_list(self.tx, Kind::OwnLeafNode, group)
    }

    // A group's queue of proposals, each under its reference.

    fn queue_proposal<
        G: traits::GroupId<CURRENT_VERSION>,
        R: traits::ProposalRef<CURRENT_VERSION>,
        T: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        group: &G,
        proposal_ref: &R,
        proposal: &T,
    ) -> Result<(), StorageError> {
        rows::put(self.tx, &Place::within(Kind::Proposal, group, proposal_ref)?, proposal)
    }

    fn queued_proposal_refs<G: traits::GroupId<CURRENT_VERSION>, R: traits::ProposalRef<CURRENT_VERSION>>(
        &self,
        group: &G,
    ) -> Result<Vec<R>, StorageError> {
        rows::list(self.tx, Kind::Proposal, group, |row| rows::column(row, "key"))
    }

    fn queued_proposals<
        G: traits::GroupId<CURRENT_VERSION>,
        R: traits::ProposalRef<CURRENT_VERSION>,
        T: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        group: &G,
    ) -> Result<Vec<(R, T)>, StorageError> {
        rows::list(self.tx, Kind::Proposal, group, |row| Ok((rows::column(row, "key")?, rows::column(row, "value")?)))
    }

    fn remove_proposal<G: traits::GroupId<CURRENT_VERSION>, R: traits::ProposalRef<CURRENT_VERSION>>(
        &self,
        group: &G,
        proposal_ref: &R,
    ) -> Result<(), StorageError> {
        rows::erase(self.tx, &Place::within(Kind::Proposal, group, proposal_ref)?)
    }

    fn clear_proposal_queue<G: traits::GroupId<CURRENT_VERSION>, R: traits::ProposalRef<CURRENT_VERSION>>(
        &self,
        group: &G,
    ) -> Result<(), StorageError> {
        rows::erase_list(self.tx, Kind::Proposal, group)
    }
}
