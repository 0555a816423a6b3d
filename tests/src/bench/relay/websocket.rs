//! A connection that is told of entries (RFC 6455, as little of it as there can be): pings are answered, so that it may wait for long.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use waxwing_wire::api::{EntryBytes, Subscribe, SubscribeLog};
use waxwing_wire::frame::Push;
use waxwing_wire::limits::SUBSCRIBE_MESSAGE_LOGS;

use super::server::Log;

const TEXT: u8 = 0x81;
const PONG: u8 = 0x8a;
const BINARY: u8 = 0x82;
const PING: u8 = 0x89;

/// A stream of bytes, in the clear or not.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A subscription.
pub struct Socket {
    stream: Box<dyn Stream>,
    read: Vec<u8>,
}

/// A TCP connection from this local address.
pub async fn connect(address: SocketAddr, from: [u8; 4]) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    socket.connect(address).await
}

impl Socket {
    /// Upgrades a stream.
    pub async fn upgrade(mut stream: Box<dyn Stream>) -> std::io::Result<Self> {
        let request = "GET /v1/subscribe HTTP/1.1\r\nhost: relay.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                       sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        if !head.starts_with(b"HTTP/1.1 101 ") {
            return Err(std::io::Error::other(String::from_utf8_lossy(&head).into_owned()));
        }
        Ok(Self { stream, read: Vec::new() })
    }

    /// Follows logs; returns once they are followed.
    pub async fn follow(&mut self, logs: &[Log]) {
        for some in logs.chunks(SUBSCRIBE_MESSAGE_LOGS) {
            let some = some.iter().map(|log| SubscribeLog { log: log.id, read_token: EntryBytes(log.read.to_vec()) });
            let asked = Subscribe { logs: some.collect(), inbox: false, transparency: false };
            self.send(TEXT, &serde_json::to_vec(&asked).unwrap()).await.unwrap();
            while self.next().await.unwrap() != Push::Ready {}
        }
    }

    /// The next that it is told.
    pub async fn next(&mut self) -> std::io::Result<Push> {
        loop {
            let kind = self.frame().await?;
            match kind {
                BINARY => return Push::decode(&self.read).map_err(std::io::Error::other),
                PING => {
                    let payload = std::mem::take(&mut self.read);
                    self.send(PONG, &payload).await?;
                }
                other => return Err(std::io::Error::other(format!("a frame of kind {other:#x}"))),
            }
        }
    }

    /// Reads a frame into `read`.
    async fn frame(&mut self) -> std::io::Result<u8> {
        let kind = self.stream.read_u8().await?;
        let length = match self.stream.read_u8().await? {
            126 => u64::from(self.stream.read_u16().await?),
            127 => self.stream.read_u64().await?,
            short => u64::from(short),
        };
        self.read.resize(length as usize, 0);
        self.stream.read_exact(&mut self.read).await?;
        Ok(kind)
    }

    /// Sends a frame; masked, as a client's must be, with a mask of zeros.
    async fn send(&mut self, kind: u8, payload: &[u8]) -> std::io::Result<()> {
        let mut frame = vec![kind];
        match payload.len() {
            short @ ..126 => frame.push(0x80 | short as u8),
            long => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(long as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(payload);
        self.stream.write_all(&frame).await?;
        self.stream.flush().await
    }
}
