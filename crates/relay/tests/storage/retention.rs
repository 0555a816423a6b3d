//! Retention, by a clock that the test sets.

use waxwing_relay::Quotas;
use waxwing_relay::storage::{Admission, Appended, Appending, LogRead, Setup, Storage};
use waxwing_wire::frame::{Append, CreateLog, LogTokens};

use crate::kit::*;

const NEW: LogTokens = LogTokens { write: [21; 32], read: [22; 32] };

async fn expire(storage: &dyn Storage) {
    while storage.expire().await.unwrap() {}
}

/// Reading before the first kept entry answers `gone`; what an append is judged by outlives the entries.
pub async fn entries_expire_and_what_judges_them_stays(place: Place) {
    let hands = Hands::now();
    let storage = place.open_with(Setup { clock: hands.clock(), retention_days: 7, ..setup() }).await.unwrap();
    let log = new_log(1);
    assert!(storage.create_log(log).await.unwrap());
    let old: Vec<_> = (1..=3).map(|id| append(&log, id, 100)).collect();
    for (append, seq) in old.iter().zip(1..) {
        assert_eq!(storage.append(append.clone()).await.unwrap(), stored(seq));
    }
    assert_eq!(storage.append(rekey(&log, 4, 0, NEW)).await.unwrap(), stored(4));
    hands.pass(5 * DAY);
    let renewed = CreateLog { tokens: NEW, ..log };
    let with_new = |id| appending(&renewed, Append { after: 4, ..append(&log, id, 100).append });
    assert_eq!(storage.append(with_new(5)).await.unwrap(), stored(5));
    expire(&*storage).await;
    assert_eq!(page(&*storage, &renewed, 0).await.entries.len(), 5);
    let at_4 = page(&*storage, &renewed, 4).await;
    hands.pass(3 * DAY);
    expire(&*storage).await;
    for after in 0..4 {
        let read = storage.read_log(log.log, NEW.read, after).await.unwrap();
        assert_eq!(read, LogRead::Gone { oldest: 5 }, "{after}");
    }
    // Right before the first that is kept: that reader has missed nothing, and finds its running hash.
    let kept = page(&*storage, &renewed, 4).await;
    assert_eq!((kept.oldest, kept.head, kept.last_handshake, kept.running), (5, 5, 4, at_4.running));
    assert_eq!(kept.entries, at_4.entries);
    // Repeated, reused, too late, and at a wrong place: all as before.
    assert_eq!(storage.append(old[1].clone()).await.unwrap(), stored(2));
    assert_eq!(storage.append(append(&log, 2, 99)).await.unwrap(), Appended::IdReused);
    assert_eq!(storage.append(append(&log, 9, 99)).await.unwrap(), Appended::Rekeyed { head: 4 });
    let wrong = Append { after: 0, ..with_new(6).append };
    assert_eq!(storage.append(appending(&renewed, wrong)).await.unwrap(), Appended::Conflict { head: 5 });
    // The holder of the replaced read token: told that entries are gone, and where all of them were read, that it is replaced.
    assert_eq!(storage.read_log(log.log, log.tokens.read, 2).await.unwrap(), LogRead::Gone { oldest: 5 });
    let done = page(&*storage, &log, 4).await;
    assert_eq!((done.head, done.retired, done.running, done.entries.len()), (4, true, at_4.running, 0));
    // And when everything is gone.
    hands.pass(30 * DAY);
    expire(&*storage).await;
    assert_eq!(storage.read_log(log.log, NEW.read, 4).await.unwrap(), LogRead::Gone { oldest: 6 });
    let empty = page(&*storage, &renewed, 5).await;
    assert_eq!((empty.oldest, empty.head, empty.entries.len()), (6, 5, 0));
    assert_eq!(storage.append(with_new(5)).await.unwrap(), stored(5));
    assert_eq!(storage.append(with_new(6)).await.unwrap(), stored(6));
    expire(&*storage).await;
    assert_eq!(page(&*storage, &renewed, 5).await.entries.len(), 1);
    assert_eq!(page(&*storage, &renewed, 5).await.last_handshake, 4);
}

pub async fn a_full_log_has_room_again(place: Place) {
    let (hands, quotas) = (Hands::now(), Quotas { log: 3000, ..Quotas::default() });
    let setup = Setup { clock: hands.clock(), retention_days: 7, quotas, ..setup() };
    let storage = place.open_with(setup).await.unwrap();
    let log = new_log(1);
    assert!(storage.create_log(log).await.unwrap());
    assert_eq!(storage.append(append(&log, 1, 2500)).await.unwrap(), stored(1));
    assert_eq!(storage.append(append(&log, 2, 2500)).await.unwrap(), Appended::QuotaExceeded);
    hands.pass(8 * DAY);
    expire(&*storage).await;
    assert_eq!(storage.append(append(&log, 2, 2500)).await.unwrap(), stored(2));
    let again: Appending = append(&log, 3, 2500);
    assert_eq!(storage.append(again).await.unwrap(), Appended::QuotaExceeded);
}

pub async fn envelopes_expire(place: Place) {
    let (hands, quotas) = (Hands::now(), Quotas { inbox_strangers: 3000, ..Quotas::default() });
    let setup = Setup { clock: hands.clock(), retention_days: 7, quotas, ..setup() };
    let storage = place.open_with(setup).await.unwrap();
    registered(&*storage, 1, Some("alice")).await;
    let send = |id, size| storage.deliver(delivery(1, id, Admission::Stranger, size));
    assert_eq!(send(1, 2000).await.unwrap(), delivered(1));
    hands.pass(4 * DAY);
    assert_eq!(send(2, 100).await.unwrap(), delivered(2));
    hands.pass(4 * DAY);
    expire(&*storage).await;
    let page = storage.read_inbox(device_id(1), 0).await.unwrap().unwrap();
    assert_eq!((page.head, page.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>()), (2, vec![2]));
    // There is room again, and a late retry of what is gone does not come twice.
    assert_eq!(send(3, 2000).await.unwrap(), delivered(3));
    assert_eq!(send(1, 2000).await.unwrap(), delivered(1));
    assert_eq!(storage.read_inbox(device_id(1), 0).await.unwrap().unwrap().entries.len(), 2);
    storage.acknowledge(device_id(1), 3).await.unwrap();
    assert_eq!(send(4, 2500).await.unwrap(), delivered(4));
    // Ids are forgotten too, one day.
    hands.pass(60 * DAY);
    expire(&*storage).await;
    assert_eq!(send(1, 2000).await.unwrap(), delivered(5));
}

/// An entry of a log, and an envelope in an inbox.
struct Kept {
    log: CreateLog,
    next: u64,
}

impl Kept {
    async fn new(storage: &dyn Storage) -> Self {
        let log = new_log(1);
        assert!(storage.create_log(log).await.unwrap());
        registered(storage, 1, Some("alice")).await;
        Self { log, next: 1 }
    }

    async fn add(&mut self, storage: &dyn Storage) {
        let seq = self.next;
        self.next += 1;
        assert_eq!(storage.append(append(&self.log, seq, 100)).await.unwrap(), stored(seq));
        let sent = delivery(1, seq, Admission::Stranger, 100);
        assert_eq!(storage.deliver(sent).await.unwrap(), delivered(seq));
    }

    /// The first that is still there, of both.
    async fn first(&self, storage: &dyn Storage) -> (u64, Option<u64>) {
        expire(storage).await;
        let LogRead::Page(page) = storage.read_log(self.log.log, self.log.tokens.read, self.next - 1).await.unwrap()
        else {
            panic!("the log is gone");
        };
        let inbox = storage.read_inbox(device_id(1), 0).await.unwrap().unwrap();
        (page.oldest, inbox.entries.first().map(|entry| entry.seq))
    }
}

async fn open(place: &Place, hands: &Hands) -> std::sync::Arc<dyn Storage> {
    place.open_with(Setup { clock: hands.clock(), ..setup() }).await.unwrap()
}

/// A clock that is ahead for a while, also at a start, erases nothing, and what comes meanwhile is not lost either.
pub async fn d8_a_clock_that_is_ahead_erases_nothing(place: Place) {
    let hands = Hands::now();
    let storage = open(&place, &hands).await;
    let mut kept = Kept::new(&*storage).await;
    kept.add(&*storage).await;
    hands.set(31);
    assert_eq!(kept.first(&*storage).await, (1, Some(1)));
    kept.add(&*storage).await;
    let restarted = open(&place, &hands).await;
    for _ in 0..6 {
        assert_eq!(kept.first(&*storage).await, (1, Some(1)));
        assert_eq!(kept.first(&*restarted).await, (1, Some(1)));
        hands.pass(DAY);
    }
    hands.set(-31);
    let restarted = open(&place, &hands).await;
    assert_eq!(kept.first(&*storage).await, (1, Some(1)));
    assert_eq!(kept.first(&*restarted).await, (1, Some(1)));
}

/// What comes while the clock is behind is not too old once it is right again.
pub async fn d8_a_clock_that_was_behind_erases_nothing(place: Place) {
    let hands = Hands::now();
    let storage = open(&place, &hands).await;
    let mut kept = Kept::new(&*storage).await;
    hands.set(-40);
    let restarted = open(&place, &hands).await;
    kept.add(&*storage).await;
    kept.add(&*restarted).await;
    expire(&*storage).await;
    hands.set(40);
    for storage in [&storage, &restarted] {
        assert_eq!(kept.first(&**storage).await, (1, Some(1)));
    }
    // From then on they are as old as they are.
    hands.pass(30 * DAY);
    assert_eq!(kept.first(&*storage).await, (1, Some(1)));
    hands.pass(DAY);
    assert_eq!(kept.first(&*storage).await, (3, None));
}

/// A month of uptime, and a stop of a week: everything goes in time. A longer stop is not counted, nor the week in which it is watched.
pub async fn d8_what_is_old_goes_when_its_time_has_come(place: Place) {
    let hands = Hands::now();
    let storage = open(&place, &hands).await;
    let mut kept = Kept::new(&*storage).await;
    kept.add(&*storage).await;
    for _ in 0..24 {
        hands.pass(DAY);
        assert_eq!(kept.first(&*storage).await, (1, Some(1)));
    }
    kept.add(&*storage).await;
    storage.close().await.unwrap();
    hands.set(7);
    let storage = open(&place, &hands).await;
    assert_eq!(kept.first(&*storage).await, (2, Some(2)));
    storage.close().await.unwrap();
    hands.set(60);
    let storage = open(&place, &hands).await;
    // It was 7 days old when the relay stopped.
    for _ in 0..=7 + 23 {
        assert_eq!(kept.first(&*storage).await, (2, Some(2)));
        hands.pass(DAY);
    }
    assert_eq!(kept.first(&*storage).await, (3, None));
    // From then on days are counted as ever, also after another start.
    kept.add(&*storage).await;
    storage.close().await.unwrap();
    let storage = open(&place, &hands).await;
    for _ in 0..=30 {
        assert_eq!(kept.first(&*storage).await, (3, Some(3)));
        hands.pass(DAY);
    }
    assert_eq!(kept.first(&*storage).await, (4, None));
}

/// Of two processes one has a clock that is wrong for good.
pub async fn d8_one_wrong_clock_of_two_erases_nothing(place: Place) {
    let (right, wrong) = (Hands::now(), Hands::now());
    wrong.set(31);
    let (one, two) = (open(&place, &right).await, open(&place, &wrong).await);
    let mut kept = Kept::new(&*one).await;
    kept.add(&*one).await;
    for _ in 0..30 {
        for hands in [&right, &wrong] {
            hands.pass(DAY);
        }
        for storage in [&one, &two] {
            assert_eq!(kept.first(&**storage).await, (1, Some(1)));
        }
    }
    right.pass(DAY);
    assert_eq!(kept.first(&*one).await, (2, None));
}

/// What comes while the clock is ten years ahead is kept for as long as what comes when it is right again, and no longer; and nothing waits for it.
pub async fn d8_what_came_under_a_clock_far_ahead_goes_in_time(place: Place) {
    let (hands, quotas) = (Hands::now(), Quotas { log: 3000, ..Quotas::default() });
    let storage = place.open_with(Setup { clock: hands.clock(), quotas, ..setup() }).await.unwrap();
    let mut kept = Kept::new(&*storage).await;
    kept.add(&*storage).await;
    hands.set(3650);
    for _ in 0..2 {
        kept.add(&*storage).await;
        assert_eq!(kept.first(&*storage).await, (1, Some(1)));
        hands.pass(DAY);
    }
    hands.set(-3650);
    assert_eq!(kept.first(&*storage).await, (1, Some(1)));
    kept.add(&*storage).await;
    let large = append(&kept.log, 99, 2000);
    assert_eq!(storage.append(large.clone()).await.unwrap(), Appended::QuotaExceeded);
    // Days since it was set right. The first three bear the day from before, or the one after it.
    let mut firsts = Vec::new();
    for _ in 0..=31 {
        firsts.push(kept.first(&*storage).await.0);
        hands.pass(DAY);
    }
    assert_eq!(firsts[..29], [1; 29]);
    assert_eq!(firsts[29..], [2, 4, 5]);
    assert_eq!(storage.append(large).await.unwrap(), stored(5));
}

/// A clock that was ahead for so long that it was gone by, and is set right: days are counted on, at every process.
pub async fn d8_a_clock_that_was_ahead_for_long_ages_nothing(place: Place) {
    wrong_for_long(place, 3650, 30).await;
}

/// The same of one that was behind.
pub async fn d8_a_clock_that_was_behind_for_long_ages_nothing(place: Place) {
    wrong_for_long(place, -3650, 29).await;
}

/// What comes first goes `days` days after the clock was set right.
async fn wrong_for_long(place: Place, off: i64, days: usize) {
    let hands = Hands::now();
    let storage = open(&place, &hands).await;
    let log = new_log(1);
    assert!(storage.create_log(log).await.unwrap());
    let oldest = async |storage: &dyn Storage, head: u64| {
        expire(storage).await;
        let LogRead::Page(page) = storage.read_log(log.log, log.tokens.read, head).await.unwrap() else {
            panic!("the log is gone");
        };
        page.oldest
    };
    hands.set(off);
    assert_eq!(storage.append(append(&log, 1, 100)).await.unwrap(), stored(1));
    // A week in which nothing gets older, and ten days.
    for _ in 0..17 {
        assert_eq!(oldest(&*storage, 1).await, 1);
        hands.pass(DAY);
    }
    assert_eq!(storage.append(append(&log, 2, 100)).await.unwrap(), stored(2));
    hands.set(-off);
    storage.close().await.unwrap();
    let (storage, other) = (open(&place, &hands).await, open(&place, &hands).await);
    assert_eq!(storage.append(append(&log, 3, 100)).await.unwrap(), stored(3));
    for day in 0..days {
        assert_eq!((oldest(&*storage, 3).await, oldest(&*other, 3).await), (1, 1), "{day}");
        hands.pass(DAY);
    }
    assert_eq!(oldest(&*storage, 3).await, 2);
    for _ in 0..10 {
        hands.pass(DAY);
        oldest(&*storage, 3).await;
    }
    assert_eq!(oldest(&*other, 3).await, 4);
}

/// A clock that is ahead because it is right, after a long stop: what comes is kept for its time also where another process, or the same one later, has a
/// clock that stands still or goes wrong.
pub async fn d8_what_comes_after_a_long_stop_is_kept_for_as_long_as_ever(place: Place) {
    let hands = Hands::now();
    let storage = open(&place, &hands).await;
    let mut kept = Kept::new(&*storage).await;
    expire(&*storage).await;
    storage.close().await.unwrap();
    hands.set(60);
    let storage = open(&place, &hands).await;
    expire(&*storage).await;
    kept.add(&*storage).await;
    hands.set(-60);
    let restarted = open(&place, &hands).await;
    // It agrees with the day from before the stop, for a day.
    assert_eq!(kept.first(&*restarted).await, (1, Some(1)));
    hands.pass(DAY);
    assert_eq!(kept.first(&*restarted).await, (1, Some(1)));
    restarted.close().await.unwrap();
    hands.set(60);
    for _ in 0..=29 {
        assert_eq!(kept.first(&*storage).await, (1, Some(1)));
        hands.pass(DAY);
    }
}

/// A clock that was ten years ahead at the very first start, and a relay that is started anew every five days from then on.
pub async fn d8_starts_keep_nothing_for_years(place: Place) {
    let hands = Hands::now();
    hands.set(3650);
    let storage = open(&place, &hands).await;
    hands.set(-3650);
    let mut kept = Kept::new(&*storage).await;
    kept.add(&*storage).await;
    storage.close().await.unwrap();
    let mut days = 0;
    while days < 35 {
        let storage = open(&place, &hands).await;
        for _ in 0..5 {
            assert_eq!(kept.first(&*storage).await, (1, Some(1)), "{days}");
            hands.pass(DAY);
            days += 1;
        }
        storage.close().await.unwrap();
    }
    let storage = open(&place, &hands).await;
    let mut more = 0;
    while kept.first(&*storage).await != (2, None) {
        hands.pass(DAY);
        more += 1;
    }
    // What was not counted at each start and stop, as a whole day each, since it was looked once a day.
    assert!(more <= 10, "{more}");
}
