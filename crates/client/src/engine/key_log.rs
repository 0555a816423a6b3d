//! The history of keys, one's own and other people's; as a signed text, and the check of such a text; the check of the recovery phrase.
//!
//! Not here: the text's form (`waxwing_protocol::key_log`).

use std::collections::HashMap;

use waxwing_protocol::key_log::{self, KeyLogEntry, KeyLogError};
use waxwing_protocol::{PhraseError, RecoveryPhrase, fingerprint_text};
use waxwing_wire::chain::What;
use waxwing_wire::ids::to_hex;
use waxwing_wire::transparency::{Leaf, account_hash};
use waxwing_wire::{AccountId, VerifiedChain};
use zeroize::Zeroizing;

use super::entries::LATEST_MS;
use super::transparency::is_past_own_entries;
use super::{Client, Engine, not_found};
use crate::error::{Error, ErrorCode};
use crate::store::transparency::{self, Placed};
use crate::store::{account, contacts, unproved};
use crate::views::{KeyEvent, KeyHistoryItem, KeyLogView, PhraseCheck};

/// More than 24 words of the list, with any amount of space that somebody may have typed between them.
const LONGEST_PHRASE: usize = 4096;

impl Client {
    /// The chain of oneself or of somebody one shares a conversation with (an account id), newest first, as far as it is known here.
    pub async fn key_history(&self, account_id: &str) -> Result<Vec<KeyHistoryItem>, Error> {
        let account: AccountId = account_id.parse().map_err(|_| not_found("no such account"))?;
        let chain = self.0.chain(account).await?;
        let logged = self.0.logged(&chain).await?;
        Ok(history(&chain, &logged))
    }

    /// The own history as a text that this device signs, to be kept or compared elsewhere.
    pub async fn export_key_log(&self) -> Result<String, Error> {
        let engine = &self.0;
        // A rotation's last step puts chain and keys in force together.
        let _guard = engine.keys_guard.read().await;
        let (chain, keys) = (engine.chain(engine.account).await?, engine.keys());
        let text = key_log::write(&chain, &keys, engine.now_ms());
        text.ok_or_else(|| Error::new(ErrorCode::ChainBroken, "the keys in force are not in the own chain"))
    }

    /// Checks an exported text against the chain of whoever it is of: one's own, or that of somebody one shares a conversation with.
    pub async fn check_key_log(&self, text: &str) -> Result<KeyLogView, Error> {
        self.0.check_key_log(text).await
    }

    /// Whether these are the 24 words of this account. They are looked at and forgotten: nothing is stored, sent or logged.
    pub async fn check_phrase(&self, words: Zeroizing<String>) -> Result<PhraseCheck, Error> {
        if words.len() > LONGEST_PHRASE {
            let words = u32::try_from(words.split_whitespace().count()).unwrap_or(u32::MAX);
            return Ok(PhraseCheck::WordCount { words });
        }
        let phrase = match RecoveryPhrase::parse(&words) {
            Ok(phrase) => phrase,
            Err(PhraseError::WordCount(words)) => {
                return Ok(PhraseCheck::WordCount { words: u32::try_from(words).unwrap_or(u32::MAX) });
            }
            Err(PhraseError::UnknownWord { place }) => {
                return Ok(PhraseCheck::UnknownWord { place: u32::try_from(place).unwrap_or(u32::MAX) });
            }
            Err(PhraseError::Checksum) => return Ok(PhraseCheck::Checksum),
        };
        let chain = self.0.chain(self.0.account).await?;
        let right = phrase.recovery_key().public() == *chain.recovery_key();
        Ok(if right { PhraseCheck::Right } else { PhraseCheck::OtherAccount })
    }
}

impl Engine {
    async fn check_key_log(&self, text: &str) -> Result<KeyLogView, Error> {
        let account = key_log::claimed_account(text).map_err(told)?;
        let unknown = |_| Error::new(ErrorCode::KeyLogUnknown, "the key log is of nobody who is known here");
        let mut chain = self.chain(account).await.map_err(unknown)?;
        let mut checked = key_log::check(text, &chain);
        if matches!(checked, Err(KeyLogError::Longer(_))) && account != self.account {
            // They may have rotated since their relay was last asked.
            chain = self.refresh_chain(account).await?;
            checked = key_log::check(text, &chain);
        }
        let log = checked.map_err(told)?;
        let address = self
            .store
            .run(move |tx| {
                let me = account::require(tx)?;
                if me.account == account {
                    return Ok(format!("{}@{}", me.username, me.relay.authority()));
                }
                Ok(contacts::load(tx, account)?.map_or_else(String::new, |contact| contact.address()))
            })
            .await?;
        Ok(KeyLogView {
            account_id: account.to_string(),
            address,
            mine: account == self.account,
            entries: log.seq.saturating_add(1),
            newer: chain.seq().saturating_sub(log.seq),
            device_id: log.device.to_string(),
            version: log.key_version,
            exported: log.exported,
        })
    }
}

/// Whose fault it is: the text's form, or what it says.
fn told(error: KeyLogError) -> Error {
    let code = match error {
        KeyLogError::Format(_) => ErrorCode::NotAKeyLog,
        KeyLogError::TooNew => ErrorCode::UpdateNeeded,
        KeyLogError::Account
        | KeyLogError::Longer(_)
        | KeyLogError::Differs(_)
        | KeyLogError::Signer
        | KeyLogError::Signature => ErrorCode::KeyLogWrong,
    };
    Error::new(code, error.to_string())
}

/// What the log of a chain's relay says of the chain's entries, as far as it was read and proved. Where nothing was: nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Logged {
    /// Where the leaf of each entry stands that is there.
    places: HashMap<u32, u64>,
    /// The log was read past all entries before this one. Those from it on may still stand behind what was read.
    read_to: u32,
}

impl Logged {
    /// The place of an entry's leaf, if it is there.
    pub(super) fn place(&self, seq: u32) -> Option<u64> {
        self.places.get(&seq).copied()
    }

    /// Whether an entry is there; none as long as the log may hold it behind what was read.
    fn holds(&self, seq: u32) -> Option<bool> {
        if self.places.contains_key(&seq) { Some(true) } else { (seq < self.read_to).then_some(false) }
    }
}

impl Engine {
    /// See [`Logged`].
    pub(super) async fn logged(&self, chain: &VerifiedChain) -> Result<Logged, Error> {
        let (account, origin) = (chain.account(), chain.log_origin().to_owned());
        let (me, now) = (self.account, self.now_ms());
        let read = self.store.run(move |tx| {
            let Some(log) = transparency::load(tx, &origin)?.filter(|log| log.size() > 0) else { return Ok(None) };
            // One's own are on their way as long as the log was not signed since for certain, and others' as long as they wait to be looked up.
            let open_from = if account == me {
                (!is_past_own_entries(tx, &log, me, now)?).then_some(0)
            } else {
                unproved::waits_from(tx, account)?
            };
            Ok(Some((transparency::about(tx, &log, &account_hash(&account), 0)?, open_from)))
        });
        let Some((leaves, open_from)) = read.await? else { return Ok(Logged::default()) };
        let place = |placed: &Placed| match placed.leaf {
            Leaf::Chain { seq, entry_hash, .. } if chain.hash_at(seq) == Some(entry_hash) => Some((seq, placed.index)),
            _ => None,
        };
        let places: HashMap<_, _> = leaves.iter().filter_map(place).collect();
        // A relay takes one entry after the other: what comes before one that is there does not stand behind it.
        let behind_last = places.keys().max().map_or(0, |last| last.saturating_add(1));
        let read_to = open_from.map_or(chain.seq().saturating_add(1), |from| from.max(behind_last));
        Ok(Logged { places, read_to })
    }
}

/// A chain as it is shown, the newest entry first.
pub(super) fn history(chain: &VerifiedChain, logged: &Logged) -> Vec<KeyHistoryItem> {
    key_log::entries(chain).rev().map(|entry| history_item(&entry, logged)).collect()
}

/// One entry of a chain, as it is shown.
fn history_item(entry: &KeyLogEntry<'_>, logged: &Logged) -> KeyHistoryItem {
    let (what, revoked, new_phrase) = match entry.what {
        What::Created(_) => (KeyEvent::Created, &[][..], false),
        What::DeviceAdded(_) => (KeyEvent::DeviceAdded, &[][..], false),
        What::DeviceKeysRotated(..) => (KeyEvent::Rotated, &[][..], false),
        What::AccountKeyRotated(revoked) => (KeyEvent::AccountKeyRotated, revoked.as_slice(), false),
        What::Recovered { new_phrase, .. } => (KeyEvent::Recovered, &[][..], *new_phrase),
        What::Closed => (KeyEvent::Closed, &[][..], false),
    };
    KeyHistoryItem {
        seq: entry.seq,
        what,
        device_id: entry.device.map(|device| device.to_string()),
        version: entry.key_version,
        at: entry.at_ms.min(LATEST_MS) as f64,
        fingerprint: entry.keys.as_ref().map(fingerprint_text),
        account_fingerprint: entry.account_key.as_ref().map(fingerprint_text),
        revoked: revoked.iter().map(ToString::to_string).collect(),
        new_phrase,
        hash: to_hex(&entry.hash),
        log_index: logged.place(entry.seq).and_then(|index| u32::try_from(index).ok()),
        proved: logged.holds(entry.seq),
    }
}
