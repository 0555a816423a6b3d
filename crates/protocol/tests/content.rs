//! Inner content and invites: one encoding each, each in its own kind of envelope, limits kept.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod common;

use common::rng;
use waxwing_protocol::content::MAX_ENTRIES;
use waxwing_protocol::{AccessKey, ChannelSecret, Content, ContentError, Introduction, Invite, InviteError};
use waxwing_wire::api::base64url;
use waxwing_wire::limits::{MAX_CHAIN_ENTRY, MAX_DISPLAY_NAME, MAX_TEXT};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{AccountId, DecodeError, LogId, MessageId, hash, label};

const KINDS: [EnvelopeKind; 5] =
    [EnvelopeKind::App, EnvelopeKind::Handshake, EnvelopeKind::Welcome, EnvelopeKind::Notice, EnvelopeKind::Resync];

fn introduction() -> Introduction {
    Introduction {
        conversation: [1; 32],
        relay: "waxwing.example:8443".parse().unwrap(),
        log: LogId::from_bytes([2; 16]),
        channel_secret: ChannelSecret::generate(&mut rng(1)),
        account: AccountId::from_bytes([4; 16]),
        home: format!("127.0.0.1:4000#{}", "ab".repeat(32)).parse().unwrap(),
        name: "alice".parse().unwrap(),
        display_name: "Alice ✨".to_owned(),
        access_key: AccessKey::generate(&mut rng(2)),
        account_key: [6; 32],
        chain_seq: 3,
        chain_head: [7; 32],
        created_ms: 1_700_000_000_000,
    }
}

fn text(text: &str) -> Content {
    Content::Text { message_id: MessageId::from_bytes([9; 16]), text: text.to_owned() }
}

fn each() -> [Content; 4] {
    [
        text("hello\n\u{202e}שלום"),
        Content::Introduction(introduction()),
        Content::KeysRotated { entries: vec![vec![1; 1700], vec![2; MAX_CHAIN_ENTRY]], from_seq: 4 },
        Content::Profile { display_name: "Alice".to_owned() },
    ]
}

#[test]
fn comes_back_in_its_kind_alone() {
    for content in each() {
        let bytes = content.encode();
        for kind in KINDS {
            let expected = if kind == content.kind() { Ok(content.clone()) } else { Err(ContentError::WrongKind) };
            assert_eq!(Content::decode(kind, &bytes), expected);
        }
    }
}

#[test]
fn p18_nothing_missing_nothing_left_over() {
    for content in each() {
        let bytes = content.encode();
        for len in 0..bytes.len() {
            assert!(Content::decode(content.kind(), &bytes[..len]).is_err(), "{content:?} cut to {len}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        let trailing = ContentError::Decode(DecodeError::Trailing("content"));
        assert_eq!(Content::decode(content.kind(), &longer), Err(trailing));
    }
}

/// Whatever is accepted is what would be written: no second encoding of anything.
#[test]
fn p18_canonical() {
    for content in each() {
        let bytes = content.encode();
        for at in 0..bytes.len().min(900) {
            for bit in 0..8 {
                let mut changed = bytes.to_vec();
                changed[at] ^= 1 << bit;
                if let Ok(read) = Content::decode(content.kind(), &changed) {
                    assert_eq!(read.encode().as_slice(), changed, "byte {at}, bit {bit}");
                }
            }
        }
    }
}

#[test]
fn limits() {
    let decode = |content: &Content| Content::decode(content.kind(), &content.encode());
    let longest = text(&"ü".repeat(MAX_TEXT / 2));
    assert_eq!(decode(&longest), Ok(longest.clone()));
    let too_long = Err(ContentError::Decode(DecodeError::TooLong("text")));
    assert_eq!(decode(&text(&"a".repeat(MAX_TEXT + 1))), too_long);
    assert_eq!(decode(&text("")), Err(ContentError::Decode(DecodeError::Invalid("text"))));
    let profile = |len| Content::Profile { display_name: "a".repeat(len) };
    for len in [0, MAX_DISPLAY_NAME] {
        assert_eq!(decode(&profile(len)), Ok(profile(len)));
    }
    assert!(decode(&profile(MAX_DISPLAY_NAME + 1)).is_err());
    let rotated = |entries: usize, len| Content::KeysRotated { entries: vec![vec![0; len]; entries], from_seq: 0 };
    assert!(decode(&rotated(MAX_ENTRIES, 10)).is_ok());
    assert!(decode(&rotated(MAX_ENTRIES + 1, 10)).is_err());
    assert!(decode(&rotated(0, 0)).is_err());
    assert!(decode(&rotated(1, MAX_CHAIN_ENTRY + 1)).is_err());
    // A count that no bytes follow costs nothing.
    assert!(Content::decode(EnvelopeKind::App, &[3, 0, 0, 0, 0, 255, 255, 255, 255]).is_err());
    for unknown in [0, 5, 255] {
        assert_eq!(Content::decode(EnvelopeKind::App, &[unknown]), Err(ContentError::UnknownType(unknown)));
    }
    assert!(Content::decode(EnvelopeKind::App, &[4, 0, 0, 0, 1, 0xff]).is_err(), "not UTF-8");
}

/// What is on disks and in logs must stay readable.
#[test]
fn stable() {
    let all: Vec<u8> = each().iter().flat_map(|content| content.encode().to_vec()).collect();
    assert_eq!(hex::encode(hash(&[&all])), "137f51ab65bbde8a6508c6990af3a2a8a0460a23836c0851ccfbf120f6302a9b");
    assert_eq!(hex::encode(text("hi").encode()), format!("01{}000000026869", "09".repeat(16)));
}

fn invite() -> Invite {
    Invite {
        relay: "waxwing.example".parse().unwrap(),
        log_key: [0; 32],
        account: AccountId::from_bytes([1; 16]),
        account_key: [2; 32],
        chain_seq: 3,
        chain_head: [4; 32],
        access_key: AccessKey::from_bytes(&[5; 16]),
        name: "alice".parse().unwrap(),
    }
}

fn payload(invite: &Invite) -> Vec<u8> {
    let link = invite.to_link();
    base64url::decode(link.split_once('#').unwrap().1).unwrap()
}

fn link(bytes: &[u8]) -> String {
    format!("waxwing:{}", base64url::encode(bytes))
}

/// With a right checksum.
fn checked(bytes: &[u8]) -> String {
    link(&[bytes, &hash(&[&label("invite"), bytes])[..4]].concat())
}

#[test]
fn links_come_back() {
    let pinned = format!("127.0.0.1:4000#{}", "cd".repeat(32));
    for (relay, page) in [
        ("waxwing.example", "https://waxwing.example/i#"),
        ("waxwing.example:8443", "https://waxwing.example:8443/i#"),
        ("localhost:4000", "http://localhost:4000/i#"),
        ("[::1]:4000", "http://[::1]:4000/i#"),
        (pinned.as_str(), "https://127.0.0.1:4000/i#"),
    ] {
        let invite = Invite { relay: relay.parse().unwrap(), ..invite() };
        let link = invite.to_link();
        let fragment = link.strip_prefix(page).unwrap();
        assert!(fragment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        assert_eq!(Invite::parse(&link).as_ref(), Ok(&invite));
        assert_eq!(Invite::parse(&format!("waxwing:{fragment}")).as_ref(), Ok(&invite));
        // As people paste it: space around it, a line broken by mail, another case in front.
        let (start, end) = link.split_at(link.len() / 2);
        assert_eq!(Invite::parse(&format!(" {start}\r\n  {end}\t")).as_ref(), Ok(&invite));
        let shouted = format!("{}{fragment}", page.to_uppercase().replace("/I#", "/i#"));
        assert_eq!(Invite::parse(&shouted).as_ref(), Ok(&invite));
        assert_eq!(Invite::parse(&link.replace("/i#", "/i/#")).as_ref(), Ok(&invite));
    }
}

#[test]
fn p1_an_invite_carries_no_more_than_it_says() {
    // Nothing secret stands in front of the fragment.
    let link = invite().to_link();
    assert_eq!(link.split_once('#').unwrap().0, "https://waxwing.example/i");
    assert_eq!(payload(&invite()).len(), 1 + 2 + 15 + 1 + 32 + 16 + 32 + 4 + 32 + 16 + 2 + 5 + 4);
}

#[test]
fn what_is_no_link_is_told_apart_from_what_is_damaged() {
    for text in [
        "",
        "hello",
        "bob@waxwing.example",
        "https://waxwing.example",
        "https://waxwing.example/i",
        "https://waxwing.example/x#abc",
        "ftp://waxwing.example/i#abc",
        "waxwin",
        &"a".repeat(5000),
    ] {
        assert_eq!(Invite::parse(text), Err(InviteError::NotALink), "{text}");
    }
    for text in ["waxwing:", "waxwing:abc", "https://waxwing.example/i#", "waxwing:!!!!", "https://waxwing.example/i#ü"]
    {
        assert_eq!(Invite::parse(text), Err(InviteError::Damaged), "{text}");
    }
}

#[test]
fn p18_a_mistyped_or_cut_link_is_damaged() {
    let bytes = payload(&invite());
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            assert_eq!(Invite::parse(&link(&changed)), Err(InviteError::Damaged), "byte {at}, bit {bit}");
        }
        assert_eq!(Invite::parse(&link(&bytes[..at])), Err(InviteError::Damaged));
    }
    let text = invite().to_link();
    for len in text.find('#').unwrap() + 1..text.len() {
        assert_eq!(Invite::parse(&text[..len]), Err(InviteError::Damaged), "{len}");
    }
}

#[test]
fn p18_a_right_checksum_over_wrong_fields_does_not_help() {
    let bytes = payload(&invite());
    let fields = &bytes[..bytes.len() - 4];
    assert_eq!(Invite::parse(&checked(fields)), Ok(invite()));
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut fields = fields.to_vec();
        change(&mut fields);
        Invite::parse(&checked(&fields))
    };
    assert_eq!(changed(&|fields| fields[0] = 2), Err(InviteError::TooNew));
    assert_eq!(changed(&|fields| fields[0] = 0), Err(InviteError::Damaged));
    assert_eq!(changed(&|fields| fields.push(0)), Err(InviteError::Damaged));
    assert_eq!(changed(&|fields| fields[3] = b'W'), Err(InviteError::Damaged));
    assert_eq!(changed(&|fields| fields[3] = b'/'), Err(InviteError::Damaged));
    assert_eq!(changed(&|fields| fields[18] = 2), Err(InviteError::Damaged));
    assert_eq!(changed(&|fields| *fields.last_mut().unwrap() = b'E'), Err(InviteError::Damaged));
    assert_eq!(changed(&|fields| fields.truncate(10)), Err(InviteError::Damaged));
    assert_eq!(changed(&|fields| fields.clear()), Err(InviteError::Damaged));
}

/// The page in front of the fragment must be the invite's own relay: nobody is shown one host and sent to another.
#[test]
fn p1_the_host_shown_is_the_host_used() {
    let link = invite().to_link();
    for other in ["evil.example", "waxwing.example:444", "waxwing.example@evil.example", "waxwing.example.evil.example"]
    {
        assert_eq!(Invite::parse(&link.replacen("waxwing.example", other, 1)), Err(InviteError::Damaged), "{other}");
    }
}
