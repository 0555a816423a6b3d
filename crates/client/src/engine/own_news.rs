//! What own devices tell each other through their inboxes: what one is about to state, whom the user knows or has blocked.
//!
//! Not here: what is taken into the own chain of it (`own_devices`); what a device gets that was added (`linking`).

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use rusqlite::Transaction;
use waxwing_protocol::content::{Content, MAX_OWN_CONTACTS, OwnContact, OwnEntry, OwnProfile};
use waxwing_protocol::envelope::{Message, Opened, Recipient};
use waxwing_protocol::{AccountKey, AccountSeed, conversation_id};
use waxwing_wire::chain::What;
use waxwing_wire::frame::InboxSend;
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::{AccountId, DeviceId, RelayAddress};

use super::abroad::Known;
use super::context::Context;
use super::conversations::accept;
use super::emit::Changes;
use super::entries::peer_display_name;
use super::linking::decoded;
use super::outbox::waits;
use super::sealing::seal_for_inbox;
use super::{Engine, resync};
use crate::error::Error;
use crate::relay::ApiError;
use crate::store::contacts::{self, Contact};
use crate::store::{account, conversations, own_entries};
use crate::views::Trust;

/// How often others are asked for what they have stated.
const ASKED_EACH: Duration = Duration::from_secs(60 * 60);
/// Most entries that are told at once; whoever lacks more asks again.
const MOST_ANSWERED: usize = 64;

/// What an own device has said.
pub(super) enum OwnNews {
    Entry(OwnEntry),
    Contacts(Vec<OwnContact>),
    Profile(OwnProfile),
    /// It asks for the own entries from this place on.
    Ask(u32),
    /// What a new device is given, which this one has.
    Nothing,
}

impl Engine {
    /// Tells the other own devices, `without` some, of an entry that is to be stated next, with the account key that it puts in force. Before it is
    /// stated: whoever sees it in the log finds in the inbox whose it is.
    pub(super) async fn say_what_is_stated(
        &self,
        entry: &[u8],
        account_key: Option<&AccountKey>,
        without: &[DeviceId],
    ) -> Result<(), Error> {
        let chain = self.chain(self.account).await?;
        let others = chain.devices().map(|device| device.id());
        let others: Vec<_> = others.filter(|one| *one != self.device && !without.contains(one)).collect();
        let entry = decoded(entry)?;
        for device in others {
            let account_key = account_key.map(|key| AccountSeed::from_bytes(key.seed()));
            let told = OwnEntry { seq: entry.unsigned.seq, hash: entry.hash(), account_key };
            self.tell_own_device(device, &Content::OwnEntry(told)).await?;
        }
        Ok(())
    }

    /// Asks the other own devices for what they have made of the own chain behind what is known here: they have said so in an inbox whose entries are gone,
    /// or could not. Once an hour at most.
    pub(super) async fn ask_own_devices(&self) -> Result<(), Error> {
        let asked = || self.asked_own_devices.lock().unwrap_or_else(PoisonError::into_inner);
        if asked().is_some_and(|at| at.elapsed() < ASKED_EACH) {
            return Ok(());
        }
        let chain = self.chain(self.account).await?;
        for device in chain.devices().map(|device| device.id()).filter(|device| *device != self.device) {
            self.tell_own_device(device, &Content::OwnAsk(chain.seq().saturating_add(1))).await?;
        }
        *asked() = Some(Instant::now());
        Ok(())
    }

    /// Answers that: each entry of the own chain is an own device's doing. The account key goes with the entry that has put it in force.
    async fn answer_own_device(&self, device: DeviceId, from: u32) -> Result<(), Error> {
        let chain = self.chain(self.account).await?;
        let puts = |seq: &u32| {
            let event = usize::try_from(*seq).ok().and_then(|seq| chain.events().get(seq));
            event.is_some_and(|event| matches!(event.what, What::AccountKeyRotated(_)))
        };
        let newest = (from..=chain.seq()).rev().find(puts);
        // One key for all of it: it may be replaced meanwhile.
        let key = self.account_key();
        let own = *chain.account_key() == key.public();
        for seq in (from..=chain.seq()).take(MOST_ANSWERED) {
            let Some(hash) = chain.hash_at(seq) else { break };
            let with_key = own && Some(seq) == newest;
            let account_key = with_key.then(|| AccountSeed::from_bytes(key.seed()));
            self.tell_own_device(device, &Content::OwnEntry(OwnEntry { seq, hash, account_key })).await?;
        }
        Ok(())
    }

    /// The same for whoever reads the inbox: what cannot be sent now is asked for again.
    pub(super) async fn answer_own_devices(&self, asked: Option<(DeviceId, u32)>) {
        if let Some((device, from)) = asked
            && let Err(error) = self.answer_own_device(device, from).await
        {
            tracing::info!(%error, "another own device's question");
        }
    }

    /// Has the relay take an entry, after the other own devices were told of it; if it has not taken it already, and the answer was lost: then they were told,
    /// and the keys that could tell them once more may be in force no more.
    pub(super) async fn state_after_telling(
        &self,
        entry: &[u8],
        account_key: Option<&AccountKey>,
        without: &[DeviceId],
    ) -> Result<(), Error> {
        if self.relay_has(entry).await? {
            return Ok(());
        }
        self.say_what_is_stated(entry, account_key, without).await?;
        self.state_entry(entry).await
    }

    /// Puts something into the inbox of another own device. One whose inbox takes nothing keeps nobody from anything.
    pub(super) async fn tell_own_device(&self, device: DeviceId, content: &Content) -> Result<(), Error> {
        let (chain, context) = (self.chain(self.account).await?, self.context());
        let Some(record) = chain.device(device).map(|state| &state.current().record) else { return Ok(()) };
        let recipient = Recipient { account: self.account, record };
        let (kind, stated) = (EnvelopeKind::Notice, (context.now, context.checkpoint));
        let (entry_id, blob) =
            seal_for_inbox(&context.keys, self.account, kind, &recipient, &content.encode(), stated)?;
        let entry = InboxSend { entry_id, kind, blob };
        // By a key of the account's, which has an allowance of its own in the inbox; then as itself.
        let invite_key = self.store.run(|tx| Ok(account::require(tx)?.invite_key)).await?;
        let home = self.home.address().clone();
        let mut sent = self.relay(&home)?.inbox_send(device, Some(&invite_key), &entry).await;
        let no_way =
            |error: &ApiError| matches!(error.problem(), Some(ProblemCode::InboxRefused | ProblemCode::QuotaExceeded));
        if sent.as_ref().is_err_and(no_way) {
            sent = self.home.inbox_send(device, None, &entry).await;
        }
        let full = |error: &ApiError| error.problem() == Some(ProblemCode::QuotaExceeded);
        match sent {
            Err(error) if waits(&error) => Err(error.into()),
            // It could never begin otherwise. Anything else it asks for, once it is back.
            Err(error) if full(&error) && matches!(content, Content::HandOver(_)) => Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, "another own device cannot be told");
                Ok(())
            }
            Ok(_) => Ok(()),
        }
    }

    /// Whether an envelope is of another own device in force.
    pub(super) async fn of_own_device(&self, opened: Opened, abroad: bool) -> Result<Known, Error> {
        if opened.claimed().account != self.account || opened.claimed().device == self.device {
            return Ok(Known::Nobody);
        }
        self.known_sender(opened, abroad).await
    }
}

/// Takes in what an own device has said.
pub(super) fn take(
    tx: &Transaction<'_>,
    context: &Context,
    (home, message): (&RelayAddress, &Message),
    news: OwnNews,
) -> Result<Changes, Error> {
    let mut changes = Changes::default();
    match news {
        OwnNews::Entry(entry) if !speaks_of_its_time(tx, context, message, entry.seq)? => {
            tracing::warn!("keys that were replaced speak of what came after them");
        }
        OwnNews::Entry(entry) => own_entries::note(tx, &entry, context.now)?,
        OwnNews::Profile(profile) => account::learn_profile(tx, &profile)?,
        OwnNews::Contacts(told) => {
            for contact in told.iter().filter(|contact| contact.account != context.account) {
                take_contact(tx, context, home, contact, &mut changes)?;
            }
        }
        OwnNews::Ask(_) | OwnNews::Nothing => {}
    }
    Ok(changes)
}

/// Whoever has a device's older keys, which it has replaced, says nothing of what came after that.
fn speaks_of_its_time(tx: &Transaction<'_>, context: &Context, message: &Message, seq: u32) -> Result<bool, Error> {
    let Some(chain) = context.chains.load(tx, context.account)? else { return Ok(false) };
    let next = message.sender.key_version.checked_add(1);
    let replaced = chain.device(message.sender.device).zip(next).and_then(|(device, next)| device.version(next));
    Ok(replaced.is_none_or(|version| seq <= version.seq))
}

fn take_contact(
    tx: &Transaction<'_>,
    context: &Context,
    home: &RelayAddress,
    told: &OwnContact,
    changes: &mut Changes,
) -> Result<(), Error> {
    let before = contacts::load(tx, told.account)?;
    contacts::upsert(
        tx,
        &Contact {
            account: told.account,
            name: told.name.clone(),
            relay: told.relay.clone(),
            display_name: peer_display_name(&told.display_name, told.name.as_str()),
            trust: if told.by_link { Trust::Invite } else { Trust::FirstUse },
            access_key: told.access_key.clone(),
            known: told.known,
            blocked: false,
        },
    )?;
    let blocked = before.as_ref().is_some_and(|contact| contact.blocked);
    let direct = conversation_id(context.account, told.account);
    let found = conversations::find(tx, &direct)?;
    // The relay may show what was said in another order: what was decided last holds. Whoever merely tells whom they know takes nothing back.
    let newer = told.decided_ms > contacts::decided_ms(tx, told.account)?;
    if told.blocked && !blocked && (newer || before.is_none()) {
        contacts::block(tx, told.account, context.now)?;
        if let Some(found) = &found {
            // The key that they hold dies, also where this device has given it.
            conversations::replace_access_key(tx, found)?;
        }
    } else if !told.blocked && blocked && newer {
        contacts::unblock(tx, told.account, context.now)?;
    }
    if newer {
        contacts::set_decided(tx, told.account, told.decided_ms)?;
    }
    let blocked = contacts::load(tx, told.account)?.is_some_and(|contact| contact.blocked);
    if let Some(found) = found {
        if told.known && !blocked {
            changes.join(accept(tx, context, &found.id, home.clone())?);
        }
        changes.conversation(found.id);
    }
    Ok(())
}

/// All whom the user knows, or has blocked.
pub(super) fn contacts(tx: &Transaction<'_>) -> Result<Vec<OwnContact>, Error> {
    let all = contacts::all(tx)?;
    Ok(all.into_iter().filter(|contact| contact.known || contact.blocked).map(|one| told(one, 0)).collect())
}

/// Tells the other own devices how somebody stands by now: what the user has `decided` here holds there.
pub(super) fn tell_of_contact(
    tx: &Transaction<'_>,
    context: &Context,
    account: AccountId,
    decided: bool,
) -> Result<(), Error> {
    let Some(contact) = contacts::load(tx, account)? else { return Ok(()) };
    let decided_ms = if decided { contacts::decided_ms(tx, account)? } else { 0 };
    let content = Content::OwnContacts(vec![told(contact, decided_ms)]);
    tell_all(tx, context, conversation_id(context.account, account), &content)
}

/// Tells the other own devices how the account is met by now.
pub(super) fn tell_of_profile(tx: &Transaction<'_>, context: &Context) -> Result<(), Error> {
    let content = Content::OwnProfile(account::profile(tx)?);
    tell_all(tx, context, conversation_id(context.account, context.account), &content)
}

/// Queued with what else is on its way into inboxes, under a conversation that it has to do with.
fn tell_all(tx: &Transaction<'_>, context: &Context, about: [u8; 32], content: &Content) -> Result<(), Error> {
    let Some(chain) = context.chains.load(tx, context.account)? else { return Ok(()) };
    let content = content.encode();
    for device in chain.devices().map(|device| device.id()).filter(|device| *device != context.device) {
        resync::deliver(tx, context, about, (context.account, device), EnvelopeKind::Notice, &content)?;
    }
    Ok(())
}

fn told(contact: Contact, decided_ms: u64) -> OwnContact {
    OwnContact {
        account: contact.account,
        name: contact.name,
        relay: contact.relay,
        display_name: contact.display_name,
        known: contact.known,
        blocked: contact.blocked,
        by_link: contact.trust == Trust::Invite,
        decided_ms,
        access_key: contact.access_key,
    }
}

/// They fit into one envelope.
const _: () = assert!(MAX_OWN_CONTACTS * 1024 < waxwing_wire::limits::MAX_ENVELOPE);
