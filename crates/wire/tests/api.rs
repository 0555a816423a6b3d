//! JSON bodies: what older programs left out is allowed to be missing, and what is read is read strictly.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use serde_json::{Value, from_value, json, to_value};
use waxwing_wire::api::{ChainPage, ConsistencyProof, InclusionProof, ProofPath, RelayInfo, Subscribe, base64url};
use waxwing_wire::limits::MAX_PROOF;
use waxwing_wire::transparency::Leaf;

/// A relay or client from before the transparency log.
#[test]
fn older_programs_are_understood() {
    let info = json!({"service": "waxwing-relay", "version": "0.1.0", "api": 1, "audience": "relay.example"});
    let info: RelayInfo = from_value(info).unwrap();
    assert_eq!(info.log_key, None);
    let page = json!({"account": "11".repeat(16), "name": "alice", "head": 0, "entries": ["AA"]});
    let page: ChainPage = from_value(page).unwrap();
    assert_eq!((page.indexes, page.name_index, page.checkpoint), (vec![], None, None));
    let asked: Subscribe = from_value(json!({"logs": [], "inbox": true})).unwrap();
    assert!(!asked.transparency);
    // A relay that does not know the field would refuse the whole request.
    assert_eq!(to_value(&asked).unwrap(), json!({"logs": [], "inbox": true}));
    let more = Subscribe { transparency: true, ..asked };
    assert_eq!(to_value(&more).unwrap(), json!({"logs": [], "inbox": true, "transparency": true}));
    assert_eq!(from_value::<Subscribe>(to_value(&more).unwrap()).unwrap(), more);
}

#[test]
fn proofs_come_back() {
    let path = ProofPath(vec![[1; 32], [2; 32]]);
    let texts = [base64url::encode(&[1; 32]), base64url::encode(&[2; 32])];
    let consistency = ConsistencyProof { path: path.clone() };
    assert_eq!(to_value(&consistency).unwrap(), json!({"path": texts}));
    assert_eq!(from_value::<ConsistencyProof>(to_value(&consistency).unwrap()).unwrap(), consistency);
    let leaf = Leaf::Chain { account_hash: [3; 32], seq: 4, entry_hash: [5; 32] };
    let inclusion = InclusionProof { leaf, path };
    assert_eq!(to_value(&inclusion).unwrap(), json!({"leaf": base64url::encode(&leaf.encode()), "path": texts}));
    assert_eq!(from_value::<InclusionProof>(to_value(&inclusion).unwrap()).unwrap(), inclusion);
}

/// P18: hashes of 32 bytes, no more of them than any proof needs, leaves as they are encoded.
#[test]
fn p18_what_is_no_proof_is_refused() {
    let refused = |path: Value| assert!(from_value::<ConsistencyProof>(json!({ "path": path })).is_err());
    let hash = base64url::encode(&[1; 32]);
    for bad in [base64url::encode(&[1; 31]), base64url::encode(&[1; 33]), String::new(), format!("{hash}=")] {
        refused(json!([bad]));
    }
    assert!(from_value::<ConsistencyProof>(json!({"path": vec![&hash; MAX_PROOF]})).is_ok());
    refused(json!(vec![&hash; MAX_PROOF + 1]));
    refused(json!(null));
    let leaf = Leaf::Name { name_hash: [1; 32], entry_hash: [2; 32] }.encode();
    for bad in [&leaf[1..], &[leaf.as_slice(), &[0]].concat(), &[&[9], &leaf[1..]].concat()] {
        assert!(from_value::<InclusionProof>(json!({"leaf": base64url::encode(bad), "path": []})).is_err());
    }
}
