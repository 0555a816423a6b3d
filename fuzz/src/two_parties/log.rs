//! The relay's log, as honest as its answers are: who lies here is the network between ([`super::twist`]).

use waxwing_protocol::MessageSender;
use waxwing_wire::EnvelopeId;
use waxwing_wire::frame::LogTokens;
use waxwing_wire::log::{EnvelopeKind, running_hash, token_hash};

/// What an entry truly is, as nobody but the test knows.
#[derive(Debug, Clone)]
pub(super) struct Truth {
    pub(super) by: usize,
    pub(super) sender: MessageSender,
    pub(super) counter: u64,
    /// The `MLSMessage`.
    pub(super) mls: Vec<u8>,
    pub(super) said: Said,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// An encoded app message.
    Text(Vec<u8>),
    /// A commit.
    Commit,
    /// Nothing that may be believed.
    Forged,
}

/// What is sent to the log.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) id: EnvelopeId,
    pub(super) kind: EnvelopeKind,
    pub(super) blob: Vec<u8>,
}

/// An entry in its place.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) seq: u64,
    /// Seq of the handshake before it.
    pub(super) after: u64,
    pub(super) entry: Entry,
    /// Running hash of the log with it.
    pub(super) running: [u8; 32],
    pub(super) truth: Truth,
}

/// Why the log takes an entry not: the sender has not read it all.
#[derive(Debug)]
pub(super) struct Behind;

pub(super) struct Log {
    pub(super) slots: Vec<Slot>,
    pub(super) last_handshake: u64,
    pub(super) tokens: LogTokens,
    pub(super) running: [u8; 32],
}

impl Log {
    pub(super) fn new(tokens: LogTokens) -> Self {
        Self { slots: Vec::new(), last_handshake: 0, tokens, running: [0; 32] }
    }

    /// Compare-and-swap on the last handshake (design section 6).
    pub(super) fn append(
        &mut self,
        write_token: &[u8; 32],
        after: u64,
        entry: Entry,
        rekey: Option<LogTokens>,
        truth: Truth,
    ) -> Result<u64, Behind> {
        if token_hash(write_token) != self.tokens.write || after != self.last_handshake {
            return Err(Behind);
        }
        let seq = self.slots.len() as u64 + 1;
        self.running = running_hash(&self.running, seq, entry.id, entry.kind, &entry.blob);
        if entry.kind == EnvelopeKind::Handshake {
            self.last_handshake = seq;
            self.tokens = rekey.unwrap_or(self.tokens);
        }
        self.slots.push(Slot { seq, after, entry, running: self.running, truth });
        Ok(seq)
    }

    pub(super) fn slot(&self, seq: u64) -> &Slot {
        &self.slots[seq as usize - 1]
    }
}
