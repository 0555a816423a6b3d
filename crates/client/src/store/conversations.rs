//! Conversations, and the lines that a list shows of them.

use rusqlite::{OptionalExtension as _, Row, Transaction, params};
use waxwing_wire::AccountId;
use waxwing_wire::ids::{from_hex, to_hex};

use super::account::Account;
use super::{bytes, contacts, messages};
use crate::error::{Error, ErrorCode, ErrorView};
use crate::views::{ConversationKind, ConversationView, LastLine, MessageState, Trust};

/// Id of a conversation: see `waxwing_protocol::conversation_id`.
pub(crate) type ConversationId = [u8; 32];

/// Longest text in the list, in characters.
const LAST_LINE: usize = 200;

/// A conversation as stored.
pub(crate) struct Conversation {
    pub(crate) id: ConversationId,
    pub(crate) kind: ConversationKind,
    /// The other side; oneself for a note to self.
    pub(crate) account: AccountId,
    read_ord: i64,
    draft: String,
    active_ms: i64,
    pub(crate) profile_sent: bool,
    problem: Option<String>,
}

impl Conversation {
    /// Why nothing can be sent, if so.
    pub(crate) fn problem(&self) -> Option<ErrorView> {
        self.problem.as_deref().map(messages::error_view)
    }
}

/// Reads the id that a front end gives.
pub(crate) fn parse_id(text: &str) -> Result<ConversationId, Error> {
    from_hex(text).ok_or_else(|| Error::new(ErrorCode::NotFound, "no such conversation"))
}

/// Adds a conversation; true if it was not there.
pub(crate) fn insert(
    tx: &Transaction<'_>,
    id: &ConversationId,
    kind: ConversationKind,
    account: AccountId,
    profile_sent: bool,
    now_ms: u64,
) -> Result<bool, Error> {
    let added = tx.execute(
        "INSERT OR IGNORE INTO conversations (id, kind, account, read_ord, draft, active_ms, profile_sent, problem)
         VALUES (?1, ?2, ?3, 0, '', ?4, ?5, NULL)",
        params![id, i64::from(kind == ConversationKind::NoteToSelf), account.as_bytes(), now_ms, profile_sent],
    )?;
    Ok(added == 1)
}

pub(crate) fn load(tx: &Transaction<'_>, id: &ConversationId) -> Result<Conversation, Error> {
    let mut statement = tx.prepare_cached("SELECT * FROM conversations WHERE id = ?1")?;
    let found = statement.query_row([id], read).optional()?;
    found.ok_or_else(|| Error::new(ErrorCode::NotFound, "no such conversation"))
}

/// All conversations, the newest activity first.
pub(crate) fn all(tx: &Transaction<'_>) -> Result<Vec<Conversation>, Error> {
    let mut statement = tx.prepare_cached("SELECT * FROM conversations ORDER BY active_ms DESC, id")?;
    let rows = statement.query_map([], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(crate) fn set_draft(tx: &Transaction<'_>, id: &ConversationId, draft: &str) -> Result<(), Error> {
    tx.execute("UPDATE conversations SET draft = ?2 WHERE id = ?1", params![id, draft])?;
    Ok(())
}

/// Moves the read mark forward, never back.
pub(crate) fn mark_read(tx: &Transaction<'_>, id: &ConversationId, ord: i64) -> Result<(), Error> {
    tx.execute("UPDATE conversations SET read_ord = max(read_ord, ?2) WHERE id = ?1", params![id, ord])?;
    Ok(())
}

pub(crate) fn touch(tx: &Transaction<'_>, id: &ConversationId, now_ms: u64) -> Result<(), Error> {
    tx.execute("UPDATE conversations SET active_ms = max(active_ms, ?2) WHERE id = ?1", params![id, now_ms])?;
    Ok(())
}

pub(crate) fn set_profile_sent(tx: &Transaction<'_>, id: &ConversationId) -> Result<(), Error> {
    tx.execute("UPDATE conversations SET profile_sent = 1 WHERE id = ?1", [id])?;
    Ok(())
}

/// Why nothing can be sent, or that it can again. True if that is news.
pub(crate) fn set_problem(
    tx: &Transaction<'_>,
    id: &ConversationId,
    problem: Option<&ErrorView>,
) -> Result<bool, Error> {
    let problem = problem.map(super::messages::error_text);
    let changed =
        tx.execute("UPDATE conversations SET problem = ?2 WHERE id = ?1 AND problem IS NOT ?2", params![id, problem])?;
    Ok(changed == 1)
}

/// What the list shows of a conversation.
pub(crate) fn view(tx: &Transaction<'_>, me: &Account, conversation: &Conversation) -> Result<ConversationView, Error> {
    let contact = contacts::load(tx, conversation.account)?;
    let (title, address, trust) = match (&contact, conversation.kind) {
        (Some(contact), ConversationKind::Direct) => {
            let address = format!("{}@{}", contact.name, contact.relay.authority());
            (contact.display_name.clone(), Some(address), contact.trust)
        }
        _ => (me.display_name.clone(), None, Trust::Own),
    };
    let last = messages::newest(tx, &conversation.id)?.map(|newest| LastLine {
        text: newest.text.chars().take(LAST_LINE).collect(),
        notice: newest.notice.clone(),
        at: newest.at_ms as f64,
        mine: newest.mine,
        state: newest.state,
    });
    let unread: u32 = tx
        .prepare_cached(
            "SELECT count(*) FROM messages WHERE conversation = ?1 AND mine = 0 AND notice IS NULL AND ord > ?2",
        )?
        .query_row(params![conversation.id, conversation.read_ord], |row| row.get(0))?;
    Ok(ConversationView {
        id: to_hex(&conversation.id),
        kind: conversation.kind,
        title,
        address,
        account_id: conversation.account.to_string(),
        trust,
        last,
        unread,
        read_order: conversation.read_ord as f64,
        draft: conversation.draft.clone(),
        problem: conversation.problem(),
        active_at: conversation.active_ms as f64,
    })
}

fn read(row: &Row<'_>) -> rusqlite::Result<Conversation> {
    Ok(Conversation {
        id: bytes(row, "id")?,
        kind: if row.get("kind")? { ConversationKind::NoteToSelf } else { ConversationKind::Direct },
        account: AccountId::from_bytes(bytes(row, "account")?),
        read_ord: row.get("read_ord")?,
        draft: row.get("draft")?,
        active_ms: row.get("active_ms")?,
        profile_sent: row.get("profile_sent")?,
        problem: row.get("problem")?,
    })
}

/// How states are stored.
impl MessageState {
    pub(crate) fn to_column(self) -> i64 {
        match self {
            Self::Sending => 0,
            Self::Sent => 1,
            Self::Failed => 2,
            Self::Received => 3,
        }
    }

    pub(crate) fn from_column(column: i64) -> Self {
        match column {
            0 => Self::Sending,
            1 => Self::Sent,
            2 => Self::Failed,
            _ => Self::Received,
        }
    }
}
