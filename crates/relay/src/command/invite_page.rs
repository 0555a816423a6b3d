//! `GET /i`: the page behind invite links. Static, without scripts; the link's secret part stands after the `#` and never comes here.

use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_FRAME_OPTIONS};

use crate::openapi::problems;

const PAGE: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<title>Waxwing invite</title>
<h1>You have been invited to Waxwing</h1>
<p>Open Waxwing and paste this link.</p>
<p>Copy the whole address of this page. In Waxwing choose <b>New conversation</b> and paste it there.</p>
</html>
";

problems!(Problems:);

/// The page behind invite links
#[utoipa::path(
    get,
    path = "/i",
    operation_id = "invite_page",
    tag = "relay",
    responses((status = 200, description = "A static page without scripts", body = String, content_type = "text/html; charset=utf-8"), Problems),
)]
pub(crate) async fn run() -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
    ];
    (headers, PAGE).into_response()
}
