//! Key packages: handed out once, within daily allowances.

use waxwing_relay::storage::{Claim, Claimed, Claimer, DeviceChange, Setup, Storage, Uploaded};
use waxwing_wire::api::KeyPackageCount;
use waxwing_wire::frame::UploadKeyPackages;
use waxwing_wire::limits::KEY_PACKAGES;

use crate::kit::*;

pub fn upload(packages: impl IntoIterator<Item = u32>, last_resort: bool, replace: bool) -> UploadKeyPackages {
    let packages = packages.into_iter().map(|n| n.to_be_bytes().to_vec()).collect();
    UploadKeyPackages { replace, last_resort: last_resort.then(|| b"last".to_vec()), packages }
}

pub fn claim(n: u16, id: u64, claimer: Claimer) -> Claim {
    Claim { account: account(n), id: waxwing_wire::hash(&[&id.to_be_bytes()]), claimer }
}

/// What a claim got: packages, and whether each is a last resort.
pub async fn claimed(storage: &dyn Storage, claim: Claim) -> Vec<(Vec<u8>, bool)> {
    match storage.claim_key_packages(claim).await.unwrap() {
        Claimed::Packages(answer) => {
            answer.devices.into_iter().map(|claimed| (claimed.package, claimed.last_resort)).collect()
        }
        Claimed::Refused => panic!("refused"),
    }
}

fn one_time(n: u32) -> (Vec<u8>, bool) {
    (n.to_be_bytes().to_vec(), false)
}

fn last() -> (Vec<u8>, bool) {
    (b"last".to_vec(), true)
}

pub async fn packages_are_handed_out_once(place: Place) {
    let storage = place.open().await;
    let alice = registered(&*storage, 1, Some("alice")).await;
    registered(&*storage, 2, None).await;
    let key = Claimer::AccessKey([1; 32]);
    assert_eq!(storage.claim_key_packages(claim(1, 1, key)).await.unwrap(), Claimed::Refused);
    assert!(storage.admit(account(1), vec![[1; 32]]).await.unwrap());
    assert!(storage.admit(account(2), vec![[1; 32]]).await.unwrap());
    assert_eq!(claimed(&*storage, claim(1, 1, key)).await, []);
    let count = storage.upload_key_packages(device_id(1), upload(1..=3, true, false)).await.unwrap();
    assert_eq!(count, Uploaded::Stored(KeyPackageCount { count: 3, last_resort: true }));
    // In the order in which they came; the same claim again gets the same.
    assert_eq!(claimed(&*storage, claim(1, 1, key)).await, [one_time(1)]);
    assert_eq!(claimed(&*storage, claim(1, 1, key)).await, [one_time(1)]);
    assert_eq!(claimed(&*storage, claim(1, 2, key)).await, [one_time(2)]);
    // A late repetition of the upload does not bring back what was handed out.
    let count = storage.upload_key_packages(device_id(1), upload(1..=3, true, false)).await.unwrap();
    assert_eq!(count, Uploaded::Stored(KeyPackageCount { count: 1, last_resort: true }));
    assert_eq!(claimed(&*storage, claim(1, 3, key)).await, [one_time(3)]);
    assert_eq!(claimed(&*storage, claim(1, 4, key)).await, [last()]);
    // New keys: packages under the old ones are gone, and so are repeated answers.
    storage.upload_key_packages(device_id(1), upload(4..=5, true, false)).await.unwrap();
    storage.extend_chain(rotation(1, &alice.entry)).await.unwrap();
    assert_eq!(
        storage.count_key_packages(device_id(1)).await.unwrap(),
        Some(KeyPackageCount { count: 0, last_resort: false })
    );
    assert_eq!(claimed(&*storage, claim(1, 1, key)).await, []);
    assert_eq!(storage.count_key_packages(device_id(9)).await.unwrap(), None);
    // Who has no name is found by key alone.
    assert_eq!(storage.claim_key_packages(claim(2, 1, Claimer::Stranger([1; 32]))).await.unwrap(), Claimed::Refused);
    assert_eq!(storage.claim_key_packages(claim(9, 1, key)).await.unwrap(), Claimed::Refused);
}

pub async fn claims_stay_within_their_allowances(place: Place) {
    let hands = Hands::now();
    let storage = place.open_with(Setup { clock: hands.clock(), ..setup() }).await.unwrap();
    let alice = registered(&*storage, 1, Some("alice")).await;
    let add = next(1, &alice.entry, DeviceChange::Added(device(3, 5)));
    storage.extend_chain(add).await.unwrap();
    for device in [1, 3] {
        storage.upload_key_packages(device_id(device), upload(0..100, true, false)).await.unwrap();
    }
    assert!(storage.admit(account(1), vec![[1; 32]]).await.unwrap());
    let mut id = 0;
    // How many of `of` claims got one-time packages, each of both devices.
    let mut got = async |claimer, of: u32| {
        let mut one_time = 0;
        for _ in 0..of {
            id += 1;
            let claimed = claimed(&*storage, claim(1, id, claimer)).await;
            assert_eq!(claimed.len(), 2);
            assert_eq!(claimed[0].1, claimed[1].1);
            one_time += u32::from(!claimed[0].1);
        }
        one_time
    };
    assert_eq!(got(Claimer::AccessKey([1; 32]), 12).await, 10);
    assert_eq!(got(Claimer::Stranger([2; 32]), 4).await, 2);
    for stranger in 3..=6 {
        assert_eq!(got(Claimer::Stranger([stranger; 32]), 2).await, 2);
    }
    // All strangers together.
    assert_eq!(got(Claimer::Stranger([7; 32]), 2).await, 0);
    hands.pass(DAY);
    assert_eq!(got(Claimer::Stranger([2; 32]), 3).await, 2);
    assert_eq!(got(Claimer::AccessKey([1; 32]), 1).await, 1);
}

pub async fn uploads_are_bounded_and_repeatable(place: Place) {
    let storage = place.open().await;
    registered(&*storage, 1, Some("alice")).await;
    let most = KEY_PACKAGES as u32;
    let put = |upload| storage.upload_key_packages(device_id(1), upload);
    let full = Uploaded::Stored(KeyPackageCount { count: most, last_resort: false });
    assert_eq!(put(upload(0..most, false, false)).await.unwrap(), full);
    assert_eq!(put(upload(0..most, false, false)).await.unwrap(), full);
    assert_eq!(put(upload([most], true, false)).await.unwrap(), Uploaded::QuotaExceeded);
    // Nothing of it was stored.
    assert_eq!(
        storage.count_key_packages(device_id(1)).await.unwrap(),
        Some(KeyPackageCount { count: most, last_resort: false })
    );
    let replaced = Uploaded::Stored(KeyPackageCount { count: 2, last_resort: true });
    assert_eq!(put(upload([most, most, 1], true, true)).await.unwrap(), replaced);
    let unknown = storage.upload_key_packages(device_id(9), upload([1], false, false)).await.unwrap();
    assert_eq!(unknown, Uploaded::UnknownDevice);
}
