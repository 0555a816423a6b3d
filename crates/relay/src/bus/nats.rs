//! Core NATS as the bus: one subject, on which each process tells the others the tags of what it has stored.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, ServerAddr, Subscriber};
use futures_util::StreamExt as _;
use percent_encoding::percent_decode_str;
use tokio::sync::{Mutex, mpsc};
use zeroize::Zeroizing;

use super::Tag;

/// Tags that wait to be told; what does not find room is found by others in their next full round.
const QUEUE: usize = 4096;
/// Tags in one message, and of messages that are looked at together.
const BATCH: usize = 512;
/// Between two attempts to reach the server, at most.
const RETRY: Duration = Duration::from_secs(2);

/// How NATS is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsConfig {
    /// Where, and as whom.
    pub url: NatsUrl,
    /// First part of the subject, `PREFIX.wake`: relays that share a server have different ones.
    pub prefix: String,
}

impl NatsConfig {
    /// Under the prefix `waxwing`.
    #[must_use]
    pub fn new(url: NatsUrl) -> Self {
        Self { url, prefix: "waxwing".to_owned() }
    }
}

/// `nats://USER:PASSWORD@HOST:PORT` on loopback addresses, `tls://` elsewhere. It may hold a password and is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsUrl(Zeroizing<String>);

impl NatsUrl {
    /// Whether it can be read shows when it is used.
    #[must_use]
    pub fn new(url: String) -> Self {
        Self(Zeroizing::new(url))
    }
}

impl fmt::Debug for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The bus cannot be used as it is configured. A server that is away is no error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// The address cannot be read. It may hold a password, so nothing of it is repeated.
    #[error("the NATS address cannot be read; it is written nats://HOST:PORT or tls://HOST:PORT")]
    Url,
    /// Passwords and wake-ups would cross a network in the open.
    #[error("NATS would be reached over a network without TLS; write tls:// in its address, or use a loopback address")]
    InTheOpen,
    /// The prefix is no part of a subject.
    #[error("the NATS prefix has letters, digits, '-' and '_' only, and dots between them")]
    Prefix,
    /// The client could not be set up.
    #[error("NATS cannot be used")]
    Client,
}

/// A connection that comes back by itself.
pub(crate) struct Nats {
    connected: Arc<AtomicBool>,
    outgoing: mpsc::Sender<Tag>,
    incoming: Mutex<Subscriber>,
}

impl Nats {
    pub(super) async fn connect(config: &NatsConfig) -> Result<Self, BusError> {
        let subject = subject(&config.prefix)?;
        let (address, login) = address(&config.url)?;
        let connected = Arc::new(AtomicBool::new(false));
        let state = Arc::clone(&connected);
        let options = ConnectOptions::new()
            .name("waxwing-relay")
            .no_echo()
            .retry_on_initial_connect()
            .ignore_discovered_servers()
            .require_tls(address.tls_required())
            .reconnect_delay_callback(|attempt| {
                RETRY.min(Duration::from_millis(100) * u32::try_from(attempt).unwrap_or(u32::MAX).min(20))
            })
            .event_callback(move |event| {
                // What is missed meanwhile is found by a full round: there is one right away while this says false.
                match event {
                    Event::Connected => state.store(true, Ordering::Relaxed),
                    Event::Disconnected | Event::Closed | Event::LameDuckMode => state.store(false, Ordering::Relaxed),
                    _ => {}
                }
                async {}
            });
        let options = match login {
            Some((user, password)) => options.user_and_password(user, password),
            None => options,
        };
        let client = options.connect(address).await.map_err(|_| BusError::Client)?;
        let incoming = client.subscribe(subject.clone()).await.map_err(|_| BusError::Client)?;
        let (outgoing, tags) = mpsc::channel(QUEUE);
        tokio::spawn(publish(client, subject, tags));
        Ok(Self { connected, outgoing, incoming: Mutex::new(incoming) })
    }

    /// Queues a tag for the others.
    pub(super) fn tell(&self, tag: Tag) {
        let _ = self.outgoing.try_send(tag);
    }

    /// What others have told of, once they have.
    pub(super) async fn told(&self) -> Vec<Tag> {
        let mut incoming = self.incoming.lock().await;
        let Some(message) = incoming.next().await else { return std::future::pending().await };
        let mut tags = Vec::new();
        read(&message.payload, &mut tags);
        // What has come meanwhile goes along: of many entries in one log one look finds all.
        while tags.len() < BATCH
            && let Some(Some(message)) = futures_util::FutureExt::now_or_never(incoming.next())
        {
            read(&message.payload, &mut tags);
        }
        tags
    }

    /// Whether the server is there.
    pub(super) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }
}

/// Tags from a message. Whatever is none (somebody else's message) is followed by nobody.
fn read(payload: &[u8], tags: &mut Vec<Tag>) {
    for tag in payload.chunks_exact(size_of::<Tag>()).take(BATCH).filter_map(|tag| Tag::try_from(tag).ok()) {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
}

/// Publishes what is queued, together what waits together, until the relay is gone.
async fn publish(client: Client, subject: String, mut tags: mpsc::Receiver<Tag>) {
    let mut batch = Vec::with_capacity(BATCH);
    while tags.recv_many(&mut batch, BATCH).await > 0 {
        batch.sort_unstable();
        batch.dedup();
        // An error is that of a client that has ended; the others ask by themselves.
        let _ = client.publish(subject.clone(), batch.concat().into()).await;
        batch.clear();
    }
}

fn subject(prefix: &str) -> Result<String, BusError> {
    let part =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if prefix.split('.').all(part) { Ok(format!("{prefix}.wake")) } else { Err(BusError::Prefix) }
}

/// Where, and as whom. The client prints the address where it logs in detail, so who one is is taken out of it.
fn address(url: &NatsUrl) -> Result<(ServerAddr, Option<(String, String)>), BusError> {
    let address: ServerAddr = url.0.parse().map_err(|_| BusError::Url)?;
    let decoded = |text: &str| {
        percent_decode_str(text).decode_utf8().map(std::borrow::Cow::into_owned).map_err(|_| BusError::Url)
    };
    let login = match address.username() {
        Some(user) => Some((decoded(user)?, decoded(address.password().unwrap_or_default())?)),
        None => None,
    };
    let mut bare = address.into_inner();
    bare.set_username("").and_then(|()| bare.set_password(None)).map_err(|()| BusError::Url)?;
    let address = ServerAddr::from_url(bare).map_err(|_| BusError::Url)?;
    let host = address.host();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let here = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    if address.tls_required() || here { Ok((address, login)) } else { Err(BusError::InTheOpen) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_here_goes_without_tls() {
        let of = |url: &str| address(&NatsUrl::new(url.to_owned())).map(drop);
        for good in ["nats://127.0.0.1:4222", "nats://localhost", "nats://[::1]:4222", "tls://bus.example:4222"] {
            assert_eq!(of(good), Ok(()), "{good}");
        }
        assert_eq!(of("nats://me:hunter2@bus.example:4222"), Err(BusError::InTheOpen));
        assert_eq!(of("http://127.0.0.1"), Err(BusError::Url));
        let (bare, login) = address(&NatsUrl::new("nats://me:a%40b@127.0.0.1:4222".to_owned())).unwrap();
        assert_eq!(login, Some(("me".to_owned(), "a@b".to_owned())));
        assert_eq!(bare.as_url_str(), "nats://127.0.0.1:4222");
        assert_eq!(format!("{:?}", NatsConfig::new(NatsUrl::new("hunter2".to_owned())).url), "***");
    }

    #[test]
    fn prefixes() {
        assert_eq!(subject("waxwing"), Ok("waxwing.wake".to_owned()));
        assert_eq!(subject("a.b-c"), Ok("a.b-c.wake".to_owned()));
        for bad in ["", ".", "a.", "a*", "a b", ">"] {
            assert_eq!(subject(bad), Err(BusError::Prefix), "{bad}");
        }
    }

    #[test]
    fn a_message_is_tags_once_each() {
        let mut tags = Vec::new();
        read(&[[1; 16], [2; 16], [1; 16]].concat(), &mut tags);
        read(&[3; 15], &mut tags);
        assert_eq!(tags, [[1; 16], [2; 16]]);
    }
}
