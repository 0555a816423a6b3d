//! A disk that is full: a small one in a mount namespace of its own, which nothing else sees and which ends with the program.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use reqwest::{Method, StatusCode};
use waxwing_wire::BlobId;
use waxwing_wire::problem::ProblemCode;

use crate::kit::{Account, Http, code, random};
use crate::process::{PROGRAM, Running};

const DISK: &str = "6m";
const SERVE: &str = r#"mount -t tmpfs -o size="$3" tmpfs "$1" && exec "$2" serve --listen 127.0.0.1:0 --data "$1/data" --log off --disk-reserve 0"#;

/// A relay on a disk of its own, and where it is; none where no namespace is to be had.
fn on_a_small_disk(folder: &std::path::Path) -> Option<(Running, String)> {
    for namespace in [["--mount"].as_slice(), &["--mount", "--user", "--map-root-user"]] {
        let mut command = Command::new("unshare");
        command.args(namespace).args(["--", "sh", "-c", SERVE, "sh"]).arg(folder).args([PROGRAM, DISK]);
        let Ok(mut child) = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn() else { return None };
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let running = Running(child);
        if let Some(url) = line.trim().rsplit(' ').next().filter(|url| url.starts_with("http")) {
            return Some((running, url.to_owned()));
        }
    }
    None
}

#[tokio::test]
async fn a_blob_for_which_there_is_no_room_is_refused_and_leaves_room_for_others() {
    let folder = tempfile::tempdir().unwrap();
    let Some((_relay, url)) = on_a_small_disk(folder.path()) else {
        println!("SKIPPED: no mount namespace can be made here");
        return;
    };
    let http = Http::new(&url);
    let mut alice = Account::new("alice", &http.authority());
    assert_eq!(http.register(&alice).await.status(), StatusCode::CREATED);
    alice.token = http.token(&alice).await;
    let blob = |size: usize| -> Vec<u8> { random::<64>().iter().copied().cycle().take(size).collect() };
    let path = |bytes: &[u8]| format!("/v1/blobs/{}", BlobId::of(bytes));
    let put =
        async |bytes: &[u8]| http.authed(&alice, Method::PUT, &path(bytes)).body(bytes.to_vec()).send().await.unwrap();
    let first = blob(1_000_000);
    assert_eq!(put(&first).await.status(), StatusCode::CREATED);
    for _ in 0..2 {
        let large = blob(8_000_000);
        let refused = put(&large).await;
        assert_eq!(refused.status(), StatusCode::INSUFFICIENT_STORAGE);
        assert_eq!(code(refused).await, ProblemCode::InsufficientStorage);
        assert_eq!(code(http.get(&path(&large)).await).await, ProblemCode::UnknownBlob);
    }
    // What was written of them is gone again.
    let second = blob(1_000_000);
    assert_eq!(put(&second).await.status(), StatusCode::CREATED);
    for bytes in [&first, &second] {
        assert_eq!(http.get(&path(bytes)).await.bytes().await.unwrap(), *bytes);
    }
}
