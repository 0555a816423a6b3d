//! Safety numbers: against a second implementation written from docs/protocol.md, and as they must stay for ever.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use proptest::prelude::*;
use sha2::{Digest as _, Sha256, Sha512};
use waxwing_protocol::{Comparison, Fingerprint, SafetyNumber};
use waxwing_wire::AccountId;
use waxwing_wire::api::base64url;

const ADA: [u8; 16] = [0xa0; 16];
const BEA: [u8; 16] = [0x0b; 16];
const ADAS_KEY: [u8; 32] = [0x11; 32];
const BEAS_KEY: [u8; 32] = [0x22; 32];

/// Computed by `side` below, and by another program (Python's hashlib): never to change.
const DIGITS: &str = "01910 78788 17267 87626 83274 51401 43426 79270 28524 26702 50023 47412";
const ADAS_CODE: &str =
    "waxwing-safety:AY_wIuqCnD6MSOYoYlmPzPbYbcKOjGvfyucdSmLntFGSqPQld7Yebw2QZEsmOofT9b8QDMpIFXpSKnMiTZ8p1dK7qWy3";

/// Signal's numeric fingerprint, step by step.
fn side(account: &[u8; 16], key: &[u8; 32]) -> Vec<u8> {
    let mut bytes = vec![0, 0];
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(account);
    for _ in 0..5200 {
        bytes.extend_from_slice(key);
        bytes = Sha512::digest(&bytes).to_vec();
    }
    bytes
}

fn digits(side: &[u8]) -> String {
    let group = |at: usize| {
        let mut eight = [0; 8];
        eight[3..].copy_from_slice(&side[5 * at..5 * at + 5]);
        format!("{:05}", u64::from_be_bytes(eight) % 100_000)
    };
    (0..6).map(group).collect()
}

fn code(version: u8, own: &[u8], theirs: &[u8]) -> String {
    let bytes = [&[version], own, theirs].concat();
    let check = Sha256::digest([b"waxwing/1 safety number".as_slice(), &bytes].concat());
    format!("waxwing-safety:{}", base64url::encode(&[&bytes, &check[..4]].concat()))
}

fn of(account: [u8; 16], key: [u8; 32]) -> Fingerprint {
    Fingerprint::new(AccountId::from_bytes(account), &key)
}

fn ada() -> SafetyNumber {
    SafetyNumber::new(of(ADA, ADAS_KEY), of(BEA, BEAS_KEY))
}

fn bea() -> SafetyNumber {
    SafetyNumber::new(of(BEA, BEAS_KEY), of(ADA, ADAS_KEY))
}

#[test]
fn as_a_second_implementation_has_it() {
    let (adas, beas) = (side(&ADA, &ADAS_KEY), side(&BEA, &BEAS_KEY));
    let mut halves = [digits(&adas), digits(&beas)];
    halves.sort();
    assert_eq!(ada().digits(), halves.concat());
    assert_eq!(ada().payload(), code(1, &adas[..32], &beas[..32]));
    assert_eq!(bea().payload(), code(1, &beas[..32], &adas[..32]));
}

#[test]
fn as_it_always_was() {
    assert_eq!(ada().groups().join(" "), DIGITS);
    assert_eq!(bea().groups().join(" "), DIGITS);
    assert_eq!(ada().payload(), ADAS_CODE);
}

#[test]
fn twelve_groups_of_five() {
    let groups = ada().groups();
    assert_eq!(groups.len(), 12);
    assert!(groups.iter().all(|group| group.len() == 5 && group.bytes().all(|byte| byte.is_ascii_digit())));
    assert_eq!(groups.concat(), ada().digits());
}

#[test]
fn both_read_the_same_and_each_code_fits_the_other() {
    assert_eq!(ada().digits(), bea().digits());
    for (one, other) in [(ada(), bea()), (bea(), ada())] {
        assert_eq!(one.compare(&other.payload(), &[]), Comparison::Match);
        assert_eq!(one.compare(&other.digits(), &[]), Comparison::Match);
    }
    // As it comes out of a mail, or is typed from a sheet of paper.
    let payload = ada().payload();
    let (scheme, rest) = payload.split_at(15);
    let (head, tail) = rest.split_at(40);
    assert_eq!(bea().compare(&format!("  {}{head}\n {tail} ", scheme.to_uppercase()), &[]), Comparison::Match);
    assert_eq!(bea().compare(&format!(" {}\n", ada().groups().join("-")), &[]), Comparison::Match);
}

#[test]
fn p5_a_code_held_against_itself_is_no_match() {
    assert_eq!(ada().compare(&ada().payload(), &[]), Comparison::NotForThisConversation);
}

#[test]
fn p11_whoever_stands_between_is_a_mismatch() {
    let (mallory, with_ada) = (of(BEA, [0x33; 32]), of(ADA, [0x44; 32]));
    let fooled_ada = SafetyNumber::new(of(ADA, ADAS_KEY), mallory);
    let fooled_bea = SafetyNumber::new(of(BEA, BEAS_KEY), with_ada);
    // Between both, or before one of them only.
    for (one, other) in [(fooled_ada, fooled_bea), (fooled_ada, bea()), (ada(), fooled_bea)] {
        assert_eq!(one.compare(&other.payload(), &[]), Comparison::Mismatch);
        assert_eq!(one.compare(&other.digits(), &[]), Comparison::Mismatch);
        assert_eq!(other.compare(&one.payload(), &[]), Comparison::Mismatch);
    }
}

#[test]
fn somebody_elses_is_told_apart() {
    let (cem, me) = (of([0x0c; 16], [0x55; 32]), of(ADA, ADAS_KEY));
    let theirs = SafetyNumber::new(cem, me);
    assert_eq!(ada().compare(&theirs.payload(), &[cem]), Comparison::NotForThisConversation);
    assert_eq!(ada().compare(&theirs.digits(), &[cem]), Comparison::NotForThisConversation);
    // Of somebody who is not known it is what an attack looks like.
    assert_eq!(ada().compare(&theirs.payload(), &[]), Comparison::Mismatch);
    assert_eq!(ada().compare(&theirs.digits(), &[]), Comparison::Mismatch);
}

#[test]
fn damage_is_damage() {
    let good = bea().payload();
    assert_eq!(ada().compare(&good, &[]), Comparison::Match);
    let (own, theirs) = (side(&BEA, &BEAS_KEY), side(&ADA, &ADAS_KEY));
    let digits = ada().digits();
    let mut slip = good.clone().into_bytes();
    let last = slip.len() - 20;
    slip[last] = if slip[last] == b'A' { b'B' } else { b'A' };
    let damaged: &[&str] = &[
        "",
        "waxwing-safety:",
        "waxwing-safety:AAAA",
        "waxwing:AAAA",
        "12345",
        &digits[1..],
        &format!("{digits}0"),
        &digits.replace(digits.chars().next().unwrap(), "x"),
        &digits.replace(digits.chars().next().unwrap(), "٣"),
        &good[..good.len() - 1],
        &format!("{good}A"),
        &good.replace("waxwing-safety:", ""),
        &String::from_utf8(slip).unwrap(),
        // Another version; a field too many.
        &code(0, &own[..32], &theirs[..32]),
        &code(2, &own[..32], &theirs[..32]),
        &code(1, &own[..33], &theirs[..32]),
        &"1 ".repeat(600),
    ];
    for text in damaged {
        assert_eq!(ada().compare(text, &[]), Comparison::Damaged, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_two_people_read_the_same(one: ([u8; 16], [u8; 32]), other: ([u8; 16], [u8; 32])) {
        let (mine, theirs) = (of(one.0, one.1), of(other.0, other.1));
        let (here, there) = (SafetyNumber::new(mine, theirs), SafetyNumber::new(theirs, mine));
        prop_assert_eq!(here.digits(), there.digits());
        prop_assert_eq!(here.digits().len(), 60);
        prop_assert_eq!(here.compare(&there.payload(), &[]), Comparison::Match);
    }

    #[test]
    fn any_other_key_or_id_changes_it(account: [u8; 16], key: [u8; 32], bit in 0..384_usize) {
        let (mut changed, mut with) = (account, key);
        match bit {
            0..128 => changed[bit / 8] ^= 1 << (bit % 8),
            _ => with[(bit - 128) / 8] ^= 1 << (bit % 8),
        }
        let (me, before, after) = (of(ADA, ADAS_KEY), of(account, key), of(changed, with));
        let (was, now) = (SafetyNumber::new(me, before), SafetyNumber::new(me, after));
        prop_assert_ne!(was.digits(), now.digits());
        prop_assert_eq!(now.compare(&SafetyNumber::new(before, me).payload(), &[]), Comparison::Mismatch);
    }

    #[test]
    fn nothing_that_is_pasted_stops_it(text in ".{0,200}", payload in "waxwing-safety:[A-Za-z0-9_-]{80,100}") {
        prop_assert_ne!(ada().compare(&text, &[]), Comparison::Match);
        prop_assert_ne!(ada().compare(&payload, &[]), Comparison::Match);
    }
}
