//! Chain entries that came in a conversation alone give way to those that the log of their account's relay holds in their places.
//!
//! Whoever has stolen an account key can sign one more entry and show it to the account's contacts, in a commit or beside a notice of erased keys, and
//! never state it at the relay. They take it, since it proves itself, and could take nothing that the owner states in its place, not even with the
//! phrase. So what the log was never seen to hold is given up where it proves something else; it is kept apart, and the user is told. What was proved
//! once is never given up, whatever a relay shows.
//!
//! Not here: how a chain is fetched and looked up (`chains`, `transparency`), and how a conversation is begun anew (`restart`).

use std::sync::{Arc, PoisonError};

use rusqlite::Transaction;
use waxwing_protocol::group::{GroupKind, Roster};
use waxwing_wire::{AccountId, LogId, VerifiedChain};

use super::context::{Context, contact_line};
use super::emit::Changes;
use super::{Engine, follow, safety};
use crate::error::Error;
use crate::mls::{self, Group};
use crate::store::logs::Trouble;
use crate::store::{account, contacts, keys, logs, people, unproved, verifications};
use crate::views::Notice;

/// What has come of it.
pub(super) struct GaveWay {
    /// The first entry that was given up.
    pub(super) given_up: (u32, [u8; 32]),
    /// Groups that have followed it, and that this device may begin anew.
    pub(super) astray: Vec<LogId>,
    /// Whether something waits to be sent.
    pub(super) wake: bool,
    pub(super) changes: Changes,
}

impl Engine {
    /// Takes what the log proves in the place of entries that came in a conversation alone. False if there is nothing of that kind.
    pub(super) async fn gives_way(&self, account: AccountId) -> Result<bool, Error> {
        let find = move |tx: &Transaction<'_>| {
            let (from, contact) = (unproved::unlogged_from(tx, account)?, contacts::load(tx, account)?);
            let (Some(from), Some(contact)) = (from, contact) else { return Ok(None) };
            let mut proved = keys::chain_entries(tx, account)?;
            proved.truncate(from.max(1) as usize);
            Ok(Some((contact.relay, VerifiedChain::verify(&proved)?)))
        };
        let Some((relay, proved)) = self.store.run(find).await? else { return Ok(false) };
        // Each entry behind what was proved must stand in the log, and nothing else in its place.
        let (chain, fresh) = self.fetch_chain(&relay, &account.to_string(), Some(&proved)).await?;
        let (context, news) = (self.context(), Arc::new(chain));
        let gave = self.store.run(move |tx| {
            let gave = take(tx, &context, &news, &fresh)?;
            if let Some(gave) = &gave {
                // In the same step: whoever waits for this may give it up, and nothing is sealed by what was given up.
                context.chains.replace(news, gave.given_up);
            }
            Ok(gave)
        });
        let Some(gave) = gave.await? else { return Ok(false) };
        tracing::warn!(seq = gave.given_up.0, "entries that came in a conversation alone gave way to those in the log");
        self.tell(gave.changes).await;
        if gave.wake {
            self.outbox_wake.notify_one();
        }
        // What was said there until now is read before they are begun anew. Not here: a page of the log may be what this is asked for.
        self.to_look_at.lock().unwrap_or_else(PoisonError::into_inner).extend(gave.astray);
        self.introductions_wake.notify_one();
        Ok(true)
    }

    /// The same, where it is no matter if it cannot be done now. Asks nobody unless something came in a conversation alone.
    pub(super) async fn gave_way(&self, account: AccountId) -> bool {
        // See [`Engine::follow_log`].
        Box::pin(self.gives_way(account)).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "whether entries give way to those in the log");
            false
        })
    }
}

/// Takes a chain whose newest entries, `fresh`, were found in the log, behind others that were proved before. None if nothing that is known here
/// has to give way to it.
pub(super) fn take(
    tx: &Transaction<'_>,
    context: &Context,
    chain: &VerifiedChain,
    fresh: &[Vec<u8>],
) -> Result<Option<GaveWay>, Error> {
    let account = chain.account();
    let (from, known) = (unproved::unlogged_from(tx, account)?, keys::chain(tx, account)?);
    let (Some(from), Some(known)) = (from, known) else { return Ok(None) };
    let mut places = from.max(1)..=known.seq().min(chain.seq());
    let Some(place) = places.find(|seq| known.hash_at(*seq) != chain.hash_at(*seq)) else { return Ok(None) };
    let first = (chain.seq() as usize + 1).checked_sub(fresh.len());
    let Some(theirs) = first.and_then(|first| fresh.get((place as usize).checked_sub(first)?..)) else {
        return Ok(None);
    };
    // Something else was proved meanwhile.
    let Some(given_up) = known.hash_at(place).filter(|_| known.hash_at(place - 1) == chain.hash_at(place - 1)) else {
        return Ok(None);
    };
    keys::give_up_entries(tx, account, place, context.now)?;
    keys::add_chain_entries(tx, account, place, theirs)?;
    unproved::is_logged(tx, account, chain.seq())?;
    // Whoever could sign what was given up has had a part in these keys.
    verifications::ask(tx, account)?;
    let mut changes = Changes::default();
    let name = people::name(tx, &account::require(tx)?, account)?;
    safety::say_where_they_are(tx, account, context.now, &Notice::KeysGivenUp { name }, &mut changes)?;
    safety::announce(tx, context.now, &mut changes)?;
    let astray = astray(tx, context, account)?;
    let wake = follow::concerns_groups(theirs) && follow::chain_grew(tx, context, account)?;
    Ok(Some(GaveWay { given_up: (place, given_up), astray, wake, changes }))
}

/// Groups whose roster names an entry of this account that was given up. No chain leads on from there, so nobody could follow what the owner states:
/// whoever may begins them anew.
fn astray(tx: &Transaction<'_>, context: &Context, account: AccountId) -> Result<Vec<LogId>, Error> {
    let mut astray = Vec::new();
    for log in logs::active(tx)? {
        if !people::of(tx, &log.conversation)?.iter().any(|person| person.account == account) {
            continue;
        }
        let Some(group) = Group::load(&context.crypto, tx, log.log)? else { continue };
        let facts = group.facts()?;
        let Some(line) = facts.roster.line(account) else { continue };
        if !keys::is_given_up(tx, account, &line.chain_head)? {
            continue;
        }
        let of_many = facts.roster.kind == GroupKind::Group;
        if !of_many || mls::rules::admins(&facts.roster, &facts.leaves).contains(&context.account) {
            logs::note_trouble(tx, log.log, Trouble::Frozen)?;
            astray.push(log.log);
        }
    }
    Ok(astray)
}

/// In a roster that is to be begun anew, lines that name entries which were given up go by the chains that took their places.
pub(super) fn mend_lines(tx: &Transaction<'_>, roster: &mut Roster) -> Result<(), Error> {
    for line in roster.lines.clone() {
        if !keys::is_given_up(tx, line.account, &line.chain_head)? {
            continue;
        }
        let (contact, chain) = (contacts::load(tx, line.account)?, keys::chain(tx, line.account)?);
        if let (Some(contact), Some(chain)) = (contact, chain) {
            roster.set(contact_line(&contact, &chain, line.role));
        }
    }
    Ok(())
}
