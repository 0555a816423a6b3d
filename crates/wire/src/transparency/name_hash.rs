//! `N(name)`: how the log names a user name. Slow on purpose: a reader of the whole log must pay for each name guessed.
//!
//! Not a secret: names are short, and whoever tries a name at a relay learns whether it is taken.

use argon2::{Algorithm, Argon2, Params, Version};

use crate::label::{hash, label};
use crate::username::Username;

/// Memory, in KiB: 19 MiB. With the two below, OWASP's least for Argon2id.
const MEMORY_KIB: u32 = 19 * 1024;
/// Passes over the memory.
const PASSES: u32 = 2;
/// Lanes.
const LANES: u32 = 1;

/// Argon2id could not run. Its parameters are fixed, so this is a want of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name's hash could not be computed")]
pub struct NameHashError;

/// Argon2id (RFC 9106) of `name`, with salt `H(label("name") || origin)`.
///
/// `origin`: the log's ([`super::Checkpoint::origin`]), so that no table serves for two relays. Takes 19 MiB and some tens of
/// milliseconds: not for an async worker thread.
///
/// # Errors
///
/// See [`NameHashError`].
pub fn name_hash(name: &Username, origin: &str) -> Result<[u8; 32], NameHashError> {
    let salt = hash(&[&label("name"), origin.as_bytes()]);
    let mut out = [0; 32];
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(out.len())).map_err(|_| NameHashError)?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(name.as_str().as_bytes(), &salt, &mut out)
        .map_err(|_| NameHashError)?;
    Ok(out)
}
