//! What was read of relays' transparency logs: the pinned key, the leaves, how far their tree was proved, and what speaks against a log.
//!
//! Leaves beyond the proved size are not shown to anybody: they may be anything. Not here: what a leaf means for whom (`engine`).

use rusqlite::{OptionalExtension as _, Row, Transaction, params};
use waxwing_wire::limits::MAX_CHAIN;
use waxwing_wire::transparency::{Frontier, Leaf, NoteKey, SignedCheckpoint};
use waxwing_wire::{AccountId, MAX_U64};

use super::bytes;
use crate::error::{Error, ErrorCode};

/// Evidence is kept up to this many, the oldest first: a relay must not fill the disk with it.
const MOST_EVIDENCE: i64 = 64;
/// Of each [`AlarmKind`] this many are shown, the first ones: none of one kind takes the place of another. One more is kept, to know that there are
/// more.
pub(crate) const MOST_ALARMS: u32 = 64;
/// Leaves about one account or one name that are read at a time: twice as many as a chain can have. A log with more of them has made them up, and says
/// nothing of those that come behind.
const MOST_ABOUT: usize = 2 * MAX_CHAIN + 1;
/// Relays' clocks, and what is known of them here, do not agree to the second.
const CLOCKS_MS: u64 = 60_000;
/// So far apart are the edges that are kept.
const EDGE_EVERY: u64 = 4096;
/// Leaves that are gone through in one transaction.
const MOST_AT_A_TIME: u64 = 16 * EDGE_EVERY;

/// A log as far as it was read.
pub(crate) struct TransparencyLog {
    pub(crate) n: i64,
    /// Whose it is, `host[:port]`.
    pub(crate) relay: String,
    /// Its name is the log's origin: the relay, or what a restoration has made of that.
    pub(crate) key: NoteKey,
    /// Right edge of the tree of all leaves that were read.
    pub(crate) read: Frontier,
    /// The newest checkpoint whose root the leaves give.
    pub(crate) proved: Option<SignedCheckpoint>,
    /// Right edge of the proved tree.
    pub(crate) proved_edge: Frontier,
    /// Time of the first checkpoint that was proved here, by the relay's clock; see [`set_proved`].
    pub(crate) since_ms: u64,
    /// How many of the proved leaves were looked through for oneself and for contacts.
    pub(crate) looked: u64,
    /// The last of the evidence that the user has gone on after; 0: none.
    pub(crate) settled_n: i64,
    /// The latest time of a checkpoint in that evidence, and no later than when the user went on.
    pub(crate) settled_ms: u64,
}

impl TransparencyLog {
    /// How many leaves are proved.
    pub(crate) fn size(&self) -> u64 {
        self.proved_edge.size()
    }
}

/// What speaks against a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Against {
    /// Two checkpoints of one size with two roots: it has shown two histories.
    TwoHistories = 0,
    /// Two checkpoints, and no proof that one extends the other.
    Unproved = 1,
    /// A later checkpoint of a smaller tree.
    WentBack = 2,
    /// Two checkpoints of two sizes, and the leaves that give the root of one do not give that of the other: two histories as well.
    Diverged = 3,
}

/// Two signed checkpoints that do not go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// Its number; 0 before it is kept.
    pub(crate) n: i64,
    pub(crate) against: Against,
    /// The notes, as they were signed.
    pub(crate) first: String,
    pub(crate) second: String,
    /// When it was found (relay time).
    pub(crate) at_ms: u64,
}

impl Evidence {
    /// Whether the log has signed the contradiction itself. A proof that was not given is nobody's word: whoever stands between may have spoilt it.
    pub(crate) fn is_signed(&self) -> bool {
        self.against != Against::Unproved
    }
}

/// A leaf and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) index: u64,
    pub(crate) leaf: Leaf,
}

/// Whose log has this origin: `host[:port]`, with a slash and something behind it after the relay was restored.
pub(crate) fn relay_of(origin: &str) -> &str {
    origin.split('/').next().unwrap_or_default()
}

/// Pins a log's key, unless one is pinned; gives the one in force.
pub(crate) fn pin(tx: &Transaction<'_>, key: &NoteKey) -> Result<NoteKey, Error> {
    let (edge, relay) = (Frontier::new().encode(), relay_of(key.name()));
    tx.execute(
        "INSERT OR IGNORE INTO transparency_logs (origin, log_origin, key, read_edge, proved_edge) VALUES (?1, ?2, ?3, ?4, ?4)",
        params![relay, key.name(), key.public(), edge],
    )?;
    let known = load(tx, relay)?.ok_or_else(|| damaged("a pinned log key"))?;
    Ok(known.key)
}

/// The log of a relay, `host[:port]`, under whatever origin it goes.
pub(crate) fn load(tx: &Transaction<'_>, relay: &str) -> Result<Option<TransparencyLog>, Error> {
    let mut statement = tx.prepare_cached("SELECT * FROM transparency_logs WHERE origin = ?1")?;
    let row = statement.query_row([relay], raw).optional()?;
    row.map(|row| row.read()).transpose()
}

/// Relays of all logs that are followed.
pub(crate) fn relays(tx: &Transaction<'_>) -> Result<Vec<String>, Error> {
    let mut statement = tx.prepare_cached("SELECT origin FROM transparency_logs ORDER BY n")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Stores a page of leaves that follow what was read.
pub(crate) fn add_leaves(
    tx: &Transaction<'_>,
    log: i64,
    from: u64,
    leaves: &[Leaf],
    edge: &Frontier,
) -> Result<(), Error> {
    let mut insert =
        tx.prepare_cached("INSERT INTO transparency_leaves (log, place, who, seq, hash) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for (index, leaf) in (from..).zip(leaves) {
        let (who, seq, hash) = match leaf {
            Leaf::Chain { account_hash, seq, entry_hash } => (account_hash, i64::from(*seq), entry_hash),
            Leaf::Name { name_hash, entry_hash } => (name_hash, NAME, entry_hash),
        };
        insert.execute(params![log, index, who, seq, hash])?;
    }
    tx.execute("UPDATE transparency_logs SET read_edge = ?2 WHERE n = ?1", params![log, edge.encode()])?;
    Ok(())
}

/// All that was read is proved by this checkpoint, now (relay time). The first one says what it likes, and is not read again: it is of now at the latest.
pub(crate) fn set_proved(
    tx: &Transaction<'_>,
    log: i64,
    checkpoint: &SignedCheckpoint,
    (edge, now_ms): (&Frontier, u64),
) -> Result<(), Error> {
    let signed_ms = checkpoint.checkpoint().time_ms;
    let since_ms = if is_to_come(signed_ms, now_ms) { now_ms.min(MAX_U64) } else { signed_ms };
    tx.execute(
        "UPDATE transparency_logs SET proved = ?2, proved_edge = ?3,
             since_ms = CASE WHEN since_ms = 0 THEN ?4 ELSE since_ms END WHERE n = ?1",
        params![log, checkpoint.note(), edge.encode(), since_ms],
    )?;
    Ok(())
}

/// Whether a relay says that something was signed when it cannot have been yet.
pub(crate) fn is_to_come(signed_ms: u64, now_ms: u64) -> bool {
    signed_ms > latest_by(now_ms)
}

/// The latest time that can have been by now (relay time).
fn latest_by(now_ms: u64) -> u64 {
    now_ms.saturating_add(CLOCKS_MS).min(MAX_U64)
}

/// That many leaves were looked through.
pub(crate) fn set_looked(tx: &Transaction<'_>, log: i64, looked: u64) -> Result<(), Error> {
    tx.execute("UPDATE transparency_logs SET looked = max(looked, ?2) WHERE n = ?1", params![log, looked])?;
    Ok(())
}

/// Forgets leaves that no checkpoint has proved.
pub(crate) fn drop_unproved(tx: &Transaction<'_>, log: &TransparencyLog) -> Result<(), Error> {
    tx.execute("DELETE FROM transparency_leaves WHERE log = ?1 AND place >= ?2", params![log.n, log.size()])?;
    tx.execute("UPDATE transparency_logs SET read_edge = proved_edge WHERE n = ?1", [log.n])?;
    Ok(())
}

/// Proved leaves about an account ([`waxwing_wire::transparency::account_hash`]) from an index on, in order: the first ones, of more than any chain can
/// have.
pub(crate) fn about(
    tx: &Transaction<'_>,
    log: &TransparencyLog,
    account_hash: &[u8; 32],
    from: u64,
) -> Result<Vec<Placed>, Error> {
    find(tx, log, account_hash, from, "seq >= 0")
}

/// Whether proved leaves from an index on are about an account or a name, by its hash.
pub(crate) fn speaks_of(tx: &Transaction<'_>, log: &TransparencyLog, who: &[u8; 32], from: u64) -> Result<bool, Error> {
    let mut statement = tx.prepare_cached(
        "SELECT 1 FROM transparency_leaves WHERE log = ?1 AND who = ?2 AND place >= ?3 AND place < ?4 LIMIT 1",
    )?;
    Ok(statement.exists(params![log.n, who, from, log.size()])?)
}

/// Goes through the proved leaves about an account or a name from an index on, in order, until `each` says that it is enough (false). There may be
/// as many as there are leaves.
pub(crate) fn each_of(
    tx: &Transaction<'_>,
    log: &TransparencyLog,
    who: &[u8; 32],
    from: u64,
    mut each: impl FnMut(Placed) -> Result<bool, Error>,
) -> Result<(), Error> {
    let mut statement = tx.prepare_cached(
        "SELECT place, seq, hash FROM transparency_leaves
         WHERE log = ?1 AND who = ?2 AND place >= ?3 AND place < ?4 ORDER BY place",
    )?;
    let mut rows = statement.query(params![log.n, who, from, log.size()])?;
    while let Some(row) = rows.next()? {
        if !each(placed(who, row)?)? {
            break;
        }
    }
    Ok(())
}

fn placed(who: &[u8; 32], row: &Row<'_>) -> rusqlite::Result<Placed> {
    let (index, seq, entry_hash): (u64, i64, [u8; 32]) = (row.get(0)?, row.get(1)?, row.get(2)?);
    Ok(Placed { index, leaf: leaf(*who, seq, entry_hash) })
}

/// Proved leaves that give a name ([`waxwing_wire::transparency::name_hash`]) to somebody. One, in an honest log.
pub(crate) fn naming(tx: &Transaction<'_>, log: &TransparencyLog, name_hash: &[u8; 32]) -> Result<Vec<Placed>, Error> {
    find(tx, log, name_hash, 0, "seq < 0")
}

/// Goes through the names that proved leaves from an index on give a second time: the hashes of the `create` entries that had them before the last
/// leaf, until `each` fails. There may be as many as there are leaves, and no more: whoever keeps a log may give one name to everybody in it.
pub(crate) fn given_again(
    tx: &Transaction<'_>,
    log: &TransparencyLog,
    from: u64,
    mut each: impl FnMut([u8; 32]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut statement = tx.prepare_cached(
        "SELECT earlier.hash FROM (
             SELECT who, max(place) AS place, min(hash) AS low, max(hash) AS high FROM transparency_leaves
             WHERE log = ?1 AND place >= ?2 AND place < ?3 AND seq < 0 GROUP BY who
         ) AS named
         JOIN transparency_leaves AS earlier
           ON earlier.log = ?1 AND earlier.who = named.who AND earlier.place < named.place AND earlier.seq < 0
         WHERE earlier.hash <> named.low OR earlier.hash <> named.high",
    )?;
    let mut rows = statement.query(params![log.n, from, log.size()])?;
    while let Some(row) = rows.next()? {
        each(row.get(0)?)?;
    }
    Ok(())
}

/// Notes that the user was told of a contact's name that is given again; false if they were told before.
pub(crate) fn tell_given_again(tx: &Transaction<'_>, account: AccountId) -> Result<bool, Error> {
    Ok(tx.execute("INSERT OR IGNORE INTO names_given_again (account) VALUES (?1)", [account.as_bytes()])? == 1)
}

fn find(
    tx: &Transaction<'_>,
    log: &TransparencyLog,
    who: &[u8; 32],
    from: u64,
    kind: &str,
) -> Result<Vec<Placed>, Error> {
    let mut statement = tx.prepare_cached(&format!(
        "SELECT place, seq, hash FROM transparency_leaves
         WHERE log = ?1 AND who = ?2 AND place >= ?3 AND place < ?4 AND {kind} ORDER BY place LIMIT {MOST_ABOUT}"
    ))?;
    let rows = statement.query_map(params![log.n, who, from, log.size()], |row| placed(who, row))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn leaf(who: [u8; 32], seq: i64, entry_hash: [u8; 32]) -> Leaf {
    match u32::try_from(seq) {
        Ok(seq) => Leaf::Chain { account_hash: who, seq, entry_hash },
        Err(_) => Leaf::Name { name_hash: who, entry_hash },
    }
}

/// The right edge of the tree of the first `size` proved leaves, or of as many of them as are gone through at a time: the way is kept, so it
/// is asked for again then.
pub(crate) fn edge_at(tx: &Transaction<'_>, log: &TransparencyLog, size: u64) -> Result<Frontier, Error> {
    let kept: Option<Vec<u8>> = tx
        .prepare_cached("SELECT edge FROM transparency_edges WHERE log = ?1 AND size <= ?2 ORDER BY size DESC LIMIT 1")?
        .query_row(params![log.n, size], |row| row.get(0))
        .optional()?;
    let mut edge = match kept {
        Some(bytes) => Frontier::decode(&bytes).map_err(|_| damaged("a log's edge"))?,
        None => Frontier::new(),
    };
    let (from, end) = (edge.size(), size.min(log.size()).min(edge.size() + MOST_AT_A_TIME));
    let mut statement = tx.prepare_cached(
        "SELECT who, seq, hash FROM transparency_leaves WHERE log = ?1 AND place >= ?2 AND place < ?3 ORDER BY place",
    )?;
    let mut rows = statement.query(params![log.n, from, end])?;
    while let Some(row) = rows.next()? {
        let leaf = leaf(row.get(0)?, row.get(1)?, row.get(2)?);
        edge.append(leaf.hash()).map_err(|_| damaged("a log's leaves"))?;
        if edge.size().is_multiple_of(EDGE_EVERY) {
            tx.prepare_cached("INSERT OR IGNORE INTO transparency_edges (log, size, edge) VALUES (?1, ?2, ?3)")?
                .execute(params![log.n, edge.size(), edge.encode()])?;
        }
    }
    // A place that is missing would be gone through without end.
    if edge.size() == end { Ok(edge) } else { Err(damaged("a log's leaves")) }
}

/// Keeps two checkpoints that do not go together; false if they are kept already, and not settled since.
pub(crate) fn keep_evidence(tx: &Transaction<'_>, origin: &str, evidence: &Evidence) -> Result<bool, Error> {
    let settled_n = load(tx, origin)?.map_or(0, |log| log.settled_n);
    // The same once more, after the user has gone on, is news.
    tx.execute(
        "DELETE FROM transparency_evidence WHERE origin = ?1 AND first = ?2 AND second = ?3 AND n <= ?4",
        params![origin, evidence.first, evidence.second, settled_n],
    )?;
    let added = tx.execute(
        "INSERT OR IGNORE INTO transparency_evidence (origin, against, first, second, at_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![origin, evidence.against as i64, evidence.first, evidence.second, evidence.at_ms],
    )?;
    // What is settled goes before what is not.
    tx.execute(
        "DELETE FROM transparency_evidence WHERE n IN
             (SELECT n FROM transparency_evidence WHERE origin = ?1 ORDER BY n <= ?3, n LIMIT -1 OFFSET ?2)",
        params![origin, MOST_EVIDENCE, settled_n],
    )?;
    Ok(added == 1)
}

/// Begins with a log anew under the pinned key: what was read of it is forgotten, and this evidence stops nothing any more. It stays. `now_ms`:
/// relay time.
pub(crate) fn settle(
    tx: &Transaction<'_>,
    log: &TransparencyLog,
    evidence: &[Evidence],
    now_ms: u64,
) -> Result<(), Error> {
    let last = evidence.iter().map(|one| one.n).max().unwrap_or(log.settled_n);
    let notes = evidence.iter().flat_map(|one| [&one.first, &one.second]);
    // Signed before they were kept.
    let times =
        notes.filter_map(|note| Some(SignedCheckpoint::verify(note.as_bytes(), &log.key).ok()?.checkpoint().time_ms));
    // No later than now: a note from the future would settle whatever the relay signs from now on.
    let latest = times.max().unwrap_or(0).max(log.settled_ms).min(latest_by(now_ms));
    tx.execute("DELETE FROM transparency_leaves WHERE log = ?1", [log.n])?;
    tx.execute("DELETE FROM transparency_edges WHERE log = ?1", [log.n])?;
    tx.execute(
        "UPDATE transparency_logs SET read_edge = ?2, proved_edge = ?2, proved = NULL, since_ms = 0, looked = 0, settled_n = ?3,
             settled_ms = ?4
         WHERE n = ?1",
        params![log.n, Frontier::new().encode(), last, latest],
    )?;
    Ok(())
}

/// What speaks against a log and was not settled by the user.
pub(crate) fn unsettled(tx: &Transaction<'_>, relay: &str) -> Result<Vec<Evidence>, Error> {
    let settled_n = load(tx, relay)?.map_or(0, |log| log.settled_n);
    Ok(evidence(tx, relay)?.into_iter().filter(|one| one.n > settled_n).collect())
}

/// What speaks against a log, the oldest first.
pub(crate) fn evidence(tx: &Transaction<'_>, origin: &str) -> Result<Vec<Evidence>, Error> {
    let mut statement = tx.prepare_cached("SELECT * FROM transparency_evidence WHERE origin = ?1 ORDER BY n")?;
    let rows = statement.query_map([origin], |row| {
        Ok(Evidence {
            n: row.get("n")?,
            against: match row.get::<_, i64>("against")? {
                0 => Against::TwoHistories,
                1 => Against::Unproved,
                2 => Against::WentBack,
                _ => Against::Diverged,
            },
            first: row.get("first")?,
            second: row.get("second")?,
            at_ms: row.get("at_ms")?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Origins of all logs that something speaks against, in the order in which it was found.
pub(crate) fn contradicted(tx: &Transaction<'_>) -> Result<Vec<String>, Error> {
    let mut statement =
        tx.prepare_cached("SELECT origin FROM transparency_evidence GROUP BY origin ORDER BY min(n)")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// An entry of the own chain that no own device has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Alarm {
    /// Its place in the log; none where it was shown in a conversation alone.
    pub(crate) index: Option<u64>,
    /// Its place in the chain; none where it gives the own name to somebody else.
    pub(crate) seq: Option<u32>,
    pub(crate) entry_hash: [u8; 32],
    pub(crate) at_ms: u64,
}

/// What an alarm is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AlarmKind {
    /// An entry of the own chain in the relay's log.
    Logged,
    /// One that was shown in a conversation alone.
    Shown,
    /// The own name, given to somebody else in the relay's log.
    Name,
}

impl AlarmKind {
    /// Which rows are of this kind.
    fn rows(self) -> &'static str {
        match self {
            Self::Logged => "seq >= 0 AND place >= 0",
            Self::Shown => "seq >= 0 AND place < 0",
            Self::Name => "seq < 0",
        }
    }
}

impl Alarm {
    pub(crate) fn kind(&self) -> AlarmKind {
        match (self.seq, self.index) {
            (None, _) => AlarmKind::Name,
            (Some(_), Some(_)) => AlarmKind::Logged,
            (Some(_), None) => AlarmKind::Shown,
        }
    }

    /// The `place` column.
    fn place(&self) -> i64 {
        self.index.map_or(NO_PLACE, |index| i64::try_from(index).unwrap_or(i64::MAX))
    }
}

/// Keeps an alarm; false if it is known, or if there are more of its kind than are shown.
pub(crate) fn raise(tx: &Transaction<'_>, alarm: &Alarm) -> Result<bool, Error> {
    let seq = alarm.seq.map_or(NAME, i64::from);
    if are_full(tx, alarm.kind())? {
        return Ok(false);
    }
    if alarm.kind() == AlarmKind::Logged {
        // The log says more of it than the conversation that has shown it before.
        tx.execute(
            "DELETE FROM key_alarms WHERE place = ?1 AND seq = ?2 AND hash = ?3",
            params![NO_PLACE, seq, alarm.entry_hash],
        )?;
    }
    Ok(tx.execute(
        "INSERT OR IGNORE INTO key_alarms (place, seq, hash, at_ms) VALUES (?1, ?2, ?3, ?4)",
        params![alarm.place(), seq, alarm.entry_hash, alarm.at_ms],
    )? == 1)
}

/// Whether there are more alarms of a kind than are shown.
pub(crate) fn are_full(tx: &Transaction<'_>, kind: AlarmKind) -> Result<bool, Error> {
    // No further than to the one that is too many.
    let rows = kind.rows();
    let mut statement = tx.prepare_cached(&format!("SELECT 1 FROM key_alarms WHERE {rows} LIMIT 1 OFFSET ?1"))?;
    Ok(statement.exists([MOST_ALARMS])?)
}

/// Whether this entry of the own chain is an alarm already, wherever it stands.
pub(crate) fn is_alarm(tx: &Transaction<'_>, seq: u32, hash: &[u8; 32]) -> Result<bool, Error> {
    let mut statement = tx.prepare_cached("SELECT 1 FROM key_alarms WHERE seq = ?1 AND hash = ?2")?;
    Ok(statement.exists(params![seq, hash])?)
}

/// Forgets the alarms about entries that were dealt with, by their place in the chain and their hash.
pub(crate) fn forget_alarms(tx: &Transaction<'_>, dealt_with: impl Fn(u32, [u8; 32]) -> bool) -> Result<(), Error> {
    // All that are kept: one more of each kind than are shown.
    for alarm in alarms_up_to(tx, MOST_ALARMS + 1)? {
        if alarm.seq.is_some_and(|seq| dealt_with(seq, alarm.entry_hash)) {
            tx.execute(
                "DELETE FROM key_alarms WHERE place = ?1 AND hash = ?2",
                params![alarm.place(), alarm.entry_hash],
            )?;
        }
    }
    Ok(())
}

/// Forgets the alarms about what was shown in conversations alone: the keys that signed it are out of force, and the log holds something else in its
/// place.
pub(crate) fn forget_shown_alarms(tx: &Transaction<'_>) -> Result<(), Error> {
    tx.execute(&format!("DELETE FROM key_alarms WHERE {}", AlarmKind::Shown.rows()), [])?;
    Ok(())
}

/// The first alarms of each kind, the oldest first, and whether there are more.
pub(crate) fn alarms(tx: &Transaction<'_>) -> Result<(Vec<Alarm>, bool), Error> {
    let more = are_full(tx, AlarmKind::Logged)? || are_full(tx, AlarmKind::Shown)? || are_full(tx, AlarmKind::Name)?;
    Ok((alarms_up_to(tx, MOST_ALARMS)?, more))
}

/// As many of each kind at most.
fn alarms_up_to(tx: &Transaction<'_>, most: u32) -> Result<Vec<Alarm>, Error> {
    let of = |kind: AlarmKind| {
        format!("SELECT * FROM (SELECT * FROM key_alarms WHERE {} ORDER BY at_ms, place, seq LIMIT ?1)", kind.rows())
    };
    let all = [AlarmKind::Logged, AlarmKind::Shown, AlarmKind::Name].map(of).join(" UNION ALL ");
    let mut statement = tx.prepare_cached(&format!("{all} ORDER BY at_ms, place, seq"))?;
    let rows = statement.query_map([most], |row| {
        Ok(Alarm {
            index: u64::try_from(row.get::<_, i64>("place")?).ok(),
            seq: u32::try_from(row.get::<_, i64>("seq")?).ok(),
            entry_hash: row.get("hash")?,
            at_ms: row.get("at_ms")?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The `seq` column of a leaf that gives a name.
const NAME: i64 = -1;
/// The `place` column of an alarm about what stands in no log.
const NO_PLACE: i64 = -1;

struct Raw {
    n: i64,
    relay: String,
    origin: Option<String>,
    key: [u8; 32],
    read: Vec<u8>,
    proved: Option<String>,
    proved_edge: Vec<u8>,
    since_ms: u64,
    looked: u64,
    settled_n: i64,
    settled_ms: u64,
}

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok(Raw {
        n: row.get("n")?,
        relay: row.get("origin")?,
        origin: row.get("log_origin")?,
        key: bytes(row, "key")?,
        read: row.get("read_edge")?,
        proved: row.get("proved")?,
        proved_edge: row.get("proved_edge")?,
        since_ms: row.get("since_ms")?,
        looked: row.get("looked")?,
        settled_n: row.get("settled_n")?,
        settled_ms: row.get("settled_ms")?,
    })
}

impl Raw {
    fn read(self) -> Result<TransparencyLog, Error> {
        let origin = self.origin.as_ref().unwrap_or(&self.relay);
        let key = NoteKey::new(origin, &self.key).map_err(|_| damaged("a log's key"))?;
        let edge = |bytes: &[u8]| Frontier::decode(bytes).map_err(|_| damaged("a log's edge"));
        let proved = self.proved.map(|note| SignedCheckpoint::verify(note.as_bytes(), &key)).transpose();
        Ok(TransparencyLog {
            n: self.n,
            read: edge(&self.read)?,
            proved: proved.map_err(|_| damaged("a checkpoint"))?,
            proved_edge: edge(&self.proved_edge)?,
            since_ms: self.since_ms,
            settled_n: self.settled_n,
            settled_ms: self.settled_ms,
            looked: self.looked,
            relay: self.relay,
            key,
        })
    }
}

fn damaged(what: &str) -> Error {
    Error::new(ErrorCode::DatabaseDamaged, format!("{what} cannot be read"))
}
