//! What an operator does: invitations, disabled accounts, counts.

use std::sync::Arc;

use futures_util::future::join_all;
use waxwing_relay::Quotas;
use waxwing_relay::storage::{
    AccountRef, Admission, Appended, BackupError, Delivered, Invitation, Invited, Quota, Registered, Setup,
};

use crate::key_packages::upload;
use crate::kit::*;

const HASH: [u8; 32] = [8; 32];

fn invitation(hands: &Hands, uses: u32) -> Invitation {
    let until_hour = u64::try_from(hands.clock().now().hour()).unwrap() + 2;
    Invitation { hash: HASH, uses, until_hour }
}

pub async fn an_invitation_is_used_up_once_for_each_account(place: Place) {
    let hands = Hands::now();
    let storage = place.open_with(Setup { clock: hands.clock(), ..setup() }).await.unwrap();
    let stored = Invited::Judged(Registered::Stored);
    let good = async |hash| storage.invited(hash).await.unwrap();
    assert_eq!(storage.register_invited(create(1, Some("alice")), HASH).await.unwrap(), Invited::Refused);
    assert!(!good(HASH).await);
    storage.invite(invitation(&hands, 2)).await.unwrap();
    assert!(good(HASH).await && !good([9; 32]).await);
    assert_eq!(storage.totals().await.unwrap().invitations, 1);
    assert_eq!(storage.register_invited(create(1, Some("alice")), HASH).await.unwrap(), stored);
    // The same again, and what is refused, use nothing.
    assert_eq!(storage.register_invited(create(1, Some("alice")), HASH).await.unwrap(), stored);
    let taken = storage.register_invited(create(2, Some("alice")), HASH).await.unwrap();
    assert_eq!(taken, Invited::Judged(Registered::NameTaken));
    assert!(good(HASH).await);
    assert_eq!(storage.register_invited(create(2, Some("bob")), HASH).await.unwrap(), stored);
    assert_eq!(storage.register_invited(create(3, Some("carol")), HASH).await.unwrap(), Invited::Refused);
    assert!(!good(HASH).await);
    // Who missed the answer asks again with one that is used up.
    assert_eq!(storage.register_invited(create(2, Some("bob")), HASH).await.unwrap(), stored);
    assert_eq!(storage.register_invited(create(2, Some("dora")), HASH).await.unwrap(), Invited::Refused);
    assert_eq!(storage.totals().await.unwrap().invitations, 0);
    // Too old.
    storage.invite(invitation(&hands, 1)).await.unwrap();
    assert!(good(HASH).await);
    hands.pass(3 * 3600);
    assert!(!good(HASH).await);
    assert_eq!(storage.register_invited(create(3, Some("carol")), HASH).await.unwrap(), Invited::Refused);
    storage.invite(Invitation { hash: [9; 32], ..invitation(&hands, 1) }).await.unwrap();
    assert_eq!(storage.register_invited(create(3, Some("carol")), [9; 32]).await.unwrap(), stored);
    assert_eq!(checkpoint(&*storage).await.checkpoint().size, 6);
}

/// Two processes, one invitation for three, ten who want in.
pub async fn an_invitation_is_not_used_too_often(place: Place) {
    let storages = [place.open().await, place.open().await];
    storages[0].invite(invitation(&Hands::now(), 3)).await.unwrap();
    let answers = join_all((0..10).map(|n| {
        let storage = Arc::clone(&storages[usize::from(n) % 2]);
        async move { storage.register_invited(create(n, None), HASH).await.unwrap() }
    }))
    .await;
    let stored = answers.iter().filter(|answer| **answer == Invited::Judged(Registered::Stored)).count();
    let refused = answers.iter().filter(|answer| **answer == Invited::Refused).count();
    assert_eq!((stored, refused), (3, 7));
    assert_eq!(checkpoint(&*storages[1]).await.checkpoint().size, 3);
}

pub async fn accounts_are_disabled_and_counted(place: Place) {
    let storage = place.open().await;
    registered(&*storage, 1, Some("alice")).await;
    registered(&*storage, 2, None).await;
    let alice = || AccountRef::Name("alice".parse().unwrap());
    assert_eq!(storage.set_disabled(alice(), true).await.unwrap(), Some(account(1)));
    assert_eq!(storage.set_disabled(AccountRef::Id(account(1)), true).await.unwrap(), Some(account(1)));
    assert_eq!(storage.set_disabled(AccountRef::Id(account(9)), true).await.unwrap(), None);
    let decided = storage.decided(None).await.unwrap().unwrap();
    assert_eq!(decided.disabled, [account(1)]);
    assert!(storage.admit(account(1), vec![[1; 32]]).await.unwrap());
    storage.deliver(delivery(1, 1, Admission::AccessKey([1; 32]), 100)).await.unwrap();
    storage.deliver(delivery(1, 2, Admission::Stranger, 200)).await.unwrap();
    storage.upload_key_packages(device_id(1), upload(0..3, true, false)).await.unwrap();
    let used = storage.account_use(alice()).await.unwrap().unwrap();
    assert_eq!((used.account, used.disabled, used.devices, used.key_packages), (account(1), true, 1, 3));
    assert!(used.inbox_bytes >= 100 && used.stranger_bytes == used.inbox_bytes + 100);
    assert_eq!(storage.account_use(AccountRef::Id(account(9))).await.unwrap(), None);
    storage.create_log(new_log(1)).await.unwrap();
    storage.append(append(&new_log(1), 1, 1000)).await.unwrap();
    let totals = storage.totals().await.unwrap();
    assert_eq!((totals.accounts, totals.disabled, totals.devices, totals.logs, totals.leaves), (2, 1, 2, 1, 3));
    assert!(totals.log_bytes >= 1000);
    assert_eq!(totals.inbox_bytes, used.inbox_bytes + used.stranger_bytes);
    assert_eq!(storage.set_disabled(alice(), false).await.unwrap(), Some(account(1)));
    // Only what is newer is told.
    let newer = storage.decided(Some(decided.turn)).await.unwrap().unwrap();
    assert!(newer.turn > decided.turn);
    assert_eq!(newer.disabled, []);
    assert_eq!(storage.decided(Some(newer.turn)).await.unwrap(), None);
    storage.probe().await.unwrap();
    storage.probe().await.unwrap();
    assert!(storage.database_bytes().await.unwrap() > 10_000);
    // The embedded one writes a copy of itself; PostgreSQL has tools for that.
    let folder = tempfile::tempdir().unwrap();
    match (place, storage.backup(folder.path().join("copy")).await) {
        (Place::Sqlite(_), Ok(size)) => assert!(size > 10_000),
        (Place::Postgres(_), Err(BackupError::Elsewhere)) => {}
        (_, other) => panic!("{other:?}"),
    }
}

/// For everybody, and for one account over that; also after a start, and at another handle once it has asked.
pub async fn quotas_are_set_and_taken_back(place: Place) {
    let usual = || Setup { quotas: Quotas { inbox_strangers: 1500, log: 1500, ..Quotas::default() }, ..setup() };
    let [storage, other] = [place.open_with(usual()).await.unwrap(), place.open_with(usual()).await.unwrap()];
    registered(&*storage, 1, Some("alice")).await;
    registered(&*storage, 2, Some("bob")).await;
    let alice = || Some(AccountRef::Name("alice".parse().unwrap()));
    let log = new_log(1);
    assert!(storage.create_log(log).await.unwrap());
    let send = |to, id| storage.deliver(delivery(to, id, Admission::Stranger, 1000));
    let full = Delivered::QuotaExceeded;
    assert_eq!((send(1, 1).await.unwrap(), send(2, 1).await.unwrap()), (delivered(1), delivered(1)));
    assert_eq!((send(1, 2).await.unwrap(), send(2, 2).await.unwrap()), (full, full));
    assert_eq!(storage.append(append(&log, 1, 1000)).await.unwrap(), stored(1));
    assert_eq!(storage.append(append(&log, 2, 1000)).await.unwrap(), Appended::QuotaExceeded);

    // For one account.
    assert!(!storage.set_quotas(Some(AccountRef::Id(account(9))), vec![(Quota::Inbox, Some(1))]).await.unwrap());
    assert_eq!(storage.decided(Some(0)).await.unwrap(), None);
    assert!(storage.set_quotas(alice(), vec![(Quota::InboxStrangers, Some(3000))]).await.unwrap());
    let used = storage.account_use(alice().unwrap()).await.unwrap().unwrap();
    assert_eq!((used.quotas.set_to(Quota::InboxStrangers), used.quotas.set_to(Quota::Inbox)), (Some(3000), None));
    assert_eq!((send(1, 2).await.unwrap(), send(2, 2).await.unwrap()), (delivered(2), full));
    assert_eq!(other.deliver(delivery(1, 3, Admission::Stranger, 100)).await.unwrap(), delivered(3));
    // For everybody, which is not for those who have their own.
    let changes = vec![(Quota::InboxStrangers, Some(0)), (Quota::Log, Some(5000))];
    assert!(storage.set_quotas(None, changes).await.unwrap());
    storage.acknowledge(device_id(2), 1).await.unwrap();
    assert_eq!((send(1, 4).await.unwrap(), send(2, 2).await.unwrap()), (full, full));
    storage.acknowledge(device_id(1), 3).await.unwrap();
    assert_eq!(send(1, 4).await.unwrap(), delivered(4));
    assert_eq!(storage.append(append(&log, 2, 1000)).await.unwrap(), stored(2));
    let decided = storage.decided(Some(0)).await.unwrap().unwrap();
    assert_eq!((decided.quotas.set_to(Quota::Log), decided.quotas.set_to(Quota::LogHandshakes)), (Some(5000), None));
    // At the other handle, once it has asked.
    assert_eq!(other.append(append(&log, 3, 1000)).await.unwrap(), Appended::QuotaExceeded);
    assert_eq!(other.decided(None).await.unwrap().unwrap(), decided);
    assert_eq!(other.append(append(&log, 3, 1000)).await.unwrap(), stored(3));
    // From the start on.
    let third = place.open_with(usual()).await.unwrap();
    assert_eq!(third.append(append(&log, 4, 500)).await.unwrap(), stored(4));
    assert_eq!(third.deliver(delivery(2, 3, Admission::Stranger, 10)).await.unwrap(), full);
    // And back to what was configured. What is stored stays.
    let changes = vec![(Quota::InboxStrangers, None), (Quota::Log, None)];
    assert!(storage.set_quotas(None, changes).await.unwrap());
    assert!(storage.set_quotas(alice(), vec![(Quota::InboxStrangers, None)]).await.unwrap());
    assert_eq!(storage.append(append(&log, 5, 10)).await.unwrap(), Appended::QuotaExceeded);
    assert_eq!(page(&*storage, &log, 0).await.entries.len(), 4);
    assert_eq!((send(1, 5).await.unwrap(), send(2, 3).await.unwrap()), (full, delivered(2)));
}
