//! Statements: chain entries with all their signatures (design section 4).
//!
//! Not here: checking a chain (`waxwing_wire::VerifiedChain`), who may state what.

use ed25519_dalek::{Signer as _, SigningKey};
use waxwing_wire::chain::{Create, Statement, UnsignedEntry};
use waxwing_wire::{AccountId, ChainEntry, Username, VerifiedChain, signing_input};

use crate::account_key::AccountKey;
use crate::device_keys::DeviceKeys;
use crate::recovery_key::RecoveryKey;

/// The first entry of a chain: the account exists, with its first device, whose keys must be of version 1.
///
/// `log_origin` is the relay's `host[:port]`; `name` is absent for a private account; `at_ms` is milliseconds since the
/// Unix epoch. Signed by the account key, the recovery key and the device's three Ed25519 keys.
#[must_use]
pub fn create(
    account: AccountId,
    log_origin: &str,
    name: Option<Username>,
    account_key: &AccountKey,
    recovery_key: &RecoveryKey,
    device: &DeviceKeys,
    at_ms: u64,
) -> ChainEntry {
    let create = Create {
        log_origin: log_origin.to_owned(),
        name,
        recovery_key: recovery_key.public(),
        account_key: account_key.public(),
        device: device.record().clone(),
    };
    let statement = Statement::Create(Box::new(create));
    let unsigned = UnsignedEntry { account, seq: 0, prev_hash: [0; 32], statement, at_ms };
    let message = unsigned.encode();
    let mut signatures =
        vec![account_key.sign("chain account", &message), recovery_key.sign("chain recovery", &message)];
    signatures.extend(possessions(device, &message));
    unsigned.assemble(signatures)
}

/// The next entry of `chain`: the device of `new` has new keys.
///
/// Valid if `account_key` is the one in force, the device is in the chain, and `new` is one version above its current one
/// with every key replaced: [`VerifiedChain::extend`] checks. Signed by the account key and the three new Ed25519 keys.
#[must_use]
pub fn rotate_device_keys(chain: &VerifiedChain, account_key: &AccountKey, new: &DeviceKeys, at_ms: u64) -> ChainEntry {
    let statement = Statement::RotateDeviceKeys(Box::new(new.record().clone()));
    let unsigned = UnsignedEntry {
        account: chain.account(),
        seq: chain.seq().saturating_add(1),
        prev_hash: chain.head(),
        statement,
        at_ms,
    };
    let message = unsigned.encode();
    let mut signatures = vec![account_key.sign("chain account", &message)];
    signatures.extend(possessions(new, &message));
    unsigned.assemble(signatures)
}

/// Each Ed25519 device key proves that its holder made the entry, in its own context.
fn possessions(device: &DeviceKeys, message: &[u8]) -> [[u8; 64]; 3] {
    let sign =
        |(context, _): (&'static str, _), key: &SigningKey| key.sign(&signing_input(context, message)).to_bytes();
    let [relay_auth, signing, mls] = device.record().possession_keys();
    [sign(relay_auth, device.relay_auth()), sign(signing, device.signing()), sign(mls, device.mls())]
}
