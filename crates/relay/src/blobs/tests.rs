//! What cannot be seen over HTTP. The rest is in `tests/relay/blobs.rs`.

use std::io::{Error as IoError, ErrorKind};
use std::time::UNIX_EPOCH;

use axum::body::Body;
use waxwing_wire::blob::BlobSecret;
use waxwing_wire::problem::ProblemCode;

use super::*;

fn limits() -> BlobLimits {
    BlobLimits { total_bytes: 1000, daily_bytes: 600, ..BlobLimits::default() }
}

fn times() -> Times {
    let clock = crate::clock::Clock::system();
    let time: Time = Arc::new(move || clock.now());
    Times { expiry: Arc::clone(&time), arrival: time }
}

fn by(who: u8) -> Uploader {
    Uploader { who: [who; 32], owner: None }
}

fn blobs(folder: &Folder) -> Arc<Blobs> {
    Arc::new(Blobs::open(folder, Folders::Own, limits(), times()).unwrap())
}

#[test]
fn a_full_disk_is_told_apart_from_other_trouble() {
    let of = |kind: ErrorKind| {
        let source = Box::new(IoError::other(IoError::from(kind)));
        let nested = object_store::Error::Generic { store: "LocalFileSystem", source };
        let plain = object_store::Error::Generic { store: "LocalFileSystem", source: Box::new(IoError::from(kind)) };
        [BlobError::from(nested), BlobError::from(plain)]
    };
    assert_eq!(of(ErrorKind::StorageFull), [BlobError::Full; 2]);
    assert_eq!(of(ErrorKind::QuotaExceeded), [BlobError::Full; 2]);
    assert_eq!(of(ErrorKind::PermissionDenied), [BlobError::Unavailable; 2]);
}

#[tokio::test]
async fn what_a_crash_has_left_is_no_blob() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = vec![7; 300];
    let id = BlobId::of(&bytes);
    let first = blobs(folder.path());
    first.put(id, Part::Whole, by(1), bytes.clone().into()).await.unwrap();
    // All bytes are there, and the store had not come to say so; and it was writing something.
    let whole = folder.path().join(whole_path(id).as_ref());
    std::fs::remove_file(&whole).unwrap();
    let staged = folder.path().join(format!("{}#1", part_path(id, 300)));
    std::fs::write(&staged, b"half").unwrap();
    let second = blobs(folder.path());
    assert!(second.find(id).await.unwrap().is_none());
    assert!(!staged.exists());
    // It can be put up again.
    assert_eq!(second.put(id, Part::Whole, by(1), bytes.into()).await, Ok(Received::Whole(300)));
    assert_eq!(second.find(id).await.unwrap().unwrap().size(), 300);
    // A manifest that says something else is damage, not an answer.
    std::fs::write(&whole, b"{}").unwrap();
    assert_eq!(second.find(id).await.err(), Some(BlobError::Damaged));
}

#[tokio::test]
async fn what_is_stored_is_counted_once_and_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = blobs(folder.path());
    let put = async |byte: u8, length: usize, who: u8| {
        let bytes = vec![byte; length];
        blobs.put(BlobId::of(&bytes), Part::Whole, by(who), bytes.into()).await
    };
    assert_eq!(put(1, 500, 1).await, Ok(Received::Whole(500)));
    // Again: it is there, and costs nothing.
    assert_eq!(put(1, 500, 1).await, Ok(Received::Whole(500)));
    assert_eq!(put(2, 200, 1).await, Err(BlobError::Refused(ProblemCode::QuotaExceeded)));
    assert_eq!(put(2, 501, 2).await, Err(BlobError::Full));
    assert_eq!(put(3, 500, 3).await, Ok(Received::Whole(500)));
    assert_eq!(put(4, 1, 4).await, Err(BlobError::Full));
    blobs.remove(BlobId::of(&[1; 500])).await.unwrap();
    assert_eq!(put(4, 1, 4).await, Ok(Received::Whole(1)));
    // What was refused has left nothing.
    let counted = blobs.count().await.unwrap();
    assert_eq!(counted, 501);
    // A restart counts what is there.
    let again = Arc::new(Blobs::open(folder.path(), Folders::Own, limits(), times()).unwrap());
    let bytes = vec![5; 500];
    assert_eq!(again.put(BlobId::of(&bytes), Part::Whole, by(5), bytes.into()).await, Err(BlobError::Full));
}

#[tokio::test]
async fn an_upload_under_way_is_not_swept_away() {
    let folder = tempfile::tempdir().unwrap();
    let limits = BlobLimits { keep_unfinished: Duration::ZERO, ..BlobLimits::default() };
    let blobs = Arc::new(Blobs::open(folder.path(), Folders::Own, limits, times()).unwrap());
    let part = usize::try_from(waxwing_wire::limits::MIN_BLOB_PART).unwrap();
    let bytes = vec![1; part + 1];
    let (id, size) = (BlobId::of(&bytes), bytes.len() as u64);
    let first = Part::Some { first: 0, last: size - 2, size };
    blobs.put(id, first, by(1), bytes[..part].to_vec().into()).await.unwrap();
    let turn = blobs.locks.lock(id).await.unwrap();
    blobs.sweep().await.unwrap();
    assert_eq!(blobs.count().await, Ok(size - 1));
    drop(turn);
    blobs.sweep().await.unwrap();
    assert_eq!(blobs.count().await, Ok(0));
}

/// A3: who sends slowly keeps nobody waiting: neither a blob whose id begins alike, which has the same lock, nor the same blob from somebody else.
#[tokio::test]
async fn a3_a_slow_body_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Arc::new(Blobs::open(folder.path(), Folders::Shared, limits(), times()).unwrap());
    let (one, two) = (open(), open());
    let bytes = vec![7; 300];
    let id = BlobId::of(&bytes);
    let (sending, mut chunks) = tokio::sync::mpsc::channel::<Result<Bytes, IoError>>(4);
    let body = Body::from_stream(futures_util::stream::poll_fn(move |cx| chunks.poll_recv(cx)));
    let mut slow = std::pin::pin!(one.put(id, Part::Whole, by(1), body));
    sending.send(Ok(bytes[..100].to_vec().into())).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut slow).await.is_err());
    let begins_alike = |bytes: &Vec<u8>| BlobId::of(bytes).to_string()[..3] == id.to_string()[..3];
    let alike = (0_u32..).map(|number| number.to_be_bytes().repeat(25)).find(begins_alike).unwrap();
    for (id, bytes) in [(BlobId::of(&alike), alike), (id, bytes.clone())] {
        let size = bytes.len() as u64;
        let quick = tokio::time::timeout(Duration::from_secs(10), two.put(id, Part::Whole, by(2), bytes.into()));
        assert_eq!(quick.await.expect("it waited for the slow one"), Ok(Received::Whole(size)));
    }
    // It learns that the blob is there, and leaves nothing.
    sending.send(Ok(bytes[100..].to_vec().into())).await.unwrap();
    drop(sending);
    assert_eq!(slow.await, Ok(Received::Whole(300)));
    assert_eq!(one.count().await, Ok(400));
    let mut read = one.read(&one.find(id).await.unwrap().unwrap(), 0..300);
    let mut found = Vec::new();
    while let Some(chunk) = read.try_next().await.unwrap() {
        found.extend_from_slice(&chunk);
    }
    assert_eq!(found, bytes);
}

/// Of two who send the same part at the same time one is told what the other has done; a part whose place was taken meanwhile is not the next one.
#[tokio::test]
async fn parts_that_come_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = Arc::new(Blobs::open(folder.path(), Folders::Own, BlobLimits::default(), times()).unwrap());
    let part = usize::try_from(waxwing_wire::limits::MIN_BLOB_PART).unwrap();
    let bytes: Vec<u8> = (0..3 * part).map(|n| (n % 251) as u8).collect();
    let (id, size) = (BlobId::of(&bytes), bytes.len() as u64);
    let some = |range: Range<usize>| Part::Some { first: range.start as u64, last: range.end as u64 - 1, size };
    let slowly = |range: Range<usize>| {
        let (sending, mut chunks) = tokio::sync::mpsc::channel::<Result<Bytes, IoError>>(4);
        let body = Body::from_stream(futures_util::stream::poll_fn(move |cx| chunks.poll_recv(cx)));
        sending.try_send(Ok(bytes[range.clone()].to_vec().into())).unwrap();
        (sending, Box::pin(blobs.put(id, some(range), by(1), body)))
    };
    let wait = Duration::from_millis(200);
    let (same_sent, mut same) = slowly(0..part);
    let (longer_sent, mut longer) = slowly(0..2 * part);
    assert!(tokio::time::timeout(wait, &mut same).await.is_err());
    assert!(tokio::time::timeout(wait, &mut longer).await.is_err());
    let first = blobs.put(id, some(0..part), by(1), bytes[..part].to_vec().into()).await;
    let received = part as u64;
    assert_eq!(first, Ok(Received::Some { received, size }));
    drop((same_sent, longer_sent));
    assert_eq!(same.await, Ok(Received::Some { received, size }));
    assert_eq!(longer.await, Err(BlobError::WrongOffset(received)));
    let rest = blobs.put(id, some(part..3 * part), by(1), bytes[part..].to_vec().into()).await;
    assert_eq!(rest, Ok(Received::Whole(size)));
    assert_eq!(blobs.count().await, Ok(size));
}

/// All parts are there, and the relay went down before it said so: asking, or sending the last one again, makes them a blob. Where they are not what
/// the id names, nothing stays.
#[tokio::test]
async fn d3_a_crash_behind_the_last_part_leaves_no_blob_undone() {
    let part = usize::try_from(waxwing_wire::limits::MIN_BLOB_PART).unwrap();
    let bytes: Vec<u8> = (0..2 * part).map(|n| (n % 251) as u8).collect();
    let (id, size) = (BlobId::of(&bytes), bytes.len() as u64);
    let [first, last] = [0..part, part..2 * part].map(|range| {
        let place = Part::Some { first: range.start as u64, last: range.end as u64 - 1, size };
        (place, bytes[range].to_vec())
    });
    for asks in [true, false] {
        for sound in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let blobs = Arc::new(Blobs::open(folder.path(), Folders::Own, BlobLimits::default(), times()).unwrap());
            blobs.put(id, first.0, by(1), first.1.clone().into()).await.unwrap();
            let written = if sound { last.1.clone() } else { vec![0; part] };
            blobs.store.put(&part_path(id, part as u64), written.into()).await.unwrap();
            let answer = if asks {
                blobs.put(id, Part::Nothing { size }, by(1), Body::empty()).await
            } else {
                blobs.put(id, last.0, by(1), last.1.clone().into()).await
            };
            let expected =
                if sound { Ok(Received::Whole(size)) } else { Err(BlobError::Refused(ProblemCode::BlobMismatch)) };
            assert_eq!(answer, expected);
            assert_eq!(blobs.find(id).await.unwrap().is_some(), sound);
            assert_eq!(blobs.count().await, Ok(if sound { size } else { 0 }));
        }
    }
}

/// Two processes over one folder: what one is writing the other neither touches nor takes for what a crash has left.
#[tokio::test]
async fn two_processes_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Arc::new(Blobs::open(folder.path(), Folders::Shared, limits(), times()).unwrap());
    let (one, two) = (open(), open());
    let bytes = vec![7; 300];
    let id = BlobId::of(&bytes);
    // One is in the middle of it.
    let turn = one.locks.lock(id).await.unwrap();
    let staged = folder.path().join(format!("{}#1", part_path(id, 0)));
    std::fs::create_dir_all(staged.parent().unwrap()).unwrap();
    std::fs::write(&staged, b"half").unwrap();
    assert!(two.locks.try_lock(id).unwrap().is_none());
    two.sweep().await.unwrap();
    drop(open());
    assert!(staged.exists());
    let mut putting = std::pin::pin!(two.put(id, Part::Whole, by(1), bytes.clone().into()));
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut putting).await.is_err());
    drop(turn);
    assert_eq!(putting.await, Ok(Received::Whole(300)));
    // And what the other has put up is there, and counted from the next sweep on.
    assert_eq!(one.find(id).await.unwrap().unwrap().size(), 300);
    one.sweep().await.unwrap();
    let more = vec![8; 500];
    assert_eq!(two.put(BlobId::of(&more), Part::Whole, by(2), more.clone().into()).await, Ok(Received::Whole(500)));
    one.sweep().await.unwrap();
    let last = vec![9; 300];
    assert_eq!(one.put(BlobId::of(&last), Part::Whole, by(3), last.into()).await, Err(BlobError::Full));
    // Long after nobody writes it, it goes.
    let old = std::time::SystemTime::now() - limits().keep_unfinished;
    std::fs::File::options().write(true).open(&staged).unwrap().set_modified(old).unwrap();
    two.sweep().await.unwrap();
    assert!(!staged.exists());
}

/// The day that the database has noted counts, not the clock: neither one that is ahead nor one that was behind when a blob came erases it.
#[tokio::test]
async fn d8_a_wrong_clock_erases_no_blob() {
    const DAY: u64 = 86_400;
    let folder = tempfile::tempdir().unwrap();
    let day = Arc::new(std::sync::atomic::AtomicI64::new(crate::clock::Clock::system().now().day()));
    let noted = Arc::clone(&day);
    let time: Time = Arc::new(move || Moment::start_of(noted.load(std::sync::atomic::Ordering::Relaxed)));
    let times = Times { expiry: Arc::clone(&time), arrival: time };
    let limits = BlobLimits { keep: Duration::from_secs(30 * DAY), ..BlobLimits::default() };
    let blobs = Arc::new(Blobs::open(folder.path(), Folders::Own, limits, times).unwrap());
    let put = async |byte: u8| {
        let id = BlobId::of(&[byte; 100]);
        blobs.put(id, Part::Whole, by(1), vec![byte; 100].into()).await.unwrap();
        id
    };
    // Its file says that it came forty days ago by the day that is noted: the clock is behind.
    day.fetch_add(40, std::sync::atomic::Ordering::Relaxed);
    let behind = put(1).await;
    blobs.sweep().await.unwrap();
    assert!(blobs.find(behind).await.unwrap().is_some());
    day.fetch_add(29, std::sync::atomic::Ordering::Relaxed);
    blobs.sweep().await.unwrap();
    assert!(blobs.find(behind).await.unwrap().is_some());
    day.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    assert!(blobs.find(behind).await.unwrap().is_none());
    blobs.sweep().await.unwrap();
    // The clock is ahead of the day that is noted: what comes is kept no longer for that.
    day.fetch_sub(70 + 31, std::sync::atomic::Ordering::Relaxed);
    let ahead = put(2).await;
    for days in [0, 29] {
        day.fetch_add(days, std::sync::atomic::Ordering::Relaxed);
        blobs.sweep().await.unwrap();
        assert!(blobs.find(ahead).await.unwrap().is_some());
    }
    day.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    assert!(blobs.find(ahead).await.unwrap().is_none());
    blobs.sweep().await.unwrap();
    assert_eq!(blobs.count().await, Ok(0));
}

/// What an upload under a clock that was far ahead has left goes.
#[tokio::test]
async fn d8_half_an_upload_from_the_future_goes() {
    for of in [Folders::Own, Folders::Shared] {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Arc::new(Blobs::open(folder.path(), of, BlobLimits::default(), times()).unwrap());
        let bytes = vec![9; 600_000];
        let (id, half) = (BlobId::of(&bytes), Part::Some { first: 0, last: 299_999, size: 600_000 });
        blobs.put(id, half, by(1), bytes[..300_000].to_vec().into()).await.unwrap();
        blobs.sweep().await.unwrap();
        assert_eq!(blobs.count().await, Ok(300_000));
        let part = folder.path().join(part_path(id, 0).as_ref());
        let future = std::time::SystemTime::now() + Duration::from_secs(10 * 365 * 86_400);
        std::fs::File::options().write(true).open(part).unwrap().set_modified(future).unwrap();
        blobs.sweep().await.unwrap();
        assert_eq!(blobs.count().await, Ok(0), "{of:?}");
    }
    for (ahead, unwritten_for, goes) in [(9, 1, true), (7, 1, false), (7, 0, true)] {
        let day = Duration::from_secs(86_400);
        let folder = tempfile::tempdir().unwrap();
        let staged = folder.path().join("name#1");
        std::fs::write(&staged, b"x").unwrap();
        let time = std::time::SystemTime::now() + day * ahead;
        std::fs::File::options().write(true).open(&staged).unwrap().set_modified(time).unwrap();
        sweep::remove_staged(folder.path(), day * unwritten_for).unwrap();
        assert_eq!(staged.exists(), !goes, "{ahead}");
    }
}

/// Files that have lost their times, or have those of a clock that was wrong: a blob is as old as it is.
#[tokio::test]
async fn d8_a_blob_is_as_old_as_it_says() {
    const DAY: u64 = 86_400;
    let folder = tempfile::tempdir().unwrap();
    let limits = BlobLimits { keep: Duration::from_secs(30 * DAY), ..BlobLimits::default() };
    let start = crate::clock::Clock::system().now().seconds();
    let passed = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = Arc::clone(&passed);
    let now = move || {
        Moment::start_of(0)
            .less_days(-i64::try_from(start / DAY + counted.load(std::sync::atomic::Ordering::Relaxed)).unwrap())
    };
    let time: Time = Arc::new(now);
    let times = Times { expiry: Arc::clone(&time), arrival: time };
    let blobs = Arc::new(Blobs::open(folder.path(), Folders::Own, limits, times).unwrap());
    let mut ids = Vec::new();
    for byte in 0..3_u8 {
        let id = BlobId::of(&[byte; 100]);
        blobs.put(id, Part::Whole, by(1), vec![byte; 100].into()).await.unwrap();
        ids.push(id);
    }
    let dated = |id: BlobId, seconds: u64| {
        let file = std::fs::File::options().write(true).open(folder.path().join(whole_path(id).as_ref())).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    };
    // Years too old, years ahead; and ahead as an earlier version has left it, which has nothing but the file's time.
    let old = Manifest::new(vec![100], None);
    let old = String::from_utf8(old.encode().unwrap()).unwrap().replace("\"version\":2", "\"version\":1");
    let old: serde_json::Value = serde_json::from_str(&old).unwrap();
    let old = serde_json::json!({ "version": 1, "parts": old["parts"] });
    std::fs::write(folder.path().join(whole_path(ids[2]).as_ref()), old.to_string()).unwrap();
    dated(ids[0], 1_000_000);
    dated(ids[1], start + 3650 * DAY);
    dated(ids[2], start + 3650 * DAY);
    for days in [0, 29] {
        passed.store(days, std::sync::atomic::Ordering::Relaxed);
        blobs.sweep().await.unwrap();
        for id in &ids {
            assert!(blobs.find(*id).await.unwrap().is_some());
        }
    }
    // The one that has nothing but its file's time came today at the latest.
    passed.store(31, std::sync::atomic::Ordering::Relaxed);
    blobs.sweep().await.unwrap();
    for id in &ids {
        assert!(blobs.find(*id).await.unwrap().is_none());
    }
    assert_eq!(blobs.count().await, Ok(0));
}

/// A blob that is put up between the list and its turn stays, and so does an upload that goes on.
#[tokio::test]
async fn what_came_since_it_was_listed_stays() {
    let folder = tempfile::tempdir().unwrap();
    let limits = BlobLimits { keep: Duration::from_secs(1000), ..BlobLimits::default() };
    let blobs = Arc::new(Blobs::open(folder.path(), Folders::Own, limits, times()).unwrap());
    let (whole, bytes) = (BlobId::of(&[1; 100]), vec![2; 600_000]);
    blobs.put(whole, Part::Whole, by(1), vec![1; 100].into()).await.unwrap();
    let (half, first) = (BlobId::of(&bytes), Part::Some { first: 0, last: 299_999, size: 600_000 });
    blobs.put(half, first, by(1), bytes[..300_000].to_vec().into()).await.unwrap();
    assert!(!blobs.is_over(whole).await.unwrap() && !blobs.is_over(half).await.unwrap());
}

/// What a copy of the folder has brought without its parts is no blob, and can be put up again.
#[tokio::test]
async fn a_manifest_without_its_parts_is_no_blob() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = blobs(folder.path());
    let id = BlobId::of(&[1; 100]);
    blobs.put(id, Part::Whole, by(1), vec![1; 100].into()).await.unwrap();
    std::fs::remove_file(folder.path().join(part_path(id, 0).as_ref())).unwrap();
    let size = Part::Nothing { size: 100 };
    assert!(blobs.find(id).await.unwrap().is_none());
    assert_eq!(blobs.put(id, size, by(1), Body::empty()).await, Ok(Received::Some { received: 0, size: 100 }));
    assert_eq!(blobs.put(id, Part::Whole, by(1), vec![1; 100].into()).await, Ok(Received::Whole(100)));
    assert_eq!(blobs.count().await, Ok(100));
}

/// One blob that cannot be read keeps no other with another first byte, and none of those that has expired.
#[tokio::test]
async fn what_cannot_be_read_keeps_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = blobs(folder.path());
    let secret = BlobSecret::from_bytes([1; 32]);
    let mut ids = Vec::new();
    for byte in 0..8_u8 {
        let id = BlobId::of(&[byte; 10]);
        let by = Uploader { who: [1; 32], owner: Some(secret.owner_tag(id)) };
        blobs.put(id, Part::Whole, by, vec![byte; 10].into()).await.unwrap();
        ids.push(id);
    }
    ids.sort_unstable();
    let bad = folder.path().join(whole_path(ids[0]).as_ref());
    std::fs::remove_file(&bad).unwrap();
    std::os::unix::fs::symlink(&bad, &bad).unwrap();
    assert!(blobs.remove_owned(std::slice::from_ref(&secret)).await.is_err());
    for id in &ids[1..] {
        assert!(blobs.find(*id).await.unwrap().is_none());
    }
    // What has expired goes all the same.
    let late = BlobId::of(&[0xfe; 10]);
    blobs.put(late, Part::Whole, by(1), vec![0xfe; 10].into()).await.unwrap();
    let soon = BlobLimits { keep: Duration::ZERO, ..limits() };
    let soon = Blobs::open(folder.path(), Folders::Own, soon, times()).unwrap();
    assert!(soon.sweep().await.is_err());
    assert!(!folder.path().join(whole_path(late).as_ref()).exists());
}

/// A database out of an old backup, by mistake and for a moment, dates nothing back.
#[tokio::test]
async fn d8_an_old_day_dates_no_blob_back() {
    let folder = tempfile::tempdir().unwrap();
    let limits = BlobLimits { keep: Duration::from_secs(30 * 86_400), ..BlobLimits::default() };
    let at = |ago: i64| {
        let time: Time = Arc::new(move || crate::clock::Clock::system().now().less_days(ago));
        Times { expiry: Arc::clone(&time), arrival: time }
    };
    let open = |ago| Arc::new(Blobs::open(folder.path(), Folders::Own, limits, at(ago)).unwrap());
    let id = BlobId::of(&[1; 100]);
    let old = BlobId::of(&[2; 100]);
    for (id, byte) in [(id, 1), (old, 2)] {
        open(0).put(id, Part::Whole, by(1), vec![byte; 100].into()).await.unwrap();
    }
    std::fs::write(folder.path().join(whole_path(old).as_ref()), r#"{"version":1,"parts":[100]}"#).unwrap();
    open(40).sweep().await.unwrap();
    let now = open(0);
    now.sweep().await.unwrap();
    assert!(now.find(id).await.unwrap().is_some() && now.find(old).await.unwrap().is_some());
}

/// Closing takes a blob from its owner and leaves it to others, as old as it was.
#[tokio::test]
async fn a_blob_goes_with_the_last_of_its_owners() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = Arc::new(Blobs::open(folder.path(), Folders::Own, BlobLimits::default(), times()).unwrap());
    let (alice, bob) = (BlobSecret::from_bytes([1; 32]), BlobSecret::from_bytes([2; 32]));
    let put = async |byte: u8, owners: &[Option<&BlobSecret>]| {
        let id = BlobId::of(&[byte; 100]);
        for owner in owners {
            let by = Uploader { who: [1; 32], owner: owner.map(|owner| owner.owner_tag(id)) };
            assert_eq!(blobs.put(id, Part::Whole, by, vec![byte; 100].into()).await, Ok(Received::Whole(100)));
        }
        id
    };
    let hers = put(1, &[Some(&alice), Some(&alice)]).await;
    let both = put(2, &[Some(&bob), Some(&alice)]).await;
    let hers_and_anybodys = put(3, &[Some(&alice), None]).await;
    let his = put(4, &[Some(&bob)]).await;
    let there = async || {
        let mut there = Vec::new();
        for id in [hers, both, hers_and_anybodys, his] {
            there.push(blobs.find(id).await.unwrap().is_some());
        }
        there
    };
    let manifest = folder.path().join(whole_path(both).as_ref());
    blobs.remove_owned(&[BlobSecret::from_bytes([9; 32])]).await.unwrap();
    blobs.remove_owned(&[]).await.unwrap();
    assert_eq!(blobs.count().await, Ok(400));
    let came = std::fs::read_to_string(&manifest).unwrap();
    let came = came.split("\"came\":").nth(1).unwrap().split(',').next().unwrap().to_owned();
    blobs.remove_owned(std::slice::from_ref(&alice)).await.unwrap();
    assert!(std::fs::read_to_string(&manifest).unwrap().contains(&came), "as old as it was");
    assert_eq!(blobs.count().await, Ok(300));
    blobs.remove_owned(&[alice, bob]).await.unwrap();
    assert_eq!(there().await, [false, false, true, false]);
    // Whose bytes do not tell is passed over, and keeps nobody else's.
    let (kept, damaged) = (put(5, &[Some(&BlobSecret::from_bytes([5; 32]))]).await, put(6, &[None]).await);
    std::fs::write(folder.path().join(whole_path(damaged).as_ref()), b"{").unwrap();
    blobs.remove_owned(&[BlobSecret::from_bytes([5; 32])]).await.unwrap();
    assert!(blobs.find(kept).await.unwrap().is_none());
}
