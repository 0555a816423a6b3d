//! Events: complete views, read back from the store after the change has been committed.

use waxwing_wire::{AccountId, MessageId};

use super::Engine;
use crate::event::Event;
use crate::keystore::Keystore;
use crate::store::account::Account;
use crate::store::conversations::ConversationId;
use crate::store::{account, conversations, messages};
use crate::views::{Connection, KeystoreKind, MessageView, ProfileView};

/// What a transaction changed, to be told once it is committed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) messages: Vec<(AccountId, MessageId, bool)>,
    pub(super) conversations: Vec<ConversationId>,
    pub(super) groups: Vec<ConversationId>,
}

impl Changes {
    pub(super) fn message(&mut self, sender: AccountId, id: MessageId, arrived: bool) {
        self.messages.push((sender, id, arrived));
    }

    pub(super) fn conversation(&mut self, id: ConversationId) {
        if !self.conversations.contains(&id) {
            self.conversations.push(id);
        }
    }

    /// And all that something else has changed.
    pub(super) fn join(&mut self, more: Self) {
        self.messages.extend(more.messages);
        more.conversations.into_iter().for_each(|id| self.conversation(id));
        more.groups.into_iter().for_each(|id| self.group(id));
    }

    /// Who is in a conversation, or what is known of them.
    pub(super) fn group(&mut self, id: ConversationId) {
        if !self.groups.contains(&id) {
            self.groups.push(id);
        }
    }
}

impl Engine {
    pub(super) fn emit(&self, event: Event) {
        // An error means that nobody listens.
        let _ = self.events.send(event);
    }

    /// Tells what changed. A failure to read it back is told as `Lagged`: load everything again.
    pub(super) async fn tell(&self, changes: Changes) {
        let events = self
            .store
            .run(move |tx| {
                let me = account::require(tx)?;
                let mut events = Vec::new();
                for (sender, id, arrived) in changes.messages {
                    if let Some(message) = messages::load(tx, sender, id)? {
                        events.push(Event::Message { message: messages::view(tx, &me, &message)?, arrived });
                    }
                }
                for id in changes.conversations {
                    let conversation = conversations::load(tx, &id)?;
                    if !conversation.hidden {
                        let conversation = conversations::view(tx, &me, &conversation)?;
                        events.push(Event::Conversation { conversation });
                    }
                }
                for id in changes.groups {
                    let conversation = conversations::load(tx, &id)?;
                    events.push(Event::Group { group: super::groups::view(tx, &me, &conversation)? });
                }
                Ok(events)
            })
            .await;
        match events {
            Ok(events) => events.into_iter().for_each(|event| self.emit(event)),
            Err(error) => {
                tracing::warn!(%error, "reading changes back");
                self.emit(Event::Lagged);
            }
        }
    }

    pub(super) fn set_connection(&self, connection: Connection) {
        let changed = self.connection.send_if_modified(|current| {
            let changed = *current != connection;
            current.clone_from(&connection);
            changed
        });
        if changed {
            self.emit(Event::Connection { connection });
        }
    }
}

pub(super) fn profile_view(me: &Account, keystore: KeystoreKind) -> ProfileView {
    ProfileView {
        account_id: me.account.to_string(),
        device_id: me.device.to_string(),
        address: format!("{}@{}", me.username, me.relay.authority()),
        display_name: me.display_name.clone(),
        relay: me.relay.authority(),
        phrase_confirmed: me.phrase_confirmed,
        keystore,
    }
}

impl Engine {
    /// The profile as it is now, told.
    pub(super) async fn tell_profile(&self) -> Result<ProfileView, crate::Error> {
        let kind = Keystore::kind(&self.keystore);
        let profile = self.store.run(move |tx| Ok(profile_view(&account::require(tx)?, kind))).await?;
        self.emit(Event::Profile { profile: profile.clone() });
        Ok(profile)
    }

    /// A message as a front end shows it.
    pub(super) async fn message_view(&self, sender: AccountId, id: MessageId) -> Result<MessageView, crate::Error> {
        self.store
            .run(move |tx| {
                let message = messages::load(tx, sender, id)?.ok_or_else(|| super::not_found("no such message"))?;
                messages::view(tx, &account::require(tx)?, &message)
            })
            .await
    }
}
