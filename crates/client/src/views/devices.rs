//! The account's devices, and a further one while it is being linked.

use std::fmt;

use serde::{Deserialize, Serialize};
use specta::Type;

use super::Millis;
use crate::error::ErrorView;

/// The account's devices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct DevicesView {
    /// Those in force.
    pub devices: Vec<DeviceView>,
    /// The code that links another one, if there is one.
    pub offer: Option<DeviceOfferView>,
}

/// A device of the account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct DeviceView {
    /// Device id, 32 hexadecimal digits.
    pub device_id: String,
    /// Whether it is this one.
    pub this: bool,
    /// When it came into the account, by the signer's clock, and no later than the year 9999.
    pub added_at: Millis,
    /// Version of its keys in force.
    pub version: u32,
    /// When these keys were made, by the signer's clock, and no later than the year 9999.
    pub keys_since: Millis,
    /// Fingerprint of these keys: groups of hexadecimal digits.
    pub fingerprint: String,
}

/// A code that links another device, and how far that has got.
#[derive(Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct DeviceOfferView {
    /// What the new device is given. It holds a secret that is good once.
    pub code: String,
    /// Until when it is valid.
    pub expires_at: Millis,
    /// The device that asks to be linked, once one does.
    pub request: Option<DeviceRequestView>,
    /// Whether the user has confirmed it: it goes on by itself.
    pub adding: bool,
    /// Why it has not got through, if so.
    pub problem: Option<ErrorView>,
}

impl fmt::Debug for DeviceOfferView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceOfferView")
            .field("code", &"***")
            .field("expires_at", &self.expires_at)
            .field("request", &self.request)
            .field("adding", &self.adding)
            .field("problem", &self.problem)
            .finish()
    }
}

/// A device that asks to be linked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct DeviceRequestView {
    /// Device id, 32 hexadecimal digits.
    pub device_id: String,
    /// Fingerprint of its keys, which it shows too: groups of hexadecimal digits.
    pub fingerprint: String,
}

/// What a new device shows until another device of the account has confirmed it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct LinkWaitView {
    /// The account's `name@host[:port]`.
    pub address: String,
    /// Fingerprint of this device's keys, which the other device shows too: groups of hexadecimal digits.
    pub fingerprint: String,
}
