//! The envelope: what comes through, and what must not. Tags are those of the failure-mode list.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod common;

use common::forged::{forge, inbox_forge};
use common::second::{self, Forge, ForgedWrap};
use common::{
    EPOCH, ID, LOG, NO_LOG, Person, in_inbox, in_log, inbox_context, log_context, open_as, person, person_at, rng,
    tag_key,
};
use waxwing_protocol::envelope::{self, Header};
use waxwing_protocol::{
    ChannelSecret, Claimed, Epoch, OpenContext, OpenError, Recipient, SealError, SealRequest, Suite,
};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{DecodeError, EnvelopeId, LogId};

fn recipients(people: &[Person]) -> Vec<Recipient<'_>> {
    people.iter().map(Person::recipient).collect()
}

#[test]
fn everyone_named_reads_it_in_both_suites() {
    let people = [person(1), person(2), person(3)];
    let everyone = recipients(&people);
    let tags = tag_key();
    for suite in [Suite::X25519, Suite::XWing] {
        let request = SealRequest { suite, ..in_log(&people[0], &everyone, &tags, b"hello") };
        let sealed = envelope::seal(&request, &mut rng(9)).unwrap();
        for me in &people {
            let opened = envelope::open(&sealed, &[me.keys.sealing()], me.account, &log_context(&tags)).unwrap();
            let claimed = Claimed { account: people[0].account, device: people[0].keys.device(), key_version: 1 };
            assert_eq!(opened.claimed(), &claimed);
            let message = opened.verify_leaf(&people[0].leaf()).unwrap();
            assert_eq!(message.content.as_slice(), b"hello");
            assert_eq!((message.sent_ms, message.counter, message.after), (1_700_000_000_123, 42, 7));
            assert_eq!((message.epoch, message.running_hash, message.opened_with), (EPOCH, [0x77; 32], 1));
            assert_eq!((message.kind, message.envelope_id), (EnvelopeKind::App, ID));
            assert_eq!((message.sender.account, message.sender.device), (people[0].account, people[0].keys.device()));
        }
    }
}

#[test]
fn an_inbox_envelope_comes_through() {
    let (alice, bob) = (person(1), person(2));
    let to = [bob.recipient()];
    for kind in [EnvelopeKind::Welcome, EnvelopeKind::Notice, EnvelopeKind::Resync] {
        let request = SealRequest { kind, ..in_inbox(&alice, &to, b"welcome") };
        let sealed = envelope::seal(&request, &mut rng(9)).unwrap();
        let header = Header::parse(&sealed).unwrap();
        assert_eq!((header.n_wraps, header.kind, header.suite), (1, kind, Suite::XWing));
        assert_eq!(sealed[Header::LEN..Header::LEN + 8], [0; 8], "no tag in an inbox");
        let context = OpenContext { kind, ..inbox_context() };
        assert_eq!(open_as(&bob, &alice, &sealed, &context).unwrap().content.as_slice(), b"welcome");
    }
}

#[test]
fn older_key_versions_open_what_was_sealed_to_them() {
    let (alice, old, new) = (person(1), person_at(2, 1), person_at(2, 2));
    let tags = tag_key();
    let to = [alice.recipient(), old.recipient()];
    let sealed = envelope::seal(&in_log(&alice, &to, &tags, b"late"), &mut rng(9)).unwrap();
    let both = [new.keys.sealing(), old.keys.sealing()];
    let opened = envelope::open(&sealed, &both, old.account, &log_context(&tags)).unwrap();
    assert_eq!(opened.verify_leaf(&alice.leaf()).unwrap().opened_with, 1);

    let inbox = envelope::seal(&in_inbox(&alice, &[old.recipient()], b"late"), &mut rng(9)).unwrap();
    let opened = envelope::open(&inbox, &both, old.account, &inbox_context()).unwrap();
    assert_eq!(opened.verify(alice.keys.record()).unwrap().opened_with, 1);

    // The old version is erased: in a log its tag still tells why; in an inbox nothing does.
    let context = OpenContext { erased: &[3, 1], ..log_context(&tags) };
    let error = envelope::open(&sealed, &both[..1], old.account, &context).unwrap_err();
    assert_eq!(error, OpenError::SealedToErasedKey { key_version: 1 });
    let error = envelope::open(&inbox, &both[..1], old.account, &inbox_context()).unwrap_err();
    assert_eq!(error, OpenError::Cryptographic);
}

#[test]
fn the_number_of_wraps_is_rounded_and_their_order_says_nothing() {
    let people: Vec<_> = (1..=17).map(person).collect();
    let tags = tag_key();
    for (real, wraps) in [(1, 4), (2, 4), (4, 4), (5, 8), (8, 8), (9, 16), (17, 32)] {
        let to = recipients(&people[..real]);
        let sealed = envelope::seal(&in_log(&people[0], &to, &tags, b""), &mut rng(9)).unwrap();
        assert_eq!(Header::parse(&sealed).unwrap().n_wraps, wraps);
    }
    // Where the sender's own wrap lands, over many envelopes: every place.
    let to = recipients(&people[..2]);
    let mut places = [0; 4];
    let mut rng = rng(9);
    let own = tags.tag(ID, people[0].keys.device(), 1);
    for _ in 0..200 {
        let sealed = envelope::seal(&in_log(&people[0], &to, &tags, b""), &mut rng).unwrap();
        let wraps: Vec<_> = sealed[Header::LEN..].chunks(Suite::X25519.wrap_len()).take(4).collect();
        places[wraps.iter().position(|wrap| wrap[..8] == own).unwrap()] += 1;
    }
    assert!(places.iter().all(|count| (25..80).contains(count)), "{places:?}");
}

#[test]
fn sealing_the_same_twice_gives_nothing_in_common() {
    let alice = person(1);
    let tags = tag_key();
    let to = [alice.recipient()];
    let mut rng = rng(9);
    let request = in_log(&alice, &to, &tags, b"same");
    let (one, two) = (envelope::seal(&request, &mut rng).unwrap(), envelope::seal(&request, &mut rng).unwrap());
    let (one, two) = (Header::parse(&one).unwrap(), Header::parse(&two).unwrap());
    assert_ne!(one.com, two.com);
}

#[test]
fn p7_size_is_a_bucket_and_nothing_compresses() {
    let alice = person(1);
    let tags = tag_key();
    let to = [alice.recipient()];
    let size = |content: &[u8]| envelope::seal(&in_log(&alice, &to, &tags, content), &mut rng(9)).unwrap().len();
    let base = Header::LEN + 4 * Suite::X25519.wrap_len() + envelope::SENDER_BOX + 16;
    for (len, padded) in [(0, 512), (508, 512), (509, 544), (1000, 1024), (1021, 1088), (65_536, 67_584)] {
        // Highly compressible and incompressible content of one length have one size.
        let noise: Vec<u8> = (0..len).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        assert_eq!(size(&vec![0; len as usize]), base + padded);
        assert_eq!(size(&noise), base + padded);
    }
}

#[test]
fn p8_wrong_keys_fail_alike() {
    let (alice, bob, eve) = (person(1), person(2), person(3));
    let tags = tag_key();
    let to = [alice.recipient(), bob.recipient()];
    let sealed = envelope::seal(&in_log(&alice, &to, &tags, b"secret"), &mut rng(9)).unwrap();
    let open = |me: &Person, tags: &_| {
        envelope::open(&sealed, &[me.keys.sealing()], me.account, &log_context(tags)).unwrap_err()
    };
    // Nobody finds a wrap without being named or without the tag key.
    assert_eq!(open(&eve, &tags), OpenError::NotForMe);
    assert_eq!(open(&bob, &ChannelSecret::from_bytes(&[1; 32]).tag_key()), OpenError::NotForMe);
    assert_eq!(envelope::open(&sealed, &[], bob.account, &log_context(&tags)).unwrap_err(), OpenError::NotForMe);
    // Right tag, other keys; right keys, other account (P2): one error.
    let others = waxwing_protocol::DeviceKeys::new(bob.keys.device(), 1, eve.keys.seeds().clone()).unwrap();
    let error = envelope::open(&sealed, &[others.sealing()], bob.account, &log_context(&tags)).unwrap_err();
    assert_eq!(error, OpenError::Cryptographic);
    let error = envelope::open(&sealed, &[bob.keys.sealing()], eve.account, &log_context(&tags)).unwrap_err();
    assert_eq!(error, OpenError::Cryptographic);
    // A flip in one's own wrap, in another's, in the commitment, in either box: one error.
    let wrap = Header::LEN;
    let sender_box = wrap + 4 * Suite::X25519.wrap_len();
    for at in (0..4).map(|n| wrap + n * 88 + 8).chain([22, wrap + 50, sender_box, sender_box + 484, sealed.len() - 1]) {
        let mut flipped = sealed.clone();
        flipped[at] ^= 1;
        assert_eq!(open_as(&bob, &alice, &flipped, &log_context(&tags)).unwrap_err(), OpenError::Cryptographic, "{at}");
    }
    // In an inbox likewise.
    let inbox = envelope::seal(&in_inbox(&alice, &[bob.recipient()], b"secret"), &mut rng(9)).unwrap();
    assert_eq!(open_as(&eve, &alice, &inbox, &inbox_context()).unwrap_err(), OpenError::Cryptographic);
}

#[test]
fn p8_unknown_versions_suites_kinds_and_flags_fail_closed() {
    let alice = person(1);
    let tags = tag_key();
    let sealed = envelope::seal(&in_log(&alice, &[alice.recipient()], &tags, b""), &mut rng(9)).unwrap();
    for (at, name) in [(2, "version"), (3, "suite"), (4, "kind"), (5, "flag")] {
        for value in (0..=255).filter(|value| *value != sealed[at]) {
            let mut changed = sealed.clone();
            changed[at] = value;
            let error = open_as(&alice, &alice, &changed, &log_context(&tags)).unwrap_err();
            match (at, value) {
                (3, 2) => assert_eq!(error, OpenError::Malformed(DecodeError::Truncated("wraps"))),
                (4, 2) => assert_eq!(error, OpenError::SuiteNotAllowed),
                (4, 3..=5) => assert_eq!(error, OpenError::WrapCount),
                _ => assert_eq!(error, OpenError::Unsupported(name)),
            }
        }
    }
}

#[test]
fn p8_only_app_content_travels_in_suite_x25519() {
    let (alice, bob) = (person(1), person(2));
    let tags = tag_key();
    let to = [alice.recipient(), bob.recipient()];
    let handshake = SealRequest { kind: EnvelopeKind::Handshake, ..in_log(&alice, &to, &tags, b"commit") };
    assert_eq!(envelope::seal(&handshake, &mut rng(9)), Err(SealError::SuiteNotAllowed));
    let to_bob = [bob.recipient()];
    let welcome = SealRequest { suite: Suite::X25519, ..in_inbox(&alice, &to_bob, b"") };
    assert_eq!(envelope::seal(&welcome, &mut rng(9)), Err(SealError::SuiteNotAllowed));

    let sealed = envelope::seal(&SealRequest { suite: Suite::XWing, ..handshake }, &mut rng(9)).unwrap();
    let context = OpenContext { kind: EnvelopeKind::Handshake, ..log_context(&tags) };
    assert_eq!(open_as(&bob, &alice, &sealed, &context).unwrap().content.as_slice(), b"commit");

    // A sender who does it all the same.
    for (kind, wraps) in [(2, 4), (3, 1), (4, 1), (5, 1)] {
        let mut forge = Forge { kind, ..forge(&alice, &[&bob]) };
        forge.wraps.resize(wraps, forge.wraps[0].clone());
        let error = open_as(&bob, &alice, &forge.build(&mut rng(1)), &log_context(&tags)).unwrap_err();
        assert_eq!(error, OpenError::SuiteNotAllowed);
    }
}

#[test]
fn p5_the_relay_cannot_move_an_envelope() {
    let (alice, bob) = (person(1), person(2));
    let tags = tag_key();
    let to = [alice.recipient(), bob.recipient()];
    let sealed = envelope::seal(&in_log(&alice, &to, &tags, b"here"), &mut rng(9)).unwrap();
    let open = |context: &OpenContext<'_>| open_as(&bob, &alice, &sealed, context).unwrap_err();
    let here = log_context(&tags);
    assert_eq!(open(&OpenContext { log: LogId::from_bytes([1; 16]), ..here }), OpenError::WrongLog);
    assert_eq!(open(&OpenContext { log: NO_LOG, ..here }), OpenError::WrongLog);
    assert_eq!(open(&OpenContext { envelope_id: EnvelopeId::from_bytes([1; 16]), ..here }), OpenError::WrongId);
    assert_eq!(open(&OpenContext { kind: EnvelopeKind::Handshake, ..here }), OpenError::WrongKind);
    assert_eq!(open(&inbox_context()), OpenError::WrongKind);
    assert_eq!(open(&OpenContext { kind: EnvelopeKind::App, ..inbox_context() }), OpenError::WrongKind);

    // Reflected: an inbox envelope comes back to its sender, or goes on to somebody else.
    let inbox = envelope::seal(&in_inbox(&alice, &[bob.recipient()], b"hi"), &mut rng(9)).unwrap();
    for other in [&alice, &person(3)] {
        assert_eq!(open_as(other, &alice, &inbox, &inbox_context()).unwrap_err(), OpenError::Cryptographic);
    }
    let in_a_log = OpenContext { kind: EnvelopeKind::Welcome, ..here };
    assert_eq!(open_as(&bob, &alice, &inbox, &in_a_log).unwrap_err(), OpenError::WrongKind);
}

#[test]
fn p5_a_log_envelope_sealed_for_an_inbox_is_refused_there() {
    let (alice, bob) = (person(1), person(2));
    let mut forge = inbox_forge(&alice, &bob);
    let good = forge.build(&mut rng(1));
    assert_eq!(open_as(&bob, &alice, &good, &inbox_context()).unwrap().content.as_slice(), b"forged");
    forge.fields[52..68].fill(0x10);
    let error = open_as(&bob, &alice, &forge.build(&mut rng(1)), &inbox_context()).unwrap_err();
    assert_eq!(error, OpenError::WrongLog);
}

#[test]
fn what_the_second_implementation_makes_is_accepted() {
    let (alice, bob) = (person(1), person(2));
    let sealed = forge(&alice, &[&alice, &bob]).build(&mut rng(1));
    for me in [&alice, &bob] {
        let message = open_as(me, &alice, &sealed, &log_context(&tag_key())).unwrap();
        assert_eq!((message.content.as_slice(), message.sent_ms, message.counter), (b"forged".as_slice(), 1, 2));
        assert_eq!((message.after, message.running_hash), (3, [9; 32]));
        assert_eq!(message.epoch, Epoch { number: 4, authenticator: [8; 32] });
    }
}

/// Without `com`, ChaCha20-Poly1305 would let one ciphertext open under two keys to two texts.
#[test]
fn p16_one_envelope_cannot_show_two_texts() {
    let (alice, bob, carol) = (person(1), person(2), person(3));
    let tags = tag_key();
    let mut forge = forge(&alice, &[&alice, &bob, &carol]);
    forge.wraps[2].m = [0x77; 32];
    let sealed = forge.build(&mut rng(1));
    assert_eq!(open_as(&bob, &alice, &sealed, &log_context(&tags)).unwrap().content.as_slice(), b"forged");
    // Carol's wrap opens, to another message key: refused by the commitment alone.
    assert_eq!(open_as(&carol, &alice, &sealed, &log_context(&tags)).unwrap_err(), OpenError::Cryptographic);
    // A commitment to Carol's key shuts Bob out: there is no envelope for both.
    let other = Forge { m: [0x77; 32], ..forge.clone() };
    let sealed = other.build(&mut rng(1));
    assert_eq!(open_as(&bob, &alice, &sealed, &log_context(&tags)).unwrap_err(), OpenError::Cryptographic);
    assert!(open_as(&carol, &alice, &sealed, &log_context(&tags)).is_ok());
    // Everything right but the commitment.
    let wrong = Forge { com: Some([1; 32]), ..other };
    assert_eq!(
        open_as(&carol, &alice, &wrong.build(&mut rng(1)), &log_context(&tags)).unwrap_err(),
        OpenError::Cryptographic
    );
}

#[test]
fn p18_signed_but_not_canonical_is_refused() {
    let (alice, bob) = (person(1), person(2));
    let tags = tag_key();
    let refuse = |change: &dyn Fn(&mut Forge), expected: OpenError| {
        let mut forge = forge(&alice, &[&bob]);
        change(&mut forge);
        let error = open_as(&bob, &alice, &forge.build(&mut rng(1)), &log_context(&tags)).unwrap_err();
        assert_eq!(error, expected);
    };
    let invalid = |field| OpenError::Malformed(DecodeError::Invalid(field));
    refuse(&|forge| *forge.padded.last_mut().unwrap() = 1, invalid("padding"));
    refuse(&|forge| forge.padded.resize(544, 0), invalid("padding"));
    refuse(&|forge| forge.padded.resize(513, 0), invalid("length of the body box"));
    refuse(&|forge| forge.padded.resize(256, 0), invalid("length of the body box"));
    refuse(&|forge| forge.padded[..4].fill(255), OpenError::Malformed(DecodeError::TooLong("content")));
    refuse(&|forge| forge.fields[260] = 1, invalid("checkpoint"));
    refuse(&|forge| forge.fields[403] = 1, invalid("checkpoint"));
    refuse(&|forge| forge.magic = *b"XW", invalid("magic"));
    refuse(&|forge| forge.wraps[0].m = [0; 32], OpenError::Cryptographic);
}

#[test]
fn p18_counts_and_places() {
    let (alice, bob) = (person(1), person(2));
    let tags = tag_key();
    // 256 wraps are read, 257 are not.
    let mut many = forge(&alice, &[&bob]);
    let junk = ForgedWrap { tag: [1; 8], ..many.wraps[0].clone() };
    many.wraps.splice(0..0, vec![junk; 255]);
    assert!(open_as(&bob, &alice, &many.build(&mut rng(1)), &log_context(&tags)).is_ok());
    many.wraps.push(many.wraps[0].clone());
    let error = open_as(&bob, &alice, &many.build(&mut rng(1)), &log_context(&tags)).unwrap_err();
    assert_eq!(error, OpenError::Malformed(DecodeError::TooLong("wraps")));

    // An inbox envelope has one wrap and no tag.
    let mut inbox = inbox_forge(&alice, &bob);
    inbox.wraps[0].tag = [1; 8];
    let error = open_as(&bob, &alice, &inbox.build(&mut rng(1)), &inbox_context()).unwrap_err();
    assert_eq!(error, OpenError::Malformed(DecodeError::Invalid("tag")));
    for wraps in [0, 2, 4] {
        let mut inbox = inbox_forge(&alice, &bob);
        inbox.wraps.resize(wraps, inbox.wraps[0].clone());
        let error = open_as(&bob, &alice, &inbox.build(&mut rng(1)), &inbox_context()).unwrap_err();
        assert_eq!(error, OpenError::WrapCount);
    }
    // The whole is at most 512 KiB, however well it is made.
    let long = Forge { padded: second::pad(&vec![7; 512 * 1024]), ..forge(&alice, &[&bob]) };
    let error = open_as(&bob, &alice, &long.build(&mut rng(1)), &log_context(&tags)).unwrap_err();
    assert_eq!(error, OpenError::Malformed(DecodeError::TooLong("envelope")));
    // A log envelope without any wrap is for nobody.
    let nobody = Forge { wraps: Vec::new(), ..forge(&alice, &[]) };
    let error = open_as(&bob, &alice, &nobody.build(&mut rng(1)), &log_context(&tags)).unwrap_err();
    assert_eq!(error, OpenError::NotForMe);
}

#[test]
fn faults_of_the_caller_are_named() {
    let (alice, bob) = (person(1), person(2));
    let tags = tag_key();
    let both = [alice.recipient(), bob.recipient()];
    let fails = |request: SealRequest<'_>| envelope::seal(&request, &mut rng(9)).unwrap_err();
    assert_eq!(fails(in_log(&alice, &[], &tags, b"")), SealError::NoRecipient);
    assert_eq!(fails(in_log(&alice, &both[1..], &tags, b"")), SealError::OwnDeviceMissing);
    let not_mine = [Recipient { account: bob.account, ..alice.recipient() }];
    assert_eq!(fails(in_log(&alice, &not_mine, &tags, b"")), SealError::OwnDeviceMissing);
    let twice = [alice.recipient(), bob.recipient(), bob.recipient()];
    assert_eq!(fails(in_log(&alice, &twice, &tags, b"")), SealError::DuplicateRecipient);
    assert_eq!(fails(SealRequest { tag_key: None, ..in_log(&alice, &both, &tags, b"") }), SealError::Place);
    let one = [bob.recipient()];
    assert_eq!(fails(SealRequest { tag_key: Some(&tags), ..in_inbox(&alice, &one, b"") }), SealError::Place);
    assert_eq!(fails(SealRequest { log: LOG, ..in_inbox(&alice, &one, b"") }), SealError::Place);
    assert_eq!(fails(SealRequest { recipients: &both, ..in_inbox(&alice, &one, b"") }), SealError::NotOneRecipient);
    assert_eq!(fails(in_log(&alice, &both, &tags, &vec![0; 512 * 1024])), SealError::TooLong);
    let many = vec![alice.recipient(); 257];
    assert_eq!(fails(in_log(&alice, &many, &tags, b"")), SealError::TooManyRecipients);
}

#[test]
fn p9_unusable_recipient_keys_are_refused() {
    let (alice, bob) = (person(1), person(2));
    let tags = tag_key();
    let mut record = bob.keys.record().clone();
    for low_order in [[0; 32], {
        let mut one = [0; 32];
        one[0] = 1;
        one
    }] {
        record.x25519 = low_order;
        let to = [alice.recipient(), Recipient { account: bob.account, record: &record }];
        let error = envelope::seal(&in_log(&alice, &to, &tags, b""), &mut rng(9)).unwrap_err();
        assert_eq!(error, SealError::RecipientKey { device: bob.keys.device() });
    }
    // Coefficients above the modulus: FIPS 203, section 7.2.
    record.xwing.fill(0xff);
    let to = [Recipient { account: bob.account, record: &record }];
    let error = envelope::seal(&in_inbox(&alice, &to, b""), &mut rng(9)).unwrap_err();
    assert_eq!(error, SealError::RecipientKey { device: bob.keys.device() });
}
