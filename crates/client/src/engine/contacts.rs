//! Starting conversations: by invite link, by address; and the own invite. Not here: links into groups (`links`, `asking`).

use std::sync::Arc;

use rusqlite::Transaction;
use waxwing_protocol::{AccessKey, Invite, InviteError, Link, conversation_id};
use waxwing_wire::{AccountAddress, AccountId, RelayAddress, Username, VerifiedChain};

use super::conversations::{accept, ensure_group, started_line};
use super::emit::Changes;
use super::{Client, Engine, own_news, safety};
use crate::error::{Error, ErrorCode};
use crate::mls::GroupChange;
use crate::store::account::Account;
use crate::store::contacts::Contact;
use crate::store::conversations::{ConversationId, NewConversation};
use crate::store::{account, contacts, conversations, keys, logs, messages, outbox, transparency};
use crate::views::{ConversationKind, ConversationView, InviteView, Notice, Standing, Trust};

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
            Err(InviteError::OtherKind) => return Err(other_kind(input)),
            Err(error) => match input.parse::<AccountAddress>() {
                Ok(address) => engine.find_by_address(&address).await?,
                Err(_) => return Err(Error::new(ErrorCode::InvalidLink, error.to_string())),
            },
        };
        let id = conversation_id(engine.account, found.contact.account);
        engine.start_conversation(id, found).await?;
        self.conversation(&waxwing_wire::ids::to_hex(&id)).await
    }

    /// Makes another invite link: the one before admits nobody any more. Whoever is known by then stays known.
    pub async fn renew_invite(&self) -> Result<InviteView, Error> {
        let context = self.0.context();
        let renewed = self.0.store.run(move |tx| {
            account::renew_invite_key(tx, context.now)?;
            own_news::tell_of_profile(tx, &context)
        });
        renewed.await?;
        self.0.outbox_wake.notify_one();
        self.invite().await
    }

    /// The own invite: a link that pins one's keys and admits its holder to one's inbox.
    pub async fn invite(&self) -> Result<InviteView, Error> {
        let engine = &self.0;
        let chain = engine.chain(engine.account).await?;
        let (me, invite) = engine
            .store
            .run(move |tx| {
                let me = account::require(tx)?;
                let invite = invite_of(tx, &me, &chain)?;
                Ok((me, invite))
            })
            .await?;
        Ok(InviteView { link: invite.to_link(), address: format!("{}@{}", me.username, me.relay.authority()) })
    }
}

impl Engine {
    async fn find_by_invite(&self, invite: &Invite) -> Result<Found, Error> {
        self.refuse_oneself(invite.account)?;
        let (chain, entries) = self.fetch_pinned(invite).await?;
        let access_key = Some(invite.access_key.clone());
        Ok(found(chain, entries, invite.name.clone(), invite.relay.clone(), Trust::Invite, access_key))
    }

    /// The chain of whoever a link names, which must be the one that it pins.
    pub(super) async fn fetch_pinned(&self, invite: &Invite) -> Result<(VerifiedChain, Vec<Vec<u8>>), Error> {
        let id = invite.account;
        self.want_log(&invite.relay);
        self.pin_log(&invite.relay, &invite.log_key).await?;
        let (chain, entries) = self.fetch_chain(&invite.relay, &id.to_string(), None).await?;
        let pinned = chain.account() == id
            && *chain.account_key() == invite.account_key
            && chain.hash_at(invite.chain_seq) == Some(invite.chain_head)
            && chain.name() == Some(&invite.name)
            && chain.log_origin() == invite.relay.authority();
        if !pinned {
            return Err(Error::new(ErrorCode::ChainBroken, "the relay's chain is not the one that the link pins"));
        }
        self.require_fresh(&invite.relay).await?;
        // What is known of them from a conversation alone may have to give way to what was shown now.
        self.gave_way(id).await;
        Ok((chain, entries))
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
        self.require_name(&home, &address.name, &chain).await?;
        self.gave_way(chain.account()).await;
        Ok(found(chain, entries, address.name.clone(), home, Trust::FirstUse, None))
    }

    fn refuse_oneself(&self, account: AccountId) -> Result<(), Error> {
        if account == self.account { Err(Error::new(ErrorCode::OwnLink, "that is oneself")) } else { Ok(()) }
    }

    /// Stores contact, conversation and group, and that the other person is to be added; one transaction.
    async fn start_conversation(&self, id: ConversationId, found: Found) -> Result<(), Error> {
        let _guard = self.keys_guard.read().await;
        let Found { contact, chain, entries } = found;
        self.chain(self.account).await?;
        let (context, home, account) = (self.context(), self.home.address().clone(), contact.account);
        let chain = Arc::new(chain);
        let news = Arc::clone(&chain);
        let started = self
            .store
            .run(move |tx| {
                let mut changes = Changes::default();
                let me = account::require(tx)?;
                refuse_another_chain(tx, &news)?;
                keys::add_chain_entries(tx, contact.account, 0, &entries)?;
                safety::announce(tx, context.now, &mut changes)?;
                contacts::upsert(tx, &contact)?;
                changes.conversation(id);
                let new = NewConversation {
                    id: &id,
                    kind: ConversationKind::Direct,
                    account: contact.account,
                    standing: Standing::Member,
                    title: "",
                    // It goes with the Welcome.
                    profile_sent: true,
                };
                if conversations::insert(tx, &new, context.now)? {
                    ensure_group(tx, &context, &conversations::load(tx, &id)?, home.clone())?;
                    let started = Notice::Started { name: me.display_name.clone(), mine: true };
                    let line = started_line(&id, me.account, true, context.now, &started);
                    messages::insert(tx, &line)?;
                    changes.message(me.account, line.id, false);
                    return Ok(changes);
                }
                // Asked for again, perhaps with a better link; where they had written first, that is an acceptance.
                conversations::touch(tx, &id, context.now)?;
                changes.join(accept(tx, &context, &id, home)?);
                let conversation = conversations::load(tx, &id)?;
                if conversation.problem().is_some_and(|problem| problem.code != ErrorCode::ChainBroken) {
                    conversations::set_problem(tx, &id, None)?;
                }
                let waits = !outbox::changes(tx, &id)?.is_empty();
                for log in logs::of(tx, &id)?.iter().filter(|log| log.active && log.mine && !log.peer_seen && !waits) {
                    // Does nothing where they are in it already.
                    let change = GroupChange::Add(vec![contact.account]).encode()?;
                    outbox::push_change(tx, &id, log.log, &change, 0)?;
                }
                Ok(changes)
            })
            .await;
        let changes = self.noting_doubt(account, started).await?;
        self.chains.keep(chain);
        self.tell(changes).await;
        self.outbox_wake.notify_one();
        self.transparency_wake.notify_one();
        Ok(())
    }
}

/// The own invite, as the chain stands. The relay's log key is zeros where it is not known yet.
pub(super) fn invite_of(tx: &Transaction<'_>, me: &Account, chain: &VerifiedChain) -> Result<Invite, Error> {
    let log = transparency::load(tx, &me.relay.authority())?;
    Ok(Invite {
        relay: me.relay.clone(),
        log_key: log.map_or([0; 32], |log| *log.key.public()),
        account: me.account,
        account_key: *chain.account_key(),
        chain_seq: chain.seq(),
        chain_head: chain.head(),
        access_key: me.invite_key.clone(),
        name: me.username.clone(),
    })
}

/// What a link is for that goes to no person.
fn other_kind(link: &str) -> Error {
    match Link::parse(link) {
        Ok(Link::Device(_)) => Error::new(ErrorCode::DeviceCode, "the code links a device to an account"),
        _ => Error::new(ErrorCode::GroupLink, "the link goes into a group"),
    }
}

/// The relay must not show a second history of somebody who is known already. One that merely lacks the newest entries is not.
pub(super) fn refuse_another_chain(tx: &Transaction<'_>, news: &VerifiedChain) -> Result<(), Error> {
    let Some(known) = keys::chain(tx, news.account())? else { return Ok(()) };
    let common = known.seq().min(news.seq());
    if news.hash_at(common) == known.hash_at(common) {
        Ok(())
    } else {
        Err(Error::new(ErrorCode::ChainBroken, "the relay's chain is not the one seen before"))
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
    let contact =
        Contact { account: chain.account(), name, relay, display_name, trust, access_key, known: true, blocked: false };
    Found { contact, chain, entries }
}
