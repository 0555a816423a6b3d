//! Commits of a log, inside the entry's transaction: merged, and what they change for people written down.

use std::collections::HashSet;
use std::sync::Arc;

use waxwing_protocol::content::{Content, Welcome};
use waxwing_protocol::group::{ChainPart, GroupKind, RosterLine, RosterRole};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{AccountId, DeviceId};

use super::context::{introduction, is_line_of, meet};
use super::entries::{Reading, Verdict};
use super::notices::{notices, wanted_to_leave};
use super::{carried, chain_parts, follow, groups, missed, own_parts, restored, resync, safety};
use crate::error::{Error, ErrorCode};
use crate::mls::rules::{CommitFacts, GroupFacts, Leaf};
use crate::mls::{GroupChange, PendingWelcome, StagedChange, storage};
use crate::store::account::Account;
use crate::store::logs::Noted;
use crate::store::rotation as schedule;
use crate::store::{account, conversations, deliveries, keys, links, logs, outbox, people, unproved};
use crate::views::{ConversationKind, Notice, Standing};

/// Whose commit it is.
pub(super) enum Committer {
    Member(Leaf),
    Me(Leaf),
}

/// Somebody else's commit, valid.
pub(super) fn take(
    reading: &mut Reading<'_>,
    committer: Committer,
    change: Box<StagedChange>,
) -> Result<Verdict, Error> {
    let Some(group) = reading.group.as_mut() else { return Ok(Verdict::Aside("its group is gone")) };
    let before = group.facts()?;
    let grown = learn(reading, &change)?;
    let (facts, secret, removes_me) = (change.facts.clone(), change.secret.clone(), change.removes_me);
    let again = facts.added.iter().any(|new| new.identity.device == reading.context.device);
    if removes_me && again {
        return resynced(reading, &facts);
    }
    let Some(group) = reading.group.as_mut() else { return Ok(Verdict::Aside("its group is gone")) };
    // An own commit that waited is dropped with it; its item in the outbox is sealed again.
    group.merge(change)?;
    if removes_me {
        removed(reading, &committer)?;
        return Ok(Verdict::Used);
    }
    agreed_again(reading)?;
    if let Some(secret) = secret {
        reading.log.secret = secret;
        reading.taken.rekeyed = true;
    }
    if !reading.log.peer_seen {
        reading.log.peer_seen = true;
        logs::set_peer_seen(reading.tx, reading.log.log)?;
    }
    changed(reading, &before, &facts, &committer)?;
    for account in grown {
        reading.taken.wake |= follow::chain_grew(reading.tx, reading.context, account)?;
    }
    Ok(Verdict::Used)
}

/// A commit counts: whoever disagreed before it agrees now, or will be seen to disagree again.
fn agreed_again(reading: &Reading<'_>) -> Result<(), Error> {
    logs::forget_noted(reading.tx, reading.log.log, Noted::Disagrees)
}

/// The own commit has its place: it is merged, and what it promised is sent.
pub(super) fn own(
    reading: &mut Reading<'_>,
    shown: outbox::Shown,
    running: &[u8; 32],
    seq: u64,
) -> Result<Verdict, Error> {
    let Some(group) = reading.group.as_mut() else { return Ok(Verdict::Aside("its group is gone")) };
    if !group.has_pending() {
        return Ok(Verdict::Aside("an own commit that was given up"));
    }
    let before = group.facts()?;
    let committer = group.own_leaf()?;
    let facts = group.merge_pending()?;
    agreed_again(reading)?;
    let rekeys = shown.secret.is_some();
    if let Some(secret) = shown.secret {
        reading.log.secret = secret;
        reading.taken.rekeyed = true;
    }
    match GroupChange::decode(&shown.content)? {
        GroupChange::AnswerLeave { account, .. } => reading.answered = Some(account),
        GroupChange::Admit { account, .. } => reading.admitted = Some(account),
        _ => {}
    }
    reading.own_change = Some(shown.n);
    outbox::remove(reading.tx, shown.n)?;
    // What had stood in the way does so no more.
    if !deliveries::welcoming(reading.tx, &reading.log.conversation)? {
        conversations::set_problem(reading.tx, &reading.log.conversation, None)?;
    }
    logs::set_leaf_replaced(reading.tx, reading.log.log)?;
    reading.log.update_due = false;
    if rekeys {
        logs::set_updated(reading.tx, reading.log.log, reading.context.now)?;
    }
    reading.taken.updated = true;
    if let Some(welcome) = &shown.welcome {
        welcomes(reading, PendingWelcome::decode(welcome)?, running, seq)?;
    }
    notify_removed(reading, &before, &facts, seq)?;
    changed(reading, &before, &facts, &Committer::Me(committer))?;
    // An own commit does not tell what went along with it.
    if let GroupChange::Resync { content, .. } = GroupChange::decode(&shown.content)?
        && let Ok(Content::Resync(request)) = Content::decode(EnvelopeKind::Resync, &content)
    {
        let who = (request.proof.account, request.proof.device);
        reading.taken.wake |= missed::back_in(reading.tx, reading.context, &reading.log, who)?;
    }
    Ok(Verdict::Used)
}

/// Takes chain entries that came along. They prove themselves; what does not follow from what is known is left alone.
///
/// Gives those whose other groups must follow, too.
fn learn(reading: &mut Reading<'_>, change: &StagedChange) -> Result<Vec<AccountId>, Error> {
    let mut grown = Vec::new();
    for part in &chain_parts::joined(&change.facts.data.chains) {
        // What is new in one's own chain is one's own doing, or an alarm; nobody else brings it.
        if part.account == reading.context.account {
            own_parts::note(reading, part)?;
            continue;
        }
        // With what this very page has brought: of two branches for one place the first is known now.
        let known = reading.chain_of(part.account)?;
        let Some((chain, from, fresh)) = part.extends(known.as_deref()) else { continue };
        // Somebody new must be whom the roster names.
        let line = change.facts.roster.line(part.account);
        let fits = line.is_some_and(|line| {
            is_line_of(line, &chain)
                && chain.name() == Some(&line.home.name)
                && chain.log_origin() == line.home.relay.authority()
        });
        if known.is_none() && !fits {
            continue;
        }
        if !add(reading.tx, part.account, from, &fresh)? {
            continue;
        }
        unproved::learned(reading.tx, part.account, from)?;
        if follow::concerns_groups(&fresh) {
            grown.push(part.account);
        }
        reading.taken.chains.push(Arc::new(chain));
    }
    if !reading.taken.chains.is_empty() {
        safety::announce(reading.tx, reading.context.now, &mut reading.taken.changes)?;
    }
    Ok(grown)
}

/// The same for more of the chain of somebody who is known, told by themselves.
pub(super) fn learn_more(reading: &mut Reading<'_>, part: &ChainPart) -> Result<(), Error> {
    if part.account == reading.context.account {
        return own_parts::note(reading, part);
    }
    let known = reading.chain_of(part.account)?;
    let Some((chain, from, fresh)) = known.and_then(|known| part.extends(Some(&known))) else { return Ok(()) };
    if !add(reading.tx, part.account, from, &fresh)? {
        return Ok(());
    }
    unproved::learned(reading.tx, part.account, from)?;
    if follow::concerns_groups(&fresh) {
        reading.taken.wake |= follow::chain_grew(reading.tx, reading.context, part.account)?;
    }
    reading.taken.chains.push(Arc::new(chain));
    Ok(())
}

/// Adds what extends a chain; false if another branch of it is stored meanwhile, which is left alone: nobody's chain stops a conversation.
fn add(tx: &rusqlite::Transaction<'_>, account: AccountId, from: u32, fresh: &[Vec<u8>]) -> Result<bool, Error> {
    match keys::add_chain_entries(tx, account, from, fresh) {
        Err(error) if error.code() == ErrorCode::ChainBroken => Ok(false),
        added => added.map(|()| true),
    }
}

/// One is taken out and brought in again in one step: the Welcome is on its way. Until it is there the group stays as it was: should it
/// not come, it tells whom to ask.
fn resynced(reading: &mut Reading<'_>, commit: &CommitFacts) -> Result<Verdict, Error> {
    let (_, nonce) = logs::resync(reading.tx, reading.log.log)?;
    let device = reading.context.device;
    if commit.data.resyncs.iter().any(|proof| proof.device == device && Some(proof.nonce) == nonce) {
        reading.log.active = false;
    } else {
        // An old request, answered once more: its key package is gone.
        reading.behind();
    }
    reading.group = None;
    reading.taken.rekeyed = true;
    outbox::unseal_changes(reading.tx, reading.log.log)?;
    Ok(Verdict::Used)
}

/// One is not in the group any more: nothing of it is of use.
fn removed(reading: &mut Reading<'_>, committer: &Committer) -> Result<(), Error> {
    let (tx, conversation) = (reading.tx, reading.log.conversation);
    storage::delete_group(tx, reading.log.log.as_bytes())?;
    reading.group = None;
    // Nothing that was asked for will come any more.
    logs::set_inactive(tx, reading.log.log)?;
    reading.log.active = false;
    reading.taken.rekeyed = true;
    outbox::remove_changes(tx, reading.log.log)?;
    let others = logs::of(tx, &conversation)?.iter().any(|log| log.active && log.log != reading.log.log);
    if others {
        return Ok(());
    }
    let me = account::require(tx)?;
    // Having left, one may have asked to be let in again before this was seen.
    if matches!(reading.conversation.standing, Standing::Left | Standing::Asked) {
        return Ok(());
    }
    if reading.conversation.kind == ConversationKind::Direct {
        // Nobody is put out of a conversation of two: with the next words it begins anew, and with those that nobody has read here.
        outbox::unseal_for(tx, reading.log.log)?;
        outbox::unseal_accepted(tx, reading.log.log)?;
        reading.taken.wake = true;
        return Ok(());
    }
    reading.taken.wake |= links::end(tx, &conversation)?;
    conversations::set_standing(tx, &conversation, Standing::Removed)?;
    let rest: Vec<_> = people::of(tx, &conversation)?.into_iter().filter(|one| one.account != me.account).collect();
    people::replace(tx, &conversation, &rest)?;
    let by = account_of(committer);
    let name = me.display_name.clone();
    let by_name = people::name(tx, &me, by)?;
    let notice = Notice::Removed { by: by_name, mine: by == me.account, name, me: true };
    reading.quiet_line(by, &notice)?;
    reading.taken.changes.conversation(conversation);
    reading.taken.changes.group(conversation);
    Ok(())
}

/// Writes down what a merged commit has changed.
fn changed(
    reading: &mut Reading<'_>,
    before: &GroupFacts,
    commit: &CommitFacts,
    committer: &Committer,
) -> Result<(), Error> {
    let Some(group) = &reading.group else { return Ok(()) };
    let after = group.facts()?;
    let (tx, conversation) = (reading.tx, reading.log.conversation);
    let me = account::require(tx)?;
    meet(tx, me.account, &after.roster)?;
    write_people(reading, &after)?;
    let by = account_of(committer);
    for notice in notices(reading, &me, before, &after, commit, committer)? {
        reading.quiet_line(by, &notice)?;
    }
    links_after(reading, &me, before, &after, commit)?;
    let own_line = |facts: &GroupFacts| facts.roster.line(me.account).map(|line| line.chain_seq);
    if let Some(seq) = own_line(&after).filter(|seq| own_line(before) != Some(*seq)) {
        // Another account key of one's own has got on by one conversation, whoever brought it in.
        schedule::set_line_seq(tx, reading.log.log, seq)?;
        reading.taken.updated = true;
    }
    // A long way along a chain is gone in steps: the next one is due now, before anything is said.
    let moved = |line: &&RosterLine| before.roster.line(line.account).is_some_and(|old| old.chain_seq < line.chain_seq);
    for line in after.roster.lines.iter().filter(moved) {
        reading.taken.wake |= follow::chain_grew(tx, reading.context, line.account)?;
    }
    // Whatever waited for a change like this is looked at again, in its order.
    outbox::hurry_messages(tx, &conversation)?;
    follow::say_again(reading, before, &after)?;
    restored::say_again_to_newcomers(reading, before, &after)?;
    // A request that was declined is declined in silence.
    let out =
        matches!(reading.conversation.standing, Standing::Left | Standing::Asked) && !reading.conversation.declined;
    if out && groups::keep_leaving(tx, reading.context, &reading.log)? {
        reading.taken.wake = true;
    }
    for proof in &commit.data.resyncs {
        logs::note_device(tx, reading.log.log, proof.device, Noted::Answered, reading.context.now, 0)?;
        reading.taken.wake |= missed::back_in(tx, reading.context, &reading.log, (proof.account, proof.device))?;
    }
    // A wish to leave or to be let back in ends with its answer, whoever else was to give one. Not what waits for another group of the conversation.
    let log = reading.log.log;
    for item in outbox::changes(tx, &conversation)?.into_iter().filter(|item| item.log == Some(log)) {
        let over = match GroupChange::decode(&item.content) {
            Ok(GroupChange::AnswerLeave { account, .. }) => after.roster.line(account).is_none(),
            Ok(GroupChange::Resync { content, .. }) => match Content::decode(EnvelopeKind::Resync, &content) {
                Ok(Content::Resync(request)) => {
                    commit.data.resyncs.iter().any(|proof| proof.device == request.proof.device)
                }
                _ => false,
            },
            _ => false,
        };
        if over {
            outbox::remove(tx, item.n)?;
        }
    }
    let here =
        |facts: &GroupFacts| -> HashSet<AccountId> { facts.leaves.iter().map(|leaf| leaf.identity.account).collect() };
    let newcomers = here(&after).difference(&here(before)).count() > 0;
    if newcomers && after.roster.kind == GroupKind::Group {
        // They do not know the own name yet; it goes with the next words.
        conversations::set_profile_sent(tx, &conversation, false)?;
    }
    conversations::move_up(tx, &conversation, reading.context.now)?;
    reading.taken.changes.conversation(conversation);
    reading.taken.changes.group(conversation);
    Ok(())
}

/// Whom a link does not let in any more, and whether there may be one.
fn links_after(
    reading: &mut Reading<'_>,
    me: &Account,
    before: &GroupFacts,
    after: &GroupFacts,
    commit: &CommitFacts,
) -> Result<(), Error> {
    let (tx, conversation) = (reading.tx, reading.log.conversation);
    for line in before.roster.lines.iter().filter(|line| after.roster.line(line.account).is_none()) {
        let left = reading.answered == Some(line.account) || wanted_to_leave(reading, before, commit, line.account)?;
        let by_admin = !left;
        links::set_removed(tx, &conversation, line.account, by_admin)?;
        carried::forget(tx, &conversation, line.account, reading.own_change)?;
    }
    for line in after.roster.lines.iter().filter(|line| before.roster.line(line.account).is_none()) {
        links::set_removed(tx, &conversation, line.account, false)?;
    }
    if !people::is_admin(&people::of(tx, &conversation)?, me.account) {
        reading.taken.wake |= links::end(tx, &conversation)?;
    }
    Ok(())
}

/// Who is in the conversation now, and what it is called.
pub(super) fn write_people(reading: &Reading<'_>, facts: &GroupFacts) -> Result<(), Error> {
    store_people(reading.tx, &reading.log, facts)
}

/// The same, for a group that is not being read. Of several groups of one conversation, the one that is written to counts.
pub(super) fn store_people(tx: &rusqlite::Transaction<'_>, log: &logs::Log, facts: &GroupFacts) -> Result<(), Error> {
    let conversation = &log.conversation;
    if logs::to_send(tx, conversation)?.is_some_and(|counts| counts.log != log.log) {
        return Ok(());
    }
    let people: Vec<_> = facts
        .roster
        .lines
        .iter()
        .map(|line| people::Person {
            account: line.account,
            admin: line.role == RosterRole::Admin,
            devices: u32::try_from(facts.leaves.iter().filter(|leaf| leaf.identity.account == line.account).count())
                .unwrap_or(u32::MAX),
        })
        .collect();
    people::replace(tx, conversation, &people)?;
    if facts.roster.kind == GroupKind::Group {
        conversations::set_title(tx, conversation, &facts.roster.name)?;
    }
    Ok(())
}

fn account_of(committer: &Committer) -> AccountId {
    match committer {
        Committer::Member(leaf) | Committer::Me(leaf) => leaf.identity.account,
    }
}

/// Seals what brings each added device into the group.
fn welcomes(reading: &mut Reading<'_>, pending: PendingWelcome, running: &[u8; 32], seq: u64) -> Result<(), Error> {
    let (tx, context) = (reading.tx, reading.context);
    let me = account::require(tx)?;
    let own = context.chains.load(tx, me.account)?.ok_or_else(|| super::not_found("no own chain"))?;
    let content = Content::Welcome(Welcome {
        conversation: reading.log.conversation,
        relay: reading.log.relay.clone(),
        log: reading.log.log,
        channel_secret: reading.log.secret.clone(),
        slot: seq,
        running: *running,
        nonce: pending.nonce,
        sender: introduction(&me, &own, reading.conversation.access_key.clone()),
        mls: pending.mls,
    })
    .encode();
    for (account, device) in pending.devices {
        deliver(reading, account, device, EnvelopeKind::Welcome, &content)?;
    }
    Ok(())
}

/// Tells devices that are not in the group any more, so that they look.
fn notify_removed(reading: &mut Reading<'_>, before: &GroupFacts, commit: &CommitFacts, seq: u64) -> Result<(), Error> {
    let content = Content::Removed { log: reading.log.log, seq }.encode();
    let gone: Vec<_> = before
        .leaves
        .iter()
        .filter(|leaf| commit.removed.contains(&leaf.index))
        .filter(|leaf| commit.added.iter().all(|new| new.identity.device != leaf.identity.device))
        .map(|leaf| (leaf.identity.account, leaf.identity.device))
        .collect();
    for (account, device) in gone {
        deliver(reading, account, device, EnvelopeKind::Notice, &content)?;
    }
    Ok(())
}

fn deliver(
    reading: &mut Reading<'_>,
    account: AccountId,
    device: DeviceId,
    kind: EnvelopeKind,
    content: &[u8],
) -> Result<(), Error> {
    let (tx, context, conversation) = (reading.tx, reading.context, reading.log.conversation);
    resync::deliver(tx, context, conversation, (account, device), kind, content)?;
    reading.taken.wake = true;
    Ok(())
}
