//! Signed notes (C2SP `signed-note`): text, a blank line, signature lines `— name base64(key id 4 || signature)`.
//!
//! One kind of signature: Ed25519 (type 0x01), checked strictly. It covers the bare text, as the standard has it, without
//! the label of [`crate::signature`]; the log key therefore signs nothing but notes (P4). Not here: what the text says
//! ([`super::Checkpoint`]), who holds the key.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use crate::ids::{from_hex, to_hex};
use crate::label::hash;
use crate::limits::{MAX_NOTE, MAX_NOTE_SIGNATURES, MAX_ORIGIN};

const TYPE_ED25519: u8 = 1;
/// An em dash and a space.
const LINE_START: &str = "\u{2014} ";

/// Why a note or a note key is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Longer than [`MAX_NOTE`].
    #[error("the note is too long")]
    TooLong,
    /// Not UTF-8, or with control characters.
    #[error("the note is not plain text")]
    Characters,
    /// The text, the blank line or the signatures are missing.
    #[error("the note is not laid out as text, blank line, signatures")]
    Layout,
    /// A signature line cannot be read.
    #[error("a signature line of the note cannot be read")]
    Line,
    /// More than [`MAX_NOTE_SIGNATURES`].
    #[error("the note has too many signatures")]
    TooManySignatures,
    /// Two signatures of one key.
    #[error("the note has two signatures of one key")]
    Duplicate,
    /// The expected key did not sign.
    #[error("the note is not signed by the expected key")]
    Unsigned,
    /// The expected key's signature does not hold.
    #[error("the note's signature does not hold")]
    Signature,
    /// A key's name is empty, too long, or has a space, a plus or a control character in it.
    #[error("not a name for a note key")]
    Name,
    /// Not a strong Ed25519 public key, or its text form is wrong.
    #[error("not a note key")]
    Key,
}

/// A public key that signs notes, and its name. As text: `name+key id in hexadecimal+base64(0x01 || public key)`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NoteKey {
    name: String,
    id: [u8; 4],
    public: VerifyingKey,
}

impl NoteKey {
    /// The key `public` under this name.
    ///
    /// # Errors
    ///
    /// [`NoteError::Name`], [`NoteError::Key`].
    pub fn new(name: &str, public: &[u8; 32]) -> Result<Self, NoteError> {
        if !is_name(name) {
            return Err(NoteError::Name);
        }
        let key = VerifyingKey::from_bytes(public).map_err(|_| NoteError::Key)?;
        if key.is_weak() {
            return Err(NoteError::Key);
        }
        let [a, b, c, d, ..] = hash(&[name.as_bytes(), b"\n", &[TYPE_ED25519], public]);
        Ok(Self { name: name.to_owned(), id: [a, b, c, d], public: key })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its id: the first 4 bytes of `SHA-256(name || 0x0A || 0x01 || public key)`.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// The Ed25519 public key.
    #[must_use]
    pub fn public(&self) -> &[u8; 32] {
        self.public.as_bytes()
    }

    /// The note of `text` with this key's signature and no other. Nothing is checked here; [`open_note`] does that.
    pub(super) fn assemble(&self, text: &str, signature: &[u8; 64]) -> String {
        let encoded = STANDARD.encode([self.id.as_slice(), signature].concat());
        format!("{text}\n{LINE_START}{} {encoded}\n", self.name)
    }
}

impl fmt::Display for NoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded = STANDARD.encode([&[TYPE_ED25519], self.public.as_bytes().as_slice()].concat());
        write!(f, "{}+{}+{encoded}", self.name, to_hex(&self.id))
    }
}

impl FromStr for NoteKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        // Base64 has plus signs too, the name has none.
        let (name, rest) = text.split_once('+').ok_or(NoteError::Key)?;
        let (id, encoded) = rest.split_once('+').ok_or(NoteError::Key)?;
        let id: [u8; 4] = from_hex(id).ok_or(NoteError::Key)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| NoteError::Key)?;
        let Some((&TYPE_ED25519, public)) = bytes.split_first() else {
            return Err(NoteError::Key);
        };
        let key = Self::new(name, public.try_into().map_err(|_| NoteError::Key)?)?;
        if key.id == id { Ok(key) } else { Err(NoteError::Key) }
    }
}

/// A note that the expected key signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenedNote<'a> {
    /// Its text, with the last newline.
    pub text: &'a str,
    /// The key's signature over the text.
    pub signature: [u8; 64],
}

/// Signs `text` under `name`.
///
/// # Errors
///
/// [`NoteError::Name`], and what [`open_note`] would refuse in the text.
pub fn sign_note(text: &str, name: &str, key: &SigningKey) -> Result<String, NoteError> {
    let public = NoteKey::new(name, key.verifying_key().as_bytes())?;
    let note = public.assemble(text, &key.sign(text.as_bytes()).to_bytes());
    match open_note(note.as_bytes(), &public) {
        Ok(opened) if opened.text == text => Ok(note),
        Ok(_) => Err(NoteError::Layout),
        Err(error) => Err(error),
    }
}

/// Reads a note and checks that `key` signed it, once. Signatures of other keys are passed over, but each must be well formed,
/// and no key may sign twice.
///
/// # Errors
///
/// See [`NoteError`].
pub fn open_note<'a>(note: &'a [u8], key: &NoteKey) -> Result<OpenedNote<'a>, NoteError> {
    if note.len() > MAX_NOTE {
        return Err(NoteError::TooLong);
    }
    let note = std::str::from_utf8(note).map_err(|_| NoteError::Characters)?;
    if note.contains(|c: char| c.is_control() && c != '\n') {
        return Err(NoteError::Characters);
    }
    let (text, lines) = split(note).ok_or(NoteError::Layout)?;
    let mut seen = Vec::new();
    let mut ours = None;
    for line in lines.split('\n') {
        if seen.len() == MAX_NOTE_SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        let line = Line::parse(line).ok_or(NoteError::Line)?;
        if seen.contains(&(line.name, line.id)) {
            return Err(NoteError::Duplicate);
        }
        seen.push((line.name, line.id));
        if line.name == key.name && line.id == key.id {
            ours = Some(line.signature);
        }
    }
    let signature = ours.ok_or(NoteError::Unsigned)?.try_into().map_err(|_| NoteError::Signature)?;
    key.public.verify_strict(text.as_bytes(), &Signature::from_bytes(&signature)).map_err(|_| NoteError::Signature)?;
    Ok(OpenedNote { text, signature })
}

/// The text, and the signature lines without the last newline. The last blank line parts them.
fn split(note: &str) -> Option<(&str, &str)> {
    let at = note.rfind("\n\n")?;
    let (text, lines) = (note.get(..=at)?, note.get(at + 2..)?);
    Some((text, lines.strip_suffix('\n')?))
}

/// One signature line.
struct Line<'a> {
    name: &'a str,
    id: [u8; 4],
    signature: Vec<u8>,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix(LINE_START)?.split_once(' ')?;
        let bytes = STANDARD.decode(encoded).ok()?;
        let (id, signature) = bytes.split_first_chunk::<4>()?;
        (is_name(name) && !signature.is_empty()).then(|| Self { name, id: *id, signature: signature.to_vec() })
    }
}

/// Not empty, no Unicode space, no plus; and no control character, and not long.
pub(super) fn is_name(name: &str) -> bool {
    let forbidden = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    (1..=MAX_ORIGIN).contains(&name.len()) && !name.contains(forbidden)
}
