//! When a rotation is due, how its updates of the groups are spread, and when old keys are erased.
//!
//! All of it by relay time: a wrong clock of this computer neither brings about a rotation nor prevents one. Not here: the rotation
//! itself and its journal (`keys`), what came of the last one (`outcome`).

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use rusqlite::Transaction;
use waxwing_wire::LogId;

use super::context::Context;
use super::keys::Cause;
use super::{Engine, renewal};
use crate::error::Error;
use crate::mls::{Group, GroupChange};
use crate::random;
use crate::store::{conversations, device_link, keys, logs, outbox, own_entries, rotation as schedule};
use crate::views::{RotationSchedule, Standing};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// As long as the relay keeps what nobody has fetched.
const RETENTION_DAYS: u32 = 30;
/// For whoever had sealed something and could not send it yet.
const SLACK_DAYS: u32 = 7;
/// Where the keys are replaced by hand alone, old ones live as with the longest schedule.
const MANUAL_COUNTS_AS: u32 = 90;
/// Versions of the sealing keys that are kept, those in force among them.
const MOST_VERSIONS: u32 = 6;
/// Within this time after a scheduled rotation each group's update goes out.
const SPREAD_MS: u64 = DAY_MS;
/// The update's time is not given yet, since relay time was unknown: after a crash, at the next start.
pub(super) const TIME_UNKNOWN: u64 = 1 << 62;
/// The schedule begins at most one rotation in this time, whatever the relay says that the time is.
const AT_MOST_ONE_IN: Duration = Duration::from_secs(20 * 60 * 60);

/// When the keys in force are to be replaced.
pub(super) struct Plan {
    pub(super) schedule: RotationSchedule,
    days: u32,
    /// Since when they are in force, by relay time; not known before the relay was asked.
    since_ms: Option<u64>,
}

impl Plan {
    pub(super) fn load(tx: &Transaction<'_>, version: u32) -> Result<Self, Error> {
        let days = schedule::days(tx)?;
        let since_ms = Some(schedule::since(tx)?).filter(|(of, _)| *of == version).map(|(_, since)| since);
        Ok(Self { schedule: schedule_of(days), days, since_ms })
    }

    /// When the next rotation is due. `stated_ms`: when the keys were made, as the chain says, for as long as nothing better is known.
    pub(super) fn next_ms(&self, stated_ms: u64) -> Option<u64> {
        let period = u64::from(self.days) * DAY_MS;
        (self.days > 0).then(|| self.since_ms.unwrap_or(stated_ms).saturating_add(period))
    }

    pub(super) fn old_keys_live_days(&self) -> u32 {
        live_days(self.days)
    }
}

fn schedule_of(days: u32) -> RotationSchedule {
    match days {
        0 => RotationSchedule::Manual,
        1..=7 => RotationSchedule::Days7,
        8..=30 => RotationSchedule::Days30,
        _ => RotationSchedule::Days90,
    }
}

pub(super) fn days_of(schedule: RotationSchedule) -> u32 {
    match schedule {
        RotationSchedule::Days7 => 7,
        RotationSchedule::Days30 => 30,
        RotationSchedule::Days90 => 90,
        RotationSchedule::Manual => 0,
    }
}

/// Rotation period, retention at the relay and 7 days: no message for an older key can still come.
fn live_days(period: u32) -> u32 {
    let period = if period == 0 { MANUAL_COUNTS_AS } else { period };
    period.saturating_add(RETENTION_DAYS + SLACK_DAYS)
}

/// How long a key that was replaced is kept.
pub(super) fn old_keys_live_ms(tx: &Transaction<'_>) -> Result<u64, Error> {
    Ok(u64::from(live_days(schedule::days(tx)?)) * DAY_MS)
}

/// Whether the keys in force are to be replaced at `now_ms`, which is relay time. The period is counted from when they were first seen in
/// force with relay time known: what the chain says may come from a clock that was wrong.
pub(super) fn is_due(tx: &Transaction<'_>, version: u32, now_ms: u64) -> Result<bool, Error> {
    let (of, since_ms) = schedule::since(tx)?;
    // Nor is anything counted from the future: the relay's clock was ahead and has been set right.
    if of != version || since_ms > now_ms {
        schedule::set_since(tx, version, now_ms)?;
        return Ok(false);
    }
    let period = u64::from(schedule::days(tx)?) * DAY_MS;
    Ok(period > 0 && now_ms - since_ms >= period)
}

/// In each group the leaf gets the new keys, by a commit of its own; until that is in, the old ones speak there. Where one has left, the
/// leaf stays the one that signed the wish to leave; where one has not accepted, nothing is said.
pub(super) fn queue_updates(tx: &Transaction<'_>, cause: Cause, relay_ms: Option<u64>) -> Result<(), Error> {
    let change = GroupChange::RotateUpdate.encode()?;
    for log in logs::active(tx)? {
        if conversations::load(tx, &log.conversation)?.standing != Standing::Member {
            continue;
        }
        let when = match (cause, relay_ms) {
            (Cause::ByHand, _) => 0,
            (Cause::Schedule, Some(now)) => some_time_after(now),
            (Cause::Schedule, None) => TIME_UNKNOWN,
        };
        outbox::push_change_once(tx, &log.conversation, log.log, &change, when)?;
    }
    Ok(())
}

/// Each on its own, so that the order says nothing.
pub(super) fn some_time_after(now_ms: u64) -> u64 {
    now_ms.saturating_add(u64::from_be_bytes(random::bytes()) % SPREAD_MS)
}

/// With relay time known: updates whose time was not, or was reckoned by a clock that was ahead, get one; a group whose leaf has older keys
/// and for which none is queued (it was refused, say) gets another.
fn mend_updates(tx: &Transaction<'_>, version: u32, now_ms: u64) -> Result<(), Error> {
    let change = GroupChange::RotateUpdate.encode()?;
    outbox::bring_forward(tx, &change, now_ms.saturating_add(SPREAD_MS), || some_time_after(now_ms))?;
    for (log, conversation) in schedule::behind(tx, version)? {
        let waits = outbox::changes(tx, &conversation)?.iter().any(|item| item.log == Some(log));
        if !waits {
            outbox::push_change(tx, &conversation, log, &change, some_time_after(now_ms))?;
        }
    }
    Ok(())
}

/// With relay time known: what is to become of own leaves is queued, and has a time that can come. True if something is due by that.
pub(super) fn look_after_updates(tx: &Transaction<'_>, version: u32, now_ms: u64) -> Result<bool, Error> {
    mend_updates(tx, version, now_ms)?;
    // Nothing else is put off for longer: what is was put off before the relay had told the time.
    logs::correct_times(tx, now_ms)?;
    renewal::by_time(tx, now_ms)?;
    outbox::correct_times(tx, now_ms.saturating_add(SPREAD_MS))
}

/// The key version of the own leaf in a group, kept beside its log: to load all groups for it would take seconds.
pub(super) fn leaf_version(tx: &Transaction<'_>, context: &Context, log: LogId) -> Result<Option<u32>, Error> {
    let known = schedule::leaf_version(tx, log)?;
    if known > 0 {
        return Ok(Some(known));
    }
    let Some(group) = Group::load(&context.crypto, tx, log)? else { return Ok(None) };
    let version = group.own_leaf()?.identity.key_version;
    schedule::set_leaf_version(tx, log, version)?;
    Ok(Some(version))
}

/// The oldest key versions that own leaves have.
struct OldestLeaf {
    /// Where one takes part: that leaf will get the new keys.
    spoken: u32,
    /// Anywhere, with keys that are still there.
    any: u32,
}

impl OldestLeaf {
    fn find(tx: &Transaction<'_>, context: &Context) -> Result<Self, Error> {
        let newest = context.keys.key_version();
        let mut oldest = Self { spoken: newest, any: newest };
        for log in logs::active(tx)? {
            let version = leaf_version(tx, context, log.log)?.unwrap_or(newest);
            // A leaf whose keys are gone has no need of others.
            if version >= oldest.spoken || keys::old_device_keys(tx, version)?.is_none() {
                continue;
            }
            oldest.any = oldest.any.min(version);
            if conversations::load(tx, &log.conversation)?.standing == Standing::Member {
                oldest.spoken = version;
            }
        }
        Ok(oldest)
    }
}

/// Erases own Ed25519 keys that no leaf has any more. Those of versions that a Welcome on its way may still be sealed to stay as well: one
/// joins with them.
pub(super) fn erase_unused_device_keys(tx: &Transaction<'_>, context: &Context) -> Result<bool, Error> {
    erase_device_keys(tx, context, 0)
}

/// The same; and of what was retired before a time, all that is for leaves that one does not speak as. Such a leaf is never renewed: a
/// Welcome that nobody answers must not keep keys for good.
fn erase_device_keys(tx: &Transaction<'_>, context: &Context, before_ms: u64) -> Result<bool, Error> {
    if !keys::has_old_device_keys(tx)? {
        return Ok(false);
    }
    let OldestLeaf { spoken, any } = OldestLeaf::find(tx, context)?;
    let spoken = spoken.min(keys::oldest_sealing(tx)?.unwrap_or(spoken));
    keys::erase_old_device_keys(tx, any.min(spoken), spoken, before_ms)
}

/// Whether the own leaf in a group has keys that are gone: nobody can speak as it any more.
pub(super) fn leaf_is_mute(tx: &Transaction<'_>, context: &Context, log: LogId) -> Result<bool, Error> {
    let Some(version) = leaf_version(tx, context, log)? else { return Ok(false) };
    Ok(context.leaf_keys(tx, version)?.is_none())
}

/// With relay time known: erases sealing keys that have had their time, and those beyond the newest few. Of the latter those stay that the
/// members of a group that one takes part in may know as the newest, since its update is not in yet: promise 1 comes before promise 3.
pub(super) fn erase_expired(tx: &Transaction<'_>, context: &Context) -> Result<bool, Error> {
    if keys::old_versions(tx)? == 0 && !keys::has_old_device_keys(tx)? {
        return Ok(false);
    }
    let local = u64::try_from(crate::relay::local_ms()).unwrap_or_default();
    keys::correct_retired(tx, context.now, local)?;
    let live = old_keys_live_ms(tx)?;
    let before = (context.now.saturating_sub(live), local.saturating_sub(live));
    let surplus =
        (context.keys.key_version() + 1).saturating_sub(MOST_VERSIONS).min(OldestLeaf::find(tx, context)?.spoken);
    let erased = keys::erase_old_sealing_keys(tx, before, surplus, context.keys.key_version())? > 0;
    Ok(erase_device_keys(tx, context, before.0)? || erased)
}

impl Engine {
    /// With the inbox read, and so with relay time known: what is due is done with the keys. Trouble with it is told and stops nothing else.
    pub(super) async fn tend_keys(&self) {
        let Some(now) = self.home.relay_ms() else { return };
        if let Err(error) = self.tend_keys_at(now).await {
            tracing::warn!(%error, "tending the keys");
        }
    }

    async fn tend_keys_at(&self, now: u64) -> Result<(), Error> {
        let version = self.keys().key_version();
        if self.store.run(move |tx| look_after_updates(tx, version, now)).await? {
            self.outbox_wake.notify_one();
        }
        self.rotate_if_due(now).await?;
        let expired = self.store.run(move |tx| Ok(own_entries::expire(tx, now)? | device_link::expire(tx, now)?));
        if expired.await? {
            self.store.forget().await?;
            self.tell_devices().await?;
        }
        let context = self.context();
        if self.store.run(move |tx| erase_expired(tx, &context)).await? {
            self.store.forget().await?;
            self.tell_keys().await?;
        }
        Ok(())
    }

    async fn rotate_if_due(&self, now: u64) -> Result<(), Error> {
        let _rotating = self.rotating.lock().await;
        let version = self.keys().key_version();
        // One that is under way goes on by itself.
        let due = self.store.run(move |tx| Ok(is_due(tx, version, now)? && keys::rotation(tx)?.is_none())).await?;
        if !due || self.scheduled_lately() {
            return Ok(());
        }
        tracing::info!("the keys have had their time");
        let mut outcome = self.begin_rotation(Cause::Schedule).await;
        if outcome.is_ok() {
            self.tell_keys().await?;
            outcome = self.advance_rotation().await;
        }
        self.set_rotation_problem(outcome.err());
        self.tell_keys().await.map(drop)
    }

    /// Notes that the schedule begins a rotation now, unless it has begun one a short time ago.
    fn scheduled_lately(&self) -> bool {
        let mut last = self.last_scheduled.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = last.is_some_and(|last| last.elapsed() < AT_MOST_ONE_IN);
        if !lately {
            *last = Some(Instant::now());
        }
        lately
    }

    /// Erases own Ed25519 keys that no leaf has any more, from the WAL too.
    pub(super) async fn erase_unused_device_keys(&self) -> Result<(), Error> {
        let context = self.context();
        let erased = self.store.run(move |tx| erase_unused_device_keys(tx, &context)).await?;
        if erased { self.store.forget().await } else { Ok(()) }
    }
}
