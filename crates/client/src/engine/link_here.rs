//! Coming into an account on a new device, which one of its devices has made a code for (docs/protocol.md "Linking a device"): keys are made here,
//! the other device is asked to add them, and what it hands over opens the account. What was said before is not handed over.
//!
//! What broke off is taken up by the next attempt with a code of the same account. Not here: the other device's side (`linking`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use waxwing_protocol::content::{Content, HandOver, LinkRequest};
use waxwing_protocol::envelope::{self, OpenContext, Recipient};
use waxwing_protocol::{
    AccessKey, AccountSeed, DeviceKeys, DeviceLink, DeviceSeeds, InviteError, fingerprint_text, statement,
};
use waxwing_wire::frame::{InboxEntry, InboxSend};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::{ChainEntry, DeviceId, RelayAddress, VerifiedChain};
use zeroize::Zeroizing;

use super::Client;
use super::closing::make_way;
use super::inbox::{INBOX, verify_in_force};
use super::linking::decoded;
use super::outbox::waits;
use super::pending::{Pending, left_behind};
use super::register::{meet, new_store, run, two_places};
use super::sealing::seal_for_inbox;
use crate::error::{Error, ErrorCode};
use crate::keystore::{Keystore, Secrets};
use crate::profile::{Profile, ProfileState};
use crate::random;
use crate::relay::{Credentials, RelayApi};
use crate::store::account::{self, Account};
use crate::store::keys;
use crate::views::LinkWaitView;

/// How long the other device is waited for: its user has 10 minutes.
const PATIENCE: Duration = Duration::from_secs(11 * 60);
/// How often the relay is asked meanwhile.
const EVERY: Duration = Duration::from_secs(1);

/// What it takes to come into an account that has a device.
pub struct Linking {
    /// The code that the other device shows.
    pub code: String,
    /// Where there is no keychain: the passphrase that seals the secrets instead.
    pub passphrase: Option<Zeroizing<String>>,
}

/// A device that has asked to come into an account, and waits for it.
pub struct LinkHere {
    profile: Profile,
    link: DeviceLink,
    relay: RelayAddress,
    api: RelayApi,
    pending: Pending,
    keys: DeviceKeys,
    chain: VerifiedChain,
}

/// A device that was brought into an account, and has not begun yet.
pub struct Linked {
    here: LinkHere,
    hand_over: HandOver,
    entries: Vec<Vec<u8>>,
}

impl Client {
    /// Asks the device that has made a code to bring this one into its account. Nothing comes of it before that device's user has agreed.
    ///
    /// # Errors
    /// [`ErrorCode::NotADeviceCode`] where it is no such code or not a whole one, [`ErrorCode::LinkExpired`] where the relay does not let it ask.
    pub async fn begin_link(profile: &Profile, linking: Linking) -> Result<LinkHere, Error> {
        if profile.state() != ProfileState::Fresh {
            return Err(Error::new(ErrorCode::AlreadyRegistered, "the profile has an account"));
        }
        let Linking { code, passphrase } = linking;
        let link = DeviceLink::parse(&Zeroizing::new(code)).map_err(not_a_code)?;
        make_way(profile, passphrase.is_some()).await?;
        let (relay, api) = meet(profile, link.account.relay.clone()).await?;
        let chain = pinned(&api, &relay, &link).await?;
        let pending = match left(profile, passphrase.clone(), &chain).await? {
            Some(pending) => pending,
            None => begin(profile, passphrase, (&link, &relay), &chain, api.now_ms()).await?,
        };
        let (device, entry) = pending.store.run(stored).await?;
        let seeds = DeviceSeeds::from_bytes(&pending.secrets.device_seeds);
        let keys = DeviceKeys::new(device, pending.secrets.key_version, seeds)?;
        let here = LinkHere { profile: profile.clone(), link, relay, api, pending, keys, chain };
        // Also where it was added before this broke off: it may not have been given what it needs.
        here.ask(decoded(&entry)?).await?;
        Ok(here)
    }
}

impl LinkHere {
    /// Whose account it is, and what the user compares with what the other device shows.
    #[must_use]
    pub fn view(&self) -> LinkWaitView {
        LinkWaitView {
            address: format!("{}@{}", self.link.account.name, self.relay.authority()),
            fingerprint: fingerprint_text(&self.keys.record().fingerprint()),
        }
    }

    /// Waits until the other device has brought this one in, and starts its engine. Dropped, it waits no more; what was asked can still be agreed to,
    /// and another attempt goes on from there.
    ///
    /// # Errors
    /// [`ErrorCode::LinkExpired`] if that does not come in time.
    pub async fn wait(self) -> Result<Client, Error> {
        self.agreed().await?.begin().await
    }

    /// The first half of [`LinkHere::wait`], which can be dropped at any moment: until the other device has brought this one in.
    pub async fn agreed(self) -> Result<Linked, Error> {
        let until = Instant::now() + PATIENCE;
        let credentials = Arc::new(Credentials::new(self.link.account.account, &self.keys));
        let home = RelayApi::new(self.relay.clone(), self.profile.dir(), Some(credentials))?;
        loop {
            match self.look(&home).await {
                Ok(Some((hand_over, entries))) => return Ok(Linked { here: self, hand_over, entries }),
                Ok(None) => {}
                Err(error) if error.code() == ErrorCode::RelayDown || error.code() == ErrorCode::RelayBusy => {
                    tracing::info!(%error, "waiting to be linked");
                }
                Err(error) => return Err(error),
            }
            if Instant::now() > until {
                return Err(Error::new(ErrorCode::LinkExpired, "nobody has agreed in time"));
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Sends the request into the inbox of the device that made the code.
    async fn ask(&self, entry: ChainEntry) -> Result<(), Error> {
        let account = &self.link.account;
        let overtaken = || Error::new(ErrorCode::LinkOvertaken, "the device that made the code is in force no more");
        let record = &self.chain.device(self.link.device).ok_or_else(overtaken)?.current().record;
        let content = Content::Link(LinkRequest::new(entry, &self.link.secret)).encode();
        let (kind, recipient) = (EnvelopeKind::Notice, Recipient { account: account.account, record });
        let stated = (self.api.now_ms(), None);
        let (entry_id, blob) = seal_for_inbox(&self.keys, account.account, kind, &recipient, &content, stated)?;
        let entry = InboxSend { entry_id, kind, blob };
        match self.api.inbox_send(self.link.device, Some(&account.access_key), &entry).await {
            Err(error) if error.problem() == Some(ProblemCode::InboxRefused) => {
                Err(Error::new(ErrorCode::LinkExpired, "the relay does not know the code's access key"))
            }
            sent => sent.map(|_| ()).map_err(Error::from),
        }
    }

    /// What was handed over, with the whole chain, once this device is in force by it.
    async fn look(&self, home: &RelayApi) -> Result<Option<(HandOver, Vec<Vec<u8>>)>, Error> {
        let account = self.link.account.account;
        let (chain, entries) = self.api.chain(&account.to_string(), None).await?;
        if chain.hash_at(self.chain.seq()) != Some(self.chain.head()) {
            return Err(Error::new(ErrorCode::ChainBroken, "the relay's chain is not the one seen before"));
        }
        let in_force = chain.device(self.keys.device()).map(|device| &device.current().record);
        if in_force.is_some_and(|record| record != self.keys.record()) || chain.is_closed() {
            return Err(Error::new(ErrorCode::LinkOvertaken, "the relay has other keys for this device"));
        }
        if in_force.is_none() {
            let another = chain.seq() > self.chain.seq();
            // What was asked for stands behind an entry that another one has followed.
            return if another {
                Err(Error::new(ErrorCode::LinkOvertaken, "the account's keys have changed"))
            } else {
                Ok(None)
            };
        }
        let mut after = 0;
        let mut handed_over = None;
        loop {
            let page = match home.read_inbox(after).await {
                Err(error) if waits(&error) => return Err(error.into()),
                page => page?,
            };
            let Some(last) = page.entries.last().map(|entry| entry.seq).filter(|last| *last > after) else { break };
            for entry in &page.entries {
                handed_over = self.open(entry, &chain, home.now_ms()).or(handed_over);
            }
            after = last;
            if last >= page.head {
                break;
            }
        }
        let Some(hand_over) = handed_over else { return Ok(None) };
        // It may have been replaced since: the engine takes the rest as any device of the account does.
        let (public, mut entries) = (hand_over.account_key.account_key().public(), entries);
        let in_force = |seq: &u32| chain.keys_at(*seq).is_some_and(|keys| *keys.account_key == public);
        let added = chain.device(self.keys.device()).map_or(0, |device| device.current().seq);
        let Some(last) = (added..=chain.seq()).rev().find(in_force) else {
            return Err(Error::new(ErrorCode::ChainBroken, "what was handed over is not the account's key"));
        };
        entries.truncate(usize::try_from(last).map_or(0, |last| last + 1));
        Ok(Some((hand_over, entries)))
    }

    /// What the device that made the code hands over, if an inbox entry is that.
    fn open(&self, entry: &InboxEntry, chain: &VerifiedChain, now_ms: u64) -> Option<HandOver> {
        let context =
            OpenContext { envelope_id: entry.entry_id, kind: entry.kind, log: INBOX, tag_key: None, erased: &[] };
        let opened = envelope::open(&entry.blob, &[self.keys.sealing()], chain.account(), &context).ok()?;
        let message = verify_in_force(opened, chain, now_ms)?;
        if message.sender.device != self.link.device {
            return None;
        }
        match Content::decode(entry.kind, &message.content) {
            Ok(Content::HandOver(hand_over)) => Some(hand_over),
            _ => None,
        }
    }
}

impl Linked {
    /// The account is this device's, too: stores what was handed over and starts the engine. Not to be dropped before it is done: the profile may have its
    /// account by then.
    pub async fn begin(self) -> Result<Client, Error> {
        let Self { here, hand_over, entries } = self;
        let Pending { keystore, mut secrets, store } = here.pending;
        secrets.account_seed = *hand_over.account_key.as_bytes();
        // The keystore first: without the account key nothing could go on.
        keystore.write(&secrets).await?;
        let account = here.link.account.account;
        store
            .run(move |tx| {
                account::set_linked(tx, &hand_over.profile)?;
                keys::add_chain_entries(tx, account, 0, &entries)?;
                account::set_registered(tx)
            })
            .await?;
        here.profile.change(|facts| facts.registered = true)?;
        run(&here.profile, keystore, secrets, store).await
    }
}

fn not_a_code(error: InviteError) -> Error {
    let code = match error {
        InviteError::TooNew => ErrorCode::LinkTooNew,
        InviteError::NotALink | InviteError::Damaged | InviteError::OtherKind => ErrorCode::NotADeviceCode,
    };
    Error::new(code, error.to_string())
}

/// The account's chain, which must be the one that the code pins.
async fn pinned(api: &RelayApi, relay: &RelayAddress, link: &DeviceLink) -> Result<VerifiedChain, Error> {
    let account = &link.account;
    let (chain, _) = api.chain(&account.account.to_string(), None).await?;
    let pinned = chain.account() == account.account
        && chain.hash_at(account.chain_seq) == Some(account.chain_head)
        && chain.name() == Some(&account.name)
        && chain.log_origin() == relay.authority();
    if !pinned {
        return Err(Error::new(ErrorCode::ChainBroken, "the relay's chain is not the one that the code pins"));
    }
    if *chain.account_key() != account.account_key || chain.is_closed() {
        return Err(Error::new(ErrorCode::LinkOvertaken, "the account key was replaced since the code was made"));
    }
    Ok(chain)
}

/// This device, and what it has asked for.
fn stored(tx: &rusqlite::Transaction<'_>) -> Result<(DeviceId, Vec<u8>), Error> {
    let (account, _) = account::load(tx)?.ok_or_else(|| Error::new(ErrorCode::Internal, "linking: no account"))?;
    Ok((account.device, account.create_entry))
}

/// What an earlier attempt for the same account has left, if its entry is in the chain or can still come into it.
async fn left(
    profile: &Profile,
    passphrase: Option<Zeroizing<String>>,
    chain: &VerifiedChain,
) -> Result<Option<Pending>, Error> {
    let chain = chain.clone();
    let stands = move |stored: &Account| {
        let asked = ChainEntry::decode(&stored.create_entry);
        let follows = asked.is_ok_and(|entry| entry.unsigned.prev_hash == chain.head());
        stored.account == chain.account() && (follows || chain.device(stored.device).is_some())
    };
    left_behind(profile, passphrase, stands).await
}

/// Makes this device's keys, and writes what it asks for.
async fn begin(
    profile: &Profile,
    passphrase: Option<Zeroizing<String>>,
    (link, relay): (&DeviceLink, &RelayAddress),
    chain: &VerifiedChain,
    now_ms: u64,
) -> Result<Pending, Error> {
    let sealed = passphrase.is_some();
    let keystore = Keystore::create(profile, passphrase).await?;
    let mut rng = random::rng();
    let seeds = DeviceSeeds::generate(&mut rng);
    // The account's is handed over: this one is nobody's.
    let no_seed = AccountSeed::from_bytes(&[0; 32]);
    let secrets = Secrets::new(random::bytes(), *no_seed.as_bytes(), *seeds.to_bytes());
    let keys = DeviceKeys::new(DeviceId::from_bytes(random::bytes()), 1, seeds)?;
    let asked = statement::ask_to_be_added(chain.account(), (chain.seq(), chain.head()), &keys, now_ms);
    let store = new_store(profile, &keystore, &secrets, sealed).await?;
    let new = Account {
        account: chain.account(),
        device: keys.device(),
        username: link.account.name.clone(),
        relay: relay.clone(),
        display_name: link.account.name.to_string(),
        create_entry: asked.as_bytes().to_vec(),
        invite_key: AccessKey::generate(&mut rng),
        phrase_places: two_places(),
        phrase_confirmed: true,
        counter: secrets.counter,
    };
    store
        .run(move |tx| {
            account::insert(tx, &new, &[0; 32])?;
            // The phrase was shown on the account's first device, and is nowhere else.
            account::erase_phrase(tx)
        })
        .await?;
    Ok(Pending { keystore, secrets, store })
}
