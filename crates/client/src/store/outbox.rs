//! What is on its way out of a conversation, in order: app messages and changes of the group. Survives a crash at any point.
//!
//! A row stays until the log has shown its entry: that is where its message gets its place, and where an own commit is merged. What the relay
//! has accepted and does not show is sealed again.

use rusqlite::{OptionalExtension as _, Row, Transaction, params};
use waxwing_protocol::ChannelSecret;
use waxwing_wire::{AccountId, EnvelopeId, LogId, MessageId};
use zeroize::Zeroizing;

use super::bytes;
use super::conversations::ConversationId;
use crate::error::Error;

/// What a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// An [`waxwing_protocol::AppMessage`].
    Message,
    /// A [`crate::mls::GroupChange`].
    Change,
}

/// One thing to send.
#[derive(Clone)]
pub(crate) struct Item {
    pub(crate) n: i64,
    pub(crate) conversation: ConversationId,
    pub(crate) message: Option<MessageId>,
    pub(crate) what: What,
    pub(crate) content: Zeroizing<Vec<u8>>,
    /// The log that a change is for, or that a message was sealed for.
    pub(crate) log: Option<LogId>,
    /// The envelope, once sealed.
    pub(crate) sealed: Option<Sealed>,
    pub(crate) not_before_ms: u64,
}

/// A sealed envelope: retried byte for byte.
#[derive(Clone)]
pub(crate) struct Sealed {
    pub(crate) log: LogId,
    pub(crate) entry_id: EnvelopeId,
    pub(crate) after: u64,
    pub(crate) blob: Vec<u8>,
    /// With a commit that rekeys: the new channel secret.
    pub(crate) secret: Option<ChannelSecret>,
    /// With a commit that adds: what goes to the new devices once it is in ([`crate::mls::PendingWelcome`]).
    pub(crate) welcome: Option<Vec<u8>>,
}

/// An own entry that the log has shown.
pub(crate) struct Shown {
    pub(crate) n: i64,
    pub(crate) message: Option<MessageId>,
    pub(crate) what: What,
    pub(crate) content: Zeroizing<Vec<u8>>,
    pub(crate) after: u64,
    pub(crate) digest: [u8; 32],
    pub(crate) secret: Option<ChannelSecret>,
    pub(crate) welcome: Option<Vec<u8>>,
}

/// Adds an app message.
pub(crate) fn push(
    tx: &Transaction<'_>,
    conversation: &ConversationId,
    message: Option<MessageId>,
    content: &[u8],
) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO outbox (conversation, message, what, content) VALUES (?1, ?2, 0, ?3)",
        params![conversation, message.as_ref().map(|id| *id.as_bytes()), content],
    )?;
    Ok(())
}

/// Adds a change of the group of `log`, not to be made before `not_before_ms` (relay time).
pub(crate) fn push_change(
    tx: &Transaction<'_>,
    conversation: &ConversationId,
    log: LogId,
    change: &[u8],
    not_before_ms: u64,
) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO outbox (conversation, what, content, log, not_before_ms) VALUES (?1, 1, ?2, ?3, ?4)",
        params![conversation, change, log.as_bytes(), not_before_ms],
    )?;
    Ok(())
}

/// The same for a change of which one is enough: one that waits unsealed is replaced.
pub(crate) fn push_change_once(
    tx: &Transaction<'_>,
    conversation: &ConversationId,
    log: LogId,
    change: &[u8],
    not_before_ms: u64,
) -> Result<(), Error> {
    tx.execute(
        "DELETE FROM outbox WHERE conversation = ?1 AND log = ?2 AND what = 1 AND content = ?3 AND blob IS NULL AND accepted = 0",
        params![conversation, log.as_bytes(), change],
    )?;
    push_change(tx, conversation, log, change, not_before_ms)
}

/// What would wait beyond `latest_ms` is due: a clock that was ahead has put it off. True if there was anything.
pub(crate) fn correct_times(tx: &Transaction<'_>, latest_ms: u64) -> Result<bool, Error> {
    Ok(tx.execute("UPDATE outbox SET not_before_ms = 0 WHERE accepted = 0 AND not_before_ms > ?1", [latest_ms])? > 0)
}

/// Changes of this kind that would wait beyond `latest_ms`, each given another time by `time`.
pub(crate) fn bring_forward(
    tx: &Transaction<'_>,
    change: &[u8],
    latest_ms: u64,
    mut time: impl FnMut() -> u64,
) -> Result<(), Error> {
    let mut statement = tx.prepare_cached(
        "SELECT n FROM outbox WHERE accepted = 0 AND not_before_ms > ?1 AND what = 1 AND content = ?2",
    )?;
    let late =
        statement.query_map(params![latest_ms, change], |row| row.get(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    late.into_iter().try_for_each(|n| postpone(tx, n, time()))
}

/// The same, before everything that waits in the conversation: nothing of that can be sent without it.
pub(crate) fn push_change_first(
    tx: &Transaction<'_>,
    conversation: &ConversationId,
    log: LogId,
    change: &[u8],
) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO outbox (n, conversation, what, content, log)
         SELECT min(coalesce(min(n), 1), 1) - 1, ?1, 1, ?2, ?3 FROM outbox",
        params![conversation, change, log.as_bytes()],
    )?;
    Ok(())
}

/// An item comes before everything else that waits, at once; its new number.
pub(crate) fn move_first(tx: &Transaction<'_>, n: i64) -> Result<i64, Error> {
    Ok(tx.query_row(
        "UPDATE outbox SET n = (SELECT min(coalesce(min(n), 1), 1) - 1 FROM outbox), not_before_ms = 0 WHERE n = ?1 RETURNING n",
        [n],
        |row| row.get(0),
    )?)
}

/// The next item of each conversation that has one to send: the oldest, but for a change that is sealed. That may be in the log already, and a
/// commit made now would take the place of the one that waits in the group for it. What is to wait comes after what is not; nothing goes
/// to a conversation that one has not accepted.
pub(crate) fn heads(tx: &Transaction<'_>, now_ms: u64) -> Result<Vec<Item>, Error> {
    let mut statement = tx.prepare_cached(
        "SELECT * FROM outbox WHERE n IN
             (SELECT n FROM (SELECT n, row_number() OVER
                  (PARTITION BY conversation ORDER BY what = 1 AND blob IS NOT NULL DESC, n) AS place
                  FROM outbox WHERE accepted = 0 AND not_before_ms <= ?1
                      AND conversation NOT IN (SELECT id FROM conversations WHERE standing = 1))
              WHERE place = 1)
         ORDER BY n",
    )?;
    let rows = statement.query_map([now_ms], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The same for one conversation.
pub(crate) fn head(tx: &Transaction<'_>, conversation: &ConversationId, now_ms: u64) -> Result<Option<Item>, Error> {
    let mut statement = tx.prepare_cached(
        "SELECT * FROM outbox WHERE conversation = ?1 AND accepted = 0 AND not_before_ms <= ?2
             AND conversation NOT IN (SELECT id FROM conversations WHERE standing = 1)
         ORDER BY what = 1 AND blob IS NOT NULL DESC, n LIMIT 1",
    )?;
    Ok(statement.query_row(params![conversation, now_ms], read).optional()?)
}

/// Messages of a conversation that were put off are tried again at once.
pub(crate) fn hurry_messages(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<(), Error> {
    tx.prepare_cached(
        "UPDATE outbox SET not_before_ms = 0 WHERE what = 0 AND not_before_ms > 0 AND conversation = ?1",
    )?
    .execute([conversation])?;
    Ok(())
}

/// Messages that wait because of somebody whose keys were in doubt are tried again at once.
pub(crate) fn release(tx: &Transaction<'_>, account: AccountId) -> Result<(), Error> {
    tx.execute(
        "UPDATE outbox SET not_before_ms = 0 WHERE what = 0 AND not_before_ms > 0 AND conversation IN
             (SELECT conversation FROM people WHERE account = ?1 UNION SELECT id FROM conversations WHERE account = ?1)",
        [account.as_bytes()],
    )?;
    Ok(())
}

/// Stores the sealed envelope before it is sent.
pub(crate) fn set_sealed(tx: &Transaction<'_>, n: i64, sealed: &Sealed) -> Result<(), Error> {
    tx.execute(
        "UPDATE outbox SET log = ?2, entry_id = ?3, after = ?4, blob = ?5, digest = ?6, secret = ?7, welcome = ?8 WHERE n = ?1",
        params![
            n,
            sealed.log.as_bytes(),
            sealed.entry_id.as_bytes(),
            sealed.after,
            sealed.blob,
            waxwing_wire::hash(&[&sealed.blob]),
            sealed.secret.as_ref().map(|secret| *secret.as_bytes()),
            sealed.welcome,
        ],
    )?;
    Ok(())
}

/// What was sealed for a log and has not been seen in it is sealed again, for the log that comes after it.
pub(crate) fn unseal_for(tx: &Transaction<'_>, log: LogId) -> Result<(), Error> {
    tx.execute(
        "UPDATE outbox SET log = NULL, entry_id = NULL, after = NULL, blob = NULL, digest = NULL
         WHERE log = ?1 AND what = 0 AND accepted = 0",
        [log.as_bytes()],
    )?;
    Ok(())
}

/// Forgets the envelopes of a log's changes: they are made anew in the group as it will be.
pub(crate) fn unseal_changes(tx: &Transaction<'_>, log: LogId) -> Result<(), Error> {
    tx.execute(
        "UPDATE outbox SET entry_id = NULL, after = NULL, blob = NULL, digest = NULL, secret = NULL, welcome = NULL
         WHERE log = ?1 AND what = 1 AND accepted = 0",
        [log.as_bytes()],
    )?;
    Ok(())
}

/// Forgets an item's envelope: it is sealed again under a new id. A message that went out twice is shown once, by its message id.
pub(crate) fn unseal(tx: &Transaction<'_>, n: i64) -> Result<(), Error> {
    tx.execute(
        "UPDATE outbox SET log = CASE what WHEN 1 THEN log END, entry_id = NULL, after = NULL, blob = NULL, digest = NULL,
             secret = NULL, welcome = NULL, accepted = 0
         WHERE n = ?1",
        [n],
    )?;
    Ok(())
}

/// Another change in the place of one that has not been sealed.
pub(crate) fn replace_change(tx: &Transaction<'_>, n: i64, change: &[u8]) -> Result<(), Error> {
    tx.execute("UPDATE outbox SET content = ?2 WHERE n = ?1 AND blob IS NULL", params![n, change])?;
    Ok(())
}

/// The item waits until then, and holds up nothing.
pub(crate) fn postpone(tx: &Transaction<'_>, n: i64, not_before_ms: u64) -> Result<(), Error> {
    tx.execute("UPDATE outbox SET not_before_ms = ?2 WHERE n = ?1", params![n, not_before_ms])?;
    Ok(())
}

/// What is said in a conversation waits until then, all of it, so that it keeps its order.
pub(crate) fn postpone_messages(
    tx: &Transaction<'_>,
    conversation: &ConversationId,
    not_before_ms: u64,
) -> Result<(), Error> {
    tx.execute(
        "UPDATE outbox SET not_before_ms = ?2 WHERE conversation = ?1 AND what = 0 AND accepted = 0 AND not_before_ms < ?2",
        params![conversation, not_before_ms],
    )?;
    Ok(())
}

/// The relay has the item's envelope, and says at which place (from 1 on). It stays until the log has shown it there.
///
/// False if the item was given another envelope meanwhile, or none: then it was not this one that is there.
pub(crate) fn set_accepted(tx: &Transaction<'_>, n: i64, entry: EnvelopeId, seq: u64) -> Result<bool, Error> {
    Ok(tx.execute(
        "UPDATE outbox SET accepted = ?3, blob = NULL WHERE n = ?1 AND entry_id = ?2",
        params![n, entry.as_bytes(), seq.max(1)],
    )? == 1)
}

/// What the relay has said to stand at places up to `cursor`, and does not: the log was read so far without showing it. Sealed again, not
/// before `not_before_ms`. Gives the message of each, where it has one.
pub(crate) fn take_back_unshown(
    tx: &Transaction<'_>,
    log: LogId,
    cursor: u64,
    not_before_ms: u64,
) -> Result<Vec<Option<MessageId>>, Error> {
    let mut statement = tx.prepare_cached(
        "SELECT n, message FROM outbox WHERE log = ?1 AND accepted BETWEEN 1 AND ?2 AND what = 0 ORDER BY n",
    )?;
    let rows = statement.query_map(params![log.as_bytes(), cursor], |row| {
        Ok((row.get(0)?, row.get::<_, Option<[u8; 16]>>(1)?.map(MessageId::from_bytes)))
    })?;
    let mut messages = Vec::new();
    for row in rows {
        let (n, message): (i64, _) = row?;
        unseal(tx, n)?;
        postpone(tx, n, not_before_ms)?;
        messages.push(message);
    }
    Ok(messages)
}

/// Nothing is read any more in a log's stretch up to `seq`: what the relay has accepted there stands there for whoever reads it.
pub(crate) fn forget_accepted(tx: &Transaction<'_>, log: LogId, seq: u64) -> Result<(), Error> {
    // SQLite's integers are signed.
    let seq = i64::try_from(seq).unwrap_or(i64::MAX);
    tx.execute("DELETE FROM outbox WHERE log = ?1 AND accepted BETWEEN 1 AND ?2", params![log.as_bytes(), seq])?;
    Ok(())
}

/// Nobody reads a log any more, and what the relay has accepted was not seen in it: it is said in the one that comes after.
pub(crate) fn unseal_accepted(tx: &Transaction<'_>, log: LogId) -> Result<(), Error> {
    tx.execute(
        "UPDATE outbox SET log = NULL, entry_id = NULL, after = NULL, digest = NULL, accepted = 0
         WHERE log = ?1 AND what = 0 AND accepted > 0",
        [log.as_bytes()],
    )?;
    Ok(())
}

/// The item whose envelope stands in the log under this id.
pub(crate) fn shown(tx: &Transaction<'_>, log: LogId, entry: EnvelopeId) -> Result<Option<Shown>, Error> {
    let mut statement = tx.prepare_cached("SELECT * FROM outbox WHERE log = ?1 AND entry_id = ?2")?;
    let row = statement
        .query_row(params![log.as_bytes(), entry.as_bytes()], |row| {
            Ok(Shown {
                n: row.get("n")?,
                message: row.get::<_, Option<[u8; 16]>>("message")?.map(MessageId::from_bytes),
                what: what(row)?,
                content: Zeroizing::new(row.get("content")?),
                after: row.get("after")?,
                digest: bytes(row, "digest")?,
                secret: secret(row)?,
                welcome: row.get("welcome")?,
            })
        })
        .optional()?;
    Ok(row)
}

/// The item is done with. False if it was gone already.
pub(crate) fn remove(tx: &Transaction<'_>, n: i64) -> Result<bool, Error> {
    Ok(tx.execute("DELETE FROM outbox WHERE n = ?1", [n])? == 1)
}

/// Removes what is on its way for a message.
pub(crate) fn remove_message(tx: &Transaction<'_>, message: MessageId) -> Result<(), Error> {
    tx.execute("DELETE FROM outbox WHERE message = ?1", [message.as_bytes()])?;
    Ok(())
}

/// Removes the changes of a log's group that wait.
pub(crate) fn remove_changes(tx: &Transaction<'_>, log: LogId) -> Result<(), Error> {
    tx.execute("DELETE FROM outbox WHERE log = ?1 AND what = 1", [log.as_bytes()])?;
    Ok(())
}

/// Removes the messages of a conversation that wait; its changes stay.
pub(crate) fn remove_messages(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<(), Error> {
    tx.execute("DELETE FROM outbox WHERE conversation = ?1 AND message IS NOT NULL", [conversation])?;
    Ok(())
}

/// Removes what waits in a conversation and has not been sealed; gives the messages among it.
pub(crate) fn remove_unsealed(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<Vec<MessageId>, Error> {
    let mut statement = tx.prepare_cached(
        "DELETE FROM outbox WHERE conversation = ?1 AND blob IS NULL AND accepted = 0 RETURNING message",
    )?;
    let rows = statement.query_map([conversation], |row| row.get::<_, Option<[u8; 16]>>(0))?;
    let messages = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(messages.into_iter().flatten().map(MessageId::from_bytes).collect())
}

/// Removes everything of a conversation but the wish to be let into it.
pub(crate) fn remove_all(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<(), Error> {
    tx.execute("DELETE FROM outbox WHERE conversation = ?1", [conversation])?;
    tx.execute("DELETE FROM deliveries WHERE conversation = ?1 AND access_key IS NULL", [conversation])?;
    Ok(())
}

/// The messages of a conversation that the relay does not have yet, oldest first.
pub(crate) fn messages(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<Vec<Item>, Error> {
    let mut statement =
        tx.prepare_cached("SELECT * FROM outbox WHERE conversation = ?1 AND what = 0 AND accepted = 0 ORDER BY n")?;
    let rows = statement.query_map([conversation], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// All changes that wait, of all conversations, encoded.
pub(crate) fn all_changes(tx: &Transaction<'_>) -> Result<Vec<Vec<u8>>, Error> {
    let mut statement = tx.prepare_cached("SELECT content FROM outbox WHERE what = 1 ORDER BY n")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The group changes of a conversation that have not been merged, oldest first.
pub(crate) fn changes(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<Vec<Item>, Error> {
    let mut statement = tx.prepare_cached("SELECT * FROM outbox WHERE conversation = ?1 AND what = 1 ORDER BY n")?;
    let rows = statement.query_map([conversation], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The time of the next item that waits for its time, if there is one.
pub(crate) fn next_time(tx: &Transaction<'_>, now_ms: u64) -> Result<Option<u64>, Error> {
    Ok(tx.query_row(
        "SELECT min(not_before_ms) FROM outbox WHERE accepted = 0 AND not_before_ms > ?1",
        [now_ms],
        |row| row.get(0),
    )?)
}

/// Whether nothing waits that could be sent now.
pub(crate) fn is_empty(tx: &Transaction<'_>, now_ms: u64) -> Result<bool, Error> {
    Ok(!tx
        .prepare_cached(
            "SELECT 1 FROM outbox WHERE accepted = 0 AND not_before_ms <= ?1
                 AND conversation NOT IN (SELECT id FROM conversations WHERE standing = 1)
             UNION ALL SELECT 1 FROM deliveries WHERE no_way = 0
             UNION ALL SELECT 1 FROM access_keys WHERE registered <> 1",
        )?
        .exists([now_ms])?)
}

/// Whether an item is still to be sent (the user may have deleted it meanwhile).
pub(crate) fn exists(tx: &Transaction<'_>, n: i64) -> Result<bool, Error> {
    Ok(tx.query_row("SELECT 1 FROM outbox WHERE n = ?1", [n], |_| Ok(())).optional()?.is_some())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Item> {
    let message: Option<[u8; 16]> = row.get("message")?;
    let log = row.get::<_, Option<[u8; 16]>>("log")?.map(LogId::from_bytes);
    let blob: Option<Vec<u8>> = row.get("blob")?;
    let sealed = match (blob, log) {
        (Some(blob), Some(log)) => Some(Sealed {
            log,
            entry_id: EnvelopeId::from_bytes(bytes(row, "entry_id")?),
            after: row.get("after")?,
            blob,
            secret: secret(row)?,
            welcome: row.get("welcome")?,
        }),
        _ => None,
    };
    Ok(Item {
        n: row.get("n")?,
        conversation: bytes(row, "conversation")?,
        message: message.map(MessageId::from_bytes),
        what: what(row)?,
        content: Zeroizing::new(row.get("content")?),
        log,
        sealed,
        not_before_ms: row.get("not_before_ms")?,
    })
}

fn what(row: &Row<'_>) -> rusqlite::Result<What> {
    Ok(if row.get("what")? { What::Change } else { What::Message })
}

fn secret(row: &Row<'_>) -> rusqlite::Result<Option<ChannelSecret>> {
    Ok(row.get::<_, Option<[u8; 32]>>("secret")?.as_ref().map(ChannelSecret::from_bytes))
}
