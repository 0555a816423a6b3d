//! Changes of a group that wait in the outbox, as stored there.

use serde::{Deserialize, Serialize};
use waxwing_wire::{AccountId, DeviceId};

use crate::error::{Error, ErrorCode};

/// What is to be changed. It is planned against the group as it stands when its turn comes; what is done by then is dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum GroupChange {
    /// Brings people in, with every device of theirs.
    Add(Vec<AccountId>),
    /// Lets in somebody who asked with an own link, as long as it is in force: the hash of its access key, and when they asked.
    Admit { account: AccountId, link: [u8; 32], asked_ms: u64 },
    /// Removes somebody, with every device.
    Remove(AccountId),
    /// Changes what somebody may do.
    SetRole { account: AccountId, admin: bool },
    /// Gives the group another name.
    Rename(String),
    /// Replaces the own leaf.
    Update,
    /// Replaces the own leaf if it is still the one of a key package.
    JoinUpdate,
    /// Replaces the own leaf if the device keys were rotated since.
    RotateUpdate,
    /// Takes a device out and brings it in again, as it asked for; the content that it asked with.
    Resync { account: AccountId, content: Vec<u8> },
    /// Answers somebody's wish to leave; the app message that holds the proof.
    AnswerLeave { account: AccountId, message: Vec<u8> },
    /// Moves somebody's line on along their chain: takes out what was revoked, brings back whoever has recovered their account.
    Follow(AccountId),
    /// Brings in the other own devices that are not in it.
    AddOwn,
}

/// What goes to devices that a commit adds, once it is in.
#[derive(Serialize, Deserialize)]
pub(crate) struct PendingWelcome {
    /// The `MLSMessage` with the Welcome.
    pub(crate) mls: Vec<u8>,
    /// Whom it is for.
    pub(crate) devices: Vec<(AccountId, DeviceId)>,
    /// Nonce of the resync request that it answers; zeros if none.
    pub(crate) nonce: [u8; 16],
}

impl GroupChange {
    pub(crate) fn encode(&self) -> Result<Vec<u8>, Error> {
        encode(self)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        decode(bytes)
    }
}

impl PendingWelcome {
    pub(crate) fn encode(&self) -> Result<Vec<u8>, Error> {
        encode(self)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        decode(bytes)
    }
}

fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let written = ciborium::into_writer(value, &mut bytes);
    written.map_err(|_| Error::new(ErrorCode::Internal, "outbox: encoding a change"))?;
    Ok(bytes)
}

fn decode<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, Error> {
    ciborium::from_reader(bytes).map_err(|_| Error::new(ErrorCode::Internal, "outbox: a change of another version"))
}
