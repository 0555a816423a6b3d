//! Numbers that clients keep: no more than [`MAX_U64`], as in what is binary.

use serde::{Deserialize, Deserializer, de};

use crate::codec::MAX_U64;

fn bounded<E: de::Error>(value: u64) -> Result<u64, E> {
    if value > MAX_U64 { Err(E::custom("a number beyond 2^63 - 1")) } else { Ok(value) }
}

/// For `#[serde(deserialize_with = "count")]`.
pub fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    bounded(u64::deserialize(deserializer)?)
}

/// The same, where there may be none.
pub fn maybe_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Option::<u64>::deserialize(deserializer)?.map(bounded).transpose()
}

/// The same for each of them.
pub fn all_counts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
    Vec::<u64>::deserialize(deserializer)?.into_iter().map(bounded).collect()
}
