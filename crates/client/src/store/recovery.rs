//! Recovery in place: its journal, and what a profile keeps when another device takes the place of the one it had. Messages, contacts,
//! verifications and settings stay; everything that belongs to the old device goes.

use rusqlite::{OptionalExtension as _, Transaction, params};
use waxwing_protocol::DeviceSeeds;
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{AccountId, DeviceId};
use zeroize::Zeroizing;

use super::conversations::ConversationId;
use super::{bytes, keys, own_shown, transparency};
use crate::error::Error;

/// A recovery under way: the keys that come, and the chain entry that states them.
pub(crate) struct Recovery {
    pub(crate) device: DeviceId,
    pub(crate) account_seed: Zeroizing<[u8; 32]>,
    pub(crate) device_seeds: DeviceSeeds,
    pub(crate) entry: Vec<u8>,
}

/// Stores the journal, in the place of one that came to nothing. Whoever recovers wants the account, and closes it no more.
pub(crate) fn begin(tx: &Transaction<'_>, recovery: &Recovery) -> Result<(), Error> {
    super::closing::forget(tx)?;
    tx.execute(
        "INSERT OR REPLACE INTO recovery (one, device, account_seed, device_seeds, entry) VALUES (1, ?1, ?2, ?3, ?4)",
        params![
            recovery.device.as_bytes(),
            recovery.account_seed.as_slice(),
            recovery.device_seeds.to_bytes().as_slice(),
            recovery.entry
        ],
    )?;
    Ok(())
}

pub(crate) fn load(tx: &Transaction<'_>) -> Result<Option<Recovery>, Error> {
    Ok(tx
        .query_row("SELECT device, account_seed, device_seeds, entry FROM recovery", [], |row| {
            let seeds = Zeroizing::new(bytes::<160>(row, "device_seeds")?);
            Ok(Recovery {
                device: DeviceId::from_bytes(bytes(row, "device")?),
                account_seed: Zeroizing::new(bytes(row, "account_seed")?),
                device_seeds: DeviceSeeds::from_bytes(&seeds),
                entry: row.get("entry")?,
            })
        })
        .optional()?)
}

/// It came to nothing: the chain went another way.
pub(crate) fn forget(tx: &Transaction<'_>) -> Result<(), Error> {
    tx.execute("DELETE FROM recovery", [])?;
    Ok(())
}

/// The profile is the new device's. Gives the conversations that wait to be let back into their groups by whoever is in them; the own
/// group goes where nobody else was in it, and is made anew with the next words.
pub(crate) fn take_over(
    tx: &Transaction<'_>,
    me: AccountId,
    device: DeviceId,
    now_ms: u64,
) -> Result<Vec<ConversationId>, Error> {
    // What stands in the chain behind which this device has recovered is dealt with. Everything else stays true: the own name given to somebody
    // else, and entries that no chain has.
    let chain = keys::chain(tx, me)?;
    transparency::forget_alarms(tx, |seq, hash| chain.as_ref().is_some_and(|chain| chain.hash_at(seq) == Some(hash)))?;
    // What was shown in conversations alone was signed with keys that are out of force now.
    transparency::forget_shown_alarms(tx)?;
    own_shown::forget(tx)?;
    // Before the deliveries go: whoever has not been told of the group cannot let anybody into it.
    tx.execute(
        "DELETE FROM logs WHERE (active = 0 AND resync_nonce IS NULL) OR created = 0
             OR conversation NOT IN (SELECT conversation FROM people WHERE devices > 0 AND account != ?1)
             OR (conversation IN (SELECT conversation FROM deliveries WHERE kind = ?2)
                 AND conversation IN (SELECT id FROM conversations WHERE kind = 0))",
        params![me.as_bytes(), EnvelopeKind::Welcome as i64],
    )?;
    tx.execute(
        "UPDATE logs SET active = 0, trouble = 0, spoiler = NULL, resync_nonce = randomblob(16), resync_ms = ?1",
        [now_ms],
    )?;
    tx.execute_batch(
        "DELETE FROM mls_state; DELETE FROM retired_packages; DELETE FROM old_sealing_keys; DELETE FROM old_device_keys;
         DELETE FROM rotation; DELETE FROM account_change; DELETE FROM rotation_wanted;
         DELETE FROM deliveries; DELETE FROM waiting_welcomes; DELETE FROM lost_welcomes; DELETE FROM log_devices;
         DELETE FROM sealed_to_erased; DELETE FROM closing;
         UPDATE key_schedule SET version = 0, since_ms = 0, last_version = 0, last_ms = 0, last_scheduled = 0,
             account_seq = 0, account_ms = 0, account_shut_out = 0;
         UPDATE access_keys SET registered = 0 WHERE registered = 1;
         UPDATE access_keys SET registered = 2 WHERE key IN (SELECT key FROM group_links);
         DELETE FROM group_links;
         UPDATE messages SET placed = 1 WHERE placed = 0 AND id IN (SELECT message FROM outbox WHERE accepted > 0);
         UPDATE conversations SET standing = 2 WHERE standing = 4;
         DELETE FROM outbox WHERE what = 1 OR accepted > 0;
         UPDATE outbox SET log = NULL, entry_id = NULL, after = NULL, blob = NULL, digest = NULL, secret = NULL, welcome = NULL,
             not_before_ms = 0;
         DELETE FROM recovery;",
    )?;
    tx.execute(
        "UPDATE account SET device = ?1, inbox_cursor = 0, packages_version = 0, phrase = NULL",
        [device.as_bytes()],
    )?;
    let mut statement = tx.prepare("SELECT DISTINCT conversation FROM logs")?;
    let waiting = statement.query_map([], |row| row.get(0))?;
    Ok(waiting.collect::<rusqlite::Result<_>>()?)
}
