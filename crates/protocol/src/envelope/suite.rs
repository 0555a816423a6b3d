//! Suite: how the message key is wrapped.

use waxwing_wire::log::EnvelopeKind;

use super::{AEAD_TAG, kem};

/// HPKE base mode (RFC 9180) with HKDF-SHA256 and ChaCha20-Poly1305, under one of two KEMs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Suite {
    /// DHKEM(X25519, HKDF-SHA256), 0x0020: for app content alone.
    X25519 = 1,
    /// X-Wing (ML-KEM-768 and X25519), 0x647a: stays closed to a quantum computer.
    XWing = 2,
}

impl Suite {
    /// Reads the byte on the wire.
    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        [Self::X25519, Self::XWing].into_iter().find(|suite| *suite as u8 == byte)
    }

    /// Whether envelopes of this kind may use it: anything but app content needs X-Wing.
    #[must_use]
    pub fn allows(self, kind: EnvelopeKind) -> bool {
        self == Self::XWing || kind == EnvelopeKind::App
    }

    /// Bytes of an encapsulated key.
    pub(super) fn enc_len(self) -> usize {
        match self {
            Self::X25519 => kem::X25519_ENC,
            Self::XWing => kem::XWING_ENC,
        }
    }

    /// Bytes of a wrap: `tag 8 | enc | ct 48`.
    #[must_use]
    pub fn wrap_len(self) -> usize {
        8 + self.enc_len() + 32 + AEAD_TAG
    }
}
