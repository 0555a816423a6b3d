//! Somebody between people and their relay, who lets everything through but what they ask of the transparency log: a relay that lies about its
//! log, and is right again whenever the test wants.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use waxwing_wire::API_VERSION;
use waxwing_wire::api::API_HEADER;
use waxwing_wire::transparency::LEAF_LEN;

/// What is said of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lie {
    /// The truth.
    None,
    /// No proof is given.
    NoProofs,
    /// Nothing at all is given.
    Silent,
    /// Its newest checkpoint is this one.
    Frozen(Vec<u8>),
    /// The leaf with this number is not there, and all behind it stand one place before.
    Missing(usize),
    /// The leaf with this number is another one.
    Changed(usize),
    /// These are the notes of its restorations.
    Notes(Vec<String>),
}

#[derive(Debug, Clone)]
pub struct Between {
    pub address: SocketAddr,
    relay: Arc<Mutex<SocketAddr>>,
    lie: Arc<Mutex<Lie>>,
    told: Arc<AtomicUsize>,
}

impl Between {
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let between = Self {
            address,
            relay: Arc::new(Mutex::new(address)),
            lie: Arc::new(Mutex::new(Lie::None)),
            told: Arc::default(),
        };
        let serving = between.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let one = serving.clone();
                // A connection that breaks is an answer, too.
                tokio::spawn(async move { drop(one.serve(stream).await) });
            }
        });
        between
    }

    pub fn is_for(&self, relay: SocketAddr) {
        *self.relay.lock().unwrap() = relay;
    }

    pub fn tells(&self, lie: Lie) {
        *self.lie.lock().unwrap() = lie;
        self.told.store(0, Ordering::SeqCst);
    }

    /// How often it was told since.
    pub fn told(&self) -> usize {
        self.told.load(Ordering::SeqCst)
    }

    /// The newest checkpoint of this moment.
    pub async fn newest(&self) -> Vec<u8> {
        let request = b"GET /v1/transparency/checkpoint HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n";
        body(&self.ask(request).await.unwrap()).unwrap()
    }

    async fn ask(&self, request: &[u8]) -> std::io::Result<Vec<u8>> {
        let relay = *self.relay.lock().unwrap();
        let mut stream = TcpStream::connect(relay).await?;
        stream.write_all(request).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(answer)
    }

    async fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut read = Vec::new();
        let end = loop {
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
            if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
        };
        let head = String::from_utf8_lossy(&read[..end]).into_owned();
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        // One request for each connection, so that every one is seen; those that become something else go through as they are.
        let upgrade = head.to_ascii_lowercase().contains("\r\nupgrade:");
        let mut request = read.clone();
        if !upgrade {
            let lines: Vec<_> =
                head.split("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("connection:")).collect();
            request = [lines.join("\r\n").as_bytes(), b"\r\nconnection: close", &read[end..]].concat();
        }
        if let Some(answer) = self.lies(&path, &request).await? {
            self.told.fetch_add(1, Ordering::SeqCst);
            return stream.write_all(&answer).await;
        }
        let relay = *self.relay.lock().unwrap();
        let mut to = TcpStream::connect(relay).await?;
        to.write_all(&request).await?;
        tokio::io::copy_bidirectional(&mut stream, &mut to).await.map(drop)
    }

    async fn lies(&self, path: &str, request: &[u8]) -> std::io::Result<Option<Vec<u8>>> {
        let lie = self.lie.lock().unwrap().clone();
        let Some(of) = path.strip_prefix("/v1/transparency/") else { return Ok(None) };
        let nothing = reply("404 Not Found", b"");
        Ok(match lie {
            Lie::None => None,
            Lie::Silent => Some(nothing),
            Lie::NoProofs => of.starts_with("proof").then_some(nothing),
            Lie::Frozen(newest) => of.starts_with("checkpoint").then(|| reply("200 OK", &newest)),
            Lie::Notes(notes) => of.starts_with("restored").then(|| {
                let notes = waxwing_wire::api::Restorations { notes };
                reply("200 OK", &serde_json::to_vec(&notes).unwrap())
            }),
            Lie::Missing(leaf) | Lie::Changed(leaf) => {
                let Some(from) = of.strip_prefix("leaves?from=").and_then(|from| from.parse::<usize>().ok()) else {
                    return Ok(None);
                };
                let mut leaves = body(&self.ask(request).await?).unwrap_or_default();
                let Some(at) = leaf.checked_sub(from).map(|place| place * LEAF_LEN).filter(|at| *at < leaves.len())
                else {
                    return Ok(Some(reply("200 OK", &leaves)));
                };
                if lie == Lie::Missing(leaf) {
                    leaves.drain(at..at + LEAF_LEN);
                } else {
                    leaves[at + LEAF_LEN - 1] ^= 1;
                }
                Some(reply("200 OK", &leaves))
            }
        })
    }
}

fn reply(status: &str, body: &[u8]) -> Vec<u8> {
    let (kind, len) = ("content-type: application/octet-stream", body.len());
    let api = format!("{API_HEADER}: {API_VERSION}");
    let head = format!("HTTP/1.1 {status}\r\n{api}\r\n{kind}\r\ncontent-length: {len}\r\nconnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// What a successful answer carries.
fn body(answer: &[u8]) -> Option<Vec<u8>> {
    let at = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    assert!(!String::from_utf8_lossy(&answer[..at]).to_ascii_lowercase().contains("transfer-encoding"));
    answer.starts_with(b"HTTP/1.1 200").then(|| answer[at + 4..].to_vec())
}
