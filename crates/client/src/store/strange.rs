//! Logs of relays at which the user knows nobody: how much of them is kept, and until when. Not here: what is read of a log (`engine`).

use std::collections::HashMap;

use rusqlite::{Transaction, params};
use waxwing_wire::transparency::Frontier;
use waxwing_wire::{AccountId, RelayAddress};

use super::account::text;
use super::{contacts, uncompared};
use crate::error::Error;

/// What the user has to do with a relay, other than the own one. The nearest comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ties {
    /// Nothing: nobody there, or only people who were blocked or whose requests were declined.
    None,
    /// Somebody there asks to talk, or is in a group that one was asked into.
    Asked,
    /// Somebody there is in a conversation that one takes part in, or wants to, or is to be let into one.
    Member,
    /// A contact.
    Known,
}

/// To all relays at which anybody is, by `host[:port]`. `coming`: who is to be let into a group, and in none yet.
pub(crate) fn ties(tx: &Transaction<'_>, coming: &[AccountId]) -> Result<HashMap<String, Ties>, Error> {
    let mut ties = HashMap::new();
    let mut note = |relay: &RelayAddress, with: Ties| {
        let known = ties.entry(relay.authority()).or_insert(with);
        *known = (*known).max(with);
    };
    for contact in contacts::known(tx)? {
        note(&contact.relay, Ties::Known);
    }
    for account in coming {
        if let Some(contact) = contacts::load(tx, *account)?.filter(|contact| !contact.blocked) {
            note(&contact.relay, Ties::Member);
        }
    }
    // A request that was deleted is declined.
    for (which, with) in [("standing IN (0, 4)", Ties::Member), ("standing = 1 AND hidden = 0", Ties::Asked)] {
        let mut statement = tx.prepare_cached(&format!(
            "SELECT DISTINCT relay FROM contacts WHERE blocked = 0 AND account IN (
                 SELECT people.account FROM people JOIN conversations ON id = conversation WHERE {which}
                 UNION SELECT account FROM conversations WHERE {which})"
        ))?;
        let rows = statement.query_map([], |row| text::<RelayAddress>(row, "relay"))?;
        for relay in rows {
            note(&relay?, with);
        }
    }
    Ok(ties)
}

/// How many leaves are kept of each log, by relay.
pub(crate) fn kept(tx: &Transaction<'_>) -> Result<Vec<(String, u64)>, Error> {
    let mut statement = tx.prepare_cached(
        "SELECT origin, (SELECT coalesce(max(place) + 1, 0) FROM transparency_leaves WHERE log = n) FROM transparency_logs",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Forgets what was read of a log. Its key stays pinned where anybody has ever been met there or anything speaks against it, and so does that.
pub(crate) fn forget(tx: &Transaction<'_>, relay: &str) -> Result<(), Error> {
    let n: i64 = tx.query_row("SELECT n FROM transparency_logs WHERE origin = ?1", [relay], |row| row.get(0))?;
    tx.execute("DELETE FROM transparency_leaves WHERE log = ?1", [n])?;
    tx.execute("DELETE FROM transparency_edges WHERE log = ?1", [n])?;
    tx.execute(
        "UPDATE transparency_logs SET read_edge = ?2, proved_edge = ?2, proved = NULL, since_ms = 0, looked = 0 WHERE n = ?1",
        params![n, Frontier::new().encode()],
    )?;
    // It would be read again for them.
    uncompared::forget(tx, relay)?;
    let met = contacts::all(tx)?.iter().any(|contact| contact.relay.authority() == relay);
    let told = tx
        .prepare_cached(
            "SELECT 1 FROM transparency_evidence WHERE origin = ?1 UNION SELECT 1 FROM transparency_restorations WHERE relay = ?1",
        )?
        .exists([relay])?;
    if !met && !told {
        tx.execute("DELETE FROM transparency_dropped WHERE log = ?1", [n])?;
        tx.execute("DELETE FROM transparency_logs WHERE n = ?1", [n])?;
    }
    Ok(())
}
