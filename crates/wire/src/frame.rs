//! Binary bodies of the HTTP API and frames of the subscription: whatever carries envelopes or key packages.
//!
//! `Content-Type: application/octet-stream`. JSON bodies are in [`crate::api`].

use crate::codec::{DecodeError, Reader, Writer};
use crate::ids::{EnvelopeId, LogId};
use crate::limits::{MAX_ENVELOPE, MAX_PAGE_ENTRIES};
use crate::log::EnvelopeKind;
use crate::transparency::COMPACT_LEN;

mod key_packages;

pub use key_packages::{ClaimKeyPackages, ClaimedKeyPackage, ClaimedKeyPackages, UploadKeyPackages};

/// `POST /v1/logs`: a new log and the hashes of its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreateLog {
    /// Random id, made by the client.
    pub log: LogId,
    /// [`crate::log::token_hash`] of the write and read token.
    pub tokens: LogTokens,
}

/// Hashes of a log's two bearer tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogTokens {
    /// Of the write token.
    pub write: [u8; 32],
    /// Of the read token.
    pub read: [u8; 32],
}

/// `POST /v1/logs/{id}/entries`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// Id of the entry = id of the envelope; makes the request idempotent.
    pub entry_id: EnvelopeId,
    /// What the envelope is for.
    pub kind: EnvelopeKind,
    /// Seq of the last handshake that the sender has processed; 0 if none.
    pub after: u64,
    /// New token hashes, with a rekeying handshake.
    pub rekey: Option<LogTokens>,
    /// The envelope.
    pub blob: Vec<u8>,
}

/// One stored entry of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Place in the log, from 1, without gaps.
    pub seq: u64,
    /// Id of the entry.
    pub entry_id: EnvelopeId,
    /// What the sender said it is for.
    pub kind: EnvelopeKind,
    /// The envelope.
    pub blob: Vec<u8>,
}

/// `GET /v1/logs/{id}/entries?after=n`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPage {
    /// First seq still kept; `head + 1` if none.
    pub oldest: u64,
    /// Newest seq; 0 if none.
    pub head: u64,
    /// Running hash at `after`; zeros at 0.
    pub running: [u8; 32],
    /// Seq of the last handshake; 0 if none.
    pub last_handshake: u64,
    /// Whether the read token was replaced: it reads no further than `head`, which is the handshake that brought another.
    pub retired: bool,
    /// Entries `after + 1 ..`, in order, as many as fit.
    pub entries: Vec<LogEntry>,
}

/// `POST /v1/inboxes/{device}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxSend {
    /// Id of the entry = id of the envelope; makes the request idempotent.
    pub entry_id: EnvelopeId,
    /// What the envelope is for.
    pub kind: EnvelopeKind,
    /// The envelope.
    pub blob: Vec<u8>,
}

/// One entry of an inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxEntry {
    /// Place in the inbox; grows, may have gaps.
    pub seq: u64,
    /// Id of the entry.
    pub entry_id: EnvelopeId,
    /// What the sender said it is for.
    pub kind: EnvelopeKind,
    /// The envelope.
    pub blob: Vec<u8>,
}

/// `GET /v1/inboxes/{device}?after=n`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxPage {
    /// Newest seq ever given in this inbox; 0 if none.
    pub head: u64,
    /// Entries with a seq greater than `after`, in order, as many as fit.
    pub entries: Vec<InboxEntry>,
}

/// A frame from the relay on a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Push {
    /// A log's head moved; the newest entry comes along where it is small.
    Log {
        /// Which log.
        log: LogId,
        /// Its head.
        head: u64,
        /// The entry at the head, if it is at most [`crate::limits::MAX_PUSHED_ENTRY`] bytes.
        entry: Option<LogEntry>,
    },
    /// The own inbox has something new.
    Inbox {
        /// Its head.
        head: u64,
    },
    /// A log is not followed: its read token is not (or no longer) good.
    Refused {
        /// Which log.
        log: LogId,
    },
    /// A subscription request has taken effect: what is stored from now on is told. Drain now.
    Ready,
    /// The transparency log has a new checkpoint. Those that were replaced before they could be told are left out.
    Checkpoint {
        /// It, for [`crate::transparency::SignedCheckpoint::from_compact`]: whoever asked for it knows the log's key.
        compact: [u8; COMPACT_LEN],
    },
}

impl CreateLog {
    /// `log 16 | write 32 | read 32`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        Writer::new().bytes(self.log.as_bytes()).bytes(&self.tokens.write).bytes(&self.tokens.read).finish()
    }

    /// Reads it back.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let log = LogId::from_bytes(reader.array("log id")?);
        let tokens = LogTokens { write: reader.array("write hash")?, read: reader.array("read hash")? };
        reader.finish("new log")?;
        Ok(Self { log, tokens })
    }
}

impl Append {
    /// `entry_id 16 | kind 1 | after u64 | rekey 1 [write 32 | read 32] | blob_len u32 | blob`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.bytes(self.entry_id.as_bytes()).u8(self.kind as u8).u64(self.after);
        match &self.rekey {
            None => writer.u8(0),
            Some(tokens) => writer.u8(1).bytes(&tokens.write).bytes(&tokens.read),
        };
        writer.var(&self.blob).finish()
    }

    /// Reads it back. Only kinds that travel in a log are accepted, and new tokens only with a handshake.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let entry_id = EnvelopeId::from_bytes(reader.array("entry id")?);
        let kind = EnvelopeKind::from_byte(reader.u8("kind")?)?;
        let after = reader.u64("after")?;
        let rekey = match reader.u8("rekey")? {
            0 => None,
            1 => Some(LogTokens { write: reader.array("write hash")?, read: reader.array("read hash")? }),
            _ => return Err(DecodeError::Invalid("rekey")),
        };
        let blob = reader.var(MAX_ENVELOPE, "envelope")?.to_vec();
        reader.finish("append")?;
        if !kind.in_log() || (rekey.is_some() && kind != EnvelopeKind::Handshake) {
            return Err(DecodeError::Invalid("kind"));
        }
        Ok(Self { entry_id, kind, after, rekey, blob })
    }
}

impl LogEntry {
    fn write(&self, writer: &mut Writer) {
        writer.u64(self.seq).bytes(self.entry_id.as_bytes()).u8(self.kind as u8).var(&self.blob);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            seq: reader.u64("seq")?,
            entry_id: EnvelopeId::from_bytes(reader.array("entry id")?),
            kind: EnvelopeKind::from_byte(reader.u8("kind")?)?,
            blob: reader.var(MAX_ENVELOPE, "envelope")?.to_vec(),
        })
    }
}

impl LogPage {
    /// `oldest u64 | head u64 | running 32 | last_handshake u64 | retired 1 | count u32 | entries`;
    /// entry: `seq u64 | entry_id 16 | kind 1 | blob_len u32 | blob`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u64(self.oldest).u64(self.head).bytes(&self.running).u64(self.last_handshake);
        writer.u8(u8::from(self.retired)).u32(count(self.entries.len()));
        for entry in &self.entries {
            entry.write(&mut writer);
        }
        writer.finish()
    }

    /// Reads it back.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let (oldest, head) = (reader.u64("oldest")?, reader.u64("head")?);
        let running = reader.array("running hash")?;
        let last_handshake = reader.u64("last handshake")?;
        let retired = match reader.u8("retired")? {
            0 => false,
            1 => true,
            _ => return Err(DecodeError::Invalid("retired")),
        };
        let entries = read_list(&mut reader, MAX_PAGE_ENTRIES, "entries", LogEntry::read)?;
        reader.finish("log page")?;
        Ok(Self { oldest, head, running, last_handshake, retired, entries })
    }
}

impl InboxSend {
    /// `entry_id 16 | kind 1 | blob_len u32 | blob`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        Writer::new().bytes(self.entry_id.as_bytes()).u8(self.kind as u8).var(&self.blob).finish()
    }

    /// Reads it back. Only kinds that travel in an inbox are accepted.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let entry_id = EnvelopeId::from_bytes(reader.array("entry id")?);
        let kind = EnvelopeKind::from_byte(reader.u8("kind")?)?;
        let blob = reader.var(MAX_ENVELOPE, "envelope")?.to_vec();
        reader.finish("inbox send")?;
        if kind.in_log() {
            return Err(DecodeError::Invalid("kind"));
        }
        Ok(Self { entry_id, kind, blob })
    }
}

impl InboxPage {
    /// `head u64 | count u32 | entries`; entry: `seq u64 | entry_id 16 | kind 1 | blob_len u32 | blob`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u64(self.head).u32(count(self.entries.len()));
        for entry in &self.entries {
            writer.u64(entry.seq).bytes(entry.entry_id.as_bytes()).u8(entry.kind as u8).var(&entry.blob);
        }
        writer.finish()
    }

    /// Reads it back.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let head = reader.u64("head")?;
        let entries = read_list(&mut reader, MAX_PAGE_ENTRIES, "entries", |reader| {
            let LogEntry { seq, entry_id, kind, blob } = LogEntry::read(reader)?;
            Ok(InboxEntry { seq, entry_id, kind, blob })
        })?;
        reader.finish("inbox page")?;
        Ok(Self { head, entries })
    }
}

impl Push {
    /// `1 | log 16 | head u64 | has 1 [entry]`, `2 | head u64`, `3 | log 16`, `4`, `5 | compact 112`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        match self {
            Self::Log { log, head, entry } => {
                writer.u8(1).bytes(log.as_bytes()).u64(*head).u8(u8::from(entry.is_some()));
                if let Some(entry) = entry {
                    entry.write(&mut writer);
                }
            }
            Self::Inbox { head } => {
                writer.u8(2).u64(*head);
            }
            Self::Refused { log } => {
                writer.u8(3).bytes(log.as_bytes());
            }
            Self::Ready => {
                writer.u8(4);
            }
            Self::Checkpoint { compact } => {
                writer.u8(5).bytes(compact);
            }
        }
        writer.finish()
    }

    /// Reads it back.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let push = match reader.u8("frame")? {
            1 => {
                let log = LogId::from_bytes(reader.array("log id")?);
                let head = reader.u64("head")?;
                let entry = match reader.u8("has entry")? {
                    0 => None,
                    1 => Some(LogEntry::read(&mut reader)?),
                    _ => return Err(DecodeError::Invalid("has entry")),
                };
                Self::Log { log, head, entry }
            }
            2 => Self::Inbox { head: reader.u64("head")? },
            3 => Self::Refused { log: LogId::from_bytes(reader.array("log id")?) },
            4 => Self::Ready,
            5 => Self::Checkpoint { compact: reader.array("checkpoint")? },
            _ => return Err(DecodeError::Invalid("frame")),
        };
        reader.finish("frame")?;
        Ok(push)
    }
}

fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

fn read_list<T>(
    reader: &mut Reader<'_>,
    max: usize,
    field: &'static str,
    read: impl Fn(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = reader.u32("count")? as usize;
    if count > max {
        return Err(DecodeError::TooLong(field));
    }
    (0..count).map(|_| read(reader)).collect()
}
