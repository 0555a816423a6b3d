//! Signed notes: bytes made elsewhere, and every malformed variant.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use proptest::prelude::*;
use waxwing_wire::limits::{MAX_NOTE, MAX_NOTE_SIGNATURES, MAX_ORIGIN};
use waxwing_wire::transparency::{NoteError, NoteKey, open_note, sign_note};

use super::common::{ORIGIN, log_key, note_key};

const TEXT: &str = "one\n\ntwo\n";

fn open(note: &str) -> Result<String, NoteError> {
    open_note(note.as_bytes(), &note_key()).map(|opened| opened.text.to_owned())
}

fn other_key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

/// A signature line, rightly made, by `key` under `name`.
fn line(text: &str, name: &str, key: &SigningKey) -> String {
    let id = NoteKey::new(name, key.verifying_key().as_bytes()).unwrap().id();
    raw_line(name, &[id.as_slice(), &key.sign(text.as_bytes()).to_bytes()].concat())
}

fn raw_line(name: &str, bytes: &[u8]) -> String {
    format!("\u{2014} {name} {}\n", STANDARD.encode(bytes))
}

/// The example of Go's `golang.org/x/mod/sumdb/note`, where the format comes from.
#[test]
fn the_format_s_own_example() {
    let key: NoteKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().unwrap();
    let text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    let note = format!(
        "{text}\n\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    );
    assert_eq!(open_note(note.as_bytes(), &key).unwrap().text, text);
    assert_eq!(open(&note), Err(NoteError::Unsigned));
}

/// Computed with Python's `hashlib` and `cryptography`.
#[test]
fn key_text() {
    let text = "relay.example:8443+8311b015+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs";
    let key = note_key();
    assert_eq!(key.to_string(), text);
    assert_eq!(text.parse(), Ok(key.clone()));
    assert_eq!((key.name(), hex::encode(key.id()).as_str()), (ORIGIN, "8311b015"));
    assert_eq!(key.public(), log_key().verifying_key().as_bytes());
    for (bad, error) in [
        ("", NoteError::Key),
        ("relay.example:8443", NoteError::Key),
        ("relay.example:8443+8311b015", NoteError::Key),
        ("+8311b015+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs", NoteError::Name),
        ("a b+8311b015+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs", NoteError::Name),
        // Another name has another id; so has another key.
        ("relay.example+8311b015+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs", NoteError::Key),
        ("relay.example:8443+8311b016+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs", NoteError::Key),
        // Upper case, short, another type, 31 and 33 bytes, no padding needed here, white space, a further part.
        ("relay.example:8443+8311B015+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs", NoteError::Key),
        ("relay.example:8443+8311b0+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs", NoteError::Key),
        ("relay.example:8443+8311b015+AupKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs", NoteError::Key),
        ("relay.example:8443+8311b015+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtI=", NoteError::Key),
        ("relay.example:8443+8311b015+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIsAA==", NoteError::Key),
        ("relay.example:8443+8311b015+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs=", NoteError::Key),
        ("relay.example:8443+8311b015+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs\n", NoteError::Key),
        ("relay.example:8443+8311b015+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs+a", NoteError::Key),
        ("relay.example:8443+8311b015+", NoteError::Key),
    ] {
        assert_eq!(bad.parse::<NoteKey>(), Err(error), "{bad}");
    }
}

#[test]
fn p9_weak_keys_and_bad_names() {
    for weak in [0, 1] {
        let mut key = [0; 32];
        key[0] = weak;
        assert_eq!(NoteKey::new(ORIGIN, &key), Err(NoteError::Key));
    }
    let public = *note_key().public();
    for bad in ["", "a b", "a+b", "a\u{a0}b", "a\u{2003}b", "a\tb", "a\nb", "a\u{7f}", &"a".repeat(MAX_ORIGIN + 1)] {
        assert_eq!(NoteKey::new(bad, &public), Err(NoteError::Name), "{bad:?}");
        assert_eq!(sign_note(TEXT, bad, &log_key()), Err(NoteError::Name));
    }
    assert!(NoteKey::new(&"a".repeat(MAX_ORIGIN), &public).is_ok());
}

#[test]
fn signing() {
    let note = sign_note(TEXT, ORIGIN, &log_key()).unwrap();
    assert_eq!(note, format!("{TEXT}\n{}", line(TEXT, ORIGIN, &log_key())));
    assert_eq!(open(&note).as_deref(), Ok(TEXT));
    for (bad, error) in [
        ("", NoteError::Layout),
        ("no newline", NoteError::Layout),
        ("a\rb\n", NoteError::Characters),
        ("a\0b\n", NoteError::Characters),
        ("\u{85}\n", NoteError::Characters),
    ] {
        assert_eq!(sign_note(bad, ORIGIN, &log_key()), Err(error), "{bad:?}");
    }
    assert_eq!(sign_note(&format!("{}\n", "a".repeat(MAX_NOTE)), ORIGIN, &log_key()), Err(NoteError::TooLong));
}

#[test]
fn p18_malformed() {
    let ours = line(TEXT, ORIGIN, &log_key());
    let encoded = ours.rsplit(' ').next().unwrap().trim_end();
    let swap = |from: &str, to: &str| format!("{TEXT}\n{}", ours.replacen(from, to, 1));
    assert_eq!(open(&swap("", "")).as_deref(), Ok(TEXT));
    for (bad, error) in [
        (String::new(), NoteError::Layout),
        (TEXT.to_owned(), NoteError::Line),
        ("one\n".to_owned(), NoteError::Layout),
        (ours.clone(), NoteError::Layout),
        (format!("{TEXT}{ours}"), NoteError::Line),
        (format!("{TEXT}\n"), NoteError::Layout),
        (format!("{TEXT}\n\n"), NoteError::Layout),
        (format!("{TEXT}\n{ours}\n"), NoteError::Layout),
        (format!("{TEXT}\n{}", ours.trim_end()), NoteError::Layout),
        (format!("{TEXT}\n{ours}x\n"), NoteError::Line),
        (swap("\u{2014} ", "\u{2013} "), NoteError::Line),
        (swap("\u{2014} ", "- "), NoteError::Line),
        (swap("\u{2014} ", "\u{2014}"), NoteError::Line),
        (swap("\u{2014} ", "\u{2014}  "), NoteError::Line),
        (swap("\u{2014} ", " \u{2014} "), NoteError::Line),
        (swap(ORIGIN, ""), NoteError::Line),
        (swap(ORIGIN, "a+b"), NoteError::Line),
        (swap(ORIGIN, "a\u{2003}b"), NoteError::Line),
        (swap(ORIGIN, &"a".repeat(MAX_ORIGIN + 1)), NoteError::Line),
        (swap(&format!(" {encoded}"), ""), NoteError::Line),
        (swap(encoded, ""), NoteError::Line),
        (swap(encoded, &format!(" {encoded}")), NoteError::Line),
        (swap(encoded, &format!("{encoded} ")), NoteError::Line),
        (swap(encoded, encoded.trim_end_matches('=')), NoteError::Line),
        (swap(encoded, &format!("{encoded}=")), NoteError::Line),
        (swap(encoded, &encoded.replace('/', "_")), NoteError::Line),
        // Left-over bits that are not zero: a second spelling of the same bytes.
        (swap("M=\n", "N=\n"), NoteError::Line),
        (swap(encoded, "gxGwFQ=="), NoteError::Line),
        (swap(ORIGIN, "relay.example:8444"), NoteError::Unsigned),
        (swap("\n", "\r\n"), NoteError::Characters),
        (swap("\n", "\u{0}\n"), NoteError::Characters),
    ] {
        assert_eq!(open(&bad), Err(error), "{bad:?}");
    }
    let latin = [TEXT.as_bytes(), b"\xff\n\n", ours.as_bytes()].concat();
    assert_eq!(open_note(&latin, &note_key()), Err(NoteError::Characters));
    let long = format!("{}\n{TEXT}\n{ours}", "a".repeat(MAX_NOTE));
    assert_eq!(open(&long), Err(NoteError::TooLong));
}

#[test]
fn p9_signatures() {
    let id = note_key().id();
    let good = log_key().sign(TEXT.as_bytes()).to_bytes();
    let with = |bytes: &[u8]| open(&format!("{TEXT}\n{}", raw_line(ORIGIN, &[id.as_slice(), bytes].concat())));
    assert_eq!(with(&good).as_deref(), Ok(TEXT));
    for bit in 0..512 {
        let mut bad = good;
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(with(&bad), Err(NoteError::Signature), "bit {bit}");
    }
    for bad in [&good[..63], &good[..1], &[good.as_slice(), &[0]].concat()] {
        assert_eq!(with(bad), Err(NoteError::Signature));
    }
    assert_eq!(with(&log_key().sign(b"another text\n").to_bytes()), Err(NoteError::Signature));
    assert_eq!(with(&other_key(8).sign(TEXT.as_bytes()).to_bytes()), Err(NoteError::Signature));
    // s + L: the same signature to a verifier that is not strict (RFC 8032, section 5.1.7).
    let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
    let (mut malleable, mut carry) = (good, 0_u16);
    for (byte, add) in malleable[32..].iter_mut().zip(order) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = carry.to_le_bytes()[0];
        carry >>= 8;
    }
    assert_eq!(with(&malleable), Err(NoteError::Signature));
    // Every byte of the text counts.
    let note = sign_note(TEXT, ORIGIN, &log_key()).unwrap();
    for at in 0..TEXT.len() {
        let mut bad = note.clone().into_bytes();
        bad[at] = b'!';
        assert!(open_note(&bad, &note_key()).is_err());
    }
}

#[test]
fn signatures_of_others() {
    let ours = line(TEXT, ORIGIN, &log_key());
    let other = |n: u8| line(TEXT, "witness.example", &other_key(n));
    let open = |lines: &[&str]| open(&format!("{TEXT}\n{}", lines.concat()));
    // Before, after; of our name with another key; of any length, right or wrong.
    assert!(open(&[&other(1), &ours, &other(2)]).is_ok());
    assert!(open(&[&line(TEXT, ORIGIN, &other_key(1)), &ours]).is_ok());
    assert!(open(&[&ours, &raw_line("pq.example", &[5; 2500])]).is_ok());
    assert!(open(&[&ours, &raw_line("short.example", &[5; 5])]).is_ok());
    assert_eq!(open(&[&other(1)]), Err(NoteError::Unsigned));
    // Twice the same key, ours or not; the second may differ.
    assert_eq!(open(&[&ours, &ours]), Err(NoteError::Duplicate));
    assert_eq!(open(&[&ours, &other(1), &other(1)]), Err(NoteError::Duplicate));
    let id = note_key().id();
    let wrong = raw_line(ORIGIN, &[id.as_slice(), &[0; 64]].concat());
    assert_eq!(open(&[&ours, &wrong]), Err(NoteError::Duplicate));
    assert_eq!(open(&[&wrong, &ours]), Err(NoteError::Duplicate));
    // Malformed beside ours.
    assert_eq!(open(&[&ours, "\u{2014} x AAAAAA==\n"]), Err(NoteError::Line));
    assert_eq!(open(&["\u{2014} x !\n", &ours]), Err(NoteError::Line));
    // How many.
    let others: Vec<_> = (0..u8::try_from(MAX_NOTE_SIGNATURES).unwrap()).map(|n| other(n + 10)).collect();
    let mut lines: Vec<_> = others.iter().map(String::as_str).collect();
    lines[3] = &ours;
    assert!(open(&lines).is_ok());
    lines.push(&others[3]);
    assert_eq!(open(&lines), Err(NoteError::TooManySignatures));
}

proptest! {
    #[test]
    fn what_is_signed_is_opened(text in "([^\\p{C}]{0,30}\n){1,5}", name in "[a-z.:/\\[\\]0-9]{1,40}", key in any::<[u8; 32]>()) {
        let key = SigningKey::from_bytes(&key);
        let public = NoteKey::new(&name, key.verifying_key().as_bytes()).unwrap();
        let note = sign_note(&text, &name, &key).unwrap();
        prop_assert_eq!(open_note(note.as_bytes(), &public).unwrap().text, text);
        prop_assert_eq!(public.to_string().parse::<NoteKey>(), Ok(public));
    }

    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[\u{2014} a+=\n\\PC]{0,60}") {
        prop_assert!(open_note(&bytes, &note_key()).is_err());
        prop_assert!(open_note(text.as_bytes(), &note_key()).is_err());
        prop_assert!(text.parse::<NoteKey>().is_err());
    }
}
