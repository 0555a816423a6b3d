//! P15: whether whoever asks can tell by the time of the answer that an account is there which it is not to know of. Both sides of each question are
//! asked by turns on one connection, from as near as can be: whoever is further away sees less.

use std::fmt;
use std::time::{Duration, Instant};

use waxwing_wire::api::{ACCESS_KEY_HEADER, base64url};
use waxwing_wire::frame::{ClaimKeyPackages, InboxSend};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{AccountId, DeviceId, hash};

use super::super::report::Report;
use super::accepts::next_number;
use super::http::{Connection, id};
use super::people::{PEOPLE, Stranger, account, device, name};
use super::percentile;
use super::server::Server;

/// Answers of each side.
const ANSWERS: usize = 4000;
/// Not counted.
const WARM_UP: usize = 200;
/// For one question at most: over PostgreSQL each stranger's proof is a row there.
const LONGEST: Duration = Duration::from_secs(15);
/// A difference is visible where whoever has one time of each side says so often rightly which is which (0.5 is a guess),
const TOLD_APART: f64 = 0.6;
/// and the medians differ by so many microseconds: a third of what can be measured across the internet at best (Crosby, Wallach and Riedi, "Opportunities
/// and limits of remote timing attacks", 2009). A row that is found instead of none costs one or two.
const NOTICED_US: f64 = 5.0;
const PERCENTILES: [f64; 6] = [0.05, 0.25, 0.5, 0.75, 0.95, 0.99];

/// Which account is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// One that is there.
    There,
    /// One that nobody has.
    Unknown,
}

/// What is asked, once.
struct Question {
    method: &'static str,
    path: String,
    headers: String,
    body: Vec<u8>,
    status: u16,
}

/// Measures all questions, and that a difference would be seen.
pub async fn measure(report: &mut Report, server: &Server) {
    eprintln!("private or unknown");
    let mut connection = Connection::open(server.address).await;
    let mut stranger = Stranger::of(&mut connection).await;
    report.note("P15: microseconds until the answer, at these percentiles; and how often whoever sees one time of each side guesses right");
    let head = PERCENTILES.map(|part| format!("{:>8}", format!("p{:.0}", part * 100.0))).concat();
    report.note(format!("{:<34}{head}", ""));

    // The relay was never told the name of a private account, so this compares two names that nobody has there. It is not how they are kept apart: it shows
    // how far two sides lie apart in this run that do not differ.
    let nobody = |side, n| match side {
        Side::There => look_up(&name(private(n)), 404),
        Side::Unknown => look_up(&name(unknown(n)), 404),
    };
    let times = Times::of(&mut connection, nobody).await;
    judge(report, "nobody", "name the relay was never told", times);
    let send = |side, n| send(side, n, wrong_key());
    let times = Times::of(&mut connection, send).await;
    judge(report, "wrong_key", "send with a wrong key, private", times);
    let send = |side, n| {
        let headers = stranger.headers(&inbox(side, n));
        self::send(side, n, headers)
    };
    let times = Times::of(&mut connection, send).await;
    judge(report, "stranger", "stranger's send, private", times);
    let times = Times::of(&mut connection, claim).await;
    judge(report, "claim", "claim with a wrong key, private", times);
    // Whether a public name is there everybody may know. A method that does not see that sees nothing.
    let public = |side, n| match side {
        Side::There => look_up(&name(2 * (n % PEOPLE)), 200),
        Side::Unknown => look_up(&name(unknown(n)), 404),
    };
    let control = Times::of(&mut connection, public).await.print(report, "control", "public name (control)");
    if !control.is_visible() {
        report.fail(format!("P15: the control is not seen ({control}), so the others show nothing"));
    }
}

fn judge(report: &mut Report, key: &str, what: &str, times: Times) {
    let apart = times.print(report, key, what);
    if apart.is_visible() {
        report.fail(format!("P15: {what} and unknown differ ({apart})"));
    }
}

/// How far two sides lie apart.
#[derive(Debug, Clone, Copy)]
struct Apart {
    /// How often they are told apart.
    right: f64,
    /// Microseconds between the medians.
    us: f64,
}

impl Apart {
    fn is_visible(self) -> bool {
        self.right >= TOLD_APART && self.us >= NOTICED_US
    }
}

impl fmt::Display for Apart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "told apart {:.3} of the time, medians {:.1} us apart", self.right, self.us)
    }
}

fn look_up(name: &str, status: u16) -> Question {
    let path = format!("/v1/accounts/{name}/chain");
    Question { method: "GET", path, headers: String::new(), body: Vec::new(), status }
}

fn send(side: Side, n: u64, headers: String) -> Question {
    let entry_id = id(next_number());
    let body = InboxSend { entry_id, kind: EnvelopeKind::Welcome, blob: vec![7; 1024] }.encode();
    Question { method: "POST", path: inbox(side, n), headers, body, status: 403 }
}

fn claim(side: Side, n: u64) -> Question {
    let account = match side {
        Side::There => account(private(n)),
        Side::Unknown => AccountId::from_bytes(*hash(&[b"nobody", &n.to_be_bytes()]).first_chunk().unwrap()),
    };
    let body = ClaimKeyPackages { account, claim: *id(next_number()).as_bytes() }.encode();
    Question { method: "POST", path: "/v1/key-packages/claim".to_owned(), headers: wrong_key(), body, status: 403 }
}

fn wrong_key() -> String {
    format!("{ACCESS_KEY_HEADER}: {}\r\n", base64url::encode(&[3; 16]))
}

fn inbox(side: Side, n: u64) -> String {
    let device = match side {
        Side::There => device(private(n)),
        Side::Unknown => DeviceId::from_bytes(*hash(&[b"nobody", &n.to_be_bytes()]).first_chunk().unwrap()),
    };
    format!("/v1/inboxes/{device}")
}

fn private(n: u64) -> u64 {
    2 * (n % PEOPLE) + 1
}

/// Nobody's number.
fn unknown(n: u64) -> u64 {
    2_000_000 + n
}

/// Microseconds until each answer.
#[derive(Default)]
struct Times {
    there: Vec<f64>,
    unknown: Vec<f64>,
}

impl Times {
    async fn of(connection: &mut Connection, mut question: impl FnMut(Side, u64) -> Question) -> Self {
        let (mut times, began) = (Self::default(), Instant::now());
        for n in 0..(ANSWERS + WARM_UP) as u64 {
            // In either order, by chance: what comes second may be quicker for that.
            let mut sides = [Side::There, Side::Unknown];
            if hash(&[b"order", &n.to_be_bytes()])[0].is_multiple_of(2) {
                sides.reverse();
            }
            for side in sides {
                let Question { method, path, headers, body, status } = question(side, n);
                let asked = Instant::now();
                let answered = connection.ask(method, &path, &headers, &body).await;
                let time = asked.elapsed().as_secs_f64() * 1e6;
                assert_eq!(answered, status, "{path}: {}", String::from_utf8_lossy(connection.body()));
                if n >= WARM_UP as u64 {
                    match side {
                        Side::There => times.there.push(time),
                        Side::Unknown => times.unknown.push(time),
                    }
                }
            }
            if began.elapsed() > LONGEST && n > 2 * WARM_UP as u64 {
                break;
            }
        }
        times
    }

    /// Prints both sides, and how far they lie apart.
    fn print(mut self, report: &mut Report, key: &str, what: &str) -> Apart {
        let slower = slower(&self.there, &self.unknown);
        let right = slower.max(1.0 - slower);
        for (side, name, times) in [("there", what, &mut self.there), ("unknown", "    unknown", &mut self.unknown)] {
            let cells = PERCENTILES.map(|part| format!("{:>8.1}", percentile(times, part))).concat();
            let last = if side == "there" { format!("{right:>8.3}") } else { String::new() };
            report.note(format!("{name:<34}{cells}{last}"));
            for part in [0.5, 0.99] {
                report.value(format!("p15_{key}_{side}_p{:.0}_us", part * 100.0), percentile(times, part));
            }
        }
        let us = (percentile(&mut self.there, 0.5) - percentile(&mut self.unknown, 0.5)).abs();
        report.value(format!("p15_{key}_told_apart"), right);
        report.value(format!("p15_{key}_apart_us"), us);
        Apart { right, us }
    }
}

/// How often a time of `one` is longer than one of `other`, ties half (Mann and Whitney's U, by the number of pairs).
fn slower(one: &[f64], other: &[f64]) -> f64 {
    let mut other = other.to_vec();
    other.sort_by(f64::total_cmp);
    let longer: usize = one
        .iter()
        .map(|time| other.partition_point(|other| other < time) + other.partition_point(|other| other <= time))
        .sum();
    longer as f64 / (2 * one.len() * other.len()) as f64
}

#[test]
fn times_are_told_apart_by_how_they_lie() {
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
    near(slower(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]), 0.5);
    near(slower(&[4.0, 5.0], &[1.0, 2.0, 3.0]), 1.0);
    near(slower(&[1.0, 2.0], &[2.0, 3.0]), 0.125);
    let even: Vec<f64> = (0..1000).map(f64::from).collect();
    let later: Vec<f64> = even.iter().map(|time| time + 250.0).collect();
    assert!(slower(&later, &even) > TOLD_APART && slower(&even, &later) < 1.0 - TOLD_APART);
    let hardly: Vec<f64> = even.iter().map(|time| time + 20.0).collect();
    assert!((0.5..TOLD_APART).contains(&slower(&hardly, &even)));
}

#[test]
fn a_difference_is_visible_where_it_is_large_and_not_lost_in_noise() {
    assert!(Apart { right: 0.73, us: 2300.0 }.is_visible());
    assert!(!Apart { right: 0.51, us: 40.0 }.is_visible());
    assert!(!Apart { right: 0.9, us: 1.5 }.is_visible());
}
