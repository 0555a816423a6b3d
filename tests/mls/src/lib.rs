//! MLS as Waxwing runs it: what the tests in `tests/` are written with.
//!
//! | module | owns |
//! |---|---|
//! | `vectors` | reading the working group's vectors from the folder that `WAXWING_VECTORS` names |
//! | `provider` | OpenMLS on our `MlsCrypto` and on memory |
//! | `database` | OpenMLS on our `MlsCrypto` and on the client's storage |
//! | `codec` | the presentation language of RFC 9420, section 2 |
//! | `labels` | RFC 9420's labelled functions, on the primitives alone |
//! | `frames` | RFC 9420's public and private messages, on the primitives alone |
//!
//! Not here: anything of the product. OpenMLS keeps its labels and frames to itself, so `labels` and `frames` are written
//! from the RFC; they show that the primitives are right, and a passive client that OpenMLS uses them well.

pub mod codec;
pub mod database;
pub mod frames;
pub mod labels;
pub mod provider;
pub mod vectors;
// The client's own file: nothing of the client is public but its API.
#[allow(dead_code, unused_imports, missing_docs, reason = "the client uses more of it")]
#[path = "../../../crates/client/src/mls/storage/mod.rs"]
mod storage;
