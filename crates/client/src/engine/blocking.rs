//! Who is blocked: from a conversation, and taken in again from there or from the list of them.
//!
//! Not here: what of theirs is refused meanwhile (`entries`, `inbox`, `admit`).

use rusqlite::Transaction;
use waxwing_wire::AccountId;

use super::emit::Changes;
use super::{Client, not_found, own_news};
use crate::error::Error;
use crate::store::{contacts, conversations, people};
use crate::views::{BlockedView, ContactView, ConversationKind, ConversationView, Standing};

impl Client {
    /// Blocks or unblocks the other person of a conversation with one other, or whoever has added one to a group that one has not accepted:
    /// nothing of theirs is taken in, and their key to the own inboxes is refused. They are not told. Such a group is left.
    pub async fn set_blocked(&self, conversation: &str, blocked: bool) -> Result<ConversationView, Error> {
        let engine = &self.0;
        let id = conversations::parse_id(conversation)?;
        let context = engine.context();
        let changes = engine
            .store
            .run(move |tx| {
                let found = conversations::load(tx, &id)?;
                let contact = contacts::load(tx, found.account)?.ok_or_else(|| not_found("no such contact"))?;
                let adder = found.kind == ConversationKind::Group
                    && (found.standing == Standing::Request || (found.standing == Standing::Left && contact.blocked));
                if found.kind != ConversationKind::Direct && !adder {
                    return Err(not_found("nobody to block here"));
                }
                if adder && blocked {
                    conversations::set_standing(tx, &id, Standing::Left)?;
                }
                if blocked && !contact.blocked {
                    contacts::block(tx, found.account, context.now)?;
                    // The key that they hold dies; the next one goes to them with the next words after an unblocking.
                    conversations::replace_access_key(tx, &found)?;
                } else if !blocked {
                    contacts::unblock(tx, found.account, context.now)?;
                }
                own_news::tell_of_contact(tx, &context, found.account, true)?;
                let mut changes = Changes::default();
                changes.conversation(id);
                changes.group(id);
                concerned(tx, found.account, &mut changes)?;
                Ok(changes)
            })
            .await?;
        engine.tell(changes).await;
        engine.outbox_wake.notify_one();
        self.conversation(conversation).await
    }

    /// Everybody who is blocked, by name. They stay so whatever becomes of the conversation that they were blocked from.
    pub async fn blocked(&self) -> Result<Vec<BlockedView>, Error> {
        let view = |(contact, since): (contacts::Contact, Option<i64>)| BlockedView {
            account_id: contact.account.to_string(),
            name: contact.display_name.clone(),
            address: contact.address(),
            since: since.map(|at| at as f64),
        };
        self.0.store.run(move |tx| Ok(contacts::blocked(tx)?.into_iter().map(view).collect())).await
    }

    /// Takes in again what somebody (by account id) writes from now on, also where there is no conversation with them any more. They are
    /// not told, and a conversation that was deleted comes back with their next message only.
    ///
    /// # Errors
    /// `NotFound` if nothing is known of the account.
    pub async fn unblock(&self, account_id: &str) -> Result<ContactView, Error> {
        let engine = &self.0;
        let account: AccountId = account_id.parse().map_err(|_| not_found("no such account"))?;
        let context = engine.context();
        let (contact, changes) = engine
            .store
            .run(move |tx| {
                contacts::unblock(tx, account, context.now)?;
                own_news::tell_of_contact(tx, &context, account, true)?;
                let contact = contacts::load(tx, account)?.ok_or_else(|| not_found("no such contact"))?;
                let mut changes = Changes::default();
                concerned(tx, account, &mut changes)?;
                Ok((people::contact_view(&contact), changes))
            })
            .await?;
        engine.tell(changes).await;
        engine.outbox_wake.notify_one();
        Ok(contact)
    }
}

/// The conversations that show whether somebody is blocked. One that was deleted is not told of.
fn concerned(tx: &Transaction<'_>, account: AccountId, changes: &mut Changes) -> Result<(), Error> {
    for found in conversations::all(tx)?.iter().filter(|found| found.account == account && found.tells_blocked()) {
        changes.conversation(found.id);
    }
    Ok(())
}
