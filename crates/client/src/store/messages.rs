//! Timelines: messages and quiet lines, and where each stands.

use rusqlite::{OptionalExtension as _, Row, Transaction, params};
use serde_json as json;
use waxwing_wire::ids::to_hex;
use waxwing_wire::{AccountId, LogId, MessageId, hash, label};

use super::account::Account;
use super::conversations::ConversationId;
use super::{bytes, contacts};
use crate::error::{Error, ErrorCode, ErrorView};
use crate::views::{MessagePage, MessageState, MessageView, Notice};

/// Other senders' ids that a message gives way to.
const MOST_LINE_IDS: usize = 8;
/// Lines that the log has not placed yet come after all others.
const UNPLACED: f64 = 1_099_511_627_776.0;

/// A line of a timeline as stored.
pub(crate) struct Message {
    pub(crate) ord: i64,
    pub(crate) id: MessageId,
    pub(crate) conversation: ConversationId,
    pub(crate) sender: AccountId,
    pub(crate) mine: bool,
    pub(crate) at_ms: i64,
    pub(crate) clock_off: bool,
    pub(crate) text: String,
    pub(crate) notice: Option<Notice>,
    pub(crate) state: MessageState,
    pub(crate) placed: bool,
    pub(crate) error: Option<ErrorView>,
}

/// What is known of a line before it is stored.
pub(crate) struct NewMessage<'a> {
    pub(crate) id: MessageId,
    pub(crate) conversation: &'a ConversationId,
    pub(crate) sender: AccountId,
    pub(crate) mine: bool,
    pub(crate) at_ms: u64,
    pub(crate) clock_off: bool,
    pub(crate) text: &'a str,
    pub(crate) notice: Option<&'a Notice>,
    pub(crate) state: MessageState,
    pub(crate) placed: bool,
}

/// Reads the id that a front end gives.
pub(crate) fn parse_id(text: &str) -> Result<MessageId, Error> {
    text.parse().map_err(|_| Error::new(ErrorCode::NotFound, "not a message id"))
}

/// Adds a line. False if this (sender, id) is known or was deleted: it is shown once.
pub(crate) fn insert(tx: &Transaction<'_>, new: &NewMessage<'_>) -> Result<bool, Error> {
    let deleted = tx
        .prepare_cached("SELECT 1 FROM deleted WHERE sender = ?1 AND id = ?2")?
        .exists(params![new.sender.as_bytes(), new.id.as_bytes()])?;
    if deleted {
        return Ok(false);
    }
    let notice = new.notice.map(json::to_string).transpose().map_err(|_| encoding())?;
    let added = tx
        .prepare_cached(
            "INSERT OR IGNORE INTO messages
                 (id, conversation, sender, mine, at_ms, clock_off, text, notice, state, placed, error)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, NULL)",
        )?
        .execute(params![
            new.id.as_bytes(),
            new.conversation,
            new.sender.as_bytes(),
            new.mine,
            new.at_ms,
            new.clock_off,
            new.text,
            notice,
            new.state.to_column(),
            new.placed,
        ])?;
    Ok(added == 1)
}

pub(crate) fn load(tx: &Transaction<'_>, sender: AccountId, id: MessageId) -> Result<Option<Message>, Error> {
    let mut statement = tx.prepare_cached("SELECT * FROM messages WHERE sender = ?1 AND id = ?2")?;
    Ok(statement.query_row(params![sender.as_bytes(), id.as_bytes()], read).optional()?)
}

/// A line by id, whoever sent it; the own one where two people used the same id.
pub(crate) fn find(tx: &Transaction<'_>, id: MessageId) -> Result<Message, Error> {
    let mut statement = tx.prepare_cached("SELECT * FROM messages WHERE id = ?1 ORDER BY mine DESC LIMIT 1")?;
    let found = statement.query_row([id.as_bytes()], read).optional()?;
    found.ok_or_else(|| Error::new(ErrorCode::NotFound, "no such message"))
}

/// The id under which a sender's message is a line here. Ids name lines for front ends, and each member gives their own: one that is another
/// sender's, or was before that line was deleted, gives way to one made of both. So no member's words make another's disappear, and what is said
/// again is the same line again. None where others have taken those, too, one after the other, which nobody does by chance.
pub(crate) fn line_id(
    tx: &Transaction<'_>,
    conversation: &ConversationId,
    sender: AccountId,
    id: MessageId,
) -> Result<Option<MessageId>, Error> {
    let mut line = id;
    for _ in 0..MOST_LINE_IDS {
        let key = params![line.as_bytes(), sender.as_bytes(), conversation];
        let taken = tx
            .prepare_cached(
                "SELECT 1 WHERE (EXISTS (SELECT 1 FROM messages WHERE id = ?1 AND sender <> ?2 AND conversation = ?3)
                         OR EXISTS (SELECT 1 FROM deleted WHERE id = ?1 AND sender <> ?2))
                     AND NOT EXISTS (SELECT 1 FROM messages WHERE id = ?1 AND sender = ?2)
                     AND NOT EXISTS (SELECT 1 FROM deleted WHERE id = ?1 AND sender = ?2)",
            )?
            .exists(key)?;
        if !taken {
            return Ok(Some(line));
        }
        let digest = hash(&[&label("line"), sender.as_bytes(), line.as_bytes()]);
        line = MessageId::from_bytes(*digest.first_chunk().unwrap_or(&[0; 16]));
    }
    Ok(None)
}

/// The newest line, as a list shows it.
pub(crate) fn newest(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<Option<Message>, Error> {
    let mut statement =
        tx.prepare_cached("SELECT * FROM messages WHERE conversation = ?1 ORDER BY placed, ord DESC LIMIT 1")?;
    Ok(statement.query_row([conversation], read).optional()?)
}

/// Up to `limit` lines before `before` (a view's order), oldest first.
pub(crate) fn page(
    tx: &Transaction<'_>,
    me: &Account,
    conversation: &ConversationId,
    before: Option<f64>,
    limit: u32,
) -> Result<MessagePage, Error> {
    let limit = limit.clamp(1, 500) as usize;
    let (placed, ord) = match before {
        None => (1, i64::MAX),
        Some(order) if order >= UNPLACED => (0, (order - UNPLACED) as i64),
        Some(order) => (1, order as i64),
    };
    // Newest first: the unplaced ones (placed = 0), then the placed ones.
    let mut statement = tx.prepare_cached(
        "SELECT * FROM messages WHERE conversation = ?1
             AND (?2 = 2 OR (?2 = 0 AND (placed = 1 OR ord < ?3)) OR (?2 = 1 AND placed = 1 AND ord < ?3))
         ORDER BY placed, ord DESC LIMIT ?4",
    )?;
    let side = if before.is_none() { 2 } else { placed };
    let rows = statement.query_map(params![conversation, side, ord, limit + 1], read)?;
    let mut rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    rows.reverse();
    let messages = rows.iter().map(|message| view(tx, me, message)).collect::<Result<_, _>>()?;
    Ok(MessagePage { messages, more })
}

/// How far a message got.
pub(crate) fn set_state(
    tx: &Transaction<'_>,
    sender: AccountId,
    id: MessageId,
    state: MessageState,
    error: Option<&ErrorView>,
) -> Result<(), Error> {
    tx.execute(
        "UPDATE messages SET state = ?3, error = ?4 WHERE sender = ?1 AND id = ?2",
        params![sender.as_bytes(), id.as_bytes(), state.to_column(), error.map(error_text)],
    )?;
    Ok(())
}

/// The log has shown where an own message stands: behind everything placed so far. One that is said again keeps its place.
pub(crate) fn place(tx: &Transaction<'_>, sender: AccountId, id: MessageId) -> Result<(), Error> {
    // AUTOINCREMENT's counter is used up, so that no later line gets the same place.
    tx.execute("UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'messages'", [])?;
    tx.execute(
        "UPDATE messages SET placed = 1, ord = (SELECT seq FROM sqlite_sequence WHERE name = 'messages')
         WHERE sender = ?1 AND id = ?2 AND placed = 0",
        params![sender.as_bytes(), id.as_bytes()],
    )?;
    Ok(())
}

/// Own messages that a relay has accepted up to `seq` of a log have their place, though it is not read here.
pub(crate) fn place_accepted(tx: &Transaction<'_>, log: LogId, seq: u64) -> Result<(), Error> {
    let seq = i64::try_from(seq).unwrap_or(i64::MAX);
    tx.execute(
        "UPDATE messages SET placed = 1 WHERE placed = 0 AND mine = 1 AND id IN
             (SELECT message FROM outbox WHERE log = ?1 AND accepted BETWEEN 1 AND ?2)",
        params![log.as_bytes(), seq],
    )?;
    Ok(())
}

/// Own texts that were said since a place in a conversation have reached nobody: those that still wait are on their way, and the others have
/// failed. Gives them.
pub(crate) fn take_back_since(
    tx: &Transaction<'_>,
    conversation: &ConversationId,
    ord: i64,
    why: &ErrorView,
) -> Result<Vec<MessageId>, Error> {
    let mut taken = Vec::new();
    for (there, state, why) in
        [("NOT IN", MessageState::Failed, Some(error_text(why))), ("IN", MessageState::Sending, None)]
    {
        let mut statement = tx.prepare_cached(&format!(
            "UPDATE messages SET state = ?4, error = ?5, placed = 0
             WHERE conversation = ?1 AND mine = 1 AND notice IS NULL AND state = ?3 AND (placed = 0 OR ord > ?2)
                 AND id {there} (SELECT message FROM outbox WHERE message IS NOT NULL)
             RETURNING id"
        ))?;
        let sent = MessageState::Sent.to_column();
        let rows = statement.query_map(params![conversation, ord, sent, state.to_column(), why], |row| {
            row.get(0).map(MessageId::from_bytes)
        })?;
        for row in rows {
            taken.push(row?);
        }
    }
    Ok(taken)
}

/// The text of an own message in a conversation, if it is still there.
pub(crate) fn own_text(
    tx: &Transaction<'_>,
    conversation: &ConversationId,
    id: MessageId,
) -> Result<Option<String>, Error> {
    let mut statement = tx.prepare_cached(
        "SELECT text FROM messages WHERE id = ?2 AND conversation = ?1 AND mine = 1 AND notice IS NULL",
    )?;
    Ok(statement.query_row(params![conversation, id.as_bytes()], |row| row.get(0)).optional()?)
}

/// Removes all lines of a conversation for good: also what is said again comes back to nobody who has deleted it.
pub(crate) fn delete_all(tx: &Transaction<'_>, conversation: &ConversationId) -> Result<(), Error> {
    tx.execute(
        "INSERT OR IGNORE INTO deleted (sender, id) SELECT sender, id FROM messages WHERE conversation = ?1 AND notice IS NULL",
        [conversation],
    )?;
    tx.execute("DELETE FROM messages WHERE conversation = ?1", [conversation])?;
    Ok(())
}

/// Removes a line for good.
pub(crate) fn delete(tx: &Transaction<'_>, message: &Message) -> Result<(), Error> {
    let key = params![message.sender.as_bytes(), message.id.as_bytes()];
    tx.execute("INSERT OR IGNORE INTO deleted (sender, id) VALUES (?1, ?2)", key)?;
    tx.execute("DELETE FROM messages WHERE sender = ?1 AND id = ?2", key)?;
    Ok(())
}

pub(crate) fn view(tx: &Transaction<'_>, me: &Account, message: &Message) -> Result<MessageView, Error> {
    let sender_name = if message.sender == me.account {
        me.display_name.clone()
    } else {
        contacts::load(tx, message.sender)?.map_or_else(String::new, |contact| contact.display_name)
    };
    Ok(MessageView {
        id: message.id.to_string(),
        conversation: to_hex(&message.conversation),
        order: if message.placed { message.ord as f64 } else { message.ord as f64 + UNPLACED },
        sender: message.sender.to_string(),
        sender_name,
        mine: message.mine,
        at: message.at_ms as f64,
        clock_off: message.clock_off,
        text: message.text.clone(),
        notice: message.notice.clone(),
        state: message.state,
        error: message.error.clone(),
    })
}

/// A view's order as a place: a line that has none yet stands behind everything placed so far.
pub(crate) fn placed_ord(tx: &Transaction<'_>, conversation: &ConversationId, order: f64) -> Result<i64, Error> {
    if (0.0..UNPLACED).contains(&order) {
        return Ok(order as i64);
    }
    if order.is_nan() || order < 0.0 {
        return Ok(0);
    }
    let newest: Option<i64> =
        tx.query_row("SELECT max(ord) FROM messages WHERE conversation = ?1 AND placed = 1", [conversation], |row| {
            row.get(0)
        })?;
    Ok(newest.unwrap_or(0))
}

/// How an error is stored with a message or conversation.
pub(crate) fn error_text(error: &ErrorView) -> String {
    json::to_string(error).unwrap_or_default()
}

/// Reads it back.
pub(crate) fn error_view(text: &str) -> ErrorView {
    json::from_str(text)
        .unwrap_or_else(|_| ErrorView { code: ErrorCode::Internal, detail: "an error of another version".to_owned() })
}

fn encoding() -> Error {
    Error::new(ErrorCode::Internal, "database: encoding a notice")
}

fn read(row: &Row<'_>) -> rusqlite::Result<Message> {
    let notice: Option<String> = row.get("notice")?;
    let error: Option<String> = row.get("error")?;
    Ok(Message {
        ord: row.get("ord")?,
        id: MessageId::from_bytes(bytes(row, "id")?),
        conversation: bytes(row, "conversation")?,
        sender: AccountId::from_bytes(bytes(row, "sender")?),
        mine: row.get("mine")?,
        at_ms: row.get("at_ms")?,
        clock_off: row.get("clock_off")?,
        text: row.get("text")?,
        notice: notice.as_deref().and_then(|notice| json::from_str(notice).ok()),
        state: MessageState::from_column(row.get("state")?),
        placed: row.get("placed")?,
        error: error.as_deref().map(error_view),
    })
}

/// A fresh message id, for lines that no peer made.
pub(crate) fn local_id() -> MessageId {
    MessageId::from_bytes(crate::random::bytes())
}
