//! Safety numbers: shown, compared, confirmed; and what follows where somebody's keys are in doubt.
//!
//! A verification belongs to the user. It stands across every change that the chain proves, asks to be repeated where the chain says that
//! too little is left of what was compared (`store::verifications`), and waits where a relay shows another chain. Nothing here verifies
//! anybody or takes a verification back but the user's own call.

use std::time::Duration;

use rusqlite::Transaction;
use waxwing_protocol::{AppMessage, Comparison, Fingerprint, SafetyNumber};
use waxwing_wire::AccountId;

use super::conversations::started_line;
use super::emit::Changes;
use super::groups::parse_account;
use super::{Client, Engine, not_found};
use crate::error::{Error, ErrorCode, ErrorView};
use crate::mls::GroupChange;
use crate::store::conversations::Conversation;
use crate::store::outbox::{Item, What};
use crate::store::{account, contacts, conversations, keys, messages, outbox, people, verifications};
use crate::views::{Notice, Safety, SafetyComparison, SafetyNumberView, Standing};

/// A message for keys in doubt is looked at again after this time, or as soon as the doubt is over.
pub(super) const LOOK_AGAIN_MS: u64 = 60 * 1000;
/// Longest wait for somebody's relay before their number is shown as it is known.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest wait for a relay that showed another chain.
const AGAIN: Duration = Duration::from_secs(10);
/// Contacts whose numbers are looked through for one that was compared by mistake.
const MOST_OTHERS: usize = 128;

/// The account keys that a number was made of.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Covered {
    own: [u8; 32],
    theirs: [u8; 32],
}

impl Client {
    /// Somebody's safety number with oneself, by account id. Their relay is asked for newer keys first, where it answers at once.
    pub async fn safety_number(&self, account: &str) -> Result<SafetyNumberView, Error> {
        let (engine, account) = (&self.0, parse_account(account)?);
        if !matches!(tokio::time::timeout(PATIENCE, engine.refresh_chain(account)).await, Ok(Ok(_))) {
            tracing::debug!("a safety number is shown by the keys that are known");
        }
        engine.safety_view(account).await
    }

    /// Compares somebody's safety number with what their app shows: the digits, or the text of the QR code. Changes nothing.
    pub async fn compare_safety_number(&self, account: &str, shown: &str) -> Result<SafetyComparison, Error> {
        let (engine, account) = (&self.0, parse_account(account)?);
        let (number, _) = engine.number(account).await?;
        let mut came = number.compare(shown, &[]);
        if came == Comparison::Mismatch {
            let others = engine.fingerprints_but(account).await?;
            came = number.compare(shown, &others);
        }
        Ok(match came {
            Comparison::Match => SafetyComparison::Match,
            Comparison::Mismatch => SafetyComparison::Mismatch,
            Comparison::NotForThisConversation => SafetyComparison::NotForThisConversation,
            Comparison::Damaged => SafetyComparison::Damaged,
        })
    }

    /// The user has compared somebody's safety number. `digits` are those that were shown: should the number have changed meanwhile,
    /// nothing is confirmed.
    pub async fn verify(&self, account: &str, digits: &str) -> Result<SafetyNumberView, Error> {
        let (engine, account) = (&self.0, parse_account(account)?);
        let contact = engine.store.run(move |tx| contacts::load(tx, account)).await?;
        let contact = contact.ok_or_else(|| not_found("no such contact"))?;
        engine.require_fresh(&contact.relay).await?;
        let (number, covered) = engine.number(account).await?;
        let digits: String = digits.split_whitespace().collect();
        if number.digits() != digits {
            return Err(changed());
        }
        let (me, now) = (engine.account, engine.now_ms());
        let changes = engine
            .store
            .run(move |tx| {
                if verifications::of(tx, account)? == Safety::Broken {
                    return Err(doubt(ErrorCode::KeysInDoubt));
                }
                // Another chain entry may have come in since it was computed.
                if self::covered(tx, me, account)? != covered {
                    return Err(changed());
                }
                let chain = keys::chain(tx, account)?.ok_or_else(|| not_found("no such contact"))?;
                verifications::set(tx, &chain, now)?;
                let mut changes = Changes::default();
                decided(tx, account, &mut changes)?;
                Ok(changes)
            })
            .await?;
        engine.tell(changes).await;
        engine.outbox_wake.notify_one();
        engine.safety_view(account).await
    }

    /// The user takes a verification back: that person counts as not verified, and can be written to as such.
    pub async fn unverify(&self, account: &str) -> Result<SafetyNumberView, Error> {
        let (engine, account) = (&self.0, parse_account(account)?);
        let changes = engine
            .store
            .run(move |tx| {
                let mut changes = Changes::default();
                if verifications::remove(tx, account)? {
                    decided(tx, account, &mut changes)?;
                }
                Ok(changes)
            })
            .await?;
        engine.tell(changes).await;
        engine.outbox_wake.notify_one();
        engine.safety_view(account).await
    }
}

impl Engine {
    /// The number as the chains are known here.
    async fn number(&self, account: AccountId) -> Result<(SafetyNumber, Covered), Error> {
        let me = self.account;
        let covered = self.store.run(move |tx| self::covered(tx, me, account)).await?;
        let number = blocking(move || number_of(me, account, &covered)).await?;
        Ok((number, covered))
    }

    async fn safety_view(&self, account: AccountId) -> Result<SafetyNumberView, Error> {
        let me = self.account;
        let (covered, contact, safety, verified, broken) = self
            .store
            .run(move |tx| {
                let covered = self::covered(tx, me, account)?;
                let contact = contacts::load(tx, account)?.ok_or_else(|| not_found("no such contact"))?;
                let (verified, broken) =
                    (verifications::since(tx, account)?, verifications::trouble_since(tx, account)?);
                Ok((covered, contact, verifications::of(tx, account)?, verified, broken))
            })
            .await?;
        let number = blocking(move || number_of(me, account, &covered)).await?;
        Ok(SafetyNumberView {
            account_id: account.to_string(),
            name: contact.display_name.clone(),
            address: contact.address(),
            groups: number.groups(),
            payload: number.payload(),
            safety,
            verified_at: verified.map(|at| at as f64),
            broken_at: broken.map(|at| at as f64),
        })
    }

    /// The sides of everybody whom the user knows but this account.
    async fn fingerprints_but(&self, account: AccountId) -> Result<Vec<Fingerprint>, Error> {
        let others = self
            .store
            .run(move |tx| {
                let known = contacts::known(tx)?.into_iter().filter(|contact| contact.account != account);
                let chains = known.take(MOST_OTHERS).map(|contact| keys::chain(tx, contact.account));
                chains.collect::<Result<Vec<_>, _>>()
            })
            .await?;
        blocking(move || {
            let known = others.iter().flatten();
            known.map(|chain| Fingerprint::new(chain.account(), chain.account_key())).collect()
        })
        .await
    }

    /// Hands a result on. That a relay has shown a chain which does not go on from the one known of this account is noted first, and told.
    pub(super) async fn noting_doubt<T>(&self, account: AccountId, result: Result<T, Error>) -> Result<T, Error> {
        let Err(error) = &result else { return result };
        if error.code() != ErrorCode::ChainBroken {
            return result;
        }
        let (what, now) = (error.to_string(), self.now_ms());
        let changes = self
            .store
            .run(move |tx| {
                let mut changes = Changes::default();
                // Of somebody of whom nothing is known, nothing is in doubt: they are not made a contact.
                if keys::knows_chain(tx, account)? {
                    note_doubt(tx, account, &what, now, &mut changes)?;
                }
                Ok(changes)
            })
            .await?;
        self.tell(changes).await;
        result
    }

    /// The account's relay shows a chain that goes on from the known one; it has been stored, and what was compared judged by it.
    pub(super) async fn no_doubt(&self, account: AccountId) -> Result<(), Error> {
        let now = self.now_ms();
        let changes = self
            .store
            .run(move |tx| {
                let mut changes = Changes::default();
                let mut over = verifications::end_trouble(tx, account)?;
                for id in conversations::with(tx, account)? {
                    // As earlier versions kept it: with the conversation, for good.
                    let stale = conversations::load(tx, &id)?.problem();
                    if stale.is_some_and(|problem| problem.code == ErrorCode::ChainBroken) {
                        over |= conversations::set_problem(tx, &id, None)?;
                    }
                }
                if over {
                    decided(tx, account, &mut changes)?;
                }
                announce(tx, now, &mut changes)?;
                Ok(changes)
            })
            .await?;
        if !changes.conversations.is_empty() {
            self.tell(changes).await;
            self.outbox_wake.notify_one();
        }
        Ok(())
    }

    /// Asks again for the chains that were in doubt: a relay that was wrong may have been mended.
    pub(super) async fn look_again_at_doubts(&self) {
        let Ok(troubled) = self.store.run(verifications::troubled).await else { return };
        for account in troubled {
            match tokio::time::timeout(AGAIN, self.refresh_chain(account)).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a chain is still in doubt"),
                Err(_) => tracing::debug!("no answer about a chain in doubt"),
            }
        }
    }
}

/// Whose keys an item of the outbox depends on.
#[derive(Clone, Copy)]
pub(super) enum DependsOn {
    /// Those of everybody there: it says something.
    Everybody,
    /// Those of one who began anew and is to be let back in: where they had been verified, the user decides first.
    Returning(AccountId),
    /// Nobody's. A wish to leave and other changes of a group are what helps where somebody's keys are in doubt.
    Nobody,
}

impl DependsOn {
    pub(super) fn of(item: &Item) -> Self {
        match item.what {
            What::Message if matches!(AppMessage::decode(&item.content), Ok(AppMessage::Leave(_))) => Self::Nobody,
            What::Message => Self::Everybody,
            What::Change => match GroupChange::decode(&item.content) {
                Ok(GroupChange::Follow(account)) => Self::Returning(account),
                _ => Self::Nobody,
            },
        }
    }

    /// Why it waits, if it does.
    pub(super) fn waits(
        self,
        tx: &Transaction<'_>,
        me: AccountId,
        conversation: &Conversation,
    ) -> Result<Option<ErrorView>, Error> {
        Ok(match self {
            Self::Everybody => verifications::of_conversation(tx, me, &conversation.id)?,
            Self::Returning(account) => verifications::of(tx, account)?,
            Self::Nobody => return Ok(None),
        }
        .problem())
    }
}

/// Nothing is said where somebody's keys are in doubt.
pub(super) fn may_say(tx: &Transaction<'_>, me: AccountId, conversation: &Conversation) -> Result<(), Error> {
    match verifications::of_conversation(tx, me, &conversation.id)?.doubt() {
        Some(code) => Err(doubt(code)),
        None => Ok(()),
    }
}

impl Safety {
    /// What keeps anything from being said, if something does.
    fn doubt(self) -> Option<ErrorCode> {
        match self {
            Self::NotVerified | Self::Verified => None,
            Self::Ask => Some(ErrorCode::VerifyAgain),
            Self::Broken => Some(ErrorCode::KeysInDoubt),
        }
    }

    /// The same, as a conversation's problem.
    pub(crate) fn problem(self) -> Option<ErrorView> {
        self.doubt().map(|code| doubt(code).view())
    }
}

/// Something speaks against somebody's keys: nothing is said to them, and it is shown, once.
pub(super) fn note_doubt(
    tx: &Transaction<'_>,
    account: AccountId,
    what: &str,
    now: u64,
    changes: &mut Changes,
) -> Result<(), Error> {
    if verifications::note_trouble(tx, account, what, now)? {
        tracing::warn!(what, "a contact's keys are in doubt");
        touched(tx, account, changes)?;
        announce(tx, now, changes)?;
    }
    Ok(())
}

/// One quiet line in each conversation with whoever had been verified and is so no longer, once.
pub(super) fn announce(tx: &Transaction<'_>, now: u64, changes: &mut Changes) -> Result<(), Error> {
    for (account, safety) in verifications::untold(tx)? {
        let name = people::name(tx, &account::require(tx)?, account)?;
        let notice = match safety {
            Safety::Broken => Notice::KeysInDoubt { name },
            _ => Notice::VerifyAgain { name },
        };
        say_where_they_are(tx, account, now, &notice, changes)?;
        verifications::set_told(tx, account, safety)?;
    }
    Ok(())
}

/// A quiet line about somebody in each conversation with them.
pub(super) fn say_where_they_are(
    tx: &Transaction<'_>,
    account: AccountId,
    now: u64,
    notice: &Notice,
    changes: &mut Changes,
) -> Result<(), Error> {
    for id in conversations::with(tx, account)? {
        let conversation = conversations::load(tx, &id)?;
        if conversation.hidden || conversation.standing != Standing::Member {
            continue;
        }
        let line = started_line(&id, account, false, now, notice);
        messages::insert(tx, &line)?;
        changes.message(account, line.id, false);
    }
    touched(tx, account, changes)
}

/// What waited for the user, or for a relay, is tried at once.
fn decided(tx: &Transaction<'_>, account: AccountId, changes: &mut Changes) -> Result<(), Error> {
    outbox::release(tx, account)?;
    for id in conversations::with(tx, account)? {
        let returning = |item: &Item| matches!(DependsOn::of(item), DependsOn::Returning(who) if who == account);
        for item in outbox::changes(tx, &id)?.iter().filter(|item| returning(item)) {
            outbox::postpone(tx, item.n, 0)?;
        }
    }
    touched(tx, account, changes)
}

/// Everything that shows how somebody stands.
fn touched(tx: &Transaction<'_>, account: AccountId, changes: &mut Changes) -> Result<(), Error> {
    for id in conversations::with(tx, account)? {
        changes.conversation(id);
        changes.group(id);
    }
    Ok(())
}

/// The account keys in force, as the chains are known here.
fn covered(tx: &Transaction<'_>, me: AccountId, account: AccountId) -> Result<Covered, Error> {
    if account == me {
        return Err(not_found("no number with oneself"));
    }
    let own = keys::chain(tx, me)?.ok_or_else(|| not_found("no own chain"))?;
    let theirs = keys::chain(tx, account)?.ok_or_else(|| not_found("no chain for this account"))?;
    Ok(Covered { own: *own.account_key(), theirs: *theirs.account_key() })
}

fn number_of(me: AccountId, account: AccountId, covered: &Covered) -> SafetyNumber {
    SafetyNumber::new(Fingerprint::new(me, &covered.own), Fingerprint::new(account, &covered.theirs))
}

/// Thousands of hashes are too much for an async thread.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Error::new(ErrorCode::Internal, "a computation ended early"))
}

fn changed() -> Error {
    Error::new(ErrorCode::SafetyNumberDiffers, "the safety number is another one by now")
}

fn doubt(code: ErrorCode) -> Error {
    let detail = match code {
        ErrorCode::VerifyAgain => "somebody who was verified has begun anew",
        _ => "somebody's relay shows a chain that does not go on from the one known, or keeps back what its log has",
    };
    Error::new(code, detail)
}
