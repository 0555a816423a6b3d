//! The way into inboxes: Welcomes, notices, requests. Each relay has a lane of its own, in which one thing after another is sent; one that does not
//! answer is tried now and then, and holds up nothing that is for another.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Transaction;
use waxwing_wire::frame::InboxSend;
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::{AccountId, EnvelopeId};

use super::Engine;
use super::emit::Changes;
use super::outbox::waits;
use crate::error::{Error, ErrorCode};
use crate::relay::ApiError;
use crate::store::deliveries::{self, Delivery};
use crate::store::{account, contacts, conversations};

/// How long a notice or a request to be let back in is tried to send: as long as an inbox would keep it.
const COURTESY_MS: u64 = 30 * 24 * 60 * 60 * 1000;
/// A relay that did not answer is left alone for this long, then for twice as long each time.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(60);

/// How the relays stand that something is on its way to, by host and port.
#[derive(Default)]
pub(super) struct Lanes(Mutex<HashMap<String, Lane>>);

#[derive(Default)]
struct Lane {
    /// Something is being sent there.
    busy: bool,
    /// How often in a row it has not answered, and until when it is left alone.
    failures: u32,
    rests_until: Option<Instant>,
}

/// Whether something may be sent to a relay now.
enum Entry<'a> {
    Mine(Busy<'a>),
    /// Another pass is sending.
    Taken,
    /// It has not answered a moment ago.
    Rests,
}

/// One's turn in a lane; over when dropped, also where the pass is cancelled.
struct Busy<'a> {
    lanes: &'a Lanes,
    relay: &'a str,
}

impl Lanes {
    fn enter<'a>(&'a self, relay: &'a str) -> Entry<'a> {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = lanes.entry(relay.to_owned()).or_default();
        if lane.busy {
            return Entry::Taken;
        }
        if lane.rests_until.is_some_and(|until| Instant::now() < until) {
            return Entry::Rests;
        }
        lane.busy = true;
        Entry::Mine(Busy { lanes: self, relay })
    }

    fn change(&self, relay: &str, change: impl FnOnce(&mut Lane)) {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get_mut(relay) {
            change(lane);
        }
    }

    /// No relay is left alone any longer.
    pub(super) fn try_now(&self) {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.values_mut().for_each(|lane| lane.rests_until = None);
    }
}

impl Busy<'_> {
    fn has_failed(&self) {
        self.lanes.change(self.relay, |lane| {
            let rest = (FIRST_REST * 2u32.saturating_pow(lane.failures.min(8))).min(LONGEST_REST);
            lane.failures = lane.failures.saturating_add(1);
            lane.rests_until = Some(Instant::now() + rest);
        });
    }

    fn has_answered(&self) {
        self.lanes.change(self.relay, |lane| (lane.failures, lane.rests_until) = (0, None));
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.lanes.change(self.relay, |lane| lane.busy = false);
    }
}

/// What became of one delivery.
enum Went {
    /// The relay has answered, or there was nothing to ask it: with what the user is to know of it.
    Through(Result<(), Error>),
    /// It waits; and whether the relay rests meanwhile, since it is out of reach or busy, and not merely wrong about this one.
    Nowhere(Error, bool),
}

impl Engine {
    /// What is on its way, by relay. What was only a courtesy is given up in time.
    pub(super) async fn on_their_way(&self) -> Result<Vec<(String, Vec<EnvelopeId>)>, Error> {
        let now = self.now_ms();
        let waiting = move |tx: &Transaction<'_>| {
            deliveries::date(tx, now)?;
            deliveries::expire(tx, now.saturating_sub(COURTESY_MS))?;
            deliveries::waiting(tx)
        };
        let mut lanes: Vec<(String, Vec<EnvelopeId>)> = Vec::new();
        for (relay, entry) in self.store.run(waiting).await? {
            // With its pin: whoever names a wrong one holds up nobody else who is there.
            let relay = relay.to_string();
            match lanes.iter_mut().find(|(known, _)| *known == relay) {
                Some((_, entries)) => entries.push(entry),
                None => lanes.push((relay, vec![entry])),
            }
        }
        Ok(lanes)
    }

    /// Sends what is for one relay, one after the other, until it does not answer. The first trouble is given back.
    pub(super) async fn deliver_to(&self, relay: &str, entries: Vec<EnvelopeId>) -> Result<(), Error> {
        let turn = match self.lanes.enter(relay) {
            Entry::Mine(turn) => turn,
            Entry::Taken => return Ok(()),
            Entry::Rests => return Err(Error::new(ErrorCode::RelayDown, "a relay that did not answer is left alone")),
        };
        let mut outcome = Ok(());
        for entry in entries {
            // It may have been given up meanwhile.
            let Some(delivery) = self.store.run(move |tx| deliveries::load(tx, entry)).await? else { continue };
            match self.deliver(delivery).await? {
                Went::Through(result) => outcome = outcome.and(result),
                Went::Nowhere(error, rests) => {
                    if rests {
                        turn.has_failed();
                        return Err(error);
                    }
                    outcome = outcome.and(Err(error));
                }
            }
        }
        turn.has_answered();
        outcome
    }

    /// Puts an envelope into an inbox: unnamed with an access key, else as somebody of the same relay.
    async fn deliver(&self, delivery: Delivery) -> Result<Went, Error> {
        let (peer, conversation) = (delivery.account, delivery.conversation);
        let contact = self.store.run(move |tx| contacts::load(tx, peer)).await?;
        let entry = InboxSend { entry_id: delivery.entry_id, kind: delivery.kind, blob: delivery.blob };
        let asks = delivery.link.is_some();
        // What goes to an own device has an allowance of its own, too.
        let to_oneself = peer == self.account;
        let own_key = match to_oneself {
            true => Some(self.store.run(|tx| Ok(account::require(tx)?.invite_key)).await?),
            false => None,
        };
        let access_key = delivery.link.or_else(|| contact.and_then(|contact| contact.access_key)).or(own_key);
        let at_home = delivery.relay.authority() == self.home.address().authority();
        let mut outcome = match &access_key {
            Some(key) => self.relay(&delivery.relay)?.inbox_send(delivery.device, Some(key), &entry).await,
            None if at_home => self.home.inbox_send(delivery.device, None, &entry).await,
            None => {
                let (id, kind) = (delivery.entry_id, delivery.kind);
                let news = self.store.run(move |tx| there_is_no_way(tx, id, kind, &conversation)).await?;
                self.tell_of(conversation, news).await;
                return Ok(Went::Through(Ok(())));
            }
        };
        // A refused key falls back to the stranger's path, which needs an account on the same relay. Not that of a link: it is off.
        let full = |error: &ApiError| to_oneself && error.problem() == Some(ProblemCode::QuotaExceeded);
        let no_way = |error: &ApiError| error.problem() == Some(ProblemCode::InboxRefused) || full(error);
        let refused = access_key.is_some() && outcome.as_ref().is_err_and(no_way);
        if refused && at_home && !asks {
            outcome = self.home.inbox_send(delivery.device, None, &entry).await;
        }
        let error = match outcome {
            Ok(_) => None,
            Err(error) if waits(&error) || full(&error) => {
                let rests = is_away(&error);
                return Ok(Went::Nowhere(error.into(), rests));
            }
            Err(_) if refused && asks => Some(Error::new(ErrorCode::LinkOff, "the relay does not know the link")),
            Err(error) => Some(Error::from(error)),
        };
        let welcome = delivery.kind == EnvelopeKind::Welcome;
        let off = refused && asks;
        // A Welcome that is refused is kept and tried again (the other side may free space, a better link may be pasted); until
        // it has arrived, the conversation says that nobody can have read anything. A notice is a courtesy.
        let view = error.as_ref().filter(|_| welcome || asks).map(Error::view);
        let news = self
            .store
            .run(move |tx| {
                if view.is_none() || off {
                    deliveries::remove(tx, delivery.entry_id)?;
                }
                let over = view.is_none() && (asks || (welcome && !deliveries::welcoming(tx, &conversation)?));
                if over || view.is_some() {
                    conversations::set_problem(tx, &conversation, view.as_ref())
                } else {
                    Ok(false)
                }
            })
            .await?;
        self.tell_of(conversation, news).await;
        Ok(Went::Through(match error {
            Some(error) if (welcome || asks) && !off => Err(error),
            _ => Ok(()),
        }))
    }

    async fn tell_of(&self, conversation: conversations::ConversationId, news: bool) {
        if news {
            let mut changes = Changes::default();
            changes.conversation(conversation);
            self.tell(changes).await;
        }
    }
}

/// Whoever is on another relay and has told nobody here how to reach them gets no notice and no request. A Welcome waits until they have, and
/// the conversation says so: somebody in it cannot have read anything.
fn there_is_no_way(
    tx: &Transaction<'_>,
    entry: EnvelopeId,
    kind: EnvelopeKind,
    conversation: &conversations::ConversationId,
) -> Result<bool, Error> {
    if kind != EnvelopeKind::Welcome {
        deliveries::remove(tx, entry)?;
        return Ok(false);
    }
    deliveries::set_no_way(tx, entry)?;
    let why = Error::new(ErrorCode::OtherRelay, "an account on another relay is reached by its key alone").view();
    conversations::set_problem(tx, conversation, Some(&why))
}

/// Whether nothing else would get through to the relay now either.
fn is_away(error: &ApiError) -> bool {
    matches!(error, ApiError::Unreachable(_))
        || matches!(error.problem(), Some(ProblemCode::Timeout | ProblemCode::RateLimited | ProblemCode::Unavailable))
}

/// Whether something can be sent to an account's inboxes, as far as is known here.
pub(super) fn is_reachable(tx: &Transaction<'_>, account: AccountId) -> Result<bool, Error> {
    let Some(contact) = contacts::load(tx, account)? else { return Ok(true) };
    let home = account::require(tx)?.relay;
    Ok(contact.access_key.is_some() || contact.relay.authority() == home.authority())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(lanes: &Lanes, relay: &str) -> u32 {
        lanes.0.lock().unwrap().get(relay).unwrap().failures
    }

    #[test]
    fn d13_a_relay_that_does_not_answer_rests_and_no_other_does() {
        let lanes = Lanes::default();
        let Entry::Mine(turn) = lanes.enter("a:1") else { panic!("it is free") };
        assert!(matches!(lanes.enter("a:1"), Entry::Taken));
        assert!(matches!(lanes.enter("b:1"), Entry::Mine(_)));
        turn.has_failed();
        drop(turn);
        assert!(matches!(lanes.enter("a:1"), Entry::Rests));
        assert!(matches!(lanes.enter("b:1"), Entry::Mine(_)));
        lanes.try_now();
        let Entry::Mine(turn) = lanes.enter("a:1") else { panic!("it rests still") };
        turn.has_failed();
        assert_eq!(failures(&lanes, "a:1"), 2);
        turn.has_answered();
        assert_eq!(failures(&lanes, "a:1"), 0);
        drop(turn);
        assert!(matches!(lanes.enter("a:1"), Entry::Mine(_)));
    }
}
