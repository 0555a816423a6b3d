//! Schedules: several devices on one relay, all in memory, in whatever order the dice give, with crashes and a relay that loses,
//! delays, repeats and reorders.
//!
//! The engine's own transactions run here (`entries::take`, `sealing::seal_item`, `join::join`, the store); what lies between them, the
//! requests to a relay, is repeated in [`sync`], [`flush`], [`inbox`] and [`rotate`] without tasks, locks and sleeping, line for line
//! where it decides anything. A crash drops all that is in memory, at any point between two commits or requests, or undoes the
//! transaction at hand.
//!
//! Not here: the relay's storage, HTTP and its tokens of accounts (`crates/relay`), real engines on a real relay (`tests/`).

mod abroad;
mod account_changes;
mod act;
mod ahead;
mod alarms;
mod answers;
mod back_in;
mod check;
mod device;
mod dice;
mod doubts;
mod erased;
mod events;
mod evidence;
mod extremes;
mod faults;
mod flush;
mod forge;
mod full;
mod garbage;
mod given_up;
mod gossip;
mod held_words;
mod inbox;
mod intruders;
mod key_packages;
mod lagging;
mod ledger;
mod liar;
mod lockouts;
mod lone;
mod long_chains;
mod looked_up;
mod made_up;
mod malice;
mod malice_commits;
mod no_room;
mod no_way;
mod not_followed;
mod older_copies;
mod out_of_step;
mod own_devices;
mod own_news;
mod plunder;
mod poisoned;
mod reasons;
mod recovered;
mod relay;
mod renewals;
mod restored;
mod rotate;
mod rotations;
mod safety;
mod same_ids;
mod schedules;
mod second_answers;
mod secrecy;
mod shell;
mod shown_alone;
mod shown_and_logged;
mod slow_logs;
mod small_relay;
mod snapshot;
mod stale;
mod strange_logs;
mod sync;
mod thieves;
mod two_devices;
mod two_engines;
mod unsealable;
mod welcomes;
mod world;
mod wrong_keys;

use crate::error::Error;

/// Why a device stopped in the midst of something.
#[derive(Debug)]
enum Halt {
    /// It is down; what was committed is there at the next start.
    Crash,
    /// The relay did not answer. The request may have arrived.
    Away,
    /// The engine says so itself.
    Trouble(Error),
}

type Step<T> = Result<T, Halt>;

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Trouble(error)
    }
}

impl From<rusqlite::Error> for Halt {
    fn from(error: rusqlite::Error) -> Self {
        Self::Trouble(error.into())
    }
}
