//! A member's commits that MLS accepts and the rules do not: refused by everybody for the same reason, and nothing sticks.

use openmls::schedule::PreSharedKeyId;

use super::*;

/// The rules of `mls::rules` refuse it, for all alike; then the group goes on.
#[track_caller]
fn refused(people: &mut [Person; 3], commit: &[u8], why: &'static str) {
    let rows = people.each_ref().map(Person::rows);
    let [alice, bob, carol] = people;
    for person in [alice, carol] {
        let (epoch, facts) = (person.epoch(), person.facts());
        assert_eq!(person.read(&bob.keys, true, commit), Took::Refused(why));
        let now = person.facts();
        assert_eq!(person.epoch(), epoch);
        assert_eq!((now.roster, now.leaves), (facts.roster, facts.leaves));
    }
    assert_eq!(people.each_ref().map(Person::rows), rows);
    all_is_well(people);
}

/// MLS itself does not accept it: the rules never see it.
#[track_caller]
fn not_taken(people: &mut [Person; 3], message: &[u8]) {
    let [alice, bob, carol] = people;
    for person in [alice, carol] {
        let took = person.read(&bob.keys, true, message);
        assert!(matches!(took, Took::Refused(_) | Took::Stuck(_)), "{took:?}");
    }
    all_is_well(people);
}

fn own_extensions(roster: Vec<u8>) -> Vec<Extension> {
    let demanded = RequiredCapabilitiesExtension::new(&[ExtensionType::Unknown(ROSTER_EXTENSION)], &[], &[]);
    vec![Extension::RequiredCapabilities(demanded), Extension::Unknown(ROSTER_EXTENSION, UnknownExtension(roster))]
}

fn with_extensions(person: &mut Person, extensions: Vec<Extension>) -> Vec<u8> {
    let extensions = Extensions::from_vec(extensions).unwrap();
    person.hostile(data(false), |builder| builder.propose_group_context_extensions(extensions).unwrap())
}

#[test]
fn the_harness_makes_commits_that_are_taken() {
    let mut people = trio();
    let commit = people[1].hostile(data(true), |builder| builder);
    let [alice, bob, _] = &mut people;
    let took = alice.read(&bob.keys, true, &commit);
    assert!(matches!(took, Took::Merged { secret: Some(_), removes_me: false }), "{took:?}");
}

/// MLS takes a commit that only adds without a path. Whoever goes by docs/protocol.md refuses it: were it taken here, the members would part.
#[test]
fn p13_adding_without_a_path() {
    let mut people = trio();
    let second = |people: &[Person; 3]| Person::device(people[1].account.as_bytes()[0], 9).package().package;
    let package = second(&people);
    let commit = people[1].hostile(data(false), |builder| builder.force_self_update(false).propose_adds([package]));
    refused(&mut people, &commit, "it has no path");
    // With one it is a member's right.
    let package = second(&people);
    let commit = people[1].hostile(data(false), |builder| builder.propose_adds([package]));
    let [alice, bob, _] = &mut people;
    assert_eq!(alice.read(&bob.keys, true, &commit), Took::Merged { secret: None, removes_me: false });
}

#[test]
fn p1_adding_somebody() {
    let mut people = trio();
    let mut dave = Person::new(4);
    let package = dave.package().package;
    let commit = people[1].hostile(data(false), |builder| builder.propose_adds([package]));
    refused(&mut people, &commit, "it adds somebody without the right to");
    // With a line for them.
    let mut roster = people[1].facts().roster;
    roster.set(dave.line(RosterRole::Member));
    let extensions = Extensions::from_vec(own_extensions(roster.encode())).unwrap();
    let package = dave.package().package;
    let commit = people[1].hostile(data(false), |builder| {
        builder.propose_adds([package]).propose_group_context_extensions(extensions).unwrap()
    });
    refused(&mut people, &commit, "it adds somebody without the right to");
}

#[test]
fn p1_adding_a_second_leaf_of_a_device() {
    let mut people = trio();
    // Of the committer, under another MLS key; and with the id of somebody else's device.
    for (account, device) in [(2, 2), (2, 3)] {
        let package = Person::device(account, device).package().package;
        let commit = people[1].hostile(data(false), |builder| builder.propose_adds([package]));
        refused(&mut people, &commit, "it adds a device twice");
    }
}

#[test]
fn p1_adding_a_leaf_that_says_not_who_it_is() {
    let mut people = trio();
    for identity in [Vec::new(), b"dave".to_vec(), vec![0; LeafIdentity::LEN], vec![2; LeafIdentity::LEN + 1]] {
        let package = Person::new(4).odd_package(identity, lifetime());
        let commit = people[1].hostile(data(false), |builder| builder.propose_adds([package]));
        refused(&mut people, &commit, "it cannot be judged");
    }
}

/// OpenMLS holds a lifetime against the computer's clock: with one that ends, members could come apart by their clocks (D8). One that
/// is over already is refused as well, and nobody takes that for having lost their place.
#[test]
fn d8_adding_a_leaf_that_ends() {
    let mut people = trio();
    people.swap(0, 1);
    let seconds =
        || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is after 1970").as_secs();
    let why = "it does something that no commit does here";
    let adding = |people: &mut [Person; 3], from: u64, to: u64| {
        let mut second = Person::device(people[1].account.as_bytes()[0], 9);
        let identity = LeafIdentity::of(second.account, second.keys.record()).encode();
        let package = second.odd_package(identity, Lifetime::init(from, to));
        people[1].hostile(data(false), |builder| builder.propose_adds([package]))
    };
    for (from, to) in [(0, seconds() + 3600), (0, u64::MAX - 1), (1, u64::MAX)] {
        let commit = adding(&mut people, from, to);
        refused(&mut people, &commit, why);
    }
    // Read before its end by one member, and after it by another: both stay where they were.
    let end = seconds() + 5;
    let commit = adding(&mut people, 0, end);
    let [alice, bob, carol] = &mut people;
    assert_eq!(alice.read(&bob.keys, true, &commit), Took::Refused(why));
    while seconds() <= end {
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    assert_eq!(carol.read(&bob.keys, true, &commit), Took::Refused("it adds a leaf that ends"));
    all_is_well(&mut people);
}

#[test]
fn removing_somebody() {
    let mut people = trio();
    for (leaf, rekey) in [(0, true), (0, false), (2, true)] {
        let commit = people[1].hostile(data(rekey), |builder| builder.propose_removals([LeafNodeIndex::new(leaf)]));
        let [alice, bob, carol] = &mut people;
        // Whoever is to go refuses it as well.
        for person in [alice, carol] {
            let took = person.read(&bob.keys, true, &commit);
            assert_eq!(took, Took::Refused("it removes somebody without the right to"));
        }
        all_is_well(&mut people);
    }
}

#[test]
fn becoming_an_admin() {
    let mut people = trio();
    let mut roster = people[1].facts().roster;
    roster.set(people[1].line(RosterRole::Admin));
    let commit = with_extensions(&mut people[1], own_extensions(roster.encode()));
    refused(&mut people, &commit, "it changes the roster without the right to");
}

#[test]
fn rosters_that_are_none() {
    let mut people = trio();
    let roster = people[1].facts().roster;
    let mut trailing = roster.encode();
    trailing.push(0);
    let mut unsorted = roster.clone();
    unsorted.lines.reverse();
    for bytes in [Vec::new(), b"roster".to_vec(), trailing, unsorted.encode()] {
        let commit = with_extensions(&mut people[1], own_extensions(bytes));
        refused(&mut people, &commit, "it does something that no commit does here");
    }
}

#[test]
fn other_extensions_of_the_group() {
    let mut people = trio();
    let roster = people[1].facts().roster.encode();
    let [demanded, ours] = <[Extension; 2]>::try_from(own_extensions(roster)).unwrap();
    let demands = |extensions: &[ExtensionType], credentials: &[CredentialType]| {
        Extension::RequiredCapabilities(RequiredCapabilitiesExtension::new(extensions, &[], credentials))
    };
    let known = ExtensionType::Unknown(ROSTER_EXTENSION);
    let outside =
        ExternalSender::new(people[1].keys.record().mls.to_vec().into(), BasicCredential::new(vec![1]).into());
    for extensions in [
        // Somebody outside may propose.
        vec![demanded.clone(), ours.clone(), Extension::ExternalSenders(vec![outside])],
        // Without the roster, with other demands, and with nothing. (Without the demand for the roster MLS itself refuses the roster.)
        vec![demanded],
        vec![demands(&[known, ExtensionType::LastResort], &[]), ours.clone()],
        vec![demands(&[known], &[CredentialType::Basic]), ours],
        Vec::new(),
    ] {
        let commit = with_extensions(&mut people[1], extensions);
        refused(&mut people, &commit, "it does something that no commit does here");
    }
}

#[test]
fn not_even_an_admin_adds_an_extension() {
    let mut people = trio();
    people.swap(0, 1);
    let mut extensions = own_extensions(people[1].facts().roster.encode());
    extensions.push(Extension::ExternalSenders(Vec::new()));
    let commit = with_extensions(&mut people[1], extensions);
    refused(&mut people, &commit, "it does something that no commit does here");
}

#[test]
fn a_secret_of_its_own() {
    let mut people = trio();
    // The receivers know the key too, or MLS would not get as far as the rules.
    let id = PreSharedKeyId::external(b"id".to_vec(), vec![1; 32]);
    for person in &mut people {
        let tx = person.db.transaction().unwrap();
        id.store(&Provider::new(&person.crypto, &tx), &[9; 32]).unwrap();
        tx.commit().unwrap();
    }
    let proposal = Proposal::PreSharedKey(Box::new(PreSharedKeyProposal::new(id)));
    let commit = people[1].hostile(data(false), |builder| builder.add_proposal(proposal));
    refused(&mut people, &commit, "it does something that no commit does here");
}

#[test]
fn a_secret_of_its_own_that_nobody_has() {
    let mut people = trio();
    let id = PreSharedKeyId::external(b"id".to_vec(), vec![1; 32]);
    let tx = people[1].db.transaction().unwrap();
    id.store(&Provider::new(&people[1].crypto, &tx), &[9; 32]).unwrap();
    tx.commit().unwrap();
    let proposal = Proposal::PreSharedKey(Box::new(PreSharedKeyProposal::new(id)));
    let commit = people[1].hostile(data(false), |builder| builder.add_proposal(proposal));
    not_taken(&mut people, &commit);
}

#[test]
fn proposals_alone() {
    let mut people = trio();
    let package = Person::new(4).package().package;
    let messages = people[1].raw(|provider, group, keys| {
        let signer = LeafSigner(keys.mls());
        let update = group.propose_self_update(provider, &signer, LeafNodeParameters::default()).unwrap().0;
        let add = group.propose_add_member(provider, &signer, &package).unwrap().0;
        let remove = group.propose_remove_member(provider, &signer, LeafNodeIndex::new(2)).unwrap().0;
        let leave = group.leave_group(provider, &signer).unwrap();
        [update, add, remove, leave].map(|message| message.tls_serialize_detached().unwrap())
    });
    let [alice, bob, carol] = &mut people;
    for message in messages {
        for person in [&mut *alice, &mut *carol] {
            assert_eq!(person.read(&bob.keys, true, &message), Took::Refused("it is of a kind that is not used"));
            // Nothing of it is kept for somebody's next commit.
            assert_eq!(person.raw(|_, group, _| group.pending_proposals().count()), 0);
        }
    }
    all_is_well(&mut people);
}

#[test]
fn proposals_by_reference() {
    let mut people = trio();
    let commit = people[1].raw(|provider, group, keys| {
        let signer = LeafSigner(keys.mls());
        group.set_aad(data(true));
        group.propose_remove_member(provider, &signer, LeafNodeIndex::new(2)).unwrap();
        group.set_aad(data(true));
        group.commit_to_pending_proposals(provider, &signer).unwrap().0.tls_serialize_detached().unwrap()
    });
    not_taken(&mut people, &commit);
}

#[test]
fn data_that_cannot_be_read() {
    let mut people = trio();
    let mut version = data(false);
    version[0] = 2;
    let mut trailing = data(false);
    trailing.push(0);
    for aad in [Vec::new(), b"hello".to_vec(), version, trailing] {
        let commit = people[1].hostile(aad, |builder| builder);
        refused(&mut people, &commit, "its data cannot be read");
    }
}

#[test]
fn a_rekey_that_is_not_due_and_none_that_is() {
    let why = "it sets a channel secret where none is due, or none where one is";
    let mut people = trio();
    let commit = people[1].hostile(data(false), |builder| builder);
    refused(&mut people, &commit, why);
    // Not even an admin removes somebody who would keep the channel secret.
    people.swap(0, 1);
    let commit = people[1].hostile(data(false), |builder| builder.propose_removals([LeafNodeIndex::new(2)]));
    refused(&mut people, &commit, why);
}

/// The commit that gives the committer this credential, signed by these keys from then on.
fn becoming(person: &mut Person, identity: Vec<u8>, new: &DeviceKeys, rekey: bool) -> Vec<u8> {
    person.raw(|provider, group, keys| {
        group.set_aad(data(rekey));
        let credential_with_key = CredentialWithKey {
            credential: BasicCredential::new(identity).into(),
            signature_key: new.record().mls.to_vec().into(),
        };
        let signer = LeafSigner(new.mls());
        let bundle = NewSignerBundle { signer: &signer, credential_with_key };
        let builder = group.commit_builder().force_self_update(true).load_psks(provider.storage()).unwrap();
        let built =
            builder
                .build_with_new_signer(provider.rand(), provider.crypto(), &LeafSigner(keys.mls()), bundle, |_| true);
        let commit = built.unwrap().stage_commit(provider).unwrap();
        commit.commit().tls_serialize_detached().unwrap()
    })
}

#[test]
fn p2_becoming_somebody_else() {
    let mut people = trio();
    let own = LeafIdentity::of(people[1].account, people[1].keys.record());
    let other = |account: u8, device: u8| LeafIdentity {
        account: AccountId::from_bytes([account; 16]),
        device: DeviceId::from_bytes([device; 16]),
        ..own
    };
    let new = people[1].next_keys();
    for (identity, why) in [
        (other(1, 2), "its committer becomes somebody else"),
        (other(2, 4), "its committer becomes somebody else"),
        (other(1, 1), "its committer becomes somebody else"),
        (own, "its committer changes keys within a version"),
    ] {
        let commit = becoming(&mut people[1], identity.encode(), &new, false);
        refused(&mut people, &commit, why);
    }
    for identity in [Vec::new(), vec![2; 10], LeafIdentity { key_version: 0, ..own }.encode()] {
        let commit = becoming(&mut people[1], identity, &new, false);
        refused(&mut people, &commit, "it cannot be judged");
    }
}

#[test]
fn p2_going_back_to_older_keys() {
    let mut people = trio();
    let (old, new) = (LeafIdentity::of(people[1].account, people[1].keys.record()), people[1].next_keys());
    let [alice, bob, carol] = &mut people;
    let committed = bob.step(|group, account, keys| group.commit(account, keys.leaf(), &new, Plan::default())).unwrap();
    bob.merge();
    let first = std::mem::replace(&mut bob.keys, new);
    for person in [alice, carol] {
        assert!(matches!(person.read(&bob.keys, true, &committed.message), Took::Merged { secret: Some(_), .. }));
    }
    for rekey in [false, true] {
        let commit = becoming(&mut people[1], old.encode(), &first, rekey);
        refused(&mut people, &commit, "its committer goes back to older keys");
    }
}
