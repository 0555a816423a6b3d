//! Where the storage takes the time from: the system, or a test that sets it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::state::now;

/// Gives the time since 1970, and the time that has passed whatever is done to the former.
#[derive(Clone)]
pub struct Clock {
    time: Arc<dyn Fn() -> Duration + Send + Sync>,
    uptime: Arc<dyn Fn() -> Duration + Send + Sync>,
}

impl Clock {
    /// The system's time.
    #[must_use]
    pub fn system() -> Self {
        Self::new(now, steady)
    }

    /// The time that `time` gives, while as much passes as `uptime` says: it never goes back.
    pub fn new(
        time: impl Fn() -> Duration + Send + Sync + 'static,
        uptime: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Self {
        Self { time: Arc::new(time), uptime: Arc::new(uptime) }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment((self.time)())
    }

    /// The time that has passed since some moment before: a clock that is set does not change it.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        (self.uptime)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// A time, as precisely as each purpose needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// The first moment of a day since 1970.
    #[must_use]
    pub fn start_of(day: i64) -> Self {
        Self(Duration::from_secs(u64::try_from(day).unwrap_or(0).saturating_mul(86_400)))
    }

    /// So many days before (after, if negative); within what can be told.
    #[must_use]
    pub fn less_days(self, days: i64) -> Self {
        let by = Duration::from_secs(days.unsigned_abs().saturating_mul(86_400));
        Self(if days < 0 { self.0.saturating_add(by) } else { self.0.saturating_sub(by) })
    }

    /// Days since 1970: as precisely as the relay keeps when something came.
    #[must_use]
    pub fn day(self) -> i64 {
        whole(self.0.as_secs() / 86_400)
    }

    /// Hours since 1970: for what it keeps no longer than that.
    #[must_use]
    pub fn hour(self) -> i64 {
        whole(self.0.as_secs() / 3600)
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0.as_secs()
    }

    /// Since 1970.
    #[must_use]
    pub fn since_1970(self) -> Duration {
        self.0
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

/// A clock that nobody sets, and that goes on while the computer is suspended.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn steady() -> Duration {
    use rustix::time::{ClockId, clock_gettime};

    clock_gettime(ClockId::Boottime).try_into().unwrap_or_default()
}

/// A clock that nobody sets.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn steady() -> Duration {
    use std::sync::LazyLock;
    use std::time::Instant;

    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

fn whole(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
