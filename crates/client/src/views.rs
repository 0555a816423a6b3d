//! What the engine shows: complete, rendered values that a user interface or a terminal prints as they are.
//!
//! A view never holds a key, a ciphertext or a token, but for the code that links a device, which the user carries over. Every change is told as a whole new view (see [`crate::Event`]),
//! so a front end replaces by id and never patches. Times are milliseconds since the Unix epoch; they are `f64` because a
//! web view has no other number (exact up to 2^53).
//!
//! Not here: how anything is stored (`store`) or worded (the front end words errors and notices).

mod conversation;
mod devices;
mod keys;
mod message;
mod relay;

use serde::{Deserialize, Serialize};
use specta::Type;

pub use conversation::{
    BlockedView, ContactView, ConversationKind, ConversationView, GroupLinkView, GroupOfferView, GroupView, InviteView,
    LastLine, MemberView, Role, Standing, Trust,
};
pub use devices::{DeviceOfferView, DeviceRequestView, DeviceView, DevicesView, LinkWaitView};
pub use keys::{
    AccountKeyOutcomeView, KeyEvent, KeyHistoryItem, KeyLogView, KeysView, PhraseCheck, RotationOutcomeView,
    RotationSchedule, RotationWait, RotationWaitView, Safety, SafetyComparison, SafetyNumberView,
};
pub use message::{MessagePage, MessageState, MessageView, Notice};
pub use relay::{Connection, ContradictionKind, ContradictionView, KeyAlarmView, LogView, RelayView, RestorationView};

/// Milliseconds since the Unix epoch.
pub type Millis = f64;

/// The own account on this device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ProfileView {
    /// Account id, 32 hexadecimal digits.
    pub account_id: String,
    /// Device id, 32 hexadecimal digits.
    pub device_id: String,
    /// `name@host[:port]`.
    pub address: String,
    /// The name others see; may carry any Unicode.
    pub display_name: String,
    /// The relay's address, `host[:port]`.
    pub relay: String,
    /// Whether the recovery phrase was confirmed (and its words erased here).
    pub phrase_confirmed: bool,
    /// Where this profile's secrets are kept.
    pub keystore: KeystoreKind,
}

/// Where a profile keeps its secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum KeystoreKind {
    /// The operating system's keychain.
    Keychain,
    /// A file sealed under a passphrase (Argon2id), chosen by the user.
    Passphrase,
}
