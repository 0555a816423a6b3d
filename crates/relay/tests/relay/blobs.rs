//! Blobs: put up whole and in parts, fetched whole and in ranges, bounded, gone after a while.

use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::{Method, Response, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use waxwing_relay::BlobLimits;
use waxwing_wire::BlobId;
use waxwing_wire::api::base64url::encode;
use waxwing_wire::api::{BLOB_OWNER_HEADER, BLOB_SECRET_HEADER, BlobReceived, EntryBytes, SubmitEntry};
use waxwing_wire::blob::BlobSecret;
use waxwing_wire::limits::MIN_BLOB_PART;
use waxwing_wire::problem::ProblemCode;

use crate::kit::{Account, Kit, code, problem, random};

const PART: usize = MIN_BLOB_PART as usize;

fn bytes(length: usize) -> Vec<u8> {
    let seed = random::<32>();
    (0..length).map(|i| seed[i % 32] ^ u8::try_from(i / 32 % 256).unwrap()).collect()
}

fn path(id: BlobId) -> String {
    format!("/v1/blobs/{id}")
}

async fn put(kit: &Kit, by: &Account, id: BlobId, range: Option<&str>, body: &[u8]) -> Response {
    let request = kit.http.authed(by, Method::PUT, &path(id)).header("content-type", "application/octet-stream");
    let request = range.iter().fold(request, |request, range| request.header("content-range", *range));
    request.body(body.to_vec()).send().await.unwrap()
}

async fn put_as(kit: &Kit, by: &Account, secret: &BlobSecret, blob: &[u8]) -> BlobId {
    let id = BlobId::of(blob);
    let request = kit.http.authed(by, Method::PUT, &path(id)).header(BLOB_OWNER_HEADER, encode(&secret.owner_tag(id)));
    let request = request.header("content-type", "application/octet-stream").body(blob.to_vec());
    received(request.send().await.unwrap(), StatusCode::CREATED).await;
    id
}

async fn put_range(kit: &Kit, by: &Account, id: BlobId, whole: &[u8], range: std::ops::Range<usize>) -> Response {
    let text = format!("bytes {}-{}/{}", range.start, range.end - 1, whole.len());
    put(kit, by, id, Some(&text), &whole[range]).await
}

async fn get(kit: &Kit, id: BlobId, range: Option<&str>) -> Response {
    let request = kit.http.request(Method::GET, &path(id));
    range.iter().fold(request, |request, range| request.header("range", *range)).send().await.unwrap()
}

async fn received(answer: Response, status: StatusCode) -> u64 {
    assert_eq!(answer.status(), status);
    answer.json::<BlobReceived>().await.unwrap().received
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// Names of all files in a folder, and in those below.
pub fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.is_file() {
            found.push(path.to_str().unwrap().to_owned());
        }
    }
    found
}

fn limited(adjust: impl FnOnce(&mut BlobLimits)) -> impl Future<Output = Kit> {
    Kit::with(|config| adjust(&mut config.limits.blobs))
}

#[tokio::test]
async fn whoever_knows_the_id_may_fetch_it() {
    let mut kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let blob = bytes(300_000);
    let id = BlobId::of(&blob);
    assert_eq!(code(get(&kit, id, None).await).await, ProblemCode::UnknownBlob);
    for _ in 0..2 {
        assert_eq!(received(put(&kit, &alice, id, None, &blob).await, StatusCode::CREATED).await, 300_000);
    }
    for _ in 0..2 {
        let answer = get(&kit, id, None).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(header(&answer, "content-type"), "application/octet-stream");
        assert_eq!((header(&answer, "content-length"), header(&answer, "accept-ranges")), ("300000", "bytes"));
        assert_eq!(answer.bytes().await.unwrap(), blob);
        kit.restart().await;
    }
    let head = kit.http.request(Method::HEAD, &path(id)).header("range", "bytes=0-0").send().await.unwrap();
    assert_eq!((head.status(), header(&head, "content-length")), (StatusCode::OK, "300000"));
    // Nothing says whose it is: neither a file's name nor what stands in one.
    let secret = [alice.id.to_string(), alice.device.to_string()];
    for file in files(&kit.folder.path().join("blobs")) {
        let content = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        assert!(!secret.iter().any(|id| file.contains(id) || content.contains(id)), "{file}");
    }
}

/// RFC 9110, section 14: one range, of one part or across several.
#[tokio::test]
async fn ranges() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let blob = bytes(2 * PART + 1000);
    let (id, size) = (BlobId::of(&blob), blob.len());
    put_range(&kit, &alice, id, &blob, 0..PART).await;
    put_range(&kit, &alice, id, &blob, PART..2 * PART).await;
    received(put_range(&kit, &alice, id, &blob, 2 * PART..size).await, StatusCode::CREATED).await;
    for (asked, first, last) in [
        ("bytes=0-0".to_owned(), 0, 0),
        ("bytes=0-999999999".to_owned(), 0, size - 1),
        (format!("bytes={}-{}", PART - 1, PART), PART - 1, PART),
        (format!("bytes=10-{}", 2 * PART + 5), 10, 2 * PART + 5),
        (format!("bytes={}-", size - 1), size - 1, size - 1),
        ("bytes=-1500".to_owned(), size - 1500, size - 1),
    ] {
        let answer = get(&kit, id, Some(&asked)).await;
        assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT, "{asked}");
        assert_eq!(header(&answer, "content-range"), format!("bytes {first}-{last}/{size}"), "{asked}");
        assert_eq!(answer.bytes().await.unwrap(), blob[first..=last], "{asked}");
    }
    for asked in ["bytes=0-1,5-6", "lines=0-1", "bytes=5-4", "bytes=x"] {
        let answer = get(&kit, id, Some(asked)).await;
        assert_eq!(answer.status(), StatusCode::OK, "{asked}");
        assert_eq!(answer.bytes().await.unwrap(), blob, "{asked}");
    }
    for asked in [format!("bytes={size}-"), "bytes=-0".to_owned()] {
        let answer = get(&kit, id, Some(&asked)).await;
        assert_eq!(answer.status(), StatusCode::RANGE_NOT_SATISFIABLE, "{asked}");
        assert_eq!(header(&answer, "content-range"), format!("bytes */{size}"), "{asked}");
        assert_eq!(code(answer).await, ProblemCode::RangeNotSatisfiable, "{asked}");
    }
    let conditional = kit.http.request(Method::GET, &path(id)).header("range", "bytes=0-0").header("if-range", "\"x\"");
    assert_eq!(conditional.send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn an_upload_goes_on_where_it_was() {
    let mut kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let blob = bytes(2 * PART + 77);
    let (id, size) = (BlobId::of(&blob), blob.len() as u64);
    let state = format!("bytes */{size}");
    let ask = async |kit: &Kit| received(put(kit, &alice, id, Some(&state), b"").await, StatusCode::ACCEPTED).await;
    assert_eq!(ask(&kit).await, 0);
    for _ in 0..2 {
        // The second time as if the answer had been lost.
        let answer = put_range(&kit, &alice, id, &blob, 0..PART).await;
        assert_eq!(received(answer, StatusCode::ACCEPTED).await, MIN_BLOB_PART);
    }
    // What is not the next part is not taken, and says which would be.
    for range in [2 * PART..blob.len(), PART - 1..2 * PART, PART + 1..2 * PART] {
        let refused = problem(put_range(&kit, &alice, id, &blob, range).await).await;
        assert_eq!((refused.code, refused.head), (ProblemCode::WrongOffset, Some(MIN_BLOB_PART)));
    }
    // Half a blob is none.
    assert_eq!(code(get(&kit, id, None).await).await, ProblemCode::UnknownBlob);
    let token = alice.token.clone();
    kit.restart().await;
    assert_eq!(token, alice.token);
    assert_eq!(ask(&kit).await, MIN_BLOB_PART);
    put_range(&kit, &alice, id, &blob, PART..2 * PART).await;
    assert_eq!(code(get(&kit, id, None).await).await, ProblemCode::UnknownBlob);
    let last = put_range(&kit, &alice, id, &blob, 2 * PART..blob.len()).await;
    assert_eq!(received(last, StatusCode::CREATED).await, size);
    assert_eq!(get(&kit, id, None).await.bytes().await.unwrap(), blob);
    // Whatever comes of it afterwards is there already.
    assert_eq!(received(put(&kit, &alice, id, Some(&state), b"").await, StatusCode::CREATED).await, size);
    let again = put_range(&kit, &alice, id, &blob, 0..PART).await;
    assert_eq!(received(again, StatusCode::CREATED).await, size);
}

/// Nobody puts other bytes under an id, and what was spoilt can be put up again.
#[tokio::test]
async fn the_bytes_are_those_that_the_id_names() {
    let kit = Kit::new().await;
    let (alice, mallory) = (kit.account("alice").await, kit.account("mallory").await);
    let blob = bytes(PART + 5);
    let id = BlobId::of(&blob);
    let refused = put(&kit, &mallory, id, None, b"something else").await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(code(refused).await, ProblemCode::BlobMismatch);
    put_range(&kit, &mallory, id, &bytes(PART + 5), 0..PART).await;
    assert_eq!(code(put_range(&kit, &alice, id, &blob, PART..PART + 5).await).await, ProblemCode::BlobMismatch);
    assert!(files(&kit.folder.path().join("blobs")).is_empty());
    put_range(&kit, &mallory, id, &bytes(PART + 5), 0..PART).await;
    // Whole, it takes the place of what was there.
    received(put(&kit, &alice, id, None, &blob).await, StatusCode::CREATED).await;
    assert_eq!(get(&kit, id, None).await.bytes().await.unwrap(), blob);
}

#[tokio::test]
async fn what_is_no_blob() {
    let kit = limited(|blobs| blobs.max_bytes = 2 * MIN_BLOB_PART).await;
    let alice = kit.account("alice").await;
    let blob = bytes(1000);
    let id = BlobId::of(&blob);
    let unnamed = kit.http.request(Method::PUT, &path(id)).body(blob.clone()).send().await.unwrap();
    assert_eq!(code(unnamed).await, ProblemCode::Unauthorized);
    let text = kit.http.authed(&alice, Method::PUT, &path(id)).header("content-type", "text/plain").body("x");
    assert_eq!(code(text.send().await.unwrap()).await, ProblemCode::UnsupportedMediaType);
    for range in ["", "bytes 0-999", "bytes 5-4/1000", "bytes 0-1000/1000", "bytes 0-999/*", "lines 0-999/1000"] {
        assert_eq!(code(put(&kit, &alice, id, Some(range), &blob).await).await, ProblemCode::BadRequest, "{range}");
    }
    // A part that is too small and not the last, and bodies that are not what the request says.
    for (range, body) in
        [("bytes 0-99/1000", &blob[..100]), ("bytes 0-999/1000", &blob[..999]), ("bytes 0-999/1000", &[])]
    {
        assert_eq!(code(put(&kit, &alice, id, Some(range), body).await).await, ProblemCode::BadRequest, "{range}");
    }
    assert_eq!(code(put(&kit, &alice, id, None, b"").await).await, ProblemCode::BadRequest);
    let longer = put(&kit, &alice, id, Some("bytes 0-998/999"), &blob).await;
    assert_eq!(code(longer).await, ProblemCode::BadRequest);
    // In chunks, so that its length does not stand before it (RFC 9112, section 7.1).
    let chunked = async |range: &str, length: usize| {
        let proof = kit.http.proof(&alice, "PUT", &path(id), Some(&alice.token));
        let head = format!(
            "PUT {} HTTP/1.1\r\nhost: {}\r\nauthorization: DPoP {}\r\ndpop: {proof}\r\nconnection: close\r\n{range}transfer-encoding: chunked\r\n\r\n{length:x}\r\n",
            path(id),
            kit.http.authority(),
            alice.token
        );
        let mut stream = TcpStream::connect(kit.address()).await.unwrap();
        stream.write_all(&[head.as_bytes(), &bytes(length), b"\r\n0\r\n\r\n"].concat()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    for (range, length, status) in [
        ("content-range: bytes 0-998/999\r\n", 1000, "413"),
        ("content-range: bytes 0-998/999\r\n", 998, "400"),
        ("content-range: bytes */999\r\n", 5, "202"),
        ("", 2 * PART + 1, "413"),
        ("", 5, "422"),
    ] {
        let answer = chunked(range, length).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{range}{length}: {answer}");
    }
    let large = bytes(2 * PART + 1);
    for range in [None, Some(format!("bytes 0-{}/{}", 2 * PART - 1, 2 * PART + 1))] {
        let answer = put(&kit, &alice, BlobId::of(&large), range.as_deref(), &large).await;
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(code(answer).await, ProblemCode::TooLarge);
    }
    for bad in ["x", &id.to_string()[1..], &id.to_string().to_uppercase(), "..%2f..%2frelay.db"] {
        let path = format!("/v1/blobs/{bad}");
        assert_eq!(code(kit.http.get(&path).await).await, ProblemCode::UnknownBlob, "{bad}");
        let put = kit.http.authed(&alice, Method::PUT, &path).body("x").send().await.unwrap();
        assert_eq!(code(put).await, ProblemCode::BadRequest, "{bad}");
    }
    assert!(files(&kit.folder.path().join("blobs")).is_empty());
}

#[tokio::test]
async fn quotas_of_the_day_and_of_all() {
    let kit = limited(|blobs| (blobs.daily_bytes, blobs.total_bytes) = (1500, 2500)).await;
    let (alice, bob) = (kit.account("alice").await, kit.account("bob").await);
    let put = async |by: &Account, blob: &[u8]| put(&kit, by, BlobId::of(blob), None, blob).await;
    let first = bytes(1000);
    assert_eq!(put(&alice, &first).await.status(), StatusCode::CREATED);
    assert_eq!(code(put(&alice, &bytes(501)).await).await, ProblemCode::QuotaExceeded);
    // What is there costs nobody anything.
    assert_eq!(put(&alice, &first).await.status(), StatusCode::CREATED);
    assert_eq!(put(&bob, &bytes(1400)).await.status(), StatusCode::CREATED);
    let carol = kit.account("carol").await;
    let full = put(&carol, &bytes(101)).await;
    assert_eq!(full.status(), StatusCode::INSUFFICIENT_STORAGE);
    assert_eq!(code(full).await, ProblemCode::InsufficientStorage);
    assert_eq!(put(&carol, &bytes(100)).await.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn after_a_while_it_is_gone() {
    let kit = limited(|blobs| {
        blobs.keep = Duration::from_secs(2);
        blobs.keep_unfinished = Duration::from_secs(2);
        blobs.sweep = Duration::from_millis(300);
        blobs.total_bytes = 3 * MIN_BLOB_PART;
    })
    .await;
    let alice = kit.account("alice").await;
    let (blob, half) = (bytes(PART), bytes(2 * PART));
    let id = BlobId::of(&blob);
    received(put(&kit, &alice, id, None, &blob).await, StatusCode::CREATED).await;
    received(put_range(&kit, &alice, BlobId::of(&half), &half, 0..PART).await, StatusCode::ACCEPTED).await;
    let begun = Instant::now();
    let folder = kit.folder.path().join("blobs");
    // Nor are empty folders left, once the sweep that has removed their files has come to them.
    while std::fs::read_dir(&folder).unwrap().count() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", files(&folder));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Like one that there never was.
    let (gone, never) = (get(&kit, id, None).await, get(&kit, BlobId::of(b"never"), None).await);
    assert_eq!(gone.status(), never.status());
    assert_eq!(gone.bytes().await.unwrap(), never.bytes().await.unwrap());
    // There is room again.
    let large = bytes(3 * PART);
    received(put(&kit, &alice, BlobId::of(&large), None, &large).await, StatusCode::CREATED).await;
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_nothing() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let blob = bytes(100_000);
    let id = BlobId::of(&blob);
    let proof = kit.http.proof(&alice, "PUT", &path(id), Some(&alice.token));
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: {}\r\nauthorization: DPoP {}\r\ndpop: {proof}\r\ncontent-length: 100000\r\n\r\n",
        path(id),
        kit.http.authority(),
        alice.token
    );
    let mut stream = TcpStream::connect(kit.address()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&blob[..60_000]).await.unwrap();
    stream.flush().await.unwrap();
    // It is being written.
    let folder = kit.folder.path().join("blobs");
    let begun = Instant::now();
    while files(&folder).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(code(get(&kit, id, None).await).await, ProblemCode::UnknownBlob);
    drop(stream);
    while !files(&folder).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", files(&folder));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    received(put(&kit, &alice, id, None, &blob).await, StatusCode::CREATED).await;
}

/// A client that takes its time is told so, and leaves nothing.
#[tokio::test]
async fn a_slow_upload_is_ended() {
    let kit = Kit::with(|config| config.limits.timeouts.request = Duration::from_millis(700)).await;
    let alice = kit.account("alice").await;
    let id = BlobId::of(b"slow");
    let proof = kit.http.proof(&alice, "PUT", &path(id), Some(&alice.token));
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: {}\r\nauthorization: DPoP {}\r\ndpop: {proof}\r\ncontent-length: 4\r\n\r\nslo",
        path(id),
        kit.http.authority(),
        alice.token
    );
    let mut stream = TcpStream::connect(kit.address()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let folder = kit.folder.path().join("blobs");
    let begun = Instant::now();
    while !files(&folder).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", files(&folder));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whose blobs they are the relay learns when they are to go, and nobody's else go.
#[tokio::test]
async fn a_closed_account_has_its_blobs_removed() {
    let mut kit = Kit::new().await;
    let (alice, bob) = (kit.account("alice").await, kit.account("bob").await);
    let (hers, his) = (BlobSecret::from_bytes(random()), BlobSecret::from_bytes(random()));
    let blobs: [_; 4] = std::array::from_fn(|_| bytes(1000));
    let gone = [put_as(&kit, &alice, &hers, &blobs[0]).await, put_as(&kit, &alice, &hers, &blobs[1]).await];
    let both = put_as(&kit, &alice, &hers, &blobs[2]).await;
    assert_eq!(put_as(&kit, &bob, &his, &blobs[2]).await, both);
    let bobs = put_as(&kit, &bob, &his, &blobs[3]).await;
    let unowned = bytes(1000);
    received(put(&kit, &alice, BlobId::of(&unowned), None, &unowned).await, StatusCode::CREATED).await;
    // No tag and no owner is told from what is stored.
    for file in files(&kit.folder.path().join("blobs/whole")) {
        let stored = std::fs::read_to_string(file).unwrap();
        assert!(!stored.contains(&alice.id.to_string()) && !stored.contains(&encode(hers.as_bytes())));
    }
    let close = async |kit: &Kit, of: &Account, secret: &str| {
        let path = format!("/v1/accounts/{}/chain", of.id);
        let request = kit.http.authed(of, Method::POST, &path).header(BLOB_SECRET_HEADER, secret);
        request.json(&SubmitEntry { entry: EntryBytes(of.close()) }).send().await.unwrap()
    };
    // What cannot be read closes nothing.
    for bad in ["", "x", &encode(&[1; 31]), &encode(&[1; 33])] {
        assert_eq!(code(close(&kit, &alice, bad).await).await, ProblemCode::BadRequest, "{bad}");
    }
    assert_eq!(close(&kit, &alice, &encode(hers.as_bytes())).await.status(), StatusCode::CREATED);
    let begun = Instant::now();
    for id in gone {
        while get(&kit, id, None).await.status() != StatusCode::NOT_FOUND {
            assert!(begun.elapsed() < Duration::from_secs(30));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    for id in [both, bobs, BlobId::of(&unowned)] {
        assert_eq!(get(&kit, id, None).await.status(), StatusCode::OK);
    }
    // A relay that was stopped before it came to it does it when it is up again.
    kit.take().stop().await;
    let late = his.as_bytes().as_slice();
    kit.database().execute("INSERT INTO blobs_to_remove (secret, hour) VALUES (?1, 0)", [late]).unwrap();
    kit.start().await;
    let begun = Instant::now();
    for id in [both, bobs] {
        while get(&kit, id, None).await.status() != StatusCode::NOT_FOUND {
            assert!(begun.elapsed() < Duration::from_secs(30));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    assert_eq!(get(&kit, BlobId::of(&unowned), None).await.status(), StatusCode::OK);
    let left = "SELECT count(*) FROM blobs_to_remove WHERE hour = 0";
    while kit.database().query_row(left, [], |row| row.get::<_, u32>(0)).unwrap() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "what is done is forgotten");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn an_owner_that_cannot_be_read_is_refused() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let blob = bytes(100);
    for bad in ["", "!", &encode(&[1; 16]), &encode(&[1; 64])] {
        let request = kit.http.authed(&alice, Method::PUT, &path(BlobId::of(&blob))).header(BLOB_OWNER_HEADER, bad);
        let request = request.header("content-type", "application/octet-stream").body(blob.clone());
        assert_eq!(code(request.send().await.unwrap()).await, ProblemCode::BadRequest, "{bad}");
    }
    assert_eq!(get(&kit, BlobId::of(&blob), None).await.status(), StatusCode::NOT_FOUND);
}
