//! Getting an account back with its recovery phrase, on a new machine: same account, one new device, everything before revoked (design
//! section 4).
//!
//! Not here: how others bring the new device back into conversations ([`super::follow`]). What was said before is gone with the last
//! device, unless it was exported.

use waxwing_protocol::statement::{self, NewKeys};
use waxwing_protocol::{AccessKey, AccountKey, DeviceKeys, DeviceSeeds, PhraseError, RecoveryKey, RecoveryPhrase};
use waxwing_wire::chain::Statement;
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::{AccountAddress, ChainEntry, DeviceId, RelayAddress, Username, VerifiedChain};
use zeroize::Zeroizing;

use super::Client;
use super::closing::make_way;
use super::held_back::{Stated, held_back};
use super::pending::{Pending, left_behind};
use super::register::{clean_display_name, meet, new_store, run, two_places};
use crate::error::{Error, ErrorCode};
use crate::keystore::{Keystore, Secrets};
use crate::profile::{Profile, ProfileState};
use crate::random;
use crate::relay::RelayApi;
use crate::store::account::{self, Account};
use crate::store::keys;

/// Somebody else may append to the chain at the same moment: a thief who holds the account key.
pub(super) const TRIES: usize = 8;

/// What it takes to get an account back.
pub struct Recovery {
    /// `name@host[:port]`, with `#pin` for a self-signed certificate.
    pub address: String,
    /// The 24 words.
    pub phrase: Zeroizing<String>,
    /// The name others see; the user name where it is empty.
    pub display_name: String,
    /// Where there is no keychain: the passphrase that seals the secrets instead.
    pub passphrase: Option<Zeroizing<String>>,
}

impl Client {
    /// Gets an account back with its recovery phrase and starts its engine. Every device that it had is revoked. The relay's log is read whole
    /// first: [`ErrorCode::KeysHeldBack`] where it states newer entries of the account than the relay shows.
    ///
    /// After an error the profile can be used again, and the account is as it was, or already this device's: the same words go on
    /// where it broke off.
    pub async fn recover(profile: &Profile, recovery: Recovery) -> Result<Self, Error> {
        if profile.state() != ProfileState::Fresh {
            return Err(Error::new(ErrorCode::AlreadyRegistered, "the profile has an account"));
        }
        let Recovery { address, phrase, display_name, passphrase } = recovery;
        let phrase = RecoveryPhrase::parse(&phrase).map_err(not_a_phrase)?;
        let address: AccountAddress =
            address.trim().parse().map_err(|error| Error::new(ErrorCode::InvalidAddress, format!("{error}")))?;
        let name = if display_name.trim().is_empty() { address.name.as_str() } else { &display_name };
        let display_name = clean_display_name(name)?;
        make_way(profile, passphrase.is_some()).await?;
        let (relay, api) = meet(profile, address.relay).await?;
        let who = Who { name: address.name, relay, display_name };
        let recovery_key = phrase.recovery_key();
        let (mut stated, mut asked_again): (Option<Stated>, bool) = (None, false);
        for _ in 0..TRIES {
            let (chain, entries) = who.chain(&api).await?;
            // First: whatever was left here is touched by nobody who only names an account.
            if *chain.recovery_key() != recovery_key.public() {
                return Err(Error::new(ErrorCode::PhraseOfAnother, "the phrase is not this account's"));
            }
            let log = match &mut stated {
                Some(log) => log,
                none => none.insert(Stated::read(&api, chain.account()).await?),
            };
            if log.is_ahead_of(&chain) {
                // What came in while the log was read is in the chain by now.
                if std::mem::replace(&mut asked_again, true) {
                    return Err(held_back());
                }
                continue;
            }
            let pending = match resume(profile, passphrase.clone(), &chain).await? {
                Some(pending) => pending,
                None => begin(profile, passphrase.clone(), &who, (&chain, entries), &recovery_key, &api).await?,
            };
            let stored =
                pending.store.run(|tx| Ok(account::load(tx)?.map(|(account, _)| account.create_entry))).await?;
            let entry = stored.ok_or_else(|| Error::new(ErrorCode::Internal, "recovery: no entry"))?;
            match api.append_unnamed(chain.account(), &entry).await {
                Ok(_) => return finish(profile, pending, entry).await,
                // Another entry came first: the next one follows that.
                Err(error) if error.problem() == Some(ProblemCode::ChainConflict) => drop(pending),
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::new(ErrorCode::RelayBusy, "the account's chain is changed again and again"))
    }
}

pub(super) fn not_a_phrase(error: PhraseError) -> Error {
    let code = match error {
        PhraseError::UnknownWord { .. } => ErrorCode::UnknownWord,
        PhraseError::WordCount(_) | PhraseError::Checksum => ErrorCode::NotAPhrase,
    };
    Error::new(code, error.to_string())
}

/// Whose account it is.
struct Who {
    name: Username,
    relay: RelayAddress,
    display_name: String,
}

impl Who {
    /// The account's whole chain, which must carry its name.
    async fn chain(&self, api: &RelayApi) -> Result<(VerifiedChain, Vec<Vec<u8>>), Error> {
        let (chain, entries) = api.chain(self.name.as_str(), None).await?;
        if chain.name() != Some(&self.name) || chain.log_origin() != self.relay.authority() {
            return Err(Error::new(ErrorCode::ChainBroken, "the relay's chain carries another name"));
        }
        Ok((chain, entries))
    }
}

/// What an interrupted recovery of the same account left behind, if its entry is in the chain or still follows it.
async fn resume(
    profile: &Profile,
    passphrase: Option<Zeroizing<String>>,
    chain: &VerifiedChain,
) -> Result<Option<Pending>, Error> {
    let (account, hashes) = (chain.account(), chain.clone());
    let stands = move |stored: &Account| {
        let Ok(entry) = ChainEntry::decode(&stored.create_entry) else { return false };
        let unsigned = &entry.unsigned;
        stored.account == account
            && matches!(unsigned.statement, Statement::Recover(_))
            && (hashes.head() == entry.hash() || hashes.head() == unsigned.prev_hash)
    };
    left_behind(profile, passphrase, stands).await
}

/// Makes new keys, stores them, and writes the entry that puts them in the place of all before.
async fn begin(
    profile: &Profile,
    passphrase: Option<Zeroizing<String>>,
    who: &Who,
    (chain, entries): (&VerifiedChain, Vec<Vec<u8>>),
    recovery_key: &RecoveryKey,
    api: &RelayApi,
) -> Result<Pending, Error> {
    let sealed = passphrase.is_some();
    let keystore = Keystore::create(profile, passphrase).await?;
    let mut rng = random::rng();
    let account_key = AccountKey::generate(&mut rng);
    let seeds = DeviceSeeds::generate(&mut rng);
    let secrets = Secrets::new(random::bytes(), *account_key.seed(), *seeds.to_bytes());
    let device = DeviceKeys::new(DeviceId::from_bytes(random::bytes()), 1, seeds)?;
    let new = NewKeys { recovery_key, account_key: &account_key, device: &device };
    let entry = statement::recover(chain, recovery_key, &new, api.now_ms());
    let store = new_store(profile, &keystore, &secrets, sealed).await?;
    let new = Account {
        account: chain.account(),
        device: device.device(),
        username: who.name.clone(),
        relay: who.relay.clone(),
        display_name: who.display_name.clone(),
        create_entry: entry.as_bytes().to_vec(),
        invite_key: AccessKey::generate(&mut rng),
        phrase_places: two_places(),
        phrase_confirmed: true,
        counter: secrets.counter,
    };
    store
        .run(move |tx| {
            account::insert(tx, &new, &[0; 32])?;
            // Whoever has typed the phrase has it; this device keeps it not for a moment.
            account::erase_phrase(tx)?;
            keys::add_chain_entries(tx, new.account, 0, &entries)
        })
        .await?;
    Ok(Pending { keystore, secrets, store })
}

/// The relay has the entry: the profile is the account's one device.
async fn finish(profile: &Profile, pending: Pending, entry: Vec<u8>) -> Result<Client, Error> {
    let seq =
        ChainEntry::decode(&entry).map_err(|error| Error::new(ErrorCode::Internal, error.to_string()))?.unsigned.seq;
    pending
        .store
        .run(move |tx| {
            let Some((account, _)) = account::load(tx)? else {
                return Err(Error::new(ErrorCode::Internal, "recovery: no account"));
            };
            keys::add_chain_entries(tx, account.account, seq, &[entry])?;
            account::set_registered(tx)
        })
        .await?;
    profile.change(|facts| facts.registered = true)?;
    let client = run(profile, pending.keystore, pending.secrets, pending.store).await?;
    // So that others can bring this device back at once. What fails here is made up for by the inbox's task.
    if let Err(error) = client.0.refill_key_packages().await {
        tracing::info!(%error, "key packages are not at the relay yet");
    }
    Ok(client)
}
