//! Letting people in who ask with an own link: judged when their request comes in, and once more when the commit is made.

use rusqlite::Transaction;
use waxwing_protocol::JoinRequest;
use waxwing_wire::AccountId;

use super::context::Context;
use super::entries::peer_display_name;
use super::inbox::CheckedSender;
use super::links::is_full;
use super::sealing::Outcome;
use crate::error::Error;
use crate::mls::GroupChange;
use crate::store::contacts::Contact;
use crate::store::conversations::ConversationId;
use crate::store::links::GroupLink;
use crate::store::outbox::Item;
use crate::store::{contacts, conversations, links, logs, outbox, people};
use crate::views::{ConversationKind, Standing, Trust};

/// Most people that one link lets in within [`DAY_MS`].
const MOST_A_DAY: u32 = 64;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// How long somebody is waited for whose key packages cannot be had.
const PATIENCE_MS: u64 = 7 * DAY_MS;
/// First wait before they are tried again; it grows with the age of the request.
const FIRST_WAIT_MS: u64 = 2000;
const LONGEST_WAIT_MS: u64 = 60 * 60 * 1000;

/// A request and who sent it.
pub(super) struct Asking {
    pub(super) request: JoinRequest,
    pub(super) sender: CheckedSender,
}

/// Why a request is not looked into any further, if so. Nothing but this device is asked: whoever does not hold the link makes it speak
/// to nobody.
pub(super) fn refuse(
    tx: &Transaction<'_>,
    context: &Context,
    request: &JoinRequest,
) -> Result<Option<&'static str>, Error> {
    let Some(link) = links::load(tx, &request.conversation)? else {
        return Ok(Some("no link into that group is in force"));
    };
    if !request.holds(&link.key, context.account) {
        return Ok(Some("it does not prove the link that is in force"));
    }
    if let Some(reason) = refuse_all(tx, context, &request.conversation)? {
        return Ok(Some(reason));
    }
    if contacts::load(tx, request.sender.account)?.is_some_and(|contact| contact.blocked) {
        return Ok(Some("its sender is blocked"));
    }
    Ok((joins_today(&link, context.now).0 >= MOST_A_DAY).then_some("the link has let in as many as it may in a day"))
}

/// Queues that whoever asks is let in; does nothing where they are in, or on their way; else says why not.
pub(super) fn admit(tx: &Transaction<'_>, context: &Context, asking: &Asking) -> Result<Option<&'static str>, Error> {
    let (request, id) = (&asking.request, asking.request.conversation);
    if let Some(reason) = refuse(tx, context, request)? {
        return Ok(Some(reason));
    }
    let (Some(link), Some(log)) = (links::load(tx, &id)?, logs::to_send(tx, &id)?) else {
        return Ok(Some("one is not in that group"));
    };
    let here = people::of(tx, &id)?;
    let (mut coming, mut going) = (Vec::new(), Vec::new());
    for item in outbox::changes(tx, &id)? {
        match GroupChange::decode(&item.content) {
            Ok(GroupChange::Admit { account, .. }) => coming.push(account),
            Ok(GroupChange::AnswerLeave { account, .. }) => going.push(account),
            _ => {}
        }
    }
    let stays =
        here.iter().any(|person| person.account == request.sender.account) && !going.contains(&request.sender.account);
    if stays || coming.contains(&request.sender.account) {
        return Ok(None);
    }
    if links::is_removed(tx, &id, request.sender.account)? {
        return Ok(Some("an admin has removed its sender from the group"));
    }
    if is_full(&here, coming.len()) {
        return Ok(Some("the group is full"));
    }
    contacts::upsert(
        tx,
        &Contact {
            account: request.sender.account,
            name: request.sender.name.clone(),
            relay: request.sender.home.clone(),
            display_name: peer_display_name(&request.sender.display_name, request.sender.name.as_str()),
            trust: Trust::FirstUse,
            access_key: Some(request.sender.access_key.clone()),
            // Being let into a group makes nobody a contact.
            known: false,
            blocked: false,
        },
    )?;
    let change = GroupChange::Admit { account: request.sender.account, link: link.key.hash(), asked_ms: context.now };
    outbox::push_change(tx, &id, log.log, &change.encode()?, 0)?;
    let (joins, day_ms) = joins_today(&link, context.now);
    links::set_joins(tx, &id, joins + 1, day_ms)?;
    Ok(None)
}

/// Whether somebody who has asked is still to be let in.
pub(super) fn stands(
    tx: &Transaction<'_>,
    context: &Context,
    id: &ConversationId,
    (account, link, asked_ms): (AccountId, &[u8; 32], u64),
) -> Result<bool, Error> {
    let in_force = links::load(tx, id)?.is_some_and(|one| one.key.hash() == *link);
    let blocked = contacts::load(tx, account)?.is_none_or(|contact| contact.blocked);
    Ok(in_force
        && !blocked
        && !is_over(asked_ms, context.now)
        && !links::is_removed(tx, id, account)?
        && refuse_all(tx, context, id)?.is_none())
}

/// Their key packages cannot be had. Nothing waits for that: not what is said in the group, and not for ever.
pub(super) fn later(tx: &Transaction<'_>, context: &Context, item: &Item) -> Result<Outcome, Error> {
    if let GroupChange::Admit { account, link, asked_ms } = GroupChange::decode(&item.content)?
        && stands(tx, context, &item.conversation, (account, &link, asked_ms))?
    {
        return Ok(Outcome::Later(next_try(asked_ms, context.now)));
    }
    outbox::remove(tx, item.n)?;
    Ok(Outcome::Done)
}

/// Whether somebody who asked then is waited for no longer.
fn is_over(asked_ms: u64, now_ms: u64) -> bool {
    now_ms.saturating_sub(asked_ms) > PATIENCE_MS
}

/// When somebody whose key packages could not be had is tried again.
pub(super) fn next_try(asked_ms: u64, now_ms: u64) -> u64 {
    now_ms + now_ms.saturating_sub(asked_ms).clamp(FIRST_WAIT_MS, LONGEST_WAIT_MS)
}

/// Why nobody is let into this group by this device, if so.
fn refuse_all(tx: &Transaction<'_>, context: &Context, id: &ConversationId) -> Result<Option<&'static str>, Error> {
    let conversation = conversations::load(tx, id)?;
    if conversation.kind != ConversationKind::Group || conversation.standing != Standing::Member {
        return Ok(Some("one is not in that group"));
    }
    let admin = people::is_admin(&people::of(tx, id)?, context.account);
    Ok((!admin).then_some("one is no admin of that group"))
}

/// How many the link has let in within a day that began then.
fn joins_today(link: &GroupLink, now_ms: u64) -> (u32, u64) {
    if now_ms.saturating_sub(link.day_ms) < DAY_MS { (link.joins, link.day_ms) } else { (0, now_ms) }
}

#[cfg(test)]
mod tests {
    use waxwing_protocol::AccessKey;

    use super::*;

    #[test]
    fn a_day_is_counted_from_its_first() {
        let link = |joins, day_ms| GroupLink { key: AccessKey::from_bytes(&[1; 16]), joins, day_ms };
        let now = 1_800_000_000_000;
        assert_eq!(joins_today(&link(0, 0), now), (0, now));
        assert_eq!(joins_today(&link(64, now), now + DAY_MS - 1), (64, now));
        assert_eq!(joins_today(&link(64, now), now + DAY_MS), (0, now + DAY_MS));
    }

    #[test]
    fn who_cannot_be_added_is_tried_ever_less_often_and_then_not_at_all() {
        let (mut now, mut tries) = (1000, 0);
        while !is_over(0, now) {
            let next = next_try(0, now);
            assert!(next - now >= FIRST_WAIT_MS && next - now <= LONGEST_WAIT_MS);
            (now, tries) = (next, tries + 1);
        }
        assert!((160..=200).contains(&tries), "{tries}");
    }
}
