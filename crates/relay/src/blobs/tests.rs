//! What cannot be seen over HTTP. The rest is in `tests/relay/blobs.rs`.

use std::io::{Error as IoError, ErrorKind};

use axum::body::Body;
use waxwing_wire::problem::ProblemCode;

use super::*;

fn limits() -> BlobLimits {
    BlobLimits { total_bytes: 1000, daily_bytes: 600, ..BlobLimits::default() }
}

fn blobs(folder: &Folder) -> Blobs {
    Blobs::open(folder, Folders::Own, limits()).unwrap()
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
    first.put(id, Part::Whole, [1; 32], bytes.clone().into()).await.unwrap();
    // All bytes are there, and the store had not come to say so; and it was writing something.
    let whole = folder.path().join(whole_path(id).as_ref());
    std::fs::remove_file(&whole).unwrap();
    let staged = folder.path().join(format!("{}#1", part_path(id, 300)));
    std::fs::write(&staged, b"half").unwrap();
    let second = blobs(folder.path());
    assert!(second.find(id).await.unwrap().is_none());
    assert!(!staged.exists());
    // It can be put up again, whole or from where it was.
    let size = 300;
    let state = second.put(id, Part::Nothing { size }, [1; 32], Body::empty()).await;
    assert_eq!(state, Ok(Received::Some { received: 300, size }));
    assert_eq!(second.put(id, Part::Whole, [1; 32], bytes.into()).await, Ok(Received::Whole(300)));
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
        blobs.put(BlobId::of(&bytes), Part::Whole, [who; 32], bytes.into()).await
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
    let again = Blobs::open(folder.path(), Folders::Own, limits()).unwrap();
    let bytes = vec![5; 500];
    assert_eq!(again.put(BlobId::of(&bytes), Part::Whole, [5; 32], bytes.into()).await, Err(BlobError::Full));
}

#[tokio::test]
async fn an_upload_under_way_is_not_swept_away() {
    let folder = tempfile::tempdir().unwrap();
    let limits = BlobLimits { keep_unfinished: Duration::ZERO, ..BlobLimits::default() };
    let blobs = Blobs::open(folder.path(), Folders::Own, limits).unwrap();
    let part = usize::try_from(waxwing_wire::limits::MIN_BLOB_PART).unwrap();
    let bytes = vec![1; part + 1];
    let (id, size) = (BlobId::of(&bytes), bytes.len() as u64);
    let first = Part::Some { first: 0, last: size - 2, size };
    blobs.put(id, first, [1; 32], bytes[..part].to_vec().into()).await.unwrap();
    let turn = blobs.locks.lock(id).await.unwrap();
    blobs.sweep().await.unwrap();
    assert_eq!(blobs.count().await, Ok(size - 1));
    drop(turn);
    blobs.sweep().await.unwrap();
    assert_eq!(blobs.count().await, Ok(0));
}

/// Two processes over one folder: what one is writing the other neither touches nor takes for what a crash has left.
#[tokio::test]
async fn two_processes_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Blobs::open(folder.path(), Folders::Shared, limits()).unwrap();
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
    let mut putting = std::pin::pin!(two.put(id, Part::Whole, [1; 32], bytes.clone().into()));
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut putting).await.is_err());
    drop(turn);
    assert_eq!(putting.await, Ok(Received::Whole(300)));
    // And what the other has put up is there, and counted from the next sweep on.
    assert_eq!(one.find(id).await.unwrap().unwrap().size(), 300);
    one.sweep().await.unwrap();
    let more = vec![8; 500];
    assert_eq!(two.put(BlobId::of(&more), Part::Whole, [2; 32], more.clone().into()).await, Ok(Received::Whole(500)));
    one.sweep().await.unwrap();
    let last = vec![9; 300];
    assert_eq!(one.put(BlobId::of(&last), Part::Whole, [3; 32], last.into()).await, Err(BlobError::Full));
    // Long after nobody writes it, it goes.
    let old = std::time::SystemTime::now() - limits().keep_unfinished;
    std::fs::File::options().write(true).open(&staged).unwrap().set_modified(old).unwrap();
    two.sweep().await.unwrap();
    assert!(!staged.exists());
}
