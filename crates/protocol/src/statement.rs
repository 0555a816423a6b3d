//! Statements: chain entries with all their signatures (design section 4).
//!
//! Not here: checking a chain (`waxwing_wire::VerifiedChain`), who may state what.

use ed25519_dalek::{Signer as _, SigningKey};
use waxwing_wire::chain::{Create, Recover, RotateAccountKey, Statement, UnsignedEntry};
use waxwing_wire::{AccountId, ChainEntry, DeviceId, Username, VerifiedChain, signing_input};

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
    device_statement(chain, account_key, Statement::RotateDeviceKeys(Box::new(new.record().clone())), new, at_ms)
}

/// The next entry of `chain`: a further device, whose keys must be of version 1.
///
/// Signed by the account key in force and the device's three Ed25519 keys.
#[must_use]
pub fn add_device(chain: &VerifiedChain, account_key: &AccountKey, device: &DeviceKeys, at_ms: u64) -> ChainEntry {
    device_statement(chain, account_key, Statement::AddDevice(Box::new(device.record().clone())), device, at_ms)
}

/// What the new device of [`add_device`] makes of it by itself: the entry behind the one of this place and hash, with zeros where the account key
/// is to sign. [`grant`] adds that.
#[must_use]
pub fn ask_to_be_added(
    account: AccountId,
    (seq, prev_hash): (u32, [u8; 32]),
    device: &DeviceKeys,
    at_ms: u64,
) -> ChainEntry {
    let statement = Statement::AddDevice(Box::new(device.record().clone()));
    let unsigned = UnsignedEntry { account, seq: seq.saturating_add(1), prev_hash, statement, at_ms };
    let mut signatures = vec![[0; 64]];
    signatures.extend(possessions(device, &unsigned.encode()));
    unsigned.assemble(signatures)
}

/// The same entry with the account key's signature in the first place. Whether it follows a chain, and the device has signed it, is checked by
/// [`VerifiedChain::extend`].
#[must_use]
pub fn grant(asked: &ChainEntry, account_key: &AccountKey) -> ChainEntry {
    asked.signed_first(account_key.sign("chain account", &asked.unsigned.encode()))
}

/// The next entry of `chain`: another account key, and devices that are in force no longer.
///
/// Signed by the account key in force and by the new one. At least one device must stay.
#[must_use]
pub fn rotate_account_key(
    chain: &VerifiedChain,
    account_key: &AccountKey,
    new: &AccountKey,
    revoked: &[DeviceId],
    at_ms: u64,
) -> ChainEntry {
    let mut revoked = revoked.to_vec();
    revoked.sort_by_key(|device| *device.as_bytes());
    revoked.dedup();
    let statement = Statement::RotateAccountKey(RotateAccountKey { account_key: new.public(), revoked });
    let unsigned = next(chain, statement, at_ms);
    let message = unsigned.encode();
    let signatures = vec![account_key.sign("chain account", &message), new.sign("chain new account", &message)];
    unsigned.assemble(signatures)
}

/// What the recovery phrase puts in the place of everything before.
#[derive(Debug)]
pub struct NewKeys<'a> {
    /// The recovery key from then on: the same as before, or a new one.
    pub recovery_key: &'a RecoveryKey,
    /// The new account key.
    pub account_key: &'a AccountKey,
    /// The one device in force from then on; its keys must be of version 1, its id new.
    pub device: &'a DeviceKeys,
}

/// The next entry of `chain`: its owner starts again with one new device.
///
/// Signed by the recovery key in force, the one from then on, the new account key and the device's three Ed25519 keys.
#[must_use]
pub fn recover(chain: &VerifiedChain, recovery_key: &RecoveryKey, new: &NewKeys<'_>, at_ms: u64) -> ChainEntry {
    let statement = Statement::Recover(Box::new(Recover {
        recovery_key: new.recovery_key.public(),
        account_key: new.account_key.public(),
        device: new.device.record().clone(),
    }));
    let unsigned = next(chain, statement, at_ms);
    let message = unsigned.encode();
    let mut signatures = vec![
        recovery_key.sign("chain recovery", &message),
        new.recovery_key.sign("chain new recovery", &message),
        new.account_key.sign("chain new account", &message),
    ];
    signatures.extend(possessions(new.device, &message));
    unsigned.assemble(signatures)
}

/// The next entry of `chain`: the account is given up. Signed by the account key in force.
#[must_use]
pub fn close(chain: &VerifiedChain, account_key: &AccountKey, at_ms: u64) -> ChainEntry {
    let unsigned = next(chain, Statement::Close, at_ms);
    let signature = account_key.sign("chain account", &unsigned.encode());
    unsigned.assemble(vec![signature])
}

fn next(chain: &VerifiedChain, statement: Statement, at_ms: u64) -> UnsignedEntry {
    UnsignedEntry {
        account: chain.account(),
        seq: chain.seq().saturating_add(1),
        prev_hash: chain.head(),
        statement,
        at_ms,
    }
}

fn device_statement(
    chain: &VerifiedChain,
    account_key: &AccountKey,
    statement: Statement,
    device: &DeviceKeys,
    at_ms: u64,
) -> ChainEntry {
    let unsigned = next(chain, statement, at_ms);
    let message = unsigned.encode();
    let mut signatures = vec![account_key.sign("chain account", &message)];
    signatures.extend(possessions(device, &message));
    unsigned.assemble(signatures)
}

/// Each Ed25519 device key proves that its holder made the entry, in its own context.
fn possessions(device: &DeviceKeys, message: &[u8]) -> [[u8; 64]; 3] {
    let sign =
        |(context, _): (&'static str, _), key: &SigningKey| key.sign(&signing_input(context, message)).to_bytes();
    let [relay_auth, signing, mls] = device.record().possession_keys();
    [sign(relay_auth, device.relay_auth()), sign(signing, device.signing()), sign(mls, device.mls())]
}
