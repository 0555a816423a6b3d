//! The published RFC 6962 cases, read from the folder named by `WAXWING_VECTORS` and never kept here. Where it is set, a
//! missing file or another number of cases fails; where it is unset, the tests say so and end.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use waxwing_wire::hash;
use waxwing_wire::transparency::{verify_consistency, verify_inclusion};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Inclusion {
    leaf_idx: u64,
    tree_size: u64,
    root: String,
    leaf_hash: String,
    proof: Option<Vec<String>>,
    desc: String,
    want_err: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Consistency {
    size1: u64,
    size2: u64,
    root1: String,
    root2: String,
    proof: Option<Vec<String>>,
    desc: String,
    want_err: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SubtreeInclusion {
    leaf_idx: u64,
    start: u64,
    end: u64,
    root: String,
    leaf_hash: String,
    proof: Option<Vec<String>>,
    desc: String,
    want_err: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SubtreeConsistency {
    start: u64,
    end: u64,
    size: u64,
    root1: String,
    root2: String,
    proof: Option<Vec<String>>,
    desc: String,
    want_err: bool,
}

/// The cases under `testdata/FOLDER/`; none (said aloud) where `WAXWING_VECTORS` is unset.
fn cases<T: DeserializeOwned>(folder: &str, count: usize) -> Option<Vec<T>> {
    let Some(vectors) = std::env::var_os("WAXWING_VECTORS") else {
        println!("SKIPPED: WAXWING_VECTORS unset");
        return None;
    };
    let path = PathBuf::from(vectors).join("rfc6962_merkle.tar.gz");
    let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let mut cases = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        if name.starts_with(&format!("testdata/{folder}/")) && name.ends_with(".json") {
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            cases.push(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}")));
        }
    }
    assert_eq!(cases.len(), count, "cases in {folder}");
    Some(cases)
}

/// A hash; none if it has not 32 bytes, which our types cannot hold.
fn hash_of(text: &str) -> Option<[u8; 32]> {
    STANDARD.decode(text).unwrap().try_into().ok()
}

/// A hash; of other lengths (some cases have text for hashes) the hash of it, equal where they were equal.
fn any_hash_of(text: &str) -> [u8; 32] {
    hash_of(text).unwrap_or_else(|| hash(&[text.as_bytes()]))
}

fn path(proof: Option<&Vec<String>>) -> Vec<[u8; 32]> {
    proof.into_iter().flatten().map(|text| any_hash_of(text)).collect()
}

/// Whether the leaf is found to be in the tree. A leaf hash or root that is no hash is refused.
fn included(leaf: &str, root: &str, index: u64, size: u64, proof: Option<&Vec<String>>) -> bool {
    let (Some(leaf), Some(root)) = (hash_of(leaf), hash_of(root)) else { return false };
    verify_inclusion(&leaf, index, size, &path(proof), &root).is_ok()
}

/// Whether the trees are found to be consistent.
fn consistent(root1: &str, root2: &str, size1: u64, size2: u64, proof: Option<&Vec<String>>) -> bool {
    verify_consistency(size1, &any_hash_of(root1), size2, &any_hash_of(root2), &path(proof)).is_ok()
}

#[test]
fn inclusion() {
    for case in cases::<Inclusion>("inclusion", 98).into_iter().flatten() {
        let found = included(&case.leaf_hash, &case.root, case.leaf_idx, case.tree_size, case.proof.as_ref());
        assert_eq!(found, !case.want_err, "{}", case.desc);
    }
}

#[test]
fn consistency() {
    for case in cases::<Consistency>("consistency", 98).into_iter().flatten() {
        let found = consistent(&case.root1, &case.root2, case.size1, case.size2, case.proof.as_ref());
        assert_eq!(found, !case.want_err, "{}", case.desc);
    }
}

/// A subtree from 0 is a tree. Others are no part of RFC 9162.
#[test]
fn inclusion_in_subtrees_from_zero() {
    let Some(cases) = cases::<SubtreeInclusion>("subtreeinclusion", 204) else { return };
    let mut count = 0;
    for case in cases.into_iter().filter(|case| case.start == 0) {
        let found = included(&case.leaf_hash, &case.root, case.leaf_idx, case.end, case.proof.as_ref());
        assert_eq!(found, !case.want_err, "{}", case.desc);
        count += 1;
    }
    assert_eq!(count, 101);
}

/// As above; an empty subtree, which those cases accept, is an empty older tree, which the cases of `consistency` refuse.
#[test]
fn consistency_of_subtrees_from_zero() {
    let Some(cases) = cases::<SubtreeConsistency>("subtreeconsistency", 118) else { return };
    let mut count = 0;
    for case in cases.into_iter().filter(|case| case.start == 0 && case.end != 0) {
        let found = consistent(&case.root1, &case.root2, case.end, case.size, case.proof.as_ref());
        assert_eq!(found, !case.want_err, "{}", case.desc);
        count += 1;
    }
    assert_eq!(count, 91);
}
