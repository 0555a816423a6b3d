//! Reading requests: bounded bodies, ids from paths, bearer tokens. Whatever cannot be read is a typed refusal.

use std::str::FromStr;

use axum::body::Body;
use axum::extract::{FromRequestParts, Path};
use futures_util::StreamExt as _;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Uri};
use serde::de::DeserializeOwned;
use waxwing_wire::api::base64url;
use waxwing_wire::log::token_hash;
use waxwing_wire::problem::ProblemCode;

use crate::budget::{Budget, Held};
use crate::error::Refusal;
use crate::state::App;

/// How much of a body that is too large is still read (and thrown away): a client that is writing it gets the answer rather than a reset.
const MAX_DISCARDED: usize = 1024 * 1024;

/// Media types of bodies.
pub(crate) const JSON: &str = "application/json";
pub(crate) const BINARY: &str = "application/octet-stream";
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

/// The one variable segment of a request's path.
pub(crate) struct Segment(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(text)) => Ok(Self(text)),
            Err(_) => Err(Refusal::bad_request("The address cannot be read")),
        }
    }
}

/// Bytes of a small body, of which no more than `limit` are ever held.
pub(crate) async fn body(body: Body, limit: usize) -> Result<Vec<u8>, Refusal> {
    collect(body, limit, None).await.map(|(bytes, _)| bytes)
}

/// The same, with room for them from `budget`.
async fn collect(body: Body, limit: usize, budget: Option<&Budget>) -> Result<(Vec<u8>, Held), Refusal> {
    let mut chunks = body.into_data_stream();
    let (mut bytes, mut held) = (Vec::new(), Held::default());
    let (mut size, mut refused) = (0, None);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Refusal::bad_request("The body ended early"))?;
        size += chunk.len();
        if size > limit + MAX_DISCARDED {
            break;
        }
        if size > limit && refused.is_none() {
            refused = Some(ProblemCode::TooLarge.into());
        }
        if refused.is_none() && size > bytes.capacity() {
            // Twice as much each time, as vectors grow; the room for it first.
            let capacity = size.next_power_of_two().min(limit);
            if let Some(budget) = budget {
                refused = budget.grow(&mut held, capacity).await.err();
            }
            if refused.is_none() {
                bytes.reserve_exact(capacity - bytes.len());
            }
        }
        match refused {
            None => bytes.extend_from_slice(&chunk),
            Some(_) => (bytes, held) = (Vec::new(), Held::default()),
        }
    }
    match refused {
        None => Ok((bytes, held)),
        Some(refusal) => Err(refusal),
    }
}

/// That a body is what the address takes: not compressed, and of media type `accept` where it says one at all.
pub(crate) fn media(headers: &HeaderMap, accept: &'static str) -> Result<(), Refusal> {
    let essence = |value: &str| value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(accept);
    let plain = header(headers, &CONTENT_ENCODING)?.is_none_or(|value| value.eq_ignore_ascii_case("identity"));
    if plain && header(headers, &CONTENT_TYPE)?.is_none_or(essence) {
        Ok(())
    } else {
        Err(Refusal::unsupported_media_type(accept))
    }
}

/// A binary body that may be large, with the room that it takes: to be held as long as what is made of it.
pub(crate) async fn large(
    app: &App,
    headers: &HeaderMap,
    from: Body,
    limit: usize,
) -> Result<(Vec<u8>, Held), Refusal> {
    media(headers, BINARY)?;
    collect(from, limit, Some(&app.budget)).await
}

/// A small binary body.
pub(crate) async fn binary(headers: &HeaderMap, from: Body, limit: usize) -> Result<Vec<u8>, Refusal> {
    media(headers, BINARY)?;
    body(from, limit).await
}

/// A JSON body.
pub(crate) async fn json<T: DeserializeOwned>(headers: &HeaderMap, from: Body, limit: usize) -> Result<T, Refusal> {
    media(headers, JSON)?;
    let bytes = body(from, limit).await?;
    serde_json::from_slice(&bytes).map_err(|_| Refusal::bad_request("The JSON body cannot be read"))
}

/// An id from a path.
pub(crate) fn id<T: FromStr>(text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|_| Refusal::bad_request("An id has 32 lower-case hexadecimal digits"))
}

/// A number from the query; `default` if it is absent, a refusal if it is anything else or there twice.
pub(crate) fn number<T: FromStr>(uri: &Uri, name: &str, default: T) -> Result<T, Refusal> {
    Ok(optional_number(uri, name)?.unwrap_or(default))
}

/// A number from the query, if it is there; a refusal if it is anything else or there twice.
pub(crate) fn optional_number<T: FromStr>(uri: &Uri, name: &str) -> Result<Option<T>, Refusal> {
    let mut found = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('=').or((!pair.is_empty()).then_some((pair, ""))))
        .filter(|(key, _)| *key == name);
    match (found.next(), found.next()) {
        (None, _) => Ok(None),
        (Some((_, value)), None) if value.bytes().all(|byte| byte.is_ascii_digit()) => {
            value.parse().map(Some).map_err(|_| Refusal::bad_request("A number in the query cannot be read"))
        }
        _ => Err(Refusal::bad_request("A number in the query cannot be read")),
    }
}

/// The 32 bytes of a header, in base64url; none if it is absent.
pub(crate) fn key(headers: &HeaderMap, name: &HeaderName) -> Result<Option<[u8; 32]>, Refusal> {
    let Some(text) = header(headers, name)? else { return Ok(None) };
    let bytes = base64url::decode(text).and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok());
    bytes.map(Some).ok_or_else(|| Refusal::bad_request("A header has 32 bytes in base64url"))
}

/// The one value of a header; none if it is absent. Twice is a refusal: proxies disagree on which of them counts.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| Refusal::bad_request("A header cannot be read")),
        _ => Err(Refusal::bad_request("A header is there twice")),
    }
}

/// The credentials after `scheme` in the `Authorization` header.
pub(crate) fn credentials<'a>(headers: &'a HeaderMap, scheme: &str) -> Result<Option<&'a str>, Refusal> {
    Ok(header(headers, &AUTHORIZATION)?.and_then(|value| {
        let (given, credentials) = value.split_once(' ')?;
        given.eq_ignore_ascii_case(scheme).then_some(credentials.trim())
    }))
}

/// Hash of a log's bearer token. A missing or unreadable one is refused like a wrong one.
pub(crate) fn log_token(headers: &HeaderMap) -> Result<[u8; 32], Refusal> {
    let token = credentials(headers, "Bearer")?.and_then(base64url::decode).ok_or(ProblemCode::LogRefused)?;
    Ok(token_hash(&token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let of = |uri: &'static str| number::<u64>(&Uri::from_static(uri), "after", 7);
        assert_eq!(of("/x"), Ok(7));
        assert_eq!(of("/x?"), Ok(7));
        assert_eq!(of("/x?other=1"), Ok(7));
        assert_eq!(of("/x?after=18446744073709551615"), Ok(u64::MAX));
        for bad in [
            "/x?after=",
            "/x?after",
            "/x?after=-1",
            "/x?after=+1",
            "/x?after=18446744073709551616",
            "/x?after=1&after=1",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
