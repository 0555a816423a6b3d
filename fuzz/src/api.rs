//! JSON of the HTTP API, as relay and client read it.

use serde::Serialize;
use serde::de::DeserializeOwned;
use waxwing_wire::BlobId;
use waxwing_wire::api::{
    AccessKeys, Ack, BlobReceived, ChainPage, ConsistencyProof, EntryAccepted, InclusionProof, KeyPackageCount,
    RelayInfo, Restorations, Stored, SubmitEntry, Subscribe, TokenRequest, TokenResponse,
};
use waxwing_wire::limits::MAX_PROOF;
use waxwing_wire::problem::Problem;
use waxwing_wire::transparency::NoteKey;

/// Bodies and text frames. JSON has many spellings; whatever is read is written as one, and that is read as the same.
pub fn api(bytes: &[u8]) {
    settles::<SubmitEntry>(bytes);
    settles::<EntryAccepted>(bytes);
    settles::<ChainPage>(bytes);
    settles::<TokenRequest>(bytes);
    settles::<TokenResponse>(bytes);
    settles::<AccessKeys>(bytes);
    settles::<KeyPackageCount>(bytes);
    settles::<Stored>(bytes);
    settles::<Ack>(bytes);
    settles::<Subscribe>(bytes);
    settles::<Problem>(bytes);
    settles::<Restorations>(bytes);
    settles::<BlobReceived>(bytes);
    settles::<BlobId>(bytes);
    if let Some(info) = settles::<RelayInfo>(bytes)
        && let Some(key) = &info.log_key
        && let Ok(parsed) = key.parse::<NoteKey>()
    {
        assert_eq!(parsed.to_string(), *key);
    }
    if let Some(ConsistencyProof { path }) = settles(bytes) {
        assert!(path.0.len() <= MAX_PROOF);
    }
    if let Some(InclusionProof { path, .. }) = settles(bytes) {
        assert!(path.0.len() <= MAX_PROOF);
    }
}

fn settles<T: Serialize + DeserializeOwned + PartialEq>(bytes: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(bytes).ok()?;
    let written = serde_json::to_vec(&value).expect("it has string keys alone");
    let again: T = serde_json::from_slice(&written).expect("what is written is read");
    assert!(again == value, "read, and written as something else");
    assert_eq!(serde_json::to_vec(&again).expect("as before"), written);
    Some(value)
}
