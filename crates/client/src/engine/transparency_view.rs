//! What people see of transparency logs: since when they are consistent, what speaks against them, and entries that nobody here has made.

use std::sync::{Mutex, PoisonError};

use rusqlite::Transaction;

use super::groups::parse_account;
use super::transparency::{STALE_MS, is_withheld};
use super::{Client, Engine, not_found};
use crate::error::{Error, ErrorView};
use crate::event::Event;
use crate::store::conversations as stored_conversations;
use crate::store::transparency::{self as stored, Against};
use crate::store::{contacts, restorations};
use crate::views::{ContradictionKind, ContradictionView, KeyAlarmView, LogView, RestorationView};

impl Client {
    /// The own relay's transparency log.
    pub async fn transparency_log(&self) -> Result<LogView, Error> {
        self.0.log_view(self.0.home.address().authority()).await
    }

    /// The log of the relay of whoever a conversation is with.
    pub async fn peer_log(&self, conversation: &str) -> Result<LogView, Error> {
        let id = stored_conversations::parse_id(conversation)?;
        let home = self.0.home.address().clone();
        let relay = self.0.store.run(move |tx| {
            let with = stored_conversations::load(tx, &id)?.account;
            Ok(contacts::load(tx, with)?.map_or(home, |contact| contact.relay))
        });
        self.0.log_view(relay.await?.authority()).await
    }

    /// The log of somebody's relay, by account id.
    pub async fn log_of(&self, account: &str) -> Result<LogView, Error> {
        let account = parse_account(account)?;
        let contact = self.0.store.run(move |tx| contacts::load(tx, account)).await?;
        let contact = contact.ok_or_else(|| not_found("no such contact"))?;
        self.0.log_view(contact.relay.authority()).await
    }

    /// Every log that something speaks against: the own relay's, and those of other people's relays, which nothing else lists.
    pub async fn contradicted_logs(&self) -> Result<Vec<LogView>, Error> {
        let mut logs = Vec::new();
        for origin in self.0.store.run(stored::contradicted).await? {
            logs.push(self.0.log_view(origin).await?);
        }
        Ok(logs)
    }
}

impl Engine {
    pub(super) async fn log_view(&self, origin: String) -> Result<LogView, Error> {
        let (now, home) = (self.now_ms(), self.home.address().authority());
        let of = |problem: &Mutex<Option<ErrorView>>| problem.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let problems =
            if origin == home { (of(&self.restored_problem), of(&self.unlogged_problem)) } else { (None, None) };
        self.store.run(move |tx| view(tx, origin, &home, now, problems)).await
    }

    /// A log as it is now, told.
    pub(super) async fn tell_log(&self, origin: &str) {
        match self.log_view(origin.to_owned()).await {
            Ok(log) => self.emit(Event::Log { log }),
            Err(error) => tracing::warn!(%error, "reading a log back"),
        }
    }
}

fn view(
    tx: &Transaction<'_>,
    origin: String,
    home: &str,
    now: u64,
    (restored_problem, unlogged_problem): (Option<ErrorView>, Option<ErrorView>),
) -> Result<LogView, Error> {
    let log = stored::load(tx, &origin)?;
    let proved = log.as_ref().and_then(|log| log.proved.as_ref());
    let proved_at = proved.map(|proved| proved.checkpoint().time_ms);
    let settled_n = log.as_ref().map_or(0, |log| log.settled_n);
    let contradictions = stored::evidence(tx, &origin)?.into_iter().map(|evidence| ContradictionView {
        kind: match evidence.against {
            Against::TwoHistories => ContradictionKind::TwoHistories,
            Against::Unproved => ContradictionKind::Unproved,
            Against::WentBack => ContradictionKind::WentBack,
            Against::Diverged => ContradictionKind::Diverged,
        },
        at: evidence.at_ms as f64,
        settled: evidence.n <= settled_n,
        first: evidence.first,
        second: evidence.second,
    });
    let restorations = restorations::of(tx, &origin)?.into_iter().map(|one| RestorationView {
        // No backup is of after it was put back.
        backup: one.time_ms.min(one.found_ms) as f64,
        size: one.size as f64,
        found: one.found_ms as f64,
    });
    let withheld = is_withheld(tx, &origin, proved_at, now)?;
    let (alarms, more_alarms) = if origin == home { stored::alarms(tx)? } else { (Vec::new(), false) };
    // The relay says what it likes; what cannot have been yet is of now.
    let told = |at: u64| if stored::is_to_come(at, now) { now } else { at };
    Ok(LogView {
        size: log.as_ref().map_or(0, |log| log.size()) as f64,
        read: log.as_ref().map_or(0, |log| log.read.size()) as f64,
        proved_at: proved_at.map_or(0, told) as f64,
        since: log.as_ref().map_or(0, |log| told(log.since_ms)) as f64,
        stale: withheld || proved_at.is_none_or(|at| now.saturating_sub(at) > STALE_MS),
        withheld,
        contradictions: contradictions.collect(),
        alarms: alarms
            .into_iter()
            .map(|alarm| KeyAlarmView {
                index: alarm.index.map(|index| index as f64),
                seq: alarm.seq,
                at: alarm.at_ms as f64,
            })
            .collect(),
        more_alarms,
        restorations: restorations.collect(),
        restored_problem,
        unlogged_problem,
        origin,
    })
}
