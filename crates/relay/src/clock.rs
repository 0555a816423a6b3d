//! Where the storage takes the time from: the system, or a test that sets it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::state::now;

/// Gives the time since 1970.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Duration + Send + Sync>);

impl Clock {
    /// The system's time.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(now))
    }

    /// The time that `time` gives.
    pub fn new(time: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Arc::new(time))
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment(self.0())
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

    /// Milliseconds since 1970.
    #[must_use]
    pub fn millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

fn whole(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
