//! Checkpoints: bytes made elsewhere, and every malformed variant.

use proptest::prelude::*;
use waxwing_wire::MAX_U64;
use waxwing_wire::limits::MAX_CHECKPOINT;
use waxwing_wire::transparency::{
    COMPACT_LEN, Checkpoint, CheckpointError, NoteError, NoteKey, SignedCheckpoint, empty_root, sign_note,
};

use super::common::{ORIGIN, TIME, Tree, hex32, log_key, note_key, signed};

const ROOT: &str = "l0B20SGwVG+ct8cRwFKWr1k1PCuv7ASfNyCDJWaaYY4=";

/// Computed with Python's `hashlib` and `cryptography`, for the tree of three leaves of 69 equal bytes each.
const NOTE: &str = "relay.example:8443\n\
    3\n\
    l0B20SGwVG+ct8cRwFKWr1k1PCuv7ASfNyCDJWaaYY4=\n\
    time 1795600000123\n\
    \n\
    \u{2014} relay.example:8443 gxGwFXyIUULNXcA4ZSI2fYBKX+6H1oHc8juW7Vxza8IBGwshNXBOLYuuGu0+RqUqHw3eE2ubq7EH+xQz7yUZnL3gogU=\n";
const COMPACT: &str = "0000000000000003974076d121b0546f9cb7c711c05296af59353c2bafec049f37208325669a618e\
    000001a21219a47b7c885142cd5dc0386522367d804a5fee87d681dcf23b96ed5c736bc2011b0b2135704e2d8bae1aed3e46a52a\
    1f0dde136b9babb107fb1433ef25199cbde0a205";

fn checkpoint() -> Checkpoint {
    let leaves: Vec<_> = (0..3).map(|n| [n; 69]).collect();
    Checkpoint { origin: ORIGIN.to_owned(), size: 3, root: Tree::new(&leaves).frontier.root(), time_ms: TIME }
}

/// A note with this text, rightly signed by the log's key.
fn resigned(text: &str) -> Result<SignedCheckpoint, CheckpointError> {
    SignedCheckpoint::verify(sign_note(text, ORIGIN, &log_key()).unwrap().as_bytes(), &note_key())
}

fn compact(bytes: &[u8]) -> Result<SignedCheckpoint, CheckpointError> {
    SignedCheckpoint::from_compact(bytes.try_into().unwrap(), &note_key())
}

#[test]
fn bytes() {
    let made = SignedCheckpoint::sign(&checkpoint(), &log_key()).unwrap();
    assert_eq!(made.note(), NOTE);
    assert_eq!(checkpoint().root, hex32("974076d121b0546f9cb7c711c05296af59353c2bafec049f37208325669a618e"));
    let read = SignedCheckpoint::verify(NOTE.as_bytes(), &note_key()).unwrap();
    assert_eq!(read, made);
    assert_eq!((read.checkpoint(), read.key()), (&checkpoint(), &note_key()));
    assert_eq!(hex::encode(made.to_compact()), COMPACT);
    assert_eq!(compact(&hex::decode(COMPACT).unwrap()), Ok(made));
}

#[test]
fn p18_malformed_text() {
    let text = checkpoint().text();
    assert_eq!(text, format!("{ORIGIN}\n3\n{ROOT}\ntime {TIME}\n"));
    assert_eq!(Checkpoint::parse(&text), Ok(checkpoint()));
    let all = |size: &str, root: &str, time: &str| format!("{ORIGIN}\n{size}\n{root}\n{time}\n");
    let time = format!("time {TIME}");
    let mut bad = vec![
        (String::new(), "the end"),
        (text.trim_end().to_owned(), "the end"),
        ("\n".to_owned(), "the size"),
        (format!("{ORIGIN}\n"), "the size"),
        (format!("{ORIGIN}\n3\n"), "the root"),
        (format!("{ORIGIN}\n3\n{ROOT}\n"), "the time"),
        (format!("{text}\n"), "a further line"),
        (format!("{text}more\n"), "a further line"),
        (format!("{text}{time}\n"), "a further line"),
        (format!("\n{text}"), "the size"),
        (text.replacen(ORIGIN, "", 1), "the origin"),
        (text.replacen(ORIGIN, "a b", 1), "the origin"),
        (text.replacen(ORIGIN, "a+b", 1), "the origin"),
        (text.replacen(ORIGIN, &"a".repeat(301), 1), "the origin"),
        (text.replace('\n', "\r\n"), "the size"),
    ];
    for size in [
        "",
        "03",
        "00",
        "+3",
        "-3",
        " 3",
        "3 ",
        "0x3",
        "3.0",
        "٣",
        "9223372036854775808",
        "18446744073709551616",
        "1e1",
    ] {
        bad.push((all(size, ROOT, &time), "the size"));
    }
    for root in [
        "",
        "AAAA",
        ROOT.trim_end_matches('='),
        &ROOT.replace("4=", "5="),
        &ROOT.replace('+', "-"),
        &format!("{ROOT}="),
        &format!(" {ROOT}"),
        "l0B20SGwVG+ct8cRwFKWr1k1PCuv7ASfNyCDJWaaYY4A",
    ] {
        bad.push((all("3", root, &time), "the root"));
    }
    for time in ["", "time", "time ", "time  1", "time 01", "time -1", "time +1", "Time 1", "time 1 ", "1", "other"] {
        bad.push((all("3", ROOT, time), "the time"));
    }
    bad.push((all("3", ROOT, "time 9223372036854775808"), "the time"));
    bad.push((all("3", ROOT, "time 18446744073709551616"), "the time"));
    for (bad, what) in bad {
        assert_eq!(Checkpoint::parse(&bad), Err(CheckpointError::Text(what)), "{bad:?}");
        // A signature makes it no better.
        if bad.ends_with('\n') && !bad.contains('\r') {
            assert_eq!(resigned(&bad), Err(CheckpointError::Text(what)), "{bad:?}");
        }
    }
    assert_eq!(Checkpoint::parse(&all("0", ROOT, &time)), Err(CheckpointError::EmptyRoot));
    assert!(Checkpoint::parse(&all("9223372036854775807", ROOT, "time 9223372036854775807")).is_ok());
    assert!(Checkpoint::parse(&all("3", ROOT, "time 0")).is_ok());
}

#[test]
fn p17_only_the_log_s_own() {
    // Another log, though the key's name is ours.
    let other = checkpoint().text().replacen(ORIGIN, "other.example", 1);
    assert_eq!(resigned(&other), Err(CheckpointError::Origin));
    // Another key, another name.
    let verify = |key: &NoteKey| SignedCheckpoint::verify(NOTE.as_bytes(), key);
    let other_key = ed25519_dalek::SigningKey::from_bytes(&[8; 32]);
    let other_key = NoteKey::new(ORIGIN, other_key.verifying_key().as_bytes()).unwrap();
    assert_eq!(verify(&other_key), Err(CheckpointError::Note(NoteError::Unsigned)));
    let other_name = NoteKey::new("other.example", note_key().public()).unwrap();
    assert_eq!(verify(&other_name), Err(CheckpointError::Note(NoteError::Unsigned)));
    // What cannot be signed.
    let sign = |change: fn(&mut Checkpoint)| {
        let mut checkpoint = checkpoint();
        change(&mut checkpoint);
        SignedCheckpoint::sign(&checkpoint, &log_key())
    };
    assert_eq!(sign(|checkpoint| checkpoint.origin = "a b".into()), Err(CheckpointError::Note(NoteError::Name)));
    assert_eq!(sign(|checkpoint| checkpoint.size = 0), Err(CheckpointError::EmptyRoot));
    assert_eq!(signed(0, empty_root(), 0).checkpoint().size, 0);
}

#[test]
fn every_bit_and_every_length() {
    for bit in 0..NOTE.len() * 8 {
        let mut bad = NOTE.as_bytes().to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(SignedCheckpoint::verify(&bad, &note_key()).is_err(), "bit {bit}");
    }
    for end in 0..NOTE.len() {
        assert!(SignedCheckpoint::verify(&NOTE.as_bytes()[..end], &note_key()).is_err());
    }
    let made = SignedCheckpoint::sign(&checkpoint(), &log_key()).unwrap().to_compact();
    assert_eq!(made.len(), COMPACT_LEN);
    for bit in 0..COMPACT_LEN * 8 {
        let mut bad = made.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(compact(&bad).is_err(), "bit {bit}");
    }
}

#[test]
fn witnesses_may_sign_too() {
    let witness = |n: usize| format!("\u{2014} witness{n}.example {}\n", "A".repeat(100));
    let note = [NOTE, &witness(1), &witness(2)].concat();
    let read = SignedCheckpoint::verify(note.as_bytes(), &note_key()).unwrap();
    assert_eq!(read.note(), note);
    // The compact form is the log's word alone.
    assert_eq!(compact(&read.to_compact()).unwrap().note(), NOTE);
    let long = (1..8).fold(NOTE.to_owned(), |note, n| note + &witness(n));
    assert!(long.len() > MAX_CHECKPOINT);
    assert_eq!(SignedCheckpoint::verify(long.as_bytes(), &note_key()), Err(CheckpointError::TooLong));
}

/// The longest origin that a relay's address allows, the last size and time.
#[test]
fn the_largest_fits() {
    let origin =
        format!("{}.example:65535", ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(53)].join("."));
    assert_eq!(origin.parse::<waxwing_wire::RelayAddress>().unwrap().authority(), origin);
    let checkpoint = Checkpoint { origin, size: MAX_U64, root: [255; 32], time_ms: MAX_U64 };
    let made = SignedCheckpoint::sign(&checkpoint, &log_key()).unwrap();
    assert_eq!(made.checkpoint(), &checkpoint);
    assert!(made.note().len() <= MAX_CHECKPOINT);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_written_is_read(
        origin in "[a-z0-9.:\\[\\]-]{1,60}",
        size in 1..=MAX_U64,
        root in any::<[u8; 32]>(),
        time_ms in 0..=MAX_U64,
    ) {
        let checkpoint = Checkpoint { origin, size, root, time_ms };
        prop_assert_eq!(&Checkpoint::parse(&checkpoint.text()).unwrap(), &checkpoint);
        let made = SignedCheckpoint::sign(&checkpoint, &log_key()).unwrap();
        let key = NoteKey::new(&checkpoint.origin, log_key().verifying_key().as_bytes()).unwrap();
        prop_assert_eq!(&SignedCheckpoint::verify(made.note().as_bytes(), &key).unwrap(), &made);
        let compact = made.to_compact().try_into().unwrap();
        prop_assert_eq!(SignedCheckpoint::from_compact(&compact, &key).unwrap(), made);
    }

    #[test]
    fn any_text_is_read_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        text in "[a.]{0,3}\n[0-9]{0,3}\n([a-z0-9+/]{43}=)?\ntime [0-9]{0,3}\n?\n?",
        compact in prop::collection::vec(any::<u8>(), COMPACT_LEN),
    ) {
        prop_assert!(SignedCheckpoint::verify(&bytes, &note_key()).is_err());
        prop_assert!(SignedCheckpoint::from_compact(&compact.try_into().unwrap(), &note_key()).is_err());
        if let Ok(checkpoint) = Checkpoint::parse(&text) {
            prop_assert_eq!(checkpoint.text(), text);
        }
    }
}
