//! The client's part: a rotation in 50 conversations, and a new client that reads a log of a million leaves. Engines on a real relay in this process,
//! over loopback, with the rates raised.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use tokio::runtime::Runtime;
use waxwing_client::{Client, Profile, Registration};
use waxwing_relay::config::{Limits, Rate};
use waxwing_relay::storage::{SqliteStorage, Storage as _};
use waxwing_relay::{Config, LogSigner, Quotas, Relay};
use waxwing_wire::api::base64url;
use waxwing_wire::hash;
use waxwing_wire::transparency::Leaf;

use super::super::report::Report;

const CONVERSATIONS: usize = 50;
const LEAVES: u64 = 1_000_000;
/// Leaves put in by one transaction.
const FILLED: u64 = 50_000;
const PATIENCE: Duration = Duration::from_secs(600);

/// Measures both.
pub fn measure(report: &mut Report) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    report.heading("The client, on a relay over loopback");
    let (rotate, wait) = runtime.block_on(rotate_everywhere());
    report.value("rotate_50_conversations_s", rotate);
    report.value("rotate_longest_wait_ms", wait);
    report.note(format!(
        "a rotation until {CONVERSATIONS} conversations have the new keys: {rotate:.2} s; what a window asks for meanwhile waits {wait:.0} ms at most"
    ));
    let scan = scan(&runtime);
    report.value("client_scan_s", scan);
    report.note(format!("a new client, until it has read and proved {LEAVES} leaves: {scan:.1} s"));
}

async fn start(folder: &Path, listen: std::net::SocketAddr) -> Relay {
    let any = Rate { per_minute: 1_000_000, burst: 1_000_000 };
    let mut config = Config::new(listen, folder.to_owned());
    config.limits = Limits {
        address: any,
        registration: any,
        token: any,
        lookup: any,
        stranger: any,
        claim: any,
        key_packages: any,
        account: any,
        chain: any,
        ..Limits::default()
    };
    waxwing_relay::start(config).await.unwrap()
}

async fn register(folder: &Path, relay: &Relay, name: &str) -> Client {
    let profile = Profile::open(&folder.join(name)).unwrap();
    let registration = Registration {
        username: name.to_owned(),
        display_name: name.to_owned(),
        relay: relay.local_addr().to_string(),
        passphrase: Some("a passphrase for benchmarks".to_owned().into()),
        invitation: None,
    };
    Client::register(&profile, registration).await.unwrap()
}

async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
}

/// How long it takes in seconds, and the longest that the list of conversations and a timeline were waited for meanwhile, in milliseconds.
async fn rotate_everywhere() -> (f64, f64) {
    let folder = tempfile::tempdir().unwrap();
    let relay = start(&folder.path().join("relay"), ([127, 0, 0, 1], 0).into()).await;
    let (ada, bea) = (register(folder.path(), &relay, "ada").await, register(folder.path(), &relay, "bea").await);
    ada.add_contact(&bea.invite().await.unwrap().link).await.unwrap();
    let account = bea.profile().await.unwrap().account_id;
    for number in 0..CONVERSATIONS - 1 {
        ada.create_group(&format!("Group {number}"), std::slice::from_ref(&account)).await.unwrap();
    }
    until("both in every conversation", async || bea.conversations().await.unwrap().len() >= CONVERSATIONS).await;
    ada.sync().await.unwrap();
    let window = tokio::spawn({
        let ada = ada.clone();
        async move {
            let mut longest = Duration::ZERO;
            loop {
                let asked = Instant::now();
                let shown = async {
                    let list = ada.conversations().await?;
                    ada.messages(&list.first().unwrap().id, None, 50).await
                };
                let shown = shown.await;
                if ada.is_stopped() {
                    return longest;
                }
                // A window that was refused has measured nothing.
                shown.unwrap();
                longest = longest.max(asked.elapsed());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
    let start = Instant::now();
    ada.rotate_keys().await.unwrap();
    until("the new keys everywhere", async || {
        let outcome = ada.keys().await.unwrap().outcome;
        outcome.is_some_and(|outcome| outcome.updated as usize >= CONVERSATIONS && outcome.waiting.is_empty())
    })
    .await;
    let seconds = start.elapsed().as_secs_f64();
    ada.stop().await;
    let wait = window.await.unwrap().as_secs_f64() * 1000.0;
    bea.stop().await;
    relay.stop().await;
    (seconds, wait)
}

fn scan(runtime: &Runtime) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("relay");
    // Once, so that the relay makes its key; then its log is filled behind its back.
    let address = runtime.block_on(async {
        let relay = start(&data, ([127, 0, 0, 1], 0).into()).await;
        let address = relay.local_addr();
        relay.stop().await;
        address
    });
    fill(runtime, &data, &address.to_string());
    runtime.block_on(async {
        let relay = start(&data, address).await;
        let start = Instant::now();
        let ada = register(folder.path(), &relay, "ada").await;
        until("the whole log", async || ada.transparency_log().await.unwrap().size >= LEAVES as f64).await;
        let seconds = start.elapsed().as_secs_f64();
        ada.stop().await;
        relay.stop().await;
        seconds
    })
}

fn fill(runtime: &Runtime, data: &Path, origin: &str) {
    let stored: serde_json::Value = serde_json::from_slice(&std::fs::read(data.join("log-key.json")).unwrap()).unwrap();
    let seed: [u8; 32] = base64url::decode(stored["seed"].as_str().unwrap()).unwrap().try_into().unwrap();
    let signer = LogSigner::new(origin, SigningKey::from_bytes(&seed)).unwrap();
    let storage = SqliteStorage::open(data, Quotas::default(), signer, Arc::new(|_| ())).unwrap();
    let mut given = 0u64;
    let mut number = || {
        given += 1;
        hash(&[b"scan", &given.to_be_bytes()])
    };
    for _ in 0..LEAVES / FILLED {
        let some = (0..FILLED).map(|_| Leaf::Chain { account_hash: number(), seq: 0, entry_hash: number() }).collect();
        runtime.block_on(storage.fill_log(some)).unwrap();
    }
    runtime.block_on(storage.close()).unwrap();
}
