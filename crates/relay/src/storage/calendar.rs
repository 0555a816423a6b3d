//! What day it is for whatever is kept for so many days: a day that the database notes and that only moves forward. The clock moves it, as far as
//! uptime explains what the clock says; a clock that is wrong for a while neither erases what was accepted nor makes what comes old before its time.
//!
//! Not here: what is kept for how long ([`super::rules`]), where the day is noted (the backends), what is kept for hours or seconds.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Moment};

/// The days that a clock may be ahead of what uptime explains, as after a stop; and how many it is watched for where it is further ahead.
const WEEK: i64 = 7;
const DAY: Duration = Duration::from_secs(86_400);
/// Between two lines about the same clock.
const TOLD_EVERY: Duration = Duration::from_secs(3600);

/// The day, as a process knows it.
pub(super) struct Calendar {
    clock: Clock,
    /// As the database has noted it.
    day: AtomicI64,
    watch: Mutex<Watch>,
}

impl Calendar {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, day: AtomicI64::new(i64::MIN), watch: Mutex::new(Watch::default()) }
    }

    /// The day by which something is too old: days since 1970.
    pub(super) fn day(&self) -> i64 {
        self.day.load(Ordering::Relaxed)
    }

    /// The day on which something comes. With a clock that is behind that is none before the noted one; with one that is ahead it is kept for longer.
    pub(super) fn today(&self) -> i64 {
        self.clock.now().day().max(self.day())
    }

    /// The time by which something is too old: the clock's, within that day.
    pub(super) fn now(&self) -> Moment {
        let day = self.day();
        self.clock.now().clamp(Moment::start_of(day), Moment::start_of(day.saturating_add(1)))
    }

    /// The day to be noted, after what the database has `noted` so far (none in a new one). Asked at the start, and before something goes.
    pub(super) fn note(&self, noted: Option<i64>) -> i64 {
        let (day, uptime) = (self.clock.now().day(), self.clock.uptime());
        let noted = noted.unwrap_or(day);
        let next = self.watch.lock().unwrap_or_else(PoisonError::into_inner).judge(noted, day, uptime);
        self.day.fetch_max(next, Ordering::Relaxed);
        next
    }
}

/// What a process remembers of the clock. Times are its uptime.
#[derive(Default)]
struct Watch {
    /// A noted day, and when it was that: at the start, and from then on once a day.
    from: Option<(i64, Duration)>,
    /// The noted day that a clock far ahead has not moved, and since when.
    doubt: Option<(i64, Duration)>,
    told: Option<Duration>,
}

impl Watch {
    /// The day after `noted`, with a clock that says `day`.
    fn judge(&mut self, noted: i64, day: i64, uptime: Duration) -> i64 {
        let (from, since) = *self.from.get_or_insert((noted, uptime));
        let passed = uptime.saturating_sub(since);
        let explained = noted.max(from.saturating_add(days(passed)).saturating_add(WEEK));
        // Another process whose clock moves the day on as days pass knows better: then the watch begins anew.
        let doubt = self.doubt.filter(|(doubted, _)| *doubted == noted);
        let watched = doubt.is_some_and(|(_, since)| days(uptime.saturating_sub(since)) >= WEEK);
        let believed = day <= explained || watched;
        self.doubt = if believed { None } else { doubt.or(Some((noted, uptime))) };
        self.tell(believed, day.saturating_sub(noted), uptime);
        let next = if believed { noted.max(day) } else { noted };
        if passed >= DAY || watched {
            self.from = Some((next, uptime));
        }
        next
    }

    fn tell(&mut self, believed: bool, ahead: i64, uptime: Duration) {
        // Clocks of several processes need not change the day in the same second.
        if believed && ahead >= -1 {
            self.told = None;
            return;
        }
        if self.told.is_some_and(|told| uptime.saturating_sub(told) < TOLD_EVERY) {
            return;
        }
        self.told = Some(uptime);
        if believed {
            let behind = ahead.saturating_neg();
            tracing::warn!(
                "the system's clock is {behind} days behind the day that the database has noted: what comes counts as come on that day, and nothing gets \
                 older until then; if the clock is wrong, set it"
            );
        } else {
            tracing::error!(
                "the system's clock is {ahead} days ahead of the day that the database has noted: nothing is removed for its age until this process has run \
                 for {WEEK} days with it; if the clock is wrong, set it before then, and if the relay was off for that long nothing need be done"
            );
        }
    }
}

/// Whole days.
fn days(passed: Duration) -> i64 {
    i64::try_from(passed.as_secs() / DAY.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Looks once a minute for so many days, with a clock that is off by `off` days; the day at the end.
    fn run(watch: &mut Watch, noted: i64, clock: i64, uptime: &mut Duration, minutes: u32) -> i64 {
        let began = *uptime;
        (0..minutes).fold(noted, |noted, _| {
            *uptime += MINUTE;
            watch.judge(noted, clock + days(*uptime - began), *uptime)
        })
    }

    #[test]
    fn d8_the_day_follows_a_clock_that_uptime_explains() {
        let (mut watch, mut uptime) = (Watch::default(), Duration::ZERO);
        assert_eq!(watch.judge(1000, 1000, uptime), 1000);
        assert_eq!(run(&mut watch, 1000, 1000, &mut uptime, 40 * 1440), 1040);
        // Off for a week, and for a day longer: eight days are watched for seven.
        assert_eq!(Watch::default().judge(1000, 1007, Duration::ZERO), 1007);
        let mut watch = Watch::default();
        assert_eq!(watch.judge(1000, 1008, Duration::ZERO), 1000);
        let mut uptime = Duration::ZERO;
        assert_eq!(run(&mut watch, 1000, 1008, &mut uptime, 7 * 1440 - 1), 1000);
        assert_eq!(run(&mut watch, 1000, 1014, &mut uptime, 1), 1014);
        // From then on as ever.
        assert_eq!(run(&mut watch, 1014, 1015, &mut uptime, 1440), 1016);
    }

    #[test]
    fn d8_a_clock_that_runs_away_moves_the_day_by_a_week_in_a_day() {
        let (mut watch, mut noted) = (Watch::default(), 1000);
        for step in 0..1440_u32 {
            noted = watch.judge(noted, 1000 + i64::from(step), MINUTE * step);
        }
        assert_eq!(noted, 1007);
        // And one that is right again after a doubt is doubted from the beginning.
        assert_eq!(watch.judge(noted, 1001, DAY * 2), 1007);
        assert_eq!(watch.judge(noted, 1100, DAY * 3), 1007);
        assert_eq!(watch.judge(noted, 1100, DAY * 9), 1007);
        assert_eq!(watch.judge(noted, 1106, DAY * 10), 1106);
    }

    #[test]
    fn d8_another_process_with_another_clock_is_believed() {
        let mut watch = Watch::default();
        for day in 0..30_u32 {
            let noted = 1000 + i64::from(day);
            assert_eq!(watch.judge(noted, noted + 31, DAY * day), noted);
        }
    }
}
