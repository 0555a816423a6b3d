//! Asking to be let into a group with somebody's link: looked at, asked, and asked again.

use std::sync::Arc;

use rusqlite::Transaction;
use waxwing_protocol::content::{Content, JoinRequest};
use waxwing_protocol::envelope::Recipient;
use waxwing_protocol::{GroupInvite, InviteError, Link, is_group_conversation};
use waxwing_wire::VerifiedChain;
use waxwing_wire::ids::to_hex;
use waxwing_wire::log::EnvelopeKind;

use super::contacts::refuse_another_chain;
use super::context::{Context, introduction};
use super::emit::Changes;
use super::entries::peer_display_name;
use super::sealing::seal_for_inbox;
use super::{Client, not_found, safety};
use crate::error::{Error, ErrorCode};
use crate::store::account::Account;
use crate::store::contacts::Contact;
use crate::store::conversations::NewConversation;
use crate::store::{account, contacts, conversations, deliveries, keys};
use crate::views::{ConversationKind, ConversationView, GroupOfferView, Standing, Trust};

impl Client {
    /// What a link into a group says, before anything is asked with it; none if the text is anything else. Nobody learns of it.
    pub async fn look_at_link(&self, text: &str) -> Result<Option<GroupOfferView>, Error> {
        let invite = match Link::parse(text.trim()) {
            Ok(Link::Group(invite)) => invite,
            Err(InviteError::TooNew) => return Err(too_new()),
            Ok(Link::Person(_) | Link::Device(_)) | Err(_) => return Ok(None),
        };
        let offer = self.0.store.run(move |tx| {
            standing(tx, &account::require(tx)?, &invite)?;
            let address = format!("{}@{}", invite.inviter.name, invite.inviter.relay.authority());
            let known = contacts::load(tx, invite.inviter.account)?.map(|contact| contact.display_name);
            let inviter = known.unwrap_or_else(|| address.clone());
            Ok(GroupOfferView { conversation: to_hex(&invite.conversation), title: title(&invite), inviter, address })
        });
        Ok(Some(offer.await?))
    }

    /// Asks to be let into a group by the device that made this link. Its relay must be in reach; the request itself waits like
    /// a message. With a request to talk in that group at hand, this accepts it.
    pub async fn join_group(&self, link: &str) -> Result<ConversationView, Error> {
        let engine = &self.0;
        let invite = parse(link)?;
        let (id, looked_at) = (invite.conversation, invite.clone());
        let now = engine.store.run(move |tx| standing(tx, &account::require(tx)?, &looked_at)).await?;
        if now == Some(Standing::Request) {
            return self.accept_request(&to_hex(&id)).await;
        }
        let (chain, entries) = engine.fetch_pinned(&invite.inviter).await?;
        let _guard = engine.keys_guard.read().await;
        engine.chain(engine.account).await?;
        let (context, chain) = (engine.context(), Arc::new(chain));
        let account = chain.account();
        let theirs = Arc::clone(&chain);
        let asked = engine
            .store
            .run(move |tx| {
                standing(tx, &account::require(tx)?, &invite)?;
                refuse_another_chain(tx, &theirs)?;
                keys::add_chain_entries(tx, theirs.account(), 0, &entries)?;
                let mut changes = ask(tx, &context, &invite, &theirs)?;
                safety::announce(tx, context.now, &mut changes)?;
                Ok(changes)
            })
            .await;
        let changes = engine.noting_doubt(account, asked).await?;
        engine.chains.keep(chain);
        engine.tell(changes).await;
        engine.outbox_wake.notify_one();
        self.conversation(&to_hex(&id)).await
    }
}

fn parse(text: &str) -> Result<GroupInvite, Error> {
    GroupInvite::parse(text.trim()).map_err(|error| match error {
        InviteError::TooNew => too_new(),
        InviteError::OtherKind if matches!(Link::parse(text.trim()), Ok(Link::Device(_))) => {
            Error::new(ErrorCode::DeviceCode, "the code links a device to an account")
        }
        InviteError::OtherKind => Error::new(ErrorCode::PersonLink, "the link goes to a person"),
        InviteError::NotALink | InviteError::Damaged => Error::new(ErrorCode::InvalidLink, error.to_string()),
    })
}

fn too_new() -> Error {
    Error::new(ErrorCode::LinkTooNew, "the link is of a newer version")
}

/// As it may be shown.
fn title(invite: &GroupInvite) -> String {
    peer_display_name(&invite.title, invite.inviter.name.as_str())
}

/// How one stands in the group of a link; an error where one cannot ask.
fn standing(tx: &Transaction<'_>, me: &Account, invite: &GroupInvite) -> Result<Option<Standing>, Error> {
    if invite.inviter.account == me.account {
        return Err(Error::new(ErrorCode::OwnLink, "that is one's own link"));
    }
    if contacts::load(tx, invite.inviter.account)?.is_some_and(|contact| contact.blocked) {
        return Err(Error::new(ErrorCode::Blocked, "whoever made the link is blocked"));
    }
    if !is_group_conversation(&invite.conversation) {
        return Err(Error::new(ErrorCode::InvalidLink, "the link names a conversation that is no group"));
    }
    let all = conversations::all(tx)?;
    let Some(found) = all.iter().find(|one| one.id == invite.conversation) else { return Ok(None) };
    if found.kind != ConversationKind::Group {
        return Err(Error::new(ErrorCode::InvalidLink, "the link names a conversation that is no group"));
    }
    if found.standing == Standing::Member {
        return Err(Error::new(ErrorCode::AlreadyMember, "one is in this group already"));
    }
    Ok(Some(found.standing))
}

/// Stores the wait and what asks; one that is still on its way is replaced.
fn ask(tx: &Transaction<'_>, context: &Context, invite: &GroupInvite, chain: &VerifiedChain) -> Result<Changes, Error> {
    let mut changes = Changes::default();
    let (id, inviter) = (invite.conversation, &invite.inviter);
    let me = account::require(tx)?;
    let own = context.chains.load(tx, me.account)?.ok_or_else(|| not_found("no own chain"))?;
    contacts::upsert(
        tx,
        &Contact {
            account: inviter.account,
            name: inviter.name.clone(),
            relay: inviter.relay.clone(),
            display_name: inviter.name.to_string(),
            trust: Trust::Invite,
            // The link's key admits this request alone: it dies with the link.
            access_key: None,
            // Taking part in a group says nothing of whoever lets one in.
            known: false,
            blocked: false,
        },
    )?;
    let title = title(invite);
    let new = NewConversation {
        id: &id,
        kind: ConversationKind::Group,
        account: inviter.account,
        standing: Standing::Asked,
        title: &title,
        profile_sent: false,
    };
    if !conversations::insert(tx, &new, context.now)? {
        conversations::set_standing(tx, &id, Standing::Asked)?;
        conversations::set_account(tx, &id, inviter.account)?;
        conversations::set_problem(tx, &id, None)?;
        conversations::touch(tx, &id, context.now)?;
    }
    let conversation = conversations::load(tx, &id)?;
    let content = Content::Join(JoinRequest {
        conversation: id,
        proof: JoinRequest::prove(&inviter.access_key, &id, inviter.account, me.account),
        sender: introduction(&me, &own, conversation.access_key),
    })
    .encode();
    deliveries::remove_asking(tx, &id)?;
    // One of their devices has made the link; the others set the request aside.
    for device in chain.devices() {
        let record = &device.current().record;
        let recipient = Recipient { account: inviter.account, record };
        let kind = EnvelopeKind::Notice;
        let (entry_id, blob) =
            seal_for_inbox(&context.keys, me.account, kind, &recipient, &content, (context.now, context.checkpoint))?;
        deliveries::push(
            tx,
            &deliveries::Delivery {
                entry_id,
                kind,
                conversation: id,
                account: inviter.account,
                device: record.device,
                relay: inviter.relay.clone(),
                blob,
                link: Some(inviter.access_key.clone()),
            },
        )?;
    }
    changes.conversation(id);
    changes.group(id);
    Ok(changes)
}
