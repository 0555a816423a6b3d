//! What day it is for whatever is kept for so many days: a day that the database notes, that only moves forward, and never by more than uptime explains, or
//! a week after a stop. A clock that says something else is passed over: how many days it was, the database notes as well, and from then on the day follows
//! the clock less those. So a clock that is wrong, for a while or for good, neither erases what was accepted nor dates what comes, and nothing has to be
//! known of whether it was wrong.
//!
//! Not here: what is kept for how long ([`super::rules`]), where the day is noted (the backends), what is kept for hours or seconds.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Moment};

/// The days that a clock may be ahead of what uptime explains, as after a stop; and how many it is watched for before it is passed over.
const WEEK: i64 = 7;
/// Clocks of several processes need not change the day in the same second.
const BEHIND: i64 = 1;
const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3600);
/// Between two lines about the same clock.
const TOLD_EVERY: Duration = Duration::from_secs(3600);

/// What a database notes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Noted {
    /// Which day it is: days since 1970, less those that were passed over.
    pub(super) day: i64,
    /// Days that a clock said had passed, and that are not counted; negative where it was behind.
    pub(super) skipped: i64,
    /// For so many hours of uptime a clock has not agreed with that, since the day moved: of whichever processes, also such as have ended since.
    pub(super) watched: i64,
}

impl Noted {
    /// What is noted first.
    fn first(day: i64) -> Self {
        Self { day, skipped: 0, watched: 0 }
    }
}

/// The day on which something comes to a database that no relay has open, after what it has noted.
pub(super) fn today(clock: Clock, noted: Option<Noted>) -> i64 {
    let calendar = Calendar::new(clock);
    calendar.note(noted);
    calendar.today()
}

/// The day, as a process knows it.
pub(super) struct Calendar {
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    /// As the database had it when it was asked last.
    noted: Noted,
    watch: Watch,
}

impl Calendar {
    /// Of a process that has yet to [`note`](Self::note) what its database says.
    pub(super) fn new(clock: Clock) -> Self {
        let noted = Noted::first(i64::MIN);
        Self { clock, state: Mutex::new(State { noted, watch: Watch::default() }) }
    }

    /// The day by which something is too old.
    pub(super) fn day(&self) -> i64 {
        self.state(|state| state.noted.day)
    }

    /// The day on which something comes.
    pub(super) fn today(&self) -> i64 {
        self.arrival().day()
    }

    /// The time at which something comes: the clock's less what was passed over, and not before the noted day. Where it cannot be that, the end of the noted day.
    pub(super) fn arrival(&self) -> Moment {
        let (now, uptime) = (self.clock.now(), self.clock.uptime());
        self.state(|State { noted, watch }| {
            let time = now.less_days(noted.skipped);
            let possible = time.day() <= watch.explained(*noted, uptime);
            if possible { time.max(Moment::start_of(noted.day)) } else { Moment::start_of(noted.day.saturating_add(1)) }
        })
    }

    /// The time by which something is too old: the clock's less what was passed over, within the noted day.
    pub(super) fn now(&self) -> Moment {
        let now = self.clock.now();
        self.state(|State { noted, .. }| {
            let day = noted.day;
            now.less_days(noted.skipped).clamp(Moment::start_of(day), Moment::start_of(day.saturating_add(1)))
        })
    }

    /// What is to be noted, after what the database has `noted` so far (none in a new one). Asked at the start, and before something goes.
    pub(super) fn note(&self, noted: Option<Noted>) -> Noted {
        let (day, uptime) = (self.clock.now().day(), self.clock.uptime());
        let noted = noted.unwrap_or(Noted::first(day));
        self.state(|state| {
            let next = state.watch.judge(noted, day, uptime);
            // Never back: what has come meanwhile may bear the day that was known before.
            state.noted = Noted { day: next.day.max(state.noted.day), ..next };
            next
        })
    }

    fn state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a process remembers of the clock. Times are its uptime.
#[derive(Default)]
struct Watch {
    /// A noted day, and when it was that: at the start, and from then on once a day.
    from: Option<(i64, Duration)>,
    /// What is noted and the clock does not agree with, and up to when that was counted.
    doubt: Option<(Noted, Duration)>,
    told: Option<Duration>,
}

impl Watch {
    /// The last day that it can be.
    fn explained(&self, noted: Noted, uptime: Duration) -> i64 {
        let (from, since) = self.from.unwrap_or((noted.day, uptime));
        let passed = days(uptime.saturating_sub(since));
        noted.day.max(from.saturating_add(passed).saturating_add(WEEK))
    }

    /// What is noted after `noted`, with a clock that says `clock`.
    fn judge(&mut self, noted: Noted, clock: i64, uptime: Duration) -> Noted {
        let (_, since) = *self.from.get_or_insert((noted.day, uptime));
        let day = clock.saturating_sub(noted.skipped);
        let agrees = (noted.day.saturating_sub(BEHIND)..=self.explained(noted, uptime)).contains(&day);
        self.tell(!agrees, day.saturating_sub(noted.day), uptime);
        let mut next = noted;
        let mut passed_over = false;
        if agrees {
            (next.day, self.doubt) = (noted.day.max(day), None);
            // One that only stands where the day is says nothing: a clock without a battery begins at the same day at each start.
            if next.day > noted.day {
                next.watched = 0;
            }
        } else {
            // Where another process has counted, or knows better and has moved the day, this one begins anew.
            let doubt = self.doubt.filter(|(doubted, _)| *doubted == noted);
            let counted = doubt.map_or(uptime, |(_, counted)| counted);
            let hours = u32::try_from(uptime.saturating_sub(counted).as_secs() / HOUR.as_secs()).unwrap_or(u32::MAX);
            next.watched = noted.watched.saturating_add(i64::from(hours));
            passed_over = next.watched >= WEEK * 24;
            if passed_over {
                // It goes on from here, at the clock's pace.
                (next.skipped, next.watched) = (clock.saturating_sub(noted.day), 0);
            }
            self.doubt = (!passed_over).then(|| (next, counted.saturating_add(HOUR.saturating_mul(hours))));
        }
        if uptime.saturating_sub(since) >= DAY || passed_over {
            self.from = Some((next.day, uptime));
        }
        next
    }

    fn tell(&mut self, doubted: bool, ahead: i64, uptime: Duration) {
        if !doubted {
            self.told = None;
            return;
        }
        if self.told.is_some_and(|told| uptime.saturating_sub(told) < TOLD_EVERY) {
            return;
        }
        self.told = Some(uptime);
        let (off, which) = (ahead.unsigned_abs(), if ahead < 0 { "behind" } else { "ahead of" });
        tracing::error!(
            "the system's clock is {off} days {which} the day that the database has noted: nothing gets older, and nothing is removed for its age, until it \
             agrees, or the relay has run for {WEEK} days with it, and then it is gone by, without those days; if the clock is wrong, set it, and if the \
             relay was off for that long nothing need be done"
        );
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

    fn noted(day: i64, skipped: i64) -> Noted {
        Noted { day, skipped, watched: 0 }
    }

    /// Without what was counted of a doubt.
    fn judged(watch: &mut Watch, noted: Noted, clock: i64, uptime: Duration) -> Noted {
        Noted { watched: 0, ..watch.judge(noted, clock, uptime) }
    }

    /// Looks once a minute, with a clock that says `clock` at first and goes on from there.
    fn run(watch: &mut Watch, noted: &mut Noted, clock: i64, uptime: &mut Duration, minutes: u32) -> (i64, i64) {
        let began = *uptime;
        for _ in 0..minutes {
            *uptime += MINUTE;
            *noted = watch.judge(*noted, clock + days(*uptime - began), *uptime);
        }
        (noted.day, noted.skipped)
    }

    #[test]
    fn d8_the_day_follows_a_clock_that_uptime_explains() {
        let (mut watch, mut uptime, mut now) = (Watch::default(), Duration::ZERO, noted(1000, 0));
        assert_eq!(watch.judge(now, 1000, uptime), now);
        assert_eq!(run(&mut watch, &mut now, 1000, &mut uptime, 40 * 1440), (1040, 0));
        // Off for a week, and for a day longer: eight days are watched for seven, and not counted.
        assert_eq!(Watch::default().judge(noted(1000, 0), 1007, Duration::ZERO), noted(1007, 0));
        let (mut watch, mut uptime, mut now) = (Watch::default(), Duration::ZERO, noted(1000, 0));
        assert_eq!(watch.judge(now, 1008, Duration::ZERO), now);
        assert_eq!(run(&mut watch, &mut now, 1008, &mut uptime, 7 * 1440 - 1), (1000, 0));
        assert_eq!(run(&mut watch, &mut now, 1014, &mut uptime, 1), (1000, 14));
        // From then on as ever, also after another start.
        assert_eq!(run(&mut watch, &mut now, 1014, &mut uptime, 2 * 1440), (1002, 14));
        assert_eq!(Watch::default().judge(noted(1002, 14), 1020, Duration::ZERO), noted(1006, 14));
    }

    #[test]
    fn d8_a_clock_that_is_set_back_stops_the_day_for_a_week_at_most() {
        let (mut watch, mut uptime, mut now) = (Watch::default(), Duration::ZERO, noted(5000, 0));
        assert_eq!(run(&mut watch, &mut now, 1000, &mut uptime, 7 * 1440), (5000, 0));
        assert_eq!(run(&mut watch, &mut now, 1007, &mut uptime, 1440), (5001, -3993));
        assert_eq!(run(&mut watch, &mut now, 1008, &mut uptime, 1440), (5002, -3993));
        // By days only: it is waited for.
        let (mut watch, mut now) = (Watch::default(), noted(1005, 0));
        assert_eq!(run(&mut watch, &mut now, 1000, &mut uptime, 4 * 1440), (1005, 0));
        assert_eq!(run(&mut watch, &mut now, 1004, &mut uptime, 3 * 1440), (1007, 0));
        assert_eq!(now.watched, 0);
    }

    /// A relay that is started anew every five hours.
    #[test]
    fn d8_starts_do_not_begin_the_week_anew() {
        let (mut now, begin) = (noted(5000, 0), || Duration::ZERO);
        for start in 0..33_i64 {
            assert_eq!(run(&mut Watch::default(), &mut now, 1000 + start * 5 / 24, &mut begin(), 301), (5000, 0));
        }
        assert_eq!(now.watched, 165);
        let (day, skipped) = run(&mut Watch::default(), &mut now, 1007, &mut begin(), 301);
        assert_eq!((day, skipped, now.watched), (5000, -3993, 0));
    }

    /// A machine whose clock begins at the same day whenever it is started, which is each week.
    #[test]
    fn d8_a_clock_that_begins_anew_at_each_start_moves_the_day() {
        let mut now = noted(1000, 0);
        for _ in 0..4 {
            run(&mut Watch::default(), &mut now, 1000, &mut Duration::ZERO.clone(), 7 * 1440);
        }
        assert!(now.day > 1007, "{now:?}");
    }

    /// Of two processes with the same wrong clock an hour is counted once, and one that is right ends it.
    #[test]
    fn d8_an_hour_is_counted_once() {
        let (mut one, mut two, mut right) = (Watch::default(), Watch::default(), Watch::default());
        let (mut now, mut uptime) = (noted(1000, 0), Duration::ZERO);
        for _ in 0..10 * 60 {
            uptime += MINUTE;
            now = one.judge(now, 2000, uptime);
            now = two.judge(now, 2000, uptime);
        }
        assert!((9..=10).contains(&now.watched), "{now:?}");
        assert_eq!(right.judge(now, 1000, uptime), now);
        assert_eq!(right.judge(now, 1001, uptime), noted(1001, 0));
    }

    #[test]
    fn d8_a_clock_that_runs_away_moves_the_day_by_a_week_in_a_day() {
        let (mut watch, mut now) = (Watch::default(), noted(1000, 0));
        for step in 0..1440_u32 {
            now = judged(&mut watch, now, 1000 + i64::from(step), MINUTE * step);
        }
        assert_eq!(now, noted(1007, 0));
        // Hours in which a clock agrees are not counted, and those before stand as long as the day does not move.
        assert_eq!(watch.judge(now, 1007, DAY * 2), now);
        now = watch.judge(now, 1100, DAY * 3);
        now = watch.judge(now, 1101, DAY * 4);
        now = watch.judge(now, 1007, DAY * 5);
        assert_eq!((now.day, now.watched), (1007, 24));
        now = watch.judge(now, 1102, DAY * 6);
        now = watch.judge(now, 1108, DAY * 12 - MINUTE);
        assert_eq!((now.day, now.skipped, now.watched), (1007, 0, 167));
        assert_eq!(watch.judge(now, 1108, DAY * 12), noted(1007, 101));
        // And where it moves they are over.
        let before = Noted { watched: 167, ..noted(1007, 101) };
        assert_eq!(watch.judge(before, 1109, DAY * 12), noted(1008, 101));
    }

    #[test]
    fn d8_another_process_with_another_clock_is_believed() {
        let (mut ahead, mut behind) = (Watch::default(), Watch::default());
        for day in 0..30_u32 {
            let now = noted(1000 + i64::from(day), 0);
            assert_eq!(judged(&mut ahead, now, now.day + 31, DAY * day), now);
            assert_eq!(judged(&mut behind, now, now.day - 31, DAY * day), now);
        }
    }

    #[test]
    fn d8_what_comes_bears_a_day_that_can_be() {
        let on = |clock: u32, known: Noted| {
            let calendar = Calendar::new(Clock::new(move || DAY * clock, || Duration::ZERO));
            calendar.note(Some(known));
            calendar.today()
        };
        assert_eq!(
            [999, 1000, 1007, 1008, 9000].map(|clock| on(clock, noted(1000, 0))),
            [1000, 1000, 1007, 1001, 1001]
        );
        assert_eq!([1000, 1007, 1008, 9000].map(|clock| on(clock, noted(950, 50))), [950, 957, 951, 951]);
        assert_eq!([900, 907, 908, 9000].map(|clock| on(clock, noted(950, -50))), [950, 957, 951, 951]);
    }
}
