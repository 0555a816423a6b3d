//! Logs: appends in their order of checks, reads, rekeys, group commit.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use waxwing_wire::frame::{Append, LogPage};
use waxwing_wire::limits::{MAX_ENVELOPE, MAX_PAGE_BYTES, MAX_PAGE_ENTRIES};
use waxwing_wire::log::running_hash;
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::{EnvelopeId, LogId};

use crate::kit::{Kit, Log, app, code, handshake, problem, random, seq};

/// D9: what has expired is told as gone, with where the log begins now; never as if it had not been.
#[tokio::test]
async fn what_has_expired_is_gone() {
    let mut kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let log = kit.log(&alice).await;
    for n in 0..4 {
        kit.http.stored(&log, &app(0, &[n])).await;
    }
    kit.take().stop().await;
    let old = "UPDATE log_entries SET day = 0 WHERE seq <= 2; UPDATE logs SET oldest_day = 0;";
    kit.database().execute_batch(old).unwrap();
    kit.start().await;
    let begun = std::time::Instant::now();
    let answer = loop {
        let answer = kit.http.read(log.id, &log.read, 0).await;
        if answer.status() != StatusCode::OK {
            break answer;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "nothing expires");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(answer.status(), StatusCode::GONE);
    let problem = problem(answer).await;
    assert_eq!((problem.code, problem.oldest), (ProblemCode::Gone, Some(3)));
    assert_eq!(kit.http.read(log.id, &log.read, 1).await.status(), StatusCode::GONE);
    let page = kit.http.page(&log, 2).await;
    assert_eq!((page.oldest, page.head, page.entries.len()), (3, 4, 2));
}

#[tokio::test]
async fn create_append_read() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let log = kit.log(&alice).await;
    let empty =
        LogPage { oldest: 1, head: 0, running: [0; 32], last_handshake: 0, retired: false, entries: Vec::new() };
    assert_eq!(kit.http.page(&log, 0).await, empty);
    let sent = [app(0, b"one"), app(0, b""), handshake(0, None), app(3, b"four")];
    for (i, append) in sent.iter().enumerate() {
        assert_eq!(kit.http.stored(&log, append).await, i as u64 + 1);
    }
    let page = kit.http.page(&log, 0).await;
    assert_eq!((page.oldest, page.head, page.last_handshake, page.running), (1, 4, 3, [0; 32]));
    let mut running = [0; 32];
    for (entry, append) in page.entries.iter().zip(&sent) {
        assert_eq!((entry.entry_id, entry.kind, &entry.blob), (append.entry_id, append.kind, &append.blob));
        running = running_hash(&running, entry.seq, entry.entry_id, entry.kind, &entry.blob);
        assert_eq!(kit.http.page(&log, entry.seq).await.running, running);
    }
    assert_eq!(kit.http.page(&log, 2).await.entries, page.entries[2..]);
    // Ahead of the head: the client sees that this relay is behind.
    for after in [5, u64::MAX] {
        let ahead = kit.http.page(&log, after).await;
        assert_eq!((ahead.head, ahead.running, ahead.entries.len()), (4, [0; 32], 0));
    }
}

#[tokio::test]
async fn creating_twice_and_over_another() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let log = kit.log(&alice).await;
    let create = async |log: &Log| {
        kit.http.authed(&alice, Method::POST, "/v1/logs").body(log.create().encode()).send().await.unwrap()
    };
    assert_eq!(create(&log).await.status(), StatusCode::CREATED);
    assert_eq!(code(create(&log.rekeyed()).await).await, ProblemCode::LogRefused);
    let anonymous = kit.http.request(Method::POST, "/v1/logs").body(Log::new().create().encode());
    assert_eq!(code(anonymous.send().await.unwrap()).await, ProblemCode::Unauthorized);
    for garbage in [vec![], vec![0; 79], vec![0; 81]] {
        let answer = kit.http.authed(&alice, Method::POST, "/v1/logs").body(garbage).send().await.unwrap();
        assert_eq!(code(answer).await, ProblemCode::BadRequest);
    }
    // After a rekey the first request may still come again.
    kit.http.stored(&log, &handshake(0, Some(log.rekeyed().tokens()))).await;
    assert_eq!(create(&log).await.status(), StatusCode::CREATED);
}

/// D5: retry of an accepted entry.
#[tokio::test]
async fn d5_the_same_entry_again_is_stored_once() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let log = kit.log(&alice).await;
    let first = app(0, b"first");
    assert_eq!(kit.http.stored(&log, &first).await, 1);
    assert_eq!(kit.http.stored(&log, &handshake(0, None)).await, 2);
    // Its `after` is old by now; it is stored all the same.
    assert_eq!(kit.http.stored(&log, &first).await, 1);
    assert_eq!(kit.http.page(&log, 0).await.head, 2);
    // Many at once.
    let append = app(2, b"again");
    let seqs = join_all((0..20).map(|_| kit.http.stored(&log, &append))).await;
    assert!(seqs.iter().all(|seq| *seq == 3));
    assert_eq!(kit.http.page(&log, 0).await.head, 3);
}

#[tokio::test]
async fn the_checks_in_their_order() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let log = kit.log(&alice).await;
    let first = handshake(0, None);
    kit.http.stored(&log, &first).await;
    kit.http.stored(&log, &app(1, b"two")).await;
    let append = async |token: &[u8], append: &Append| problem(kit.http.append(log.id, token, append).await).await;
    // The id before `after`.
    let reused = Append { blob: b"other".to_vec(), ..first.clone() };
    assert_eq!(append(&log.write, &reused).await.code, ProblemCode::IdReused);
    let reused = Append { after: 7, ..first.clone() };
    assert_eq!(append(&log.write, &reused).await.code, ProblemCode::IdReused);
    for after in [0, 2, 7] {
        let conflict = append(&log.write, &app(after, b"x")).await;
        assert_eq!((conflict.code, conflict.head), (ProblemCode::Conflict, Some(2)));
    }
    // The token before everything, and the read token is no write token.
    assert_eq!(append(&log.read, &first).await.code, ProblemCode::LogRefused);
    assert_eq!(append(b"", &first).await.code, ProblemCode::LogRefused);
    assert_eq!(kit.http.page(&log, 0).await.head, 2);
}

#[tokio::test]
async fn what_is_no_append() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let log = kit.log(&alice).await;
    let good = app(0, b"blob").encode();
    let post = async |body: Vec<u8>| {
        let path = format!("/v1/logs/{}/entries", log.id);
        let token = waxwing_wire::api::base64url::encode(&log.write);
        code(kit.http.request(Method::POST, &path).bearer_auth(token).body(body).send().await.unwrap()).await
    };
    let mut inbox_kind = good.clone();
    inbox_kind[16] = 3;
    let mut rekeying_app = app(0, b"x");
    rekeying_app.rekey = Some(log.tokens());
    for bad in [
        vec![],
        good[..good.len() - 1].to_vec(),
        [good.clone(), vec![0]].concat(),
        inbox_kind,
        rekeying_app.encode(),
        app(0, &vec![0; MAX_ENVELOPE + 1]).encode(),
    ] {
        assert_eq!(post(bad).await, ProblemCode::BadRequest);
    }
    assert_eq!(post(app(0, &vec![0; MAX_ENVELOPE + 1024]).encode()).await, ProblemCode::TooLarge);
    assert_eq!(kit.http.stored(&log, &app(0, &vec![0; MAX_ENVELOPE])).await, 1);
    for path in ["/v1/logs/x/entries", "/v1/logs/%FF/entries"] {
        assert_eq!(code(kit.http.get(path).await).await, ProblemCode::BadRequest);
    }
    let answer = kit.http.get(&format!("/v1/logs/{}/entries?after=x", log.id)).await;
    assert_eq!(code(answer).await, ProblemCode::LogRefused);
}

/// P15: a log that is not there and one that is, without its token.
#[tokio::test]
async fn p15_unknown_log_and_wrong_token_answer_alike() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let log = kit.log(&alice).await;
    let mut answers = Vec::new();
    for id in [log.id, LogId::from_bytes(random())] {
        for token in [random::<32>().to_vec(), Vec::new()] {
            for answer in [kit.http.read(id, &token, 0).await, kit.http.append(id, &token, &app(0, b"x")).await] {
                let mut headers = answer.headers().clone();
                headers.remove("date");
                answers.push((answer.status(), headers, answer.text().await.unwrap()));
            }
        }
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(answers[0].0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_rekey_replaces_both_tokens() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let old = kit.log(&alice).await;
    kit.http.stored(&old, &app(0, b"one")).await;
    let new = old.rekeyed();
    let rekey = handshake(0, Some(new.tokens()));
    assert_eq!(kit.http.stored(&old, &rekey).await, 2);
    // Its sender missed the answer and asks again, with the token that the entry has replaced.
    assert_eq!(kit.http.stored(&old, &rekey).await, 2);
    assert_eq!(kit.http.stored(&new, &app(2, b"three")).await, 3);
    // The old write token: typed, and as far as its holder can read.
    let refused = problem(kit.http.append(old.id, &old.write, &app(2, b"x")).await).await;
    assert_eq!((refused.code, refused.head), (ProblemCode::Rekeyed, Some(2)));
    // The old read token: up to and including the rekey, never beyond.
    let page = kit.http.page(&old, 0).await;
    assert_eq!((page.head, page.last_handshake, page.entries.len(), page.retired), (2, 2, 2, true));
    let beyond = kit.http.page(&old, 3).await;
    assert_eq!((beyond.head, beyond.running, beyond.entries.len(), beyond.retired), (2, [0; 32], 0, true));
    assert_eq!(kit.http.page(&new, 0).await.entries.len(), 3);
    // A second rekey: each old token keeps its own end.
    let newest = new.rekeyed();
    assert_eq!(kit.http.stored(&new, &handshake(2, Some(newest.tokens()))).await, 4);
    assert_eq!(kit.http.page(&old, 0).await.head, 2);
    assert_eq!(kit.http.page(&new, 0).await.head, 4);
    let refused = problem(kit.http.append(old.id, &old.write, &app(4, b"x")).await).await;
    assert_eq!((refused.code, refused.head), (ProblemCode::Rekeyed, Some(2)));
    assert_eq!(kit.http.stored(&newest, &app(4, b"five")).await, 5);
}

/// A page says whether the token that reads it was replaced, and then ends with the handshake that replaced it, wherever one reads.
#[tokio::test]
async fn pages_say_whether_their_token_was_replaced() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let first = &kit.log(&alice).await;
    let (second, third) = (first.rekeyed(), first.rekeyed());
    let told = async |log: &Log, after| {
        let page = kit.http.page(log, after).await;
        (page.retired, page.head, page.last_handshake)
    };
    kit.http.stored(first, &app(0, b"one")).await;
    // A handshake that replaces nothing.
    kit.http.stored(first, &handshake(0, None)).await;
    assert_eq!(told(first, 0).await, (false, 2, 2));
    assert_eq!(kit.http.stored(first, &handshake(2, Some(second.tokens()))).await, 3);
    kit.http.stored(&second, &app(3, b"four")).await;
    for after in [0, 2, 3, 4, u64::MAX] {
        assert_eq!(told(first, after).await, (true, 3, 3), "after {after}");
        assert_eq!(told(&second, after).await, (false, 4, 3), "after {after}");
    }
    assert_eq!(kit.http.stored(&second, &handshake(3, Some(third.tokens()))).await, 5);
    kit.http.stored(&third, &app(5, b"six")).await;
    for (log, expected) in [(first, (true, 3, 3)), (&second, (true, 5, 5)), (&third, (false, 6, 5))] {
        assert_eq!(told(log, 0).await, expected);
        let page = kit.http.page(log, 0).await;
        assert_eq!(page.entries.last().map(|entry| entry.seq), Some(expected.1));
    }
    // What is appended behind it moves none of them but the one in force.
    kit.http.stored(&third, &handshake(5, None)).await;
    for (log, expected) in [(first, (true, 3, 3)), (&second, (true, 5, 5)), (&third, (false, 7, 7))] {
        assert_eq!(told(log, 0).await, expected);
    }
}

#[tokio::test]
async fn concurrent_appends_get_every_seq_once() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let log = kit.log(&alice).await;
    let before = kit.stats();
    let appends: Vec<_> = (0..300u32).map(|i| app(0, &i.to_be_bytes())).collect();
    let mut seqs = join_all(appends.iter().map(|append| kit.http.stored(&log, append))).await;
    let by_answer: Vec<(u64, EnvelopeId)> =
        seqs.iter().copied().zip(appends.iter().map(|append| append.entry_id)).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=300).collect::<Vec<_>>());
    let page = kit.http.page(&log, 0).await;
    assert_eq!(page.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), seqs);
    assert!(by_answer.iter().all(|(seq, id)| page.entries[*seq as usize - 1].entry_id == *id));
    // Group commit: they shared their fsyncs.
    let after = kit.stats();
    assert_eq!(after.writes - before.writes, 300);
    assert!(after.commits - before.commits <= 150, "{} commits", after.commits - before.commits);
}

#[tokio::test]
async fn of_concurrent_handshakes_one_stands() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let log = kit.log(&alice).await;
    let answers = join_all((0..10).map(|_| async { kit.http.append(log.id, &log.write, &handshake(0, None)).await }));
    let answers = answers.await;
    assert_eq!(answers.iter().filter(|answer| answer.status() == StatusCode::CREATED).count(), 1);
    for answer in answers.into_iter().filter(|answer| answer.status() != StatusCode::CREATED) {
        let conflict = problem(answer).await;
        assert_eq!((conflict.code, conflict.head), (ProblemCode::Conflict, Some(1)));
    }
}

#[tokio::test]
async fn pages_are_bounded_and_complete() {
    let kit = Kit::new().await;
    let alice = kit.account("alice").await;
    let log = kit.log(&alice).await;
    let large = vec![7; MAX_ENVELOPE];
    for _ in 0..10 {
        kit.http.stored(&log, &app(0, &large)).await;
    }
    let page = kit.http.page(&log, 0).await;
    assert_eq!((page.entries.len(), page.head), (MAX_PAGE_BYTES / MAX_ENVELOPE, 10));
    let small: Vec<_> = (0..MAX_PAGE_ENTRIES + 10).map(|_| app(0, b"small")).collect();
    join_all(small.iter().map(|append| kit.http.stored(&log, append))).await;
    let page = kit.http.page(&log, 10).await;
    assert_eq!(page.entries.len(), MAX_PAGE_ENTRIES);
    assert_eq!(kit.http.page(&log, page.entries.last().unwrap().seq).await.entries.len(), 10);
}

#[tokio::test]
async fn a_full_log_still_takes_handshakes() {
    let kit = Kit::with(|config| {
        config.limits.quotas.log = 2000;
        config.limits.quotas.log_handshakes = 1000;
    })
    .await;
    let alice = kit.account("alice").await;
    let log = kit.log(&alice).await;
    let first = app(0, &[0; 1000]);
    kit.http.stored(&log, &first).await;
    assert_eq!(code(kit.http.append(log.id, &log.write, &app(0, &[0; 1000])).await).await, ProblemCode::QuotaExceeded);
    // What is stored stays stored.
    assert_eq!(kit.http.stored(&log, &first).await, 1);
    let new = log.rekeyed();
    assert_eq!(kit.http.stored(&log, &handshake(0, Some(new.tokens()))).await, 2);
    let large = Append { blob: vec![0; 2000], ..handshake(2, None) };
    assert_eq!(code(kit.http.append(log.id, &new.write, &large).await).await, ProblemCode::QuotaExceeded);
    assert_eq!(seq(kit.http.append(log.id, &new.write, &app(2, &[0; 100])).await).await, 3);
}
