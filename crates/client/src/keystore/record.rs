//! The record of secrets, and its text form: base64 of CBOR, under 600 bytes (KWallet keeps UTF-8 only; Windows has a limit).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::error::{Error, ErrorCode};

/// What a profile must never lose.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Secrets {
    /// Layout of this record.
    version: u8,
    /// SQLCipher key.
    #[serde(with = "bytes")]
    pub(crate) database_key: [u8; 32],
    /// Seed of the account key.
    #[serde(with = "bytes")]
    pub(crate) account_seed: [u8; 32],
    /// Version of the device keys in force.
    pub(crate) key_version: u32,
    /// Their seeds.
    #[serde(with = "bytes")]
    pub(crate) device_seeds: [u8; 160],
    /// Raised at every start; tells a database restored from an older copy.
    pub(crate) counter: u64,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets").field("key_version", &self.key_version).finish_non_exhaustive()
    }
}

impl Secrets {
    const VERSION: u8 = 1;

    pub(crate) fn new(database_key: [u8; 32], account_seed: [u8; 32], device_seeds: [u8; 160]) -> Self {
        Self { version: Self::VERSION, database_key, account_seed, key_version: 1, device_seeds, counter: 1 }
    }

    pub(super) fn to_text(&self) -> Result<Zeroizing<String>, Error> {
        let mut cbor = Zeroizing::new(Vec::with_capacity(512));
        ciborium::into_writer(self, &mut *cbor).map_err(|_| Error::new(ErrorCode::Internal, "keystore: encoding"))?;
        Ok(Zeroizing::new(STANDARD_NO_PAD.encode(&*cbor)))
    }

    pub(super) fn from_text(text: &str) -> Result<Self, Error> {
        let wrong = || Error::new(ErrorCode::KeychainWrong, "keystore: the record cannot be read");
        let cbor = Zeroizing::new(STANDARD_NO_PAD.decode(text).map_err(|_| wrong())?);
        let secrets: Self = ciborium::from_reader(cbor.as_slice()).map_err(|_| wrong())?;
        if secrets.version == Self::VERSION { Ok(secrets) } else { Err(wrong()) }
    }
}

/// Fixed-size byte strings in CBOR.
mod bytes {
    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer, const N: usize>(bytes: &[u8; N], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(deserializer: D) -> Result<[u8; N], D::Error> {
        struct Bytes<const N: usize>;

        impl<const N: usize> Visitor<'_> for Bytes<N> {
            type Value = [u8; N];

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{N} bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<[u8; N], E> {
                bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))
            }
        }

        deserializer.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_short_and_round_trips() {
        let secrets = Secrets::new([1; 32], [2; 32], [3; 160]);
        let text = secrets.to_text().unwrap();
        assert!(text.len() < 600, "{}", text.len());
        let back = Secrets::from_text(&text).unwrap();
        assert_eq!(back.device_seeds, [3; 160]);
        assert_eq!(back.database_key, [1; 32]);
        assert_eq!(Secrets::from_text("AAAA").unwrap_err().code(), ErrorCode::KeychainWrong);
        assert!(!format!("{secrets:?}").contains('['));
    }

    /// Whoever holds it leaves nothing of it in memory (P12). That is seen when this is built.
    #[test]
    fn p12_the_record_is_wiped() {
        fn wiped<T: ZeroizeOnDrop>() {}
        wiped::<Secrets>();
        wiped::<Zeroizing<String>>();
    }
}
