//! The OpenAPI 3.1 document: what all operations share. What one takes and answers stands at its command; which there are, in the router.
//!
//! Not here: the schemas of JSON bodies, which derive from their types in [`waxwing_wire::api`]; the bytes of binary bodies, which
//! `docs/protocol.md` tells.

use std::collections::BTreeMap;

use axum::body::Bytes;
use http::StatusCode;
use serde_json::{Value, json};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{AllOfBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, Header, InfoBuilder, License, OpenApi, OpenApiBuilder, Ref, RefOr, Response, ResponseBuilder,
};
use utoipa::{PartialSchema, ToSchema};
use waxwing_wire::API_VERSION;
use waxwing_wire::api::{ACCESS_KEY_HEADER, API_HEADER, DPOP_NONCE_HEADER};
use waxwing_wire::problem::{PROBLEM_JSON, Problem, ProblemCode};

use crate::error::wording;

/// What any operation may refuse with: before it is looked at, or by the relay's own trouble.
const COMMON: [ProblemCode; 7] = [
    ProblemCode::BadRequest,
    ProblemCode::Timeout,
    ProblemCode::UpdateNeeded,
    ProblemCode::Internal,
    ProblemCode::Unavailable,
    ProblemCode::TooLarge,
    ProblemCode::RateLimited,
];

/// Declares the refusals of a command beside the [`COMMON`] ones, as a type for its `responses`. `at` a status, where it is not the code's usual one.
macro_rules! problems {
    (@status $code:ident) => { $crate::error::wording(waxwing_wire::problem::ProblemCode::$code).0 };
    (@status $code:ident $status:ident) => { http::StatusCode::$status };
    ($name:ident: $($code:ident $(at $status:ident)?),* $(,)?) => {
        /// Refusals, for the OpenAPI document.
        struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::Response>> {
                $crate::openapi::refusals(&[
                    $(($crate::openapi::problems!(@status $code $($status)?), waxwing_wire::problem::ProblemCode::$code)),*
                ])
            }
        }
    };
}
pub(crate) use problems;

/// A binary body. Which bytes, `docs/protocol.md` tells.
pub(crate) struct Binary;

impl PartialSchema for Binary {
    fn schema() -> RefOr<Schema> {
        let binary = SchemaFormat::KnownFormat(KnownFormat::Binary);
        ObjectBuilder::new().schema_type(Type::String).format(Some(binary)).into()
    }
}

impl ToSchema for Binary {}

/// The document as it is served: what all operations share is put into each.
pub(crate) fn serve(mut document: OpenApi) -> Bytes {
    for item in document.paths.paths.values_mut() {
        let operations =
            [&mut item.get, &mut item.put, &mut item.post, &mut item.delete].into_iter().filter_map(Option::as_mut);
        operations.for_each(finish);
    }
    // No value in it has a key that is no text, so it can be written. Descriptions come from comments, whose links lead nowhere here.
    let text = document.to_json().unwrap_or_default();
    text.replace("[`", "`").replace("`]", "`").into()
}

/// What the document says of the whole: the operations come from the router.
pub(crate) fn document() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Waxwing relay")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Stores ciphertext, chains and inboxes, and holds no key that opens any of it. Binary bodies are told byte for byte in \
             docs/protocol.md, and so is what the relay promises. Every answer names the API version; whatever is no success is a problem \
             (RFC 9457) with a stable code.",
        ))
        .license(Some(License::new(env!("CARGO_PKG_LICENSE"))))
        .build();
    let header = |name: &str, description: &str| {
        SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(name, description)))
    };
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A log's write or read token (32 bytes in base64url). It names nobody."));
    let components = ComponentsBuilder::new()
        .schema_from::<Problem>()
        .schema_from::<ProblemCode>()
        .security_scheme(
            "device_token",
            header("Authorization", "`DPoP TOKEN`: the access token of POST /oauth/token (RFC 9449, section 7.1)."),
        )
        .security_scheme(
            "device_proof",
            header(
                "DPoP",
                "A proof by the token's key for this method, address and token, with the relay's newest nonce (RFC 9449, sections 4.2, 8 and 9).",
            ),
        )
        .security_scheme("log_token", SecurityScheme::Http(token.build()))
        .security_scheme(
            "access_key",
            header(
                ACCESS_KEY_HEADER,
                "An access key of the account (16 bytes in base64url). Never together with a token.",
            ),
        )
        .build();
    OpenApiBuilder::new().info(info).components(Some(components)).build()
}

/// The answers that are no success, by status: each lists the codes that it comes with.
pub(crate) fn refusals(own: &[(StatusCode, ProblemCode)]) -> BTreeMap<String, RefOr<Response>> {
    let mut codes: BTreeMap<StatusCode, Vec<ProblemCode>> = BTreeMap::new();
    let common = COMMON.iter().map(|&code| (wording(code).0, code));
    for (status, code) in common.chain(own.iter().copied()) {
        let at = codes.entry(status).or_default();
        if !at.contains(&code) {
            at.push(code);
        }
    }
    // The same code where it is not the body that is too large.
    for status in [StatusCode::URI_TOO_LONG, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE] {
        codes.entry(status).or_default().push(ProblemCode::TooLarge);
    }
    // Nothing that comes without a body has one that is too large.
    if own.iter().all(|(_, code)| *code != ProblemCode::TooLarge) {
        codes.remove(&StatusCode::PAYLOAD_TOO_LARGE);
    }
    codes.into_iter().map(|(status, codes)| (status.as_str().to_owned(), problem(status, &codes).into())).collect()
}

fn problem(status: StatusCode, codes: &[ProblemCode]) -> Response {
    let names: Vec<Value> = codes.iter().map(|code| json!(code)).collect();
    let titles: Vec<&str> = codes.iter().map(|code| wording(*code).1).collect();
    let only = ObjectBuilder::new()
        .property("code", ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)))
        .property("status", ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some([status.as_u16()])));
    let schema = AllOfBuilder::new().item(Ref::from_schema_name("Problem")).item(only).build();
    let mut response = ResponseBuilder::new()
        .description(titles.join("; "))
        .content(PROBLEM_JSON, ContentBuilder::new().schema(Some(Schema::AllOf(schema))).build());
    let header = |text: &str| header(Type::String, text);
    for (name, value) in [
        (StatusCode::UNAUTHORIZED, ("WWW-Authenticate", header("Which scheme is wanted (RFC 9449, section 7.1)."))),
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, ("Accept", header("The media type that is taken."))),
        (StatusCode::RANGE_NOT_SATISFIABLE, ("Content-Range", header("How many bytes there are."))),
        (StatusCode::UPGRADE_REQUIRED, ("Upgrade", header("The version that is spoken."))),
        (StatusCode::TOO_MANY_REQUESTS, ("Retry-After", header("Seconds to wait."))),
        (StatusCode::SERVICE_UNAVAILABLE, ("Retry-After", header("Seconds to wait, where that is known."))),
    ]
    .into_iter()
    .filter_map(|(of, header)| (of == status).then_some(header))
    {
        response = response.header(name, value);
    }
    response.build()
}

fn header(kind: Type, description: &str) -> Header {
    let mut header = Header::new(ObjectBuilder::new().schema_type(kind));
    header.description = Some(description.to_owned());
    header
}

/// The headers of every request and every answer.
fn finish(operation: &mut Operation) {
    operation.parameters.get_or_insert_default().push(api_parameter());
    // Whoever can be told that a proof is not good can have shown one.
    let proves = operation.responses.responses.contains_key(StatusCode::UNAUTHORIZED.as_str());
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            let version = header(Type::Integer, "The version of the API that the relay speaks.");
            response.headers.insert(API_HEADER.to_owned(), version);
            response.headers.insert("Date".to_owned(), header(Type::String, "Relay time (RFC 9110, section 5.6.7)."));
            if proves {
                let nonce = "The relay's newest nonce, where the proof had none that is good or an older one (RFC 9449, section 8).";
                response.headers.insert(DPOP_NONCE_HEADER.to_owned(), header(Type::String, nonce));
            }
        }
    }
}

fn api_parameter() -> Parameter {
    ParameterBuilder::new()
        .name(API_HEADER)
        .parameter_in(ParameterIn::Header)
        .description(Some(
            "The version of the API that the client speaks. Another one than the relay's answers `update_needed`.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some([API_VERSION]))))
        .build()
}
