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
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use crate::router::router;
use crate::state::{App, Peer};

/// Request line and headers; DPoP proofs and tokens take about 1.5 KiB.
const MAX_HEADER_BYTES: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
/// Waited after an accept that failed (out of descriptors), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until the relay stops.
pub(crate) async fn accept(app: Arc<App>, listener: TcpListener, tls: Option<Arc<ServerConfig>>, connections: usize) {
    let places = Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS)));
    let tls = tls.map(TlsAcceptor::from);
    let router = router(Arc::clone(&app));
    loop {
        // A place first: who comes when all are taken waits in the kernel's queue.
        let Ok(place) = (tokio::select! {
            biased;
            () = app.stopping.cancelled() => return,
            place = Arc::clone(&places).acquire_owned() => place,
        }) else {
            return;
        };
        let accepted = tokio::select! {
            biased;
            () = app.stopping.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                let peer = Peer { address: address.ip(), place: Arc::new(place) };
                app.tasks.spawn(connection(Arc::clone(&app), router.clone(), tls.clone(), stream, peer));
            }
            Err(error) => {
                tracing::warn!(kind = ?error.kind(), "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(app: Arc<App>, router: Router, tls: Option<TlsAcceptor>, stream: TcpStream, peer: Peer) {
    // Answers are small and complete: waiting to fill a packet only adds delay.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return serve(&app, router, stream, peer).await };
    let handshake = tokio::time::timeout(app.timeouts.handshake, tls.accept(stream));
    let accepted = tokio::select! {
        () = app.stopping.cancelled() => return,
        accepted = handshake => accepted,
    };
    if let Ok(Ok(stream)) = accepted {
        serve(&app, router, stream, peer).await;
    }
}

async fn serve<S>(app: &App, router: Router, stream: S, peer: Peer)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = router.map_request(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        request.map(Body::new)
    });
    let stream = TokioIo::new(Box::pin(ImpatientWriter::new(stream, app.timeouts.write)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(app.timeouts.header)
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEADER_BYTES)
        .max_buf_size(2 * MAX_HEADER_BYTES)
        .serve_connection(stream, TowerToHyperService::new(service))
        .with_upgrades();
    tokio::pin!(connection);
    tokio::select! {
        // Errors here are the client's: it went away, or broke the protocol.
        _ = connection.as_mut() => return,
        () = app.stopping.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// A stream that fails when a write makes no progress for a while: a client that does not read is let go.
struct ImpatientWriter<S> {
    inner: S,
    patience: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S: Unpin> ImpatientWriter<S> {
    fn new(inner: S, patience: Duration) -> Self {
        Self { inner, patience, waiting: None }
    }

    /// Passes progress on; counts the time without.
    fn watch<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.waiting = None;
            return polled;
        }
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + patience)));
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
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
        self.watch(cx, polled)
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
        self.watch(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
