//! Why an envelope cannot be made or opened.

use waxwing_wire::{DecodeError, DeviceId};

/// Why an envelope was not made. All are faults of the caller, except [`SealError::RecipientKey`] (the recipient's).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// No recipient.
    #[error("an envelope needs a recipient")]
    NoRecipient,
    /// An inbox envelope has exactly one recipient.
    #[error("an inbox envelope has exactly one recipient")]
    NotOneRecipient,
    /// More recipients than wraps are allowed.
    #[error("an envelope has at most {} recipients", waxwing_wire::limits::MAX_WRAPS)]
    TooManyRecipients,
    /// A device is named twice.
    #[error("a device is named twice")]
    DuplicateRecipient,
    /// A log envelope must be sealed to the sending device too: it hides who sent.
    #[error("the sending device is not among the recipients")]
    OwnDeviceMissing,
    /// The kind does not fit the tag key, the log and the epoch: log kinds need a tag key, inbox kinds have none of the three.
    #[error("the kind does not fit where the envelope goes")]
    Place,
    /// Anything but app content needs the suite X-Wing.
    #[error("this kind needs the suite X-Wing")]
    SuiteNotAllowed,
    /// The recipient's public key is not a usable one (not a key, or of low order).
    #[error("a recipient's key is not usable")]
    RecipientKey {
        /// Whose.
        device: DeviceId,
    },
    /// The envelope would be longer than allowed.
    #[error("the content is too long")]
    TooLong,
}

/// Why an envelope was not opened. No variant tells the network anything: nothing is answered to an envelope, except
/// that [`OpenError::SealedToErasedKey`] is answered by chain entries that are public.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It is not an envelope.
    #[error("not an envelope: {0}")]
    Malformed(#[from] DecodeError),
    /// A version, suite, kind or flag that this program does not know. Fails closed.
    #[error("an envelope of an unknown {0}")]
    Unsupported(&'static str),
    /// Another id than the relay's.
    #[error("the envelope has another id than its entry")]
    WrongId,
    /// Another kind than the relay's, or one that does not travel there.
    #[error("the envelope is of another kind than its entry")]
    WrongKind,
    /// The signed log is not the log that it came from: replayed, or reflected.
    #[error("the envelope belongs elsewhere")]
    WrongLog,
    /// Anything but app content in suite X25519.
    #[error("this kind needs the suite X-Wing")]
    SuiteNotAllowed,
    /// An inbox envelope with other than one wrap.
    #[error("an inbox envelope has exactly one wrap")]
    WrapCount,
    /// No wrap for this device's keys.
    #[error("the envelope is not for this device")]
    NotForMe,
    /// A wrap for a key version that was erased. Answered with the newest own chain entries.
    #[error("the envelope is sealed to an erased key")]
    SealedToErasedKey {
        /// Which version.
        key_version: u32,
    },
    /// Decryption failed: wrap, commitment, sender box or body, indistinguishably (P8).
    #[error("the envelope cannot be decrypted")]
    Cryptographic,
    /// The record to verify with is not the claimed device's or not of the claimed version.
    #[error("these are not the claimed sender's keys")]
    WrongSender,
    /// The sender's signature does not hold.
    #[error("the sender's signature does not hold")]
    BadSignature,
}
