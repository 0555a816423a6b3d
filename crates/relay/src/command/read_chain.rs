//! `GET /v1/accounts/{name|id}/chain?from=n`: a chain, for whoever asks, and where it stands in the transparency log.

use std::sync::Arc;

use axum::extract::{Extension, State};
use http::Uri;
use waxwing_wire::api::{ChainPage, EntryBytes};
use waxwing_wire::limits::MAX_CHAIN_PAGE;
use waxwing_wire::problem::ProblemCode;

use super::page;
use crate::error::{Refusal, Reply};
use crate::openapi::problems;
use crate::request::{self, Segment};
use crate::state::{App, Peer};
use crate::storage::AccountRef;

problems!(Problems: UnknownAccount, RateLimited);

/// A chain, and where it stands in the transparency log
#[utoipa::path(
    get,
    path = "/v1/accounts/{account}/chain",
    operation_id = "read_chain",
    tag = "accounts",
    params(("account" = String, Path, description = "Id or user name"), ("from" = Option<u32>, Query, description = "First entry wanted; 0 if absent")),
    responses((status = 200, description = "Entries, as many as fit", body = ChainPage), Problems),
)]
pub(crate) async fn run(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    Segment(account): Segment,
    uri: Uri,
) -> Reply {
    app.limiters.lookup.check(&peer.address.into())?;
    let from = request::number(&uri, "from", 0)?;
    let account = parse(&account)?;
    let read = || async {
        let found = app.storage.chain(account.clone(), from, MAX_CHAIN_PAGE).await?;
        let found = found.ok_or(ProblemCode::UnknownAccount)?;
        let page = ChainPage {
            account: found.account,
            name: found.name,
            head: found.head,
            entries: found.entries.into_iter().map(EntryBytes).collect(),
            indexes: found.indexes,
            name_index: found.name_index,
            checkpoint: Some(found.checkpoint),
        };
        serde_json::to_vec(&page).map_err(|_| ProblemCode::Internal.into())
    };
    page(&app, request::JSON, read).await
}

/// 32 hexadecimal digits are an id, and could also be a name. What is neither is an account that nobody has.
fn parse(text: &str) -> Result<AccountRef, Refusal> {
    match (text.parse().ok(), text.parse().ok()) {
        (Some(id), Some(name)) => Ok(AccountRef::IdOrName(id, name)),
        (Some(id), None) => Ok(AccountRef::Id(id)),
        (None, Some(name)) => Ok(AccountRef::Name(name)),
        (None, None) => Err(ProblemCode::UnknownAccount.into()),
    }
}
