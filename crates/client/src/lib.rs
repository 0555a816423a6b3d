//! The Waxwing engine, headless: keystore, store, relay API, outbox, sync, events. Everything the app can do is a method
//! of [`Client`]; a desktop shell and a terminal are equal front ends to it.
//!
//! Not here: the cryptography (`waxwing-protocol`), words for people (the front ends).

mod certificates;
mod engine;
mod error;
mod event;
mod keystore;
mod mls;
mod profile;
mod random;
mod relay;
mod store;
pub mod views;

pub use certificates::{CertificateView, add_certificate, certificates, remove_certificate};
pub use engine::{Client, LinkHere, Linked, Linking, Recovery, Registration, check_relay};
pub use error::{Error, ErrorCode, ErrorView};
pub use event::Event;
pub use profile::{Profile, ProfileState, profile_id};
pub use waxwing_protocol::civil_date;

pub use views::{
    AccountKeyOutcomeView, BlockedView, Connection, ContactView, ContradictionKind, ContradictionView,
    ConversationKind, ConversationView, DeviceOfferView, DeviceRequestView, DeviceView, DevicesView, GroupLinkView,
    GroupOfferView, GroupView, InviteView, KeyAlarmView, KeyEvent, KeyHistoryItem, KeyLogView, KeysView, KeystoreKind,
    LastLine, LinkWaitView, LogView, MemberView, MessagePage, MessageState, MessageView, Notice, PhraseCheck,
    ProfileView, RelayView, RestorationView, Role, RotationOutcomeView, RotationSchedule, RotationWait,
    RotationWaitView, Safety, SafetyComparison, SafetyNumberView, Standing, Trust,
};

/// A fresh message id (32 hexadecimal digits), for front ends that make none themselves.
#[must_use]
pub fn new_message_id() -> String {
    waxwing_wire::MessageId::from_bytes(random::bytes()).to_string()
}
