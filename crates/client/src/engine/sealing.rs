//! Sealing contents into envelopes, and the keys to open them with.

use std::sync::Arc;

use waxwing_protocol::envelope::{Recipient, SealRequest, Sender, Suite, seal};
use waxwing_protocol::{DeviceKeys, SealingKeys};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{AccountId, EnvelopeId, LogId, VerifiedChain};

use super::Engine;
use crate::error::{Error, ErrorCode};
use crate::random;
use crate::store::outbox::Sealed;
use crate::store::{keys, logs};

impl Engine {
    /// Seals `content` for everybody in the conversation of `log`, and stores the envelope with the outbox item `n`.
    /// A rotation waits meanwhile.
    pub(super) async fn seal_for_log(
        &self,
        n: i64,
        log: logs::Log,
        peer: AccountId,
        content: &[u8],
    ) -> Result<Sealed, Error> {
        let _guard = self.keys_guard.read().await;
        let chains = self.member_chains(peer).await?;
        let log_id = log.log;
        let counter = self.store.run(move |tx| logs::next_counter(tx, log_id)).await?;
        let keys = self.keys();
        let recipients = recipients(&chains);
        let entry_id = EnvelopeId::from_bytes(random::bytes());
        let blob = seal(
            &SealRequest {
                kind: EnvelopeKind::App,
                suite: Suite::X25519,
                envelope_id: entry_id,
                sender: Sender { account: self.account, keys: &keys },
                recipients: &recipients,
                tag_key: Some(&log.secret.tag_key()),
                log: log_id,
                after: log.last_handshake,
                counter,
                sent_ms: self.now_ms(),
                running_hash: [0; 32],
                content,
            },
            &mut random::rng(),
        )
        .map_err(|error| Error::new(ErrorCode::Internal, format!("sealing: {error}")))?;
        let sealed = Sealed { log: log_id, entry_id, after: log.last_handshake, blob: blob.clone() };
        self.store.run(move |tx| crate::store::outbox::set_sealed(tx, n, &sealed).map(|()| sealed)).await
    }

    /// The chains of everybody in a conversation with `peer` (oneself, for a note to self).
    async fn member_chains(&self, peer: AccountId) -> Result<Vec<Arc<VerifiedChain>>, Error> {
        let mut chains = vec![self.chain(self.account).await?];
        if peer != self.account {
            chains.push(self.chain(peer).await?);
        }
        Ok(chains)
    }

    /// Seals a first contact for one device's inbox.
    pub(super) fn seal_for_inbox(
        keys: &DeviceKeys,
        account: AccountId,
        recipient: &Recipient<'_>,
        content: &[u8],
        sent_ms: u64,
    ) -> Result<(EnvelopeId, Vec<u8>), Error> {
        let envelope_id = EnvelopeId::from_bytes(random::bytes());
        let blob = seal(
            &SealRequest {
                kind: EnvelopeKind::Welcome,
                suite: Suite::XWing,
                envelope_id,
                sender: Sender { account, keys },
                recipients: std::slice::from_ref(recipient),
                tag_key: None,
                log: LogId::from_bytes([0; 16]),
                after: 0,
                counter: 0,
                sent_ms,
                running_hash: [0; 32],
                content,
            },
            &mut random::rng(),
        )
        .map_err(|error| Error::new(ErrorCode::Internal, format!("sealing: {error}")))?;
        Ok((envelope_id, blob))
    }

    /// Every sealing key of this device that an envelope may be for: those of a rotation under way, those in force, and
    /// older ones. Read after the envelopes were fetched, so that no version is missing.
    pub(super) async fn opening_keys(&self) -> Result<OpeningKeys, Error> {
        let device = self.device;
        let (old, pending) = self
            .store
            .run(move |tx| {
                let pending = match keys::rotation(tx)? {
                    Some(rotation) => Some(DeviceKeys::new(device, rotation.key_version, rotation.seeds)?),
                    None => None,
                };
                Ok((keys::old_sealing_keys(tx)?, pending))
            })
            .await?;
        Ok(OpeningKeys { pending, current: self.keys(), old })
    }
}

/// See [`Engine::opening_keys`].
pub(super) struct OpeningKeys {
    pending: Option<DeviceKeys>,
    current: Arc<DeviceKeys>,
    old: Vec<SealingKeys>,
}

impl OpeningKeys {
    /// Newest first, each version once.
    pub(super) fn list(&self) -> Vec<&SealingKeys> {
        let mut list: Vec<&SealingKeys> = Vec::with_capacity(self.old.len() + 2);
        let newest = self.pending.iter().map(DeviceKeys::sealing).chain([self.current.sealing()]).chain(&self.old);
        for keys in newest {
            if list.iter().all(|known| known.key_version() != keys.key_version()) {
                list.push(keys);
            }
        }
        list
    }
}

/// Every device in force of these accounts.
pub(super) fn recipients(chains: &[Arc<VerifiedChain>]) -> Vec<Recipient<'_>> {
    chains
        .iter()
        .flat_map(|chain| {
            chain
                .devices()
                .iter()
                .map(|device| Recipient { account: chain.account(), record: &device.current().record })
        })
        .collect()
}
