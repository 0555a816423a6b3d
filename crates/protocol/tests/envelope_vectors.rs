//! The envelope's own vectors: `tests/vectors/envelope.json`, made by a test with `WAXWING_WRITE_VECTORS=1`, committed, made
//! again byte for byte by every run, and read by two implementations. A `fail_` case must fail, with the error it names.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod common;

use common::second::{self, Forge, ForgedWrap, Receiver, Version};
use common::{ID, LOG, NO_LOG, Person, in_inbox, in_log, person, person_at, rng, tag_key};
use serde::{Deserialize, Serialize};
use waxwing_protocol::envelope;
use waxwing_protocol::{Content, OpenContext, OpenError, Recipient, SealRequest, SealingKeys, Suite, TagKey};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{AccountId, DeviceId, DeviceRecord, EnvelopeId, LogId, MessageId};

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Vectors {
    comment: String,
    /// All binary values in hexadecimal.
    cases: Vec<Case>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Case {
    name: String,
    /// What the relay says beside the envelope.
    envelope_id: String,
    kind: u8,
    log: String,
    tag_key: Option<String>,
    /// Ed25519 key that the claimed sender's chain names.
    sender_signing: String,
    receivers: Vec<CaseReceiver>,
    expect: Option<Expect>,
    /// Name of the error, in `fail_` cases.
    error: Option<String>,
    envelope: String,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct CaseReceiver {
    account: String,
    device: String,
    keys: Vec<CaseKeys>,
    erased: Vec<u32>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct CaseKeys {
    key_version: u32,
    x25519: String,
    xwing: String,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Expect {
    account: String,
    device: String,
    key_version: u32,
    sent_ms: u64,
    counter: u64,
    after: u64,
    running_hash: String,
    opened_with: u32,
    content: String,
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

fn receiver(versions: &[&Person], erased: &[u32]) -> CaseReceiver {
    let keys = versions.iter().map(|person| {
        // The layout of kept sealing keys: version 1 | device 16 | key_version u32 | x25519 32 | xwing 32.
        let kept = person.keys.sealing().to_bytes();
        CaseKeys {
            key_version: person.keys.key_version(),
            x25519: hex::encode(&kept[21..53]),
            xwing: hex::encode(&kept[53..85]),
        }
    });
    CaseReceiver {
        account: hex::encode(versions[0].account.as_bytes()),
        device: hex::encode(versions[0].keys.device().as_bytes()),
        keys: keys.collect(),
        erased: erased.to_vec(),
    }
}

fn case(name: &str, request: &SealRequest<'_>, receivers: Vec<CaseReceiver>, seed: u8) -> Case {
    let opened_with = receivers[0].keys.first().map_or(0, |keys| keys.key_version);
    let sender = request.sender;
    Case {
        name: name.to_owned(),
        envelope_id: hex::encode(request.envelope_id.as_bytes()),
        kind: request.kind as u8,
        log: hex::encode(request.log.as_bytes()),
        tag_key: request.tag_key.map(|key| hex::encode(key.as_bytes())),
        sender_signing: hex::encode(sender.keys.record().signing),
        receivers,
        expect: Some(Expect {
            account: hex::encode(sender.account.as_bytes()),
            device: hex::encode(sender.keys.device().as_bytes()),
            key_version: sender.keys.key_version(),
            sent_ms: request.sent_ms,
            counter: request.counter,
            after: request.after,
            running_hash: hex::encode(request.running_hash),
            opened_with,
            content: hex::encode(request.content),
        }),
        error: None,
        envelope: hex::encode(envelope::seal(request, &mut rng(seed)).unwrap()),
    }
}

/// The same case with something changed, and the error that follows.
fn fails(name: &str, error: &str, mut case: Case, change: impl FnOnce(&mut Case, &mut Vec<u8>)) -> Case {
    let mut envelope = hex::decode(&case.envelope).unwrap();
    change(&mut case, &mut envelope);
    Case {
        name: format!("fail_{name}"),
        expect: None,
        error: Some(error.to_owned()),
        envelope: hex::encode(envelope),
        ..case
    }
}

fn generate() -> Vectors {
    let people: Vec<_> = (1..=5).map(person).collect();
    let everyone: Vec<_> = people.iter().map(Person::recipient).collect();
    let all = |n: usize| people[..n].iter().map(|person| receiver(&[person], &[])).collect::<Vec<_>>();
    let tags = tag_key();
    let text = Content::Text { message_id: MessageId::from_bytes([3; 16]), text: "hello, waxwing".to_owned() }.encode();
    let long = vec![0x5a; 5000];
    let (alice, bob, newer_bob) = (&people[0], &people[1], &person_at(2, 2));

    let mut cases = Vec::new();
    for (suite, name) in [(Suite::X25519, "x25519"), (Suite::XWing, "xwing")] {
        for (n, content) in [(1, &b""[..]), (2, &text), (4, &text), (5, &long)] {
            let request = SealRequest { suite, ..in_log(alice, &everyone[..n], &tags, content) };
            cases.push(case(&format!("log_{name}_{n}_devices_{}_bytes", content.len()), &request, all(n), n as u8));
        }
    }
    let to_bob = [bob.recipient()];
    for kind in [EnvelopeKind::Welcome, EnvelopeKind::Notice, EnvelopeKind::Resync] {
        let request = SealRequest { kind, ..in_inbox(alice, &to_bob, b"for an inbox") };
        cases.push(case(&format!("inbox_kind_{}", kind as u8), &request, vec![receiver(&[bob], &[])], 20));
    }
    let handshake = SealRequest {
        kind: EnvelopeKind::Handshake,
        suite: Suite::XWing,
        ..in_log(alice, &everyone[..2], &tags, b"commit")
    };
    cases.push(case("log_handshake", &handshake, all(2), 21));
    // Sealed to a version that is no longer the newest, and still kept.
    let to_both = in_log(alice, &everyone[..2], &tags, &text);
    let mut older = case("log_older_version", &to_both, vec![receiver(&[newer_bob, bob], &[])], 22);
    older.expect.as_mut().unwrap().opened_with = 1;
    cases.push(older);

    let good = || case("", &to_both, vec![receiver(&[bob], &[])], 23);
    let inbox = || case("", &in_inbox(alice, &to_bob, b"for an inbox"), vec![receiver(&[bob], &[])], 24);
    let wraps = 62;
    let boxes = wraps + 4 * 88;
    cases.extend([
        fails("magic", "Malformed", good(), |_, envelope| envelope[0] ^= 1),
        fails("version", "Unsupported", good(), |_, envelope| envelope[2] = 2),
        fails("suite", "Unsupported", good(), |_, envelope| envelope[3] = 3),
        fails("kind", "Unsupported", good(), |_, envelope| envelope[4] = 6),
        fails("flags", "Unsupported", good(), |_, envelope| envelope[5] = 1),
        fails("suite_for_kind", "SuiteNotAllowed", good(), |_, envelope| envelope[4] = 2),
        fails("envelope_id", "WrongId", good(), |_, envelope| envelope[6] ^= 1),
        fails("relay_id", "WrongId", good(), |case, _| case.envelope_id = "00".repeat(16)),
        fails("relay_kind", "WrongKind", good(), |case, _| case.kind = 2),
        fails("other_log", "WrongLog", good(), |case, _| case.log = "00".repeat(16)),
        fails("commitment", "Cryptographic", good(), |_, envelope| envelope[22] ^= 1),
        fails("n_wraps", "Malformed", good(), |_, envelope| envelope[55] = 5),
        fails("sender_len", "Malformed", good(), |_, envelope| envelope[57] ^= 1),
        fails("body_len", "Malformed", good(), |_, envelope| envelope[61] ^= 1),
        fails("wrap", "Cryptographic", good(), |_, envelope| {
            (0..4).for_each(|wrap| envelope[wraps + wrap * 88 + 8] ^= 1);
        }),
        fails("tags", "NotForMe", good(), |_, envelope| {
            (0..4).for_each(|wrap| envelope[wraps + wrap * 88] ^= 1);
        }),
        fails("tag_key", "NotForMe", good(), |case, _| case.tag_key = Some("00".repeat(32))),
        fails("sender_box", "Cryptographic", good(), |_, envelope| envelope[boxes] ^= 1),
        fails("body_box", "Cryptographic", good(), |_, envelope| envelope[boxes + 484] ^= 1),
        fails("boxes_swapped_wraps", "Cryptographic", good(), |_, envelope| envelope[wraps..boxes].rotate_left(88)),
        fails("trailing_byte", "Malformed", good(), |_, envelope| envelope.push(0)),
        fails("truncated", "Malformed", good(), |_, envelope| envelope.truncate(envelope.len() - 1)),
        fails("not_for_me", "NotForMe", good(), |case, _| case.receivers = vec![receiver(&[&person(3)], &[])]),
        fails("erased", "SealedToErasedKey", good(), |case, _| case.receivers = vec![receiver(&[newer_bob], &[1])]),
        fails("signer", "BadSignature", good(), |case, _| {
            case.sender_signing = hex::encode(person(3).keys.record().signing);
        }),
        fails("inbox_wrap", "Cryptographic", inbox(), |_, envelope| envelope[wraps + 8] ^= 1),
        fails("inbox_tag", "Malformed", inbox(), |_, envelope| envelope[wraps] = 1),
        fails("inbox_n_wraps", "WrapCount", inbox(), |_, envelope| envelope[55] = 2),
        fails("inbox_in_a_log", "WrongKind", inbox(), |case, _| case.tag_key = Some("00".repeat(32))),
    ]);
    cases.extend(forged(alice, bob, &tags));
    Vectors {
        comment: "Waxwing envelope, version 1 (docs/protocol.md). All binary values in hexadecimal.".to_owned(),
        cases,
    }
}

/// What no honest sender makes: rightly encrypted and signed, and still to be refused.
fn forged(alice: &Person, bob: &Person, tags: &TagKey) -> Vec<Case> {
    let wrap = |person: &Person, m| ForgedWrap {
        account: *person.account.as_bytes(),
        device: *person.keys.device().as_bytes(),
        key_version: 1,
        public: person.keys.record().x25519.to_vec(),
        tag: tags.tag(ID, person.keys.device(), 1),
        m,
    };
    let good = Forge {
        magic: *b"WX",
        version: 1,
        suite: 1,
        kind: 1,
        flags: 0,
        id: *ID.as_bytes(),
        m: [0x4d; 32],
        com: None,
        wraps: vec![wrap(alice, [0x4d; 32]), wrap(bob, [0x4d; 32])],
        fields: second::fields(*alice.account.as_bytes(), *alice.keys.device().as_bytes(), 1, *LOG.as_bytes()),
        padded: second::pad(b"forged"),
        signing: alice.keys.signing().clone(),
        context: "envelope",
    };
    let make = |name: &str, error: &str, change: &dyn Fn(&mut Forge)| {
        let mut forge = good.clone();
        change(&mut forge);
        Case {
            name: format!("fail_{name}"),
            envelope_id: hex::encode(ID.as_bytes()),
            kind: 1,
            log: hex::encode(LOG.as_bytes()),
            tag_key: Some(hex::encode(tags.as_bytes())),
            sender_signing: hex::encode(alice.keys.record().signing),
            receivers: vec![receiver(&[bob], &[])],
            expect: None,
            error: Some(error.to_owned()),
            envelope: hex::encode(forge.build(&mut rng(30))),
        }
    };
    vec![
        make("two_texts", "Cryptographic", &|forge| forge.wraps[1].m = [0x77; 32]),
        make("padding_not_zero", "Malformed", &|forge| forge.padded[511] = 1),
        make("padding_of_another_bucket", "Malformed", &|forge| forge.padded.resize(544, 0)),
        make("content_longer_than_body", "Malformed", &|forge| forge.padded[2] = 2),
        make("mls_epoch", "Malformed", &|forge| forge.fields[76] = 1),
        make("checkpoint", "Malformed", &|forge| forge.fields[403] = 1),
        make("signed_log", "WrongLog", &|forge| forge.fields[52..68].fill(0)),
        make("mls_key_signs", "BadSignature", &|forge| forge.signing = alice.keys.mls().clone()),
        make("other_signature_context", "BadSignature", &|forge| forge.context = "chain account"),
        make("wrap_for_another_account", "Cryptographic", &|forge| forge.wraps[1].account = [0; 16]),
        make("wrap_for_another_version", "Cryptographic", &|forge| forge.wraps[1].key_version = 2),
    ]
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
const COUNTS: (usize, usize) = (30, 40);

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
                // Of the sender's chain the file keeps the signing key; the rest of a record plays no part here.
                let claimed = *opened.claimed();
                let record = DeviceRecord {
                    device: claimed.device,
                    key_version: claimed.key_version,
                    signing: array(&case.sender_signing),
                    ..person(1).keys.record().clone()
                };
                opened.verify(&record)
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
                        running_hash: hex::encode(message.running_hash),
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
            match (second::open(&envelope, &receiver, &array(&case.sender_signing)), &case.expect) {
                (Ok(received), Some(expect)) => {
                    let got = Expect {
                        account: hex::encode(received.account),
                        device: hex::encode(received.device),
                        key_version: received.key_version,
                        sent_ms: received.sent_ms,
                        counter: received.counter,
                        after: received.after,
                        running_hash: hex::encode(received.running_hash),
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
        let received = second::open(&sealed, &receiver, &people[0].keys.record().signing).unwrap();
        assert_eq!(received.content, content);
        assert_ne!(received.account, *NO_LOG.as_bytes());
    }
}
