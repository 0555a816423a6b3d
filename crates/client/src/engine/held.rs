//! A member of a group whose chain cannot be had: their relay does not answer, or answers nonsense. What they say is kept apart, with
//! the leaf that said it, and shown once a chain states that leaf (P1). The others are heard meanwhile: no member can silence a group.

use rusqlite::Transaction;
use waxwing_protocol::{AppMessage, LeafIdentity, Message};
use waxwing_wire::AccountId;

use super::Engine;
use super::context::Context;
use super::emit::Changes;
use super::entries::{self, Reading, Verdict};
use crate::error::Error;
use crate::mls::rules::Leaf;
use crate::store::held::{self, Held};
use crate::store::{conversations, logs};
use crate::views::Standing;

/// Most bytes that are kept of one sender in one log.
const MOST: u64 = 16 * 1024 * 1024;
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
}

/// Shows what was kept of an account whose chain was asked for: what that states. What it does not state is nobody's word.
pub(super) fn release(tx: &Transaction<'_>, context: &Context, sender: AccountId) -> Result<Changes, Error> {
    let mut changes = Changes::default();
    let Some(chain) = context.chains.load(tx, sender)? else { return Ok(changes) };
    for held in held::of(tx, sender)? {
        held::remove(tx, held.n)?;
        let Ok(identity) = LeafIdentity::decode(&held.leaf) else { continue };
        let leaf = Leaf { index: 0, identity, mls_key: held.mls_key, encryption_key: [0; 32] };
        let Some(log) = logs::load(tx, held.log)?.filter(|_| entries::states(&chain, &leaf)) else {
            tracing::info!("what was kept of a member is not theirs by their chain");
            continue;
        };
        let conversation = conversations::load(tx, &log.conversation)?;
        let Ok(said) = AppMessage::decode(&held.content) else { continue };
        if conversation.standing != Standing::Left {
            entries::spoken(tx, context, &conversation, (sender, held.sent_ms), said, &mut changes)?;
        }
    }
    Ok(changes)
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
