//! What a registration or a recovery has left in a profile that no relay has taken an account of yet.

use zeroize::Zeroizing;

use super::register::open_store;
use crate::error::{Error, ErrorCode};
use crate::keystore::{Keystore, Secrets};
use crate::profile::Profile;
use crate::store::Store;
use crate::store::account::{self, Account};

/// A profile with keys and a database, not yet accepted by a relay.
pub(super) struct Pending {
    pub(super) keystore: Keystore,
    pub(super) secrets: Secrets,
    pub(super) store: Store,
}

/// What was left behind in a profile without an account, if it still `stands`.
///
/// What does not is discarded, as the user no longer wants it; so is what a relay has refused, where its secrets are under another
/// passphrase than the one given now. What cannot be opened because its secrets are gone for good is moved aside. Any other trouble is
/// told and changes nothing: a relay may have accepted it.
pub(super) async fn left_behind(
    profile: &Profile,
    passphrase: Option<Zeroizing<String>>,
    stands: impl FnOnce(&Account) -> bool + Send + 'static,
) -> Result<Option<Pending>, Error> {
    let facts = profile.facts();
    let left = async {
        if facts.key_check.is_none() || !Store::exists(profile.dir()) {
            return Ok::<_, Error>(None);
        }
        if facts.passphrase != passphrase.is_some() {
            return Err(Error::new(ErrorCode::KeychainChanged, "the registration began with another keystore"));
        }
        let (keystore, secrets) = Keystore::open(profile, passphrase).await?;
        let store = open_store(profile, &secrets).await?;
        let same = store.run(move |tx| Ok(account::load(tx)?.is_some_and(|(account, _)| stands(&account)))).await?;
        Ok(same.then_some(Pending { keystore, secrets, store }))
    };
    match left.await {
        Ok(Some(pending)) => Ok(Some(pending)),
        Ok(None) => {
            Store::discard(profile.dir())?;
            Ok(None)
        }
        Err(error)
            if facts.refused && matches!(error.code(), ErrorCode::WrongPassphrase | ErrorCode::KeychainChanged) =>
        {
            Store::discard(profile.dir())?;
            Ok(None)
        }
        Err(error)
            if matches!(
                error.code(),
                ErrorCode::KeychainChanged | ErrorCode::KeychainWrong | ErrorCode::DatabaseDamaged
            ) =>
        {
            tracing::warn!(%error, "an interrupted registration is moved aside");
            Store::move_aside(profile.dir())?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
