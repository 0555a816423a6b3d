//! A relay that answers whatever a test says, for a real engine: what the engine does between two requests is its own.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use waxwing_wire::api::{ChainPage, EntryBytes};
use waxwing_wire::frame::Append;
use waxwing_wire::{API_VERSION, AccountId, RelayAddress, VerifiedChain};

/// What a TLS connection begins with.
const HANDSHAKE: u8 = 0x16;

/// One request.
#[derive(Clone)]
pub(super) struct Asked {
    /// Method and path.
    pub(super) what: String,
    pub(super) body: Vec<u8>,
}

/// A status and a body.
pub(super) type Answer = (u16, Vec<u8>);

pub(super) struct SmallRelay {
    pub(super) address: RelayAddress,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// It has put what was sent at this place.
pub(super) fn stored(seq: u64) -> Answer {
    (201, format!(r#"{{"seq":{seq}}}"#).into_bytes())
}

pub(super) fn problem(status: u16, code: &str) -> Answer {
    (status, format!(r#"{{"code":"{code}","status":{status},"title":""}}"#).into_bytes())
}

impl Asked {
    /// Whether something is to be put into a log.
    pub(super) fn appends(&self) -> bool {
        self.what.starts_with("POST /v1/logs/")
    }

    /// Whether a log is read.
    pub(super) fn reads(&self) -> bool {
        self.what.starts_with("GET /v1/logs/")
    }

    /// None where the connection is of no use: whoever speaks TLS is hung up on.
    async fn read(stream: &mut TcpStream) -> Option<Self> {
        let mut bytes = Vec::new();
        let end = loop {
            if stream.read_buf(&mut bytes).await.ok()? == 0 || bytes[0] == HANDSHAKE {
                return None;
            }
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let length = head.lines().filter_map(|line| line.split_once(": "));
        let length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length: usize = length.map(|(_, value)| value.parse::<usize>().unwrap()).sum();
        bytes.drain(..end + 4);
        while bytes.len() < length {
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        }
        let what = head.lines().next().unwrap().rsplit_once(' ').unwrap().0.to_owned();
        Some(Self { what, body: bytes })
    }
}

impl SmallRelay {
    pub(super) async fn new<F, A>(answer: F) -> Self
    where
        F: Fn(Asked) -> A + Send + Sync + 'static,
        A: Future<Output = Answer> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string().parse().unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let seen = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let Some(asked) = Asked::read(&mut stream).await else { continue };
                seen.lock().unwrap().push(asked.clone());
                let (status, body) = answer(asked).await;
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status} x\r\nwaxwing-api: {API_VERSION}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
                );
                let _ = stream.write_all(&[head.into_bytes(), body].concat()).await;
            }
        });
        Self { address, asked }
    }

    /// What was asked since the last time.
    pub(super) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    /// What of that was to be put into a log.
    pub(super) fn appended(&self) -> Vec<Append> {
        let asked = self.asked();
        asked.iter().filter(|asked| asked.appends()).map(|asked| Append::decode(&asked.body).unwrap()).collect()
    }
}

/// One that shows this chain of an account, and does nothing else.
pub(super) async fn chain_of(account: AccountId, entries: &[Vec<u8>]) -> SmallRelay {
    let whole = ChainPage {
        account,
        name: VerifiedChain::verify(entries).unwrap().name().cloned(),
        head: u32::try_from(entries.len()).unwrap() - 1,
        entries: entries.iter().cloned().map(EntryBytes).collect(),
        indexes: Vec::new(),
        name_index: None,
        checkpoint: None,
    };
    let path = format!("GET /v1/accounts/{account}/chain?from=");
    SmallRelay::new(move |asked: Asked| {
        let from = asked.what.strip_prefix(&path).map(|from| from.parse::<usize>().unwrap());
        let page = from.map(|from| {
            let entries = whole.entries.iter().skip(from).cloned().collect();
            serde_json::to_vec(&ChainPage { entries, ..whole.clone() }).unwrap()
        });
        std::future::ready(page.map_or_else(|| problem(503, "unavailable"), |page| (200, page)))
    })
    .await
}
