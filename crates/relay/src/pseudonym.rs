//! Names for accounts that last a day and tell a thief of the database nothing.
//!
//! The relay has to notice that one account claims key packages of another again and again, and must not keep a list of who wanted to write
//! to whom. What it keeps is a hash under a key that is in memory alone, for a day: without the key nobody can try accounts until one
//! fits, not even the relay itself on the next day. After a restart the names are new ones, so a claimer's own allowance starts again;
//! that of all strangers together is counted without names, outlives the restart, and stays the bound.

use std::sync::{Mutex, PoisonError};

use waxwing_wire::problem::ProblemCode;
use waxwing_wire::{AccountId, hash, label};
use zeroize::Zeroizing;

use crate::error::Refusal;
use crate::state::now;

const SECONDS_OF_A_DAY: u64 = 86_400;

/// The key of the day.
#[derive(Default)]
pub(crate) struct Pseudonyms {
    today: Mutex<Option<Today>>,
}

struct Today {
    day: u64,
    key: Zeroizing<[u8; 32]>,
}

impl Pseudonyms {
    /// What `account` is called today in the eyes of `other`: elsewhere it has another name.
    pub(crate) fn of(&self, account: AccountId, other: AccountId) -> Result<[u8; 32], Refusal> {
        self.on(now().as_secs() / SECONDS_OF_A_DAY, account, other)
    }

    /// What `subject` is called today in the audit log; none if the system gives no randomness.
    pub(crate) fn in_audit(&self, subject: &[u8]) -> Option<[u8; 8]> {
        let name =
            self.keyed(now().as_secs() / SECONDS_OF_A_DAY, |key| hash(&[&label("relay audit"), key, subject])).ok()?;
        name.first_chunk().copied()
    }

    fn on(&self, day: u64, account: AccountId, other: AccountId) -> Result<[u8; 32], Refusal> {
        self.keyed(day, |key| hash(&[&label("relay pseudonym"), key, account.as_bytes(), other.as_bytes()]))
    }

    fn keyed(&self, day: u64, name: impl FnOnce(&[u8]) -> [u8; 32]) -> Result<[u8; 32], Refusal> {
        let mut today = self.today.lock().unwrap_or_else(PoisonError::into_inner);
        let key = match &mut *today {
            Some(Today { day: of, key }) if *of == day => key,
            outdated => {
                let mut key = Zeroizing::new([0; 32]);
                getrandom::fill(key.as_mut()).map_err(|_| ProblemCode::Unavailable)?;
                &mut outdated.insert(Today { day, key }).key
            }
        };
        Ok(name(key.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_for_one_day_one_other_and_one_run() {
        let [alice, bob, carol] = [1, 2, 3].map(|byte| AccountId::from_bytes([byte; 16]));
        let names = Pseudonyms::default();
        let name = names.on(1, alice, bob).unwrap();
        assert_eq!(names.on(1, alice, bob), Ok(name));
        assert_ne!(names.on(1, alice, carol), Ok(name));
        assert_ne!(names.on(1, bob, alice), Ok(name));
        assert_ne!(Pseudonyms::default().on(1, alice, bob), Ok(name));
        assert_ne!(names.on(2, alice, bob), Ok(name));
        // The key is gone, not only another one.
        assert_ne!(names.on(1, alice, bob), Ok(name));
    }
}
