//! Starting conversations: by invite link, by address, with oneself; and the own invite.

use std::sync::Arc;

use waxwing_protocol::content::{Content, Introduction};
use waxwing_protocol::envelope::Recipient;
use waxwing_protocol::{AccessKey, ChannelSecret, DeviceKeys, Invite, InviteError, conversation_id};
use waxwing_wire::{AccountAddress, AccountId, LogId, RelayAddress, Username, VerifiedChain};

use super::emit::Changes;
use super::{Client, Engine};
use crate::error::{Error, ErrorCode};
use crate::random;
use crate::store::contacts::Contact;
use crate::store::conversations::ConversationId;
use crate::store::{account, contacts, conversations, keys, logs, messages, outbox};
use crate::views::{ConversationKind, ConversationView, InviteView, MessageState, Notice, Trust};

/// Somebody whose chain was fetched and checked against what the user was given.
struct Found {
    contact: Contact,
    chain: VerifiedChain,
    entries: Vec<Vec<u8>>,
}

impl Client {
    /// Starts (or finds) the conversation with whoever an invite link or `name@host[:port]` names.
    ///
    /// A link pins the account key and a chain entry: a relay that serves another chain is refused. An address on the own
    /// relay is trust on first use. The relay must be in reach.
    pub async fn add_contact(&self, input: &str) -> Result<ConversationView, Error> {
        let engine = &self.0;
        let input = input.trim();
        let found = match Invite::parse(input) {
            Ok(invite) => engine.find_by_invite(&invite).await?,
            Err(InviteError::TooNew) => {
                return Err(Error::new(ErrorCode::LinkTooNew, "the link is of a newer version"));
            }
            Err(error) => match input.parse::<AccountAddress>() {
                Ok(address) => engine.find_by_address(&address).await?,
                Err(_) => return Err(Error::new(ErrorCode::InvalidLink, error.to_string())),
            },
        };
        let id = conversation_id(engine.account, found.contact.account);
        engine.start_conversation(id, found).await?;
        self.conversation(&waxwing_wire::ids::to_hex(&id)).await
    }

    /// The conversation with oneself.
    pub async fn note_to_self(&self) -> Result<ConversationView, Error> {
        let engine = &self.0;
        let id = conversation_id(engine.account, engine.account);
        let (me, now, relay) = (engine.account, engine.now_ms(), engine.home.address().clone());
        let changes = engine
            .store
            .run(move |tx| {
                let mut changes = Changes::default();
                if conversations::insert(tx, &id, ConversationKind::NoteToSelf, me, true, now)? {
                    logs::insert(tx, &own_log(id, relay))?;
                    changes.conversation(id);
                }
                Ok(changes)
            })
            .await?;
        engine.tell(changes).await;
        engine.outbox_wake.notify_one();
        self.conversation(&waxwing_wire::ids::to_hex(&id)).await
    }

    /// The own invite: a link that pins one's keys and admits its holder to one's inbox.
    pub async fn invite(&self) -> Result<InviteView, Error> {
        let engine = &self.0;
        let me = engine.store.run(account::require).await?;
        let chain = engine.chain(me.account).await?;
        let invite = Invite {
            relay: me.relay.clone(),
            log_key: [0; 32],
            account: me.account,
            account_key: *chain.account_key(),
            chain_seq: chain.seq(),
            chain_head: chain.head(),
            access_key: me.invite_key.clone(),
            name: me.username.clone(),
        };
        Ok(InviteView { link: invite.to_link(), address: format!("{}@{}", me.username, me.relay.authority()) })
    }
}

impl Engine {
    async fn find_by_invite(&self, invite: &Invite) -> Result<Found, Error> {
        let id = invite.account;
        self.refuse_oneself(id)?;
        let (chain, entries) = self.fetch_chain(&invite.relay, &id.to_string(), None).await?;
        let pinned = chain.account() == id
            && *chain.account_key() == invite.account_key
            && chain.hash_at(invite.chain_seq) == Some(invite.chain_head)
            && chain.name() == Some(&invite.name)
            && chain.log_origin() == invite.relay.authority();
        if !pinned {
            return Err(Error::new(ErrorCode::ChainBroken, "the relay's chain is not the one that the link pins"));
        }
        let access_key = Some(invite.access_key.clone());
        Ok(found(chain, entries, invite.name.clone(), invite.relay.clone(), Trust::Invite, access_key))
    }

    async fn find_by_address(&self, address: &AccountAddress) -> Result<Found, Error> {
        if address.relay.authority() != self.home.address().authority() {
            return Err(Error::new(ErrorCode::OtherRelay, "an account on another relay is reached by invite link"));
        }
        let home = self.home.address().clone();
        let (chain, entries) = self.fetch_chain(&home, address.name.as_str(), None).await?;
        self.refuse_oneself(chain.account())?;
        let own = self.chain(self.account).await?;
        if chain.name() != Some(&address.name) || chain.log_origin() != own.log_origin() {
            return Err(Error::new(ErrorCode::ChainBroken, "the relay's chain carries another name"));
        }
        Ok(found(chain, entries, address.name.clone(), home, Trust::FirstUse, None))
    }

    fn refuse_oneself(&self, account: AccountId) -> Result<(), Error> {
        if account == self.account { Err(Error::new(ErrorCode::OwnLink, "that is oneself")) } else { Ok(()) }
    }

    /// Stores contact, conversation, log, and the introductions to each of the contact's devices; one transaction.
    async fn start_conversation(&self, id: ConversationId, found: Found) -> Result<(), Error> {
        let _guard = self.keys_guard.read().await;
        let Found { contact, chain, entries } = found;
        let own = self.chain(self.account).await?;
        let (keys_now, now, home) = (self.keys(), self.now_ms(), self.home.address().clone());
        let chain = Arc::new(chain);
        let news = Arc::clone(&chain);
        let changes = self
            .store
            .run(move |tx| {
                let mut changes = Changes::default();
                let me = account::require(tx)?;
                if let Some(known) = keys::chain(tx, contact.account)? {
                    // The relay must not show a second history of somebody who is known already.
                    if news.hash_at(known.seq()) != Some(known.head()) {
                        return Err(Error::new(ErrorCode::ChainBroken, "the relay's chain is not the one seen before"));
                    }
                }
                keys::add_chain_entries(tx, contact.account, 0, &entries)?;
                contacts::upsert(tx, &contact)?;
                changes.conversation(id);
                if !conversations::insert(tx, &id, ConversationKind::Direct, contact.account, true, now)? {
                    // Asked for again, perhaps with a better link: an introduction that got nowhere gets another try.
                    for log in logs::unanswered(tx)?.into_iter().filter(|log| log.conversation == id) {
                        introduce(tx, &log, &own, &keys_now, now)?;
                    }
                    return Ok(changes);
                }
                let log = own_log(id, home);
                logs::insert(tx, &log)?;
                introduce(tx, &log, &own, &keys_now, now)?;
                let started = Notice::Started { name: me.display_name.clone(), mine: true };
                let line = started_line(&id, me.account, true, now, &started);
                messages::insert(tx, &line)?;
                changes.message(me.account, line.id, false);
                Ok(changes)
            })
            .await?;
        self.cache_chain(chain);
        self.tell(changes).await;
        self.outbox_wake.notify_one();
        Ok(())
    }
}

/// Seals the introduction to an own log for each device of the other side, in place of what waits for it already.
pub(super) fn introduce(
    tx: &rusqlite::Transaction<'_>,
    log: &logs::Log,
    own: &VerifiedChain,
    keys_now: &DeviceKeys,
    now: u64,
) -> Result<(), Error> {
    let conversation = conversations::load(tx, &log.conversation)?;
    if conversation.kind != ConversationKind::Direct {
        return Ok(());
    }
    let (me, peer) = (account::require(tx)?, conversation.account);
    let contact = contacts::load(tx, peer)?.ok_or_else(|| super::not_found("no such contact"))?;
    let chain = keys::chain(tx, peer)?.ok_or_else(|| super::not_found("no chain for this contact"))?;
    let access_key = AccessKey::generate(&mut random::rng());
    account::add_access_key(tx, &access_key)?;
    let content = Content::Introduction(Introduction {
        conversation: log.conversation,
        relay: log.relay.clone(),
        log: log.log,
        channel_secret: log.secret.clone(),
        account: me.account,
        home: me.relay.clone(),
        name: me.username.clone(),
        display_name: me.display_name.clone(),
        access_key,
        account_key: *own.account_key(),
        chain_seq: own.seq(),
        chain_head: own.head(),
        created_ms: now,
    })
    .encode();
    outbox::remove_introductions(tx, log.log)?;
    for device in chain.devices() {
        let recipient = Recipient { account: peer, record: &device.current().record };
        let (entry_id, blob) = Engine::seal_for_inbox(keys_now, me.account, &recipient, &content, now)?;
        let introduction = outbox::Introduction {
            entry_id,
            account: peer,
            device: recipient.record.device,
            relay: contact.relay.clone(),
            log: log.log,
            blob,
        };
        outbox::push_introduction(tx, &introduction)?;
    }
    Ok(())
}

/// The quiet line at the start of a conversation.
pub(super) fn started_line<'a>(
    conversation: &'a ConversationId,
    sender: AccountId,
    mine: bool,
    now: u64,
    notice: &'a Notice,
) -> messages::NewMessage<'a> {
    messages::NewMessage {
        id: messages::local_id(),
        conversation,
        sender,
        mine,
        at_ms: now,
        clock_off: false,
        text: "",
        notice: Some(notice),
        state: if mine { MessageState::Sent } else { MessageState::Received },
        placed: true,
    }
}

fn found(
    chain: VerifiedChain,
    entries: Vec<Vec<u8>>,
    name: Username,
    relay: RelayAddress,
    trust: Trust,
    access_key: Option<AccessKey>,
) -> Found {
    let display_name = name.to_string();
    let contact = Contact { account: chain.account(), name, relay, display_name, trust, access_key };
    Found { contact, chain, entries }
}

/// A new log for a conversation, on the own relay, with a fresh channel secret.
fn own_log(conversation: ConversationId, relay: RelayAddress) -> logs::Log {
    logs::Log {
        log: LogId::from_bytes(random::bytes()),
        conversation,
        relay,
        secret: ChannelSecret::generate(&mut random::rng()),
        mine: true,
        created: false,
        peer_seen: false,
        cursor: 0,
        running: [0; 32],
        last_handshake: 0,
    }
}
