//! Notes of restorations: what must be refused, and that neither they nor checkpoints are taken for the other.

use proptest::prelude::*;
use waxwing_wire::transparency::{
    Checkpoint, CheckpointError, NoteKey, Restored, RestoredError, SignedCheckpoint, sign_note,
};

use super::common::{ORIGIN, TIME, log_key};

const NEW: &str = "relay.example:8443/0123456789abcdef";
const TEXT: &str = "relay.example:8443/0123456789abcdef\n\
    restored relay.example:8443\n\
    3\n\
    l0B20SGwVG+ct8cRwFKWr1k1PCuv7ASfNyCDJWaaYY4=\n\
    time 1795600000123\n";

fn restored() -> Restored {
    let root = Restored::parse(TEXT).unwrap().root;
    Restored { origin: NEW.to_owned(), previous: ORIGIN.to_owned(), size: 3, root, time_ms: TIME }
}

fn verify(note: &str) -> Result<Restored, RestoredError> {
    Restored::verify(note.as_bytes(), log_key().verifying_key().as_bytes())
}

#[test]
fn text_and_note_come_back() {
    assert_eq!(restored().text(), TEXT);
    assert_eq!(Restored::parse(TEXT), Ok(restored()));
    let note = restored().sign(&log_key()).unwrap();
    assert!(note.starts_with(TEXT));
    assert_eq!(verify(&note), Ok(restored()));
    let other = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    assert!(matches!(Restored::verify(note.as_bytes(), other.verifying_key().as_bytes()), Err(RestoredError::Note(_))));
}

/// P18: one text for each meaning.
#[test]
fn p18_what_is_spelt_otherwise_is_refused() {
    let changes = [
        ("\n3\n", "\n03\n"),
        ("\n3\n", "\n-3\n"),
        ("\n3\n", "\n18446744073709551616\n"),
        ("restored relay", "Restored relay"),
        ("restored relay", "restored  relay"),
        ("restored relay.example:8443", "restored "),
        ("restored relay.example:8443", "relay.example:8443"),
        ("YY4=", "YY4"),
        ("YY4=", "YY5="),
        ("l0B2", ""),
        ("time ", "time"),
        ("time 1795600000123\n", "time 1795600000123\nmore\n"),
        ("time 1795600000123\n", ""),
        ("time 1795600000123\n", "time 1795600000123"),
        ("relay.example:8443/0123456789abcdef\n", "\n"),
        ("/0123", "+0123"),
    ];
    for (from, to) in changes {
        let text = TEXT.replacen(from, to, 1);
        assert_ne!(text, TEXT);
        assert!(Restored::parse(&text).is_err(), "{text}");
    }
}

/// P4: one key signs both kinds of notes; neither is ever read as the other.
#[test]
fn p4_no_checkpoint_is_a_restoration_and_the_other_way_round() {
    let note = restored().sign(&log_key()).unwrap();
    let key = NoteKey::new(NEW, log_key().verifying_key().as_bytes()).unwrap();
    assert!(matches!(SignedCheckpoint::verify(note.as_bytes(), &key), Err(CheckpointError::Text(_))));
    let checkpoint = Checkpoint { origin: NEW.to_owned(), size: 3, root: restored().root, time_ms: TIME };
    let signed = SignedCheckpoint::sign(&checkpoint, &log_key()).unwrap();
    assert!(matches!(verify(signed.note()), Err(RestoredError::Text(_))));
}

/// Rightly signed, under another name than the one in its text.
#[test]
fn the_name_of_the_key_is_the_origin() {
    let note = sign_note(TEXT, ORIGIN, &log_key()).unwrap();
    assert!(matches!(verify(&note), Err(RestoredError::Note(_))));
    assert!(verify("").is_err() && verify("\n").is_err() && verify("\u{fffd}").is_err());
}

proptest! {
    #[test]
    fn p18_what_is_read_is_what_is_written(text in "[a-z:/0-9]{0,20}\n(restored )?[a-z ]{0,9}\n[0-9]{0,3}\n[A-Za-z+/=]{0,44}\n(time )?[0-9]{0,4}\n") {
        if let Ok(restored) = Restored::parse(&text) {
            prop_assert_eq!(restored.text(), text);
        }
    }
}
