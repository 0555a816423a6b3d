//! The transparency log: leaves, tree, proofs, notes and checkpoints (P17, P18).
//!
//! | module | against |
//! |---|---|
//! | `vectors` | the published RFC 6962 cases |
//! | `oracle` | another implementation, `ct-merkle`, on random trees |
//! | `tree`, `proof` | the definitions of RFC 9162, and everything that must be refused |
//! | `restored` | everything that must be refused, and that no checkpoint is taken for one |
//! | `leaf`, `note`, `checkpoint`, `evidence` | bytes made by other tools (Python's `hashlib` and `cryptography`), and everything that must be refused |

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod checkpoint;
mod common;
mod evidence;
mod leaf;
mod note;
mod oracle;
mod proof;
mod restored;
mod tree;
mod vectors;
