//! Key logs: a chain as a signed text, and what is no such text of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod common;

use common::rng;
use waxwing_protocol::key_log::{self, KeyLog, KeyLogError};
use waxwing_protocol::{AccountKey, DeviceKeys, DeviceSeeds, RecoveryPhrase, statement};
use waxwing_wire::{AccountId, DeviceId, VerifiedChain};

const NOW: u64 = 1_795_412_760_123;

/// A chain in which everything has happened, and the keys in force after each entry.
struct History {
    entries: Vec<Vec<u8>>,
    /// By the number of entries.
    keys: Vec<DeviceKeys>,
}

fn keys(device: u8, version: u32) -> DeviceKeys {
    let seeds = DeviceSeeds::generate(&mut rng(device * 16 + u8::try_from(version).unwrap()));
    DeviceKeys::new(DeviceId::from_bytes([device; 16]), version, seeds).unwrap()
}

impl History {
    fn new(n: u8) -> Self {
        let account = AccountId::from_bytes([n; 16]);
        let [first, second, third] = [1, 2, 3].map(|k| AccountKey::generate(&mut rng(200 + n * 8 + k)));
        let [phrase, other] = [4, 5].map(|k| RecoveryPhrase::generate(&mut rng(200 + n * 8 + k)).recovery_key());
        let name = Some("alice".parse().unwrap());
        let create = statement::create(account, "relay.example:8443", name, &first, &phrase, &keys(1, 1), 1_000);
        let mut entries = vec![create.as_bytes().to_vec()];
        let mut add = |make: &dyn Fn(&VerifiedChain) -> waxwing_wire::ChainEntry| {
            let chain = VerifiedChain::verify(&entries).unwrap();
            entries.push(make(&chain).as_bytes().to_vec());
        };
        add(&|chain| statement::rotate_device_keys(chain, &first, &keys(1, 2), 2_000));
        add(&|chain| statement::add_device(chain, &first, &keys(2, 1), 3_000));
        let gone = [DeviceId::from_bytes([2; 16])];
        add(&|chain| statement::rotate_account_key(chain, &first, &second, &gone, 4_000));
        add(&|chain| statement::close(chain, &second, waxwing_wire::MAX_U64));
        let new = statement::NewKeys { recovery_key: &other, account_key: &third, device: &keys(3, 1) };
        add(&|chain| statement::recover(chain, &phrase, &new, 6_000));
        let keys = vec![keys(1, 1), keys(1, 2), keys(1, 2), keys(1, 2), keys(1, 2), keys(3, 1)];
        Self { entries, keys }
    }

    fn chain(&self, entries: usize) -> VerifiedChain {
        VerifiedChain::verify(&self.entries[..entries]).unwrap()
    }

    fn text(&self, entries: usize) -> String {
        key_log::write(&self.chain(entries), &self.keys[entries - 1], NOW).unwrap()
    }
}

#[test]
fn every_kind_of_entry_has_its_line() {
    let history = History::new(1);
    let text = history.text(6);
    let lines: Vec<_> = text.lines().collect();
    let chain = history.chain(6);
    let account = "01".repeat(16);
    assert_eq!(
        lines[..4],
        ["Waxwing key log 1", &format!("Account: {account}"), "Name: alice", "Relay: relay.example:8443"]
    );
    assert!(lines[4].starts_with("Account key: ") && lines[4].len() == 13 + 39);
    let device = "03".repeat(16);
    assert_eq!(
        lines[5..10],
        [&format!("Device: {device}"), "Key version: 1", "Exported: 2026-11-23T05:46:00.123Z", "Entries: 6", ""]
    );
    let what = [
        "account created",
        "device keys rotated",
        "device added",
        "account key rotated",
        "account closed",
        "account recovered",
    ];
    for (seq, (line, what)) in lines[10..16].iter().zip(what).enumerate() {
        let fields: Vec<_> = line.split("  ").collect();
        assert_eq!((fields[0], fields[2]), (seq.to_string().as_str(), what), "{line}");
        let hash = hex::encode(chain.hash_at(u32::try_from(seq).unwrap()).unwrap());
        assert_eq!(fields.last(), Some(&format!("entry {hash}").as_str()));
        let has = |name: &str| fields.iter().any(|field| field.starts_with(name));
        assert_eq!(has("keys "), ![3, 4].contains(&seq), "{line}");
        assert_eq!(has("account key "), [0, 3, 5].contains(&seq), "{line}");
    }
    assert!(lines[13].contains(&format!("  revoked {}  ", "02".repeat(16))));
    assert!(lines[14].contains("  292278994-08-17T07:12:55.807Z  "));
    assert!(lines[15].contains("  new recovery phrase  "));
    assert_eq!(
        (lines[16], lines[17], lines[20]),
        ("", "-----BEGIN WAXWING SIGNATURE-----", "-----END WAXWING SIGNATURE-----")
    );
    assert_eq!(lines.len(), 21);
}

#[test]
fn a_text_holds_for_as_long_as_the_chain_has_its_entries() {
    let history = History::new(1);
    for entries in 1..=6 {
        let text = history.text(entries);
        assert_eq!(key_log::claimed_account(&text), Ok(history.chain(1).account()));
        for now in 1..=6 {
            let checked = key_log::check(&text, &history.chain(now));
            if now < entries {
                assert_eq!(checked, Err(KeyLogError::Longer(u32::try_from(now).unwrap() - 1)));
                continue;
            }
            let keys = &history.keys[entries - 1];
            let expected = KeyLog {
                account: history.chain(1).account(),
                seq: u32::try_from(entries).unwrap() - 1,
                device: keys.device(),
                key_version: keys.key_version(),
                exported: "2026-11-23T05:46:00.123Z".to_owned(),
            };
            assert_eq!(checked, Ok(expected));
        }
    }
}

#[test]
fn line_ends_of_other_systems_and_of_editors_are_taken() {
    let history = History::new(1);
    let (text, chain) = (history.text(6), history.chain(6));
    assert!(key_log::check(&text.replace('\n', "\r\n"), &chain).is_ok());
    assert!(key_log::check(text.trim_end(), &chain).is_ok());
    assert!(key_log::check(&format!("{text}\n"), &chain).is_err());
}

/// Whatever is changed, added or left out is found (P18: the signature covers exactly the bytes that were read).
#[test]
fn bad_input_every_changed_byte_is_refused() {
    let history = History::new(1);
    let (text, chain) = (history.text(6), history.chain(6));
    let last = text.trim_end().len();
    for place in 0..last {
        for other in ["0", "9", "a", " ", "\n", "\r\n"] {
            if &text[place..=place] == other || (other == "\r\n" && &text[place..=place] == "\n") {
                continue;
            }
            let changed = format!("{}{other}{}", &text[..place], &text[place + 1..]);
            assert!(key_log::check(&changed, &chain).is_err(), "{place}: {other:?}");
        }
        assert!(key_log::check(&text[..place], &chain).is_err(), "cut at {place}");
        let longer = format!("{} {}", &text[..place], &text[place..]);
        assert!(key_log::check(&longer, &chain).is_err(), "longer at {place}");
    }
    for line in 0..text.lines().count() {
        let without: Vec<_> = text.lines().enumerate().filter(|(n, _)| *n != line).map(|(_, line)| line).collect();
        assert!(key_log::check(&without.join("\n"), &chain).is_err(), "without line {line}");
    }
}

#[test]
fn bad_input_is_told_apart() {
    let history = History::new(1);
    let (text, chain) = (history.text(6), history.chain(6));
    let check = |text: &str| key_log::check(text, &chain).unwrap_err();
    for bad in ["", "\n", "hello", "{}", "\u{1f426}", &"x".repeat(5 << 20)] {
        assert!(matches!(check(bad), KeyLogError::Format(_)));
        assert!(matches!(key_log::claimed_account(bad), Err(KeyLogError::Format(_))));
    }
    assert_eq!(check(&text.replace("key log 1", "key log 2")), KeyLogError::TooNew);
    assert_eq!(check(&History::new(2).text(6)), KeyLogError::Account);
    assert_eq!(check(&text.replace("Name: alice", "Name: malice")), KeyLogError::Differs(3));
    assert_eq!(check(&text.replace("device keys rotated", "device keys repeated")), KeyLogError::Differs(12));
    assert_eq!(check(&text.replace("Entries: 6", "Entries: 7")), KeyLogError::Longer(5));
    assert!(matches!(check(&text.replace("Entries: 6", "Entries: 0")), KeyLogError::Format(_)));
    assert!(matches!(check(&text.replace("Entries: 6", "Entries: 06")), KeyLogError::Format(_)));
    // One entry fewer: the list goes on where the signature should begin.
    assert!(matches!(check(&text.replace("Entries: 6", "Entries: 5")), KeyLogError::Signer | KeyLogError::Differs(_)));
    // A device that is in the chain, and not in force at that place.
    let revoked = text.replacen(&format!("Device: {}", "03".repeat(16)), &format!("Device: {}", "02".repeat(16)), 1);
    assert_eq!(check(&revoked), KeyLogError::Signer);
    assert_eq!(check(&text.replace("Key version: 1", "Key version: 2")), KeyLogError::Signer);
    // Another time of export is of the right form: only the signature tells.
    assert_eq!(check(&text.replace("Exported: 2026", "Exported: 2025")), KeyLogError::Signature);
}

#[test]
fn keys_that_are_not_in_force_sign_nothing() {
    let history = History::new(1);
    // Revoked by the recovery.
    assert_eq!(key_log::write(&history.chain(6), &keys(1, 2), NOW), None);
    // Not stated yet.
    assert_eq!(key_log::write(&history.chain(1), &keys(1, 2), NOW), None);
    // Another key under a number that the chain knows.
    let other = DeviceKeys::new(DeviceId::from_bytes([3; 16]), 1, DeviceSeeds::generate(&mut rng(99))).unwrap();
    assert_eq!(key_log::write(&history.chain(6), &other, NOW), None);
}

/// A chain takes any text for its relay; a list of lines does not.
#[test]
fn a_relay_of_two_lines_has_no_text() {
    let (key, phrase) = (AccountKey::generate(&mut rng(1)), RecoveryPhrase::generate(&mut rng(2)).recovery_key());
    let account = AccountId::from_bytes([7; 16]);
    let entry = statement::create(account, "relay\nAccount key: none", None, &key, &phrase, &keys(1, 1), 1);
    let chain = VerifiedChain::verify(&[entry.as_bytes()]).unwrap();
    assert_eq!(key_log::write(&chain, &keys(1, 1), NOW), None);
    let entry = statement::create(account, "relay", None, &key, &phrase, &keys(1, 1), 1);
    let chain = VerifiedChain::verify(&[entry.as_bytes()]).unwrap();
    let text = key_log::write(&chain, &keys(1, 1), NOW).unwrap();
    assert!(text.contains("\nName: (private)\n"));
    assert!(key_log::check(&text, &chain).is_ok());
}
