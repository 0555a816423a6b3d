//! Conversations: made with their groups, accepted, deleted.

use rusqlite::Transaction;
use waxwing_protocol::group::{GroupKind, Roster, RosterRole};
use waxwing_protocol::{AppMessage, conversation_id};
use waxwing_wire::{AccountId, LogId, RelayAddress};

use super::context::{Context, contact_line, own_line};
use super::emit::Changes;
use super::handshake::store_people;
use super::{Client, not_found, own_leaves, own_news, restart, rotation, sealing, stale_keys};
use crate::error::Error;
use crate::event::Event;
use crate::mls::{Group, GroupChange, storage};
use crate::random;
use crate::store::account::Account;
use crate::store::conversations::{Conversation, ConversationId, NewConversation};
use crate::store::{account, contacts, conversations, deliveries, links, logs, messages, outbox, unproved};
use crate::views::{ConversationKind, ConversationView, MessageState, Notice, Standing};

impl Client {
    /// The conversation with oneself.
    pub async fn note_to_self(&self) -> Result<ConversationView, Error> {
        let engine = &self.0;
        let id = conversation_id(engine.account, engine.account);
        let (context, relay) = (engine.context(), engine.home.address().clone());
        engine.chain(engine.account).await?;
        let changes = engine
            .store
            .run(move |tx| {
                let mut changes = Changes::default();
                let new = NewConversation {
                    id: &id,
                    kind: ConversationKind::NoteToSelf,
                    account: context.account,
                    standing: Standing::Member,
                    title: "",
                    profile_sent: true,
                };
                conversations::insert(tx, &new, context.now)?;
                conversations::touch(tx, &id, context.now)?;
                if logs::to_send(tx, &id)?.is_none() {
                    ensure_group(tx, &context, &conversations::load(tx, &id)?, relay)?;
                }
                changes.conversation(id);
                Ok(changes)
            })
            .await?;
        engine.tell(changes).await;
        engine.outbox_wake.notify_one();
        self.conversation(&waxwing_wire::ids::to_hex(&id)).await
    }

    /// Accepts a message request: from now on one takes part, and the others see one's name.
    pub async fn accept_request(&self, conversation: &str) -> Result<ConversationView, Error> {
        let engine = &self.0;
        let id = conversations::parse_id(conversation)?;
        let (context, home) = (engine.context(), engine.home.address().clone());
        let accepted = engine.store.run(move |tx| {
            let changes = accept(tx, &context, &id, home)?;
            // Nobody is to be asked twice.
            own_news::tell_of_contact(tx, &context, conversations::load(tx, &id)?.account, false)?;
            Ok(changes)
        });
        let changes = accepted.await?;
        engine.tell(changes).await;
        engine.outbox_wake.notify_one();
        engine.transparency_wake.notify_one();
        self.conversation(conversation).await
    }

    /// Deletes a conversation's history on this device. One that one has left goes altogether; any other comes back with the next
    /// message, without what was said before. Where one has asked to be let in, it is as if one had not.
    pub async fn delete_conversation(&self, conversation: &str) -> Result<(), Error> {
        let engine = &self.0;
        let id = conversations::parse_id(conversation)?;
        engine
            .store
            .run(move |tx| {
                let found = conversations::load(tx, &id)?;
                messages::delete_all(tx, &id)?;
                // A wish to leave that is still on its way must get there.
                let out = matches!(found.standing, Standing::Left | Standing::Removed | Standing::Asked);
                let leaving = out && outbox::head(tx, &id, i64::MAX as u64)?.is_some();
                // Nobody is let in by somebody who does not want to see the group.
                links::end(tx, &id)?;
                if found.standing == Standing::Asked {
                    deliveries::remove_asking(tx, &id)?;
                    conversations::set_standing(tx, &id, Standing::Left)?;
                }
                if out && !leaving {
                    for log in logs::of(tx, &id)? {
                        storage::delete_group(tx, log.log.as_bytes())?;
                        logs::remove(tx, log.log)?;
                    }
                    outbox::remove_all(tx, &id)?;
                    conversations::remove(tx, &id)?;
                } else {
                    outbox::remove_messages(tx, &id)?;
                    conversations::hide(tx, &id)?;
                }
                Ok(())
            })
            .await?;
        engine.emit(Event::ConversationDeleted { conversation: conversation.to_owned() });
        engine.outbox_wake.notify_one();
        // What was erased is erased from the WAL too.
        engine.store.checkpoint().await
    }
}

/// The group of a conversation that one takes part in and has none: a new one on the own relay. For two people, the other one is added
/// as soon as their key packages can be had.
pub(super) fn ensure_group(
    tx: &Transaction<'_>,
    context: &Context,
    conversation: &Conversation,
    relay: RelayAddress,
) -> Result<Option<logs::Log>, Error> {
    let me = account::require(tx)?;
    let own = context.chains.load(tx, me.account)?.ok_or_else(|| not_found("no own chain"))?;
    let mut lines = vec![own_line(&me, &own, RosterRole::Admin)];
    let kind = match conversation.kind {
        // Who was in it is known to its group alone.
        ConversationKind::Group => return Ok(None),
        ConversationKind::NoteToSelf => GroupKind::NoteToSelf,
        ConversationKind::Direct => {
            let peer = contacts::load(tx, conversation.account)?.ok_or_else(|| not_found("no such contact"))?;
            let Some(chain) = context.chains.load(tx, peer.account)? else { return Ok(None) };
            lines.push(contact_line(&peer, &chain, RosterRole::Admin));
            GroupKind::Direct
        }
    };
    lines.sort_by_key(|line| line.account);
    let generation = 1 + logs::of(tx, &conversation.id)?.iter().map(|log| log.generation).max().unwrap_or(0);
    let roster = Roster { kind, conversation: conversation.id, generation, name: String::new(), lines };
    let log = make_group(tx, context, roster, relay)?;
    if kind == GroupKind::Direct {
        let change = GroupChange::Add(vec![conversation.account]).encode()?;
        outbox::push_change_first(tx, &conversation.id, log.log, &change)?;
    }
    Ok(Some(log))
}

/// Makes a group with this roster and its log, with the own leaf alone.
pub(super) fn make_group(
    tx: &Transaction<'_>,
    context: &Context,
    roster: Roster,
    relay: RelayAddress,
) -> Result<logs::Log, Error> {
    let id = LogId::from_bytes(random::bytes());
    let group = Group::create(&context.crypto, tx, context.account, &context.keys, id, &roster)?;
    let log = logs::Log {
        log: id,
        conversation: roster.conversation,
        relay,
        generation: roster.generation,
        secret: group.channel_secret()?,
        mine: true,
        created: false,
        active: true,
        peer_seen: false,
        update_due: false,
        cursor: 0,
        running: [0; 32],
        last_handshake: 0,
        handshake_running: [0; 32],
        trouble: logs::Trouble::None,
        spoiler: None,
    };
    logs::insert(tx, &log, context.now)?;
    store_people(tx, &log, &group.facts()?)?;
    own_leaves::queue(tx, context, &log)?;
    Ok(log)
}

/// Before the first words to people who do not know it: one's name, and a key to one's inboxes. Nothing is told to people one has
/// not answered.
pub(super) fn introduce_oneself(tx: &Transaction<'_>, me: &Account, conversation: &Conversation) -> Result<(), Error> {
    if conversation.profile_sent || conversation.kind == ConversationKind::NoteToSelf {
        return Ok(());
    }
    let profile =
        AppMessage::Profile { display_name: me.display_name.clone(), access_key: conversation.access_key.clone() };
    outbox::push(tx, &conversation.id, None, &profile.encode())?;
    conversations::set_profile_sent(tx, &conversation.id, true)
}

/// Accepts a message request, if it is one.
pub(super) fn accept(
    tx: &Transaction<'_>,
    context: &Context,
    id: &ConversationId,
    home: RelayAddress,
) -> Result<Changes, Error> {
    let mut changes = Changes::default();
    let found = conversations::load(tx, id)?;
    if found.standing != Standing::Request {
        return Ok(changes);
    }
    conversations::set_standing(tx, id, Standing::Member)?;
    // Taking part in a group says nothing of whoever brought one in.
    if found.kind == ConversationKind::Direct {
        contacts::set_known(tx, found.account)?;
    }
    // The log of a stranger's relay may have been too long to be read: what they have said of their keys is looked up now.
    if contacts::load(tx, found.account)?.is_some_and(|contact| contact.relay.authority() != home.authority()) {
        unproved::note(tx, found.account)?;
    }
    for log in logs::of(tx, id)?.iter().filter(|log| log.active) {
        // It waited for so long that the keys of one's leaf were erased: between two, one begins anew.
        if rotation::leaf_is_mute(tx, context, log.log)? {
            if found.kind == ConversationKind::Direct {
                changes = restart::reboot(tx, context, log, home.clone())?.unwrap_or_default();
            }
            continue;
        }
        outbox::push_change(tx, id, log.log, &GroupChange::JoinUpdate.encode()?, 0)?;
        own_leaves::queue(tx, context, log)?;
        stale_keys::note_accepted(tx, context, log)?;
    }
    let written_to = logs::to_send(tx, id)?.filter(|_| found.kind == ConversationKind::Group);
    let mute = |log: logs::Log| rotation::leaf_is_mute(tx, context, log.log);
    if written_to.map(mute).transpose()?.unwrap_or(false) {
        // An admin must bring one in anew: said now, and not when the first words have failed.
        conversations::set_problem(tx, id, Some(&sealing::mute().view()))?;
    } else {
        introduce_oneself(tx, &account::require(tx)?, &conversations::load(tx, id)?)?;
    }
    changes.conversation(*id);
    changes.group(*id);
    Ok(changes)
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
