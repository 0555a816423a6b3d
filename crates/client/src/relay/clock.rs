//! Relay time: the `Date` of an answer, and how long ago that was by a clock that nobody sets. This computer's wall clock decides nothing once a relay
//! has answered, so it may be wrong, and be set while the app runs.
//!
//! Time that passes while the computer is suspended counts where the system has a clock that says it: `CLOCK_BOOTTIME` on Linux (`Instant`, which is
//! `CLOCK_MONOTONIC` there, stands still), `CLOCK_MONOTONIC` on macOS, `Instant` on Windows. Where it stands still all the same, the next answer sets
//! relay time right, also one that refuses, and whoever was refused asks once more.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// More than this between the clocks is shown to the user, in milliseconds.
const LIMIT_MS: i64 = 10 * 60 * 1000;

/// What this computer's clocks say at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Here {
    /// Wall clock, in milliseconds since the Unix epoch.
    pub(super) wall_ms: i64,
    /// Since some moment that stays the same while the app runs.
    pub(super) steady: Duration,
}

impl Here {
    fn now() -> Self {
        Self { wall_ms: local_ms(), steady: steady() }
    }
}

/// One relay's time.
pub(super) struct RelayClock {
    here: Box<dyn Fn() -> Here + Send + Sync>,
    told: Mutex<Option<Told>>,
}

#[derive(Clone, Copy)]
struct Told {
    relay_ms: i64,
    at: Duration,
}

impl RelayClock {
    /// By the system's clocks. Nothing is known yet.
    pub(super) fn new() -> Self {
        Self::by(Here::now)
    }

    /// By clocks that `here` reads.
    pub(super) fn by(here: impl Fn() -> Here + Send + Sync + 'static) -> Self {
        Self { here: Box::new(here), told: Mutex::new(None) }
    }

    /// The relay says that it is `seconds` since 1970. Half a second is the best guess for what `Date` cuts off.
    pub(super) fn tell(&self, seconds: i64) {
        let relay_ms = seconds.saturating_mul(1000).saturating_add(500);
        *self.lock() = Some(Told { relay_ms, at: (self.here)().steady });
    }

    /// Relay time in milliseconds; by the wall clock as long as no answer has told it.
    pub(super) fn now_ms(&self) -> u64 {
        self.told_ms().unwrap_or_else(|| u64::try_from((self.here)().wall_ms).unwrap_or(0))
    }

    /// The same, once an answer has told it.
    pub(super) fn told_ms(&self) -> Option<u64> {
        let told = (*self.lock())?;
        Some(u64::try_from(told.now_ms((self.here)())).unwrap_or(0))
    }

    /// How far relay time is ahead of the wall clock as it is set now, in milliseconds, where that is more than 10 minutes either way.
    pub(super) fn wall_error_ms(&self) -> Option<i64> {
        let told = (*self.lock())?;
        let here = (self.here)();
        let off = told.now_ms(here).saturating_sub(here.wall_ms);
        (off.saturating_abs() > LIMIT_MS).then_some(off)
    }

    /// As an answer would tell it at a relay whose clock is ahead of this computer's by so much.
    #[cfg(test)]
    pub(super) fn tell_ahead_ms(&self, ms: i64) {
        let here = (self.here)();
        *self.lock() = Some(Told { relay_ms: here.wall_ms.saturating_add(ms), at: here.steady });
    }

    fn lock(&self) -> MutexGuard<'_, Option<Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    fn now_ms(self, here: Here) -> i64 {
        let since = here.steady.saturating_sub(self.at).as_millis();
        self.relay_ms.saturating_add(i64::try_from(since).unwrap_or(i64::MAX))
    }
}

/// Local wall clock in milliseconds since the Unix epoch.
pub(crate) fn local_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Seconds since 1970 of an IMF-fixdate (RFC 9110, section 5.6.7).
pub(super) fn parse_http_date(text: &str) -> Option<i64> {
    let mut parts = text.split_once(", ")?.1.split(' ');
    let day: i64 = parts.next()?.parse().ok()?;
    let month = parts.next()?;
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = i64::try_from(months.iter().position(|name| *name == month)?).ok()? + 1;
    let year: i64 = parts.next()?.parse().ok()?;
    let mut clock = parts.next()?.split(':').map(str::parse::<i64>);
    let (hour, minute, second) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    let plausible = (1970..=9999).contains(&year) && (1..=31).contains(&day);
    if !plausible || !(0..24).contains(&hour) || !(0..60).contains(&minute) || !(0..=60).contains(&second) {
        return None;
    }
    // Days since 1970-01-01 of a civil date, counting years from March.
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

/// A clock that nobody sets, and that goes on while the computer is suspended.
#[cfg(unix)]
fn steady() -> Duration {
    use rustix::time::{ClockId, clock_gettime};

    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: ClockId = ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const CLOCK: ClockId = ClockId::Monotonic;
    clock_gettime(CLOCK).try_into().unwrap_or_default()
}

#[cfg(not(unix))]
fn steady() -> Duration {
    use std::sync::LazyLock;
    use std::time::Instant;

    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

    use super::*;

    const YEAR_MS: i64 = 365 * 86_400_000;
    const WALL_MS: i64 = 1_700_000_000_000;

    /// Clocks that a test sets.
    #[derive(Default)]
    struct Clocks {
        wall_ms: AtomicI64,
        steady_ms: AtomicU64,
    }

    fn clock() -> (RelayClock, Arc<Clocks>) {
        let clocks = Arc::new(Clocks { wall_ms: WALL_MS.into(), steady_ms: 1000.into() });
        let read = Arc::clone(&clocks);
        let here = move || Here {
            wall_ms: read.wall_ms.load(Ordering::Relaxed),
            steady: Duration::from_millis(read.steady_ms.load(Ordering::Relaxed)),
        };
        (RelayClock::by(here), clocks)
    }

    #[test]
    fn d8_a_wall_clock_that_is_set_while_the_app_runs_changes_nothing() {
        let (clock, clocks) = clock();
        assert_eq!((clock.told_ms(), clock.now_ms()), (None, 1_700_000_000_000));
        clock.tell(1_800_000_000);
        for (turn, wall_ms) in [0, WALL_MS - 10 * YEAR_MS, WALL_MS + 10 * YEAR_MS, i64::MAX].into_iter().enumerate() {
            clocks.wall_ms.store(wall_ms, Ordering::Relaxed);
            clocks.steady_ms.fetch_add(60_000, Ordering::Relaxed);
            let now = 1_800_000_000_500 + 60_000 * (turn as u64 + 1);
            assert_eq!((clock.now_ms(), clock.told_ms()), (now, Some(now)), "{wall_ms}");
        }
    }

    /// Of the wall clock one thing is said: that it is wrong, as long as it is.
    #[test]
    fn d8_a_wrong_wall_clock_is_noticed_and_so_is_that_it_was_set_right() {
        let (clock, clocks) = clock();
        assert_eq!(clock.wall_error_ms(), None);
        clock.tell(WALL_MS / 1000);
        assert_eq!(clock.wall_error_ms(), None);
        clocks.wall_ms.fetch_sub(YEAR_MS, Ordering::Relaxed);
        assert_eq!(clock.wall_error_ms(), Some(YEAR_MS + 500));
        clocks.wall_ms.fetch_add(2 * YEAR_MS, Ordering::Relaxed);
        assert_eq!(clock.wall_error_ms(), Some(500 - YEAR_MS));
        clocks.wall_ms.fetch_sub(YEAR_MS, Ordering::Relaxed);
        assert_eq!(clock.wall_error_ms(), None);
    }

    /// A suspended computer whose clocks have stood still: the next answer's date is what counts.
    #[test]
    fn d8_each_answer_sets_relay_time_anew() {
        let (clock, clocks) = clock();
        clock.tell(1_800_000_000);
        clock.tell(1_800_028_800);
        assert_eq!(clock.now_ms(), 1_800_028_800_500);
        clock.tell(1_700_000_000);
        clocks.steady_ms.fetch_add(1, Ordering::Relaxed);
        assert_eq!(clock.now_ms(), 1_700_000_000_501);
        // Nor does a clock that goes back, which none should.
        clocks.steady_ms.store(0, Ordering::Relaxed);
        assert_eq!(clock.now_ms(), 1_700_000_000_500);
    }

    #[test]
    fn the_systems_clocks_go_on() {
        let clock = RelayClock::new();
        clock.tell(1_800_000_000);
        let (then, steady) = (clock.now_ms(), steady());
        std::thread::sleep(Duration::from_millis(20));
        assert!(clock.now_ms() >= then + 20);
        assert!(super::steady() >= steady + Duration::from_millis(20));
    }

    #[test]
    fn http_dates() {
        assert_eq!(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(parse_http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(parse_http_date("Thu, 29 Feb 2024 23:59:59 GMT"), Some(1_709_251_199));
        for bad in [
            "",
            "Sun, 06",
            "Sun, 06 Foo 1994 08:49:37 GMT",
            "Sun, xx Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 9223372036854775807 08:49:37 GMT",
            "Sun, 9223372036854775807 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 9223372036854775807:49:37 GMT",
            "Sun, 06 Nov 1994 08:-9223372036854775808:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
        ] {
            assert_eq!(parse_http_date(bad), None);
        }
    }
}
