//! Key packages: made for the own device, and read when somebody's are claimed.

use openmls::prelude::{
    BasicCredential, CredentialWithKey, KeyPackage, KeyPackageIn, MlsMessageBodyIn, MlsMessageIn, MlsMessageOut,
    ProtocolVersion,
};
use rusqlite::Transaction;
use tls_codec::{Deserialize as _, Serialize as _};
use waxwing_protocol::{DeviceKeys, LeafIdentity};
use waxwing_wire::limits::MAX_KEY_PACKAGE;
use waxwing_wire::{AccountId, DeviceId, VerifiedChain};

use super::facts::can_be_sealed_to;
use super::group::{LeafSigner, internal};
use super::{Crypto, Provider, SUITE, capabilities, lifetime};
use crate::error::{Error, ErrorCode};

/// Somebody's key package, checked against their chain.
#[derive(Clone)]
pub(crate) struct ClaimedPackage {
    pub(crate) account: AccountId,
    pub(crate) device: DeviceId,
    pub(crate) package: KeyPackage,
    /// The head of the chain that it was checked against.
    pub(crate) chain: [u8; 32],
}

/// Makes `count` key packages and one of last resort for the own device; their private parts go into the store.
/// Gives (last resort, others), each an `MLSMessage`.
pub(crate) fn make_packages(
    crypto: &Crypto,
    tx: &Transaction<'_>,
    account: AccountId,
    keys: &DeviceKeys,
    count: usize,
) -> Result<(Vec<u8>, Vec<Vec<u8>>), Error> {
    let provider = Provider::new(crypto, tx);
    let make = |last_resort: bool| -> Result<Vec<u8>, Error> {
        let mut builder = KeyPackage::builder().key_package_lifetime(lifetime()).leaf_node_capabilities(capabilities());
        if last_resort {
            builder = builder.mark_as_last_resort();
        }
        let bundle = builder
            .build(SUITE, &provider, &LeafSigner(keys.mls()), credential(account, keys))
            .map_err(internal("a key package"))?;
        message(bundle.into_key_package())
    };
    Ok((make(true)?, (0..count).map(|_| make(false)).collect::<Result<_, _>>()?))
}

/// The credential of the own leaf, with its MLS key.
pub(super) fn credential(account: AccountId, keys: &DeviceKeys) -> CredentialWithKey {
    let identity = LeafIdentity::of(account, keys.record()).encode();
    CredentialWithKey {
        credential: BasicCredential::new(identity).into(),
        signature_key: keys.record().mls.to_vec().into(),
    }
}

/// A key package as `MLSMessage`.
pub(super) fn message(package: KeyPackage) -> Result<Vec<u8>, Error> {
    MlsMessageOut::from(package).tls_serialize_detached().map_err(internal("a key package"))
}

/// Reads a key package that a relay gave out for a device. It must be signed by the device's MLS key of the version in force in
/// its account's chain, and have keys that can be sealed to: neither the relay nor the device is believed.
pub(crate) fn read_package(
    crypto: &Crypto,
    chain: &VerifiedChain,
    device: DeviceId,
    bytes: &[u8],
) -> Result<ClaimedPackage, Error> {
    let refuse = |why: &str| Error::new(ErrorCode::NoKeyPackage, format!("a key package is not usable: {why}"));
    if bytes.len() > MAX_KEY_PACKAGE {
        return Err(refuse("too long"));
    }
    let package = parse(bytes).ok_or_else(|| refuse("it cannot be read"))?;
    let package = package.validate(crypto, ProtocolVersion::Mls10).map_err(|_| refuse("it does not hold"))?;
    if package.ciphersuite() != SUITE {
        return Err(refuse("another suite"));
    }
    if *package.life_time() != lifetime() {
        return Err(refuse("it ends"));
    }
    let leaf = package.leaf_node();
    let stated = chain.device(device).map(|state| &state.current().record).ok_or_else(|| refuse("unknown device"))?;
    let identity = BasicCredential::try_from(leaf.credential().clone())
        .ok()
        .and_then(|credential| LeafIdentity::decode(credential.identity()).ok());
    if identity != Some(LeafIdentity::of(chain.account(), stated)) || leaf.signature_key().as_slice() != stated.mls {
        return Err(refuse("its keys are not those of the chain"));
    }
    // Whoever adds it seals to the one, and everybody who commits afterwards to the other.
    if !can_be_sealed_to(package.hpke_init_key()) || !can_be_sealed_to(leaf.encryption_key()) {
        return Err(refuse("nobody can seal to its keys"));
    }
    Ok(ClaimedPackage { account: chain.account(), device, package, chain: chain.head() })
}

fn parse(bytes: &[u8]) -> Option<KeyPackageIn> {
    let mut rest = bytes;
    let message = MlsMessageIn::tls_deserialize(&mut rest).ok()?;
    match message.extract() {
        MlsMessageBodyIn::KeyPackage(package) if rest.is_empty() => Some(package),
        _ => None,
    }
}
