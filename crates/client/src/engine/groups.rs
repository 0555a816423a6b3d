//! Groups: made, and changed. Changes are queued with the conversation's messages, in order, and made when the relay is in reach.

use rusqlite::Transaction;
use waxwing_protocol::group::{GroupKind, LeaveProof, Roster, RosterRole};
use waxwing_protocol::{AppMessage, group_conversation_id};
use waxwing_wire::AccountId;
use waxwing_wire::ids::to_hex;
use waxwing_wire::limits::{MAX_GROUP_NAME, MAX_GROUP_PEOPLE};

use super::context::{Context, own_line};
use super::conversations::{introduce_oneself, make_group, started_line};
use super::emit::Changes;
use super::register::turns_or_controls;
use super::{Client, not_found};
use crate::error::{Error, ErrorCode};
use crate::mls::{Group, GroupChange};
use crate::random;
use crate::store::account::Account;
use crate::store::conversations::{Conversation, NewConversation};
use crate::store::logs::Log;
use crate::store::{account, contacts, conversations, links, logs, messages, outbox, people};
use crate::views::{ContactView, ConversationKind, ConversationView, GroupView, MessageState, Notice, Role, Standing};

/// Longest name of a group, in characters.
const NAME_LETTERS: usize = 64;

impl Client {
    /// Everybody whom the user has added or accepted, by name.
    pub async fn contacts(&self) -> Result<Vec<ContactView>, Error> {
        self.0.store.run(|tx| Ok(contacts::known(tx)?.iter().map(people::contact_view).collect())).await
    }

    /// Makes a group with these contacts (account ids). They are brought in as soon as the relay is in reach.
    pub async fn create_group(&self, name: &str, people: &[String]) -> Result<ConversationView, Error> {
        let engine = &self.0;
        let name = clean_group_name(name)?;
        let people = parse_people(people)?;
        if people.len() + 1 > MAX_GROUP_PEOPLE {
            return Err(Error::new(ErrorCode::GroupFull, format!("{MAX_GROUP_PEOPLE} people at most")));
        }
        engine.chain(engine.account).await?;
        let id = group_conversation_id(random::bytes());
        let (context, relay) = (engine.context(), engine.home.address().clone());
        let changes = engine
            .store
            .run(move |tx| {
                let mut changes = Changes::default();
                let me = account::require(tx)?;
                for account in &people {
                    let contact = contacts::load(tx, *account)?.ok_or_else(|| not_found("no such contact"))?;
                    if contact.blocked {
                        return Err(Error::new(ErrorCode::Blocked, "somebody who is blocked"));
                    }
                }
                let new = NewConversation {
                    id: &id,
                    kind: ConversationKind::Group,
                    account: me.account,
                    standing: Standing::Member,
                    title: &name,
                    // It goes with the Welcomes.
                    profile_sent: true,
                };
                conversations::insert(tx, &new, context.now)?;
                let own = context.chains.load(tx, me.account)?.ok_or_else(|| not_found("no own chain"))?;
                let roster = Roster {
                    kind: GroupKind::Group,
                    conversation: id,
                    generation: 1,
                    name,
                    lines: vec![own_line(&me, &own, RosterRole::Admin)],
                };
                let log = make_group(tx, &context, roster, relay)?;
                let notice = Notice::Started { name: me.display_name.clone(), mine: true };
                let line = started_line(&id, me.account, true, context.now, &notice);
                messages::insert(tx, &line)?;
                changes.message(me.account, line.id, false);
                if !people.is_empty() {
                    outbox::push_change(tx, &id, log.log, &GroupChange::Add(people).encode()?, 0)?;
                }
                changes.conversation(id);
                changes.group(id);
                Ok(changes)
            })
            .await?;
        engine.tell(changes).await;
        engine.outbox_wake.notify_one();
        self.conversation(&to_hex(&id)).await
    }

    /// Who is in a conversation.
    pub async fn group(&self, conversation: &str) -> Result<GroupView, Error> {
        let id = conversations::parse_id(conversation)?;
        self.0.store.run(move |tx| view(tx, &account::require(tx)?, &conversations::load(tx, &id)?)).await
    }

    /// Brings contacts into a group.
    pub async fn add_members(&self, conversation: &str, people: &[String]) -> Result<GroupView, Error> {
        let people = parse_people(people)?;
        self.change(conversation, move |tx, found| {
            let here = super::people_in(tx, found)?;
            let new: Vec<_> = people.into_iter().filter(|account| !here.contains(account)).collect();
            for account in &new {
                let contact = contacts::load(tx, *account)?.ok_or_else(|| not_found("no such contact"))?;
                if contact.blocked {
                    return Err(Error::new(ErrorCode::Blocked, "somebody who is blocked"));
                }
            }
            if here.len() + new.len() > MAX_GROUP_PEOPLE {
                return Err(Error::new(ErrorCode::GroupFull, format!("{MAX_GROUP_PEOPLE} people at most")));
            }
            Ok((!new.is_empty()).then_some(GroupChange::Add(new)))
        })
        .await
    }

    /// Removes somebody from a group: they read nothing new.
    pub async fn remove_member(&self, conversation: &str, account: &str) -> Result<GroupView, Error> {
        let account = parse_account(account)?;
        self.change(conversation, move |tx, found| {
            in_it(tx, found, account).map(|()| Some(GroupChange::Remove(account)))
        })
        .await
    }

    /// Makes somebody an admin of a group, or no admin.
    pub async fn set_role(&self, conversation: &str, account: &str, role: Role) -> Result<GroupView, Error> {
        let account = parse_account(account)?;
        self.change(conversation, move |tx, found| {
            in_it(tx, found, account)?;
            Ok(Some(GroupChange::SetRole { account, admin: role == Role::Admin }))
        })
        .await
    }

    /// Gives a group another name.
    pub async fn rename_group(&self, conversation: &str, name: &str) -> Result<GroupView, Error> {
        let name = clean_group_name(name)?;
        self.change(conversation, move |_, found| Ok((found.title != name).then_some(GroupChange::Rename(name)))).await
    }

    /// Leaves a group: the others are asked to take one out, and nothing of it is read or sent any more. What was said stays.
    pub async fn leave_group(&self, conversation: &str) -> Result<ConversationView, Error> {
        let engine = &self.0;
        let id = conversations::parse_id(conversation)?;
        let context = engine.context();
        let changes = engine
            .store
            .run(move |tx| {
                let mut changes = Changes::default();
                let found = conversations::load(tx, &id)?;
                if found.kind != ConversationKind::Group {
                    return Err(not_found("no group to leave"));
                }
                if found.standing == Standing::Asked {
                    return Err(Error::new(ErrorCode::NotMember, "one was not let in yet"));
                }
                if !matches!(found.standing, Standing::Member | Standing::Request) {
                    return Ok(changes);
                }
                let me = account::require(tx)?;
                if found.standing == Standing::Member
                    && let Some(log) = logs::to_send(tx, &id)?
                    && let Some(group) = Group::load(&context.crypto, tx, log.log)?
                {
                    let own = group.own_leaf()?;
                    let (account, device) = (context.account, context.device);
                    let leaf = &own.encryption_key;
                    // What one still had to say there is not said any more, and says so; changes are not made.
                    let unsaid = Error::new(ErrorCode::NotMember, "one left before it was sent").view();
                    for message in outbox::remove_unsealed(tx, &id)? {
                        messages::set_state(tx, me.account, message, MessageState::Failed, Some(&unsaid))?;
                        changes.message(me.account, message, false);
                    }
                    // Where the leaf's keys are gone, nobody can be told.
                    if let Some(keys) = context.leaf_keys(tx, own.identity.key_version)? {
                        let proof = LeaveProof::sign(keys.mls(), log.log, account, device, leaf, random::bytes());
                        outbox::push(tx, &id, None, &AppMessage::Leave(proof).encode())?;
                    }
                }
                conversations::set_standing(tx, &id, Standing::Left)?;
                links::end(tx, &id)?;
                let notice = Notice::Left { name: me.display_name.clone(), mine: true };
                let line = started_line(&id, me.account, true, context.now, &notice);
                messages::insert(tx, &line)?;
                changes.message(me.account, line.id, false);
                changes.conversation(id);
                changes.group(id);
                Ok(changes)
            })
            .await?;
        engine.tell(changes).await;
        engine.outbox_wake.notify_one();
        self.conversation(conversation).await
    }

    /// Queues a change of a group that one may change.
    async fn change(
        &self,
        conversation: &str,
        change: impl FnOnce(&Transaction<'_>, &Conversation) -> Result<Option<GroupChange>, Error> + Send + 'static,
    ) -> Result<GroupView, Error> {
        let engine = &self.0;
        let id = conversations::parse_id(conversation)?;
        let changes = engine
            .store
            .run(move |tx| {
                let mut changes = Changes::default();
                let found = conversations::load(tx, &id)?;
                let me = account::require(tx)?;
                if found.kind != ConversationKind::Group {
                    return Err(not_found("no group"));
                }
                let log = logs::to_send(tx, &id)?.filter(|_| found.standing == Standing::Member);
                let log = log.ok_or_else(|| Error::new(ErrorCode::NotMember, "one is not in the group"))?;
                if !people::is_admin(&people::of(tx, &id)?, me.account) {
                    return Err(Error::new(ErrorCode::NotAdmin, "only an admin may do this"));
                }
                if let Some(change) = change(tx, &found)? {
                    introduce_oneself(tx, &me, &found)?;
                    let bytes = change.encode()?;
                    outbox::push_change(tx, &id, log.log, &bytes, 0)?;
                    if matches!(change, GroupChange::Remove(_)) {
                        // Where the conversation has another group, whoever is removed is to hear and say nothing there either.
                        for other in logs::of(tx, &id)?.iter().filter(|other| other.active && other.log != log.log) {
                            outbox::push_change(tx, &id, other.log, &bytes, 0)?;
                        }
                    }
                }
                changes.group(id);
                Ok(changes)
            })
            .await?;
        engine.tell(changes).await;
        engine.outbox_wake.notify_one();
        self.group(conversation).await
    }
}

/// Who is in a conversation, as it is shown.
pub(super) fn view(tx: &Transaction<'_>, me: &Account, conversation: &Conversation) -> Result<GroupView, Error> {
    let here = people::of(tx, &conversation.id)?;
    let mut pending = 0;
    for item in outbox::changes(tx, &conversation.id)? {
        let housekeeping = matches!(
            GroupChange::decode(&item.content),
            Ok(GroupChange::Update
                | GroupChange::JoinUpdate
                | GroupChange::RotateUpdate
                | GroupChange::AddOwn
                | GroupChange::Admit { .. }
                | GroupChange::Resync { .. }
                | GroupChange::AnswerLeave { .. })
        );
        pending += u32::from(!housekeeping && conversation.kind == ConversationKind::Group);
    }
    Ok(GroupView {
        conversation: to_hex(&conversation.id),
        name: conversation.title.clone(),
        admin: conversation.kind == ConversationKind::Group
            && conversation.standing == Standing::Member
            && people::is_admin(&here, me.account),
        members: people::views(tx, me, &conversation.id)?,
        pending,
        has_link: links::load(tx, &conversation.id)?.is_some(),
    })
}

fn in_it(tx: &Transaction<'_>, found: &Conversation, account: AccountId) -> Result<(), Error> {
    if super::people_in(tx, found)?.contains(&account) {
        Ok(())
    } else {
        Err(not_found("nobody of that id in the group"))
    }
}

pub(super) fn parse_account(text: &str) -> Result<AccountId, Error> {
    text.parse().map_err(|_| not_found("no such account"))
}

/// Each once, in the order given.
fn parse_people(people: &[String]) -> Result<Vec<AccountId>, Error> {
    let mut accounts = Vec::with_capacity(people.len());
    for person in people {
        let account = parse_account(person)?;
        if !accounts.contains(&account) {
            accounts.push(account);
        }
    }
    Ok(accounts)
}

/// Trimmed, 1 to 64 characters, nothing that controls or turns what stands around it.
fn clean_group_name(name: &str) -> Result<String, Error> {
    let name = name.trim();
    let letters = name.chars().count();
    if letters == 0 || letters > NAME_LETTERS || name.len() > MAX_GROUP_NAME || name.chars().any(turns_or_controls) {
        return Err(Error::new(ErrorCode::InvalidGroupName, "the group's name is empty or too long"));
    }
    Ok(name.to_owned())
}

/// The group goes on with one who has left still in it: the wish is said once more, unless it waits to be. Whoever was to answer may
/// have lost it, with an older database, or with their place in the group. True if there is something new to send.
pub(super) fn keep_leaving(tx: &Transaction<'_>, context: &Context, log: &Log) -> Result<bool, Error> {
    let waiting = outbox::messages(tx, &log.conversation)?;
    if waiting.iter().any(|item| matches!(AppMessage::decode(&item.content), Ok(AppMessage::Leave(_)))) {
        return Ok(false);
    }
    // Signed anew when it is sealed, by the leaf as it is then.
    let (keys, random) = (context.keys.mls(), random::bytes());
    let proof = LeaveProof::sign(keys, log.log, context.account, context.device, &[0; 32], random);
    outbox::push(tx, &log.conversation, None, &AppMessage::Leave(proof).encode())?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_groups() {
        assert_eq!(clean_group_name("  Book club ").unwrap(), "Book club");
        assert_eq!(clean_group_name(&"ö".repeat(64)).unwrap().chars().count(), 64);
        for name in ["", "   ", "a\u{202e}b", "a\nb", &"x".repeat(65)] {
            assert_eq!(clean_group_name(name).unwrap_err().code(), ErrorCode::InvalidGroupName);
        }
    }
}
