//! Own commits: what is valid is made, and what others would refuse is not even sent.

use waxwing_protocol::group::{LeaveProof, ResyncProof};

use super::*;
use crate::error::ErrorCode;

#[track_caller]
fn not_made(person: &mut Person, plan: Plan, why: &str) {
    let (epoch, rows) = (person.epoch(), person.rows());
    let error = person.commit(plan).err().expect("it was made");
    assert_eq!(error.code(), ErrorCode::NotAdmin);
    assert!(error.to_string().contains(why), "{error}");
    assert_eq!((person.epoch(), person.rows()), (epoch, rows));
    assert!(!person.step(|group, _, _| Ok::<_, Error>(group.has_pending())).unwrap());
}

#[test]
fn what_a_member_may_not_do_is_not_sent() {
    let mut people = trio();
    let mut dave = Person::new(4);
    let roster = people[1].facts().roster;
    let bob = &mut people[1];
    let mut with_dave = roster.clone();
    with_dave.set(dave.line(RosterRole::Member));
    let add = Plan { add: vec![dave.package()], roster: Some(with_dave.clone()), ..Plan::default() };
    not_made(bob, add, "it adds somebody without the right to");
    not_made(bob, Plan { remove: vec![2], ..Plan::default() }, "it removes somebody without the right to");
    let admin = bob.line(RosterRole::Admin);
    for change in [
        |roster: &mut Roster, _: &RosterLine| roster.name = "Fish".into(),
        |roster: &mut Roster, admin: &RosterLine| roster.set(admin.clone()),
    ] {
        let mut changed = roster.clone();
        change(&mut changed, &admin);
        let plan = Plan { roster: Some(changed), ..Plan::default() };
        not_made(bob, plan, "it changes the roster without the right to");
    }
    not_made(bob, Plan { roster: Some(with_dave), ..Plan::default() }, "it changes the roster without the right to");
    all_is_well(&mut people);
}

#[test]
fn what_an_admin_may_not_do_is_not_sent() {
    let mut people = trio();
    let mut dave = Person::new(4);
    let roster = people[0].facts().roster;
    let alice = &mut people[0];
    let add = Plan { add: vec![dave.package()], ..Plan::default() };
    not_made(alice, add, "it adds a device of somebody who is not on the roster");
    let mut without_bob = roster.clone();
    without_bob.remove(AccountId::from_bytes([2; 16]));
    let plan = Plan { roster: Some(without_bob), ..Plan::default() };
    not_made(alice, plan, "it takes somebody off the roster whose device stays");
    let plan = Plan { roster: Some(Roster { generation: 2, ..roster }), ..Plan::default() };
    not_made(alice, plan, "it makes another conversation of the group");
    all_is_well(&mut people);
}

/// Of a device's leaf, as somebody sees it.
fn encryption_key(seen_by: &mut Person, device: DeviceId) -> [u8; 32] {
    let leaves = seen_by.facts().leaves;
    leaves.iter().find(|leaf| leaf.identity.device == device).unwrap().encryption_key
}

#[test]
fn proofs_that_do_not_hold_are_not_sent() {
    let mut people = trio();
    let carol = people[2].keys.device();
    let account = people[2].account;
    let key = people[2].keys.mls().clone();
    let leaf = encryption_key(&mut people[0], carol);
    let leave = |log| CommitData {
        leaves: vec![LeaveProof::sign(&key, log, account, carol, &leaf, [5; 16])],
        ..CommitData::default()
    };
    let bob = &mut people[1];
    let data = leave(LogId::from_bytes([8; 16]));
    not_made(bob, Plan { remove: vec![2], data, ..Plan::default() }, "a proof of a wish to leave does not hold");
    not_made(bob, Plan { remove: vec![2], data: leave(LOG), ..Plan::default() }, "by halves");
    let resync = ResyncProof::sign(&key, LOG, account, carol, [6; 16], [1; 32]);
    let data = CommitData { resyncs: vec![resync], ..CommitData::default() };
    let add = vec![people[2].package()];
    let plan = Plan { remove: vec![2], add, data, ..Plan::default() };
    not_made(&mut people[1], plan, "with another key package");
    all_is_well(&mut people);
}

#[test]
fn a_wish_to_leave_is_answered_by_a_member() {
    let [mut alice, mut bob, mut carol] = trio();
    let leaf = encryption_key(&mut alice, carol.keys.device());
    let proof = LeaveProof::sign(carol.keys.mls(), LOG, carol.account, carol.keys.device(), &leaf, [5; 16]);
    let mut roster = bob.facts().roster;
    roster.remove(carol.account);
    let data = CommitData { leaves: vec![proof], ..CommitData::default() };
    let committed = bob.commit(Plan { remove: vec![2], roster: Some(roster), data, ..Plan::default() }).unwrap();
    bob.merge();
    let secret = committed.secret.as_ref().map(|secret| *secret.write_token());
    assert!(secret.is_some() && committed.welcome.is_none());
    assert_eq!(alice.read(&bob.keys, true, &committed.message), Took::Merged { secret, removes_me: false });
    // Whoever left learns it, and not the new secret.
    assert_eq!(carol.read(&bob.keys, true, &committed.message), Took::Merged { secret: None, removes_me: true });
    let tx = carol.db.transaction().unwrap();
    assert!(Group::load(&carol.crypto, &tx, LOG).unwrap().is_none());
    drop(tx);
    all_is_well(&mut [alice, bob]);
}

#[test]
fn a_wish_for_a_resync_is_answered_by_a_member() {
    let [mut alice, mut bob, mut carol] = trio();
    let package = carol.package();
    let bytes = key_package::message(package.package.clone()).unwrap();
    let proof = ResyncProof::sign(
        carol.keys.mls(),
        LOG,
        carol.account,
        carol.keys.device(),
        [6; 16],
        waxwing_wire::hash(&[&bytes]),
    );
    let data = CommitData { resyncs: vec![proof], ..CommitData::default() };
    let plan = Plan { remove: vec![2], add: vec![package], data, nonce: [6; 16], ..Plan::default() };
    let committed = bob.commit(plan).unwrap();
    bob.merge();
    let secret = committed.secret.as_ref().map(|secret| *secret.write_token());
    assert_eq!(alice.read(&bob.keys, true, &committed.message), Took::Merged { secret, removes_me: false });
    let welcome = committed.welcome.unwrap();
    assert_eq!(welcome.nonce, [6; 16]);
    let tx = carol.db.transaction().unwrap();
    storage::delete_group(&tx, LOG.as_bytes()).unwrap();
    tx.commit().unwrap();
    let joined = carol.join(LOG, &welcome.mls).unwrap();
    assert_eq!((joined.own.identity.account, joined.sender.identity.account), (carol.account, bob.account));
    all_is_well(&mut [alice, bob, carol]);
}

#[test]
fn a_rotation_and_an_update_set_a_secret() {
    let [mut alice, mut bob, mut carol] = trio();
    assert!(bob.commit(Plan::default()).unwrap().secret.is_some());
    let renamed = Roster { name: "Fish".into(), ..alice.facts().roster };
    assert!(alice.commit(Plan { roster: Some(renamed), ..Plan::default() }).unwrap().secret.is_none());
    let new = bob.next_keys();
    let committed = bob.step(|group, account, keys| group.commit(account, keys.leaf(), &new, Plan::default())).unwrap();
    bob.merge();
    bob.keys = new;
    let secret = committed.secret.as_ref().map(|secret| *secret.write_token());
    assert!(secret.is_some());
    for person in [&mut alice, &mut carol] {
        assert_eq!(person.read(&bob.keys, true, &committed.message), Took::Merged { secret, removes_me: false });
        let leaf = person.facts().leaves[1];
        assert_eq!(
            (leaf.identity, leaf.mls_key),
            (LeafIdentity::of(bob.account, bob.keys.record()), bob.keys.record().mls)
        );
    }
    // The secret is the exporter's of the new epoch.
    let exported = carol.step(|group, _, _| group.channel_secret()).unwrap();
    assert_eq!(Some(*exported.write_token()), secret);
    all_is_well(&mut [alice, bob, carol]);
}

#[test]
fn a_commit_that_came_first_drops_the_own_one() {
    let [mut alice, mut bob, mut carol] = trio();
    bob.commit(Plan::default()).unwrap();
    let first = alice.commit(Plan::default()).unwrap();
    alice.merge();
    for person in [&mut bob, &mut carol] {
        let took = person.read(&alice.keys, true, &first.message);
        let secret = first.secret.as_ref().map(|secret| *secret.write_token());
        assert_eq!(took, Took::Merged { secret, removes_me: false });
    }
    assert!(!bob.step(|group, _, _| Ok::<_, Error>(group.has_pending())).unwrap());
    all_is_well(&mut [alice, bob, carol]);
}

#[test]
fn no_leaf_of_ours_ever_expires() {
    let [mut alice, mut bob, _] = trio();
    let package = bob.package().package;
    assert_eq!(package.life_time(), &Lifetime::init(0, u64::MAX));
    let tree = alice.raw(|_, group, _| format!("{:?}", group.export_ratchet_tree()));
    // The creator's leaf says so until its first path; those who were added, theirs.
    let forever = format!("{:?}", Lifetime::init(0, u64::MAX));
    assert_eq!(tree.matches("not_after").count(), tree.matches(&forever).count(), "{tree}");
    assert!(tree.contains(&forever));
}

/// Whatever a commit is for, it brings a path.
#[test]
fn every_own_commit_has_a_path() {
    let mut people = trio();
    let (mut second, mut roster) = (Person::device(1, 9), people[0].facts().roster);
    roster.name = "Fish".into();
    for plan in [
        Plan::default(),
        Plan { add: vec![second.package()], ..Plan::default() },
        Plan { roster: Some(roster.clone()), ..Plan::default() },
    ] {
        let leaf = |alice: &mut Person| alice.facts().leaves[0].encryption_key;
        let before = leaf(&mut people[0]);
        people[0].commit(plan).unwrap();
        people[0].merge();
        assert_ne!(leaf(&mut people[0]), before);
    }
}

/// Whoever asks stores what came of it, whatever that is: nothing of a commit that cannot be made is to stay.
#[test]
fn an_own_commit_that_is_not_valid_waits_for_nothing() {
    let mut people = trio();
    let bob = &mut people[1];
    let (epoch, keys) = (bob.epoch(), bob.next_keys());
    let plan = || Plan { remove: vec![2], ..Plan::default() };
    for rotates in [false, true] {
        let refused = bob.step(|group, account, own| {
            let new = if rotates { &keys } else { own };
            let refused = group.commit(account, own.leaf(), new, plan()).err().map(|error| error.code());
            Ok::<_, Error>((refused, group.has_pending()))
        });
        assert_eq!(refused.unwrap(), (Some(ErrorCode::NotAdmin), false));
        assert!(!bob.step(|group, _, _| Ok::<_, Error>(group.has_pending())).unwrap(), "it is stored");
    }
    assert_eq!(bob.epoch(), epoch);
    all_is_well(&mut people);
}
