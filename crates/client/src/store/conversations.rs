//! Conversations, and the lines that a list shows of them.

use rusqlite::{OptionalExtension as _, Row, Transaction, params};
use waxwing_protocol::AccessKey;
use waxwing_wire::AccountId;
use waxwing_wire::ids::{from_hex, to_hex};

use super::account::Account;
use super::{bytes, contacts, messages, people, verifications};
use crate::error::{Error, ErrorCode, ErrorView};
use crate::views::{ConversationKind, ConversationView, LastLine, MessageState, Standing, Trust};

/// Id of a conversation: see `waxwing_protocol::conversation_id`.
pub(crate) type ConversationId = [u8; 32];

/// Longest text in the list, in characters.
const LAST_LINE: usize = 200;

/// A conversation as stored.
pub(crate) struct Conversation {
    pub(crate) id: ConversationId,
    pub(crate) kind: ConversationKind,
    /// The other side; oneself for a note to self; who brought one into a group.
    pub(crate) account: AccountId,
    pub(crate) standing: Standing,
    /// It was left without having been accepted: the others are told nothing.
    pub(crate) declined: bool,
    /// Name of a group.
    pub(crate) title: String,
    /// Admits those in it to the own inboxes.
    pub(crate) access_key: AccessKey,
    pub(crate) hidden: bool,
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

    /// Whether its view says that `account` is blocked. Of a group, that is whoever has added one, where one has left it for that.
    pub(crate) fn tells_blocked(&self) -> bool {
        self.kind == ConversationKind::Direct
            || (self.kind == ConversationKind::Group && self.standing == Standing::Left)
    }
}

/// Reads the id that a front end gives.
pub(crate) fn parse_id(text: &str) -> Result<ConversationId, Error> {
    from_hex(text).ok_or_else(|| Error::new(ErrorCode::NotFound, "no such conversation"))
}

/// What is known of a conversation before it is stored.
pub(crate) struct NewConversation<'a> {
    pub(crate) id: &'a ConversationId,
    pub(crate) kind: ConversationKind,
    pub(crate) account: AccountId,
    pub(crate) standing: Standing,
    pub(crate) title: &'a str,
    /// Whether the others know the own display name.
    pub(crate) profile_sent: bool,
}

/// Adds a conversation, with an access key of its own; true if it was not there.
pub(crate) fn insert(tx: &Transaction<'_>, new: &NewConversation<'_>, now_ms: u64) -> Result<bool, Error> {
    let key = AccessKey::generate(&mut crate::random::rng());
    let added = tx.execute(
        "INSERT OR IGNORE INTO conversations
             (id, kind, account, read_ord, draft, active_ms, profile_sent, problem, standing, title, access_key, hidden)
         VALUES (?1, ?2, ?3, 0, '', ?4, ?5, NULL, ?6, ?7, ?8, 0)",
        params![
            new.id,
            kind_column(new.kind),
            new.account.as_bytes(),
            now_ms,
            new.profile_sent,
            standing_column(new.standing),
            new.title,
            key.as_bytes(),
        ],
    )?;
    if added == 1 && new.kind != ConversationKind::NoteToSelf {
        super::account::add_access_key(tx, &key)?;
    }
    Ok(added == 1)
}

pub(crate) fn load(tx: &Transaction<'_>, id: &ConversationId) -> Result<Conversation, Error> {
    let mut statement = tx.prepare_cached("SELECT * FROM conversations WHERE id = ?1")?;
    let found = statement.query_row([id], read).optional()?;
    found.ok_or_else(|| Error::new(ErrorCode::NotFound, "no such conversation"))
}

/// The same, if there is one.
pub(crate) fn find(tx: &Transaction<'_>, id: &ConversationId) -> Result<Option<Conversation>, Error> {
    let mut statement = tx.prepare_cached("SELECT * FROM conversations WHERE id = ?1")?;
    Ok(statement.query_row([id], read).optional()?)
}

/// All conversations but those that the user has deleted, the newest activity first.
pub(crate) fn shown(tx: &Transaction<'_>) -> Result<Vec<Conversation>, Error> {
    Ok(all(tx)?.into_iter().filter(|one| !one.hidden).collect())
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

/// The conversations that somebody is in.
pub(crate) fn with(tx: &Transaction<'_>, account: AccountId) -> Result<Vec<ConversationId>, Error> {
    let mut statement = tx.prepare_cached(
        "SELECT conversation FROM people WHERE account = ?1 UNION SELECT id FROM conversations WHERE account = ?1 AND kind = 0",
    )?;
    let rows = statement.query_map([account.as_bytes()], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Moves the read mark forward, never back.
pub(crate) fn mark_read(tx: &Transaction<'_>, id: &ConversationId, ord: i64) -> Result<(), Error> {
    tx.execute("UPDATE conversations SET read_ord = max(read_ord, ?2) WHERE id = ?1", params![id, ord])?;
    Ok(())
}

/// Its group changed: it moves up. One that was deleted stays so, until somebody says something in it.
pub(crate) fn move_up(tx: &Transaction<'_>, id: &ConversationId, now_ms: u64) -> Result<(), Error> {
    tx.prepare_cached("UPDATE conversations SET active_ms = max(active_ms, ?2) WHERE id = ?1")?
        .execute(params![id, now_ms])?;
    Ok(())
}

/// Something was said in it, or one was brought in: it moves up, and is shown again where it was deleted.
pub(crate) fn touch(tx: &Transaction<'_>, id: &ConversationId, now_ms: u64) -> Result<(), Error> {
    tx.prepare_cached("UPDATE conversations SET active_ms = max(active_ms, ?2), hidden = 0 WHERE id = ?1")?
        .execute(params![id, now_ms])?;
    Ok(())
}

/// The user has deleted it.
pub(crate) fn hide(tx: &Transaction<'_>, id: &ConversationId) -> Result<(), Error> {
    tx.execute("UPDATE conversations SET hidden = 1, draft = '', problem = NULL, read_ord = 0 WHERE id = ?1", [id])?;
    Ok(())
}

pub(crate) fn remove(tx: &Transaction<'_>, id: &ConversationId) -> Result<(), Error> {
    super::links::forget(tx, id)?;
    tx.execute("DELETE FROM people WHERE conversation = ?1", [id])?;
    tx.execute("DELETE FROM conversations WHERE id = ?1", [id])?;
    Ok(())
}

/// Whether the others know the own display name and access key.
pub(crate) fn set_profile_sent(tx: &Transaction<'_>, id: &ConversationId, sent: bool) -> Result<(), Error> {
    tx.execute("UPDATE conversations SET profile_sent = ?2 WHERE id = ?1", params![id, sent])?;
    Ok(())
}

pub(crate) fn set_standing(tx: &Transaction<'_>, id: &ConversationId, standing: Standing) -> Result<(), Error> {
    // Until one is brought in again, a request that one has left stays a declined one.
    tx.execute(
        "UPDATE conversations SET declined = (?2 = 2 AND (declined = 1 OR standing = 1)), standing = ?2 WHERE id = ?1",
        params![id, standing_column(standing)],
    )?;
    Ok(())
}

/// Whom one has asked to be let in, or who has brought one in.
pub(crate) fn set_account(tx: &Transaction<'_>, id: &ConversationId, account: AccountId) -> Result<(), Error> {
    tx.execute("UPDATE conversations SET account = ?2 WHERE id = ?1", params![id, account.as_bytes()])?;
    Ok(())
}

pub(crate) fn set_title(tx: &Transaction<'_>, id: &ConversationId, title: &str) -> Result<(), Error> {
    tx.execute("UPDATE conversations SET title = ?2 WHERE id = ?1", params![id, title])?;
    Ok(())
}

/// Another key admits those in it from now on; the one before is refused.
pub(crate) fn replace_access_key(tx: &Transaction<'_>, conversation: &Conversation) -> Result<(), Error> {
    let key = AccessKey::generate(&mut crate::random::rng());
    super::account::dismiss_access_key(tx, &conversation.access_key)?;
    super::account::add_access_key(tx, &key)?;
    tx.execute(
        "UPDATE conversations SET access_key = ?2, profile_sent = 0 WHERE id = ?1",
        params![conversation.id, key.as_bytes()],
    )?;
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
    let blocked = conversation.tells_blocked() && contact.as_ref().is_some_and(|one| one.blocked);
    let asked = conversation.standing == Standing::Asked;
    let inviter = contact.as_ref().filter(|_| asked).map(|contact| contact.display_name.clone());
    let (title, address, account_id, trust) = match (contact, conversation.kind) {
        (Some(contact), ConversationKind::Direct) => {
            let address = contact.address();
            (contact.display_name, Some(address), conversation.account.to_string(), contact.trust)
        }
        (_, ConversationKind::Group) => {
            let id = to_hex(conversation.id.first_chunk::<16>().unwrap_or(&[0; 16]));
            (conversation.title.clone(), None, id, people::trust(tx, me, &conversation.id)?)
        }
        _ => (me.display_name.clone(), None, conversation.account.to_string(), Trust::Own),
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
    let safety = verifications::of_conversation(tx, me.account, &conversation.id)?;
    let doubt = safety.problem().filter(|_| conversation.standing == Standing::Member);
    Ok(ConversationView {
        id: to_hex(&conversation.id),
        kind: conversation.kind,
        title,
        address,
        account_id,
        trust,
        safety,
        standing: conversation.standing,
        inviter,
        people: people::count(tx, &conversation.id)?.max(1),
        blocked,
        last,
        unread,
        read_order: conversation.read_ord as f64,
        draft: conversation.draft.clone(),
        problem: doubt.or_else(|| conversation.problem()),
        active_at: conversation.active_ms as f64,
    })
}

fn read(row: &Row<'_>) -> rusqlite::Result<Conversation> {
    let access_key: Option<[u8; 16]> = row.get("access_key")?;
    Ok(Conversation {
        id: bytes(row, "id")?,
        kind: match row.get::<_, i64>("kind")? {
            0 => ConversationKind::Direct,
            1 => ConversationKind::NoteToSelf,
            _ => ConversationKind::Group,
        },
        account: AccountId::from_bytes(bytes(row, "account")?),
        standing: match row.get::<_, i64>("standing")? {
            0 => Standing::Member,
            1 => Standing::Request,
            2 => Standing::Left,
            3 => Standing::Removed,
            _ => Standing::Asked,
        },
        declined: row.get("declined")?,
        title: row.get("title")?,
        access_key: AccessKey::from_bytes(&access_key.unwrap_or_default()),
        hidden: row.get("hidden")?,
        read_ord: row.get("read_ord")?,
        draft: row.get("draft")?,
        active_ms: row.get("active_ms")?,
        profile_sent: row.get("profile_sent")?,
        problem: row.get("problem")?,
    })
}

fn kind_column(kind: ConversationKind) -> i64 {
    match kind {
        ConversationKind::Direct => 0,
        ConversationKind::NoteToSelf => 1,
        ConversationKind::Group => 2,
    }
}

fn standing_column(standing: Standing) -> i64 {
    match standing {
        Standing::Member => 0,
        Standing::Request => 1,
        Standing::Left => 2,
        Standing::Removed => 3,
        Standing::Asked => 4,
    }
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
