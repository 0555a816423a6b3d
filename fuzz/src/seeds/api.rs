//! JSON bodies.

use waxwing_wire::api::{
    AccessKeys, Ack, BlobReceived, ChainPage, ConsistencyProof, EntryAccepted, EntryBytes, InclusionProof, JWT_BEARER,
    KeyPackageCount, ProofPath, RelayInfo, Restorations, SERVICE, Stored, SubmitEntry, Subscribe, SubscribeLog,
    TokenRequest, TokenResponse,
};
use waxwing_wire::problem::{Problem, ProblemCode};
use waxwing_wire::transparency::{Leaf, NoteKey, SignedCheckpoint};
use waxwing_wire::{API_VERSION, AccountId, BlobId};

use super::Seed;
use crate::people::{LOG, chain_entries};
use crate::transparency::{ORIGIN, SIGNED, checkpoint, log_key, restoration};

pub(super) fn all() -> Vec<Seed> {
    let account = AccountId::from_bytes([1; 16]);
    let entries = chain_entries().map(|entry| EntryBytes(entry.as_bytes().to_vec()));
    let [entry, _] = entries.clone();
    let signed = SignedCheckpoint::sign(&checkpoint(SIGNED[1]), &log_key()).unwrap();
    let key = NoteKey::new(ORIGIN, log_key().verifying_key().as_bytes()).unwrap();
    let info = |log_key| RelayInfo {
        service: SERVICE.to_owned(),
        version: "0.1.0".to_owned(),
        api: API_VERSION,
        audience: ORIGIN.to_owned(),
        log_key,
    };
    let page = ChainPage {
        account,
        name: "alice".parse().ok(),
        head: 1,
        entries: entries.to_vec(),
        indexes: vec![0, 2],
        name_index: Some(1),
        checkpoint: Some(signed.note().to_owned()),
    };
    let bare = ChainPage { name: None, indexes: Vec::new(), name_index: None, checkpoint: None, ..page.clone() };
    let path = ProofPath(vec![[2; 32], [3; 32]]);
    let leaf = Leaf::Name { name_hash: [4; 32], entry_hash: [3; 32] };
    let follow = SubscribeLog { log: LOG, read_token: EntryBytes(vec![5; 32]) };
    let problem =
        |code, head| Problem { code, status: 409, title: "Not now".to_owned(), head, oldest: None, retry_after: None };
    let text = |name, text: serde_json::Result<String>| ("api", name, text.unwrap().into_bytes());
    use serde_json::to_string as json;
    vec![
        text("relay", json(&info(None))),
        text("relay_with_log", json(&info(Some(key.to_string())))),
        text("submit", json(&SubmitEntry { entry })),
        text("accepted", json(&EntryAccepted { account, seq: 1 })),
        text("chain", json(&page)),
        text("chain_bare", json(&bare)),
        text("token_request", json(&TokenRequest { grant_type: JWT_BEARER.to_owned(), assertion: "a.b.c".to_owned() })),
        text(
            "token",
            json(&TokenResponse { access_token: "a".to_owned(), token_type: "DPoP".to_owned(), expires_in: 600 }),
        ),
        text("access_keys", json(&AccessKeys { hashes: vec![EntryBytes(vec![6; 32]); 2] })),
        text("packages", json(&KeyPackageCount { count: 50, last_resort: true })),
        text("stored", json(&Stored { seq: 9 })),
        text("ack", json(&Ack { up_to: 9 })),
        text("subscribe", json(&Subscribe { logs: vec![follow], inbox: true, transparency: true })),
        text("subscribe_nothing", Ok("{}".to_owned())),
        text("consistency", json(&ConsistencyProof { path: path.clone() })),
        text("inclusion", json(&InclusionProof { leaf, path })),
        text("too_long", json(&ConsistencyProof { path: ProofPath(vec![[2; 32]; 66]) })),
        text("restorations", json(&Restorations { notes: vec![restoration().sign(&log_key()).unwrap()] })),
        text("blob_received", json(&BlobReceived { received: 5, size: u64::MAX })),
        text("blob_id", json(&BlobId::of(b"some bytes"))),
        text("problem", json(&problem(ProblemCode::Conflict, Some(4)))),
        text("problem_unknown", Ok(r#"{"code":"moonstruck","status":418,"title":"?"}"#.to_owned())),
    ]
}
