//! Many at a time: seqs without gap or double, everything answered is there once and in order.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use waxwing_relay::storage::{Appended, Claimer, Invitation, Invited, NewAccount, Registered, Storage};
use waxwing_wire::frame::CreateLog;

use crate::key_packages::{claim, claimed, upload};
use crate::kit::*;

const TASKS: u64 = 24;

/// Each task appends its own entries, one after the other; gives what it was answered.
fn appending_tasks(
    storages: &[Arc<dyn Storage>],
    logs: &[CreateLog],
    each: u64,
) -> Vec<tokio::task::JoinHandle<Vec<(usize, u64, u64)>>> {
    (0..TASKS)
        .map(|task| {
            let storage = Arc::clone(&storages[task as usize % storages.len()]);
            let logs = logs.to_vec();
            tokio::spawn(async move {
                let mut answered = Vec::new();
                for i in 0..each {
                    let (id, log) = (task * each + i + 1, (task + i) as usize % logs.len());
                    match storage.append(append(&logs[log], id, 200)).await.unwrap() {
                        Appended::Stored { seq } => answered.push((log, id, seq)),
                        other => panic!("{other:?}"),
                    }
                }
                answered
            })
        })
        .collect()
}

/// Every answer is read back once, at its place, and there is nothing else.
async fn check(storage: &dyn Storage, logs: &[CreateLog], answered: Vec<(usize, u64, u64)>) {
    for (which, log) in logs.iter().enumerate() {
        let all = drain(storage, log).await;
        let expected: HashSet<_> =
            answered.iter().filter(|(log, ..)| *log == which).map(|(_, id, seq)| (*seq, envelope_id(*id))).collect();
        assert_eq!(all.len(), expected.len());
        for (place, (seq, id, _)) in all.iter().enumerate() {
            assert_eq!(*seq, place as u64 + 1);
            assert!(expected.contains(&(*seq, *id)), "{seq}");
        }
    }
}

async fn run(storages: &[Arc<dyn Storage>], logs: &[CreateLog], each: u64) {
    for log in logs {
        assert!(storages[0].create_log(*log).await.unwrap());
    }
    let answers = join_all(appending_tasks(storages, logs, each)).await;
    let answered: Vec<_> = answers.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(answered.len() as u64, TASKS * each);
    check(&*storages[0], logs, answered).await;
}

pub async fn many_tasks_and_logs_leave_no_gap_and_no_double(place: Place) {
    let storage = place.open().await;
    run(&[Arc::clone(&storage)], &[new_log(1)], 20).await;
    run(&[storage], &[2, 3, 4, 5, 6, 7, 8].map(new_log), 20).await;
}

pub async fn two_handles_append_to_one_log(place: Place) {
    let storages = [place.open().await, place.open().await];
    run(&storages, &[1, 2, 3].map(new_log), 10).await;
    // The same request at both, at once: one entry.
    let log = new_log(9);
    assert!(storages[1].create_log(log).await.unwrap());
    let twice = (0..20).map(|i| storages[i % 2].append(append(&log, 1, 10)));
    assert!(join_all(twice).await.iter().all(|answer| *answer == Ok(stored(1))));
    assert_eq!(drain(&*storages[0], &log).await.len(), 1);
}

pub async fn two_handles_grow_one_tree(place: Place) {
    let storages = [place.open().await, place.open().await];
    // Everybody wants the same ten names, twice.
    let all = join_all((0..20).map(|n| {
        let name = format!("name-{}", n / 2);
        let storage = Arc::clone(&storages[usize::from(n) % 2]);
        async move { storage.register(create(n, Some(&name))).await.unwrap() }
    }))
    .await;
    let stored = all.iter().filter(|registered| **registered == Registered::Stored).count();
    let taken = all.iter().filter(|registered| **registered == Registered::NameTaken).count();
    assert_eq!((stored, taken), (10, 10));
    for storage in &storages {
        assert_eq!(checkpoint(&**storage).await.checkpoint().size, 20);
    }
}

pub async fn claims_of_two_handles_never_give_a_package_twice(place: Place) {
    let storages = [place.open().await, place.open().await];
    registered(&*storages[0], 1, Some("alice")).await;
    let keys: Vec<[u8; 32]> = (1..=4).map(|n| [n; 32]).collect();
    assert!(storages[0].admit(account(1), keys.clone()).await.unwrap());
    storages[0].upload_key_packages(device_id(1), upload(0..100, true, false)).await.unwrap();
    let claims = (0..40).map(|n| {
        let storage = Arc::clone(&storages[n % 2]);
        let claim = claim(1, n as u64, Claimer::AccessKey(keys[n % 4]));
        async move { claimed(&*storage, claim).await }
    });
    let got = join_all(claims).await.concat();
    let distinct: HashSet<_> = got.iter().collect();
    assert_eq!((got.len(), distinct.len()), (40, 40));
    assert!(got.iter().all(|(_, last_resort)| !last_resort));
}

/// A caller that does not wait for the answer: stored all the same, and told to those who follow.
pub async fn who_goes_away_is_stored_and_told(place: Place) {
    let (setup, mut wakes) = listening(|wake| match wake {
        waxwing_relay::hub::Wake::Log { entry, .. } => Some(entry.seq),
        _ => None,
    });
    let storage = place.open_with(setup).await.unwrap();
    let log = new_log(1);
    assert!(storage.create_log(log).await.unwrap());
    for seq in 1..=100 {
        // Polled once, then dropped. On a busy machine the writer may have answered by then.
        let went = storage.append(append(&log, seq, 10)).now_or_never().is_none();
        assert_eq!(wakes.recv().await, Some(seq));
        assert_eq!(page(&*storage, &log, 0).await.head, seq);
        if went {
            return;
        }
    }
    panic!("the answer was always there at once");
}

/// Also those that come at once, and go into one transaction: each by what those before it have left. None takes another with it.
pub async fn registrations_at_once_are_judged_one_after_the_other(place: Place) {
    let storage = place.open().await;
    let until_hour = u64::try_from(Hands::now().clock().now().hour()).unwrap() + 2;
    storage.invite(Invitation { hash: [8; 32], uses: 5, until_hour }).await.unwrap();
    // Ten names and forty who want them, ten more with a device id that somebody has, and ten who share five invitations.
    let named = (0..40_u16).map(|n| create(n, Some(&format!("name-{}", n % 10))));
    let doubles = (40..50_u16).map(|n| NewAccount { device: device(n - 40, 9), ..create(n, None) });
    let all = join_all(named.chain(doubles).map(|new| storage.register(new)));
    let invited = join_all((50..60_u16).map(|n| storage.register_invited(create(n, None), [8; 32])));
    // In the order in which they are queued.
    let (answers, invited) = tokio::join!(all, invited);
    let [stored, taken, doubles] = [Registered::Stored, Registered::NameTaken, Registered::IdTaken].map(Ok);
    let expected: Vec<_> = [vec![stored; 10], vec![taken; 30], vec![doubles; 10]].concat();
    assert_eq!(answers, expected);
    let admitted = vec![Ok(Invited::Judged(Registered::Stored)); 5];
    assert_eq!(invited, [admitted, vec![Ok(Invited::Refused); 5]].concat());
    assert_eq!(storage.totals().await.unwrap().accounts, 15);
    // Each account has its leaf and each name its own, under the newest checkpoint.
    assert_eq!(checkpoint(&*storage).await.checkpoint().size, 25);
}
