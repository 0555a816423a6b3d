//! The engine's tasks: one for the own inbox, one for each relay's logs, one for the outbox.
//!
//! A wake-up is never load-bearing: subscribe, then drain; drain again on every wake and reconnect, and now and then anyway.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;
use waxwing_wire::api::{EntryBytes, Subscribe, SubscribeLog};
use waxwing_wire::frame::Push;
use waxwing_wire::limits::MAX_SUBSCRIBED_LOGS;
use waxwing_wire::log::token_hash;
use waxwing_wire::{LogId, RelayAddress};

use super::Engine;
use crate::error::{Error, ErrorCode};
use crate::random;
use crate::relay::Frame;
use crate::store::logs;
use crate::views::Connection;

/// The backstop: everything is read again this often, woken or not.
const POLL: Duration = Duration::from_secs(60);
/// How often a suspended computer is looked for.
const WATCH: Duration = Duration::from_secs(5);
/// How often Welcomes from relays out of reach are looked at again.
const INTRODUCTIONS: Duration = Duration::from_secs(120);
/// Longest sleep of an outbox with nothing to do.
const LONGEST_SLEEP: Duration = Duration::from_secs(600);
/// Most times that everything once means once more.
const ROUNDS: usize = 16;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Waits that double, with jitter, up to a minute.
struct Backoff(Duration);

impl Backoff {
    fn new() -> Self {
        Self(FIRST_WAIT)
    }

    fn reset(&mut self) {
        self.0 = FIRST_WAIT;
    }

    /// Whoever is in the way will be for long: the longest wait comes next.
    fn slow_down(&mut self) {
        self.0 = LONGEST_WAIT;
    }

    /// The next wait: between half and the whole of the current step.
    fn next(&mut self) -> Duration {
        let [fraction] = random::bytes::<1>();
        let wait = self.0.mul_f64(0.5 + f64::from(fraction) / 512.0);
        self.0 = (self.0 * 2).min(LONGEST_WAIT);
        wait
    }
}

/// Notices that the computer was suspended: the wall clock went on, the monotonic one did not.
struct Suspension {
    wall: SystemTime,
    monotonic: Instant,
}

impl Suspension {
    fn new() -> Self {
        Self { wall: SystemTime::now(), monotonic: Instant::now() }
    }

    fn happened(&mut self) -> bool {
        let wall = self.wall.elapsed().unwrap_or_default();
        let monotonic = self.monotonic.elapsed();
        *self = Self::new();
        wall > monotonic + Duration::from_secs(20)
    }
}

impl Engine {
    pub(super) fn spawn_tasks(self: &Arc<Self>) {
        self.spawn(Self::run_inbox);
        self.spawn(Self::run_outbox);
        self.spawn(Self::run_logs);
        self.spawn(Self::run_introductions);
        self.spawn(Self::run_transparency);
        self.spawn(|engine| async move { engine.store.keep_wal_empty().await });
    }

    fn spawn<F, R>(self: &Arc<Self>, task: F)
    where
        F: FnOnce(Arc<Self>) -> R,
        R: Future<Output = ()> + Send + 'static,
    {
        let (stop, run) = (self.stop.clone(), task(Arc::clone(self)));
        self.tasks.spawn(async move {
            // A task is dropped where it waits; every state change is a transaction, so nothing is half done.
            stop.run_until_cancelled(run).await;
        });
    }

    /// Everything once: for terminals.
    pub(super) async fn sync_once(self: &Arc<Self>) -> Result<(), Error> {
        self.resume_rotation().await;
        if self.ended.is_cancelled() {
            return Err(Error::new(ErrorCode::Stopped, "the engine has ended, and the profile is to be opened again"));
        }
        // One thing's trouble keeps nothing else from being tried; the first is told in the end.
        let mut outcome = self.drain_inbox().await;
        self.follow_home().await;
        if outcome.as_ref().is_err_and(|error| error.code() == ErrorCode::Refused) {
            // It may have been restored from a backup, and know the account's keys again only now.
            outcome = self.drain_inbox().await;
        }
        if let Err(error) = outcome {
            outcome = Err(self.or_revoked(error).await);
        }
        if outcome.is_ok() {
            self.tend_keys().await;
        }
        outcome = outcome.and(self.refill_key_packages().await);
        outcome = outcome.and(self.retry_welcomes().await);
        outcome = outcome.and(self.flush().await);
        for log in self.store.run(logs::followed).await? {
            outcome = outcome.and(self.drain_log(log.log).await);
        }
        outcome = outcome.and(self.mend_awaited().await);
        outcome = outcome.and(self.release_held().await);
        outcome = outcome.and(self.mend_missed().await);
        self.look_again_at_doubts().await;
        outcome = outcome.and(self.forget_strange_logs().await);
        // What reading has brought up is answered, and what another pass is sending is waited for.
        for _ in 0..ROUNDS {
            if outcome.is_err() || !self.outbox_waits().await {
                break;
            }
            let freed = self.queue_freed.notified();
            outcome = outcome.and(self.flush().await);
            if outcome.is_ok() && self.outbox_waits().await {
                let _ = tokio::time::timeout(FIRST_WAIT, freed).await;
            }
        }
        // Own entries are placed by reading once more.
        for log in self.store.run(logs::followed).await? {
            outcome = outcome.and(self.drain_log(log.log).await);
        }
        outcome
    }

    /// Asks again where a Welcome that was asked for has not come.
    async fn mend_awaited(&self) -> Result<(), Error> {
        for log in self.store.run(logs::awaited).await? {
            self.mend(log.log).await?;
        }
        Ok(())
    }

    /// Looks again at Welcomes that wait for another relay; on its own, since such a relay may never answer.
    async fn run_introductions(self: Arc<Self>) {
        loop {
            let _ = tokio::time::timeout(INTRODUCTIONS, self.introductions_wake.notified()).await;
            if let Err(error) = self.retry_welcomes().await {
                tracing::debug!(%error, "looking at Welcomes again");
            }
            self.read_logs_abroad().await;
            if let Err(error) = self.release_held().await {
                tracing::debug!(%error, "asking for members' chains again");
            }
            if let Err(error) = self.mend_missed().await {
                tracing::debug!(%error, "saying again what some have missed");
            }
            self.look_again_at_doubts().await;
        }
    }

    async fn run_inbox(self: Arc<Self>) {
        let mut backoff = Backoff::new();
        loop {
            let version = self.keys().key_version();
            let error = match self.inbox_session(&mut backoff).await {
                Ok(()) => continue,
                Err(error) => error,
            };
            // A device that is shut out hears of nothing any more: whether it is, the public log says. Where it has done so itself this engine
            // is at its end, and there is no need to say that it is refused.
            if error.code() == ErrorCode::Refused {
                self.resume_rotation().await;
                if self.ended.is_cancelled() {
                    return;
                }
                self.transparency_wake.notify_one();
            }
            // The relay closes what was opened under keys that were replaced: with the new ones it goes on, and there is nothing to tell.
            if self.keys().key_version() != version {
                continue;
            }
            let error = self.or_revoked(error).await;
            if matches!(error.code(), ErrorCode::AccountDisabled | ErrorCode::DeviceRevoked) {
                backoff.slow_down();
            }
            let wait = backoff.next();
            let retry_at = self.local_now() + wait.as_millis() as f64;
            self.set_connection(Connection::Offline { reason: error.view(), retry_at });
            self.wait_or_try_now(wait).await;
            self.set_connection(Connection::Connecting);
        }
    }

    /// Follows the own inbox until the connection breaks. `Ok` asks for a new session at once.
    async fn inbox_session(self: &Arc<Self>, backoff: &mut Backoff) -> Result<(), Error> {
        // First: a rotation whose answer was lost leaves no key that the relay would accept.
        self.resume_rotation().await;
        let mut subscription = self.home.subscribe(true).await?;
        subscription.ask(&Subscribe { logs: Vec::new(), inbox: true, transparency: true }).await?;
        let (mut poll, mut watch) = (tokio::time::interval(POLL), tokio::time::interval(WATCH));
        let mut suspension = Suspension::new();
        loop {
            tokio::select! {
                frame = subscription.next() => match frame? {
                    Frame::Push(Push::Ready) => {
                        self.drain_inbox().await?;
                        self.tend_keys().await;
                        self.refill_key_packages().await?;
                        backoff.reset();
                        self.set_connection(Connection::Online { notice: self.clock_notice() });
                        self.outbox_wake.notify_one();
                        // Whether keys that were in doubt still are.
                        self.introductions_wake.notify_one();
                        // Checkpoints of the time without a connection were pushed to nobody here.
                        self.transparency_wake.notify_one();
                    }
                    Frame::Push(Push::Checkpoint { .. }) => self.transparency_wake.notify_one(),
                    Frame::Push(_) => {
                        self.drain_inbox().await?;
                        self.go_on_with_linking().await;
                    }
                    Frame::Alive => {}
                    Frame::ShutOut => {
                        // Asked at once, so that nobody is told that the relay is out of reach.
                        self.drain_inbox().await?;
                        return Err(shut_out());
                    }
                },
                _ = poll.tick() => {
                    self.resume_rotation().await;
                    self.drain_inbox().await?;
                    self.tend_keys().await;
                    self.refill_key_packages().await?;
                    self.mend_awaited().await?;
                }
                _ = watch.tick() => {
                    if suspension.happened() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// One task for each relay that has logs of ours.
    async fn run_logs(self: Arc<Self>) {
        let mut changed = self.logs_changed.subscribe();
        let mut running: HashSet<RelayAddress> = HashSet::new();
        loop {
            match self.store.run(logs::followed).await {
                Ok(all) => {
                    for log in all {
                        if running.insert(log.relay.clone()) {
                            let relay = log.relay;
                            self.spawn(|engine| engine.run_logs_of(relay));
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "reading the list of logs"),
            }
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    async fn run_logs_of(self: Arc<Self>, relay: RelayAddress) {
        let mut backoff = Backoff::new();
        loop {
            if let Err(error) = self.logs_session(&relay, &mut backoff).await {
                tracing::debug!(%error, "following logs");
                let wait = backoff.next();
                self.wait_or_try_now(wait).await;
            }
        }
    }

    /// Follows the logs at one relay until the connection breaks. `Ok` asks for a new session at once.
    async fn logs_session(self: &Arc<Self>, relay: &RelayAddress, backoff: &mut Backoff) -> Result<(), Error> {
        let mut changed = self.logs_changed.subscribe();
        changed.mark_unchanged();
        let mut subscription = self.relay(relay)?.subscribe(false).await?;
        let mut followed = HashMap::new();
        // What each request has asked for, in order. After the first all logs are read, also those beyond what can be followed.
        let mut asked: VecDeque<Option<Vec<LogId>>> = VecDeque::from([None]);
        let first = self.subscribe_request(relay, &mut followed).await?;
        subscription
            .ask(&first.unwrap_or_else(|| Subscribe { logs: Vec::new(), inbox: false, transparency: false }))
            .await?;
        let (mut poll, mut watch) = (tokio::time::interval(POLL), tokio::time::interval(WATCH));
        let mut suspension = Suspension::new();
        loop {
            tokio::select! {
                frame = subscription.next() => match frame? {
                    Frame::Push(Push::Ready) => {
                        match asked.pop_front().flatten() {
                            None => self.drain_logs_of(relay).await?,
                            Some(logs) => {
                                for log in logs {
                                    self.calmly(self.drain_log(log).await)?;
                                }
                            }
                        }
                        backoff.reset();
                        self.outbox_wake.notify_one();
                    }
                    Frame::Push(Push::Log { log, head, entry }) => self.calmly(self.offer(relay, log, head, entry).await)?,
                    // Reading it says why, in the conversation.
                    Frame::Push(Push::Refused { log }) => self.calmly(self.drain_log(log).await)?,
                    Frame::Push(Push::Inbox { .. } | Push::Checkpoint { .. }) | Frame::Alive => {}
                    Frame::ShutOut => return Err(shut_out()),
                },
                result = changed.changed() => {
                    if result.is_err() {
                        return Ok(());
                    }
                    if let Some(more) = self.subscribe_request(relay, &mut followed).await? {
                        asked.push_back(Some(more.logs.iter().map(|one| one.log).collect()));
                        subscription.ask(&more).await?;
                    }
                }
                _ = poll.tick() => self.drain_logs_of(relay).await?,
                _ = watch.tick() => {
                    if suspension.happened() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Asks for the logs of this relay that are not followed yet, or were under a token that is not theirs any more.
    async fn subscribe_request(
        &self,
        relay: &RelayAddress,
        followed: &mut HashMap<LogId, [u8; 32]>,
    ) -> Result<Option<Subscribe>, Error> {
        let all = self.store.run(logs::followed).await?;
        let mut new = Vec::new();
        for log in all.into_iter().filter(|log| log.relay == *relay) {
            let token = log.secret.read_token();
            let hash = token_hash(token.as_slice());
            let full = followed.len() >= MAX_SUBSCRIBED_LOGS && !followed.contains_key(&log.log);
            if followed.get(&log.log) == Some(&hash) || full {
                continue;
            }
            followed.insert(log.log, hash);
            new.push(SubscribeLog { log: log.log, read_token: EntryBytes(token.to_vec()) });
        }
        Ok((!new.is_empty()).then_some(Subscribe { logs: new, inbox: false, transparency: false }))
    }

    pub(super) async fn drain_logs_of(&self, relay: &RelayAddress) -> Result<(), Error> {
        for log in self.store.run(logs::followed).await?.into_iter().filter(|log| log.relay == *relay) {
            self.calmly(self.drain_log(log.log).await)?;
        }
        Ok(())
    }

    /// One log's trouble is shown in its conversation and holds up no other; a broken connection ends the session.
    fn calmly(&self, result: Result<(), Error>) -> Result<(), Error> {
        match result {
            Err(error) if error.code() == ErrorCode::RelayDown => Err(error),
            Err(error) => {
                tracing::warn!(%error, "reading a log");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    async fn run_outbox(self: Arc<Self>) {
        let mut backoff = Backoff::new();
        loop {
            // A pass of its own, which a relay that does not answer may hold up; the next wake starts another beside it.
            let engine = Arc::clone(&self);
            let mut pass = Box::pin(async move { engine.flush().await });
            let finished = tokio::select! {
                result = &mut pass => Some(result),
                () = self.outbox_wake.notified() => None,
            };
            match finished {
                Some(Ok(())) => backoff.reset(),
                Some(Err(error)) => {
                    tracing::debug!(%error, "sending");
                    // The inbox's task wakes this one as soon as the account is served again.
                    if error.code() == ErrorCode::AccountDisabled {
                        backoff.slow_down();
                    }
                }
                None => {
                    let stop = self.stop.clone();
                    self.tasks.spawn(async move {
                        stop.run_until_cancelled(pass).await;
                    });
                    continue;
                }
            }
            if self.outbox_waits().await {
                let wait = backoff.next();
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = self.outbox_wake.notified() => {}
                }
            } else {
                // Woken, or when something is due that waits for its time.
                let due = self.outbox_due_in().await.map_or(LONGEST_SLEEP, Duration::from_millis);
                let _ = tokio::time::timeout(due.clamp(FIRST_WAIT, LONGEST_SLEEP), self.outbox_wake.notified()).await;
            }
        }
    }

    async fn wait_or_try_now(&self, wait: Duration) {
        let mut now: watch::Receiver<u64> = self.try_now.subscribe();
        now.mark_unchanged();
        let _ = tokio::time::timeout(wait, now.changed()).await;
    }

    pub(super) fn clock_notice(&self) -> Option<crate::ErrorView> {
        // What was asked without a name has told it, too.
        let unnamed = || {
            let relays = self.relays.lock().unwrap_or_else(PoisonError::into_inner);
            relays.get(self.home.address())?.clock_error_ms()
        };
        let off = self.home.clock_error_ms().or_else(unnamed)?;
        let minutes = off.unsigned_abs() / 60_000;
        let detail = format!("the relay's clock and this computer's differ by {minutes} minutes");
        Some(Error::new(ErrorCode::ClockWrong, detail).view())
    }

    /// Local time in milliseconds, for what a front end compares with its own clock.
    pub(super) fn local_now(&self) -> f64 {
        crate::relay::local_ms() as f64
    }
}

/// The relay has ended a subscription, and says of nothing else why.
fn shut_out() -> Error {
    Error::new(ErrorCode::RelayDown, "the relay ended the subscription")
}
