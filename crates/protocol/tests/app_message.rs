//! What is said inside MLS: one encoding each, limits kept.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod common;

use common::{one_encoding, person, var};
use waxwing_protocol::group::LeaveProof;
use waxwing_protocol::stale_key::{MAX_STALE_ENTRIES, MAX_STALE_ENVELOPES};
use waxwing_protocol::{AccessKey, AppMessage, ContentError, StaleKey};
use waxwing_wire::limits::{MAX_DISPLAY_NAME, MAX_TEXT};
use waxwing_wire::{DecodeError, EnvelopeId, LogId, MessageId, hash};

fn text(text: &str) -> AppMessage {
    AppMessage::Text { message_id: MessageId::from_bytes([9; 16]), text: text.to_owned() }
}

fn profile(display_name: &str) -> AppMessage {
    AppMessage::Profile { display_name: display_name.to_owned(), access_key: AccessKey::from_bytes(&[5; 16]) }
}

fn leave() -> AppMessage {
    let person = person(1);
    let group = LogId::from_bytes([2; 16]);
    AppMessage::Leave(LeaveProof::sign(
        person.keys.mls(),
        group,
        person.account,
        person.keys.device(),
        &[7; 32],
        [5; 16],
    ))
}

fn stale(entries: usize, envelopes: usize) -> AppMessage {
    let envelopes = (0..envelopes).map(|number| EnvelopeId::from_bytes([number as u8; 16])).collect();
    AppMessage::StaleKey(StaleKey { from_seq: 7, entries: vec![vec![3; 40]; entries], envelopes })
}

fn each() -> [AppMessage; 5] {
    [text("hello\n\u{202e}שלום"), profile("Alice ✨"), profile(""), leave(), stale(2, 3)]
}

#[test]
fn p18_one_encoding_of_each() {
    for message in each() {
        assert_eq!(AppMessage::decode(&message.encode()), Ok(message.clone()));
        one_encoding(&message.encode(), |bytes| Some(AppMessage::decode(bytes).ok()?.encode().to_vec()));
        let longer = [message.encode().as_slice(), &[0]].concat();
        let trailing = ContentError::Decode(DecodeError::Trailing("app message"));
        assert_eq!(AppMessage::decode(&longer), Err(trailing));
    }
}

/// Field by field as docs/protocol.md lists them.
#[test]
fn as_specified() {
    assert_eq!(text("hi").encode().as_slice(), [[1].as_slice(), &[9; 16], &var(b"hi")].concat());
    assert_eq!(profile("Al").encode().as_slice(), [&[2], var(b"Al").as_slice(), &[5; 16]].concat());
    let person = person(1);
    let ids = [person.account.as_bytes().as_slice(), person.keys.device().as_bytes()].concat();
    let leave = leave().encode();
    assert_eq!(leave[..49], [[3].as_slice(), &ids, &[5; 16]].concat());
    assert_eq!(leave.len(), 49 + 64);
    let told = [&[4, 0, 0, 0, 7, 1], var(&[3; 40]).as_slice(), &[1], &[0; 16]].concat();
    assert_eq!(stale(1, 1).encode().as_slice(), told);
}

#[test]
fn p18_limits() {
    let decode = |message: &AppMessage| AppMessage::decode(&message.encode());
    let refused = |error: DecodeError| Err(ContentError::Decode(error));
    for longest in [text(&"ü".repeat(MAX_TEXT / 2)), text("a"), profile(&"a".repeat(MAX_DISPLAY_NAME)), profile("")] {
        assert_eq!(decode(&longest), Ok(longest.clone()));
    }
    assert_eq!(decode(&text(&"a".repeat(MAX_TEXT + 1))), refused(DecodeError::TooLong("text")));
    assert_eq!(decode(&text("")), refused(DecodeError::Invalid("text")));
    assert_eq!(decode(&profile(&"a".repeat(MAX_DISPLAY_NAME + 1))), refused(DecodeError::TooLong("display name")));
    let most = stale(MAX_STALE_ENTRIES, MAX_STALE_ENVELOPES);
    assert_eq!(decode(&most), Ok(most.clone()));
    assert_eq!(decode(&stale(0, 1)), refused(DecodeError::Invalid("chain entries")));
    assert_eq!(decode(&stale(1, 0)), refused(DecodeError::Invalid("envelope ids")));
    assert_eq!(decode(&stale(MAX_STALE_ENTRIES + 1, 1)), refused(DecodeError::TooLong("chain entries")));
    assert_eq!(decode(&stale(1, MAX_STALE_ENVELOPES + 1)), refused(DecodeError::TooLong("envelope ids")));
    let not_utf8 = |mut bytes: Vec<u8>, at: usize| {
        bytes[at] = 0xff;
        AppMessage::decode(&bytes)
    };
    assert_eq!(not_utf8(text("hi").encode().to_vec(), 21), refused(DecodeError::Invalid("text")));
    assert_eq!(not_utf8(profile("hi").encode().to_vec(), 5), refused(DecodeError::Invalid("display name")));
    for unknown in (0..=255).filter(|number| !(1..=4).contains(number)) {
        assert_eq!(AppMessage::decode(&[unknown]), Err(ContentError::UnknownType(unknown)));
    }
    assert_eq!(AppMessage::decode(&[]), refused(DecodeError::Truncated("type")));
}

/// What is on disks and in logs must stay readable.
#[test]
fn stable() {
    let all: Vec<u8> = each().iter().flat_map(|message| message.encode().to_vec()).collect();
    assert_eq!(hex::encode(hash(&[&all])), "57144d5336e039a67b6bb3a3a3c16872350279a645a291ea112dafd13b5f4aa5");
}
