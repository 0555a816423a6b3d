//! What envelopes carry: one encoding each, each in its own kinds of envelope, limits kept.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod common;

use common::{one_encoding, person, rng, var};
use waxwing_protocol::group::ResyncProof;
use waxwing_protocol::{
    AccessKey, AccountKey, AccountSeed, ChannelSecret, Content, ContentError, HandOver, Introduction, JoinRequest,
    LinkRequest, LinkSecret, OwnContact, OwnEntry, OwnProfile, RecoveryPhrase, ResyncRequest, Welcome, statement,
};
use waxwing_wire::limits::{MAX_DISPLAY_NAME, MAX_ENVELOPE, MAX_KEY_PACKAGE};
use waxwing_wire::log::EnvelopeKind::{self, App, Handshake, Notice, Resync};
use waxwing_wire::{AccountId, DecodeError, LogId, VerifiedChain, hash};

const KINDS: [EnvelopeKind; 5] = [App, Handshake, EnvelopeKind::Welcome, Notice, Resync];

fn welcome() -> Welcome {
    Welcome {
        conversation: [1; 32],
        relay: "waxwing.example:8443".parse().unwrap(),
        log: LogId::from_bytes([2; 16]),
        channel_secret: ChannelSecret::generate(&mut rng(1)),
        slot: 0x0102_0304_0506_0708,
        running: [3; 32],
        nonce: [10; 16],
        sender: Introduction {
            account: AccountId::from_bytes([4; 16]),
            home: format!("127.0.0.1:4000#{}", "ab".repeat(32)).parse().unwrap(),
            name: "alice".parse().unwrap(),
            display_name: "Alice ✨".to_owned(),
            access_key: AccessKey::generate(&mut rng(2)),
            account_key: [6; 32],
            chain_seq: 3,
            chain_head: [7; 32],
        },
        mls: vec![8; 100],
    }
}

fn resync() -> ResyncRequest {
    let person = person(1);
    let log = LogId::from_bytes([2; 16]);
    let (account, device) = (person.account, person.keys.device());
    let proof = ResyncProof::sign(person.keys.mls(), log, account, device, [5; 16], [6; 32]);
    ResyncRequest { log, proof, key_package: vec![9; 100] }
}

fn join() -> JoinRequest {
    let account = AccountId::from_bytes([4; 16]);
    JoinRequest {
        conversation: [1; 32],
        proof: JoinRequest::prove(&AccessKey::from_bytes(&[5; 16]), &[1; 32], AccountId::from_bytes([6; 16]), account),
        sender: Introduction {
            account,
            home: format!("127.0.0.1:4000#{}", "ab".repeat(32)).parse().unwrap(),
            name: "cem".parse().unwrap(),
            display_name: "Cem ✨".to_owned(),
            access_key: AccessKey::generate(&mut rng(3)),
            account_key: [7; 32],
            chain_seq: 3,
            chain_head: [8; 32],
        },
    }
}

fn link() -> LinkRequest {
    let person = person(1);
    let asked = statement::ask_to_be_added(person.account, (7, [9; 32]), &person.keys, 5);
    LinkRequest::new(asked, &LinkSecret::from_bytes(&[3; 16]))
}

fn own_entry(with_key: bool) -> OwnEntry {
    OwnEntry { seq: 0x0102_0304, hash: [5; 32], account_key: with_key.then(|| AccountSeed::from_bytes(&[6; 32])) }
}

fn hand_over() -> HandOver {
    let (display_name, invite_key) = ("Ada ✨".to_owned(), AccessKey::from_bytes(&[2; 16]));
    let profile = OwnProfile { display_name, name_ms: 0x0102, invite_key, invite_ms: 0x0304 };
    HandOver { account_key: AccountSeed::from_bytes(&[1; 32]), profile }
}

fn contact(known: bool) -> OwnContact {
    OwnContact {
        account: AccountId::from_bytes([4; 16]),
        name: "bea".parse().unwrap(),
        relay: "waxwing.example".parse().unwrap(),
        display_name: if known { "Bea ✨".to_owned() } else { String::new() },
        known,
        blocked: !known,
        by_link: known,
        decided_ms: if known { 0 } else { 0x0506 },
        access_key: known.then(|| AccessKey::from_bytes(&[8; 16])),
    }
}

/// Each type, with the kinds of envelopes that it travels in.
fn each() -> [(Content, &'static [EnvelopeKind]); 11] {
    [
        (Content::Mls(vec![7; 300]), &[App, Handshake]),
        (Content::Welcome(welcome()), &[EnvelopeKind::Welcome]),
        (Content::Removed { log: LogId::from_bytes([2; 16]), seq: 0x0807_0605_0403_0201 }, &[Notice]),
        (Content::Resync(resync()), &[Resync]),
        (Content::Join(join()), &[Notice]),
        (Content::Link(link()), &[Notice]),
        (Content::OwnEntry(own_entry(true)), &[Notice]),
        (Content::HandOver(hand_over()), &[Notice]),
        (Content::OwnContacts(vec![contact(true), contact(false)]), &[Notice]),
        (Content::OwnProfile(hand_over().profile), &[Notice]),
        (Content::OwnAsk(0x0102_0304), &[Notice]),
    ]
}

#[test]
fn comes_back_in_its_kinds_alone() {
    for (content, kinds) in each() {
        let bytes = content.encode();
        for kind in KINDS {
            let expected = if kinds.contains(&kind) { Ok(content.clone()) } else { Err(ContentError::WrongKind) };
            assert_eq!(Content::decode(kind, &bytes), expected);
        }
    }
}

#[test]
fn p18_one_encoding_of_each() {
    for (content, kinds) in each() {
        one_encoding(&content.encode(), |bytes| Some(Content::decode(kinds[0], bytes).ok()?.encode().to_vec()));
        let longer = [content.encode().as_slice(), &[0]].concat();
        let trailing = ContentError::Decode(DecodeError::Trailing("content"));
        assert_eq!(Content::decode(kinds[0], &longer), Err(trailing));
    }
}

/// Field by field as docs/protocol.md lists them.
#[test]
fn as_specified() {
    let [
        mls,
        welcome_content,
        removed,
        resync_content,
        join_content,
        link_content,
        own_entry_content,
        hand_over_content,
        contacts,
        profile_content,
        ask_content,
    ] = each().map(|(content, _)| content.encode());
    assert_eq!(mls.as_slice(), [&[1], var(&[7; 300]).as_slice()].concat());
    let welcome = welcome();
    let fields = [
        &[2],
        [1; 32].as_slice(),
        &var(b"waxwing.example:8443"),
        &[2; 16],
        welcome.channel_secret.as_bytes(),
        &[1, 2, 3, 4, 5, 6, 7, 8],
        &[3; 32],
        &[10; 16],
        &[4; 16],
        &var(format!("127.0.0.1:4000#{}", "ab".repeat(32)).as_bytes()),
        &var(b"alice"),
        &var("Alice ✨".as_bytes()),
        welcome.sender.access_key.as_bytes(),
        &[6; 32],
        &[0, 0, 0, 3],
        &[7; 32],
        &var(&[8; 100]),
    ];
    assert_eq!(welcome_content.as_slice(), fields.concat());
    assert_eq!(removed.as_slice(), [[3].as_slice(), &[2; 16], &[8, 7, 6, 5, 4, 3, 2, 1]].concat());
    let (head, tail) = resync_content.split_at(1 + 16 + 32 + 16 + 32);
    let person = person(1);
    let ids = [person.account.as_bytes().as_slice(), person.keys.device().as_bytes()].concat();
    assert_eq!(head, [&[4], [2; 16].as_slice(), &ids, &[5; 16], &[6; 32]].concat());
    assert_eq!(tail[64..], var(&[9; 100]));
    let (asked, account) = (join(), [4; 16]);
    let proof = hash(&[b"waxwing/1 join", &[5; 16], &[1; 32], &[6; 16], &account]);
    let fields = [
        &[5],
        [1; 32].as_slice(),
        &proof,
        &account,
        &var(format!("127.0.0.1:4000#{}", "ab".repeat(32)).as_bytes()),
        &var(b"cem"),
        &var("Cem ✨".as_bytes()),
        asked.sender.access_key.as_bytes(),
        &[7; 32],
        &[0, 0, 0, 3],
        &[8; 32],
    ];
    assert_eq!(join_content.as_slice(), fields.concat());
    let entry = statement::ask_to_be_added(person.account, (7, [9; 32]), &person.keys, 5);
    let proof = hash(&[b"waxwing/1 device link", &[3; 16], &entry.hash()]);
    assert_eq!(link_content.as_slice(), [&[6], var(entry.as_bytes()).as_slice(), &proof].concat());
    let own = [[7, 1, 2, 3, 4].as_slice(), &[5; 32], &[1], &[6; 32]].concat();
    assert_eq!(own_entry_content.as_slice(), own);
    let without = Content::OwnEntry(own_entry(false)).encode();
    assert_eq!(without.as_slice(), [&own[..37], &[0]].concat());
    let met =
        [var("Ada ✨".as_bytes()), vec![0, 0, 0, 0, 0, 0, 1, 2], vec![2; 16], vec![0, 0, 0, 0, 0, 0, 3, 4]].concat();
    let fields = [[8].as_slice(), &[1; 32], &met];
    assert_eq!(hand_over_content.as_slice(), fields.concat());
    let bea = |display_name: &str, flags: &[u8]| {
        [&[4; 16], var(b"bea").as_slice(), &var(b"waxwing.example"), &var(display_name.as_bytes()), flags].concat()
    };
    let known = [bea("Bea ✨", &[1 | 4, 0, 0, 0, 0, 0, 0, 0, 0, 1]), vec![8; 16]].concat();
    assert_eq!(contacts.as_slice(), [vec![9, 2], known, bea("", &[2, 0, 0, 0, 0, 0, 0, 5, 6, 0])].concat());
    assert_eq!(ask_content.as_slice(), [11, 1, 2, 3, 4]);
    assert_eq!(profile_content.as_slice(), [[10].as_slice(), &met].concat());
}

#[test]
fn p2_a_link_request_proves_one_code_alone() {
    assert!(link().holds(&LinkSecret::from_bytes(&[3; 16])));
    assert!(!link().holds(&LinkSecret::from_bytes(&[4; 16])));
    // The proof of another entry.
    let bytes = Content::Link(link()).encode();
    let mut changed = bytes.to_vec();
    let at = bytes.windows(32).position(|window| window == [9; 32]).unwrap();
    changed[at] ^= 1;
    let Ok(Content::Link(other)) = Content::decode(Notice, &changed) else { panic!("it is a request") };
    assert!(!other.holds(&LinkSecret::from_bytes(&[3; 16])));
}

/// What the new device has signed and the account key signs behind it is what `add_device` makes.
#[test]
fn a_granted_request_adds_the_device() {
    let (owner, new) = (person(1), person(2));
    let account_key = AccountKey::from_seed(&[7; 32]);
    let recovery = RecoveryPhrase::generate(&mut rng(4)).recovery_key();
    let created = statement::create(owner.account, "h", None, &account_key, &recovery, &owner.keys, 1);
    let mut chain = VerifiedChain::verify(&[created.as_bytes()]).unwrap();
    let asked = statement::ask_to_be_added(owner.account, (chain.seq(), chain.head()), &new.keys, 5);
    assert!(chain.clone().extend(asked.as_bytes()).is_err(), "nobody has granted it");
    assert!(chain.clone().extend(statement::grant(&asked, &AccountKey::from_seed(&[8; 32])).as_bytes()).is_err());
    let granted = statement::grant(&asked, &account_key);
    assert_eq!(granted, statement::add_device(&chain, &account_key, &new.keys, 5));
    chain.extend(granted.as_bytes()).unwrap();
    assert!(chain.device(new.keys.device()).is_some());
}

#[test]
fn p18_what_own_devices_say_keeps_its_limits() {
    let decoded = |content: &Content| Content::decode(Notice, &content.encode());
    let many = |count| Content::OwnContacts(vec![contact(true); count]);
    assert_eq!(decoded(&many(64)), Ok(many(64)));
    assert_eq!(decoded(&many(65)), Err(ContentError::Decode(DecodeError::TooLong("contacts"))));
    assert_eq!(decoded(&many(0)), Err(ContentError::Decode(DecodeError::Invalid("count of contacts"))));
    let named = |display_name: &str| {
        Content::OwnProfile(OwnProfile { display_name: display_name.to_owned(), ..hand_over().profile })
    };
    assert_eq!(decoded(&named("")), Err(ContentError::Decode(DecodeError::Invalid("display name"))));
    let longest = "x".repeat(MAX_DISPLAY_NAME);
    assert_eq!(decoded(&named(&longest)), Ok(named(&longest)));
    assert!(decoded(&named(&format!("{longest}x"))).is_err());
    // An entry that adds no device, a flag that nobody knows.
    let owner = person(1);
    let chain = {
        let (key, recovery) = (AccountKey::from_seed(&[7; 32]), RecoveryPhrase::generate(&mut rng(4)).recovery_key());
        let created = statement::create(owner.account, "h", None, &key, &recovery, &owner.keys, 1);
        VerifiedChain::verify(&[created.as_bytes()]).unwrap()
    };
    let closes = statement::close(&chain, &AccountKey::from_seed(&[7; 32]), 5);
    let bytes = Content::Link(LinkRequest::new(closes, &LinkSecret::from_bytes(&[3; 16]))).encode();
    assert_eq!(Content::decode(Notice, &bytes), Err(ContentError::Decode(DecodeError::Invalid("statement"))));
    let mut bytes = Content::OwnContacts(vec![contact(false)]).encode().to_vec();
    let flags = bytes.len() - 10;
    bytes[flags] |= 16;
    assert_eq!(Content::decode(Notice, &bytes), Err(ContentError::Decode(DecodeError::Invalid("flags"))));
}

#[test]
fn p12_nothing_of_what_own_devices_say_is_shown() {
    for (content, _) in each() {
        assert!(!format!("{content:?}").contains(", "), "{content:?}");
    }
    let said = format!("{:?} {:?} {:?} {:?}", link(), own_entry(true), hand_over(), contact(true));
    assert_eq!(said, "LinkRequest(***) OwnEntry(***) HandOver(***) OwnContact(***)");
    assert_eq!(format!("{:?}", hand_over().profile), "OwnProfile(***)");
}

/// The proof is of this link, this group, this pair of people, and of nothing else.
#[test]
fn p5_a_join_request_proves_one_link_alone() {
    let (asked, link, inviter) = (join(), AccessKey::from_bytes(&[5; 16]), AccountId::from_bytes([6; 16]));
    assert!(asked.holds(&link, inviter));
    assert!(!asked.holds(&AccessKey::from_bytes(&[9; 16]), inviter));
    assert!(!asked.holds(&link, AccountId::from_bytes([7; 16])));
    assert!(!JoinRequest { conversation: [2; 32], ..join() }.holds(&link, inviter));
    assert!(
        !JoinRequest { sender: Introduction { account: AccountId::from_bytes([5; 16]), ..join().sender }, ..join() }
            .holds(&link, inviter)
    );
    assert!(!JoinRequest { proof: [0; 32], ..join() }.holds(&link, inviter));
}

#[test]
fn p18_a_join_request_keeps_its_limits() {
    let decoded = |request: JoinRequest| Content::decode(Notice, &Content::Join(request).encode());
    let named = |display_name| JoinRequest { sender: Introduction { display_name, ..join().sender }, ..join() };
    let longest = named("x".repeat(MAX_DISPLAY_NAME));
    assert_eq!(decoded(longest.clone()), Ok(Content::Join(longest)));
    let longer = named("x".repeat(MAX_DISPLAY_NAME + 1));
    assert!(matches!(decoded(longer), Err(ContentError::Decode(DecodeError::TooLong("display name")))));
    let bytes = Content::Join(join()).encode();
    for (from, to) in [(b"cem", b"Cem"), (b"127", b"27.")] {
        let at = bytes.windows(3).position(|part| part == from).unwrap();
        let mut changed = bytes.to_vec();
        changed[at..at + 3].copy_from_slice(to);
        assert!(Content::decode(Notice, &changed).is_err());
    }
}

#[test]
fn p18_unknown_types_and_broken_texts_are_refused() {
    for kind in KINDS {
        for unknown in (0..=255).filter(|number| !(1..=11).contains(number)) {
            let unknown_type = Err(ContentError::UnknownType(unknown));
            assert_eq!(Content::decode(kind, &[unknown]), unknown_type);
            assert_eq!(Content::decode(kind, &[&[unknown], mls().as_slice()].concat()), unknown_type);
        }
        assert_eq!(Content::decode(kind, &[]), Err(DecodeError::Truncated("type").into()));
    }
    let welcome = |from: &[u8], to: &[u8]| {
        let bytes = Content::Welcome(welcome()).encode();
        let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
        let changed = [&bytes[..at], to, &bytes[at + from.len()..]].concat();
        Content::decode(EnvelopeKind::Welcome, &changed)
    };
    let invalid = |field| Err(ContentError::Decode(DecodeError::Invalid(field)));
    assert_eq!(welcome("✨".as_bytes(), &[0xff; 3]), invalid("display name"));
    // A second spelling of the same relay.
    assert_eq!(welcome(b"waxwing.example", b"Waxwing.example"), invalid("relay"));
    assert_eq!(welcome(b"127.0.0.1:4000", b"LOCALHOST:4000"), invalid("home relay"));
    assert_eq!(welcome(b"waxwing.example:8443", b"waxwing.example:0443"), invalid("relay"));
    assert_eq!(welcome(b"alice", b"Alice"), invalid("name"));
    assert_eq!(welcome(b"alice", b"alic."), invalid("name"));
}

fn mls() -> Vec<u8> {
    Content::Mls(vec![7; 10]).encode()[1..].to_vec()
}

#[test]
fn p18_limits() {
    let too_long = |field| Err(ContentError::Decode(DecodeError::TooLong(field)));
    let decode = |kind, content: &Content| Content::decode(kind, &content.encode());
    for kind in [App, Handshake] {
        for len in [0, MAX_ENVELOPE] {
            let content = Content::Mls(vec![1; len]);
            assert_eq!(decode(kind, &content), Ok(content));
        }
        assert_eq!(decode(kind, &Content::Mls(vec![1; MAX_ENVELOPE + 1])), too_long("MLS message"));
    }

    let decode = |welcome: Welcome| Content::decode(EnvelopeKind::Welcome, &Content::Welcome(welcome).encode());
    let named = |display_name| Welcome { sender: Introduction { display_name, ..welcome().sender }, ..welcome() };
    for len in [0, MAX_DISPLAY_NAME] {
        let welcome = named("a".repeat(len));
        assert_eq!(decode(welcome.clone()), Ok(Content::Welcome(welcome)));
    }
    assert_eq!(decode(named("a".repeat(MAX_DISPLAY_NAME + 1))), too_long("display name"));
    for len in [0, MAX_ENVELOPE] {
        let welcome = Welcome { mls: vec![1; len], ..welcome() };
        assert_eq!(decode(welcome.clone()), Ok(Content::Welcome(welcome)));
    }
    assert_eq!(decode(Welcome { mls: vec![1; MAX_ENVELOPE + 1], ..welcome() }), too_long("MLS welcome"));
    // The longest addresses and the longest name.
    let label = "a".repeat(63);
    let host = format!("{label}.{label}.{label}.{}", "a".repeat(61));
    let relay = format!("{host}:65535#{}", "ab".repeat(32));
    assert_eq!(relay.len(), 324);
    let (relay, name) = (relay.parse().unwrap(), "a".repeat(32).parse().unwrap());
    let sender = Introduction { home: Clone::clone(&relay), name, ..welcome().sender };
    let longest = Welcome { relay, sender, ..welcome() };
    assert_eq!(decode(longest.clone()), Ok(Content::Welcome(longest)));

    let decode = |len| {
        let request = ResyncRequest { key_package: vec![1; len], ..resync() };
        Content::decode(Resync, &Content::Resync(request).encode())
    };
    assert!(decode(MAX_KEY_PACKAGE).is_ok());
    assert_eq!(decode(MAX_KEY_PACKAGE + 1), too_long("key package"));
    // A length that no bytes follow costs nothing.
    assert_eq!(Content::decode(App, &[1, 255, 255, 255, 255]), too_long("MLS message"));
}

/// What is in logs and inboxes must stay readable.
#[test]
fn stable() {
    let [mls, welcome, removed, resync, join, link, own_entry, hand_over, contacts, profile, ask] =
        each().map(|(content, _)| content.encode().to_vec());
    let first = [mls, welcome, removed, resync].concat();
    assert_eq!(hex::encode(hash(&[&first])), "510f902e7aa2dae021cac5fca61c98733621729b3916ccc7d9d920f193af595c");
    assert_eq!(hex::encode(hash(&[&join])), "b82303161847779653a3dc1f43445e2fc3ee59978c0876d679ba0fcfb3308020");
    let own = [link, own_entry, hand_over, contacts, profile, ask].concat();
    assert_eq!(hex::encode(hash(&[&own])), "0f7a94afaed9ead438a82b236457e58ab0bd0259b9e799917bf41730e7ca8df3");
}
