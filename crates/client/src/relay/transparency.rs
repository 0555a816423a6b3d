//! The relay's transparency log: checkpoint, leaves, proofs. Nothing is believed here: whoever asks checks.

use reqwest::Method;
use waxwing_wire::api::{ConsistencyProof, Restorations};
use waxwing_wire::limits::{MAX_CHECKPOINT, MAX_LEAVES_PAGE};
use waxwing_wire::transparency::{LEAF_LEN, Leaf, decode_leaves};

use super::failure::ApiError;
use super::http::{RelayApi, read_body, read_json};

impl RelayApi {
    /// `GET /v1/transparency/checkpoint`: the newest one, a signed note. Not checked.
    pub(crate) async fn checkpoint(&self) -> Result<String, ApiError> {
        let body = read_body(self.send(self.request(Method::GET, "/v1/transparency/checkpoint")).await?).await?;
        if body.len() > MAX_CHECKPOINT {
            return Err(ApiError::Malformed("checkpoint"));
        }
        String::from_utf8(body).map_err(|_| ApiError::Malformed("checkpoint"))
    }

    /// `GET /v1/transparency/leaves`: leaves from an index on, as many as fit.
    pub(crate) async fn log_leaves(&self, from: u64) -> Result<Vec<Leaf>, ApiError> {
        let path = format!("/v1/transparency/leaves?from={from}");
        let body = read_body(self.send(self.request(Method::GET, &path)).await?).await?;
        if body.len() > MAX_LEAVES_PAGE * LEAF_LEN {
            return Err(ApiError::Malformed("leaves"));
        }
        decode_leaves(&body).map_err(|_| ApiError::Malformed("leaves"))
    }

    /// `GET /v1/transparency/restored`: signed notes of restorations from backups, the oldest first. Not checked.
    pub(crate) async fn log_restorations(&self) -> Result<Vec<String>, ApiError> {
        let answer = self.send(self.request(Method::GET, "/v1/transparency/restored")).await?;
        Ok(read_json::<Restorations>(answer).await?.notes)
    }

    /// `GET /v1/transparency/proof`: that the tree of the first `second` leaves begins with that of the first `first`.
    pub(crate) async fn log_consistency(&self, first: u64, second: u64) -> Result<Vec<[u8; 32]>, ApiError> {
        let path = format!("/v1/transparency/proof?first={first}&second={second}");
        let proof: ConsistencyProof = read_json(self.send(self.request(Method::GET, &path)).await?).await?;
        Ok(proof.path.0)
    }
}
