//! Closed loops: each connection posts its next entry once the one before is accepted; on the full path, once a reader was told of it, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use waxwing_wire::frame::Push;

use super::super::report::Report;
use super::http::{Connection, number_of};
use super::percentile;
use super::server::{LOGS, Server};
use super::websocket::Socket;

/// How long each loop runs before it counts, and then counts.
const WARM_UP: Duration = Duration::from_secs(1);
const COUNTED: Duration = Duration::from_secs(5);
/// Connections that post on the full path, and those that are told.
const POSTING: usize = 64;
const READING: usize = 8;

/// Numbers of entries: no two of a run are the same.
pub static NEXT: AtomicU64 = AtomicU64::new(0);

pub fn next_number() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Measures accepts at 1, 16, 64 and 256 connections, beside what `bare` HTTP does in a second at 64, and the full path.
pub async fn measure(report: &mut Report, server: &Server, bare: f64) {
    for connections in [1, 16, 64, 256] {
        eprintln!("accepts: {connections} connections");
        let mut times = closed_loop(server, connections).await;
        let per_s = times.len() as f64 / COUNTED.as_secs_f64();
        report.value(format!("accepts_per_s_{connections}"), per_s);
        let (p50, p99) = (percentile(&mut times, 0.5), percentile(&mut times, 0.99));
        report.value(format!("accept_p50_ms_{connections}"), p50);
        report.value(format!("accept_p99_ms_{connections}"), p99);
        report.note(format!(
            "{connections:>3} connections: {per_s:.0} durable accepts/s, p50 {p50:.2} ms, p99 {p99:.2} ms"
        ));
        if connections == 64 {
            report.value("accepts_over_bare_64", per_s / bare);
            report.note(format!("    that is {:.0}% of bare axum", per_s / bare * 100.0));
        }
    }
    eprintln!("the full path");
    let per_s = full_path(server).await;
    report.value("full_path_per_s", per_s);
    report.note(format!("accept, push and read, {POSTING} connections: {per_s:.0}/s"));
}

/// Milliseconds of each accept that ended while it counted.
async fn closed_loop(server: &Server, connections: usize) -> Vec<f64> {
    let start = Instant::now() + WARM_UP;
    let end = start + COUNTED;
    let tasks: Vec<_> = (0..connections)
        .map(|number| {
            let (address, logs) = (server.address, Arc::clone(&server.logs));
            tokio::spawn(async move {
                let mut connection = Connection::open(address).await;
                let mut times = Vec::new();
                for turn in 0.. {
                    let log = &logs[(number + turn * connections) % LOGS];
                    let began = Instant::now();
                    if began >= end {
                        break;
                    }
                    connection.post(log, next_number()).await;
                    let now = Instant::now();
                    if now >= start && now < end {
                        times.push((now - began).as_secs_f64() * 1000.0);
                    }
                }
                times
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    all
}

async fn full_path(server: &Server) -> f64 {
    let base = NEXT.load(Ordering::Relaxed);
    let start = Instant::now() + WARM_UP;
    let end = start + COUNTED;
    let (told, heard): (Vec<_>, Vec<_>) = (0..POSTING).map(|_| mpsc::unbounded_channel::<u64>()).unzip();
    let told = Arc::new(told);
    for logs in server.logs.chunks(LOGS / READING) {
        let mut socket = Socket::upgrade(Box::new(TcpStream::connect(server.address).await.unwrap())).await.unwrap();
        socket.follow(logs).await;
        let told = Arc::clone(&told);
        tokio::spawn(async move {
            while let Ok(push) = socket.next().await {
                let Push::Log { entry: Some(entry), .. } = push else { continue };
                let number = number_of(entry.entry_id);
                // The number says which connection has posted it.
                let _ = told[((number - base) % POSTING as u64) as usize].send(number);
            }
        });
    }
    let tasks: Vec<_> = heard
        .into_iter()
        .zip(0_u64..)
        .map(|(mut heard, connection)| {
            let (address, logs) = (server.address, Arc::clone(&server.logs));
            tokio::spawn(async move {
                let mut http = Connection::open(address).await;
                let mut done = 0_u64;
                for turn in 0.. {
                    if Instant::now() >= end {
                        break;
                    }
                    let number = base + connection + turn * POSTING as u64;
                    NEXT.fetch_max(number + 1, Ordering::Relaxed);
                    http.post(&logs[(connection as usize + turn as usize * POSTING) % LOGS], number).await;
                    while heard.recv().await != Some(number) {}
                    let now = Instant::now();
                    done += u64::from(now >= start && now < end);
                }
                done
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        done += task.await.unwrap();
    }
    done as f64 / COUNTED.as_secs_f64()
}
