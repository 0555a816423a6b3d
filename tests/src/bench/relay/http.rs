//! A connection that posts entries and asks: as little HTTP as there can be, since it shares the cores with what it measures.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use waxwing_wire::EnvelopeId;
use waxwing_wire::api::base64url;

use super::server::{AUDIENCE, Log, entry};

/// Bytes of an entry's envelope.
pub const ENTRY: usize = 1024;

/// One keep-alive connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
    request: Vec<u8>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, answer: Vec::with_capacity(4096), request: Vec::with_capacity(2048) }
    }

    /// Posts entry `number` to a log and waits for the answer, which must be 201.
    pub async fn post(&mut self, log: &Log, number: u64) {
        let body = entry(number, id(number), ENTRY).encode();
        let headers = format!("authorization: Bearer {}\r\n", base64url::encode(&log.write));
        let status = self.ask("POST", &format!("/v1/logs/{}/entries", log.id), &headers, &body).await;
        assert_eq!(status, 201, "{}", String::from_utf8_lossy(&self.answer));
    }

    /// Sends a request and waits for the answer; its status. Without a `content-type` among `headers` a body is binary.
    pub async fn ask(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> u16 {
        self.request.clear();
        let binary = if headers.contains("content-type") { "" } else { "content-type: application/octet-stream\r\n" };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {AUDIENCE}\r\n{headers}{binary}content-length: {}\r\n\r\n",
            body.len()
        );
        self.request.extend_from_slice(head.as_bytes());
        self.request.extend_from_slice(body);
        self.stream.write_all(&self.request).await.unwrap();
        self.answer().await
    }

    /// The body of the last answer.
    pub fn body(&self) -> &[u8] {
        let end = self.answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        &self.answer[end + 4..]
    }

    /// A header of the last answer, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<String> {
        let end = self.answer.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&self.answer[..end]);
        let mut fields = head.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    }

    /// Reads one answer; its status.
    async fn answer(&mut self) -> u16 {
        self.answer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.answer).await.unwrap();
            assert!(read > 0, "the relay closed the connection");
            let Some(end) = self.answer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(&self.answer[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
            while self.answer.len() < end + 4 + length {
                assert!(self.stream.read_buf(&mut self.answer).await.unwrap() > 0);
            }
            return head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        }
    }
}

/// An entry's id says its number, so that whoever is told of it knows which one it is. The second half keeps runs apart.
pub fn id(number: u64) -> EnvelopeId {
    let mut bytes = [0x5a; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    EnvelopeId::from_bytes(bytes)
}

/// Reads the number back.
pub fn number_of(id: EnvelopeId) -> u64 {
    u64::from_be_bytes(*id.as_bytes().first_chunk().unwrap())
}
