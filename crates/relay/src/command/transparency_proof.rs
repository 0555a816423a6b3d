//! `GET /v1/transparency/proof`: that a tree of the transparency log begins with an earlier one (`first`, `second`), or that a leaf is in it
//! (`index`, `size`).

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::response::IntoResponse as _;
use http::Uri;
use serde::Serialize;
use utoipa::openapi::schema::{AnyOfBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};
use waxwing_wire::api::{ConsistencyProof, InclusionProof};

use crate::error::{Refusal, Reply};
use crate::openapi::problems;
use crate::request::optional_number;
use crate::state::{App, Peer};

/// The answer.
#[derive(Serialize)]
#[serde(untagged)]
enum TransparencyProof {
    /// Of an earlier tree.
    Consistency(ConsistencyProof),
    /// Of a leaf.
    Inclusion(InclusionProof),
}

impl PartialSchema for TransparencyProof {
    fn schema() -> RefOr<Schema> {
        // An inclusion proof is a consistency proof with something more, so a schema that wants exactly one would refuse it.
        let either = AnyOfBuilder::new().item(Ref::from_schema_name("ConsistencyProof"));
        either.item(Ref::from_schema_name("InclusionProof")).into()
    }
}

impl ToSchema for TransparencyProof {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((ConsistencyProof::name().into_owned(), ConsistencyProof::schema()));
        schemas.push((InclusionProof::name().into_owned(), InclusionProof::schema()));
        InclusionProof::schemas(schemas);
    }
}

/// What is to be proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// The first `second` leaves begin with the first `first`.
    Consistency { first: u64, second: u64 },
    /// The leaf at `index` is among the first `size`.
    Inclusion { index: u64, size: u64 },
}

problems!(Problems: RateLimited);

/// That a tree begins with an earlier one (`first`, `second`), or that a leaf is in it (`index`, `size`): one of the two pairs
#[utoipa::path(
    get,
    path = "/v1/transparency/proof",
    operation_id = "transparency_proof",
    tag = "transparency",
    params(("first" = Option<u64>, Query, description = "Leaves of the earlier tree"), ("second" = Option<u64>, Query, description = "Leaves of the later tree"), ("index" = Option<u64>, Query, description = "Place of the leaf"), ("size" = Option<u64>, Query, description = "Leaves of the tree")),
    responses((status = 200, description = "The proof", body = TransparencyProof), Problems),
)]
pub(crate) async fn run(State(app): State<Arc<App>>, Extension(peer): Extension<Peer>, uri: Uri) -> Reply {
    app.limiters.lookup.check(&peer.address.into())?;
    let none = || Refusal::bad_request("The log has no such proof");
    let proof = match parse(&uri)? {
        Asked::Consistency { first, second } => {
            app.storage.consistency(first, second).await?.map(TransparencyProof::Consistency)
        }
        Asked::Inclusion { index, size } => app.storage.inclusion(index, size).await?.map(TransparencyProof::Inclusion),
    };
    Ok(Json(proof.ok_or_else(none)?).into_response())
}

/// One of the two pairs, whole and alone.
fn parse(uri: &Uri) -> Result<Asked, Refusal> {
    let number = |name| optional_number(uri, name);
    match (number("first")?, number("second")?, number("index")?, number("size")?) {
        (Some(first), Some(second), None, None) => Ok(Asked::Consistency { first, second }),
        (None, None, Some(index), Some(size)) => Ok(Asked::Inclusion { index, size }),
        _ => Err(Refusal::bad_request("A proof is asked for by first and second, or by index and size")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_pairs_and_nothing_between() {
        let of = |query: &'static str| parse(&Uri::try_from(format!("/v1/transparency/proof?{query}")).unwrap());
        assert_eq!(of("first=1&second=2"), Ok(Asked::Consistency { first: 1, second: 2 }));
        assert_eq!(of("size=2&index=1"), Ok(Asked::Inclusion { index: 1, size: 2 }));
        for bad in [
            "",
            "first=1",
            "second=1",
            "index=1",
            "size=1",
            "first=1&size=2",
            "index=1&second=2",
            "first=1&second=2&index=1",
            "first=1&second=2&index=1&size=2",
            "first=1&second=",
            "first=1&second=-2",
            "first=1&second=2&second=2",
            "first=1&second=18446744073709551616",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
