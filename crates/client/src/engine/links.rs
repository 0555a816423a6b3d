//! Own links into groups: made, shown, turned off. Who comes in by one is in `admit`; asking with somebody else's in `asking`.

use rusqlite::Transaction;
use waxwing_protocol::{GroupInvite, Invite};
use waxwing_wire::VerifiedChain;
use waxwing_wire::ids::to_hex;
use waxwing_wire::limits::{MAX_GROUP_DEVICES, MAX_GROUP_PEOPLE};

use super::emit::Changes;
use super::{Client, Engine, not_found};
use crate::error::{Error, ErrorCode};
use crate::store::account::Account;
use crate::store::conversations::{Conversation, ConversationId};
use crate::store::people::Person;
use crate::store::{account, conversations, links, people};
use crate::views::{ConversationKind, GroupLinkView, GroupView, Standing};

impl Client {
    /// The link of this device's that lets people into a group, if there is one.
    pub async fn group_link(&self, conversation: &str) -> Result<Option<GroupLinkView>, Error> {
        let engine = &self.0;
        let id = conversations::parse_id(conversation)?;
        let chain = engine.chain(engine.account).await?;
        engine.store.run(move |tx| view(tx, &account::require(tx)?, &chain, &id)).await
    }

    /// Makes a link that lets whoever has it into a group; one that was made before lets nobody in any more. The relay must be
    /// in reach: a link that it does not know yet would be refused there.
    pub async fn make_group_link(&self, conversation: &str) -> Result<GroupLinkView, Error> {
        let engine = &self.0;
        let id = conversations::parse_id(conversation)?;
        let changes = engine
            .store
            .run(move |tx| {
                let found = conversations::load(tx, &id)?;
                may_let_in(tx, &account::require(tx)?, &found)?;
                links::make(tx, &id)?;
                let mut changes = Changes::default();
                changes.group(id);
                Ok(changes)
            })
            .await?;
        if let Err(error) = engine.tell_keys_to_relay().await {
            engine.store.run(move |tx| links::end(tx, &id)).await?;
            engine.tell(changes).await;
            return Err(error);
        }
        engine.tell(changes).await;
        self.group_link(conversation).await?.ok_or_else(|| not_found("the link was turned off"))
    }

    /// Turns the link into a group off: it lets nobody in any more. Here at once; at the relay as soon as that is in reach.
    pub async fn end_group_link(&self, conversation: &str) -> Result<GroupView, Error> {
        let engine = &self.0;
        let id = conversations::parse_id(conversation)?;
        let changes = engine
            .store
            .run(move |tx| {
                conversations::load(tx, &id)?;
                let mut changes = Changes::default();
                if links::end(tx, &id)? {
                    changes.group(id);
                }
                Ok(changes)
            })
            .await?;
        engine.tell(changes).await;
        engine.outbox_wake.notify_one();
        self.group(conversation).await
    }
}

impl Engine {
    /// Tells the relay of new and of dismissed access keys now. One pass at a time: a slower one would put back what was dismissed.
    pub(super) async fn tell_keys_to_relay(&self) -> Result<(), Error> {
        let _one = self.flushing.lock().await;
        self.flush_access_keys().await
    }
}

fn view(
    tx: &Transaction<'_>,
    me: &Account,
    chain: &VerifiedChain,
    id: &ConversationId,
) -> Result<Option<GroupLinkView>, Error> {
    let found = conversations::load(tx, id)?;
    let Some(link) = links::load(tx, id)? else { return Ok(None) };
    let inviter = Invite { access_key: link.key, ..super::contacts::invite_of(tx, me, chain)? };
    let invite = GroupInvite { inviter, conversation: *id, title: found.title };
    Ok(Some(GroupLinkView { conversation: to_hex(id), link: invite.to_link() }))
}

/// Whether one may let people into this group at all.
fn may_let_in(tx: &Transaction<'_>, me: &Account, found: &Conversation) -> Result<(), Error> {
    if found.kind != ConversationKind::Group {
        return Err(not_found("no group"));
    }
    if found.standing != Standing::Member {
        return Err(Error::new(ErrorCode::NotMember, "one is not in the group"));
    }
    let people = people::of(tx, &found.id)?;
    if !people::is_admin(&people, me.account) {
        return Err(Error::new(ErrorCode::NotAdmin, "only an admin may do this"));
    }
    if is_full(&people, 0) {
        return Err(Error::new(ErrorCode::GroupFull, format!("{MAX_GROUP_PEOPLE} people at most")));
    }
    Ok(())
}

/// Whether nobody more fits in, with so many already on their way.
pub(super) fn is_full(people: &[Person], coming: usize) -> bool {
    let devices: usize = people.iter().map(|person| person.devices as usize).sum();
    people.len() + coming >= MAX_GROUP_PEOPLE || devices + coming >= MAX_GROUP_DEVICES
}
