//! Recovery phrase: 24 English words (BIP 39) that give the recovery key (design sections 2 and 4).

use std::fmt;

use bip39::{Language, Mnemonic};
use waxwing_wire::label;
use zeroize::{Zeroize as _, Zeroizing};

use crate::kdf;
use crate::recovery_key::RecoveryKey;

const WORDS: usize = 24;

/// 256 bits of entropy, shown as 24 words. The last word carries an 8-bit checksum.
pub struct RecoveryPhrase(Box<Zeroizing<[u8; 32]>>);

/// Why a text is no recovery phrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PhraseError {
    /// It has this many words.
    #[error("the phrase has {0} words, not 24")]
    WordCount(usize),
    /// A word is not in the list.
    #[error("word {place} is not in the list")]
    UnknownWord {
        /// Which, from 1.
        place: usize,
    },
    /// All words are in the list; one of them, or their order, is wrong.
    #[error("the words do not fit together: one is wrong, or their order is")]
    Checksum,
}

impl RecoveryPhrase {
    /// A fresh one from `rng`.
    #[must_use]
    pub fn generate(rng: &mut impl rand_core::CryptoRng) -> Self {
        let mut entropy = Zeroizing::new([0; 32]);
        rng.fill_bytes(entropy.as_mut_slice());
        Self::from_entropy(&entropy)
    }

    /// The phrase of this entropy.
    #[must_use]
    pub fn from_entropy(entropy: &[u8; 32]) -> Self {
        let mut boxed = Box::new(Zeroizing::new([0; 32]));
        boxed.copy_from_slice(entropy);
        Self(boxed)
    }

    /// Reads what a person typed: letter case and the amount of space between words do not matter.
    pub fn parse(text: &str) -> Result<Self, PhraseError> {
        let text = Zeroizing::new(text.to_lowercase());
        let count = text.split_whitespace().count();
        if count != WORDS {
            return Err(PhraseError::WordCount(count));
        }
        let mnemonic = Mnemonic::parse_in_normalized(Language::English, &text).map_err(|error| match error {
            bip39::Error::UnknownWord(index) => PhraseError::UnknownWord { place: index + 1 },
            bip39::Error::BadWordCount(count) => PhraseError::WordCount(count),
            _ => PhraseError::Checksum,
        })?;
        let (mut bytes, len) = mnemonic.to_entropy_array();
        let entropy = bytes.first_chunk::<32>().filter(|_| len == 32).map(Self::from_entropy);
        bytes.zeroize();
        entropy.ok_or(PhraseError::Checksum)
    }

    /// The 24 words, in order.
    #[must_use]
    pub fn words(&self) -> Vec<&'static str> {
        // 32 bytes are a valid entropy size (BIP 39), so there is always a mnemonic.
        Mnemonic::from_entropy_in(Language::English, self.0.as_slice())
            .map(|mnemonic| mnemonic.words().collect())
            .unwrap_or_default()
    }

    /// The entropy: secret.
    #[must_use]
    pub fn entropy(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::clone(&self.0)
    }

    /// The recovery key: Ed25519 with the seed `HKDF-SHA256(salt = label("recovery"), ikm = entropy, info = "ed25519", 32)`.
    ///
    /// BIP 39's own PBKDF2 is for phrases of human choice; these 256 bits are uniform.
    #[must_use]
    pub fn recovery_key(&self) -> RecoveryKey {
        let prk = kdf::extract(&label("recovery"), self.0.as_slice());
        RecoveryKey::from_seed(&kdf::expand(&prk, &[b"ed25519"]))
    }
}

impl fmt::Debug for RecoveryPhrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryPhrase(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_back() {
        let phrase = RecoveryPhrase::from_entropy(&[0x80; 32]);
        let words = phrase.words();
        assert_eq!(words.len(), 24);
        // The vector for this entropy in BIP 39's own list.
        assert_eq!(words[..3], ["letter", "advice", "cage"]);
        assert_eq!(words[23], "bless");
        let typed = format!("  {}\n", words.join("  ").to_uppercase());
        let read = RecoveryPhrase::parse(&typed).unwrap();
        assert_eq!(*read.entropy(), [0x80; 32]);
        assert_eq!(read.recovery_key().public(), phrase.recovery_key().public());
    }

    #[test]
    fn each_mistake_is_named() {
        let words = RecoveryPhrase::from_entropy(&[1; 32]).words();
        let parse = |words: &[&str]| RecoveryPhrase::parse(&words.join(" ")).map(|_| ());
        assert_eq!(parse(&words[1..]), Err(PhraseError::WordCount(23)));
        assert_eq!(parse(&[]), Err(PhraseError::WordCount(0)));
        let mut wrong = words.clone();
        wrong[6] = "waxwing";
        assert_eq!(parse(&wrong), Err(PhraseError::UnknownWord { place: 7 }));
        let mut swapped = words.clone();
        swapped.swap(0, 23);
        assert_ne!(swapped, words);
        assert_eq!(parse(&swapped), Err(PhraseError::Checksum));
    }

    /// The recovery key of a phrase must never change: people keep the words on paper.
    #[test]
    fn derivation_is_stable() {
        let phrase = RecoveryPhrase::from_entropy(&[0; 32]);
        assert_eq!(phrase.words().join(" "), format!("{}art", "abandon ".repeat(23)));
        assert_eq!(
            hex::encode(phrase.recovery_key().public()),
            "8a92bb2bcb10d5758d0fae956dbb280a9dc6f5c8459a8e181b12e9244b9968a8"
        );
    }
}
