//! A member whose chain cannot be had, or does not state (yet) the device that speaks: their relay does not answer, lags behind, shows less than
//! there is, or answers nonsense. What they say is kept apart, with the leaf that said it, and shown once a chain states that leaf (P1). The
//! others are heard meanwhile: no member can silence a group, and nobody's relay has a word lost.

use rusqlite::Transaction;
use waxwing_protocol::{AppMessage, LeafIdentity, Message};
use waxwing_wire::{AccountId, VerifiedChain};

use super::Engine;
use super::context::Context;
use super::conversations::started_line;
use super::emit::Changes;
use super::entries::{self, DAY_MS, Reading, Verdict};
use crate::error::Error;
use crate::mls::rules::Leaf;
use crate::store::conversations::{self, Conversation};
use crate::store::held::{self, Held, Room};
use crate::store::logs::{self, Noted};
use crate::store::{account, messages, people};
use crate::views::Notice;

/// Most bytes that are kept of one sender in one log; and of all together, which many who are in on it could fill a disk with.
pub(super) const MOST: Room = Room { each: 16 * 1024 * 1024, all: 128 * 1024 * 1024, always: 64 * 1024 };
/// How long something is kept that no chain states.
pub(super) const KEPT_MS: u64 = 30 * DAY_MS;

impl Reading<'_> {
    /// Keeps what a leaf said until its account's chain is here.
    pub(super) fn hold(&mut self, leaf: &Leaf, message: &Message, bytes: &[u8]) -> Result<Verdict, Error> {
        // To leave takes the leaf's own proof, and no chain.
        if let Ok(AppMessage::Leave(proof)) = AppMessage::decode(bytes) {
            return self.leave(leaf, &proof, bytes);
        }
        let held = Held {
            n: 0,
            log: self.log.log,
            leaf: leaf.identity.encode(),
            mls_key: leaf.mls_key,
            sent_ms: message.sent_ms,
            content: bytes.to_vec(),
            at_ms: self.context.now,
        };
        if held::keep(self.tx, leaf.identity.account, &held, MOST)? {
            Ok(Verdict::Used)
        } else {
            // Not set aside: that would undo the line which says so.
            tracing::warn!("too much waits for a member's chain");
            self.note_unreadable(leaf.identity.account)?;
            Ok(Verdict::Used)
        }
    }

    /// A leaf has said something that its account's chain does not state, as the account's relay shows that. It is kept where there may be more
    /// of the chain than was shown; else it is nobody's word.
    pub(super) fn not_stated(&mut self, leaf: &Leaf, message: &Message, bytes: &[u8]) -> Result<Verdict, Error> {
        let account = leaf.identity.account;
        if !self.chain_of(account)?.is_some_and(|chain| may_state(&chain, leaf)) {
            return Ok(Verdict::Aside("its sender's device is not in their chain"));
        }
        let words = matches!(AppMessage::decode(bytes), Ok(AppMessage::Text { .. }));
        if words && !entries::is_unheard(self.tx, &self.conversation, account)? {
            let since = self.context.now.saturating_sub(DAY_MS);
            let (of, changes) = ((&self.log, &leaf.identity), &mut self.taken.changes);
            tell_kept_back(self.tx, self.context, of, since.max(ONCE), changes)?;
        }
        self.hold(leaf, message, bytes)
    }
}

/// Ever since: see [`logs::note_device`].
const ONCE: u64 = 1;

/// Whether a chain that does not state a leaf may do so once more of it is seen: the device is new to it, or the version newer than any that it
/// states. What it says of a version it says for good, and a revoked device does not come back.
fn may_state(chain: &VerifiedChain, leaf: &Leaf) -> bool {
    let LeafIdentity { device, key_version, .. } = leaf.identity;
    let newest = chain.device(device).map(|known| known.current().record.key_version);
    newest.map_or_else(|| chain.past_device(device).is_none(), |newest| newest < key_version)
}

/// One quiet line that words of a device are kept back, unless there was one after `after_ms`.
fn tell_kept_back(
    tx: &Transaction<'_>,
    context: &Context,
    (log, leaf): (&logs::Log, &LeafIdentity),
    after_ms: u64,
    changes: &mut Changes,
) -> Result<(), Error> {
    if !logs::note_device(tx, log.log, leaf.device, Noted::KeptBack, context.now, after_ms)? {
        return Ok(());
    }
    let me = account::require(tx)?;
    let mine = leaf.account == me.account;
    let notice = Notice::KeptBack { name: people::name(tx, &me, leaf.account)?, mine };
    let line = started_line(&log.conversation, leaf.account, mine, context.now, &notice);
    messages::insert(tx, &line)?;
    changes.message(leaf.account, line.id, false);
    changes.conversation(log.conversation);
    Ok(())
}

/// Shows what was kept of an account whose chain was asked for: what that states. What it may still come to state stays for 30 days; what it
/// never will is nobody's word.
pub(super) fn release(tx: &Transaction<'_>, context: &Context, sender: AccountId) -> Result<Changes, Error> {
    let mut changes = Changes::default();
    let Some(chain) = context.chains.load(tx, sender)? else { return Ok(changes) };
    held::date(tx, context.now)?;
    let mut after = 0;
    while let Some(held) = held::next(tx, sender, after)? {
        after = held.n;
        let leaf = LeafIdentity::decode(&held.leaf).ok();
        let leaf = leaf.map(|identity| Leaf { index: 0, identity, mls_key: held.mls_key, encryption_key: [0; 32] });
        let said = AppMessage::decode(&held.content).ok();
        let (Some(leaf), Some(log), Some(said)) = (leaf, logs::load(tx, held.log)?, said) else {
            held::remove(tx, held.n)?;
            continue;
        };
        let conversation = conversations::load(tx, &log.conversation)?;
        if entries::states(&chain, &leaf) {
            held::remove(tx, held.n)?;
            show(tx, context, (&log, &conversation), (sender, held.sent_ms), said, &mut changes)?;
        } else if may_state(&chain, &leaf) && context.now.saturating_sub(held.at_ms) < KEPT_MS {
            let words = matches!(said, AppMessage::Text { .. });
            if words && !entries::is_unheard(tx, &conversation, sender)? {
                // It was kept because nobody answered; that it is not stated is known only now.
                tell_kept_back(tx, context, (&log, &leaf.identity), ONCE, &mut changes)?;
            }
        } else {
            tracing::info!("what was kept of a member is not theirs by their chain");
            held::remove(tx, held.n)?;
        }
    }
    Ok(changes)
}

/// It is its sender's word now.
fn show(
    tx: &Transaction<'_>,
    context: &Context,
    (log, conversation): (&logs::Log, &Conversation),
    (sender, sent_ms): (AccountId, u64),
    said: AppMessage,
    changes: &mut Changes,
) -> Result<(), Error> {
    logs::set_peer_seen(tx, log.log)?;
    if !entries::is_unheard(tx, conversation, sender)? {
        entries::spoken(tx, context, conversation, (sender, sent_ms), said, changes)?;
    }
    Ok(())
}

impl Engine {
    /// Asks again for chains that could not be had, and shows what was kept for them.
    pub(super) async fn release_held(&self) -> Result<(), Error> {
        for sender in self.store.run(held::senders).await? {
            match self.chain_for_reading(sender).await {
                Ok(()) => {
                    let context = self.context();
                    let changes = self.store.run(move |tx| release(tx, &context, sender)).await?;
                    self.tell(changes).await;
                }
                Err(error) => tracing::info!(%error, "a member's chain cannot be had"),
            }
        }
        Ok(())
    }
}
