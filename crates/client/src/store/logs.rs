//! Logs of conversations, what was read of them, and the replay check.

mod devices;

pub(crate) use devices::{Noted, forget_noted, is_noted, note_device, noted, noted_at, noted_devices};
use rusqlite::{OptionalExtension as _, Row, Transaction, params};
use waxwing_protocol::ChannelSecret;
use waxwing_protocol::envelope::MessageSender;
use waxwing_wire::{AccountId, DeviceId, EnvelopeId, LogId, RelayAddress};

use super::account::text;
use super::conversations::ConversationId;
use super::{begun_anew, bytes, sealed_to_erased};
use crate::error::Error;

/// A log as stored; its MLS group has the same id.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) log: LogId,
    pub(crate) conversation: ConversationId,
    pub(crate) relay: RelayAddress,
    pub(crate) generation: u32,
    /// The channel secret in force.
    pub(crate) secret: ChannelSecret,
    pub(crate) mine: bool,
    pub(crate) created: bool,
    /// Whether one is in its group.
    pub(crate) active: bool,
    pub(crate) peer_seen: bool,
    /// Whether the own leaf is still the one of a key package.
    pub(crate) update_due: bool,
    /// Seq of the newest entry that was processed.
    pub(crate) cursor: u64,
    /// Running hash at the cursor.
    pub(crate) running: [u8; 32],
    /// Seq of the last handshake, valid or not; 0 if none.
    pub(crate) last_handshake: u64,
    /// Running hash at the last handshake; zeros if none.
    pub(crate) handshake_running: [u8; 32],
    pub(crate) trouble: Trouble,
    /// Who signed the last handshake, where it was none that counts: should the log be frozen, it is their doing.
    pub(crate) spoiler: Option<AccountId>,
}

/// What is wrong with a log's group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    /// Something could not be read: this device asks to be added again, and goes on meanwhile.
    Lost,
    /// A handshake was missed: this device asks to be added again, and says nothing before, since nobody could read it.
    Behind,
    /// Nobody can write to it any more: an admin makes another.
    Frozen,
    /// The database is an older copy: nothing is sealed before this device was added again, lest a key be used twice.
    RolledBack,
}

/// Adds a log; one that is known already is replaced (one was removed, and is added again).
pub(crate) fn insert(tx: &Transaction<'_>, log: &Log, now_ms: u64) -> Result<(), Error> {
    // At most one request to be let back in a day, also where the one before was answered.
    let (asked_ms, _) = resync(tx, log.log)?;
    tx.execute(
        "INSERT OR REPLACE INTO logs
             (log, conversation, relay, generation, secret, mine, created, active, peer_seen, update_due, cursor, running,
              last_handshake, handshake_running, counter, updated_ms, updated_counter, resync_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, 0, ?15, 0, ?16)",
        params![
            log.log.as_bytes(),
            log.conversation,
            log.relay.to_string(),
            log.generation,
            log.secret.as_bytes(),
            log.mine,
            log.created,
            log.active,
            log.peer_seen,
            log.update_due,
            log.cursor,
            log.running,
            log.last_handshake,
            log.handshake_running,
            now_ms,
            asked_ms,
        ],
    )?;
    tx.execute("DELETE FROM log_devices WHERE log = ?1", [log.log.as_bytes()])?;
    Ok(())
}

/// Joined by a Welcome which said that its group stands at `slot`.
pub(crate) fn set_joined(tx: &Transaction<'_>, log: LogId, slot: u64, now_ms: u64) -> Result<(), Error> {
    tx.execute(
        "UPDATE logs SET joined_slot = ?2, joined_ms = ?3 WHERE log = ?1",
        params![log.as_bytes(), slot, now_ms],
    )?;
    Ok(())
}

/// Another log takes the place of what is known of it: of whoever was asked, and what was asked under `nonce`, the account that has answered.
/// Its Welcome alone says what the group is.
pub(crate) fn set_answered(
    tx: &Transaction<'_>,
    log: LogId,
    nonce: &[u8; 16],
    by: AccountId,
    asked: &[DeviceId],
    now_ms: u64,
) -> Result<(), Error> {
    tx.execute(
        "UPDATE logs SET answered_nonce = ?2, answered_by = ?3 WHERE log = ?1",
        params![log.as_bytes(), nonce, by.as_bytes()],
    )?;
    asked.iter().try_for_each(|device| note_device(tx, log, *device, Noted::AskedToo, now_ms, 0).map(drop))
}

/// Who has answered under this nonce, as long as nobody else's words fit what they have said of the group.
pub(crate) fn answered_by(tx: &Transaction<'_>, log: LogId, nonce: &[u8; 16]) -> Result<Option<AccountId>, Error> {
    Ok(tx
        .prepare_cached("SELECT answered_by FROM logs WHERE log = ?1 AND answered_nonce = ?2")?
        .query_row(params![log.as_bytes(), nonce], |row| row.get(0).map(AccountId::from_bytes))
        .optional()?)
}

/// What the Welcome said that has let this device in is not true of the log, or not of the group that others are in.
pub(crate) fn belie(tx: &Transaction<'_>, log: LogId) -> Result<(), Error> {
    tx.execute("UPDATE logs SET belied = 1 WHERE log = ?1 AND answered_nonce IS NOT NULL", [log.as_bytes()])?;
    Ok(())
}

/// Whether that is so.
pub(crate) fn is_belied(tx: &Transaction<'_>, log: LogId) -> Result<bool, Error> {
    Ok(tx.prepare_cached("SELECT 1 FROM logs WHERE log = ?1 AND belied = 1")?.exists([log.as_bytes()])?)
}

/// Somebody has spoken in the group as it is here: if that is not who has brought this device into it, it is the others' group, too.
pub(crate) fn is_shared_with(tx: &Transaction<'_>, log: LogId, account: AccountId) -> Result<(), Error> {
    tx.prepare_cached(
        "UPDATE logs SET answered_nonce = NULL, answered_by = NULL WHERE log = ?1 AND answered_by != ?2",
    )?
    .execute(params![log.as_bytes(), account.as_bytes()])?;
    Ok(())
}

/// The log is another than the one that was read; gives since when that is so.
pub(crate) fn note_went_back(tx: &Transaction<'_>, log: LogId, now_ms: u64) -> Result<u64, Error> {
    tx.execute(
        "UPDATE logs SET went_back_ms = ?2 WHERE log = ?1 AND went_back_ms = 0",
        params![log.as_bytes(), now_ms],
    )?;
    Ok(tx.query_row("SELECT went_back_ms FROM logs WHERE log = ?1", [log.as_bytes()], |row| row.get(0))?)
}

/// Since when it is another than the one that was read, if it is.
pub(crate) fn went_back(tx: &Transaction<'_>, log: LogId) -> Result<Option<u64>, Error> {
    Ok(tx
        .prepare_cached("SELECT went_back_ms FROM logs WHERE log = ?1 AND went_back_ms > 0")?
        .query_row([log.as_bytes()], |row| row.get(0))
        .optional()?)
}

/// The relay has no room in the log; gives since when that is so. Never since later than now: a clock may have been ahead.
pub(crate) fn note_full(tx: &Transaction<'_>, log: LogId, now_ms: u64) -> Result<u64, Error> {
    tx.execute(
        "UPDATE logs SET full_ms = ?2 WHERE log = ?1 AND (full_ms = 0 OR full_ms > ?2)",
        params![log.as_bytes(), now_ms],
    )?;
    Ok(tx.query_row("SELECT full_ms FROM logs WHERE log = ?1", [log.as_bytes()], |row| row.get(0))?)
}

/// Whether that is so.
pub(crate) fn is_full(tx: &Transaction<'_>, log: LogId) -> Result<bool, Error> {
    Ok(tx.prepare_cached("SELECT 1 FROM logs WHERE log = ?1 AND full_ms > 0")?.exists([log.as_bytes()])?)
}

/// Something that was said stands in it: there was room.
pub(crate) fn has_room(tx: &Transaction<'_>, log: LogId) -> Result<(), Error> {
    tx.prepare_cached("UPDATE logs SET full_ms = 0 WHERE log = ?1 AND full_ms > 0")?.execute([log.as_bytes()])?;
    Ok(())
}

/// It is the one that was read, and goes as far as the Welcome has said that brought this device in.
pub(crate) fn is_sound(tx: &Transaction<'_>, log: LogId) -> Result<(), Error> {
    tx.prepare_cached(
        "UPDATE logs SET went_back_ms = 0, joined_seen = 1 WHERE log = ?1 AND (went_back_ms > 0 OR joined_seen = 0)",
    )?
    .execute([log.as_bytes()])?;
    Ok(())
}

/// Whether nothing but a Welcome has said that the log goes as far as it is believed to have been read.
pub(crate) fn is_unread_since_joined(tx: &Transaction<'_>, log: LogId) -> Result<bool, Error> {
    Ok(tx
        .prepare_cached(
            "SELECT 1 FROM logs WHERE log = ?1 AND joined_slot = cursor AND joined_slot > 0 AND joined_seen = 0",
        )?
        .exists([log.as_bytes()])?)
}

/// Whether nothing but a Welcome has said that a handshake stands at this place, and that was before a time.
pub(crate) fn is_slot_unseen(tx: &Transaction<'_>, log: LogId, slot: u64, before_ms: u64) -> Result<bool, Error> {
    Ok(tx
        .prepare_cached("SELECT 1 FROM logs WHERE log = ?1 AND joined_slot = ?2 AND joined_ms < ?3")?
        .exists(params![log.as_bytes(), slot, before_ms])?)
}

pub(crate) fn load(tx: &Transaction<'_>, log: LogId) -> Result<Option<Log>, Error> {
    let mut statement = tx.prepare_cached("SELECT * FROM logs WHERE log = ?1")?;
    Ok(statement.query_row([log.as_bytes()], read).optional()?)
}

/// Logs that are followed: those at a relay whose group one is in.
pub(crate) fn followed(tx: &Transaction<'_>) -> Result<Vec<Log>, Error> {
    let mut statement = tx.prepare_cached("SELECT * FROM logs WHERE created = 1 AND active = 1 ORDER BY log")?;
    let rows = statement.query_map([], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Logs whose groups one was taken out of, to be brought in again, and has not been; and those of groups that one has begun anew, and into which
/// somebody does not follow.
pub(crate) fn awaited(tx: &Transaction<'_>) -> Result<Vec<Log>, Error> {
    let mut statement = tx.prepare_cached(
        "SELECT * FROM logs WHERE (active = 0 AND resync_nonce IS NOT NULL)
             OR (active = 1 AND log IN (SELECT log FROM begun_anew JOIN log_devices USING (log) WHERE what = ?1))
         ORDER BY log",
    )?;
    let rows = statement.query_map([Noted::Refuses as i64], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Own logs that the relay does not have yet.
pub(crate) fn to_create(tx: &Transaction<'_>) -> Result<Vec<Log>, Error> {
    let mut statement = tx.prepare_cached("SELECT * FROM logs WHERE mine = 1 AND created = 0 ORDER BY log")?;
    let rows = statement.query_map([], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// All logs of a conversation.
pub(crate) fn of(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<Vec<Log>, Error> {
    let mut statement = tx.prepare_cached("SELECT * FROM logs WHERE conversation = ?1 ORDER BY log")?;
    let rows = statement.query_map([conversation], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// All logs whose group one is in.
pub(crate) fn active(tx: &Transaction<'_>) -> Result<Vec<Log>, Error> {
    let mut statement = tx.prepare_cached("SELECT * FROM logs WHERE active = 1 ORDER BY log")?;
    let rows = statement.query_map([], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// How many logs of this conversation others have made, of its newest generation.
pub(crate) fn foreign(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<usize, Error> {
    Ok(tx.query_row(
        "SELECT count(*) FROM logs WHERE conversation = ?1 AND mine = 0 AND active = 1
           AND generation = (SELECT max(generation) FROM logs WHERE conversation = ?1 AND active = 1)",
        [conversation],
        |row| row.get(0),
    )?)
}

/// Where to send: among the groups that one is in, the highest generation, then one where the other side was seen (before that the own
/// one), then the lowest log id. Of groups of more people that were begun anew at once it is the lowest log id for everybody: an admin who
/// takes somebody out must do that where the others talk.
pub(crate) fn to_send(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<Option<Log>, Error> {
    let mut statement = tx.prepare_cached(
        "SELECT logs.* FROM logs JOIN conversations ON conversations.id = conversation WHERE conversation = ?1 AND active = 1
         ORDER BY generation DESC, peer_seen OR (generation > 1 AND kind = 2) DESC, log LIMIT 1",
    )?;
    Ok(statement.query_row([conversation], read).optional()?)
}

/// Whether the relay has the own log.
pub(crate) fn set_created(tx: &Transaction<'_>, log: LogId) -> Result<(), Error> {
    tx.execute("UPDATE logs SET created = 1 WHERE log = ?1", [log.as_bytes()])?;
    Ok(())
}

pub(crate) fn set_peer_seen(tx: &Transaction<'_>, log: LogId) -> Result<(), Error> {
    tx.execute("UPDATE logs SET peer_seen = 1 WHERE log = ?1", [log.as_bytes()])?;
    Ok(())
}

/// The own leaf has been replaced by a commit of one's own.
pub(crate) fn set_leaf_replaced(tx: &Transaction<'_>, log: LogId) -> Result<(), Error> {
    tx.execute("UPDATE logs SET update_due = 0, leaf_version = 0 WHERE log = ?1", [log.as_bytes()])?;
    Ok(())
}

/// A commit of one's own has set a new channel secret, too: nothing that was stolen before is of use any more.
pub(crate) fn set_updated(tx: &Transaction<'_>, log: LogId, now_ms: u64) -> Result<(), Error> {
    tx.execute(
        "UPDATE logs SET updated_ms = ?2, updated_counter = counter WHERE log = ?1",
        params![log.as_bytes(), now_ms],
    )?;
    Ok(())
}

/// Whether the own leaf has been the same since `before_ms`, or for `most` envelopes.
pub(crate) fn is_stale(tx: &Transaction<'_>, log: LogId, before_ms: u64, most: u64) -> Result<bool, Error> {
    Ok(tx
        .prepare_cached("SELECT 1 FROM logs WHERE log = ?1 AND (updated_ms < ?2 OR counter - updated_counter >= ?3)")?
        .exists(params![log.as_bytes(), before_ms, most])?)
}

/// Logs in whose groups one takes part with an own leaf that has sent something and is the same since `before_ms`, and which nothing is
/// wrong with.
pub(crate) fn stale(tx: &Transaction<'_>, before_ms: u64) -> Result<Vec<(LogId, ConversationId)>, Error> {
    let mut statement = tx.prepare_cached(
        "SELECT log, conversation FROM logs WHERE active = 1 AND trouble = 0 AND updated_ms < ?1 AND counter > updated_counter
             AND conversation IN (SELECT id FROM conversations WHERE standing = 0)",
    )?;
    let rows = statement
        .query_map([before_ms], |row| Ok((LogId::from_bytes(bytes(row, "log")?), bytes(row, "conversation")?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Nothing was asked for, or updated, later than now: a clock that was ahead must not keep a device out, or its keys as they are, for years.
pub(crate) fn correct_times(tx: &Transaction<'_>, now_ms: u64) -> Result<(), Error> {
    tx.execute(
        "UPDATE logs SET resync_ms = min(resync_ms, ?1), updated_ms = min(updated_ms, ?1) WHERE max(resync_ms, updated_ms) > ?1",
        [now_ms],
    )?;
    Ok(())
}

/// Something is wrong with a log. Whatever is known to be wrong already stays: it would not be mended by what mends something less.
pub(crate) fn note_trouble(tx: &Transaction<'_>, log: LogId, trouble: Trouble) -> Result<(), Error> {
    // An unread message is the one thing that anything else is worse than.
    tx.execute(
        "UPDATE logs SET trouble = ?2 WHERE log = ?1 AND trouble IN (0, ?3)",
        params![log.as_bytes(), trouble_column(trouble), trouble_column(Trouble::Lost)],
    )?;
    Ok(())
}

/// Nobody has taken in the last handshake: whoever waits to be let back in waits in vain.
pub(crate) fn set_frozen(tx: &Transaction<'_>, log: LogId) -> Result<(), Error> {
    tx.execute(
        "UPDATE logs SET trouble = ?2 WHERE log = ?1",
        params![log.as_bytes(), trouble_column(Trouble::Frozen)],
    )?;
    Ok(())
}

/// The database is an older copy: every group is to be joined again, and the relay may hold key packages whose private parts are lost.
pub(crate) fn set_rolled_back(tx: &Transaction<'_>) -> Result<(), Error> {
    tx.execute("UPDATE logs SET trouble = 3 WHERE active = 1", [])?;
    tx.execute("UPDATE account SET packages_version = 0", [])?;
    Ok(())
}

/// How many envelopes this device has sealed for a log, as far as this database knows.
pub(crate) fn counter(tx: &Transaction<'_>, log: LogId) -> Result<u64, Error> {
    Ok(tx.query_row("SELECT counter FROM logs WHERE log = ?1", [log.as_bytes()], |row| row.get(0))?)
}

/// A resync has been asked for.
pub(crate) fn set_resync(tx: &Transaction<'_>, log: LogId, now_ms: u64, nonce: &[u8; 16]) -> Result<(), Error> {
    tx.execute(
        "UPDATE logs SET resync_ms = ?2, resync_nonce = ?3, answered_nonce = NULL, answered_by = NULL WHERE log = ?1",
        params![log.as_bytes(), now_ms, nonce],
    )?;
    Ok(())
}

/// When a resync was last asked for (0: never), and with which nonce.
pub(crate) fn resync(tx: &Transaction<'_>, log: LogId) -> Result<(u64, Option<[u8; 16]>), Error> {
    let row = tx
        .query_row("SELECT resync_ms, resync_nonce FROM logs WHERE log = ?1", [log.as_bytes()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    Ok(row.unwrap_or_default())
}

/// Whether a log of this conversation waits for the Welcome that it has asked for.
pub(crate) fn awaits_welcome(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<bool, Error> {
    Ok(tx
        .prepare_cached("SELECT 1 FROM logs WHERE conversation = ?1 AND active = 0 AND resync_nonce IS NOT NULL")?
        .exists([conversation])?)
}

/// It is not followed any more.
pub(crate) fn set_inactive(tx: &Transaction<'_>, log: LogId) -> Result<(), Error> {
    tx.execute("UPDATE logs SET active = 0, resync_nonce = NULL WHERE log = ?1", [log.as_bytes()])?;
    begun_anew::forget(tx, log)?;
    sealed_to_erased::forget(tx, log)
}

pub(crate) fn remove(tx: &Transaction<'_>, log: LogId) -> Result<(), Error> {
    tx.execute("DELETE FROM logs WHERE log = ?1", [log.as_bytes()])?;
    begun_anew::forget(tx, log)?;
    sealed_to_erased::forget(tx, log)
}

/// Everything up to the cursor has been processed: stores what that changed.
pub(crate) fn advance(tx: &Transaction<'_>, log: &Log) -> Result<(), Error> {
    tx.prepare_cached(
        "UPDATE logs SET cursor = ?2, running = ?3, last_handshake = ?4, handshake_running = ?5, secret = ?6, active = ?7,
             trouble = ?8, spoiler = ?9
         WHERE log = ?1",
    )?
    .execute(params![
        log.log.as_bytes(),
        log.cursor,
        log.running,
        log.last_handshake,
        log.handshake_running,
        log.secret.as_bytes(),
        log.active,
        trouble_column(log.trouble),
        log.spoiler.as_ref().map(AccountId::as_bytes),
    ])?;
    Ok(())
}

/// The number of the next envelope of this device in this log, from 1.
pub(crate) fn next_counter(tx: &Transaction<'_>, log: LogId) -> Result<u64, Error> {
    Ok(tx
        .prepare_cached("UPDATE logs SET counter = counter + 1 WHERE log = ?1 RETURNING counter")?
        .query_row([log.as_bytes()], |row| row.get(0))?)
}

/// Notes an envelope whose signature was verified; false if it was seen before (a replay).
pub(crate) fn first_sight(
    tx: &Transaction<'_>,
    sender: &MessageSender,
    envelope: EnvelopeId,
    opened_with: u32,
) -> Result<bool, Error> {
    let added = tx
        .prepare_cached("INSERT OR IGNORE INTO seen (account, device, envelope, opened_with) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![sender.account.as_bytes(), sender.device.as_bytes(), envelope.as_bytes(), opened_with])?;
    Ok(added == 1)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Log> {
    Ok(Log {
        log: LogId::from_bytes(bytes(row, "log")?),
        conversation: bytes(row, "conversation")?,
        relay: text(row, "relay")?,
        generation: row.get("generation")?,
        secret: ChannelSecret::from_bytes(&bytes(row, "secret")?),
        mine: row.get("mine")?,
        created: row.get("created")?,
        active: row.get("active")?,
        peer_seen: row.get("peer_seen")?,
        update_due: row.get("update_due")?,
        cursor: row.get("cursor")?,
        running: bytes(row, "running")?,
        last_handshake: row.get("last_handshake")?,
        handshake_running: bytes(row, "handshake_running")?,
        trouble: match row.get::<_, i64>("trouble")? {
            0 => Trouble::None,
            1 => Trouble::Lost,
            2 => Trouble::Frozen,
            4 => Trouble::Behind,
            _ => Trouble::RolledBack,
        },
        spoiler: row.get::<_, Option<[u8; 16]>>("spoiler")?.map(AccountId::from_bytes),
    })
}

fn trouble_column(trouble: Trouble) -> i64 {
    match trouble {
        Trouble::None => 0,
        Trouble::Lost => 1,
        Trouble::Frozen => 2,
        Trouble::RolledBack => 3,
        Trouble::Behind => 4,
    }
}
