//! Whatever is changed, cut, added or made up fails closed and never panics (P8, P18, A6).

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod common;

use common::{Person, in_inbox, in_log, inbox_context, log_context, open_as, person, rng, tag_key};
use proptest::collection::vec;
use proptest::prelude::*;
use waxwing_protocol::envelope::{self, Header};
use waxwing_protocol::group::{CommitData, Roster};
use waxwing_protocol::{
    AppMessage, Content, Epoch, Invite, LeafIdentity, OpenError, Recipient, SealRequest, SealingKeys, Suite,
};
use waxwing_wire::ChainEntry;
use waxwing_wire::log::EnvelopeKind;

fn log_envelope(people: &[Person], suite: Suite, content: &[u8], seed: u8) -> Vec<u8> {
    let to: Vec<Recipient<'_>> = people.iter().map(Person::recipient).collect();
    let tags = tag_key();
    envelope::seal(&SealRequest { suite, ..in_log(&people[0], &to, &tags, content) }, &mut rng(seed)).unwrap()
}

/// Flips each of `bits` of every byte, one after the other.
fn flip(
    envelope: &[u8],
    bits: impl Fn(usize) -> std::ops::Range<usize>,
    open: impl Fn(&[u8]) -> Result<(), OpenError>,
) {
    assert_eq!(open(envelope), Ok(()));
    let mut changed = envelope.to_vec();
    for at in 0..envelope.len() {
        for bit in bits(at) {
            changed[at] ^= 1 << bit;
            assert!(open(&changed).is_err(), "byte {at}, bit {bit}");
            changed[at] ^= 1 << bit;
        }
    }
}

#[test]
fn p8_any_bit_of_a_log_envelope() {
    let people = [person(1), person(2), person(3)];
    let tags = tag_key();
    let sealed = log_envelope(&people, Suite::X25519, b"content", 1);
    flip(&sealed, |_| 0..8, |envelope| open_as(&people[1], &people[0], envelope, &log_context(&tags)).map(|_| ()));
}

/// X-Wing is slower, and its encapsulated key alone has 8960 bits: one bit of each byte, all of the header.
fn flip_inbox(bytes: impl Fn(usize) -> bool) {
    let (alice, bob) = (person(1), person(2));
    let sealed = envelope::seal(&in_inbox(&alice, &[bob.recipient()], b"content"), &mut rng(1)).unwrap();
    let bits = |at: usize| match at {
        _ if !bytes(at) => 0..0,
        _ if at < Header::LEN => 0..8,
        _ => at % 8..at % 8 + 1,
    };
    flip(&sealed, bits, |envelope| open_as(&bob, &alice, envelope, &inbox_context()).map(|_| ()));
}

#[test]
fn p8_a_bit_of_each_byte_of_an_inbox_envelopes_header_and_wrap() {
    flip_inbox(|at| at < Header::LEN + Suite::XWing.wrap_len());
}

#[test]
fn p8_a_bit_of_each_byte_of_an_inbox_envelopes_boxes() {
    flip_inbox(|at| at >= Header::LEN + Suite::XWing.wrap_len());
}

#[test]
fn p18_any_truncation_and_any_trailing_byte() {
    let people = [person(1), person(2)];
    let tags = tag_key();
    for suite in [Suite::X25519, Suite::XWing] {
        let sealed = log_envelope(&people, suite, &[7; 900], 1);
        let open = |envelope: &[u8]| open_as(&people[1], &people[0], envelope, &log_context(&tags));
        assert!(open(&sealed).is_ok());
        for len in 0..sealed.len() {
            assert!(matches!(open(&sealed[..len]), Err(OpenError::Malformed(_))), "{len}");
        }
        for byte in 0..=255 {
            let longer = [sealed.as_slice(), &[byte]].concat();
            assert!(matches!(open(&longer), Err(OpenError::Malformed(_))), "{byte}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_content_to_anyone_comes_through(
        content in vec(any::<u8>(), 0..3000),
        devices in 1_usize..6,
        xwing: bool,
        number in 0..=waxwing_wire::MAX_U64,
        authenticator: [u8; 32],
        seed: u8,
    ) {
        let people: Vec<_> = (1..=devices as u8).map(person).collect();
        let suite = if xwing { Suite::XWing } else { Suite::X25519 };
        let epoch = Epoch { number, authenticator };
        let to: Vec<Recipient<'_>> = people.iter().map(Person::recipient).collect();
        let tags = tag_key();
        let request = SealRequest { suite, epoch, ..in_log(&people[0], &to, &tags, &content) };
        let sealed = envelope::seal(&request, &mut rng(seed)).unwrap();
        for me in &people {
            let message = open_as(me, &people[0], &sealed, &log_context(&tags)).unwrap();
            prop_assert_eq!(message.content.as_slice(), content.as_slice());
            prop_assert_eq!(message.epoch, epoch);
        }
    }

    /// Any bytes overwritten in any place, in both suites.
    #[test]
    fn p8_any_change_fails_closed(at: prop::sample::Index, with in vec(any::<u8>(), 1..40), xwing: bool, seed: u8) {
        let people = [person(1), person(2)];
        let suite = if xwing { Suite::XWing } else { Suite::X25519 };
        let sealed = log_envelope(&people, suite, b"content", seed);
        let mut changed = sealed.clone();
        let at = at.index(changed.len());
        for (to, from) in changed[at..].iter_mut().zip(&with) {
            *to = *from;
        }
        prop_assume!(changed != sealed);
        prop_assert!(open_as(&people[1], &people[0], &changed, &log_context(&tag_key())).is_err());
    }

    /// Two envelopes of one sender, log and recipients have no parts that can be exchanged (P5, P18).
    #[test]
    fn p18_parts_of_two_envelopes_do_not_mix(from: prop::sample::Index, to: prop::sample::Index) {
        let people = [person(1), person(2)];
        let one = log_envelope(&people, Suite::X25519, b"one", 1);
        let two = log_envelope(&people, Suite::X25519, b"two", 2);
        let (from, to) = (from.index(one.len()), to.index(one.len()));
        let (from, to) = (from.min(to), from.max(to));
        let mixed = [&one[..from], &two[from..to], &one[to..]].concat();
        prop_assume!(mixed != one && mixed != two);
        prop_assert!(open_as(&people[1], &people[0], &mixed, &log_context(&tag_key())).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..2000), kind in 1_u8..=5) {
        let kind = EnvelopeKind::from_byte(kind).unwrap();
        let _ = Header::parse(&bytes);
        let _ = Content::decode(kind, &bytes);
        let _ = ChainEntry::decode(&bytes);
        let _ = SealingKeys::from_bytes(&bytes);
        let _ = Invite::parse(&String::from_utf8_lossy(&bytes));
        let _ = AppMessage::decode(&bytes);
        let _ = Roster::decode(&bytes);
        let _ = CommitData::decode(&bytes);
        let _ = LeafIdentity::decode(&bytes);
        // Past the type or version byte, the magic and the base64.
        for first in 0..6 {
            let bytes = [&[first], bytes.as_slice()].concat();
            let _ = Content::decode(kind, &bytes);
            let _ = AppMessage::decode(&bytes);
            let _ = Roster::decode(&bytes);
            let _ = CommitData::decode(&bytes);
        }
        let _ = Invite::parse(&format!("waxwing:{}", waxwing_wire::api::base64url::encode(&bytes)));
    }

    /// A right header, then anything.
    #[test]
    fn arbitrary_envelopes_never_open(
        suite in 1_u8..=2, kind in 1_u8..=5, wraps in 0_u16..5, bytes in vec(any::<u8>(), 0..6000),
    ) {
        let bob = person(2);
        let wrap = if suite == 1 { 88 } else { 1176 };
        let body = 528;
        let mut sealed = [b"WX", [1, suite, kind, 0].as_slice(), common::ID.as_bytes(), &[7; 32]].concat();
        sealed.extend(wraps.to_be_bytes());
        sealed.extend(484_u16.to_be_bytes());
        sealed.extend(528_u32.to_be_bytes());
        sealed.extend(bytes.iter().cycle().take(usize::from(wraps) * wrap));
        sealed.resize(62 + usize::from(wraps) * wrap + 484 + body, bytes.first().copied().unwrap_or(0));
        let tags = tag_key();
        let kind = EnvelopeKind::from_byte(kind).unwrap();
        let context = if kind.in_log() { log_context(&tags) } else { inbox_context() };
        let context = waxwing_protocol::OpenContext { kind, ..context };
        prop_assert!(envelope::open(&sealed, &[bob.keys.sealing()], bob.account, &context).is_err());
    }
}
