//! Logs: the order in which appends are judged, tokens, quotas, pages.

use waxwing_relay::Quotas;
use waxwing_relay::storage::{Appended, Appending, InForce, LogRead, Setup, Watched};
use waxwing_wire::LogId;
use waxwing_wire::frame::{Append, LogTokens};
use waxwing_wire::limits::{MAX_PAGE_BYTES, MAX_PAGE_ENTRIES};
use waxwing_wire::log::{EnvelopeKind, running_hash};

use crate::kit::*;

const NEW: LogTokens = LogTokens { write: [21; 32], read: [22; 32] };

pub async fn a_log_is_made_once(place: Place) {
    let storage = place.open().await;
    let log = new_log(1);
    assert!(storage.create_log(log).await.unwrap());
    assert!(storage.create_log(log).await.unwrap());
    let mut other = log;
    other.tokens.read = [9; 32];
    assert!(!storage.create_log(other).await.unwrap());
    assert_eq!(storage.append(rekey(&log, 1, 0, NEW)).await.unwrap(), stored(1));
    assert!(storage.create_log(log).await.unwrap());
    assert!(!storage.create_log(other).await.unwrap());
}

/// The token, then the id, then a replaced token, then `after`, then the quota.
pub async fn appends_are_judged_in_the_order_of_the_protocol(place: Place) {
    let storage = place.open().await;
    let log = new_log(1);
    assert_eq!(storage.append(append(&log, 1, 10)).await.unwrap(), Appended::Refused);
    assert!(storage.create_log(log).await.unwrap());
    let first = append(&log, 1, 10);
    assert_eq!(storage.append(first.clone()).await.unwrap(), stored(1));
    assert_eq!(storage.append(first.clone()).await.unwrap(), stored(1));
    assert_eq!(storage.append(append(&log, 1, 11)).await.unwrap(), Appended::IdReused);
    let wrong = Appending { write_hash: [99; 32], ..first.clone() };
    assert_eq!(storage.append(wrong).await.unwrap(), Appended::Refused);
    let mut later = append(&log, 2, 10);
    later.append.after = 1;
    assert_eq!(storage.append(later).await.unwrap(), Appended::Conflict { head: 1 });
    let handshake = rekey(&log, 3, 0, NEW);
    assert_eq!(storage.append(handshake.clone()).await.unwrap(), stored(2));
    // With the replaced token: what is stored is, whatever is new is told of the handshake.
    assert_eq!(storage.append(handshake).await.unwrap(), stored(2));
    assert_eq!(storage.append(first.clone()).await.unwrap(), stored(1));
    assert_eq!(storage.append(append(&log, 1, 11)).await.unwrap(), Appended::IdReused);
    assert_eq!(storage.append(append(&log, 4, 10)).await.unwrap(), Appended::Rekeyed { head: 2 });
    // The new token.
    let with_new = |id, after| {
        let append = Append { after, ..append(&log, id, 10).append };
        Appending { write_hash: NEW.write, ..appending(&log, append) }
    };
    assert_eq!(storage.append(with_new(4, 0)).await.unwrap(), Appended::Conflict { head: 2 });
    assert_eq!(storage.append(with_new(4, 2)).await.unwrap(), stored(3));
    let read = crate::kit::new_log(1);
    let renewed = waxwing_wire::frame::CreateLog { tokens: NEW, ..read };
    let page = page(&*storage, &renewed, 0).await;
    assert_eq!((page.oldest, page.head, page.last_handshake, page.retired), (1, 3, 2, false));
    assert_eq!(page.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1, 2, 3]);
    let mut running = [0; 32];
    for entry in &page.entries {
        running = running_hash(&running, entry.seq, entry.entry_id, entry.kind, &entry.blob);
        let after = crate::kit::page(&*storage, &renewed, entry.seq).await;
        assert_eq!(after.running, running, "{}", entry.seq);
    }
    // Beyond the head: the client sees that this relay knows less.
    let beyond = crate::kit::page(&*storage, &renewed, 9).await;
    assert_eq!((beyond.head, beyond.running, beyond.entries.len()), (3, [0; 32], 0));
}

pub async fn a_rekey_ends_both_tokens(place: Place) {
    let (setup, mut wakes) = listening(|wake| match wake {
        waxwing_relay::hub::Wake::Log { entry, read_hash, rekeyed, .. } => Some((entry.seq, *read_hash, *rekeyed)),
        _ => None,
    });
    let storage = place.open_with(setup).await.unwrap();
    let log = new_log(1);
    assert!(storage.create_log(log).await.unwrap());
    assert_eq!(storage.append(append(&log, 1, 10)).await.unwrap(), stored(1));
    assert_eq!(storage.append(rekey(&log, 2, 0, NEW)).await.unwrap(), stored(2));
    let with_new = Append { after: 2, ..append(&log, 3, 10).append };
    let with_new = Appending { write_hash: NEW.write, ..appending(&log, with_new) };
    assert_eq!(storage.append(with_new).await.unwrap(), stored(3));
    let told = [wakes.recv().await.unwrap(), wakes.recv().await.unwrap(), wakes.recv().await.unwrap()];
    assert_eq!(told, [(1, [1; 32], false), (2, [1; 32], true), (3, NEW.read, false)]);
    // The old read token reads as far as the handshake that replaced it.
    let old = page(&*storage, &log, 0).await;
    assert_eq!((old.head, old.last_handshake, old.retired, old.entries.len()), (2, 2, true, 2));
    assert_eq!(storage.read_log(log.log, [99; 32], 0).await.unwrap(), LogRead::Refused);
    assert_eq!(storage.read_log(LogId::from_bytes([9; 16]), log.tokens.read, 0).await.unwrap(), LogRead::Refused);
}

pub async fn log_quota_keeps_room_for_handshakes(place: Place) {
    let quotas = Quotas { log: 3000, log_handshakes: 1000, ..Quotas::default() };
    let storage = place.open_with(Setup { quotas, ..setup() }).await.unwrap();
    let log = new_log(1);
    assert!(storage.create_log(log).await.unwrap());
    assert_eq!(storage.append(append(&log, 1, 2000)).await.unwrap(), stored(1));
    assert_eq!(storage.append(append(&log, 2, 1000)).await.unwrap(), Appended::QuotaExceeded);
    assert_eq!(storage.append(append(&log, 3, 400)).await.unwrap(), stored(2));
    // Full for messages, not for a rekey; and a repeated request is no further one.
    assert_eq!(storage.append(append(&log, 4, 100)).await.unwrap(), Appended::QuotaExceeded);
    assert_eq!(storage.append(append(&log, 3, 400)).await.unwrap(), stored(2));
    let mut handshake = rekey(&log, 5, 0, NEW).append;
    handshake.blob = vec![2; 400];
    assert_eq!(storage.append(appending(&log, handshake)).await.unwrap(), stored(3));
}

pub async fn pages_are_bounded(place: Place) {
    let storage = place.open().await;
    let (many, large) = (new_log(1), new_log(2));
    assert!(storage.create_log(many).await.unwrap() && storage.create_log(large).await.unwrap());
    let appends = (1..=MAX_PAGE_ENTRIES as u64 + 5).map(|id| storage.append(append(&many, id, 1)));
    futures_util::future::join_all(appends).await;
    assert_eq!(page(&*storage, &many, 0).await.entries.len(), MAX_PAGE_ENTRIES);
    assert_eq!(page(&*storage, &many, MAX_PAGE_ENTRIES as u64).await.entries.len(), 5);
    const SIZE: usize = 500_000;
    futures_util::future::join_all((1..=10).map(|id| storage.append(append(&large, id, SIZE)))).await;
    let first = page(&*storage, &large, 0).await;
    assert_eq!(first.entries.len(), MAX_PAGE_BYTES / SIZE);
    assert_eq!(drain(&*storage, &large).await.len(), 10);
}

pub async fn heads_are_for_those_who_may_know(place: Place) {
    let storage = place.open().await;
    let (one, two) = (new_log(1), new_log(2));
    assert!(storage.create_log(one).await.unwrap() && storage.create_log(two).await.unwrap());
    registered(&*storage, 1, None).await;
    storage.append(append(&one, 1, 10)).await.unwrap();
    storage.append(append(&one, 2, 10)).await.unwrap();
    let watched = Watched {
        logs: vec![(two.log, [2; 32]), (one.log, [1; 32]), (one.log, [9; 32]), (LogId::from_bytes([9; 16]), [1; 32])],
        inboxes: vec![device_id(9), device_id(1)],
    };
    let heads = storage.heads(watched).await.unwrap();
    assert_eq!(heads.logs, [Some(0), Some(2), None, None]);
    assert_eq!(heads.inboxes, [None, Some(InForce { head: 0, relay_auth: [1; 32] })]);
    storage.append(rekey(&one, 3, 0, NEW)).await.unwrap();
    let watched = Watched { logs: vec![(one.log, [1; 32]), (one.log, NEW.read)], inboxes: vec![] };
    assert_eq!(storage.heads(watched).await.unwrap().logs, [None, Some(3)]);
    assert_eq!(storage.heads(Watched::default()).await.unwrap(), Default::default());
    let kind = page(&*storage, &one, 2).await.entries[0].kind;
    assert_eq!(kind, EnvelopeKind::Handshake);
}
