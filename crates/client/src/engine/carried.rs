//! What waits to be changed in a group when another takes its place: whoever was to be taken out is not brought along, and the rest is done in
//! the new one. Nothing that an admin has asked for is lost with a log.

use rusqlite::Transaction;
use waxwing_protocol::group::{GroupKind, Roster};
use waxwing_protocol::{AppMessage, Content};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{AccountId, LogId};

use super::context::Context;
use super::conversations::started_line;
use super::emit::Changes;
use super::resync;
use crate::error::Error;
use crate::mls::GroupChange;
use crate::mls::rules::{GroupFacts, Leaf};
use crate::store::conversations::ConversationId;
use crate::store::logs::{Log, Trouble};
use crate::store::outbox::{self, Item};
use crate::store::{account, links, messages, people};
use crate::views::Notice;

/// See the module.
#[derive(Default)]
pub(super) struct Carried {
    /// Who is not brought along, and whether that is since they have asked for it.
    gone: Vec<(AccountId, bool)>,
    /// What is to be done in the new group.
    rest: Vec<Item>,
}

/// What waits in a log's group, which is about to be given up.
pub(super) fn of(tx: &Transaction<'_>, context: &Context, log: &Log, facts: &GroupFacts) -> Result<Carried, Error> {
    let mut carried = Carried::default();
    // Whoever has lost their place, or has an older database, may have done long ago what waits here.
    if facts.roster.kind != GroupKind::Group || !matches!(log.trouble, Trouble::None | Trouble::Frozen) {
        return Ok(carried);
    }
    for item in outbox::changes(tx, &log.conversation)?.into_iter().filter(|item| item.log == Some(log.log)) {
        match GroupChange::decode(&item.content)? {
            GroupChange::Remove(account) => carried.goes(account, false)?,
            GroupChange::AnswerLeave { account, message } if wants_out(facts, account, &message) => {
                carried.goes(account, true)?;
            }
            GroupChange::Add(_)
            | GroupChange::Admit { .. }
            | GroupChange::SetRole { .. }
            | GroupChange::Rename(_)
            | GroupChange::Follow(_) => carried.rest.push(item),
            // Of leaves that are no more.
            GroupChange::AnswerLeave { .. }
            | GroupChange::Update
            | GroupChange::JoinUpdate
            | GroupChange::RotateUpdate
            | GroupChange::AddOwn
            | GroupChange::Resync { .. } => {}
        }
    }
    carried.gone.retain(|(account, _)| *account != context.account && facts.roster.line(*account).is_some());
    carried.gone.sort_unstable();
    carried.gone.dedup_by_key(|(account, _)| *account);
    Ok(carried)
}

/// Whether somebody's wish to leave is of a leaf that is there.
fn wants_out(facts: &GroupFacts, account: AccountId, message: &[u8]) -> bool {
    let Ok(AppMessage::Leave(proof)) = AppMessage::decode(message) else { return false };
    let holds = |leaf: &Leaf| proof.holds(&leaf.mls_key, &leaf.encryption_key, facts.id);
    let by = |leaf: &&Leaf| {
        (leaf.identity.account, leaf.identity.device) == (account, proof.device) && proof.account == account
    };
    facts.leaves.iter().find(by).is_some_and(holds)
}

impl Carried {
    /// Somebody goes: nor are they brought in by what was wanted before that.
    fn goes(&mut self, account: AccountId, left: bool) -> Result<(), Error> {
        self.gone.push((account, left));
        let mut kept = Vec::new();
        for item in std::mem::take(&mut self.rest) {
            kept.extend(without(item, account)?);
        }
        self.rest = kept;
        Ok(())
    }

    /// The roster without whoever is not brought along.
    pub(super) fn without(&self, roster: &mut Roster) {
        self.gone.iter().for_each(|(account, _)| roster.remove(*account));
    }

    /// The new group is there, and whoever is brought along is about to be: writes down who is gone, tells their devices, and has the rest done.
    pub(super) fn take_along(
        self,
        tx: &Transaction<'_>,
        context: &Context,
        (old, facts, new): (&Log, &GroupFacts, LogId),
        changes: &mut Changes,
    ) -> Result<(), Error> {
        let (me, conversation) = (account::require(tx)?, old.conversation);
        for (account, left) in self.gone {
            links::set_removed(tx, &conversation, account, !left)?;
            let name = people::name(tx, &me, account)?;
            let by = me.display_name.clone();
            let (of, notice) = if left {
                (account, Notice::Left { name, mine: false })
            } else {
                (me.account, Notice::Removed { by, mine: true, name, me: false })
            };
            let line = started_line(&conversation, of, !left, context.now, &notice);
            messages::insert(tx, &line)?;
            changes.message(of, line.id, false);
            let told = Content::Removed { log: old.log, seq: old.last_handshake }.encode();
            for leaf in facts.leaves.iter().filter(|leaf| leaf.identity.account == account) {
                let to = (account, leaf.identity.device);
                resync::deliver(tx, context, conversation, to, EnvelopeKind::Notice, &told)?;
            }
        }
        for item in self.rest {
            outbox::push_change(tx, &conversation, new, &item.content, item.not_before_ms)?;
        }
        Ok(())
    }
}

/// A change that waits, without bringing somebody in; none if nothing is left of it.
fn without(mut item: Item, account: AccountId) -> Result<Option<Item>, Error> {
    match GroupChange::decode(&item.content)? {
        GroupChange::Add(mut people) if people.contains(&account) => {
            people.retain(|one| *one != account);
            if people.is_empty() {
                return Ok(None);
            }
            item.content = GroupChange::Add(people).encode()?.into();
            Ok(Some(item))
        }
        GroupChange::Admit { account: asked, .. } if asked == account => Ok(None),
        _ => Ok(Some(item)),
    }
}

/// Somebody is out of a group: whatever still waits to bring them in, from before that was wanted, does so no more. `wanted` is the own change that
/// has taken them out, if it was one.
pub(super) fn forget(
    tx: &Transaction<'_>,
    conversation: &ConversationId,
    account: AccountId,
    wanted: Option<i64>,
) -> Result<(), Error> {
    for item in outbox::changes(tx, conversation)? {
        // What is sealed is on its way, and is judged with what the others see.
        if item.sealed.is_some() || wanted.is_some_and(|wanted| item.n > wanted) {
            continue;
        }
        let (n, before) = (item.n, item.content.clone());
        match without(item, account)? {
            None => drop(outbox::remove(tx, n)?),
            Some(item) if item.content != before => outbox::replace_change(tx, n, &item.content)?,
            Some(_) => {}
        }
    }
    Ok(())
}
