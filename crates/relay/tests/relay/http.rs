//! The HTTP surface as a whole: the OpenAPI document, and that whatever is no success is a problem.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use waxwing_wire::problem::ProblemCode;

use crate::kit::{Kit, app, code, problem};

/// Every operation there is. Whoever adds one adds it here.
const OPERATIONS: [(&str, &str); 27] = [
    ("delete", "/v1/access-keys"),
    ("get", "/.well-known/jwks.json"),
    ("get", "/healthz"),
    ("get", "/i"),
    ("get", "/openapi.json"),
    ("get", "/v1/accounts/{account}/chain"),
    ("get", "/v1/blobs/{id}"),
    ("get", "/v1/inboxes/{device}"),
    ("get", "/v1/key-packages"),
    ("get", "/v1/logs/{log}/entries"),
    ("get", "/v1/relay"),
    ("get", "/v1/subscribe"),
    ("get", "/v1/transparency/checkpoint"),
    ("get", "/v1/transparency/leaves"),
    ("get", "/v1/transparency/proof"),
    ("get", "/v1/transparency/restored"),
    ("post", "/oauth/token"),
    ("post", "/v1/accounts"),
    ("post", "/v1/accounts/{account}/chain"),
    ("post", "/v1/inboxes/{device}"),
    ("post", "/v1/inboxes/{device}/ack"),
    ("post", "/v1/key-packages"),
    ("post", "/v1/key-packages/claim"),
    ("post", "/v1/logs"),
    ("post", "/v1/logs/{log}/entries"),
    ("put", "/v1/access-keys"),
    ("put", "/v1/blobs/{id}"),
];

async fn document(kit: &Kit) -> Value {
    let answer = kit.http.get("/openapi.json").await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "application/json");
    answer.json().await.unwrap()
}

/// Method, address and description of each operation.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let mut all = Vec::new();
    for (path, item) in paths {
        all.extend(item.as_object().unwrap().iter().map(|(method, it)| (method.as_str(), path.as_str(), it)));
    }
    all
}

#[tokio::test]
async fn the_document_has_every_route() {
    let kit = Kit::new().await;
    let document = document(&kit).await;
    let documented: BTreeSet<_> = operations(&document).iter().map(|(method, path, _)| (*method, *path)).collect();
    assert_eq!(documented, OPERATIONS.into());
    for (method, path, operation) in operations(&document) {
        let path = path.replace("{account}", &"0".repeat(32)).replace("{log}", &"0".repeat(32));
        let path = path.replace("{device}", &"0".repeat(32)).replace("{id}", &"0".repeat(64));
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        let answer = kit.http.request(method.clone(), &path).send().await.unwrap();
        // Whatever it says to a request without anything, the document says so, too.
        let status = answer.status();
        let documented = &operation["responses"][status.as_str()];
        assert!(documented.is_object(), "{method} {path}: {status}");
        if !status.is_success() {
            let codes = &documented["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"]["code"];
            let code = serde_json::to_value(code(answer).await).unwrap();
            assert!(codes["enum"].as_array().unwrap().contains(&code), "{method} {path}: {code}");
        }
    }
}

/// All that is referred to is there, and every operation says what it must (OpenAPI 3.1, section 4.8).
#[tokio::test]
async fn the_document_is_whole() {
    let kit = Kit::new().await;
    let document = document(&kit).await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    let mut references = 0;
    each(&document, &mut |value| {
        if let Some(Value::String(reference)) = value.get("$ref") {
            let target = document.pointer(reference.strip_prefix('#').unwrap());
            assert!(target.is_some_and(Value::is_object), "{reference}");
            references += 1;
        }
    });
    assert!(references > 30, "{references}");
    let mut binary = 0;
    each(&document, &mut |value| {
        if let Some(content) = value.get("application/octet-stream") {
            assert_eq!(content["schema"], serde_json::json!({ "type": "string", "format": "binary" }));
            binary += 1;
        }
    });
    assert_eq!(binary, 12);
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let what = format!("{method} {path}");
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{what}");
        assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{what}");
        let parameters = operation["parameters"].as_array().unwrap();
        for parameter in parameters {
            assert!(parameter["name"].is_string() && parameter["schema"].is_object(), "{what}");
        }
        let named = |kind: &str| -> BTreeSet<String> {
            let of_kind = parameters.iter().filter(|parameter| parameter["in"] == kind);
            of_kind.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
        };
        let in_path = path.split('{').skip(1).map(|rest| rest.split('}').next().unwrap().to_owned()).collect();
        assert_eq!(named("path"), in_path, "{what}");
        assert!(named("header").contains("waxwing-api"), "{what}");
        for requirement in operation["security"].as_array().into_iter().flatten() {
            for scheme in requirement.as_object().unwrap().keys() {
                assert!(document["components"]["securitySchemes"][scheme].is_object(), "{what}: {scheme}");
            }
        }
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2') || status == "101"), "{what}");
        for (status, response) in responses {
            assert!(response["description"].is_string(), "{what}: {status}");
            assert!(response["headers"]["waxwing-api"].is_object(), "{what}: {status}");
            let problem = response["content"]["application/problem+json"].is_object();
            assert_eq!(problem, status.starts_with(['4', '5']), "{what}: {status}");
        }
        // Whatever takes a body can be sent too much of it, or another kind.
        let body = operation["requestBody"].is_object();
        for status in ["413", "415"] {
            assert_eq!(responses.contains_key(status), body, "{what}: {status}");
        }
    }
}

fn each(value: &Value, seen: &mut impl FnMut(&Value)) {
    seen(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| each(item, seen)),
        Value::Object(fields) => fields.values().for_each(|field| each(field, seen)),
        _ => {}
    }
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn no_such_address_or_method() {
    let kit = Kit::new().await;
    for path in ["/nothing", "/v1", "/v1/accounts/", "/v1/logs/x", "/v1/accounts/a/b/chain", "//healthz"] {
        let answer = problem(kit.http.get(path).await).await;
        assert_eq!((answer.code, answer.status), (ProblemCode::NotFound, 404), "{path}");
    }
    // RFC 9110, section 15.5.6: a 405 lists the methods that there are.
    let log = format!("/v1/logs/{}/entries", "0".repeat(32));
    for (method, path, allowed) in [
        (Method::DELETE, "/healthz", "GET,HEAD"),
        (Method::GET, "/oauth/token", "POST"),
        (Method::POST, "/v1/access-keys", "DELETE,PUT"),
        (Method::PATCH, &log, "GET,HEAD,POST"),
        (Method::OPTIONS, "/v1/accounts", "POST"),
    ] {
        let answer = kit.http.request(method, path).send().await.unwrap();
        let mut allow: Vec<_> = header(&answer, "allow").split(',').map(str::trim).collect();
        allow.sort_unstable();
        assert_eq!(allow.join(","), allowed, "{path}");
        assert_eq!(code(answer).await, ProblemCode::MethodNotAllowed, "{path}");
    }
    let head = kit.http.request(Method::HEAD, "/v1/relay").send().await.unwrap();
    assert_eq!((head.status(), header(&head, "waxwing-api")), (StatusCode::OK, "1"));
}

#[tokio::test]
async fn bodies_of_another_kind() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let log = kit.log(&alice).await;
    let entries = format!("/v1/logs/{}/entries", log.id);
    let send = async |method: Method, path: &str, media: &str| {
        let request = match path == entries {
            true => kit.http.request(method, path).bearer_auth(waxwing_wire::api::base64url::encode(&log.write)),
            false => kit.http.authed(&alice, method, path),
        };
        request.header("content-type", media).body(app(0, b"x").encode()).send().await.unwrap()
    };
    let inbox = format!("/v1/inboxes/{}", alice.device);
    for (method, path, accept) in [
        (Method::POST, entries.as_str(), "application/octet-stream"),
        (Method::POST, &inbox, "application/octet-stream"),
        (Method::POST, "/v1/key-packages", "application/octet-stream"),
        (Method::POST, "/v1/key-packages/claim", "application/octet-stream"),
        (Method::POST, "/v1/logs", "application/octet-stream"),
        (Method::PUT, "/v1/access-keys", "application/json"),
        (Method::DELETE, "/v1/access-keys", "application/json"),
        (Method::POST, "/v1/accounts", "application/json"),
        (Method::POST, &format!("{inbox}/ack"), "application/json"),
        (Method::POST, &format!("/v1/accounts/{}/chain", alice.id), "application/json"),
        (Method::POST, "/oauth/token", "application/x-www-form-urlencoded"),
    ] {
        let answer = send(method, path, "text/plain").await;
        assert_eq!(answer.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{path}");
        assert_eq!(header(&answer, "accept"), accept, "{path}");
        assert_eq!(code(answer).await, ProblemCode::UnsupportedMediaType, "{path}");
    }
    for media in ["application/octet-stream", "Application/Octet-Stream; x=y"] {
        assert_eq!(send(Method::POST, &entries, media).await.status(), StatusCode::CREATED, "{media}");
    }
    // Nothing is unpacked here.
    let packed = kit.http.request(Method::POST, "/v1/accounts").header("content-encoding", "gzip").body("x");
    assert_eq!(code(packed.send().await.unwrap()).await, ProblemCode::UnsupportedMediaType);
}

/// A3: too much of everything is told as a problem, up to the size from which nothing is read any more.
#[tokio::test]
async fn a3_what_is_too_large_or_too_slow_is_a_problem() {
    let kit = Kit::with(|config| config.limits.timeouts.request = Duration::from_millis(700)).await;
    let get = |path: &str| kit.http.request(Method::GET, path);
    let long = get(&format!("/{}", "x".repeat(17_000))).send().await.unwrap();
    assert_eq!(long.status(), StatusCode::URI_TOO_LONG);
    assert_eq!(code(long).await, ProblemCode::TooLarge);
    let wide = get("/healthz").header("x-large", "x".repeat(17_000)).send().await.unwrap();
    assert_eq!(wide.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(code(wide).await, ProblemCode::TooLarge);
    let many = (0..80).fold(get("/healthz"), |request, i| request.header(format!("x-{i}"), "x")).send().await.unwrap();
    assert_eq!(many.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(code(many).await, ProblemCode::TooLarge);
    let body = kit.http.request(Method::POST, "/v1/accounts").body("x".repeat(100_000)).send().await.unwrap();
    assert_eq!(body.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(code(body).await, ProblemCode::TooLarge);
    let mut slow = TcpStream::connect(kit.address()).await.unwrap();
    slow.write_all(b"POST /v1/accounts HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains(r#""code":"timeout""#), "{answer}");
}

/// A3: what is no request yet hyper answers by itself, with a bare status: no problem, and no version of the API. docs/protocol.md says so.
#[tokio::test]
async fn a3_what_is_no_request_gets_a_bare_status() {
    let kit = Kit::new().await;
    let line = "GET /healthz HTTP/1.1\r\nhost: x\r\n";
    // All of it fits into what the relay reads at once, so that the answer is not lost to a reset.
    for (status, head) in [
        (400, "\0\r\n\r\n".to_owned()),
        (400, format!("{line}no colon\r\n\r\n")),
        (400, format!("{line}content-length: 1\r\ncontent-length: 2\r\n\r\n")),
        (431, format!("{line}{}\r\n", (0..200).map(|i| format!("x-{i}: x\r\n")).collect::<String>())),
        (431, format!("{line}x: {}\r\n\r\n", "x".repeat(25_000))),
        (431, format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(25_000))),
    ] {
        let mut stream = TcpStream::connect(kit.address()).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let answer = answer.to_ascii_lowercase();
        assert!(
            answer.starts_with(&format!("http/1.1 {status} ")) && answer.ends_with("\r\n\r\n"),
            "{status}: {answer}"
        );
        for absent in ["waxwing-api", "problem+json", "transfer-encoding"] {
            assert!(!answer.contains(absent), "{absent} in {answer}");
        }
    }
}
