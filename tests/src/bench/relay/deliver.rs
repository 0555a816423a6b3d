//! A steady rate from outside: what is late is late, so times count from when an entry was to be sent. And one entry to many readers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use waxwing_wire::frame::Push;

use super::super::report::Report;
use super::accepts::next_number;
use super::http::{Connection, number_of};
use super::percentile;
use super::server::{LOGS, Server};
use super::websocket::Socket;

const PER_S: u64 = 1000;
const SECONDS: u64 = 10;
/// The first second is not counted.
const UNCOUNTED: u64 = PER_S;
/// Connections that post in turn: more than are ever busy at once.
const POSTING: usize = 64;
const READING: usize = 8;
const READERS: usize = 100;
const ROUNDS: usize = 50;

/// Measures both.
pub async fn measure(report: &mut Report, server: &Server, fsync_ms: f64) {
    eprintln!("a steady rate");
    let (mut times, mut late) = steady(server).await;
    let (p50, p99) = (percentile(&mut times, 0.5), percentile(&mut times, 0.99));
    report.value("deliver_p50_ms_1000", p50);
    report.value("deliver_p99_ms_1000", p99);
    report.value("deliver_p50_over_target", p50 / (2.0 * fsync_ms + 1.0));
    report.note(format!(
        "accept to read at {PER_S}/s: p50 {p50:.2} ms, p99 {p99:.2} ms (target for p50: twice the disk's {fsync_ms:.2} ms and 1 ms)"
    ));
    let late = percentile(&mut late, 0.5);
    report.value("deliver_begun_late_p50_ms", late);
    report.note(format!("of which the load itself begins late: p50 {late:.2} ms"));
    eprintln!("one entry to {READERS} readers");
    let mut times = fan_out(server).await;
    let median = percentile(&mut times, 0.5);
    report.value("fan_out_100_ms", median);
    report.note(format!("one entry, until the last of {READERS} readers has it: {median:.2} ms"));
}

/// Milliseconds from when each was to be sent until it was read, and until it was begun to be sent.
async fn steady(server: &Server) -> (Vec<f64>, Vec<f64>) {
    let all = PER_S * SECONDS;
    let first = next_number();
    for _ in 0..all {
        next_number();
    }
    // Readers are at work before the first entry is due.
    let start = Instant::now() + Duration::from_millis(500);
    let due = move |number: u64| start + Duration::from_secs(1).mul_f64((number - first) as f64 / PER_S as f64);
    let (told, mut heard) = mpsc::unbounded_channel();
    for logs in server.logs.chunks(LOGS / READING) {
        let mut socket = Socket::upgrade(Box::new(TcpStream::connect(server.address).await.unwrap())).await.unwrap();
        socket.follow(logs).await;
        let told = told.clone();
        tokio::spawn(async move {
            while let Ok(push) = socket.next().await {
                let Push::Log { entry: Some(entry), .. } = push else { continue };
                let number = number_of(entry.entry_id);
                if (first..first + all).contains(&number) && told.send((number, due(number).elapsed())).is_err() {
                    return;
                }
            }
        });
    }
    drop(told);
    let mut connections = Vec::new();
    for _ in 0..POSTING {
        connections.push(Arc::new(Mutex::new(Connection::open(server.address).await)));
    }
    let logs = Arc::clone(&server.logs);
    // Tokio's clock ticks in milliseconds, which are as long as what is measured.
    let (begin, mut begun) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for number in first..first + all {
            std::thread::sleep(due(number).saturating_duration_since(Instant::now()));
            if begin.send(number).is_err() {
                return;
            }
        }
    });
    let begins = tokio::spawn(async move {
        let mut late = Vec::new();
        while let Some(number) = begun.recv().await {
            late.push(due(number).elapsed().as_secs_f64() * 1000.0);
            let (connection, logs) = (Arc::clone(&connections[number as usize % POSTING]), Arc::clone(&logs));
            tokio::spawn(async move {
                connection.lock().await.post(&logs[number as usize % LOGS], number).await;
            });
        }
        late
    });
    let mut times = Vec::new();
    for _ in 0..all {
        let next = tokio::time::timeout(Duration::from_secs(30), heard.recv()).await;
        let Ok(Some((number, late))) = next else { panic!("an entry was never told of") };
        if number - first >= UNCOUNTED {
            times.push(late.as_secs_f64() * 1000.0);
        }
    }
    (times, begins.await.unwrap())
}

async fn fan_out(server: &Server) -> Vec<f64> {
    let log = server.logs[0].clone();
    let (told, mut heard) = mpsc::unbounded_channel();
    for _ in 0..READERS {
        let mut socket = Socket::upgrade(Box::new(TcpStream::connect(server.address).await.unwrap())).await.unwrap();
        socket.follow(std::slice::from_ref(&log)).await;
        let told = told.clone();
        tokio::spawn(async move {
            while let Ok(push) = socket.next().await {
                if matches!(push, Push::Log { .. }) && told.send(()).is_err() {
                    return;
                }
            }
        });
    }
    let mut connection = Connection::open(server.address).await;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        connection.post(&log, next_number()).await;
        for _ in 0..READERS {
            heard.recv().await.unwrap();
        }
        times.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    times
}
