//! What the user does in a conversation: send, retry, delete, drafts, read marks, the own name.

use waxwing_protocol::AppMessage;
use waxwing_wire::limits::MAX_TEXT;

use super::conversations::introduce_oneself;
use super::emit::Changes;
use super::register::clean_display_name;
use super::{Client, not_found, own_news, renewal, safety};
use crate::error::{Error, ErrorCode};
use crate::event::Event;
use crate::store::conversations::Conversation;
use crate::store::{account, contacts, conversations, messages, outbox};
use crate::views::{ConversationKind, ConversationView, MessageState, MessageView, ProfileView, Standing};

impl Client {
    /// Stores a message and its way out in one transaction; it is sent as soon as the relay is in reach.
    ///
    /// `message_id`: 32 hexadecimal digits made by the front end. The same id again gives the stored message.
    pub async fn send(&self, conversation: &str, message_id: &str, text: &str) -> Result<MessageView, Error> {
        let engine = &self.0;
        let (conversation, id) = (conversations::parse_id(conversation)?, messages::parse_id(message_id)?);
        if text.trim().is_empty() {
            return Err(Error::new(ErrorCode::Empty, "there is nothing to send"));
        }
        if text.len() > MAX_TEXT {
            return Err(Error::new(ErrorCode::TooLong, format!("{} bytes of text, {MAX_TEXT} at most", text.len())));
        }
        let (text, now) = (text.to_owned(), engine.now_ms());
        let (sender, stored) = engine
            .store
            .run(move |tx| {
                let me = account::require(tx)?;
                let found = conversations::load(tx, &conversation)?;
                may_write(tx, &found)?;
                let line = messages::NewMessage {
                    id,
                    conversation: &conversation,
                    sender: me.account,
                    mine: true,
                    at_ms: now,
                    clock_off: false,
                    text: &text,
                    notice: None,
                    state: MessageState::Sending,
                    placed: false,
                };
                let stored = messages::insert(tx, &line)?;
                if stored {
                    renewal::before_words(tx, &found, now)?;
                    introduce_oneself(tx, &me, &found)?;
                    outbox::push(tx, &conversation, Some(id), &AppMessage::Text { message_id: id, text }.encode())?;
                    conversations::set_draft(tx, &conversation, "")?;
                    conversations::touch(tx, &conversation, now)?;
                }
                Ok((me.account, stored))
            })
            .await?;
        if stored {
            let mut changes = Changes::default();
            changes.message(sender, id, false);
            changes.conversation(conversation);
            engine.tell(changes).await;
            engine.outbox_wake.notify_one();
        }
        engine.message_view(sender, id).await
    }

    /// Sends a failed message again, under the same message id.
    pub async fn retry(&self, message_id: &str) -> Result<MessageView, Error> {
        let engine = &self.0;
        let id = messages::parse_id(message_id)?;
        let conversation = engine
            .store
            .run(move |tx| {
                let message = messages::find(tx, id)?;
                if !message.mine {
                    return Err(not_found("no such message of one's own"));
                }
                if message.state == MessageState::Failed {
                    may_write(tx, &conversations::load(tx, &message.conversation)?)?;
                    messages::set_state(tx, message.sender, id, MessageState::Sending, None)?;
                    conversations::set_problem(tx, &message.conversation, None)?;
                    let content = AppMessage::Text { message_id: id, text: message.text }.encode();
                    outbox::push(tx, &message.conversation, Some(id), &content)?;
                }
                Ok(message.conversation)
            })
            .await?;
        let mut changes = Changes::default();
        changes.message(engine.account, id, false);
        changes.conversation(conversation);
        engine.tell(changes).await;
        engine.outbox_wake.notify_one();
        engine.message_view(engine.account, id).await
    }

    /// Deletes a message on this device. One that waits is not sent any more (unless it is on the wire already).
    pub async fn delete(&self, message_id: &str) -> Result<(), Error> {
        let engine = &self.0;
        let id = messages::parse_id(message_id)?;
        let conversation = engine
            .store
            .run(move |tx| {
                let message = messages::find(tx, id)?;
                messages::delete(tx, &message)?;
                if message.mine {
                    outbox::remove_message(tx, id)?;
                }
                Ok(message.conversation)
            })
            .await?;
        engine
            .emit(Event::MessageDeleted { conversation: waxwing_wire::ids::to_hex(&conversation), id: id.to_string() });
        let mut changes = Changes::default();
        changes.conversation(conversation);
        engine.tell(changes).await;
        Ok(())
    }

    /// Keeps what was typed and not yet sent. Longer than a message may be is kept as well: nothing typed is lost.
    pub async fn set_draft(&self, conversation: &str, text: &str) -> Result<(), Error> {
        let id = conversations::parse_id(conversation)?;
        let text = text.to_owned();
        self.0.store.run(move |tx| conversations::set_draft(tx, &id, &text)).await
    }

    /// Everything up to this order has been seen.
    pub async fn mark_read(&self, conversation: &str, order: f64) -> Result<ConversationView, Error> {
        let id = conversations::parse_id(conversation)?;
        let view = self
            .0
            .store
            .run(move |tx| {
                conversations::mark_read(tx, &id, messages::placed_ord(tx, &id, order)?)?;
                conversations::view(tx, &account::require(tx)?, &conversations::load(tx, &id)?)
            })
            .await?;
        self.0.emit(Event::Conversation { conversation: view.clone() });
        Ok(view)
    }

    /// Changes the name others see, and tells everybody one has written to.
    pub async fn set_display_name(&self, name: &str) -> Result<ProfileView, Error> {
        let engine = &self.0;
        let (name, context) = (clean_display_name(name)?, engine.context());
        engine
            .store
            .run(move |tx| {
                account::decide_name(tx, &name, context.now)?;
                own_news::tell_of_profile(tx, &context)?;
                let me = account::require(tx)?;
                for mut conversation in conversations::all(tx)? {
                    if conversation.standing == Standing::Member && conversation.profile_sent {
                        conversation.profile_sent = false;
                        introduce_oneself(tx, &me, &conversation)?;
                    }
                }
                Ok(())
            })
            .await?;
        engine.outbox_wake.notify_one();
        engine.tell_profile().await
    }
}

/// Nothing is written where one does not take part, or where somebody's keys are in doubt.
fn may_write(tx: &rusqlite::Transaction<'_>, conversation: &Conversation) -> Result<(), Error> {
    if conversation.standing != Standing::Member {
        return Err(Error::new(ErrorCode::NotMember, "one does not take part in this conversation"));
    }
    let direct = conversation.kind == ConversationKind::Direct;
    if direct && contacts::load(tx, conversation.account)?.is_some_and(|contact| contact.blocked) {
        return Err(Error::new(ErrorCode::Blocked, "the other person is blocked"));
    }
    safety::may_say(tx, account::require(tx)?.account, conversation)
}
