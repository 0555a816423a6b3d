//! OpenMLS on our cryptography and our storage: the client's own file, over an SQLite database in memory.

use openmls_traits::OpenMlsProvider;
use rusqlite::Connection;

use crate::provider::{Crypto, crypto};
use crate::storage::{SCHEMA, TxStorage};

/// A member's database.
#[derive(Debug)]
pub struct Database {
    db: Connection,
    crypto: Crypto,
}

impl Database {
    /// An empty one. The seed is that of the cryptography.
    ///
    /// # Panics
    ///
    /// If SQLite gives none.
    #[must_use]
    pub fn new(seed: u8) -> Self {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(SCHEMA).unwrap();
        Self { db, crypto: crypto(seed) }
    }

    /// One transaction, which is committed.
    ///
    /// # Panics
    ///
    /// If it cannot be.
    pub fn transaction<T>(&mut self, work: impl FnOnce(&InTransaction<'_>) -> T) -> T {
        let tx = self.db.transaction().unwrap();
        let result = work(&InTransaction { crypto: &self.crypto, storage: TxStorage::new(&tx) });
        tx.commit().unwrap();
        result
    }
}

/// What OpenMLS is called with in one transaction.
#[allow(missing_debug_implementations)]
pub struct InTransaction<'a> {
    crypto: &'a Crypto,
    storage: TxStorage<'a>,
}

impl<'a> OpenMlsProvider for InTransaction<'a> {
    type CryptoProvider = Crypto;
    type RandProvider = Crypto;
    type StorageProvider = TxStorage<'a>;

    fn storage(&self) -> &TxStorage<'a> {
        &self.storage
    }

    fn crypto(&self) -> &Crypto {
        self.crypto
    }

    fn rand(&self) -> &Crypto {
        self.crypto
    }
}
