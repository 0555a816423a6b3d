//! What a log says of oneself and of contacts: alarms, keys in doubt, news. And whose the entries are that conversations have shown of the own chain.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use rusqlite::Transaction;
use waxwing_wire::transparency::{Leaf, account_hash};
use waxwing_wire::{AccountId, ChainEntry};

use super::super::emit::Changes;
use super::super::entries::DAY_MS;
use super::super::{Engine, not_found, safety};
use super::{hash_of, load, not_in_time};
use crate::error::{Error, ErrorCode};
use crate::random;
use crate::relay::local_ms;
use crate::store::transparency::{self as stored, Alarm, Placed, TransparencyLog};
use crate::store::{account, closing, contacts, device_link, keys, own_shown, people, recovery, unproved};
use crate::views::Notice;

/// For one contact's relay to show what is new.
const NEWS_PATIENCE: Duration = Duration::from_secs(10);
/// In so many different hours what a log has must have been asked for in vain, over a day at least, before that says something of the relay.
const NEWS_HOURS: u32 = 6;

impl Engine {
    /// What is new in the logs about oneself and about contacts.
    pub(in super::super) async fn look_at_logs(&self) -> Result<(), Error> {
        if let Err(error) = self.catch_up_with_own_keys().await {
            self.judge_shown(false).await?;
            return Err(error);
        }
        let followed = self.follow_own_devices_for(NEWS_PATIENCE).await;
        if let Err(error) = &followed {
            // Where the log has it, it is an alarm until it can be had.
            tracing::info!(%error, "what other own devices have stated cannot be had");
        }
        let home = self.home.address().authority();
        for origin in self.store.run(stored::relays).await? {
            let own = origin == home;
            let name = match own {
                true => Some(hash_of(self.store.run(account::require).await?.username, origin.clone()).await?),
                false => None,
            };
            let (me, now) = (self.account, self.now_ms());
            let (raised, changes) = self
                .store
                .run(move |tx| {
                    let log = load(tx, &origin)?;
                    if log.looked >= log.size() {
                        return Ok((false, Changes::default()));
                    }
                    let raised = match name {
                        Some(name) => look_for_oneself(tx, &log, (me, &name), now)?,
                        None => false,
                    };
                    let mut changes = Changes::default();
                    for account in news_of_contacts(tx, &log, me, now, &mut changes)? {
                        unproved::note_news(tx, account)?;
                    }
                    names_given_again(tx, &log, me, now, &mut changes)?;
                    // What is found is kept with it, so nothing is found, and said, a second time.
                    stored::set_looked(tx, log.n, log.size())?;
                    Ok((raised, changes))
                })
                .await?;
            self.tell(changes).await;
            if raised {
                tracing::warn!("the relay's log holds an entry of the own account that no own device has made");
                self.tell_log(&home).await;
            }
        }
        self.judge_shown(followed.is_ok()).await?;
        let mut news = self.store.run(unproved::news).await?;
        // One that takes its time does not keep the same others waiting in each round.
        let first = u32::from_be_bytes(random::bytes());
        let count = news.len().max(1);
        news.rotate_left(usize::try_from(first).unwrap_or(0) % count);
        let mut silent = HashSet::new();
        for account in news {
            self.look_at_news(account, &mut silent).await?;
        }
        // Tried again soon.
        followed
    }

    /// Newer entries of a contact, which their relay's log has. Entries that everybody sees and nobody is given put their keys in doubt: whoever had these
    /// may have lost a device to somebody, who is written to until they are known. `silent`: relays that have not answered in this round.
    async fn look_at_news(&self, account: AccountId, silent: &mut HashSet<String>) -> Result<(), Error> {
        let relay = self.store.run(move |tx| contacts::load(tx, account)).await?.map(|contact| contact.relay);
        let Some(relay) = relay.filter(|relay| !silent.contains(&relay.authority())) else { return Ok(()) };
        let Err(first) = self.ask_for_news(account).await else { return Ok(()) };
        tracing::info!(error = %first, "a contact's new keys cannot be had");
        let is_held_back = |error: &Error| error.code() == ErrorCode::NewerKeysHeldBack;
        // What came in between the chain and the log is there the second time; and a relay that cannot be reached keeps nothing back.
        let read = tokio::time::timeout(NEWS_PATIENCE, self.follow_log(&relay)).await;
        let readable = matches!(read, Ok(Ok(())));
        if !readable {
            silent.insert(relay.authority());
        }
        if !readable && !is_held_back(&first) {
            return Ok(());
        }
        // By this computer's clock: the relay that keeps them back is the one that would tell the time.
        let now = u64::try_from(local_ms()).unwrap_or(0);
        let (since, hours) = self.store.run(move |tx| unproved::news_not_had(tx, account, now)).await?;
        let for_long = now.saturating_sub(since) >= DAY_MS && hours >= NEWS_HOURS;
        let caught = readable && is_held_back(&first);
        if !for_long && !caught {
            return Ok(());
        }
        let Err(second) = self.ask_for_news(account).await else { return Ok(()) };
        if for_long || is_held_back(&second) {
            let now = self.now_ms();
            let changes = self.store.run(move |tx| {
                let mut changes = Changes::default();
                safety::note_doubt(tx, account, "the relay's log has newer keys than it shows", now, &mut changes)?;
                Ok(changes)
            });
            let changes = changes.await?;
            self.tell(changes).await;
        }
        Ok(())
    }

    async fn ask_for_news(&self, account: AccountId) -> Result<(), Error> {
        let asked = tokio::time::timeout(NEWS_PATIENCE, self.refresh_chain(account)).await;
        asked.unwrap_or_else(|_| Err(not_in_time()))?;
        self.store.run(move |tx| unproved::news_are_had(tx, account)).await
    }

    /// What conversations have shown of the own chain. Nothing is anybody else's doing before this device knows its own; but a relay that never tells it
    /// hides nothing by that for longer than a day.
    async fn judge_shown(&self, asked: bool) -> Result<(), Error> {
        let (me, a_day_ago) = (self.account, self.now_ms().saturating_sub(DAY_MS));
        let knows_its_own = asked && self.leads_here(&*self.chain(me).await?);
        if self.store.run(move |tx| look_at_shown(tx, me, (knows_its_own, a_day_ago))).await? {
            tracing::warn!("a conversation has shown an entry of the own account that no own device has made");
            self.tell_log(&self.home.address().authority()).await;
        }
        Ok(())
    }
}

/// Contacts of whom a log has newer entries than are known. Another entry in the place of a known one puts their keys in doubt.
fn news_of_contacts(
    tx: &Transaction<'_>,
    log: &TransparencyLog,
    me: AccountId,
    now: u64,
    changes: &mut Changes,
) -> Result<Vec<AccountId>, Error> {
    let mut news = Vec::new();
    for contact in contacts::all(tx)?.iter().filter(|one| one.relay.authority() == log.relay && one.account != me) {
        let leaves = stored::about(tx, log, &account_hash(&contact.account), log.looked)?;
        if leaves.is_empty() {
            continue;
        }
        let Some(chain) = keys::chain(tx, contact.account)? else { continue };
        let differs = |placed: &Placed| match placed.leaf {
            Leaf::Chain { seq, entry_hash, .. } => chain.hash_at(seq).is_some_and(|known| known != entry_hash),
            Leaf::Name { .. } => false,
        };
        let differ = leaves.iter().any(differs);
        if differ {
            tracing::warn!("a relay's log holds another entry in the place of a contact's");
            safety::note_doubt(tx, contact.account, "the relay's log holds another entry", now, changes)?;
        }
        let refuted = keys::refuted(tx, contact.account)?;
        let newer = |placed: &Placed| match placed.leaf {
            Leaf::Chain { seq, entry_hash, .. } => seq > chain.seq() && !refuted.contains(&entry_hash),
            Leaf::Name { .. } => false,
        };
        // What came in a conversation alone may have to give way to it.
        if leaves.iter().any(newer) || (differ && unproved::unlogged_from(tx, contact.account)?.is_some()) {
            news.push(contact.account);
        }
    }
    Ok(news)
}

/// A log gives each name once. Where a contact's is given again, whoever adds them by it may reach somebody else: said once, and nothing is
/// stopped, since what is said here goes to the keys of the account and not to a name.
fn names_given_again(
    tx: &Transaction<'_>,
    log: &TransparencyLog,
    me: AccountId,
    now: u64,
    changes: &mut Changes,
) -> Result<(), Error> {
    let mut created: Option<HashMap<[u8; 32], AccountId>> = None;
    let mut again = Vec::new();
    stored::given_again(tx, log, log.looked, |hash| {
        // Chains are read where there is such a name at all: hardly ever.
        let created = match &mut created {
            Some(created) => created,
            none => none.insert(created_by(tx, log, me)?),
        };
        again.extend(created.remove(&hash));
        Ok(())
    })?;
    for account in again {
        if stored::tell_given_again(tx, account)? {
            tracing::warn!("a relay's log gives a contact's name to another account, too");
            let name = people::name(tx, &account::require(tx)?, account)?;
            safety::say_where_they_are(tx, account, now, &Notice::NameGivenAgain { name }, changes)?;
        }
    }
    Ok(())
}

/// The contacts whose relay keeps this log, by the hashes of their chains' first entries.
fn created_by(
    tx: &Transaction<'_>,
    log: &TransparencyLog,
    me: AccountId,
) -> Result<HashMap<[u8; 32], AccountId>, Error> {
    let mut created = HashMap::new();
    for contact in contacts::all(tx)?.iter().filter(|one| one.relay.authority() == log.relay && one.account != me) {
        if let Some(hash) = keys::chain(tx, contact.account)?.and_then(|chain| chain.hash_at(0)) {
            created.insert(hash, contact.account);
        }
    }
    Ok(created)
}

/// An entry of one's own that no own device has made is an alarm, and so is the own name given to another. True if one was raised.
fn look_for_oneself(
    tx: &Transaction<'_>,
    log: &TransparencyLog,
    (me, name): (AccountId, &[u8; 32]),
    now: u64,
) -> Result<bool, Error> {
    let who = account_hash(&me);
    if !stored::speaks_of(tx, log, &who, log.looked)? && !stored::speaks_of(tx, log, name, log.looked)? {
        return Ok(false);
    }
    let chain = keys::chain(tx, me)?.ok_or_else(|| not_found("no own chain"))?;
    let under_way = under_way(tx)?;
    let mut raised = false;
    // One by one, and no further than to as many as are kept: a relay may have put in any number of them.
    for (about, names) in [(&who, false), (name, true)] {
        stored::each_of(tx, log, about, log.looked, |placed| {
            let (seq, entry_hash) = match placed.leaf {
                Leaf::Chain { seq, entry_hash, .. } => (Some(seq), entry_hash),
                Leaf::Name { entry_hash, .. } => (None, entry_hash),
            };
            if seq.is_none() != names {
                // Of something else that has the same hash, by the relay's word.
                return Ok(true);
            }
            let own = chain.hash_at(seq.unwrap_or(0)) == Some(entry_hash);
            if own || seq.is_some_and(|seq| under_way.contains(&(seq, entry_hash))) {
                return Ok(true);
            }
            let alarm = Alarm { index: Some(placed.index), seq, entry_hash, at_ms: now };
            let fresh = stored::raise(tx, &alarm)?;
            raised |= fresh;
            Ok(fresh || !stored::are_full(tx, alarm.kind())?)
        })?;
    }
    Ok(raised)
}

/// Places and hashes of the entries of changes under way: an answer that is still to come has made one that the chain here does not have yet.
fn under_way(tx: &Transaction<'_>) -> Result<Vec<(u32, [u8; 32])>, Error> {
    let rotation = keys::rotation(tx)?.map(|one| one.entry);
    let recovery = recovery::load(tx)?.map(|one| one.entry);
    let account_key = keys::account_change(tx)?.map(|one| one.entry);
    let entries = [rotation, account_key, recovery, closing::load(tx)?, device_link::under_way(tx)?];
    let entries = entries.iter().flatten().filter_map(|entry| ChainEntry::decode(entry).ok());
    Ok(entries.map(|entry| (entry.unsigned.seq, entry.hash())).collect())
}

/// Whose the entries are that conversations have shown of the own chain (`own_parts`), after the log was looked at. One that is neither an own device's
/// nor in the log is an alarm all the same. True if one was raised.
/// Where this device does not know all that it has made itself, what was noted later than a day ago is not judged yet.
fn look_at_shown(tx: &Transaction<'_>, me: AccountId, (knows_its_own, a_day_ago): (bool, u64)) -> Result<bool, Error> {
    let noted = own_shown::all(tx)?;
    if noted.is_empty() {
        return Ok(false);
    }
    let chain = keys::chain(tx, me)?.ok_or_else(|| not_found("no own chain"))?;
    let under_way = under_way(tx)?;
    // What another own device has stated behind it cannot be had before.
    let waits = chain.devices().count() > 1 && !under_way.is_empty();
    let until = if knows_its_own && !waits { u64::MAX } else { a_day_ago };
    let mut raised = false;
    for shown in noted.into_iter().filter(|shown| shown.at_ms <= until) {
        if under_way.contains(&(shown.seq, shown.hash)) {
            // Judged again once it is clear what has become of that.
            continue;
        }
        own_shown::remove(tx, &shown)?;
        let own = chain.hash_at(shown.seq) == Some(shown.hash);
        if own || stored::is_alarm(tx, shown.seq, &shown.hash)? {
            continue;
        }
        let (seq, entry_hash) = (Some(shown.seq), shown.hash);
        raised |= stored::raise(tx, &Alarm { index: None, seq, entry_hash, at_ms: shown.at_ms })?;
    }
    Ok(raised)
}
