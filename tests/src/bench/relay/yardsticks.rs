//! What the relay is measured against, in the same run: the disk alone, and HTTP that stores nothing.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;

use super::http::Connection;
use super::percentile;
use super::server::Log;
use waxwing_wire::LogId;

const COUNTED: Duration = Duration::from_secs(3);
const CONNECTIONS: usize = 64;

/// How fast the disk is.
#[derive(Debug, Clone, Copy)]
pub struct Fsync {
    pub per_s: f64,
    pub median_ms: f64,
}

/// Appends 4 KiB and syncs, again and again, where temporary files are.
pub fn fsync() -> Fsync {
    let mut file = tempfile::tempfile().unwrap();
    let (start, mut times) = (Instant::now(), Vec::new());
    while start.elapsed() < COUNTED {
        let began = Instant::now();
        file.write_all(&[0x5a; 4096]).unwrap();
        file.sync_data().unwrap();
        times.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    let per_s = times.len() as f64 / start.elapsed().as_secs_f64();
    Fsync { per_s, median_ms: percentile(&mut times, 0.5) }
}

/// Requests per second of bare axum in a process of its own, under the same load.
pub async fn bare() -> f64 {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let mut child = command.arg("bare-http").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let address: SocketAddr = line.trim().parse().unwrap();
    let log = Arc::new(Log { id: LogId::from_bytes([1; 16]), write: [2; 32], read: [3; 32] });
    let end = Instant::now() + COUNTED;
    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let (mut connection, mut done) = (Connection::open(address).await, 0_u64);
                while Instant::now() < end {
                    connection.post(&log, done).await;
                    done += 1;
                }
                done
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        done += task.await.unwrap();
    }
    // Its input ends, and so does it.
    drop(child.stdin.take());
    child.wait().unwrap();
    done as f64 / COUNTED.as_secs_f64()
}

/// Serves HTTP that answers each entry with 201 and stores nothing, until its input ends.
pub fn serve_bare() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.spawn(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        let answer =
            post(|body: axum::body::Bytes| async move { (StatusCode::CREATED, format!("{{\"seq\":{}}}", body.len())) });
        let router = Router::new().route("/v1/logs/{log}/entries", answer);
        axum::serve(listener, router).await.unwrap();
    });
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
}
