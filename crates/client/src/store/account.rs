//! The own account: one row.

use rusqlite::{OptionalExtension as _, Transaction, params};
use waxwing_protocol::{AccessKey, OwnProfile};
use waxwing_wire::{AccountId, DeviceId, RelayAddress, Username};
use zeroize::Zeroizing;

use super::bytes;
use crate::error::{Error, ErrorCode};

/// The own account as stored. Its keys are in the keystore.
#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) account: AccountId,
    pub(crate) device: DeviceId,
    pub(crate) username: Username,
    pub(crate) relay: RelayAddress,
    pub(crate) display_name: String,
    pub(crate) create_entry: Vec<u8>,
    pub(crate) invite_key: AccessKey,
    /// 1-based places of the two words that the user is asked for.
    pub(crate) phrase_places: (u32, u32),
    pub(crate) phrase_confirmed: bool,
    pub(crate) counter: u64,
}

pub(crate) fn insert(tx: &Transaction<'_>, account: &Account, phrase: &[u8; 32]) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO account (one, account, device, username, relay, display_name, create_entry, registered, invite_key,
                              phrase, phrase_first, phrase_second, inbox_cursor, counter)
         VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?8, ?9, ?10, 0, ?11)",
        params![
            account.account.as_bytes(),
            account.device.as_bytes(),
            account.username.as_str(),
            account.relay.to_string(),
            account.display_name,
            account.create_entry,
            account.invite_key.as_bytes(),
            phrase,
            account.phrase_places.0,
            account.phrase_places.1,
            account.counter,
        ],
    )?;
    tx.execute("INSERT INTO access_keys (key, registered) VALUES (?1, 0)", [account.invite_key.as_bytes()])?;
    Ok(())
}

/// The account, if there is one; the flag says whether a relay has accepted it.
pub(crate) fn load(tx: &Transaction<'_>) -> Result<Option<(Account, bool)>, Error> {
    let row = tx
        .query_row("SELECT *, phrase IS NULL AS confirmed FROM account", [], |row| {
            Ok((
                Account {
                    account: AccountId::from_bytes(bytes(row, "account")?),
                    device: DeviceId::from_bytes(bytes(row, "device")?),
                    username: text(row, "username")?,
                    relay: text(row, "relay")?,
                    display_name: row.get("display_name")?,
                    create_entry: row.get("create_entry")?,
                    invite_key: AccessKey::from_bytes(&bytes(row, "invite_key")?),
                    phrase_places: (row.get("phrase_first")?, row.get("phrase_second")?),
                    phrase_confirmed: row.get("confirmed")?,
                    counter: row.get("counter")?,
                },
                row.get("registered")?,
            ))
        })
        .optional()?;
    Ok(row)
}

/// The account of a registered profile.
pub(crate) fn require(tx: &Transaction<'_>) -> Result<Account, Error> {
    match load(tx)? {
        Some((account, true)) => Ok(account),
        _ => Err(Error::new(ErrorCode::NotRegistered, "no account in this profile")),
    }
}

pub(crate) fn set_registered(tx: &Transaction<'_>) -> Result<(), Error> {
    tx.execute("UPDATE account SET registered = 1", [])?;
    Ok(())
}

pub(crate) fn set_display_name(tx: &Transaction<'_>, name: &str) -> Result<(), Error> {
    tx.execute("UPDATE account SET display_name = ?1", [name])?;
    Ok(())
}

/// What the device that has brought this one into the account has handed over, in the place of what was made up here. The relay knows the invite link's key.
pub(crate) fn set_linked(tx: &Transaction<'_>, profile: &OwnProfile) -> Result<(), Error> {
    tx.execute("DELETE FROM access_keys WHERE key = (SELECT invite_key FROM account)", [])?;
    set_invite_key(tx, &profile.invite_key, profile.invite_ms)?;
    set_display_name(tx, &profile.display_name)?;
    set_name_ms(tx, profile.name_ms)
}

/// How another own device is met by now: of two decisions the later one holds, in whichever order they are heard, and of two at once one on all.
pub(crate) fn learn_profile(tx: &Transaction<'_>, profile: &OwnProfile) -> Result<(), Error> {
    let known = self::profile(tx)?;
    if (profile.name_ms, &profile.display_name) > (known.name_ms, &known.display_name) {
        set_display_name(tx, &profile.display_name)?;
        set_name_ms(tx, profile.name_ms)?;
    }
    let (told, own) = (profile.invite_key.as_bytes(), known.invite_key.as_bytes());
    if (profile.invite_ms, told) > (known.invite_ms, own) {
        dismiss_access_key(tx, &known.invite_key)?;
        set_invite_key(tx, &profile.invite_key, profile.invite_ms)?;
    }
    Ok(())
}

/// How the account is met.
pub(crate) fn profile(tx: &Transaction<'_>) -> Result<OwnProfile, Error> {
    let me = require(tx)?;
    let times = tx.query_row("SELECT name_ms, invite_ms FROM account", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (name_ms, invite_ms) = times;
    Ok(OwnProfile { display_name: me.display_name, name_ms, invite_key: me.invite_key, invite_ms })
}

/// The user has decided how to be called: later than what was decided before, whatever the clocks say.
pub(crate) fn decide_name(tx: &Transaction<'_>, name: &str, now_ms: u64) -> Result<(), Error> {
    let decide = "UPDATE account SET display_name = ?1, name_ms = max(?2, name_ms + 1)";
    tx.execute(decide, params![name, now_ms])?;
    Ok(())
}

fn set_name_ms(tx: &Transaction<'_>, at_ms: u64) -> Result<(), Error> {
    tx.execute("UPDATE account SET name_ms = ?1", [at_ms])?;
    Ok(())
}

fn set_invite_key(tx: &Transaction<'_>, key: &AccessKey, at_ms: u64) -> Result<(), Error> {
    tx.execute("INSERT OR REPLACE INTO access_keys (key, registered) VALUES (?1, 1)", [key.as_bytes()])?;
    tx.execute("UPDATE account SET invite_key = ?1, invite_ms = ?2", params![key.as_bytes(), at_ms])?;
    Ok(())
}

pub(crate) fn set_counter(tx: &Transaction<'_>, counter: u64) -> Result<(), Error> {
    tx.execute("UPDATE account SET counter = ?1", [counter])?;
    Ok(())
}

/// Entropy of the recovery phrase, until it is confirmed.
pub(crate) fn phrase(tx: &Transaction<'_>) -> Result<Option<Zeroizing<[u8; 32]>>, Error> {
    let entropy: Option<[u8; 32]> = tx.query_row("SELECT phrase FROM account", [], |row| row.get(0))?;
    Ok(entropy.map(Zeroizing::new))
}

/// The user has the phrase: this device forgets it.
pub(crate) fn erase_phrase(tx: &Transaction<'_>) -> Result<(), Error> {
    tx.execute("UPDATE account SET phrase = NULL", [])?;
    Ok(())
}

pub(crate) fn inbox_cursor(tx: &Transaction<'_>) -> Result<u64, Error> {
    Ok(tx.query_row("SELECT inbox_cursor FROM account", [], |row| row.get(0))?)
}

pub(crate) fn set_inbox_cursor(tx: &Transaction<'_>, seq: u64) -> Result<(), Error> {
    tx.execute("UPDATE account SET inbox_cursor = ?1", [seq])?;
    Ok(())
}

/// The invite link has another key; the relay is told later, of both.
pub(crate) fn renew_invite_key(tx: &Transaction<'_>, now_ms: u64) -> Result<(), Error> {
    let old = require(tx)?.invite_key;
    let new = AccessKey::generate(&mut crate::random::rng());
    dismiss_access_key(tx, &old)?;
    add_access_key(tx, &new)?;
    tx.execute(
        "UPDATE account SET invite_key = ?1, invite_ms = max(?2, invite_ms + 1)",
        params![new.as_bytes(), now_ms],
    )?;
    Ok(())
}

/// A key that admits others to the own inbox; told to the relay later.
pub(crate) fn add_access_key(tx: &Transaction<'_>, key: &AccessKey) -> Result<(), Error> {
    tx.execute("INSERT OR IGNORE INTO access_keys (key, registered) VALUES (?1, 0)", [key.as_bytes()])?;
    Ok(())
}

/// Keys that the relay does not know yet.
pub(crate) fn unregistered_access_keys(tx: &Transaction<'_>) -> Result<Vec<AccessKey>, Error> {
    let mut statement = tx.prepare_cached("SELECT key FROM access_keys WHERE registered = 0")?;
    let keys = statement.query_map([], |row| bytes(row, "key"))?;
    keys.map(|key| Ok(AccessKey::from_bytes(&key?))).collect()
}

/// A key admits nobody any more; told to the relay later.
pub(crate) fn dismiss_access_key(tx: &Transaction<'_>, key: &AccessKey) -> Result<(), Error> {
    tx.execute("UPDATE access_keys SET registered = 2 WHERE key = ?1", [key.as_bytes()])?;
    Ok(())
}

/// Keys that the relay is still to forget.
pub(crate) fn dismissed_access_keys(tx: &Transaction<'_>) -> Result<Vec<AccessKey>, Error> {
    let mut statement = tx.prepare_cached("SELECT key FROM access_keys WHERE registered = 2")?;
    let keys = statement.query_map([], |row| bytes(row, "key"))?;
    keys.map(|key| Ok(AccessKey::from_bytes(&key?))).collect()
}

/// The relay has forgotten it. One out of a backup may know it again.
pub(crate) fn access_key_dismissed(tx: &Transaction<'_>, key: &AccessKey) -> Result<(), Error> {
    super::restorations::note_forgotten(tx, key)?;
    tx.execute("DELETE FROM access_keys WHERE key = ?1 AND registered = 2", [key.as_bytes()])?;
    Ok(())
}

/// Which version of the device keys the key packages at the relay carry, and when they were made, by relay time.
pub(crate) fn packages(tx: &Transaction<'_>) -> Result<(u32, u64), Error> {
    Ok(tx.query_row("SELECT packages_version, packages_ms FROM account", [], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

pub(crate) fn set_packages(tx: &Transaction<'_>, version: u32, now_ms: u64) -> Result<(), Error> {
    tx.execute("UPDATE account SET packages_version = ?1, packages_ms = ?2", params![version, now_ms])?;
    Ok(())
}

pub(crate) fn access_key_registered(tx: &Transaction<'_>, key: &AccessKey) -> Result<(), Error> {
    tx.execute("UPDATE access_keys SET registered = 1 WHERE key = ?1 AND registered = 0", [key.as_bytes()])?;
    Ok(())
}

/// A text column that parses.
pub(super) fn text<T: std::str::FromStr>(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    text.parse().map_err(|_| {
        let index = row.as_ref().column_index(column).unwrap_or(0);
        rusqlite::Error::InvalidColumnType(index, column.to_owned(), rusqlite::types::Type::Text)
    })
}
