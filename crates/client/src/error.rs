//! Every way the engine can fail. Rust classifies; the front end words (one sentence and one action for each code).
//!
//! The code says whose fault it is: the user's input, this computer, the relay, or the peer.

use serde::{Deserialize, Serialize};
use specta::Type;

/// What went wrong, as a front end words it. Exhaustive on purpose: a new code needs a new sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum ErrorCode {
    /// The user name breaks the rules (3 to 32 of a-z, 0-9, and `. _ -` between them).
    InvalidName,
    /// The user name is taken on this relay.
    NameTaken,
    /// The relay makes accounts by its operator's invitation, and none was given.
    InvitationNeeded,
    /// The relay does not take the invitation: it is unknown there, used up or too old.
    InvitationRefused,
    /// What was given is no invitation.
    InvalidInvitation,
    /// The relay makes no accounts.
    RegistrationClosed,
    /// The display name is empty or too long.
    InvalidDisplayName,
    /// The relay address cannot be read.
    InvalidAddress,
    /// What was pasted is neither an invite link nor `name@host[:port]`.
    InvalidLink,
    /// The link is of a newer version than this program.
    LinkTooNew,
    /// The link or address is one's own.
    OwnLink,
    /// The link goes into a group, where one to a person is wanted.
    GroupLink,
    /// The link goes to a person, where one into a group is wanted.
    PersonLink,
    /// The link into a group lets nobody in any more.
    LinkOff,
    /// The code links a device to an account, where an invite link is wanted.
    DeviceCode,
    /// What was given is no code for linking a device.
    NotADeviceCode,
    /// The code for linking a device is no longer valid, or nobody has confirmed in time.
    LinkExpired,
    /// The account's keys changed while a device was being linked: that takes a new code.
    LinkOvertaken,
    /// This device was removed from the account.
    DeviceRevoked,
    /// The account has as many devices as it may have (16).
    TooManyDevices,
    /// One is in that group already.
    AlreadyMember,
    /// The relay knows no such account.
    UnknownUser,
    /// The account is on another relay and can be reached by invite link only.
    OtherRelay,
    /// The text is longer than 64 KiB.
    TooLong,
    /// There is nothing to send.
    Empty,
    /// The relay cannot be reached.
    RelayDown,
    /// Something answers at that address, and it is not a Waxwing relay.
    NotARelay,
    /// The relay's certificate is not the expected one.
    WrongCertificate,
    /// By this computer's clock the relay's certificate has expired, or is not valid yet: the clock is off, or nobody has renewed the certificate.
    CertificateTime,
    /// The relay serves only those who show it a certificate, and there is none for it here.
    CertificateNeeded,
    /// The relay does not take the certificate that it was shown.
    CertificateRefused,
    /// The file with a certificate for a relay cannot be used, so it is not shown.
    CertificateUnusable,
    /// The relay wants a newer program.
    UpdateNeeded,
    /// The relay refuses for now: too many requests, or a quota is used up.
    RelayBusy,
    /// The relay is out of space or cannot write.
    RelayFull,
    /// The relay refused this device.
    Refused,
    /// The relay's operator has disabled the account.
    AccountDisabled,
    /// The relay answered something it must not (ours to report, not the user's to fix).
    RelayMisbehaved,
    /// The relay lost entries that it had accepted.
    RelayWentBack,
    /// This device has lost its place in a conversation, and waits to be let back in.
    LostPlace,
    /// The relay has no room left for a conversation: whoever is in it can fill it up. What is said waits until there is.
    LogFull,
    /// The chain of keys that the relay serves is broken, or does not contain what was pinned.
    ChainBroken,
    /// The relay's transparency log cannot be read, or is too old to prove anything.
    LogUnavailable,
    /// The relay's transparency log does not hold keys that the relay serves.
    NotInLog,
    /// The relay's transparency log states newer entries of somebody's chain than the relay shows: what it shows is not taken.
    NewerKeysHeldBack,
    /// The relay's transparency log gives a name to another account than the relay shows for it, or to none.
    NameOfAnother,
    /// The relay's transparency log contradicts itself, or what a link pins.
    LogContradicts,
    /// The relay holds an entry in the own chain that no own device has made.
    OwnKeysChanged,
    /// The relay's transparency log states newer entries of the own chain than the relay shows: nothing is signed behind the older ones.
    KeysHeldBack,
    /// The relay has taken an entry of the own chain, and its transparency log, as it was signed later, does not hold it: nobody else goes by it.
    KeysNotLogged,
    /// The account is being closed, and the relay has not said yet that it is: that goes on by itself.
    ClosingUnderWay,
    /// The account is closed, and its keys could not be erased from this computer yet.
    KeysLeft,
    /// Somebody whom the user had verified must be verified again, or no longer counted as verified, before anything is sent to them.
    VerifyAgain,
    /// The relay shows keys of somebody here that do not follow from those known, or keeps back newer ones: nothing is sent to them until it shows the right ones.
    KeysInDoubt,
    /// The safety number is not the one that was compared.
    SafetyNumberDiffers,
    /// This computer's clock differs from the relay's by more than 10 minutes.
    ClockWrong,
    /// The keychain is locked.
    KeychainLocked,
    /// There is no keychain on this computer.
    KeychainAbsent,
    /// The keychain has no item for this profile any more.
    KeychainChanged,
    /// The keychain's item does not open this profile's database.
    KeychainWrong,
    /// The passphrase is wrong.
    WrongPassphrase,
    /// The passphrase is too short (8 characters at least).
    WeakPassphrase,
    /// Another Waxwing has this profile open.
    AlreadyRunning,
    /// The database is damaged.
    DatabaseDamaged,
    /// The database is of a newer program.
    DatabaseTooNew,
    /// No space is left on this computer's disk.
    DiskFull,
    /// The profile's folder cannot be read or written.
    ProfileUnusable,
    /// The recovery phrase words do not match.
    WrongWords,
    /// A word is not in the list.
    UnknownWord,
    /// The text is no exported history of keys, or not a whole one.
    NotAKeyLog,
    /// The text is an exported history of keys that does not agree with the chain, or is not signed by it.
    KeyLogWrong,
    /// The exported history of keys is of somebody whose chain is not known here.
    KeyLogUnknown,
    /// The words are no recovery phrase: too few, too many, one wrong, or in another order.
    NotAPhrase,
    /// The recovery phrase is another account's.
    PhraseOfAnother,
    /// There is no such conversation or message.
    NotFound,
    /// The group's name is empty or too long.
    InvalidGroupName,
    /// Only an admin of the group may do this.
    NotAdmin,
    /// The group has as many people or devices as it may have.
    GroupFull,
    /// One has left this conversation, or was removed from it.
    NotMember,
    /// This device is in the group with keys that were erased while its request waited: it can say nothing there.
    LeafKeysErased,
    /// Somebody in the group, or to be added to it, has keys that cannot be used: this change of the group cannot be made.
    ChangeImpossible,
    /// The other person's devices have no keys ready to be added with.
    NoKeyPackage,
    /// The other person is blocked here.
    Blocked,
    /// An account exists in this profile already.
    AlreadyRegistered,
    /// There is no account in this profile yet.
    NotRegistered,
    /// The engine has been stopped.
    Stopped,
    /// A fault of this program.
    Internal,
}

/// An error, as it crosses to a front end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ErrorView {
    /// What went wrong.
    pub code: ErrorCode,
    /// Technical detail for a report; holds no secret and no message text.
    pub detail: String,
}

/// Why an engine call failed. Its text is technical and holds no secret, token or message text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Error {
    code: ErrorCode,
    detail: String,
}

impl Error {
    /// An error of this kind.
    pub(crate) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    /// What went wrong.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// As it crosses to a front end.
    #[must_use]
    pub fn view(&self) -> ErrorView {
        ErrorView { code: self.code, detail: self.detail.clone() }
    }
}

impl From<crate::mls::storage::StorageError> for Error {
    fn from(error: crate::mls::storage::StorageError) -> Self {
        match error {
            crate::mls::storage::StorageError::Database(error) => error.into(),
            other => Self::new(ErrorCode::Internal, other.to_string()),
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Sqlite;
        let code = match error.sqlite_error_code() {
            Some(Sqlite::DiskFull) => ErrorCode::DiskFull,
            Some(Sqlite::DatabaseCorrupt | Sqlite::NotADatabase) => ErrorCode::DatabaseDamaged,
            Some(Sqlite::CannotOpen | Sqlite::ReadOnly | Sqlite::PermissionDenied | Sqlite::SystemIoFailure) => {
                ErrorCode::ProfileUnusable
            }
            _ => ErrorCode::Internal,
        };
        // The message names statements and columns at most, never bound values.
        Self::new(code, format!("database: {error}"))
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        let code = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorCode::DiskFull,
            _ => ErrorCode::ProfileUnusable,
        };
        Self::new(code, format!("profile folder: {error}"))
    }
}

impl From<waxwing_wire::ChainError> for Error {
    fn from(error: waxwing_wire::ChainError) -> Self {
        Self::new(ErrorCode::ChainBroken, error.to_string())
    }
}

impl From<waxwing_protocol::KeyError> for Error {
    fn from(error: waxwing_protocol::KeyError) -> Self {
        Self::new(ErrorCode::KeychainWrong, error.to_string())
    }
}

impl From<crate::relay::ApiError> for Error {
    fn from(error: crate::relay::ApiError) -> Self {
        use crate::relay::{ApiError, OwnFault};
        use waxwing_wire::problem::ProblemCode;

        let code = match &error {
            ApiError::Unreachable(_) => ErrorCode::RelayDown,
            ApiError::Certificate(_) => ErrorCode::WrongCertificate,
            ApiError::CertificateTime(_) => ErrorCode::CertificateTime,
            ApiError::OwnCertificate { fault, .. } => match fault {
                OwnFault::Needed => ErrorCode::CertificateNeeded,
                OwnFault::Refused => ErrorCode::CertificateRefused,
                OwnFault::Unusable(_) => ErrorCode::CertificateUnusable,
            },
            ApiError::NotARelay(_) => ErrorCode::NotARelay,
            ApiError::Version(_) => ErrorCode::UpdateNeeded,
            ApiError::Malformed(_) => ErrorCode::RelayMisbehaved,
            ApiError::Problem(problem) => match problem.code {
                ProblemCode::NameTaken => ErrorCode::NameTaken,
                ProblemCode::RegistrationInviteRequired => ErrorCode::InvitationNeeded,
                ProblemCode::RegistrationClosed => ErrorCode::RegistrationClosed,
                ProblemCode::AccountDisabled => ErrorCode::AccountDisabled,
                ProblemCode::UnknownAccount => ErrorCode::UnknownUser,
                ProblemCode::RateLimited | ProblemCode::QuotaExceeded => ErrorCode::RelayBusy,
                ProblemCode::InsufficientStorage => ErrorCode::RelayFull,
                ProblemCode::Unavailable | ProblemCode::Timeout => ErrorCode::RelayDown,
                ProblemCode::UpdateNeeded => ErrorCode::UpdateNeeded,
                ProblemCode::TooLarge => ErrorCode::TooLong,
                ProblemCode::Unauthorized | ProblemCode::LogRefused | ProblemCode::InboxRefused => ErrorCode::Refused,
                _ => ErrorCode::RelayMisbehaved,
            },
        };
        Self::new(code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use waxwing_wire::problem::{Problem, ProblemCode};

    use super::*;
    use crate::relay::ApiError;

    /// A relay that refuses our version of the API, and one that only answers in another, are told in one way: please update.
    #[test]
    fn another_version_of_the_api_asks_for_an_update() {
        let refused: Problem =
            serde_json::from_str(r#"{"code":"update_needed","status":426,"title":"Please update"}"#).unwrap();
        assert_eq!(refused.code, ProblemCode::UpdateNeeded);
        for error in [ApiError::Problem(refused), ApiError::Version("2".to_owned())] {
            assert_eq!(Error::from(error).code(), ErrorCode::UpdateNeeded);
        }
    }
}
