//! Secrets never print (P12): not their bytes, in no encoding, under `{:?}` or `{:#?}`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod common;

use std::fmt::Debug;

use common::{in_inbox, in_log, inbox_context, log_context, open_as, person, rng, tag_key};
use waxwing_protocol::envelope;
use waxwing_protocol::group::LeaveProof;
use waxwing_protocol::{
    AccessKey, AccountKey, AppMessage, ChannelSecret, Content, DeviceKeys, DeviceSeeds, Introduction, Invite,
    RecoveryPhrase, SealingKeys, TagKey, Welcome,
};
use waxwing_wire::{AccountId, DeviceId, LogId, MessageId};

/// Asserts that nothing of `secret` is in the debug output, and gives it.
fn printed(value: &impl Debug, secret: &[u8]) -> String {
    let text = format!("{value:?}");
    for output in [text.as_str(), &format!("{value:#?}")] {
        for window in secret.windows(4) {
            let hex = hex::encode(window);
            let list = format!("{window:?}");
            let list = list.trim_matches(['[', ']']);
            for form in [hex.as_str(), &hex.to_uppercase(), list] {
                assert!(!output.contains(form), "{output}");
            }
        }
        assert!(output.contains("***"), "{output}");
    }
    text
}

#[test]
fn p12_debug_prints_no_key_bytes() {
    let bytes: [u8; 160] = std::array::from_fn(|n| (n * 7 + 100) as u8);
    let (half, quarter) = (bytes[..32].try_into().unwrap(), bytes[..16].try_into().unwrap());
    let seeds = || DeviceSeeds::from_bytes(&bytes);
    assert_eq!(printed(&seeds(), &bytes), "DeviceSeeds(***)");
    let keys = DeviceKeys::new(DeviceId::from_bytes([0xd0; 16]), 3, seeds()).unwrap();
    let device = "d0".repeat(16);
    assert_eq!(printed(&keys, &bytes), format!("DeviceKeys(DeviceId({device}), version 3, ***)"));
    assert_eq!(printed(keys.leaf(), &bytes), format!("LeafKeys(DeviceId({device}), version 3, ***)"));
    assert_eq!(printed(keys.sealing(), &bytes), format!("SealingKeys(DeviceId({device}), version 3, ***)"));
    assert_eq!(printed(&AccountKey::from_seed(half), half), "AccountKey(***)");
    let phrase = RecoveryPhrase::from_entropy(half);
    assert_eq!(printed(&phrase, half), "RecoveryPhrase(***)");
    assert!(phrase.words().iter().all(|word| !format!("{phrase:?}").contains(word)));
    assert_eq!(printed(&phrase.recovery_key(), half), "RecoveryKey(***)");
    assert_eq!(printed(&ChannelSecret::from_bytes(half), half), "ChannelSecret(***)");
    assert_eq!(printed(&TagKey::from_bytes(half), half), "TagKey(***)");
    assert_eq!(printed(&AccessKey::from_bytes(quarter), quarter), "AccessKey(***)");
}

#[test]
fn p12_debug_prints_no_content() {
    let welcome = welcome();
    for secret in [welcome.channel_secret.as_bytes().as_slice(), welcome.sender.access_key.as_bytes(), &welcome.mls] {
        assert_eq!(printed(&welcome, secret), "Welcome(***)");
        assert_eq!(printed(&Content::Welcome(welcome.clone()), secret), "Welcome(***)");
    }
    assert!(!format!("{welcome:?}").contains("Alice"));
    let mls: Vec<u8> = (0x40..0x80).collect();
    assert_eq!(printed(&Content::Mls(mls.clone()), &mls), "Mls(***)");
    let removed = Content::Removed { log: LogId::from_bytes([0xd1; 16]), seq: 7 };
    assert_eq!(printed(&removed, &[0xd1; 16]), "Removed(***)");

    let message_id = MessageId::from_bytes([1; 16]);
    let text = AppMessage::Text { message_id, text: "meet me at noon".to_owned() };
    assert_eq!(printed(&text, b"meet me at noon"), "Text(***)");
    let access_key = welcome.sender.access_key.clone();
    let profile = AppMessage::Profile { display_name: "Alice Liddell".to_owned(), access_key };
    assert_eq!(printed(&profile, welcome.sender.access_key.as_bytes()), "Profile(***)");
    printed(&profile, b"Alice Liddell");
    let proof = LeaveProof::sign(
        person(1).keys.mls(),
        welcome.log,
        welcome.sender.account,
        person(1).keys.device(),
        &[3; 32],
        [2; 16],
    );
    assert_eq!(format!("{:?}", AppMessage::Leave(proof)), "Leave");

    let (alice, bob) = (person(1), person(2));
    let tags = tag_key();
    let to = [alice.recipient(), bob.recipient()];
    let sealed = envelope::seal(&in_log(&alice, &to, &tags, b"meet me at noon"), &mut rng(1)).unwrap();
    let opened = envelope::open(&sealed, &[bob.keys.sealing()], bob.account, &log_context(&tags)).unwrap();
    printed(&opened, b"meet me at noon");
    printed(&opened.verify_leaf(&alice.leaf()).unwrap(), b"meet me at noon");
    printed(&alice.sender(), &*alice.keys.seeds().to_bytes());
    printed(&log_context(&tags), tags.as_bytes());
    let inbox = envelope::seal(&in_inbox(&alice, &to[1..].try_into().unwrap(), b"noon"), &mut rng(1)).unwrap();
    printed(&open_as(&bob, &alice, &inbox, &inbox_context()).unwrap(), b"noon");
}

#[test]
fn p12_debug_of_an_invite_hides_its_access_key() {
    let invite = Invite {
        relay: "waxwing.example".parse().unwrap(),
        log_key: [0; 32],
        account: AccountId::from_bytes([1; 16]),
        account_key: [2; 32],
        chain_seq: 0,
        chain_head: [3; 32],
        access_key: AccessKey::from_bytes(&std::array::from_fn(|n| n as u8 + 0x40)),
        name: "alice".parse().unwrap(),
    };
    printed(&invite, invite.access_key.as_bytes());
}

/// The types that hold the bytes wipe them; the features that make them do so are on (P12).
#[test]
fn p12_memory_is_wiped() {
    fn wiped<T: zeroize::ZeroizeOnDrop>() {}
    wiped::<DeviceSeeds>();
    wiped::<ChannelSecret>();
    wiped::<TagKey>();
    wiped::<AccessKey>();
    wiped::<zeroize::Zeroizing<[u8; 32]>>();
    wiped::<ed25519_dalek::SigningKey>();
    wiped::<x25519_dalek::StaticSecret>();
    wiped::<x25519_dalek::SharedSecret>();
    wiped::<x_wing::DecapsulationKey>();
    wiped::<chacha20poly1305::ChaCha20Poly1305>();
    wiped::<sha2::Sha256>();
}

/// Each secret as kept is read back the same, and only as it was written.
#[test]
fn kept_secrets_come_back() {
    let keys = person(1).keys;
    let again = DeviceKeys::new(keys.device(), 1, DeviceSeeds::from_bytes(&keys.seeds().to_bytes())).unwrap();
    assert_eq!(again.record(), keys.record());
    let kept = keys.sealing().to_bytes();
    let sealing = SealingKeys::from_bytes(&kept).unwrap();
    assert_eq!((sealing.device(), sealing.key_version()), (keys.device(), 1));
    assert_eq!(sealing.to_bytes(), kept);
    assert!(SealingKeys::from_bytes(&kept[1..]).is_err());
    assert!(SealingKeys::from_bytes(&[&kept, [0].as_slice()].concat()).is_err());
    let mut other = kept.clone();
    other[0] = 2;
    assert!(SealingKeys::from_bytes(&other).is_err());
    other.copy_from_slice(&kept);
    other[17..21].fill(0);
    assert!(SealingKeys::from_bytes(&other).is_err());
    let account = AccountKey::generate(&mut rng(1));
    assert_eq!(AccountKey::from_seed(account.seed()).public(), account.public());
    assert!(DeviceKeys::new(keys.device(), 0, keys.seeds().clone()).is_err());
}

/// What a channel secret gives must never change: relays keep the hashes.
#[test]
fn p19_tokens_are_stable_and_apart() {
    let secret = ChannelSecret::from_bytes(&[0xc5; 32]);
    let (write, read, tag) = (secret.write_token(), secret.read_token(), secret.tag_key());
    assert_ne!(*write, *read);
    assert_ne!(&*write, tag.as_bytes());
    let tokens = secret.log_tokens();
    assert_eq!(tokens.write, waxwing_wire::log::token_hash(write.as_slice()));
    assert_eq!(tokens.read, waxwing_wire::log::token_hash(read.as_slice()));
    let all = [write.as_slice(), read.as_slice(), tag.as_bytes(), &tokens.write, &tokens.read].concat();
    assert_eq!(
        hex::encode(waxwing_wire::hash(&[&all])),
        "3ab54c07bf33493c918ed0242f4f3e007de423f3e3e9e3d66e97c9f91a2321a0"
    );
    assert_eq!(AccessKey::from_bytes(&[1; 16]).hash(), waxwing_wire::hash(&[&waxwing_wire::label("token"), &[1; 16]]));
}

fn welcome() -> Welcome {
    Welcome {
        conversation: [1; 32],
        relay: "waxwing.example".parse().unwrap(),
        log: LogId::from_bytes([2; 16]),
        channel_secret: ChannelSecret::from_bytes(&std::array::from_fn(|n| n as u8 + 0x60)),
        slot: 3,
        running: [9; 32],
        nonce: [8; 16],
        sender: Introduction {
            account: AccountId::from_bytes([4; 16]),
            home: "waxwing.example".parse().unwrap(),
            name: "alice".parse().unwrap(),
            display_name: "Alice".to_owned(),
            access_key: AccessKey::from_bytes(&std::array::from_fn(|n| n as u8 + 0xc0)),
            account_key: [6; 32],
            chain_seq: 0,
            chain_head: [7; 32],
        },
        mls: (0xa0..0xc0).collect(),
    }
}
