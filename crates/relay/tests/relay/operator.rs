//! The operator's listener.

use reqwest::{Method, StatusCode};
use waxwing_wire::problem::ProblemCode;

use crate::kit::{Kit, app, code};

async fn with_operator() -> Kit {
    Kit::with(|config| config.operator = Some("127.0.0.1:0".parse().unwrap())).await
}

async fn metrics(kit: &Kit) -> String {
    let answer = kit.operator().get("/metrics").await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    answer.text().await.unwrap()
}

fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{series} ")));
    line.unwrap_or_else(|| panic!("{series} in {text}")).parse().unwrap()
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let kit = with_operator().await;
    let alice = kit.account("alice").await;
    let log = kit.log(&alice).await;
    for _ in 0..3 {
        kit.http.stored(&log, &app(0, b"x")).await;
    }
    assert_eq!(code(kit.http.append(log.id, b"wrong", &app(0, b"x")).await).await, ProblemCode::LogRefused);
    kit.http.get("/nothing/at/all").await;
    let made_up = Method::from_bytes(b"BURN").unwrap();
    kit.http.request(made_up, "/healthz").send().await.unwrap();
    let _socket = crate::subscribe::connect(&kit).await;
    let text = metrics(&kit).await;
    let appended = "{method=\"POST\",endpoint=\"/v1/logs/{log}/entries\"";
    assert_eq!(value(&text, &format!("waxwing_relay_requests_total{appended},status=\"2xx\"}}")), 3.0);
    assert_eq!(value(&text, &format!("waxwing_relay_requests_total{appended},status=\"4xx\"}}")), 1.0);
    assert_eq!(value(&text, &format!("waxwing_relay_request_seconds_count{appended}}}")), 4.0);
    let refused = "waxwing_relay_refusals_total{endpoint=\"/v1/logs/{log}/entries\",code=\"log_refused\"}";
    assert_eq!(value(&text, refused), 1.0);
    assert_eq!(value(&text, "waxwing_relay_subscriptions"), 1.0);
    assert!(value(&text, "waxwing_relay_connections") >= 1.0);
    assert!(value(&text, "waxwing_relay_storage_writes_total") >= 5.0);
    assert!(value(&text, "waxwing_relay_storage_commits_total") >= 1.0);
    assert!(value(&text, "waxwing_relay_database_bytes") > 1000.0);
    assert!(text.contains("method=\"other\"") && !text.contains("BURN") && !text.contains("nothing"), "{text}");
    assert!(text.ends_with("# EOF\n"));
}

/// What is for the operator is not for clients, and the other way round.
#[tokio::test]
async fn the_two_listeners_are_apart() {
    let kit = with_operator().await;
    for path in ["/metrics", "/readyz"] {
        assert_eq!(kit.http.get(path).await.status(), StatusCode::NOT_FOUND);
    }
    for path in ["/v1/relay", "/v1/transparency/checkpoint"] {
        assert_eq!(kit.operator().get(path).await.status(), StatusCode::NOT_FOUND);
    }
    assert_eq!(kit.operator().get("/healthz").await.status(), StatusCode::OK);
    assert!(Kit::new().await.take().operator_addr().is_none(), "off unless it is asked for");
}

/// While it finishes what is under way it says that nothing more should come.
#[tokio::test]
async fn a_stopping_relay_is_not_ready() {
    let mut kit = with_operator().await;
    let operator = kit.operator();
    let mut half = tokio::net::TcpStream::connect(kit.address()).await.unwrap();
    let head = b"POST /v1/accounts HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut half, head).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let address = kit.address();
    let stopping = tokio::spawn(kit.take().stop());
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let answer = operator.get("/readyz").await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.text().await.unwrap(), "stopping\n");
    assert!(operator.get("/metrics").await.text().await.unwrap().contains("waxwing_relay_ready 0"));
    drop(half);
    stopping.await.unwrap();
    assert!(operator.request(Method::GET, "/readyz").send().await.is_err(), "still there");
}

#[tokio::test]
async fn ready_means_that_something_can_be_stored() {
    let kit = with_operator().await;
    assert_eq!(kit.operator().get("/readyz").await.status(), StatusCode::OK);
    // Somebody holds the database's one write lock: nothing can be stored meanwhile.
    let database = kit.database();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(kit.operator().get("/readyz").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(kit.operator().get("/healthz").await.status(), StatusCode::OK);
    database.execute_batch("ROLLBACK").unwrap();
    assert_eq!(kit.operator().get("/readyz").await.status(), StatusCode::OK);
}
