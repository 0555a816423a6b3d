//! Starting the engine of an account that exists: keystore and database are opened, the rollback counter is raised, and what broke off in a way
//! that leaves no engine to run is taken to its end.
//!
//! Not here: what an engine is made of (`register::run`), and what it takes up again by itself (`sync`).

use std::time::Duration;

use zeroize::Zeroizing;

use super::Client;
use super::closing::{erase_left, finish_stored_closing};
use super::recover_here::finish_stored_recovery;
use super::register::{key_check, open_store, run};
use crate::error::{Error, ErrorCode};
use crate::keystore::{Keystore, Secrets};
use crate::profile::{Profile, ProfileState};
use crate::store::{Store, account};

/// Longest that a start waits for the relay to say what became of an own act that broke off.
pub(super) const AT_THE_START: Duration = Duration::from_secs(5);

impl Client {
    /// Opens the profile's keystore and database and starts the engine. The relay need not be in reach.
    ///
    /// [`ErrorCode::NotRegistered`] where there is no account, or there is none any more: its closing broke off, and is done now. Where only the
    /// secrets of a closed account could not be erased, that error ([`Client::finish_closing`]): the profile is without an account all the same.
    pub async fn start(profile: &Profile, passphrase: Option<Zeroizing<String>>) -> Result<Self, Error> {
        let closed = || Error::new(ErrorCode::NotRegistered, "no account in this profile");
        if profile.state() == ProfileState::Fresh {
            Self::finish_closing(profile).await?;
            return Err(closed());
        }
        erase_left(profile).await;
        let (keystore, mut secrets) = Keystore::open(profile, passphrase).await?;
        if profile.facts().key_check.is_some_and(|check| check != key_check(&secrets.database_key)) {
            return Err(Error::new(ErrorCode::KeychainWrong, "keystore: the key is not this database's"));
        }
        let store = open_store(profile, &secrets).await?;
        raise_counter(&keystore, &mut secrets, &store).await?;
        let secrets = finish_stored_recovery(profile, &keystore, secrets, &store).await?;
        if finish_stored_closing(profile, &store).await? {
            store.close().await?;
            Self::finish_closing(profile).await?;
            return Err(closed());
        }
        let client = run(profile, keystore, secrets, store).await?;
        client.0.begin_lone_groups().await;
        Ok(client)
    }
}

/// Raises the rollback counter (design section 8): the keystore up to the database, then the database, then the keystore. In an older
/// copy of the database every group is marked.
async fn raise_counter(keystore: &Keystore, secrets: &mut Secrets, store: &Store) -> Result<(), Error> {
    let stored = store.run(|tx| Ok(account::require(tx)?.counter)).await?;
    let rolled_back = stored != secrets.counter && stored != secrets.counter.saturating_add(1);
    if rolled_back {
        tracing::warn!("the database is not the one that was last open: it was restored from a copy");
    }
    if secrets.counter < stored {
        secrets.counter = stored;
        keystore.write(secrets).await?;
    }
    let next = secrets.counter.saturating_add(1);
    // In one transaction: a crash between the two would leave an older database that nobody knows to be one.
    let raised = store.run(move |tx| {
        if rolled_back {
            crate::store::logs::set_rolled_back(tx)?;
            // What own devices have said since is gone from the inbox.
            crate::store::own_entries::may_have_missed(tx)?;
        }
        account::set_counter(tx, next)
    });
    raised.await?;
    secrets.counter = next;
    keystore.write(secrets).await?;
    Ok(())
}
