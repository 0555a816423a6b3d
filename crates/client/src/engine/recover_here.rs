//! Getting the account back on a device that still has the profile: somebody else may hold its keys, or has already put others in their
//! place. The device gets new keys and a new id, every other one is revoked, and the history stays (design section 4).
//!
//! Journalled: keys and chain entry are stored, the relay takes the entry, the own chain follows, then the keystore, then the rest of the
//! database. A crash anywhere is taken up at the next start, or, where that had no relay, as soon as there is one. Not here: a machine without
//! the profile (`recover`), how others bring the device back into conversations (`follow`).

use std::sync::Arc;
use std::time::Duration;

use waxwing_protocol::statement::{self, NewKeys};
use waxwing_protocol::{AccountKey, DeviceKeys, DeviceSeeds, RecoveryKey, RecoveryPhrase};
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::{AccountId, ChainEntry, DeviceId, VerifiedChain};
use zeroize::Zeroizing;

use super::held_back::held_back;
use super::recover::{TRIES, not_a_phrase};
use super::register::run;
use super::start::AT_THE_START;
use super::{Client, Engine, restart};
use crate::error::{Error, ErrorCode};
use crate::keystore::{Keystore, Secrets};
use crate::profile::Profile;
use crate::random;
use crate::relay::RelayApi;
use crate::store::recovery::{self, Recovery};
use crate::store::{Store, account, conversations, keys, logs};
use crate::views::{ConversationKind, Standing};

/// Longest that whatever still waits to be read and sent under the old keys is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

impl Client {
    /// Gets the account back with its recovery phrase, on this device. It stays what it shows: messages, contacts and verifications. Every
    /// other device is revoked, and so is whoever has this one's keys.
    ///
    /// An error leaves this engine running and the account as it was; or, where the answer was lost, this engine ends by itself as soon as
    /// the relay says that it has the entry ([`Client::ended`]), and the next start finishes it.
    pub async fn recover_here(&self, phrase: Zeroizing<String>) -> Result<Self, Error> {
        let phrase = RecoveryPhrase::parse(&phrase).map_err(not_a_phrase)?;
        let engine = &self.0;
        // Until this engine has nothing more to say: no other change of the chain begins beside it.
        let _rotating = engine.rotating.lock().await;
        let accepted = engine.state_recovery(&phrase.recovery_key()).await?;
        self.end_tasks().await;
        let secrets = engine.secrets.lock().await.clone();
        let (keystore, store) = (engine.keystore.clone(), engine.store.hand_over());
        let secrets = take_over(&keystore, secrets, &store, (engine.account, engine.now_ms()), accepted).await?;
        let client = run(&engine.profile, keystore, secrets, store).await?;
        client.0.begin_lone_groups().await;
        // So that others can bring this device back at once. What fails here is made up for by the inbox's task.
        if let Err(error) = client.0.refill_key_packages().await {
            tracing::info!(%error, "key packages are not at the relay yet");
        }
        Ok(client)
    }
}

/// What the relay has accepted: the journal, and the entries of the own chain from `from` on, the last of them the journal's.
struct Accepted {
    recovery: Recovery,
    from: u32,
    entries: Vec<Vec<u8>>,
}

impl Engine {
    /// Has the relay take an entry that puts a new device in the place of all.
    async fn state_recovery(self: &Arc<Self>, key: &RecoveryKey) -> Result<Accepted, Error> {
        let home = self.home.address().clone();
        let relay = self.relay(&home)?;
        let (mut waited, mut looked, mut asked_again) = (false, false, false);
        for _ in 0..TRIES {
            let known = self.chain(self.account).await?;
            let from = known.seq().saturating_add(1);
            let known = VerifiedChain::clone(&known);
            let answer = relay.chain(&self.account.to_string(), Some(known)).await;
            let (chain, mut entries) = self.noting_refuted(answer).await?;
            if *chain.recovery_key() != key.public() {
                return Err(Error::new(ErrorCode::PhraseOfAnother, "the phrase is not this account's"));
            }
            if !std::mem::replace(&mut looked, true) {
                self.read_own_log().await;
            }
            if self.is_held_back(&chain).await? {
                // What came in while the log was read is in the chain by now.
                if std::mem::replace(&mut asked_again, true) {
                    return Err(held_back());
                }
                continue;
            }
            let before = self.store.run(recovery::load).await?;
            if let Some(recovery) = before.filter(|before| stands_in(&chain, before)) {
                return Ok(Accepted { recovery, from, entries });
            }
            if !std::mem::replace(&mut waited, true) {
                // What the old keys can still read and send. A relay that does not let them says so at once.
                let last = tokio::time::timeout(PATIENCE, self.read_and_send()).await;
                tracing::debug!(?last, "before a recovery");
            }
            let recovery = prepare(&chain, key, relay.now_ms())?;
            let (journal, entry) = (recovery.copy(), recovery.entry.clone());
            self.store.run(move |tx| recovery::begin(tx, &journal)).await?;
            match relay.append_unnamed(self.account, &entry).await {
                Ok(_) => {
                    entries.push(entry);
                    return Ok(Accepted { recovery, from, entries });
                }
                // Another entry came first: a thief's, say. The next one follows that.
                Err(error) if error.problem() == Some(ProblemCode::ChainConflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::new(ErrorCode::RelayBusy, "the account's chain is changed again and again"))
    }

    /// While an engine runs on a profile in which a recovery broke off: once it stands in the chain the relay accepts these keys no more, and the
    /// next start goes on with the new ones.
    pub(super) async fn look_after_recovery(&self) -> Result<(), Error> {
        let Some(recovery) = self.store.run(recovery::load).await? else { return Ok(()) };
        let known = self.chain(self.account).await?;
        let (me, from, home) = (self.account, known.seq().saturating_add(1), self.home.address().clone());
        let answer = self.relay(&home)?.chain(&me.to_string(), Some(VerifiedChain::clone(&known))).await;
        let (chain, entries) = self.noting_refuted(answer).await?;
        if stands_in(&chain, &recovery) {
            // So that the start needs no relay to know.
            self.store.run(move |tx| keys::add_chain_entries(tx, me, from, &entries)).await?;
            tracing::info!("a recovery whose answer was lost stands: the engine begins anew with its keys");
            return Err(self.end_by_itself());
        }
        if went_past(&chain, &recovery) {
            self.store.run(recovery::forget).await?;
            self.store.forget().await?;
        }
        Ok(())
    }

    /// Groups that nobody else was in are made anew, with whoever was still to be added.
    pub(super) async fn begin_lone_groups(&self) {
        let (context, home) = (self.context(), self.home.address().clone());
        let begun = self.store.run(move |tx| {
            for group in conversations::all(tx)? {
                let is_one = group.kind == ConversationKind::Group && group.standing == Standing::Member;
                if is_one && logs::of(tx, &group.id)?.is_empty() {
                    restart::begin_with_all(tx, &context, &group, 1, home.clone())?;
                }
            }
            Ok(())
        });
        // The profile starts all the same.
        if let Err(error) = begun.await {
            tracing::warn!(%error, "beginning groups anew");
        }
        self.outbox_wake.notify_one();
    }

    async fn read_and_send(self: &Arc<Self>) -> Result<(), Error> {
        if let Err(error) = self.drain_inbox().await {
            tracing::info!(%error, "reading the inbox for the last time with these keys");
        }
        let sent = self.flush().await;
        for log in self.store.run(crate::store::logs::followed).await? {
            if let Err(error) = self.drain_log(log.log).await {
                tracing::info!(%error, "reading a log for the last time with these keys");
            }
        }
        sent
    }
}

impl Recovery {
    fn copy(&self) -> Self {
        Self {
            device: self.device,
            account_seed: self.account_seed.clone(),
            device_seeds: DeviceSeeds::from_bytes(&self.device_seeds.to_bytes()),
            entry: self.entry.clone(),
        }
    }
}

/// Whether a recovery's entry is the newest of a chain.
fn stands_in(chain: &VerifiedChain, recovery: &Recovery) -> bool {
    ChainEntry::decode(&recovery.entry).is_ok_and(|entry| entry.hash() == chain.head())
}

pub(super) fn prepare(chain: &VerifiedChain, key: &RecoveryKey, at_ms: u64) -> Result<Recovery, Error> {
    let mut rng = random::rng();
    let (account_key, seeds) = (AccountKey::generate(&mut rng), DeviceSeeds::generate(&mut rng));
    let bytes = seeds.to_bytes();
    let device = DeviceKeys::new(DeviceId::from_bytes(random::bytes()), 1, seeds)?;
    let new = NewKeys { recovery_key: key, account_key: &account_key, device: &device };
    let entry = statement::recover(chain, key, &new, at_ms);
    // A chain that takes no more, say: nothing is begun that could never end.
    VerifiedChain::clone(chain).extend(entry.as_bytes())?;
    Ok(Recovery {
        device: device.device(),
        account_seed: Zeroizing::new(*account_key.seed()),
        device_seeds: DeviceSeeds::from_bytes(&bytes),
        entry: entry.as_bytes().to_vec(),
    })
}

/// The relay has the entry: the own chain, the keystore and the rest of the profile follow. No engine runs meanwhile.
async fn take_over(
    keystore: &Keystore,
    mut secrets: Secrets,
    store: &Store,
    (me, now): (AccountId, u64),
    accepted: Accepted,
) -> Result<Secrets, Error> {
    let Accepted { recovery, from, entries } = accepted;
    // First what says that it was accepted: a start without the relay goes on from here.
    store.run(move |tx| keys::add_chain_entries(tx, me, from, &entries)).await?;
    secrets.account_seed = *recovery.account_seed;
    secrets.device_seeds = *recovery.device_seeds.to_bytes();
    secrets.key_version = 1;
    keystore.write(&secrets).await?;
    store
        .run(move |tx| {
            let waits = Error::new(ErrorCode::LostPlace, "this device waits to be let back in").view();
            for conversation in recovery::take_over(tx, me, recovery.device, now)? {
                conversations::set_problem(tx, &conversation, Some(&waits))?;
            }
            Ok(())
        })
        .await?;
    store.forget().await?;
    Ok(secrets)
}

/// At the start: a recovery that broke off is taken to its end if the relay has its entry, as the own chain says or the relay itself.
pub(super) async fn finish_stored_recovery(
    profile: &Profile,
    keystore: &Keystore,
    secrets: Secrets,
    store: &Store,
) -> Result<Secrets, Error> {
    let Some(recovery) = store.run(recovery::load).await? else { return Ok(secrets) };
    let me = store.run(account::require).await?;
    let account = me.account;
    let known = store.run(move |tx| keys::chain(tx, account)).await?;
    let known = known.ok_or_else(|| super::not_found("no own chain"))?;
    let api = RelayApi::new(me.relay, profile.dir(), None)?;
    let from = known.seq().saturating_add(1);
    if stands_in(&known, &recovery) {
        // Nothing was asked yet, and so no relay has told the time.
        let at_ms = ChainEntry::decode(&recovery.entry).map_or(0, |entry| entry.unsigned.at_ms);
        let accepted = Accepted { recovery, from, entries: Vec::new() };
        return take_over(keystore, secrets, store, (account, api.now_ms().max(at_ms)), accepted).await;
    }
    if went_past(&known, &recovery) {
        return nothing_came_of_it(store, secrets).await;
    }
    let asked = tokio::time::timeout(AT_THE_START, api.chain(&account.to_string(), Some(known))).await;
    let Ok(Ok((chain, entries))) = asked else {
        tracing::info!("a recovery broke off, and its relay does not say what became of it");
        return Ok(secrets);
    };
    if stands_in(&chain, &recovery) {
        let accepted = Accepted { recovery, from, entries };
        return take_over(keystore, secrets, store, (account, api.now_ms()), accepted).await;
    }
    if went_past(&chain, &recovery) { nothing_came_of_it(store, secrets).await } else { Ok(secrets) }
}

/// Whether something else stands in the place of a recovery's entry, or has come after it: no device is in force by it.
fn went_past(chain: &VerifiedChain, recovery: &Recovery) -> bool {
    let seq = ChainEntry::decode(&recovery.entry).map(|entry| entry.unsigned.seq);
    !stands_in(chain, recovery) && seq.is_ok_and(|seq| chain.seq() >= seq)
}

/// The journal goes, with the seeds in it: from the WAL as well.
async fn nothing_came_of_it(store: &Store, secrets: Secrets) -> Result<Secrets, Error> {
    store.run(recovery::forget).await?;
    store.forget().await?;
    Ok(secrets)
}
