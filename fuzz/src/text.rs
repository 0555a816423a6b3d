//! What people type or paste, and tokens.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::LazyLock;

use waxwing_protocol::{Comparison, Fingerprint, Link, RecoveryPhrase, SafetyNumber, key_log};
use waxwing_wire::api::base64url;
use waxwing_wire::token::{AccessToken, Assertion, DpopProof};
use waxwing_wire::{
    AccountAddress, AccountId, BlobId, ChainEntry, DeviceId, EnvelopeId, LogId, MessageId, RelayAddress, Username,
    VerifiedChain,
};

use crate::people::{Person, chain_entries};

/// Ids, user names, addresses, base64url.
pub fn names(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    one_spelling::<AccountId>(text);
    one_spelling::<BlobId>(text);
    one_spelling::<DeviceId>(text);
    one_spelling::<EnvelopeId>(text);
    one_spelling::<LogId>(text);
    one_spelling::<MessageId>(text);
    one_spelling::<Username>(text);
    settles::<RelayAddress>(text);
    settles::<AccountAddress>(text);
    if let Ok(relay) = text.parse::<RelayAddress>() {
        // Plain HTTP is for this computer alone.
        assert!(relay.base_url().starts_with("https://") || (relay.is_loopback() && relay.pin().is_none()));
        assert_eq!(relay.authority().parse::<RelayAddress>().map(|relay| relay.authority()), Ok(relay.authority()));
    }
    if let Some(decoded) = base64url::decode(text) {
        assert_eq!(base64url::encode(&decoded), text);
    }
}

/// A text that is read is the one that is written.
fn one_spelling<T: FromStr + Display>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string(), text);
    }
}

/// Hosts are read in any letter case and written in one: the written text must be read back as the same.
fn settles<T: FromStr<Err: std::fmt::Debug> + Display + PartialEq + std::fmt::Debug>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let written = value.to_string();
        assert_eq!(written.parse::<T>().as_ref().ok(), Some(&value));
        assert!(written.eq_ignore_ascii_case(text) || text.contains('['), "{text} became {written}");
    }
}

/// A safety number as the two people have it. Thousands of hashes: made once.
pub(crate) fn numbers() -> [SafetyNumber; 2] {
    static SIDES: LazyLock<[Fingerprint; 2]> =
        LazyLock::new(|| [1, 2].map(|one| Fingerprint::new(AccountId::from_bytes([one; 16]), &[one; 32])));
    let [one, other] = *SIDES;
    [SafetyNumber::new(one, other), SafetyNumber::new(other, one)]
}

/// What is pasted beside a safety number: its own text matches, once it has been turned round, and nothing else does.
pub fn safety_number(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let [number, there] = numbers();
    let plain: String = text.split_whitespace().collect();
    if number.compare(text, &[]) == Comparison::Match && plain.replace('-', "") != there.digits() {
        // The scheme is read in any letter case.
        let payload = there.payload();
        let (scheme, code) = payload.split_at(15);
        assert!(plain.len() == payload.len() && plain[..15].eq_ignore_ascii_case(scheme) && &plain[15..] == code);
    }
}

/// An invite link, to a person or into a group. It is read leniently (white space, letter case in front) and written in one way.
pub fn invite(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(link) = Link::parse(text)
    {
        let written = match &link {
            Link::Person(invite) => invite.to_link(),
            Link::Group(invite) => invite.to_link(),
            Link::Device(code) => code.to_code().to_string(),
        };
        assert_eq!(Link::parse(&written).as_ref(), Ok(&link));
    }
}

/// An exported history of keys, against the chain that the seeds are of.
pub fn key_log(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let chain = people_chain();
    let claimed = key_log::claimed_account(text);
    if let Ok(log) = key_log::check(text, chain) {
        assert_eq!(claimed, Ok(log.account));
        // Line ends alone may differ from what is written.
        let plain = text.replace("\r\n", "\n");
        let written = format!("{}\n", plain.strip_suffix('\n').unwrap_or(&plain));
        assert_eq!(key_log::check(&written, chain), Ok(log));
        assert!(SIGNED.iter().any(|seq| Some(&written) == signed_log(*seq).as_ref()), "nobody has signed this");
    }
}

/// After which entries the seeds' chain was exported.
pub(crate) const SIGNED: [u32; 2] = [0, 1];
/// When.
const EXPORTED: u64 = 1_800_000_000_123;

fn people_chain() -> &'static VerifiedChain {
    static CHAIN: std::sync::LazyLock<VerifiedChain> = std::sync::LazyLock::new(|| verified(1));
    &CHAIN
}

/// Person 1's chain up to an entry.
fn verified(seq: u32) -> VerifiedChain {
    let entries = chain_entries();
    let bytes: Vec<_> = entries.iter().take(seq as usize + 1).map(ChainEntry::as_bytes).collect();
    VerifiedChain::verify(&bytes).expect("it is valid")
}

/// That chain as a text.
pub(crate) fn signed_log(seq: u32) -> Option<String> {
    key_log::write(&verified(seq), &Person::at(1, seq + 1).keys, EXPORTED)
}

/// A recovery phrase as typed.
pub fn recovery_phrase(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(phrase) = RecoveryPhrase::parse(text)
    {
        let words = phrase.words().join(" ");
        assert_eq!(text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" "), words);
        let again = RecoveryPhrase::parse(&words).map(|again| again.entropy());
        assert_eq!(again, Ok(phrase.entropy()));
    }
}

/// A token of each type, against the keys that the seeds are signed with.
pub fn token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let key = token_key().verifying_key().to_bytes();
    let _ = Assertion::peek(text);
    let _ = AccessToken::kid(text);
    let _ = AccessToken::ath(text);
    let accepted = [
        Assertion::verify(text, &key, AUDIENCE, NOW).is_ok(),
        AccessToken::verify(text, &key, AUDIENCE, NOW).is_ok(),
        DpopProof::verify(text, "POST", URL, None, NOW).is_ok(),
        DpopProof::verify(text, "POST", URL, Some(&AccessToken::ath("token")), NOW).is_ok(),
    ];
    // One token is of one type, and for one use.
    assert!(accepted.iter().filter(|accepted| **accepted).count() <= 1);
}

pub(crate) const AUDIENCE: &str = "https://waxwing.example";
pub(crate) const URL: &str = "https://waxwing.example/oauth/token";
pub(crate) const NOW: u64 = 1_800_000_000;

/// Signs the seeds.
pub(crate) fn token_key() -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[0x70; 32])
}
