//! Key packages at the relay: the own device's, and those of people one writes to.
//!
//! Not here: what is in them, and whether it is to be believed. The relay says which device a claimed package is of, and may lie.

use reqwest::Method;
use waxwing_protocol::AccessKey;
use waxwing_wire::AccountId;
use waxwing_wire::api::KeyPackageCount;
use waxwing_wire::frame::{ClaimKeyPackages, ClaimedKeyPackage, ClaimedKeyPackages, UploadKeyPackages};

use super::failure::ApiError;
use super::http::{BINARY, RelayApi, read_body, read_json};

const PATH: &str = "/v1/key-packages";

impl RelayApi {
    /// `POST /v1/key-packages`: what others may claim of the own device; what is there from then on.
    pub(crate) async fn upload_key_packages(&self, upload: &UploadKeyPackages) -> Result<KeyPackageCount, ApiError> {
        read_json(self.authenticated(Method::POST, PATH, BINARY, upload.encode()).await?).await
    }

    /// `GET /v1/key-packages`: what is left of them.
    pub(crate) async fn key_package_count(&self) -> Result<KeyPackageCount, ApiError> {
        read_json(self.authenticated(Method::GET, PATH, BINARY, Vec::new()).await?).await
    }

    /// `POST /v1/key-packages/claim`: a package of each device of `account`; unnamed with an access key, else as oneself.
    ///
    /// `claim` is random and kept with what the packages are for, so that a repetition after a lost answer takes nothing twice.
    pub(crate) async fn claim_key_packages(
        &self,
        account: AccountId,
        claim: [u8; 16],
        access_key: Option<&AccessKey>,
    ) -> Result<Vec<ClaimedKeyPackage>, ApiError> {
        let body = ClaimKeyPackages { account, claim }.encode();
        let response = self.admitted(&format!("{PATH}/claim"), access_key, body).await?;
        let claimed = ClaimedKeyPackages::decode(&read_body(response).await?);
        claimed.map(|claimed| claimed.devices).map_err(|_| ApiError::Malformed("key packages"))
    }
}
