//! Messages that are not what they should be, whoever made them.

use super::*;

#[track_caller]
fn refused(person: &mut Person, from: &DeviceKeys, handshake: bool, bytes: &[u8], why: &'static str) {
    let rows = person.rows();
    assert_eq!(person.read(from, handshake, bytes), Took::Refused(why));
    assert_eq!(person.rows(), rows);
}

#[test]
fn what_is_no_private_message() {
    let mut people = trio();
    let message = people[1].say(b"hello");
    let trailing = [message.as_slice(), &[0]].concat();
    let package = key_package::message(people[1].package().package).unwrap();
    let public = people[1].raw(|provider, group, keys| {
        let config = MlsGroupJoinConfig::builder().wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY).build();
        group.set_configuration(provider.storage(), &config).unwrap();
        group.set_aad(data(false));
        let bundle = group.self_update(provider, &LeafSigner(keys.mls()), LeafNodeParameters::default()).unwrap();
        bundle.commit().tls_serialize_detached().unwrap()
    });
    let [alice, bob, _] = &mut people;
    let why = "it is no MLS message of the right form";
    for handshake in [false, true] {
        for bytes in [&[][..], b"hello", &message[..message.len() - 1], &trailing, &package, &public] {
            refused(alice, &bob.keys, handshake, bytes, why);
        }
    }
    assert_eq!(alice.read(&bob.keys, false, &message), Took::Text(b"hello".to_vec()));
    all_is_well(&mut people);
}

#[test]
fn a_message_of_another_group_or_epoch() {
    let mut people = trio();
    let mut elsewhere = trio();
    let message = people[1].say(b"late");
    let mut moved = message.clone();
    let at = moved.windows(16).position(|bytes| bytes == LOG.as_bytes()).unwrap();
    moved[at] ^= 1;
    let [alice, bob, carol] = &mut people;
    refused(alice, &bob.keys, false, &moved, "it is for another group");
    // Another group with the same id: it does not open, and that may be this device's fault.
    let foreign = elsewhere[1].say(b"hello");
    assert_eq!(alice.read(&bob.keys, false, &foreign), Took::Stuck("its MLS part does not open"));
    let commit = carol.commit(Plan::default()).unwrap();
    carol.merge();
    for person in [&mut *alice, &mut *bob] {
        assert!(matches!(person.read(&carol.keys, true, &commit.message), Took::Merged { .. }));
    }
    refused(alice, &bob.keys, false, &message, "it is of another epoch");
    refused(alice, &carol.keys, true, &commit.message, "it is of another epoch");
    all_is_well(&mut people);
}

#[test]
fn a_message_in_the_place_of_a_handshake() {
    let mut people = trio();
    let message = people[1].say(b"hello");
    let commit = people[1].hostile(data(true), |builder| builder);
    let [alice, bob, _] = &mut people;
    let why = "a handshake and a message stand in for each other";
    refused(alice, &bob.keys, true, &message, why);
    refused(alice, &bob.keys, false, &commit, why);
    assert_eq!(alice.read(&bob.keys, false, &message), Took::Text(b"hello".to_vec()));
    all_is_well(&mut people);
}

#[test]
fn an_envelope_and_a_message_of_two_senders() {
    let mut people = trio();
    let (message, commit) = (people[1].say(b"hello"), people[1].hostile(data(true), |builder| builder));
    let stranger = Person::new(4);
    let [alice, bob, carol] = &mut people;
    let why = "its two signatures are of two senders";
    for from in [&carol.keys, &stranger.keys] {
        refused(alice, from, false, &message, why);
        refused(alice, from, true, &commit, why);
    }
    assert_eq!(alice.read(&bob.keys, false, &message), Took::Text(b"hello".to_vec()));
    all_is_well(&mut people);
}

#[test]
fn a_message_with_data_beside_it() {
    let mut people = trio();
    let message = people[1].raw(|provider, group, keys| {
        group.set_aad(b"beside".to_vec());
        group.create_message(provider, &LeafSigner(keys.mls()), b"hello").unwrap().tls_serialize_detached().unwrap()
    });
    let [alice, bob, _] = &mut people;
    refused(alice, &bob.keys, false, &message, "it is of a kind that is not used");
    all_is_well(&mut people);
}

#[test]
fn a_message_that_claims_the_own_leaf() {
    let mut people = trio();
    let message = people[0].say(b"hello");
    let commit = people[0].hostile(data(true), |builder| builder);
    let [alice, bob, _] = &mut people;
    // OpenMLS says 'own' before it verifies anything.
    refused(alice, &bob.keys, false, &message, "its two signatures are of two senders");
    refused(alice, &bob.keys, true, &commit, "its two signatures are of two senders");
    let own = DeviceKeys::new(alice.keys.device(), 1, alice.keys.seeds().clone()).unwrap();
    refused(alice, &own, false, &message, "it is of a kind that is not used");
    refused(alice, &own, true, &commit, "it is of a kind that is not used");
}

#[test]
fn every_byte_of_a_commit_counts() {
    let mut people = trio();
    let commit = people[1].hostile(data(true), |builder| builder);
    let [alice, bob, _] = &mut people;
    for at in 0..commit.len() {
        let mut wrong = commit.clone();
        wrong[at] ^= 1;
        let took = alice.read(&bob.keys, true, &wrong);
        assert!(matches!(took, Took::Refused(_) | Took::Stuck(_)), "byte {at}: {took:?}");
    }
    let took = alice.read(&bob.keys, true, &commit);
    assert!(matches!(took, Took::Merged { secret: Some(_), removes_me: false }), "{took:?}");
}

#[test]
fn a_message_is_read_once() {
    let mut people = trio();
    let message = people[1].say(b"hello");
    let [alice, bob, _] = &mut people;
    assert_eq!(alice.read(&bob.keys, false, &message), Took::Text(b"hello".to_vec()));
    assert!(matches!(alice.read(&bob.keys, false, &message), Took::Stuck(_) | Took::Refused(_)));
    all_is_well(&mut people);
}
