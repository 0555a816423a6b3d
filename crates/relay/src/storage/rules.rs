//! What both backends go by: what is kept for how long, what counts how much, and how an append is judged.
//!
//! Not here: how any of it is stored.

use waxwing_wire::log::{EnvelopeKind, running_hash};

use super::{Appended, Appending, Claimer, OVERHEAD};
use crate::clock::Moment;
use crate::config::Quotas;

/// How long ids of an inbox are remembered after the envelopes are gone, so that a late retry does not come twice.
pub(super) const REMEMBER_IDS_DAYS: i64 = 30;
/// How long the hash of a package that was handed out is remembered, so that a late repetition of its upload does not have it handed out twice.
pub(super) const REMEMBER_PACKAGES_DAYS: i64 = 30;
/// How many hours, beside the one under way, an answer to a claim can be asked for again.
pub(super) const REMEMBER_CLAIMS_HOURS: i64 = 1;
/// How many hours, beside the one under way, the blobs of a closed account are looked for: longer than a request lasts that was under way.
const REMEMBER_CLOSED_HOURS: i64 = 1;
/// The same where some of them cannot be removed: a secret that tells which blobs are of one account is not kept for as long as a damaged disk.
const REMEMBER_LEFT_HOURS: i64 = 72;

/// Between which hours an account must have been closed for its blobs to be looked for again.
pub(super) fn closed_lately(now: Moment, all: bool) -> (i64, i64) {
    let remember = if all { REMEMBER_CLOSED_HOURS } else { REMEMBER_LEFT_HOURS };
    (now.hour() - remember, now.hour() + REMEMBER_CLOSED_HOURS)
}

/// The source of whatever came to an inbox without an access key.
pub(super) const STRANGER: i64 = 0;

/// The number of no account and of no device: rows are counted from 1.
pub(super) const NOBODY: i64 = 0;

/// Claims in a day that get one-time packages: with one access key.
const ACCESS_KEY_CLAIMS: i64 = 10;
/// Of all strangers together.
const STRANGERS_CLAIMS: i64 = 10;
/// Of one stranger.
const STRANGER_CLAIMS: i64 = 2;
/// The source that all strangers share. No access key's hash and no pseudonym is as short.
const STRANGERS: &[u8] = &[];

/// Whose allowances a claim uses, and how much each is.
pub(super) fn allowances(claimer: &Claimer) -> Vec<(&[u8], i64)> {
    match claimer {
        Claimer::AccessKey(hash) => vec![(hash.as_slice(), ACCESS_KEY_CLAIMS)],
        Claimer::Stranger(pseudonym) => vec![(STRANGERS, STRANGERS_CLAIMS), (pseudonym.as_slice(), STRANGER_CLAIMS)],
    }
}

/// What of an inbox's bytes a delivery would add to.
#[derive(Debug, Clone, Copy)]
pub(super) struct InboxUse {
    /// Bytes that wait under the delivery's own source.
    pub(super) own: u64,
    /// Bytes that wait under access keys.
    pub(super) keys: u64,
}

/// Strangers and each access key have their own allowance, so none can shut the others out; the keys also share one.
pub(super) fn inbox_takes(used: InboxUse, stranger: bool, size: u64, quotas: &Quotas) -> bool {
    let (own, keys) = (used.own + size, used.keys + size);
    if stranger { own <= quotas.inbox_strangers } else { own <= quotas.inbox_key && keys <= quotas.inbox }
}

/// A log as an append finds it, under its lock.
#[derive(Debug, Clone)]
pub(super) struct LogState {
    /// Place of the newest entry.
    pub(super) head: u64,
    /// Place of the newest handshake.
    pub(super) last_handshake: u64,
    /// Running hash at the head.
    pub(super) running: [u8; 32],
    /// Bytes kept.
    pub(super) bytes: u64,
}

/// What the write token of an append is to its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// In force.
    Current,
    /// Replaced by the handshake there.
    Retired(u64),
    /// It never was the log's.
    Never,
}

/// An entry that has the append's id.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// Its place.
    pub(super) seq: u64,
    /// SHA-256 of its request.
    pub(super) digest: [u8; 32],
}

/// Judges an append: the log as it is with it, or why it changes nothing. The order of the checks is the protocol's (design section 6): the
/// token, then the id, then a replaced token, then `after`, then the quota.
pub(super) fn judge(
    log: &LogState,
    token: Token,
    known: Option<Known>,
    appending: &Appending,
    quotas: &Quotas,
) -> Result<LogState, Appended> {
    let append = &appending.append;
    if token == Token::Never {
        return Err(Appended::Refused);
    }
    if let Some(Known { seq, digest }) = known {
        // Also with a token that this very entry has replaced: its sender may have missed the answer.
        return Err(if digest == appending.digest { Appended::Stored { seq } } else { Appended::IdReused });
    }
    if let Token::Retired(head) = token {
        return Err(Appended::Rekeyed { head });
    }
    if append.after != log.last_handshake {
        return Err(Appended::Conflict { head: log.head });
    }
    let handshake = append.kind == EnvelopeKind::Handshake;
    let bytes = log.bytes + append.blob.len() as u64 + OVERHEAD;
    if bytes > quotas.log + if handshake { quotas.log_handshakes } else { 0 } {
        return Err(Appended::QuotaExceeded);
    }
    let seq = log.head + 1;
    let running = running_hash(&log.running, seq, append.entry_id, append.kind, &append.blob);
    let last_handshake = if handshake { seq } else { log.last_handshake };
    Ok(LogState { head: seq, last_handshake, running, bytes })
}

/// Whether the holder of a read token asks for entries that are gone. `head` is as far as that token reads: what it cannot read it does not miss.
pub(super) fn is_gone(after: u64, head: u64, oldest: u64) -> bool {
    after < head && after.saturating_add(1) < oldest
}

/// The first day of which entries and envelopes are kept on `day`, at least `days` whole days of them.
pub(super) fn first_kept_day(day: i64, days: u32) -> i64 {
    day.saturating_sub(i64::from(days))
}
