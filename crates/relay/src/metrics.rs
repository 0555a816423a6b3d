//! What the relay counts, for Prometheus. Labels are endpoint templates, classes of status and stable codes: nothing of any request.
//!
//! Not here: who may read it ([`crate::operator`]).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use waxwing_wire::problem::ProblemCode;

use crate::error::Refused;
use crate::storage::{StorageError, StorageStats};

/// Upper bounds in seconds: from an answer out of memory to one that waits for a tired disk.
const LATENCIES: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// All counters of a relay.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<OfRequest, Counter>,
    latencies: Family<OfEndpoint, Histogram, fn() -> Histogram>,
    refusals: Family<OfRefusal, Counter>,
    storage_errors: Family<OfKind, Counter>,
    /// Connections that were closed for being too many of one address.
    pub(crate) crowded: Counter,
    /// Connections that are open.
    pub(crate) connections: Gauge,
    /// Of these, subscriptions.
    pub(crate) subscriptions: Gauge,
    commits: Counter,
    writes: Counter,
    database_bytes: Gauge,
    ready: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRequest {
    method: &'static str,
    endpoint: String,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfEndpoint {
    method: &'static str,
    endpoint: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRefusal {
    endpoint: String,
    code: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

impl Metrics {
    /// All at zero.
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("waxwing_relay");
        let latencies: Family<OfEndpoint, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(LATENCIES));
        let metrics = Self {
            requests: Family::default(),
            latencies,
            refusals: Family::default(),
            storage_errors: Family::default(),
            crowded: Counter::default(),
            connections: Gauge::default(),
            subscriptions: Gauge::default(),
            commits: Counter::default(),
            writes: Counter::default(),
            database_bytes: Gauge::default(),
            ready: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register("requests", "Answered requests", metrics.requests.clone());
        registry.register("request_seconds", "Time from header to answer", metrics.latencies.clone());
        registry.register("refusals", "Answers that are problems, limits among them", metrics.refusals.clone());
        registry.register("storage_errors", "Requests that the storage failed", metrics.storage_errors.clone());
        registry.register(
            "crowded_connections",
            "Connections closed for being too many of one address",
            metrics.crowded.clone(),
        );
        registry.register("connections", "Open connections", metrics.connections.clone());
        registry.register("subscriptions", "Open subscriptions", metrics.subscriptions.clone());
        registry.register("storage_commits", "Commits on disk", metrics.commits.clone());
        registry.register("storage_writes", "Writes in them: by commits, the size of a batch", metrics.writes.clone());
        registry.register("database_bytes", "Size of the database", metrics.database_bytes.clone());
        registry.register("ready", "Whether requests are taken and the storage could be read", metrics.ready.clone());
        Self { registry, ..metrics }
    }

    /// Counts an answer. `endpoint` is a template of the router, never a path.
    pub(crate) fn answered(
        &self,
        method: &Method,
        endpoint: &str,
        status: StatusCode,
        refused: Option<Refused>,
        took: Duration,
    ) {
        let (method, endpoint) = (name(method), endpoint.to_owned());
        let request = OfRequest { method, endpoint: endpoint.clone(), status: class(status) };
        self.requests.get_or_create(&request).inc();
        let of = OfEndpoint { method, endpoint };
        self.latencies.get_or_create(&of).observe(took.as_secs_f64());
        if let Some(Refused { code, storage }) = refused {
            self.refused(&of.endpoint, code);
            if let Some(error) = storage {
                self.storage_errors.get_or_create(&OfKind { kind: kind(error) }).inc();
            }
        }
    }

    /// Counts a refusal. `endpoint` is a template of the router, never a path.
    pub(crate) fn refused(&self, endpoint: &str, code: ProblemCode) {
        // As the answer spells it.
        let code = serde_json::to_value(code).ok().and_then(|code| code.as_str().map(str::to_owned));
        let of = OfRefusal { endpoint: endpoint.to_owned(), code: code.unwrap_or_default() };
        self.refusals.get_or_create(&of).inc();
    }

    /// All of it as text (OpenMetrics, which Prometheus reads), with what is asked of the storage at that moment.
    pub(crate) fn text(&self, stats: StorageStats, database_bytes: Option<u64>, ready: bool) -> Option<String> {
        set(self.commits.inner(), stats.commits);
        set(self.writes.inner(), stats.writes);
        if let Some(bytes) = database_bytes {
            self.database_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
        self.ready.set(i64::from(ready));
        let mut text = String::new();
        encode(&mut text, &self.registry).ok()?;
        Some(text)
    }
}

/// The storage's own counters only grow, too.
fn set(counter: &AtomicU64, value: u64) {
    counter.store(value, Ordering::Relaxed);
}

/// A client can call its method anything.
fn name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        100..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}

fn kind(error: StorageError) -> &'static str {
    match error {
        StorageError::Full => "full",
        StorageError::Unavailable => "unavailable",
        StorageError::Damaged => "damaged",
    }
}
