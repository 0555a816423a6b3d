//! Sockets: accepting, TLS, HTTP/1.1 with time limits on everything a client can be slow at, the graceful stop.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::audit::{Event, Subject};
use crate::config::Timeouts;
use crate::crowd::Crowd;
use crate::inflow::Counted;
use crate::state::{App, Peer, Places};
use crate::tls::ServerTls;

/// What is held of a request line and headers. The router refuses less than that with a problem (`router::check_size`); beyond it hyper answers
/// a bare 431, for then there is no request yet.
const MAX_HEADER_BYTES: usize = 24 * 1024;
const MAX_HEADERS: usize = 128;
/// Waited after an accept that failed (out of descriptors), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A way in: for clients, or for the operator.
pub(crate) struct Door {
    /// What is answered there.
    pub(crate) router: Router,
    /// How connections are protected.
    pub(crate) tls: Option<Arc<ServerTls>>,
    /// Most connections at a time.
    pub(crate) connections: usize,
    /// Of these, of one address.
    pub(crate) of_address: usize,
    /// Cancelled when it closes.
    pub(crate) closing: CancellationToken,
    /// Its connections.
    pub(crate) tasks: TaskTracker,
}

/// Accepts connections until the door closes.
pub(crate) async fn accept(app: Arc<App>, listener: TcpListener, door: Door) {
    let door = Arc::new(door);
    let places = Arc::new(Semaphore::new(door.connections.min(Semaphore::MAX_PERMITS)));
    let crowd = Crowd::new(door.of_address);
    loop {
        // A place first: who comes when all are taken waits in the kernel's queue.
        let Ok(place) = (tokio::select! {
            biased;
            () = door.closing.cancelled() => return,
            place = Arc::clone(&places).acquire_owned() => place,
        }) else {
            return;
        };
        let accepted = tokio::select! {
            biased;
            () = door.closing.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                let address = address.ip();
                // Whoever is behind a trusted proxy is for the proxy to count: it answers for all of them.
                let of_address = match app.proxies.contain(address) {
                    true => None,
                    false => match crowd.enter(address) {
                        Some(place) => Some(place),
                        None => {
                            app.metrics.crowded.inc();
                            app.audit.record(Event::Connections, Subject::Address(address.into()));
                            continue;
                        }
                    },
                };
                let peer = Peer { address, place: Arc::new(Places::new(&app, place, of_address)) };
                door.tasks.spawn(connection(Arc::clone(&app), Arc::clone(&door), stream, peer));
            }
            Err(error) => {
                tracing::warn!(kind = ?error.kind(), "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(app: Arc<App>, door: Arc<Door>, stream: TcpStream, peer: Peer) {
    // Answers are small and complete: waiting to fill a packet only adds delay.
    let _ = stream.set_nodelay(true);
    let Some(tls) = &door.tls else { return serve(app.timeouts, &door, stream, peer).await };
    // As it is now: the certificate may have changed since the last connection.
    let handshake = tokio::time::timeout(app.timeouts.handshake, TlsAcceptor::from(tls.config()).accept(stream));
    let accepted = tokio::select! {
        () = door.closing.cancelled() => return,
        accepted = handshake => accepted,
    };
    if let Ok(Ok(stream)) = accepted {
        serve(app.timeouts, &door, stream, peer).await;
    }
}

async fn serve<S>(timeouts: Timeouts, door: &Door, stream: S, peer: Peer)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = Counted::new(stream, Arc::clone(&peer.place));
    let service = door.router.clone().map_request(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        request.map(Body::new)
    });
    let stream = TokioIo::new(Box::pin(ImpatientWriter::new(stream, timeouts.write)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(timeouts.header)
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEADER_BYTES)
        .max_buf_size(2 * MAX_HEADER_BYTES)
        .serve_connection(stream, TowerToHyperService::new(service))
        .with_upgrades();
    tokio::pin!(connection);
    tokio::select! {
        // Errors here are the client's: it went away, or broke the protocol.
        _ = connection.as_mut() => return,
        () = door.closing.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Bytes that must go for each second of the time that a write may wait, unless fewer are left: whoever takes less makes no progress to speak of, and
/// would hold a page of 4 MiB for hours. 128 kbit/s in the average of half a minute is what a poor mobile link still carries (EDGE); this project's client waits
/// 30 s for an answer, and needs eight times that for a page of that size.
const LEAST_RATE: usize = 16 * 1024;

/// A stream that fails when a write makes too little progress for a while: a client that does not read, or hardly, is let go.
struct ImpatientWriter<S> {
    inner: S,
    patience: Duration,
    /// Bytes that are progress within that time.
    enough: usize,
    /// From the first write that had to wait, until enough has gone.
    waiting: Option<Pin<Box<Sleep>>>,
    /// What has gone since then.
    gone: usize,
}

impl<S: Unpin> ImpatientWriter<S> {
    fn new(inner: S, patience: Duration) -> Self {
        let enough = LEAST_RATE.saturating_mul(usize::try_from(patience.as_millis()).unwrap_or(usize::MAX)) / 1000;
        Self { inner, patience, enough, waiting: None, gone: 0 }
    }

    /// Counts what a write has passed on, and the time for it.
    fn written(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let Poll::Ready(Ok(bytes)) = polled else { return self.watch(cx, polled) };
        if self.waiting.is_some() {
            self.gone += bytes;
            if self.gone >= self.enough {
                self.renew();
            }
        }
        polled
    }

    /// Passes on that all has gone; counts the time until then.
    fn watch<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.renew();
            return polled;
        }
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + patience)));
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn renew(&mut self) {
        (self.waiting, self.gone) = (None, 0);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ImpatientWriter<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ImpatientWriter<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.written(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        self.watch(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.watch(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, bytes);
        self.written(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(500);

    /// How a page of `bytes` ends for somebody who reads `step` of them every 20 ms.
    async fn read(bytes: usize, step: usize) -> io::Result<()> {
        read_within(PATIENCE, bytes, step).await
    }

    async fn read_within(patience: Duration, bytes: usize, step: usize) -> io::Result<()> {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        let reader = tokio::spawn(async move {
            let mut taken = vec![0; step];
            while theirs.read_exact(&mut taken).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let mut writer = ImpatientWriter::new(ours, patience);
        let writing = async {
            writer.write_all(&vec![7; bytes]).await?;
            writer.flush().await
        };
        let ended = tokio::time::timeout(20 * patience, writing).await.expect("kept for ever");
        reader.abort();
        ended
    }

    /// A3: a byte now and then does not hold a page.
    #[tokio::test]
    async fn a3_who_hardly_reads_is_let_go() {
        let ended = read(4 * 1024 * 1024, 1).await;
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    /// A3: nor does somebody who reads on and on, and too slowly for the time that it takes: 12 KiB a second, here for two.
    #[tokio::test]
    async fn a3_who_reads_below_the_least_rate_is_let_go() {
        let ended = read_within(4 * PATIENCE, 4 * 1024 * 1024, 240).await;
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    /// Slow is not too slow: it takes many times as long as a write may wait.
    #[tokio::test]
    async fn a_slow_reader_gets_all() {
        let begun = Instant::now();
        // Some 200 KiB a second, where 16 would do.
        read(16 * LEAST_RATE, LEAST_RATE / 4).await.unwrap();
        assert!(begun.elapsed() > 2 * PATIENCE, "{:?}", begun.elapsed());
    }

    /// What is little is not too little once all of it has gone.
    #[tokio::test]
    async fn little_that_goes_slowly_is_no_reason() {
        let (ours, mut theirs) = tokio::io::duplex(16);
        let mut writer = ImpatientWriter::new(ours, PATIENCE);
        for _ in 0..8 {
            let (sent, read) = tokio::join!(
                async {
                    writer.write_all(&[7; 32]).await?;
                    writer.flush().await
                },
                async {
                    tokio::time::sleep(PATIENCE / 4).await;
                    theirs.read_exact(&mut [0; 32]).await
                }
            );
            assert!(sent.is_ok() && read.is_ok(), "{sent:?} {read:?}");
        }
    }
}
