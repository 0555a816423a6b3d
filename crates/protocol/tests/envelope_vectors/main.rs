//! The envelope's own vectors: `tests/vectors/envelope.json`, made by a test with `WAXWING_WRITE_VECTORS=1`, committed, made
//! again byte for byte by every run, and read by two implementations. A `fail_` case must fail, with the error it names.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod case;
#[path = "../common/mod.rs"]
mod common;
mod generate;

use case::{CaseKeys, Expect, Vectors};
use common::second::{self, Receiver, Signer, Version};
use common::{EPOCH, ID, LOG, NO_LOG, Person, in_log, person, rng, tag_key};
use generate::{generate, receiver};
use waxwing_protocol::envelope;
use waxwing_protocol::{LeafIdentity, OpenContext, OpenError, Recipient, SealRequest, SealingKeys, Suite, TagKey};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{AccountId, DeviceId, DeviceRecord, EnvelopeId, LogId};

fn array<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

fn path() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/envelope.json")
}

fn committed() -> Vectors {
    serde_json::from_str(&std::fs::read_to_string(path()).unwrap()).unwrap()
}

#[test]
fn the_format_is_stable() {
    let text = serde_json::to_string_pretty(&generate()).unwrap() + "\n";
    if std::env::var_os("WAXWING_WRITE_VECTORS").is_some() {
        std::fs::create_dir_all(path().parent().unwrap()).unwrap();
        std::fs::write(path(), &text).unwrap();
    }
    // Not `assert_eq!`: the difference would be printed in full.
    assert!(std::fs::read_to_string(path()).unwrap() == text, "the envelope's bytes changed");
}

/// How many cases came through and how many failed as they must.
const COUNTS: (usize, usize) = (38, 47);

#[test]
fn this_implementation_agrees() {
    let mut counts = (0, 0);
    for case in committed().cases {
        for me in &case.receivers {
            let device = DeviceId::from_bytes(array(&me.device));
            let kept: Vec<_> = me
                .keys
                .iter()
                .map(|keys| {
                    let version = keys.key_version.to_be_bytes();
                    let bytes = [
                        &[1],
                        device.as_bytes().as_slice(),
                        &version,
                        &array::<32>(&keys.x25519),
                        &array::<32>(&keys.xwing),
                    ];
                    SealingKeys::from_bytes(&bytes.concat()).unwrap()
                })
                .collect();
            let keys: Vec<_> = kept.iter().collect();
            let tag_key = case.tag_key.as_ref().map(|key| TagKey::from_bytes(&array(key)));
            let context = OpenContext {
                envelope_id: EnvelopeId::from_bytes(array(&case.envelope_id)),
                kind: EnvelopeKind::from_byte(case.kind).unwrap(),
                log: LogId::from_bytes(array(&case.log)),
                tag_key: tag_key.as_ref(),
                erased: &me.erased,
            };
            let envelope = hex::decode(&case.envelope).unwrap();
            let opened = envelope::open(&envelope, &keys, AccountId::from_bytes(array(&me.account)), &context);
            let received = opened.and_then(|opened| {
                if let Some(leaf) = &case.leaf {
                    return opened.verify_leaf(&LeafIdentity::decode(&hex::decode(leaf).unwrap()).unwrap());
                }
                // Of the sender's chain the file keeps the signing key; the rest of a record plays no part here.
                let claimed = *opened.claimed();
                opened.verify(&DeviceRecord {
                    device: claimed.device,
                    key_version: claimed.key_version,
                    signing: array(case.sender_signing.as_ref().unwrap()),
                    ..person(1).keys.record().clone()
                })
            });
            match (received, &case.expect) {
                (Ok(message), Some(expect)) => {
                    let got = Expect {
                        account: hex::encode(message.sender.account.as_bytes()),
                        device: hex::encode(message.sender.device.as_bytes()),
                        key_version: message.sender.key_version,
                        sent_ms: message.sent_ms,
                        counter: message.counter,
                        after: message.after,
                        mls_epoch: message.epoch.number,
                        mls_authenticator: hex::encode(message.epoch.authenticator),
                        running_hash: hex::encode(message.running_hash),
                        checkpoint: message.checkpoint.map(hex::encode).unwrap_or_default(),
                        opened_with: message.opened_with,
                        content: hex::encode(&message.content),
                    };
                    assert_eq!(&got, expect, "{}", case.name);
                    counts.0 += 1;
                }
                (Err(error), None) => {
                    assert!(case.name.starts_with("fail_"));
                    assert_eq!(Some(name(error)), case.error.as_deref(), "{}", case.name);
                    counts.1 += 1;
                }
                (got, _) => panic!("{}: {got:?}", case.name),
            }
        }
    }
    assert_eq!(counts, COUNTS);
}

fn name(error: OpenError) -> &'static str {
    match error {
        OpenError::Malformed(_) => "Malformed",
        OpenError::Unsupported(_) => "Unsupported",
        OpenError::WrongId => "WrongId",
        OpenError::WrongKind => "WrongKind",
        OpenError::WrongLog => "WrongLog",
        OpenError::SuiteNotAllowed => "SuiteNotAllowed",
        OpenError::WrapCount => "WrapCount",
        OpenError::NotForMe => "NotForMe",
        OpenError::SealedToErasedKey { .. } => "SealedToErasedKey",
        OpenError::Cryptographic => "Cryptographic",
        OpenError::WrongSender => "WrongSender",
        OpenError::BadSignature => "BadSignature",
    }
}

#[test]
fn a_second_implementation_agrees() {
    let mut counts = (0, 0);
    for case in committed().cases {
        for me in &case.receivers {
            let version = |keys: &CaseKeys| Version {
                key_version: keys.key_version,
                x25519: array(&keys.x25519),
                xwing: array(&keys.xwing),
            };
            let receiver = Receiver {
                account: array(&me.account),
                device: array(&me.device),
                versions: me.keys.iter().map(version).collect(),
                erased: me.erased.clone(),
                envelope_id: array(&case.envelope_id),
                kind: case.kind,
                log: array(&case.log),
                tag_key: case.tag_key.as_deref().map(array),
            };
            let envelope = hex::decode(&case.envelope).unwrap();
            let signer = match (&case.leaf, &case.sender_signing) {
                (Some(leaf), None) => Signer::Leaf(array(leaf)),
                (None, Some(signing)) => Signer::Chain(array(signing)),
                _ => panic!("{}: signed in a log or in an inbox", case.name),
            };
            match (second::open(&envelope, &receiver, &signer), &case.expect) {
                (Ok(received), Some(expect)) => {
                    let got = Expect {
                        account: hex::encode(received.account),
                        device: hex::encode(received.device),
                        key_version: received.key_version,
                        sent_ms: received.sent_ms,
                        counter: received.counter,
                        after: received.after,
                        mls_epoch: received.mls_epoch,
                        mls_authenticator: hex::encode(received.mls_authenticator),
                        running_hash: hex::encode(received.running_hash),
                        checkpoint: if received.checkpoint == [0; 112] {
                            String::new()
                        } else {
                            hex::encode(received.checkpoint)
                        },
                        opened_with: received.opened_with,
                        content: hex::encode(received.content),
                    };
                    assert_eq!(&got, expect, "{}", case.name);
                    counts.0 += 1;
                }
                (Err(error), None) => {
                    assert_eq!(Some(error), case.error.as_deref(), "{}", case.name);
                    counts.1 += 1;
                }
                (got, _) => panic!("{}: {got:?}", case.name),
            }
        }
    }
    assert_eq!(counts, COUNTS);
}

/// Fresh envelopes of many shapes: what one makes, the other opens.
#[test]
fn both_implementations_open_each_others_envelopes() {
    let people: Vec<_> = (1..=9).map(person).collect();
    let tags = tag_key();
    for round in 0..24_u8 {
        let n = 1 + usize::from(round) % people.len();
        let suite = if round % 3 == 0 { Suite::XWing } else { Suite::X25519 };
        let content = vec![round; usize::from(round) * 97];
        let to: Vec<Recipient<'_>> = people[..n].iter().map(Person::recipient).collect();
        let request = SealRequest { suite, ..in_log(&people[0], &to, &tags, &content) };
        let sealed = envelope::seal(&request, &mut rng(100 + round)).unwrap();
        let me = &people[n - 1];
        let kept = receiver(&[me], &[]);
        let receiver = Receiver {
            account: *me.account.as_bytes(),
            device: *me.keys.device().as_bytes(),
            versions: vec![Version {
                key_version: 1,
                x25519: array(&kept.keys[0].x25519),
                xwing: array(&kept.keys[0].xwing),
            }],
            erased: Vec::new(),
            envelope_id: *ID.as_bytes(),
            kind: 1,
            log: *LOG.as_bytes(),
            tag_key: Some(*tags.as_bytes()),
        };
        let leaf = Signer::Leaf(people[0].leaf().encode().try_into().unwrap());
        let received = second::open(&sealed, &receiver, &leaf).unwrap();
        assert_eq!((received.mls_epoch, received.content), (EPOCH.number, content));
        assert_ne!(received.account, *NO_LOG.as_bytes());
    }
}
