//! The form in databases, pinned: a change here needs a migration.

use openmls::prelude::*;
use openmls::schedule::{ExternalPsk, Psk};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::SUITE;
use crate::mls::provider::Crypto;
use crate::mls::storage::codec::{decode, encode};

fn hex_of<T: Serialize + ?Sized>(value: &T) -> String {
    hex::encode(encode(value).unwrap().as_slice())
}

/// A value is written like this and read from it.
fn pinned<T: Serialize + DeserializeOwned>(value: &T, hex: &str) {
    assert_eq!(hex_of(value), hex);
    let read: T = decode(&hex::decode(hex).unwrap()).unwrap();
    assert_eq!(hex_of(&read), hex);
}

#[test]
fn keys_are_pinned() {
    pinned(&GroupId::from_slice(&[1, 23, 24, 255]), "a16576616c7565a163766563840117181818ff");
    pinned(&GroupEpoch::from(7), "07");
    pinned(&(GroupEpoch::from(300), 5_u32), "8219012c05");
    let crypto = Crypto::new(crate::random::rng());
    pinned(
        &KeyPackageRef::new(b"value", SUITE, &crypto, b"label").unwrap(),
        "a16576616c7565a163766563982006031832183f18c8184d184e18a10518c1188618e81854189d181b187f18c5183818\
         39184618a0183918e9185d186918e518fa18ff1402184418a5",
    );
    pinned(&Psk::External(ExternalPsk::new(vec![1, 2])), "a16845787465726e616ca16670736b5f6964a163766563820102");
    assert_eq!(hex_of(&0_i64), "00");
}

#[test]
fn values_are_pinned() {
    pinned(&LeafNodeIndex::new(1_000), "1903e8");
    pinned(&MlsGroupState::Operational, "6b4f7065726174696f6e616c");
    pinned(&MlsGroupState::Inactive, "68496e616374697665");
    pinned(
        &MlsGroupJoinConfig::default(),
        "a672776972655f666f726d61745f706f6c696379a2686f7574676f696e6770416c776179734369706865727465787468\
         696e636f6d696e6770416c77617973436970686572746578746c70616464696e675f73697a6500781a706173745f6570\
         6f63685f64656c6574696f6e5f706f6c6963790078196e756d6265725f6f665f726573756d7074696f6e5f70736b7300\
         781a7573655f726174636865745f747265655f657874656e73696f6ef4781c73656e6465725f726174636865745f636f\
         6e66696775726174696f6ea2766f75745f6f665f6f726465725f746f6c6572616e63650578186d6178696d756d5f666f\
         72776172645f64697374616e63651903e8",
    );
}
