//! The working group's vectors, as they publish them: JSON, bytes in hexadecimal, one object for each case.

use std::fs;
use std::path::PathBuf;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The number of the suite whose cases are taken.
const SUITE: u64 = 3;

/// Bytes that the files write in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hex(pub Vec<u8>);

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        hex::decode(text).map(Self).map_err(D::Error::custom)
    }
}

impl std::ops::Deref for Hex {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// The cases of suite 3 in `mls/FILE`, `count` of them. None, and a line that says so, where `WAXWING_VECTORS` is unset.
///
/// # Panics
///
/// If the file is missing, is no such file, or has another number of such cases.
#[must_use]
pub fn cases<T: DeserializeOwned>(file: &str, count: usize) -> Option<Vec<T>> {
    let Some(folder) = std::env::var_os("WAXWING_VECTORS") else {
        println!("SKIPPED: WAXWING_VECTORS is not set");
        return None;
    };
    let path = PathBuf::from(folder).join("mls").join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let all: Vec<Value> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
    let ours = all.into_iter().filter(|case| case["cipher_suite"] == SUITE);
    let cases: Vec<T> =
        ours.map(|case| serde_json::from_value(case).unwrap_or_else(|error| panic!("{file}: {error}"))).collect();
    assert!(!cases.is_empty(), "{file} has no case of suite {SUITE}");
    assert_eq!(cases.len(), count, "cases of suite {SUITE} in {file}");
    Some(cases)
}
