//! Makes the cases.

use waxwing_protocol::envelope;
use waxwing_protocol::{Content, Epoch, SealRequest, Suite};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{AccountId, DeviceId, DeviceRecord, MAX_U64};

use crate::case::{Case, CaseKeys, CaseReceiver, Expect, Vectors};
use crate::common::forged::{forge, inbox_forge};
use crate::common::second::Forge;
use crate::common::{Person, in_inbox, in_log, person, person_at, rng, tag_key};

/// All cases, from fixed seeds.
pub fn generate() -> Vectors {
    let people: Vec<_> = (1..=5).map(person).collect();
    let everyone: Vec<_> = people.iter().map(Person::recipient).collect();
    let all = |n: usize| people[..n].iter().map(|person| receiver(&[person], &[])).collect::<Vec<_>>();
    let tags = tag_key();
    let text = Content::Mls(b"an MLSMessage, to MLS alone".to_vec()).encode();
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
    // Any epoch, and a log without handshakes.
    let first = Epoch { number: 0, authenticator: [0xb0; 32] };
    let last = Epoch { number: MAX_U64, authenticator: [0xff; 32] };
    for (name, epoch, after, running_hash) in
        [("none", Epoch::default(), 0, [0; 32]), ("first", first, 0, [0; 32]), ("last", last, MAX_U64, [0xfe; 32])]
    {
        let request = SealRequest { epoch, after, running_hash, ..in_log(alice, &everyone[..2], &tags, &text) };
        cases.push(case(&format!("log_epoch_{name}"), &request, all(2), 25));
    }
    let request = SealRequest { checkpoint: Some([0xcc; 112]), ..in_log(alice, &everyone[..2], &tags, &text) };
    cases.push(case("log_checkpoint", &request, all(2), 26));
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
        fails("leaf_account", "WrongSender", good(), |case, _| {
            case.leaf = Some(leaf(person(3).account, alice.keys.record()));
        }),
        fails("leaf_device", "WrongSender", good(), |case, _| {
            let record = DeviceRecord { device: person(3).keys.device(), ..alice.keys.record().clone() };
            case.leaf = Some(leaf(alice.account, &record));
        }),
        fails("leaf_version", "WrongSender", good(), |case, _| {
            case.leaf = Some(leaf(alice.account, &DeviceRecord { key_version: 2, ..alice.keys.record().clone() }));
        }),
        fails("leaf_key", "BadSignature", good(), |case, _| {
            let record = DeviceRecord { signing: person(3).keys.record().signing, ..alice.keys.record().clone() };
            case.leaf = Some(leaf(alice.account, &record));
        }),
        fails("inbox_signer", "BadSignature", inbox(), |case, _| {
            case.sender_signing = Some(hex::encode(person(3).keys.record().signing));
        }),
        fails("inbox_wrap", "Cryptographic", inbox(), |_, envelope| envelope[wraps + 8] ^= 1),
        fails("inbox_tag", "Malformed", inbox(), |_, envelope| envelope[wraps] = 1),
        fails("inbox_n_wraps", "WrapCount", inbox(), |_, envelope| envelope[55] = 2),
        fails("inbox_in_a_log", "WrongKind", inbox(), |case, _| case.tag_key = Some("00".repeat(32))),
    ]);
    cases.extend(forged_log(alice, bob));
    cases.extend(forged_inbox(alice, bob));
    Vectors {
        comment: "Waxwing envelope, version 1 (docs/protocol.md). All binary values in hexadecimal.".to_owned(),
        cases,
    }
}

/// What no honest sender makes: rightly encrypted and signed, and still to be refused.
fn forged_log(alice: &Person, bob: &Person) -> Vec<Case> {
    let make = |name: &str, error: &str, change: &dyn Fn(&mut Forge)| {
        let mut forge = forge(alice, &[alice, bob]);
        change(&mut forge);
        let to_both = [alice.recipient(), bob.recipient()];
        let frame = case("", &in_log(alice, &to_both, &tag_key(), b""), vec![receiver(&[bob], &[])], 30);
        fails(name, error, frame, |_, envelope| *envelope = forge.build(&mut rng(30)))
    };
    vec![
        make("two_texts", "Cryptographic", &|forge| forge.wraps[1].m = [0x77; 32]),
        make("padding_not_zero", "Malformed", &|forge| forge.padded[511] = 1),
        make("padding_of_another_bucket", "Malformed", &|forge| forge.padded.resize(544, 0)),
        make("content_longer_than_body", "Malformed", &|forge| forge.padded[2] = 2),
        make("checkpoint", "Malformed", &|forge| forge.fields[403] = 1),
        make("signed_log", "WrongLog", &|forge| forge.fields[52..68].fill(0)),
        make("mls_key_signs", "BadSignature", &|forge| forge.signing = alice.keys.mls().clone()),
        make("other_signature_context", "BadSignature", &|forge| forge.context = "chain account"),
        make("wrap_for_another_account", "Cryptographic", &|forge| forge.wraps[1].account = [0; 16]),
        make("wrap_for_another_version", "Cryptographic", &|forge| forge.wraps[1].key_version = 2),
    ]
}

/// The same for an inbox.
fn forged_inbox(alice: &Person, bob: &Person) -> Vec<Case> {
    let make = |name: &str, error: &str, change: &dyn Fn(&mut Forge)| {
        let mut forge = inbox_forge(alice, bob);
        change(&mut forge);
        let frame = case("", &in_inbox(alice, &[bob.recipient()], b""), vec![receiver(&[bob], &[])], 31);
        fails(name, error, frame, |_, envelope| *envelope = forge.build(&mut rng(31)))
    };
    vec![
        make("inbox_epoch", "Malformed", &|forge| forge.fields[83] = 1),
        make("inbox_authenticator", "Malformed", &|forge| forge.fields[84] = 1),
        make("inbox_signed_log", "WrongLog", &|forge| forge.fields[52..68].fill(0x10)),
        make("inbox_mls_key_signs", "BadSignature", &|forge| forge.signing = alice.keys.mls().clone()),
    ]
}

pub fn receiver(versions: &[&Person], erased: &[u32]) -> CaseReceiver {
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

fn leaf(account: AccountId, record: &DeviceRecord) -> String {
    leaf_of(account, record.device, record.key_version, &record.signing)
}

/// `account 16 | device 16 | key_version u32 | signing 32`.
fn leaf_of(account: AccountId, device: DeviceId, key_version: u32, signing: &[u8; 32]) -> String {
    hex::encode([account.as_bytes().as_slice(), device.as_bytes(), &key_version.to_be_bytes(), signing].concat())
}

fn case(name: &str, request: &SealRequest<'_>, receivers: Vec<CaseReceiver>, seed: u8) -> Case {
    let opened_with = receivers[0].keys.first().map_or(0, |keys| keys.key_version);
    let sender = request.sender;
    let (device, signing) = (sender.keys.device(), sender.keys.signing().verifying_key().to_bytes());
    Case {
        name: name.to_owned(),
        envelope_id: hex::encode(request.envelope_id.as_bytes()),
        kind: request.kind as u8,
        log: hex::encode(request.log.as_bytes()),
        tag_key: request.tag_key.map(|key| hex::encode(key.as_bytes())),
        leaf: request.kind.in_log().then(|| leaf_of(sender.account, device, sender.keys.key_version(), &signing)),
        sender_signing: (!request.kind.in_log()).then(|| hex::encode(signing)),
        receivers,
        expect: Some(Expect {
            account: hex::encode(sender.account.as_bytes()),
            device: hex::encode(sender.keys.device().as_bytes()),
            key_version: sender.keys.key_version(),
            sent_ms: request.sent_ms,
            counter: request.counter,
            after: request.after,
            mls_epoch: request.epoch.number,
            mls_authenticator: hex::encode(request.epoch.authenticator),
            running_hash: hex::encode(request.running_hash),
            checkpoint: request.checkpoint.map(hex::encode).unwrap_or_default(),
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
