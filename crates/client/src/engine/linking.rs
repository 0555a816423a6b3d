//! A further device for the account, on a device that is in it (docs/protocol.md "Linking a device"): a code is made, a new device asks with it, the
//! user compares what both show and agrees, the chain gets the entry, and the new device what it needs. And taking a device out again.
//!
//! Journalled: what the user has agreed to is stored, the relay takes the entry (or has it already), the own chain follows, then the new device is
//! told. A crash anywhere is taken up with the next connection. Not here: the new device's side (`link_here`), its places in groups (`own_leaves`).

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use waxwing_protocol::content::{Content, HandOver, LinkRequest, MAX_OWN_CONTACTS};
use waxwing_protocol::envelope::Opened;
use waxwing_protocol::{AccountSeed, DeviceLink, LinkSecret, fingerprint_text, statement};
use waxwing_wire::chain::{DeviceState, Statement, What};
use waxwing_wire::limits::MAX_DEVICES;
use waxwing_wire::{ChainEntry, DeviceId, DeviceRecord, VerifiedChain};

use super::entries::LATEST_MS;
use super::{Client, Engine, contacts, not_found, own_leaves, own_news};
use crate::error::{Error, ErrorCode};
use crate::event::Event;
use crate::random;
use crate::store::device_link::{self, Link, Stage};
use crate::store::{account, closing, keys, transparency};
use crate::views::{DeviceOfferView, DeviceRequestView, DeviceView, DevicesView};

/// For the relay to show what other own devices have stated.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a code can be asked with.
const VALID_MS: u64 = 10 * 60 * 1000;

impl Client {
    /// The account's devices, this one first; and how far linking another one has got.
    pub async fn devices(&self) -> Result<DevicesView, Error> {
        self.0.devices_view().await
    }

    /// Makes a code by which a new device can ask to come into the account, for 10 minutes; one that was made before is of no use any more. While
    /// one is being added nothing is made. The relay must be in reach.
    pub async fn offer_device_link(&self) -> Result<DevicesView, Error> {
        let engine = &self.0;
        // Also so that its time is counted from what the relay's clock says.
        engine.tell_keys_to_relay().await?;
        // What a new device asks for follows the newest entry that the relay shows.
        engine.follow_own_devices_for(PATIENCE).await?;
        if engine.is_revoked().await? {
            return Err(Error::new(ErrorCode::DeviceRevoked, "the account's chain has revoked this device"));
        }
        if engine.chain(engine.account).await?.devices().count() >= MAX_DEVICES {
            return Err(Error::new(ErrorCode::TooManyDevices, format!("{MAX_DEVICES} devices at most")));
        }
        let (secret, until) = (LinkSecret::generate(&mut random::rng()), engine.now_ms().saturating_add(VALID_MS));
        let offered = engine.store.run(move |tx| match device_link::load(tx)? {
            Some(link) if link.stage.goes_on() => Ok(()),
            _ => device_link::offer(tx, &secret, until),
        });
        offered.await?;
        engine.set_link_problem(None);
        engine.tell_devices().await
    }

    /// Takes the code back, and with it what was asked. What the user has agreed to goes on.
    pub async fn withdraw_device_link(&self) -> Result<DevicesView, Error> {
        let engine = &self.0;
        let withdrawn = engine.store.run(|tx| match device_link::load(tx)? {
            Some(link) if link.stage.goes_on() => Ok(()),
            _ => device_link::end(tx),
        });
        withdrawn.await?;
        engine.store.forget().await?;
        engine.set_link_problem(None);
        engine.tell_devices().await
    }

    /// The user agrees that this device, which has asked, comes into the account: what it shows is what was compared. If the relay is out of reach
    /// that goes on by itself; the view says so.
    ///
    /// # Errors
    /// [`ErrorCode::LinkExpired`] if this device does not ask, or does no more.
    pub async fn accept_device(&self, device_id: &str) -> Result<DevicesView, Error> {
        let engine = &self.0;
        let device: DeviceId = device_id.parse().map_err(|_| not_found("no such device"))?;
        let rotating = engine.rotating.lock().await;
        // One change of the chain after the other.
        engine.resume_changes().await?;
        let (account_key, now) = (engine.account_key(), engine.now_ms());
        let chain = engine.chain(engine.account).await?;
        let agreed = engine.store.run(move |tx| {
            let expired = || Error::new(ErrorCode::LinkExpired, "this device does not ask to be added");
            let link = device_link::load(tx)?.filter(|link| link.stage == Stage::Asked && now < link.until_ms);
            let asked = decoded(&link.ok_or_else(expired)?.entry)?;
            if record_of(&asked).is_none_or(|record| record.device != device) {
                return Err(expired());
            }
            // Both would state the same place of the chain.
            if closing::load(tx)?.is_some() || keys::account_change(tx)?.is_some() || keys::rotation(tx)?.is_some() {
                return Err(Error::new(ErrorCode::RelayBusy, "another change of the chain is under way"));
            }
            let entry = statement::grant(&asked, &account_key);
            if VerifiedChain::clone(&chain).extend(entry.as_bytes()).is_err() {
                device_link::end(tx)?;
                return Ok(false);
            }
            device_link::reach(tx, Stage::Agreed, entry.as_bytes())?;
            Ok(true)
        });
        if !agreed.await? {
            engine.set_link_problem(Some(overtaken()));
            return engine.tell_devices().await;
        }
        engine.tell_devices().await?;
        let outcome = engine.resume_changes().await;
        // What stands in the way of anything else is told elsewhere.
        if engine.store.run(device_link::load).await?.is_some_and(|link| link.stage.goes_on()) {
            engine.set_link_problem(outcome.err());
        }
        drop(rotating);
        engine.tell_devices().await
    }

    /// Takes another device out of the account: the account key is replaced, which is what revoking is, and the remaining devices are given the new one.
    /// If the relay is out of reach that goes on by itself.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] if it is no other device in force; what keeps it from being done now, otherwise.
    pub async fn revoke_device(&self, device_id: &str) -> Result<DevicesView, Error> {
        let engine = &self.0;
        let device: DeviceId = device_id.parse().map_err(|_| not_found("no such device"))?;
        let rotating = engine.rotating.lock().await;
        engine.resume_changes().await?;
        if device == engine.device || engine.chain(engine.account).await?.device(device).is_none() {
            return Err(not_found("no other device of the account"));
        }
        engine.begin_account_change(&[device], false).await?;
        let keys = engine.go_on_with_account_change(rotating).await?;
        let devices = engine.tell_devices().await?;
        let gone = |devices: &DevicesView| devices.devices.iter().all(|one| one.device_id != device.to_string());
        if gone(&devices) || keys.rotating {
            // Where it has not reached the relay yet it goes on by itself.
            return Ok(devices);
        }
        // Another own device was first; it may have done the same.
        engine.follow_own_devices_for(PATIENCE).await?;
        let devices = engine.tell_devices().await?;
        let busy = || Error::new(ErrorCode::RelayBusy, "another change of the chain is under way");
        match keys.rotation_problem {
            _ if gone(&devices) => Ok(devices),
            Some(problem) => Err(Error::new(problem.code, problem.detail)),
            None => Err(busy()),
        }
    }
}

impl Engine {
    /// What a new device asks for, as far as it can be taken: its place in the own chain, and that it holds the code.
    pub(super) async fn judge_link(
        &self,
        opened: Opened,
        request: LinkRequest,
    ) -> Result<Result<(waxwing_protocol::Message, ChainEntry, Stage), &'static str>, Error> {
        let (claimed, now) = (*opened.claimed(), self.now_ms());
        let Some(record) = request.record() else { return Ok(Err("it asks for something else")) };
        let link = self.store.run(device_link::load).await?;
        let offered = link.filter(|link| link.stage == Stage::Offered && now < link.until_ms);
        if !offered.is_some_and(|link| request.holds(&link.secret)) {
            return Ok(Err("it does not prove a code for linking that is in force"));
        }
        if (claimed.account, claimed.device) != (self.account, record.device) {
            return Ok(Err("it asks for another device"));
        }
        let Ok(message) = opened.verify(record) else { return Ok(Err("its signature does not hold")) };
        let granted = statement::grant(request.entry(), &self.account_key());
        let follows = |chain: &VerifiedChain| VerifiedChain::clone(chain).extend(granted.as_bytes()).is_ok();
        let mut chain = self.chain(self.account).await?;
        if !follows(&chain)
            && let Ok((newer, _)) = self.follow_own_devices().await
        {
            // Another own device may have changed it a moment ago.
            chain = newer;
        }
        let in_it = chain.device(record.device).is_some_and(|device| device.current().record == *record);
        if in_it {
            // Added before, by this device or another one, and not given what it needs, or not that it knows of.
            return Ok(Ok((message, request.entry().clone(), Stage::Stated)));
        }
        if !follows(&chain) {
            tracing::info!("what a new device asks for does not follow the own chain");
            self.set_link_problem(Some(overtaken()));
            return Ok(Err("it does not follow the own chain"));
        }
        Ok(Ok((message, request.entry().clone(), Stage::Asked)))
    }

    /// Takes what the user has agreed to, to its end. To be called with `rotating` held.
    pub(super) async fn advance_linking(&self) -> Result<(), Error> {
        let Some(link) = self.store.run(device_link::load).await?.filter(|link| link.stage.goes_on()) else {
            return Ok(());
        };
        let entry = decoded(&link.entry)?;
        if link.stage == Stage::Agreed {
            match self.state_after_telling(&link.entry, None, &[]).await {
                Ok(()) => self.is_added(&entry).await?,
                Err(error) if error.code() == ErrorCode::OwnKeysChanged => {
                    self.store.run(device_link::end).await?;
                    self.set_link_problem(Some(overtaken()));
                    self.tell_devices().await?;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        let chain = self.chain(self.account).await?;
        if let Some(device) = record_of(&entry).filter(|record| chain.device(record.device).is_some()) {
            match self.hand_over(device.device).await {
                // Its inbox is full: it waits, and nothing else waits for it.
                Err(error) if error.code() == ErrorCode::RelayBusy => {
                    self.set_link_problem(Some(error));
                    self.tell_devices().await?;
                    return Ok(());
                }
                handed_over => handed_over?,
            }
        }
        let context = self.context();
        self.store
            .run(move |tx| {
                device_link::end(tx)?;
                own_leaves::queue_everywhere(tx, &context)
            })
            .await?;
        self.store.forget().await?;
        self.set_link_problem(None);
        self.tell_devices().await?;
        self.tell_keys().await?;
        self.outbox_wake.notify_one();
        Ok(())
    }

    /// The relay has the entry: the own chain follows.
    async fn is_added(&self, entry: &ChainEntry) -> Result<(), Error> {
        let mut chain = VerifiedChain::clone(&*self.chain(self.account).await?);
        let seq = entry.unsigned.seq;
        if chain.hash_at(seq).is_none() {
            chain.extend(entry.as_bytes())?;
        }
        let (me, bytes, whole) = (self.account, entry.as_bytes().to_vec(), chain.clone());
        self.store
            .run(move |tx| {
                transparency::forget_alarms(tx, |seq, hash| whole.hash_at(seq) == Some(hash))?;
                keys::add_chain_entries(tx, me, seq, std::slice::from_ref(&bytes))?;
                device_link::reach(tx, Stage::Stated, &bytes)
            })
            .await?;
        self.chains.keep(Arc::new(chain));
        Ok(())
    }

    /// What a device needs that was added: the account key first, then whom the user knows. Said once more it does no harm.
    async fn hand_over(&self, device: DeviceId) -> Result<(), Error> {
        let (profile, contacts) = self.store.run(|tx| Ok((account::profile(tx)?, own_news::contacts(tx)?))).await?;
        let account_key = AccountSeed::from_bytes(self.account_key().seed());
        let hand_over = HandOver { account_key, profile };
        self.tell_own_device(device, &Content::HandOver(hand_over)).await?;
        for some in contacts.chunks(MAX_OWN_CONTACTS) {
            self.tell_own_device(device, &Content::OwnContacts(some.to_vec())).await?;
        }
        Ok(())
    }

    /// A device that was added before asks for what it needs: that goes on, without anybody being waited for.
    pub(super) async fn go_on_with_linking(&self) {
        let goes_on = |link: Option<Link>| link.is_some_and(|link| link.stage.goes_on());
        if self.store.run(device_link::load).await.is_ok_and(goes_on) {
            self.resume_rotation().await;
        }
    }

    pub(super) fn set_link_problem(&self, error: Option<Error>) {
        let problem = error.map(|error| error.view());
        *self.link_problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    /// The devices as they are now, told.
    pub(super) async fn tell_devices(&self) -> Result<DevicesView, Error> {
        let devices = self.devices_view().await?;
        self.emit(Event::Devices { devices: devices.clone() });
        Ok(devices)
    }

    async fn devices_view(&self) -> Result<DevicesView, Error> {
        let (chain, now) = (self.chain(self.account).await?, self.now_ms());
        let newest = Arc::clone(&chain);
        let (invite, link) = self
            .store
            .run(move |tx| Ok((contacts::invite_of(tx, &account::require(tx)?, &newest)?, device_link::load(tx)?)))
            .await?;
        let problem = self.link_problem.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let link = link.filter(|link| link.stage.goes_on() || now < link.until_ms);
        let offer = match link {
            None => problem.map(|problem| DeviceOfferView {
                code: String::new(),
                expires_at: 0.0,
                request: None,
                adding: false,
                problem: Some(problem),
            }),
            Some(link) => {
                let code = DeviceLink { account: invite, device: self.device, secret: link.secret.clone() };
                Some(DeviceOfferView {
                    code: if link.stage == Stage::Offered { code.to_code().to_string() } else { String::new() },
                    // By this computer's clock, which is what a front end has.
                    expires_at: self.local_now() + link.until_ms.saturating_sub(now) as f64,
                    request: asks(&link)?,
                    adding: link.stage.goes_on(),
                    problem,
                })
            }
        };
        let mut devices: Vec<_> = chain.devices().map(|device| view(&chain, device, self.device)).collect();
        devices.sort_by_key(|device| !device.this);
        Ok(DevicesView { devices, offer })
    }
}

fn view(chain: &VerifiedChain, device: &DeviceState, this: DeviceId) -> DeviceView {
    let id = device.id();
    let added = chain.events().iter().find(|event| match &event.what {
        What::Created(of) | What::DeviceAdded(of) | What::Recovered { device: of, .. } => *of == id,
        _ => false,
    });
    let current = device.current();
    DeviceView {
        device_id: id.to_string(),
        this: id == this,
        added_at: added.map_or(0, |event| event.place.at_ms).min(LATEST_MS) as f64,
        version: current.record.key_version,
        keys_since: current.at_ms.min(LATEST_MS) as f64,
        fingerprint: fingerprint_text(&current.record.fingerprint()),
    }
}

/// Which device asks, if one does.
fn asks(link: &Link) -> Result<Option<DeviceRequestView>, Error> {
    if link.stage == Stage::Offered {
        return Ok(None);
    }
    let entry = decoded(&link.entry)?;
    Ok(record_of(&entry).map(|record| DeviceRequestView {
        device_id: record.device.to_string(),
        fingerprint: fingerprint_text(&record.fingerprint()),
    }))
}

fn record_of(entry: &ChainEntry) -> Option<&DeviceRecord> {
    match &entry.unsigned.statement {
        Statement::AddDevice(record) => Some(record),
        _ => None,
    }
}

pub(super) fn decoded(entry: &[u8]) -> Result<ChainEntry, Error> {
    ChainEntry::decode(entry).map_err(|error| Error::new(ErrorCode::Internal, error.to_string()))
}

fn overtaken() -> Error {
    Error::new(ErrorCode::LinkOvertaken, "the own chain has gone on since the new device asked")
}
