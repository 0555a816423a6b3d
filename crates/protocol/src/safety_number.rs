//! Safety number: what two people compare to know that nobody stands between them (design section 4).
//!
//! Signal's method (numeric fingerprint, version 0): 5,200 rounds of SHA-512 over account id and account key give 30 digits for each side,
//! and the two halves are sorted, so that both people read the same 60 digits. Beside them a text for QR codes, which carries more of
//! the two hashes.
//!
//! Not here: whose keys these are (`waxwing_wire::VerifiedChain`), and what follows from a comparison (`waxwing-client`).

use sha2::{Digest as _, Sha512};
use waxwing_wire::api::base64url;
use waxwing_wire::{AccountId, Reader, Writer, hash, label};

/// Rounds of SHA-512 for each side: they make it dear to search for a key whose digits look alike.
const ROUNDS: usize = 5200;
/// Of the method.
const VERSION: [u8; 2] = [0, 0];
/// A side's digits: groups of five, from five bytes each.
const GROUPS: usize = 6;
const GROUP: usize = 5;
/// Digits of both sides.
const DIGITS: usize = 2 * GROUPS * GROUP;
/// How much of a side's hash a QR code carries.
const SIDE: usize = 32;
/// First byte of what a QR code carries.
const PAYLOAD_VERSION: u8 = 1;
const CHECKSUM: usize = 4;
const SCHEME: &str = "waxwing-safety:";
/// Longest text that is looked at, in bytes: far more than either form with white space in it.
const MAX_TEXT: usize = 1024;

/// One side's half, before it is cut to digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 64]);

impl Fingerprint {
    /// Of an account under its account key. Takes 5,200 rounds of SHA-512: some milliseconds.
    #[must_use]
    pub fn new(account: AccountId, account_key: &[u8; 32]) -> Self {
        let first = Sha512::new().chain_update(VERSION).chain_update(account_key).chain_update(account.as_bytes());
        let mut digest: [u8; 64] = first.chain_update(account_key).finalize().into();
        for _ in 1..ROUNDS {
            digest = Sha512::new().chain_update(digest).chain_update(account_key).finalize().into();
        }
        Self(digest)
    }

    /// 30 digits: of each five bytes the number that they are, modulo 100,000.
    fn digits(&self) -> String {
        let groups = self.0.chunks_exact(GROUP).take(GROUPS);
        groups.map(|five| five.iter().fold(0, |number: u64, byte| (number << 8) | u64::from(*byte)) % 100_000).fold(
            String::with_capacity(GROUPS * GROUP),
            |mut digits, number| {
                digits.push_str(&format!("{number:05}"));
                digits
            },
        )
    }

    fn side(&self) -> [u8; SIDE] {
        self.0.first_chunk().copied().unwrap_or_default()
    }
}

/// What came of comparing with what the other person's app shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Both apps have the same keys for both people.
    Match,
    /// They have not: somebody may stand between, or one of the two has not seen the newest keys.
    Mismatch,
    /// It is of two other people: one's own code, or that of somebody else whom one knows.
    NotForThisConversation,
    /// It is neither sixty digits nor a code that can be read.
    Damaged,
}

/// The safety number of two accounts, as one of them has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SafetyNumber {
    own: Fingerprint,
    theirs: Fingerprint,
}

impl SafetyNumber {
    /// Of one's own side and the other one's.
    #[must_use]
    pub fn new(own: Fingerprint, theirs: Fingerprint) -> Self {
        Self { own, theirs }
    }

    /// 60 digits, the same for both people.
    #[must_use]
    pub fn digits(&self) -> String {
        let (own, theirs) = (self.own.digits(), self.theirs.digits());
        if own <= theirs { own + &theirs } else { theirs + &own }
    }

    /// The digits as 12 groups of five.
    #[must_use]
    pub fn groups(&self) -> Vec<String> {
        let digits: Vec<char> = self.digits().chars().collect();
        digits.chunks(GROUP).map(|group| group.iter().collect()).collect()
    }

    /// What a QR code of it carries: `waxwing-safety:` and base64url of `1 | own 32 | theirs 32 | checksum 4`.
    #[must_use]
    pub fn payload(&self) -> String {
        let mut bytes = Writer::new().u8(PAYLOAD_VERSION).bytes(&self.own.side()).bytes(&self.theirs.side()).finish();
        let check = checksum(&bytes);
        bytes.extend_from_slice(&check);
        format!("{SCHEME}{}", base64url::encode(&bytes))
    }

    /// Compares with what the other person's app shows: its QR code's text, or the digits. White space does not matter, nor do hyphens
    /// between digits.
    ///
    /// `others` are the sides of other people whom the user knows: what is theirs is told apart. Whatever is of nobody known is a
    /// mismatch, since it is what somebody who stands between would make the two apps show.
    #[must_use]
    pub fn compare(&self, shown: &str, others: &[Fingerprint]) -> Comparison {
        if shown.len() > MAX_TEXT {
            return Comparison::Damaged;
        }
        let text: String = shown.split_whitespace().collect();
        match text.get(..SCHEME.len()) {
            Some(scheme) if scheme.eq_ignore_ascii_case(SCHEME) => {
                self.compare_payload(text.get(SCHEME.len()..).unwrap_or_default(), others)
            }
            _ => self.compare_digits(&text, others),
        }
    }

    fn compare_payload(&self, payload: &str, others: &[Fingerprint]) -> Comparison {
        let Some((first, second)) = read(payload) else { return Comparison::Damaged };
        // Each app puts its own side first. A code held against itself says nothing.
        if (first, second) == (self.theirs.side(), self.own.side()) {
            Comparison::Match
        } else if first == self.own.side() || others.iter().any(|other| other.side() == first) {
            Comparison::NotForThisConversation
        } else {
            Comparison::Mismatch
        }
    }

    fn compare_digits(&self, text: &str, others: &[Fingerprint]) -> Comparison {
        let digits: String = text.chars().filter(|letter| *letter != '-').collect();
        if digits.len() != DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Comparison::Damaged;
        }
        if digits == self.digits() {
            return Comparison::Match;
        }
        let with = |other: &Fingerprint| Self::new(self.own, *other).digits();
        if others.iter().any(|other| with(other) == digits) {
            Comparison::NotForThisConversation
        } else {
            Comparison::Mismatch
        }
    }
}

/// The two sides of a code, that of whose app shows it first.
fn read(payload: &str) -> Option<([u8; SIDE], [u8; SIDE])> {
    let bytes = base64url::decode(payload)?;
    let (fields, check) = bytes.split_last_chunk::<CHECKSUM>()?;
    // A slip of the hand must not look like an attack.
    if checksum(fields) != *check {
        return None;
    }
    let mut reader = Reader::new(fields);
    if reader.u8("version").ok()? != PAYLOAD_VERSION {
        return None;
    }
    let sides = (reader.array("first side").ok()?, reader.array("second side").ok()?);
    reader.finish("safety number").ok()?;
    Some(sides)
}

/// First 4 bytes of `H(label("safety number") || bytes)`: finds accidents, not attackers.
fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let [a, b, c, d, ..] = hash(&[&label("safety number"), bytes]);
    [a, b, c, d]
}
