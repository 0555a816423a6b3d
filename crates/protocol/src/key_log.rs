//! Key log: an account's chain as a signed text, to be kept or compared elsewhere (docs/protocol.md, "Key log").
//!
//! The text is made from a verified chain alone, and checked by making it again: what is not byte for byte what the chain gives is
//! refused, and the signature covers every line. Not here: where the chain comes from, what a reader is told (the front ends).

mod entry;
mod utc;

use ed25519_dalek::Signer as _;
use waxwing_wire::ids::{from_hex, to_hex};
use waxwing_wire::{AccountId, DeviceId, VerifiedChain, signature, signing_input};

pub use entry::KeyLogEntry;
pub use utc::civil_date;

use crate::device_keys::DeviceKeys;
use crate::fingerprint::{account_fingerprint, fingerprint_text};

const TITLE: &str = "Waxwing key log 1";
const BEGIN: &str = "-----BEGIN WAXWING SIGNATURE-----";
const END: &str = "-----END WAXWING SIGNATURE-----";
/// Context of the signature.
const CONTEXT: &str = "key log";
/// A chain of the greatest length gives less than half of this.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// What a text that was checked says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyLog {
    /// Whose chain.
    pub account: AccountId,
    /// Number of the newest entry that it lists.
    pub seq: u32,
    /// The device that signed it.
    pub device: DeviceId,
    /// Version of the signing key.
    pub key_version: u32,
    /// When, by that device's clock: `2026-11-26T09:30:00.123Z`.
    pub exported: String,
}

/// Why a text is no key log of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyLogError {
    /// It is no key log, or not a whole one.
    #[error("this is no key log: {0}")]
    Format(&'static str),
    /// It is of a later version of the format.
    #[error("the key log is of a later version")]
    TooNew,
    /// It is of another account's chain.
    #[error("the key log is of another account")]
    Account,
    /// It lists entries that the chain does not have (yet).
    #[error("the key log lists entries after {0}, the newest of the chain")]
    Longer(u32),
    /// This line (from 1) is not what the chain gives.
    #[error("line {0} is not what the chain says")]
    Differs(usize),
    /// The chain states no such device and version at that place.
    #[error("the key log is signed by a device that the chain does not have in force")]
    Signer,
    /// The signature does not hold.
    #[error("the signature of the key log does not hold")]
    Signature,
}

/// All that a text says before its list.
struct Head {
    account: AccountId,
    device: DeviceId,
    key_version: u32,
    exported: String,
    entries: u32,
}

/// The chain as text, signed with the device's signing key. None if these keys are not in the chain.
#[must_use]
pub fn write(chain: &VerifiedChain, keys: &DeviceKeys, exported_ms: u64) -> Option<String> {
    let head = Head {
        account: chain.account(),
        device: keys.device(),
        key_version: keys.key_version(),
        exported: utc::text(exported_ms),
        entries: chain.seq().checked_add(1)?,
    };
    let record = signer(chain, &head).ok()?;
    let signing = keys.signing();
    if record != signing.verifying_key().to_bytes() {
        return None;
    }
    let mut text = body(chain, &head)?;
    let signature = to_hex(&signing.sign(&signing_input(CONTEXT, text.as_bytes())).to_bytes());
    let (first, second) = signature.split_at(64);
    text.push_str(&format!("{BEGIN}\n{first}\n{second}\n{END}\n"));
    Some(text)
}

/// Whose chain a text says it is of. Nothing is checked.
pub fn claimed_account(text: &str) -> Result<AccountId, KeyLogError> {
    let text = plain(text)?;
    Ok(Head::parse(&text)?.account)
}

/// Checks a text against the chain of the account that it names. The chain may have grown since; it must not be shorter.
pub fn check(text: &str, chain: &VerifiedChain) -> Result<KeyLog, KeyLogError> {
    let text = plain(text)?;
    let head = Head::parse(&text)?;
    if head.account != chain.account() {
        return Err(KeyLogError::Account);
    }
    let seq = head.entries.checked_sub(1).ok_or(KeyLogError::Format("it lists nothing"))?;
    if seq > chain.seq() {
        return Err(KeyLogError::Longer(chain.seq()));
    }
    let signing = signer(chain, &head)?;
    let signed = body(chain, &head).ok_or(KeyLogError::Format("its chain has no such text"))?;
    let (given, block) = text.split_at_checked(signed.len()).unwrap_or((&text, ""));
    if given != signed {
        let same = signed.lines().zip(text.lines()).take_while(|(ours, theirs)| ours == theirs).count();
        return Err(KeyLogError::Differs(same + 1));
    }
    let signature = signature_of(block).ok_or(KeyLogError::Format("its signature block is not whole"))?;
    signature::verify(&signing, CONTEXT, signed.as_bytes(), &signature).map_err(|_| KeyLogError::Signature)?;
    let Head { account, device, key_version, exported, .. } = head;
    Ok(KeyLog { account, seq, device, key_version, exported })
}

/// What each entry of a chain has done, from the first on.
pub fn entries(chain: &VerifiedChain) -> impl DoubleEndedIterator<Item = KeyLogEntry<'_>> {
    chain.events().iter().map(|event| KeyLogEntry::of(chain, event))
}

/// Line ends as they were written; a file may have been through other systems.
fn plain(text: &str) -> Result<String, KeyLogError> {
    if text.len() > MAX_BYTES {
        return Err(KeyLogError::Format("it is too long"));
    }
    Ok(text.replace("\r\n", "\n"))
}

impl Head {
    fn parse(text: &str) -> Result<Self, KeyLogError> {
        let mut lines = text.lines();
        let title = lines.next().unwrap_or_default();
        if title != TITLE {
            let later = title.starts_with("Waxwing key log ");
            return Err(if later { KeyLogError::TooNew } else { KeyLogError::Format("its first line") });
        }
        let mut field = |name: &'static str| {
            let value = lines.next().and_then(|line| line.strip_prefix(name)).and_then(|rest| rest.strip_prefix(": "));
            value.ok_or(KeyLogError::Format(name))
        };
        let account = field("Account")?.parse().map_err(|_| KeyLogError::Format("Account"))?;
        for name in ["Name", "Relay", "Account key"] {
            field(name)?;
        }
        let device = field("Device")?.parse().map_err(|_| KeyLogError::Format("Device"))?;
        let key_version = number(field("Key version")?).ok_or(KeyLogError::Format("Key version"))?;
        let exported = field("Exported")?.to_owned();
        if !utc::is_canonical(&exported) {
            return Err(KeyLogError::Format("Exported"));
        }
        let entries = number(field("Entries")?).ok_or(KeyLogError::Format("Entries"))?;
        Ok(Self { account, device, key_version, exported, entries })
    }
}

/// A decimal number as this module writes it: no sign, no leading zero.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number: &u32| number.to_string() == text)
}

/// The signing key that the head names, if it was in force at the place where the list ends.
fn signer(chain: &VerifiedChain, head: &Head) -> Result<[u8; 32], KeyLogError> {
    let seq = head.entries.saturating_sub(1);
    let device = chain.past_device(head.device).filter(|device| device.in_force_at(seq));
    let version = device.and_then(|device| device.version(head.key_version)).filter(|version| version.seq <= seq);
    version.map(|version| version.record.signing).ok_or(KeyLogError::Signer)
}

/// Everything that is signed. None for an origin that would be more than one line: the chain itself takes any text.
fn body(chain: &VerifiedChain, head: &Head) -> Option<String> {
    let account_key = chain.keys_at(head.entries.checked_sub(1)?)?.account_key;
    if chain.log_origin().chars().any(char::is_control) {
        return None;
    }
    let mut text = format!(
        "{TITLE}\nAccount: {}\nName: {}\nRelay: {}\nAccount key: {}\nDevice: {}\nKey version: {}\nExported: {}\nEntries: {}\n\n",
        head.account,
        chain.name().map_or("(private)", |name| name.as_str()),
        chain.log_origin(),
        fingerprint_text(&account_fingerprint(account_key)),
        head.device,
        head.key_version,
        head.exported,
        head.entries,
    );
    for entry in entries(chain).take(head.entries as usize) {
        text.push_str(&entry.line());
        text.push('\n');
    }
    text.push('\n');
    Some(text)
}

fn signature_of(block: &str) -> Option<[u8; 64]> {
    let rest = block.strip_prefix(BEGIN)?.strip_prefix('\n')?;
    let (first, rest) = rest.split_once('\n')?;
    let (second, rest) = rest.split_once('\n')?;
    let end = rest.strip_prefix(END)?;
    // A line break more or less at the end is what editors make of it.
    if !matches!(end, "" | "\n") || first.len() != 64 {
        return None;
    }
    from_hex(&[first, second].concat())
}
