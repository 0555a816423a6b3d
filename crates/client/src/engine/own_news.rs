//! What own devices tell each other through their inboxes: what one is about to state, whom the user knows or has blocked.
//!
//! Not here: what is taken into the own chain of it (`own_devices`); what a device gets that was added (`linking`).

use rusqlite::Transaction;
use waxwing_protocol::content::{Content, MAX_OWN_CONTACTS, OwnContact, OwnEntry};
use waxwing_protocol::envelope::{Opened, Recipient};
use waxwing_protocol::{AccountKey, AccountSeed, conversation_id};
use waxwing_wire::frame::InboxSend;
use waxwing_wire::log::EnvelopeKind;
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
use crate::store::contacts::{self, Contact};
use crate::store::{conversations, own_entries};
use crate::views::Trust;

/// What an own device has said.
pub(super) enum OwnNews {
    Entry(OwnEntry),
    Contacts(Vec<OwnContact>),
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

    /// Puts something into the inbox of another own device. One whose inbox takes nothing keeps nobody from anything.
    pub(super) async fn tell_own_device(&self, device: DeviceId, content: &Content) -> Result<(), Error> {
        let (chain, context) = (self.chain(self.account).await?, self.context());
        let Some(record) = chain.device(device).map(|state| &state.current().record) else { return Ok(()) };
        let recipient = Recipient { account: self.account, record };
        let (kind, stated) = (EnvelopeKind::Notice, (context.now, context.checkpoint));
        let (entry_id, blob) =
            seal_for_inbox(&context.keys, self.account, kind, &recipient, &content.encode(), stated)?;
        match self.home.inbox_send(device, None, &InboxSend { entry_id, kind, blob }).await {
            Err(error) if waits(&error) => Err(error.into()),
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
    home: &RelayAddress,
    news: OwnNews,
) -> Result<Changes, Error> {
    let mut changes = Changes::default();
    match news {
        OwnNews::Entry(entry) => own_entries::note(tx, &entry, context.now)?,
        OwnNews::Contacts(told) => {
            for contact in told.iter().filter(|contact| contact.account != context.account) {
                take_contact(tx, context, home, contact, &mut changes)?;
            }
        }
        OwnNews::Nothing => {}
    }
    Ok(changes)
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
    let blocked = before.is_some_and(|contact| contact.blocked);
    if told.blocked && !blocked {
        contacts::block(tx, told.account, context.now)?;
    } else if !told.blocked && blocked {
        contacts::unblock(tx, told.account)?;
    }
    let direct = conversation_id(context.account, told.account);
    if let Some(found) = conversations::find(tx, &direct)? {
        if told.known && !told.blocked {
            changes.join(accept(tx, context, &found.id, home.clone())?);
        }
        changes.conversation(found.id);
    }
    Ok(())
}

/// All whom the user knows, or has blocked.
pub(super) fn contacts(tx: &Transaction<'_>) -> Result<Vec<OwnContact>, Error> {
    let all = contacts::all(tx)?;
    Ok(all.into_iter().filter(|contact| contact.known || contact.blocked).map(told).collect())
}

/// Tells the other own devices how somebody stands by now: what the user has decided here holds there.
pub(super) fn tell_of_contact(tx: &Transaction<'_>, context: &Context, account: AccountId) -> Result<(), Error> {
    let Some(contact) = contacts::load(tx, account)? else { return Ok(()) };
    let Some(chain) = context.chains.load(tx, context.account)? else { return Ok(()) };
    let content = Content::OwnContacts(vec![told(contact)]).encode();
    let direct = conversation_id(context.account, account);
    for device in chain.devices().map(|device| device.id()).filter(|device| *device != context.device) {
        resync::deliver(tx, context, direct, (context.account, device), EnvelopeKind::Notice, &content)?;
    }
    Ok(())
}

fn told(contact: Contact) -> OwnContact {
    OwnContact {
        account: contact.account,
        name: contact.name,
        relay: contact.relay,
        display_name: contact.display_name,
        known: contact.known,
        blocked: contact.blocked,
        by_link: contact.trust == Trust::Invite,
        access_key: contact.access_key,
    }
}

/// They fit into one envelope.
const _: () = assert!(MAX_OWN_CONTACTS * 1024 < waxwing_wire::limits::MAX_ENVELOPE);
