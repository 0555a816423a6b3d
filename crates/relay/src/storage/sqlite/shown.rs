//! Which assertions and proofs were shown, kept like everything else: a restart forgets none, and a proof's nonce outlives one.

use rusqlite::{Connection, Result, params};

use super::int;
use crate::clock::Moment;
use crate::replay::{KEEP_SECONDS, Seen, Showing};

/// Rows that are over and go with each that comes, so that there are never many.
const GO_ALONG: i64 = 2;
/// Further ahead than a clock that is about right.
const FAR_AHEAD_SECONDS: u64 = 48 * 3600;

/// Remembers what is shown; whether it was new. For as long again as it could be shown, should the clock be set back meanwhile.
pub(super) fn check(db: &Connection, showing: &Showing, now: Moment) -> Result<Seen> {
    forget(db, now, GO_ALONG)?;
    let new = db
        .prepare_cached(
            "INSERT INTO shown AS s (id, until) VALUES (?1, ?2)
             ON CONFLICT (id) DO UPDATE SET until = excluded.until WHERE s.until < ?3",
        )?
        .execute(params![showing.id, int(now.seconds() + 2 * KEEP_SECONDS), int(now.seconds())])?;
    Ok(if new == 1 { Seen::Fresh } else { Seen::Replayed })
}

/// Forgets what nobody could show any more, `most` rows of it; whether there was any. What came under a clock that was far ahead, by days, goes as well: it
/// could be shown again at that time alone, if the request was recorded.
pub(super) fn forget(db: &Connection, now: Moment, most: i64) -> Result<bool> {
    let sql = "DELETE FROM shown WHERE id IN (SELECT id FROM shown WHERE until < ?1 OR until > ?2 LIMIT ?3)";
    let far_ahead = now.seconds() + 2 * KEEP_SECONDS + FAR_AHEAD_SECONDS;
    Ok(db.prepare_cached(sql)?.execute(params![int(now.seconds()), int(far_ahead), most])? > 0)
}
