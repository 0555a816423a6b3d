//! How many files this process may have open, and how many of them connections may be.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kept back for everything that is no connection of a client: the database, the files of blobs, keys and certificates, the operator's listener.
const KEPT: u64 = 256;

/// Raises the limit to the most that the system lets this process have; gives what is in force then, none for no limit.
pub(super) fn raise() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // Refused where a system has a limit of its own beside "none" (macOS): what was in force stays.
    if current != maximum {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
    getrlimit(Resource::Nofile).current
}

/// As many connections as there are descriptors for, and no more than `wanted`.
pub(super) fn connections(wanted: usize, limit: Option<u64>) -> usize {
    let Some(limit) = limit else { return wanted };
    let room = usize::try_from(limit.saturating_sub(KEPT)).unwrap_or(usize::MAX);
    // A limit below that is no reason to serve nobody.
    wanted.min(room.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_everything_else() {
        assert_eq!(connections(20_000, None), 20_000);
        assert_eq!(connections(20_000, Some(65_536)), 20_000);
        assert_eq!(connections(20_000, Some(20_256)), 20_000);
        assert_eq!(connections(20_000, Some(20_255)), 19_999);
        assert_eq!(connections(20_000, Some(1024)), 768);
        assert_eq!(connections(100, Some(1024)), 100);
        assert_eq!(connections(20_000, Some(10)), 1);
    }
}
