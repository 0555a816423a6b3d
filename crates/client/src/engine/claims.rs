//! Key packages of those who are to be brought into a group, and what becomes of those whose cannot be had: the others are brought in
//! without them, and what is said goes on.

use std::time::Duration;

use rusqlite::Transaction;
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::{AccountId, LogId};

use super::chain_parts::Room;
use super::context::Context;
use super::emit::Changes;
use super::sealing::Outcome;
use super::{Engine, admit, follow, impossible, not_found};
use crate::error::{Error, ErrorCode};
use crate::mls::{ClaimedPackage, Group, GroupChange, read_package};
use crate::random;
use crate::relay::ApiError;
use crate::store::conversations::ConversationId;
use crate::store::outbox::Item;
use crate::store::{contacts, conversations, logs, outbox};
use crate::views::ConversationKind;

/// Longest wait for somebody's key packages while a conversation waits behind it.
const PATIENCE: Duration = Duration::from_secs(10);

/// What can be done now.
pub(super) enum Ready {
    /// The change, which may be less than was asked for.
    Change(Vec<u8>),
    /// Nothing; the item waits.
    Later(u64),
    /// Nothing, and nobody else is in the group yet: what is said there is for those who are to come, so all of it waits.
    Nobody,
}

impl Engine {
    /// The item as it can be sealed now, with what it needs claimed; else what becomes of it.
    pub(super) async fn claim_for(
        &self,
        item: &Item,
        log: &logs::Log,
    ) -> Result<Result<(Item, Vec<ClaimedPackage>), Outcome>, Error> {
        match GroupChange::decode(&item.content)? {
            GroupChange::Add(people) => {
                let (mut claimed, mut sorted, mut why) = (Vec::new(), Sorted::default(), None);
                for account in people {
                    let look = move |tx: &Transaction<'_>| Ok((sorted.has_place(tx, account)?, sorted));
                    let fits;
                    (fits, sorted) = self.store.run(look).await?;
                    if !fits {
                        sorted.rest.push(account);
                        continue;
                    }
                    match self.claim(account).await {
                        Ok(packages) => {
                            self.in_hand.are_had(account);
                            claimed.extend(packages);
                            sorted = self.store.run(move |tx| sorted.with(tx, account)).await?;
                        }
                        Err(error) => {
                            tracing::info!(%error, "somebody cannot be added now");
                            sorted.is_missing(account, self.in_hand.again_in(account, &error));
                            why = Some(error);
                        }
                    }
                }
                let (context, log, n, conversation) = (self.context(), log.log, item.n, item.conversation);
                let item = item.clone();
                let add = move |tx: &Transaction<'_>| without(tx, &context, (n, &conversation, log), sorted);
                match (self.store.run(add).await?, why) {
                    (Ready::Change(content), _) => Ok(Ok((Item { content: content.into(), ..item }, claimed))),
                    (Ready::Later(when), _) => Ok(Err(Outcome::Later(when))),
                    (Ready::Nobody, why) => {
                        let error = why.unwrap_or_else(|| not_found("nobody to add"));
                        self.nobody_comes(conversation, &error).await?;
                        Err(error)
                    }
                }
            }
            GroupChange::Admit { account, .. } => match self.claim(account).await {
                Ok(claimed) => Ok(Ok((item.clone(), claimed))),
                Err(error) => {
                    tracing::info!(%error, "somebody who asked to be let in cannot be added now");
                    let (context, item) = (self.context(), item.clone());
                    Ok(Err(self.store.run(move |tx| admit::later(tx, &context, &item)).await?))
                }
            },
            GroupChange::Follow(account) => {
                let (context, asked) = (self.context(), log.clone());
                let needs = move |tx: &Transaction<'_>| follow::needs_packages(tx, &context, &asked, account);
                if !self.store.run(needs).await? {
                    return Ok(Ok((item.clone(), Vec::new())));
                }
                match self.claim(account).await {
                    Ok(claimed) => Ok(Ok((item.clone(), claimed))),
                    Err(error) => {
                        tracing::info!(%error, "somebody who has recovered their account cannot be brought back now");
                        let chain = self.chain(account).await.ok();
                        Ok(Err(Outcome::Later(follow::again(chain.as_deref(), self.now_ms()))))
                    }
                }
            }
            GroupChange::AddOwn => match self.claim_own(log.log).await {
                Ok(claimed) => Ok(Ok((item.clone(), claimed))),
                Err(error) => {
                    tracing::info!(%error, "an own device cannot be added now");
                    let chain = self.chain(self.account).await.ok();
                    Ok(Err(Outcome::Later(follow::again(chain.as_deref(), self.now_ms()))))
                }
            },
            _ => Ok(Ok((item.clone(), Vec::new()))),
        }
    }

    /// A new group has nobody to talk to, for a reason that does not pass by itself and is shown nowhere else: it is shown there. Nothing that stops
    /// a conversation, and nothing that is over once its log is read.
    async fn nobody_comes(&self, conversation: ConversationId, error: &Error) -> Result<(), Error> {
        let shown = [ErrorCode::NoKeyPackage, ErrorCode::UnknownUser, ErrorCode::OtherRelay, ErrorCode::Refused];
        if !shown.contains(&error.code()) {
            return Ok(());
        }
        let view = error.view();
        let show = move |tx: &Transaction<'_>| {
            let mut changes = Changes::default();
            let group = conversations::load(tx, &conversation)?.kind == ConversationKind::Group;
            if group && conversations::set_problem(tx, &conversation, Some(&view))? {
                changes.conversation(conversation);
            }
            Ok(changes)
        };
        let changes = self.store.run(show).await?;
        self.tell(changes).await;
        Ok(())
    }

    /// A key package of each device of an account, checked against its chain.
    async fn claim(&self, account: AccountId) -> Result<Vec<ClaimedPackage>, Error> {
        let claimed = tokio::time::timeout(PATIENCE, self.ask_for_packages(account)).await;
        claimed.unwrap_or_else(|_| Err(Error::new(ErrorCode::RelayDown, "no answer in time")))
    }

    async fn ask_for_packages(&self, account: AccountId) -> Result<Vec<ClaimedPackage>, Error> {
        // The newest chain: what is claimed is signed with the keys in force.
        let chain = self.refresh_chain(account).await?;
        if let Some(packages) = self.in_hand.take(&chain) {
            return Ok(packages);
        }
        let contact = self.store.run(move |tx| contacts::load(tx, account)).await?;
        let contact = contact.ok_or_else(|| not_found("no such contact"))?;
        let claim = random::bytes();
        let mut outcome = Err(ApiError::Malformed("no path"));
        if let Some(key) = &contact.access_key {
            outcome = self.relay(&contact.relay)?.claim_key_packages(account, claim, Some(key)).await;
        }
        let refused = matches!(&outcome, Err(error) if error.problem() == Some(ProblemCode::InboxRefused));
        let at_home = contact.relay.authority() == self.home.address().authority();
        if (contact.access_key.is_none() || refused) && at_home {
            outcome = self.home.claim_key_packages(account, claim, None).await;
        } else if contact.access_key.is_none() {
            return Err(Error::new(ErrorCode::OtherRelay, "an account on another relay is reached by invite link"));
        }
        let mut usable = Vec::new();
        for package in outcome.map_err(Error::from)? {
            match read_package(&self.crypto, &chain, package.device, &package.package) {
                Ok(package) => usable.push(package),
                Err(error) => tracing::warn!(%error, "a claimed key package is not used"),
            }
        }
        if usable.is_empty() {
            return Err(Error::new(ErrorCode::NoKeyPackage, "no device of theirs can be added now"));
        }
        Ok(usable)
    }
}

/// Those who are to be added.
#[derive(Default)]
pub(super) struct Sorted {
    /// Whoever can be had now, and fits into one commit.
    had: Vec<AccountId>,
    /// Whoever cannot be had, and after how many milliseconds they are tried again.
    missing: Vec<AccountId>,
    again_ms: u64,
    /// Whoever has no place in this commit any more.
    pub(super) rest: Vec<AccountId>,
    room: Room,
}

impl Sorted {
    /// Whether somebody fits in beside those who are. Once one does not, nobody behind them is asked for: they come in their order.
    pub(super) fn has_place(&self, tx: &Transaction<'_>, account: AccountId) -> Result<bool, Error> {
        Ok(self.rest.is_empty() && (self.had.is_empty() || self.room.has_place(tx, account)?))
    }

    /// Somebody cannot be had, and is to be tried again after this time. They are tried together.
    pub(super) fn is_missing(&mut self, account: AccountId, again_ms: u64) {
        self.missing.push(account);
        self.again_ms = self.again_ms.max(again_ms);
    }

    /// Somebody can be had, and their chain is known as it is now.
    pub(super) fn with(mut self, tx: &Transaction<'_>, account: AccountId) -> Result<Self, Error> {
        self.room.take(tx, account)?;
        self.had.push(account);
        Ok(self)
    }
}

/// Of those who are to be added, those who can be had now. Whoever cannot becomes an item of their own, for later; and so does, at once and before
/// all else, whoever has no place in this commit: what was said after they were added is for them, too.
pub(super) fn without(
    tx: &Transaction<'_>,
    context: &Context,
    (n, conversation, log): (i64, &ConversationId, LogId),
    Sorted { had, missing, again_ms, rest, .. }: Sorted,
) -> Result<Ready, Error> {
    let later = context.now + again_ms;
    if had.is_empty() {
        let group = Group::load(&context.crypto, tx, log)?;
        let alone = group.map_or(Ok(0), |group| group.leaves().map(|leaves| leaves.len()))? < 2;
        // Nobody who can be had waits behind one who cannot.
        let others = alone && impossible::others_come(tx, (n, conversation), context.now)?;
        return Ok(if alone && !others { Ready::Nobody } else { Ready::Later(later) });
    }
    let content = GroupChange::Add(had).encode()?;
    if !missing.is_empty() || !rest.is_empty() {
        outbox::replace_change(tx, n, &content)?;
    }
    if !missing.is_empty() {
        outbox::push_change(tx, conversation, log, &GroupChange::Add(missing).encode()?, later)?;
    }
    if !rest.is_empty() {
        // Which of the two comes first is all the same. Before what was said it must be.
        outbox::push_change_first(tx, conversation, log, &GroupChange::Add(rest).encode()?)?;
    }
    Ok(Ready::Change(content))
}

/// A commit with all of them is longer than an envelope may be: it is made in two. False if it adds no two people.
pub(super) fn halve(
    tx: &Transaction<'_>,
    (n, conversation, log): (i64, &ConversationId, LogId),
    change: &[u8],
) -> Result<bool, Error> {
    let GroupChange::Add(mut people) = GroupChange::decode(change)? else { return Ok(false) };
    if people.len() < 2 {
        return Ok(false);
    }
    let rest = people.split_off(people.len() / 2);
    outbox::replace_change(tx, n, &GroupChange::Add(people).encode()?)?;
    outbox::push_change_first(tx, conversation, log, &GroupChange::Add(rest).encode()?)?;
    Ok(true)
}
