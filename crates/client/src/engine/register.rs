//! Making an account, and running its engine.
//!
//! An interrupted registration is resumed: the same name on the same relay sends the same bytes again, which the relay
//! takes as the same request. So is one that the relay has refused for want of an invitation.
//!
//! Not here: what was left behind, and when it is no longer wanted (`pending`); starting the engine of an account that exists (`start`).

use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};

use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use waxwing_protocol::{AccessKey, AccountKey, DeviceKeys, DeviceSeeds, RecoveryPhrase, statement};
use waxwing_wire::chain::Statement;
use waxwing_wire::ids::to_hex;
use waxwing_wire::limits::MAX_DISPLAY_NAME;
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::{AccountId, ChainEntry, DeviceId, RelayAddress, Username, hash, label};
use zeroize::Zeroizing;

use super::closing::make_way;
use super::pending::{Pending, left_behind};
use super::{Client, EVENTS, Engine};
use crate::error::{Error, ErrorCode};
use crate::keystore::{Keystore, Secrets};
use crate::profile::{Profile, ProfileState};
use crate::random;
use crate::relay::{ApiError, Credentials, Invitation, RelayApi};
use crate::store::account::Account;
use crate::store::{Store, account, keys};
use crate::views::{Connection, RelayView};

/// What a person gives to make an account.
pub struct Registration {
    /// The user name, unique on the relay.
    pub username: String,
    /// The name others see; the user name where it is empty.
    pub display_name: String,
    /// The relay's address, `host[:port]`, with `#pin` for a self-signed certificate.
    pub relay: String,
    /// Where there is no keychain: the passphrase that seals the secrets instead.
    pub passphrase: Option<Zeroizing<String>>,
    /// The operator's invitation, where the relay asks for one: 22 characters. Blank is none.
    pub invitation: Option<Zeroizing<String>>,
}

/// Asks a relay what it is, before an account is made on it in the profile in the folder `profile`, whose certificate it is shown if it asks for one.
pub async fn check_relay(profile: &Path, address: &str) -> Result<RelayView, Error> {
    let address = parse_relay(address)?;
    let info = RelayApi::new(address.clone(), profile, None)?.info().await?;
    Ok(RelayView { address: address.to_string(), version: info.version, loopback: address.is_loopback() })
}

impl Client {
    /// Makes an account on a relay, with keys made on this device, and starts its engine.
    ///
    /// After an error the profile can be registered again; nothing is half-made in a way that blocks it. A relay that wants an invitation
    /// says so by [`ErrorCode::InvitationNeeded`], or [`ErrorCode::InvitationRefused`] where one was given.
    pub async fn register(profile: &Profile, registration: Registration) -> Result<Self, Error> {
        if profile.state() != ProfileState::Fresh {
            return Err(Error::new(ErrorCode::AlreadyRegistered, "the profile has an account"));
        }
        let Registration { username, display_name, relay, passphrase, invitation } = registration;
        let username: Username =
            username.parse().map_err(|error| Error::new(ErrorCode::InvalidName, format!("{error}")))?;
        let display_name =
            clean_display_name(if display_name.trim().is_empty() { username.as_str() } else { &display_name })?;
        let invitation = match invitation {
            Some(text) => Invitation::parse(&text)?,
            None => None,
        };
        make_way(profile, passphrase.is_some()).await?;
        let (relay, api) = meet(profile, parse_relay(&relay)?).await?;
        let origin = relay.authority();

        let pending = match resume(profile, passphrase.clone(), &username, &relay).await? {
            Some(pending) => pending,
            None => begin(profile, passphrase, &username, &relay, &display_name, &origin, api.now_ms()).await?,
        };
        let entry = pending.store.run(|tx| Ok(account::load(tx)?.map(|(account, _)| account.create_entry))).await?;
        let entry = entry.ok_or_else(|| Error::new(ErrorCode::Internal, "registration: no entry"))?;
        // From here on the relay may have it, whatever comes back.
        if profile.facts().refused {
            profile.change(|facts| facts.refused = false)?;
        }
        if let Err(error) = api.create_account(&entry, invitation.as_ref()).await {
            // Refused for good: the relay answers the same bytes it has accepted with yes. Anything else may have arrived.
            drop(pending);
            match error.problem() {
                Some(ProblemCode::NameTaken) => {
                    Store::discard(profile.dir())?;
                    profile.change(|facts| facts.key_check = None)?;
                }
                // Kept: with an invitation, or once the relay is open, the same entry is sent again.
                Some(ProblemCode::RegistrationInviteRequired | ProblemCode::RegistrationClosed) => {
                    profile.change(|facts| facts.refused = true)?;
                }
                _ => {}
            }
            return Err(refusal(error, invitation.is_some()));
        }

        let name = display_name.clone();
        pending
            .store
            .run(move |tx| {
                account::set_display_name(tx, &name)?;
                account::set_registered(tx)
            })
            .await?;
        profile.change(|facts| facts.registered = true)?;
        let client = run(profile, pending.keystore, pending.secrets, pending.store).await?;
        // So that others can write at once. What fails here is made up for by the inbox's task.
        if let Err(error) = client.0.refill_key_packages().await {
            tracing::info!(%error, "key packages are not at the relay yet");
        }
        Ok(client)
    }
}

/// The relay says one thing of an invitation that is missing and of one that it does not take.
pub(super) fn refusal(error: ApiError, invited: bool) -> Error {
    if invited && error.problem() == Some(ProblemCode::RegistrationInviteRequired) {
        return Error::new(ErrorCode::InvitationRefused, error.to_string());
    }
    error.into()
}

/// The relay under the name that it goes by itself. On this computer `localhost` and its addresses are the same; anywhere
/// else the relay must go by the name that the user gave, or tokens and chains would not be for it.
pub(super) async fn meet(profile: &Profile, address: RelayAddress) -> Result<(RelayAddress, RelayApi), Error> {
    let api = RelayApi::new(address.clone(), profile.dir(), None)?;
    let audience = api.info().await?.audience;
    if audience == address.authority() {
        return Ok((address, api));
    }
    let other = || Error::new(ErrorCode::NotARelay, "the relay goes by another name");
    let named: RelayAddress = audience.parse().map_err(|_| other())?;
    if !(address.is_loopback() && named.is_loopback()) {
        return Err(other());
    }
    let named = match address.pin() {
        Some(pin) => named.with_pin(*pin),
        None => named,
    };
    let api = RelayApi::new(named.clone(), profile.dir(), None)?;
    api.info().await?;
    Ok((named, api))
}

/// What an interrupted registration for the same name and relay left behind.
async fn resume(
    profile: &Profile,
    passphrase: Option<Zeroizing<String>>,
    username: &Username,
    relay: &RelayAddress,
) -> Result<Option<Pending>, Error> {
    let (name, address) = (username.clone(), relay.clone());
    let stands = move |account: &Account| {
        let entry = ChainEntry::decode(&account.create_entry);
        let creates = entry.is_ok_and(|entry| matches!(entry.unsigned.statement, Statement::Create(_)));
        creates && account.username == name && account.relay == address
    };
    left_behind(profile, passphrase, stands).await
}

/// Makes all keys, stores them, and writes the account's first chain entry.
async fn begin(
    profile: &Profile,
    passphrase: Option<Zeroizing<String>>,
    username: &Username,
    relay: &RelayAddress,
    display_name: &str,
    origin: &str,
    now_ms: u64,
) -> Result<Pending, Error> {
    let sealed = passphrase.is_some();
    let keystore = Keystore::create(profile, passphrase).await?;
    let mut rng = random::rng();
    let account_id = AccountId::from_bytes(random::bytes());
    let account_key = AccountKey::generate(&mut rng);
    let phrase = RecoveryPhrase::generate(&mut rng);
    let seeds = DeviceSeeds::generate(&mut rng);
    let secrets = Secrets::new(random::bytes(), *account_key.seed(), *seeds.to_bytes());
    let device = DeviceKeys::new(DeviceId::from_bytes(random::bytes()), 1, seeds)?;
    let entry = statement::create(
        account_id,
        origin,
        Some(username.clone()),
        &account_key,
        &phrase.recovery_key(),
        &device,
        now_ms,
    );
    let store = new_store(profile, &keystore, &secrets, sealed).await?;
    let new = Account {
        account: account_id,
        device: device.device(),
        username: username.clone(),
        relay: relay.clone(),
        display_name: display_name.to_owned(),
        create_entry: entry.as_bytes().to_vec(),
        invite_key: AccessKey::generate(&mut rng),
        phrase_places: two_places(),
        phrase_confirmed: false,
        counter: secrets.counter,
    };
    store
        .run(move |tx| {
            account::insert(tx, &new, &phrase.entropy())?;
            keys::add_chain_entries(tx, new.account, 0, std::slice::from_ref(&new.create_entry))
        })
        .await?;
    Ok(Pending { keystore, secrets, store })
}

/// Stores the secrets of a new profile and makes its database. `sealed`: under a passphrase, and not in the keychain.
pub(super) async fn new_store(
    profile: &Profile,
    keystore: &Keystore,
    secrets: &Secrets,
    sealed: bool,
) -> Result<Store, Error> {
    // The keystore first: a database whose key was never stored could not be opened again.
    keystore.write(secrets).await?;
    let check = key_check(&secrets.database_key);
    profile.change(|facts| {
        facts.passphrase = sealed;
        facts.key_check = Some(check);
        facts.refused = false;
    })?;
    let (dir, key) = (profile.dir().to_owned(), Zeroizing::new(secrets.database_key));
    blocking(move || Store::create(&dir, &key)).await
}

pub(super) async fn open_store(profile: &Profile, secrets: &Secrets) -> Result<Store, Error> {
    let (dir, key) = (profile.dir().to_owned(), Zeroizing::new(secrets.database_key));
    blocking(move || Store::open(&dir, &key)).await
}

/// Builds the engine and starts its tasks.
pub(super) async fn run(
    profile: &Profile,
    keystore: Keystore,
    secrets: Secrets,
    store: Store,
) -> Result<Client, Error> {
    let me = store.run(account::require).await?;
    let seeds = DeviceSeeds::from_bytes(&secrets.device_seeds);
    let device_keys = DeviceKeys::new(me.device, secrets.key_version, seeds)?;
    let credentials = Arc::new(Credentials::new(me.account, &device_keys));
    let home = Arc::new(RelayApi::new(me.relay.clone(), profile.dir(), Some(Arc::clone(&credentials)))?);
    let engine = Engine {
        profile: profile.clone(),
        keystore,
        account_key: RwLock::new(Arc::new(AccountKey::from_seed(&secrets.account_seed))),
        secrets: tokio::sync::Mutex::new(secrets),
        store,
        account: me.account,
        device: me.device,
        keys: RwLock::new(Arc::new(device_keys)),
        keys_guard: tokio::sync::RwLock::default(),
        rotating: tokio::sync::Mutex::default(),
        rotation_problem: Mutex::default(),
        asked_own_devices: Mutex::default(),
        link_problem: Mutex::default(),
        restored_problem: Mutex::default(),
        unlogged_problem: Mutex::default(),
        logged_as_shown: Mutex::default(),
        last_scheduled: Mutex::default(),
        home,
        credentials,
        relays: Mutex::default(),
        chains: super::context::Chains::default(),
        crypto: Arc::new(crate::mls::Crypto::new(random::rng())),
        packages_lock: tokio::sync::Mutex::default(),
        in_hand: super::in_hand::InHand::default(),
        replayed: Mutex::default(),
        absent: Mutex::default(),
        silent: Mutex::default(),
        to_look_at: Mutex::default(),
        lanes: super::deliveries::Lanes::default(),
        log_locks: Mutex::default(),
        flushing: tokio::sync::Mutex::default(),
        inbox_lock: tokio::sync::Mutex::default(),
        events: broadcast::Sender::new(EVENTS),
        connection: watch::Sender::new(Connection::Connecting),
        outbox_wake: tokio::sync::Notify::new(),
        introductions_wake: tokio::sync::Notify::new(),
        transparency_wake: tokio::sync::Notify::new(),
        transparency_locks: Mutex::default(),
        wanted_logs: Mutex::default(),
        too_long: Mutex::default(),
        checkpoint: Mutex::default(),
        heard: Arc::default(),
        queue_freed: tokio::sync::Notify::new(),
        sending: Mutex::default(),
        logs_changed: watch::Sender::new(0),
        try_now: watch::Sender::new(0),
        stop: CancellationToken::new(),
        ended: CancellationToken::new(),
        tasks: TaskTracker::new(),
    };
    let engine = Arc::new(engine);
    engine.finish_stored_account_change().await?;
    engine.finish_stored_rotation().await?;
    engine.spawn_tasks();
    Ok(Client(engine))
}

/// First 8 bytes of a labelled hash: enough to tell a wrong key, nothing to attack 256 random bits with.
pub(super) fn key_check(key: &[u8; 32]) -> String {
    let digest = hash(&[&label("database key check"), key]);
    to_hex(digest.first_chunk::<8>().unwrap_or(&[0; 8]))
}

/// Two different places of the recovery phrase, in order.
pub(super) fn two_places() -> (u32, u32) {
    let [a, b] = random::bytes::<2>().map(u32::from);
    let first = a % 24;
    let second = (first + 1 + b % 23) % 24;
    (first.min(second) + 1, first.max(second) + 1)
}

/// Trimmed, not empty, not too long, without control characters or marks that turn the direction of what follows.
pub(super) fn clean_display_name(name: &str) -> Result<String, Error> {
    let name = name.trim();
    if name.is_empty() || name.len() > MAX_DISPLAY_NAME || name.chars().any(turns_or_controls) {
        return Err(Error::new(ErrorCode::InvalidDisplayName, "the display name is empty or too long"));
    }
    Ok(name.to_owned())
}

/// Control characters, and the bidirectional marks of UAX #9 that could make a name read as another.
pub(super) fn turns_or_controls(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn parse_relay(text: &str) -> Result<RelayAddress, Error> {
    text.trim().parse().map_err(|error| Error::new(ErrorCode::InvalidAddress, format!("{error}")))
}

async fn blocking<T: Send + 'static>(call: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(call).await.map_err(|_| Error::new(ErrorCode::Internal, "a task ended early"))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_different_places_in_order() {
        for _ in 0..1000 {
            let (first, second) = two_places();
            assert!((1..=24).contains(&first) && first < second && second <= 24);
        }
    }

    #[test]
    fn display_names() {
        assert_eq!(clean_display_name("  Zoë 🐦 ").unwrap(), "Zoë 🐦");
        for bad in ["", "  ", "a\nb", &"x".repeat(MAX_DISPLAY_NAME + 1)] {
            assert_eq!(clean_display_name(bad).unwrap_err().code(), ErrorCode::InvalidDisplayName);
        }
    }
}
