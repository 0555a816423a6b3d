//! A further device for the account: the code that this device has made, what was asked with it, and how far adding it has got. Not here: what other
//! devices say that they do (`own_entries`).

use rusqlite::{OptionalExtension as _, Transaction, params};
use waxwing_protocol::LinkSecret;
use zeroize::Zeroizing;

use super::bytes;
use crate::error::{Error, ErrorCode};

/// How far it has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// A code was made.
    Offered,
    /// A device has asked with it: `entry` is what it asks for, without the account key's signature.
    Asked,
    /// The user has agreed: `entry` is to be stated.
    Agreed,
    /// The relay has taken `entry`: the device is to be given what it needs.
    Stated,
}

/// See the module.
pub(crate) struct Link {
    pub(crate) secret: LinkSecret,
    /// Until when it can be asked with, by relay time.
    pub(crate) until_ms: u64,
    pub(crate) stage: Stage,
    pub(crate) entry: Vec<u8>,
}

impl Stage {
    const ALL: [Self; 4] = [Self::Offered, Self::Asked, Self::Agreed, Self::Stated];

    /// Whether the user has agreed: it goes on by itself.
    pub(crate) fn goes_on(self) -> bool {
        matches!(self, Self::Agreed | Self::Stated)
    }
}

/// A new code, in the place of one that nothing has come of yet.
pub(crate) fn offer(tx: &Transaction<'_>, secret: &LinkSecret, until_ms: u64) -> Result<(), Error> {
    tx.execute(
        "INSERT OR REPLACE INTO device_link (one, secret, until_ms, stage, entry) VALUES (1, ?1, ?2, 0, x'')",
        params![secret.as_bytes(), until_ms],
    )?;
    Ok(())
}

pub(crate) fn load(tx: &Transaction<'_>) -> Result<Option<Link>, Error> {
    let row = tx
        .prepare_cached("SELECT * FROM device_link")?
        .query_row([], |row| {
            let secret = Zeroizing::new(bytes::<16>(row, "secret")?);
            let stage: usize = row.get("stage")?;
            Ok((LinkSecret::from_bytes(&secret), row.get("until_ms")?, stage, row.get("entry")?))
        })
        .optional()?;
    let Some((secret, until_ms, stage, entry)) = row else { return Ok(None) };
    let stage = Stage::ALL.get(stage).ok_or_else(|| Error::new(ErrorCode::Internal, "a stage of linking"))?;
    Ok(Some(Link { secret, until_ms, stage: *stage, entry }))
}

/// The entry that is being stated, if one is.
pub(crate) fn under_way(tx: &Transaction<'_>) -> Result<Option<Vec<u8>>, Error> {
    Ok(load(tx)?.filter(|link| link.stage == Stage::Agreed).map(|link| link.entry))
}

/// It has got this far, with this entry.
pub(crate) fn reach(tx: &Transaction<'_>, stage: Stage, entry: &[u8]) -> Result<(), Error> {
    let stage = Stage::ALL.iter().position(|one| *one == stage);
    tx.execute("UPDATE device_link SET stage = ?1, entry = ?2", params![stage, entry])?;
    Ok(())
}

/// Forgets a code whose time is over. True if there was one.
pub(crate) fn expire(tx: &Transaction<'_>, now_ms: u64) -> Result<bool, Error> {
    Ok(tx.execute("DELETE FROM device_link WHERE stage < 2 AND until_ms < ?1", [now_ms])? > 0)
}

/// It is done, or nothing comes of it.
pub(crate) fn end(tx: &Transaction<'_>) -> Result<(), Error> {
    tx.execute("DELETE FROM device_link", [])?;
    Ok(())
}
