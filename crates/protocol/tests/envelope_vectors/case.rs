//! A case of the vectors, as it stands in the file. All binary values in hexadecimal.

use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vectors {
    pub comment: String,
    pub cases: Vec<Case>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    pub name: String,
    /// What the relay says beside the envelope.
    pub envelope_id: String,
    pub kind: u8,
    pub log: String,
    pub tag_key: Option<String>,
    /// What the signature is checked with: in a log the credential of the claimed device's leaf, in an inbox the Ed25519 signing
    /// key that the claimed account's chain names.
    pub leaf: Option<String>,
    pub sender_signing: Option<String>,
    pub receivers: Vec<CaseReceiver>,
    pub expect: Option<Expect>,
    /// Name of the error, in `fail_` cases.
    pub error: Option<String>,
    pub envelope: String,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseReceiver {
    pub account: String,
    pub device: String,
    pub keys: Vec<CaseKeys>,
    pub erased: Vec<u32>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseKeys {
    pub key_version: u32,
    pub x25519: String,
    pub xwing: String,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expect {
    pub account: String,
    pub device: String,
    pub key_version: u32,
    pub sent_ms: u64,
    pub counter: u64,
    pub after: u64,
    pub mls_epoch: u64,
    pub mls_authenticator: String,
    pub running_hash: String,
    /// Empty: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub checkpoint: String,
    pub opened_with: u32,
    pub content: String,
}
