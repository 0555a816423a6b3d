//! Encryption keys that nobody can seal to, as a member may set them: MLS takes them, and nobody here does. Else nothing could be changed in
//! that group any more, or nothing read of it.

use super::*;
use crate::error::ErrorCode;

const WHY: &str = "it sets a key that nobody can seal to";

/// A commit that sets such a key in its path. The committer's own state stays as it was.
fn bent_commit(person: &mut Person, which: Which, public: &[u8]) -> Vec<u8> {
    person.raw(|provider, group, keys| {
        group.set_aad(data(true));
        let bent = Bent::new(provider.crypto(), which, public);
        let builder = group.commit_builder().force_self_update(true).load_psks(provider.storage()).unwrap();
        let built = builder.build(&bent, &bent, &LeafSigner(keys.mls()), |_| true).unwrap();
        built.stage_commit(provider).unwrap().commit().tls_serialize_detached().unwrap()
    })
}

/// Merged by MLS alone, as whoever does not look would merge it.
fn swallow(person: &mut Person, commit: &[u8]) {
    let tx = person.db.transaction().unwrap();
    let provider = Provider::new(&person.crypto, &tx);
    let id = GroupId::from_slice(LOG.as_bytes());
    let mut group = MlsGroup::load(provider.storage(), &id).unwrap().unwrap();
    let MlsMessageBodyIn::PrivateMessage(message) = MlsMessageIn::tls_deserialize_exact(commit).unwrap().extract()
    else {
        panic!("no private message");
    };
    let processed = group.process_message(&provider, ProtocolMessage::from(message)).unwrap();
    let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else { panic!("no commit") };
    group.merge_staged_commit(&provider, *staged).unwrap();
    drop(group);
    tx.commit().unwrap();
}

#[track_caller]
fn refused(people: &mut [Person; 3], commit: &[u8]) {
    let [alice, bob, carol] = &mut *people;
    for person in [alice, carol] {
        let (epoch, rows) = (person.epoch(), person.rows());
        assert_eq!(person.read(&bob.keys, true, commit), Took::Refused(WHY));
        assert_eq!((person.epoch(), person.rows()), (epoch, rows));
    }
    all_is_well(people);
}

#[test]
fn p8_a_path_leaf_that_nobody_can_seal_to_is_refused_by_all() {
    let mut people = trio();
    for public in unusable() {
        let commit = bent_commit(&mut people[1], Which::PathLeaf, &public);
        refused(&mut people, &commit);
    }
}

#[test]
fn p8_an_added_leaf_that_nobody_can_seal_to_is_refused_by_all() {
    let mut people = trio();
    for public in unusable() {
        let (package, _) = Person::device(people[1].account.as_bytes()[0], 9).bent_package(Which::PackageLeaf, &public);
        let commit = people[1].hostile(data(false), |builder| builder.propose_adds([package]));
        refused(&mut people, &commit);
    }
}

/// What it comes to where nobody looks: the group cannot be read any more, or not changed.
#[test]
fn the_harness_sets_keys_that_stop_a_group() {
    let mut people = trio();
    let commit = bent_commit(&mut people[1], Which::PathLeaf, &[9; 31]);
    swallow(&mut people[0], &commit);
    assert!(people[0].step(|group, _, _| group.facts()).is_err());
    let mut people = trio();
    let commit = bent_commit(&mut people[1], Which::PathLeaf, &[0; 32]);
    swallow(&mut people[0], &commit);
    let rows = people[0].rows();
    let error = people[0].commit(Plan::default()).err().expect("it was made");
    assert_eq!(error.code(), ErrorCode::ChangeImpossible);
    assert_eq!(people[0].rows(), rows);
    // Without whoever it is, it can be made.
    let mut roster = people[0].facts().roster;
    roster.remove(people[1].account);
    people[0].commit(Plan { remove: vec![1], roster: Some(roster), ..Plan::default() }).unwrap();
}

/// Alice, carol, bob with two devices, and dave. Bob's two are alone below one node of the tree: nobody else can tell of that node's key whether
/// it follows from the path. Dave is in the other half of it.
fn with_a_node_of_ones_own() -> [Person; 5] {
    let [mut alice, mut carol, mut dave] = [1, 3, 4].map(Person::new);
    let [mut bob, mut second] = [2, 9].map(|device| Person::device(2, device));
    let others = [&bob, &carol, &dave].map(|person| person.line(RosterRole::Member));
    alice.create(&named("Birds", others.into_iter().chain([alice.line(RosterRole::Admin)])));
    let add = vec![carol.package(), bob.package(), second.package(), dave.package()];
    let welcome = alice.commit(Plan { add, ..Plan::default() }).unwrap().welcome.unwrap();
    alice.merge();
    for person in [&mut carol, &mut bob, &mut second, &mut dave] {
        person.join(LOG, &welcome.mls).unwrap();
    }
    [alice, carol, bob, second, dave]
}

#[test]
fn p8_a_node_that_nobody_can_seal_to_is_refused_by_all_who_are_not_below_it() {
    for public in unusable() {
        let mut people = with_a_node_of_ones_own();
        let commit = bent_commit(&mut people[2], Which::Node, &public);
        let [alice, carol, bob, second, dave] = &mut people;
        for person in [alice, carol, dave] {
            let epoch = person.epoch();
            assert_eq!(person.read(&bob.keys, true, &commit), Took::Refused(WHY));
            assert_eq!(person.epoch(), epoch);
        }
        // Their own other device alone sees more: the key is not the one that follows.
        assert!(matches!(second.read(&bob.keys, true, &commit), Took::Stuck(_)));
        all_is_well(&mut people);
    }
}

/// As if it had come in all the same: those beside it cannot commit; whoever can is not refused for what was there before; the removal heals it.
#[test]
fn p8_a_node_from_before_is_held_against_nobody_else() {
    let mut people = with_a_node_of_ones_own();
    let commit = bent_commit(&mut people[2], Which::Node, &[0; 32]);
    let [alice, carol, bob, _, dave] = &mut people;
    for person in [&mut *alice, &mut *carol, &mut *dave] {
        swallow(person, &commit);
    }
    let error = alice.commit(Plan::default()).err().expect("it was made");
    assert_eq!(error.code(), ErrorCode::ChangeImpossible);
    // Dave seals to the node above it.
    let update = dave.commit(Plan::default()).unwrap();
    dave.merge();
    for person in [&mut *alice, &mut *carol] {
        assert!(matches!(person.read(&dave.keys, true, &update.message), Took::Merged { .. }));
    }
    let mut roster = alice.facts().roster;
    roster.remove(bob.account);
    let removal = alice.commit(Plan { remove: vec![2, 3], roster: Some(roster), ..Plan::default() }).unwrap();
    alice.merge();
    for person in [&mut *carol, &mut *dave] {
        assert!(matches!(person.read(&alice.keys, true, &removal.message), Took::Merged { .. }));
    }
    let [alice, carol, _, _, dave] = people;
    all_is_well(&mut [alice, carol, dave]);
}
