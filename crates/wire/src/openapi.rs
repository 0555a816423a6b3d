//! Schemas of what is text in JSON and a type of its own here: ids, names, bytes. The rest derives its schema where it stands.

use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::api::{EntryBytes, ProofPath};
use crate::blob::BlobId;
use crate::ids::{AccountId, DeviceId, EnvelopeId, LogId};
use crate::limits::MAX_PROOF;
use crate::username::Username;

fn text(pattern: &str, description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).description(Some(description))
}

macro_rules! ids {
    ($($name:ident: $description:literal),+ $(,)?) => { $(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                text("^[0-9a-f]{32}$", $description).into()
            }
        }

        impl ToSchema for $name {}
    )+ };
}

ids! {
    AccountId: "An account: 16 bytes in lower-case hexadecimal digits.",
    DeviceId: "A device: 16 bytes in lower-case hexadecimal digits.",
    LogId: "A log: 16 bytes in lower-case hexadecimal digits.",
    EnvelopeId: "An envelope: 16 bytes in lower-case hexadecimal digits.",
}

impl PartialSchema for BlobId {
    fn schema() -> RefOr<Schema> {
        text("^[0-9a-f]{64}$", "A blob: 32 bytes in lower-case hexadecimal digits.").into()
    }
}

impl ToSchema for BlobId {}

impl PartialSchema for Username {
    fn schema() -> RefOr<Schema> {
        text("^[a-z0-9]+([._-][a-z0-9]+)*$", "A user name.").min_length(Some(3)).max_length(Some(32)).into()
    }
}

impl ToSchema for Username {}

impl PartialSchema for EntryBytes {
    fn schema() -> RefOr<Schema> {
        text("^[A-Za-z0-9_-]*$", "Bytes in base64url without padding (RFC 4648, section 5).").into()
    }
}

impl ToSchema for EntryBytes {}

impl PartialSchema for ProofPath {
    fn schema() -> RefOr<Schema> {
        ArrayBuilder::new()
            .items(Ref::from_schema_name("EntryBytes"))
            .max_items(Some(MAX_PROOF))
            .description(Some("The hashes of a proof, in order."))
            .into()
    }
}

impl ToSchema for ProofPath {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((EntryBytes::name().into_owned(), EntryBytes::schema()));
    }
}
