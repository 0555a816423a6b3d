//! Key packages (RFC 9420, section 10) on their way to the relay and from it.
//!
//! Their bytes are opaque here: the relay keeps them and hands them out, and does not know what is in them. A claimer believes none of it
//! (which device, which account) before it has checked the package itself against the account's chain.

use super::{count, read_list};
use crate::codec::{DecodeError, Reader, Writer};
use crate::ids::{AccountId, DeviceId};
use crate::limits::{KEY_PACKAGES, MAX_DEVICES, MAX_KEY_PACKAGE};

/// `POST /v1/key-packages`: what others may claim of the own device. Safe to repeat: the same bytes are stored, and handed out, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadKeyPackages {
    /// Whether the device's earlier packages, the last resort among them, go first.
    pub replace: bool,
    /// Handed out, again and again, where no one-time package can be. Takes the place of an earlier one.
    pub last_resort: Option<Vec<u8>>,
    /// Handed out once each.
    pub packages: Vec<Vec<u8>>,
}

/// `POST /v1/key-packages/claim`: one package of each device of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimKeyPackages {
    /// Whose.
    pub account: AccountId,
    /// Random, made by the claimer: a claim that is repeated after a lost answer takes nothing twice. Must not be guessed by others.
    pub claim: [u8; 16],
}

/// Answer to [`ClaimKeyPackages`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedKeyPackages {
    /// One for each device that has any; no device twice.
    pub devices: Vec<ClaimedKeyPackage>,
}

/// A key package of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedKeyPackage {
    /// Whose, says the relay.
    pub device: DeviceId,
    /// Whether others may have got the same one.
    pub last_resort: bool,
    /// The package.
    pub package: Vec<u8>,
}

impl UploadKeyPackages {
    /// `replace 1 | has_last_resort 1 [package var] | count u32 | packages, each var`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u8(u8::from(self.replace)).u8(u8::from(self.last_resort.is_some()));
        if let Some(package) = &self.last_resort {
            writer.var(package);
        }
        writer.u32(count(self.packages.len()));
        for package in &self.packages {
            writer.var(package);
        }
        writer.finish()
    }

    /// Reads it back.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let replace = flag(&mut reader, "replace")?;
        let last_resort = match flag(&mut reader, "has last resort")? {
            true => Some(package(&mut reader)?),
            false => None,
        };
        let packages = read_list(&mut reader, KEY_PACKAGES, "key packages", package)?;
        reader.finish("key packages")?;
        Ok(Self { replace, last_resort, packages })
    }
}

impl ClaimKeyPackages {
    /// `account 16 | claim 16`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        Writer::new().bytes(self.account.as_bytes()).bytes(&self.claim).finish()
    }

    /// Reads it back.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let account = AccountId::from_bytes(reader.array("account id")?);
        let claim = reader.array("claim id")?;
        reader.finish("claim")?;
        Ok(Self { account, claim })
    }
}

impl ClaimedKeyPackages {
    /// `count u32 | devices`; device: `device 16 | last_resort 1 | package var`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u32(count(self.devices.len()));
        for claimed in &self.devices {
            writer.bytes(claimed.device.as_bytes()).u8(u8::from(claimed.last_resort)).var(&claimed.package);
        }
        writer.finish()
    }

    /// Reads it back. A device that is there twice is refused: one account's device is one leaf of a group.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let devices = read_list(&mut reader, MAX_DEVICES, "devices", |reader| {
            Ok(ClaimedKeyPackage {
                device: DeviceId::from_bytes(reader.array("device id")?),
                last_resort: flag(reader, "last resort")?,
                package: package(reader)?,
            })
        })?;
        reader.finish("claimed key packages")?;
        let twice = |(at, claimed): (usize, &ClaimedKeyPackage)| {
            devices.iter().take(at).any(|before| before.device == claimed.device)
        };
        if devices.iter().enumerate().any(twice) {
            return Err(DecodeError::Invalid("device id"));
        }
        Ok(Self { devices })
    }
}

/// A byte that is 0 or 1.
fn flag(reader: &mut Reader<'_>, field: &'static str) -> Result<bool, DecodeError> {
    match reader.u8(field)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::Invalid(field)),
    }
}

fn package(reader: &mut Reader<'_>) -> Result<Vec<u8>, DecodeError> {
    Ok(reader.var(MAX_KEY_PACKAGE, "key package")?.to_vec())
}
