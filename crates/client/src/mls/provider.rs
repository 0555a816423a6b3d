//! What OpenMLS is handed for one transaction: the cryptography, and the storage of that transaction.
//!
//! Not here: the cryptography (`waxwing_protocol::MlsCrypto`), what is stored (`storage`), what is done with groups.

use openmls_traits::OpenMlsProvider;
use rusqlite::Transaction;
use waxwing_protocol::MlsCrypto;

use super::storage::TxStorage;
use crate::random;

/// The cryptography on the operating system's random numbers.
pub(crate) type Crypto = MlsCrypto<random::Source>;

/// The provider of one transaction.
pub(crate) struct Provider<'a> {
    crypto: &'a Crypto,
    storage: TxStorage<'a>,
}

impl<'a> Provider<'a> {
    pub(crate) fn new(crypto: &'a Crypto, tx: &'a Transaction<'a>) -> Self {
        Self { crypto, storage: TxStorage::new(tx) }
    }
}

impl<'a> OpenMlsProvider for Provider<'a> {
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
