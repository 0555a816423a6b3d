//! Whole groups through their storage.

use openmls::prelude::*;

use super::{Device, GROUP, Received, pair, wire};
use crate::mls::provider::Provider;

fn talk(from: &mut Device, to: &mut [&mut Device], text: &[u8]) {
    let message = from.send(text);
    for device in to {
        assert_eq!(device.receive(&message), Received::Text(text.to_vec()));
    }
}

#[test]
fn two_members_go_through_commits_and_messages() {
    let (mut alice, mut bob) = pair();
    assert_eq!(alice.authenticator(), bob.authenticator());
    for round in 0..4_u8 {
        talk(&mut alice, &mut [&mut bob], &[round, 1]);
        talk(&mut bob, &mut [&mut alice], &[round, 2]);
        let (committer, other) = if round % 2 == 0 { (&mut alice, &mut bob) } else { (&mut bob, &mut alice) };
        let commit = committer.update();
        committer.merge();
        assert_eq!(other.receive(&commit), Received::Commit);
        assert_eq!(alice.authenticator(), bob.authenticator());
    }

    let mut carol = Device::new("carol");
    let (commit, welcome) = bob.add(&[carol.key_package()]);
    bob.merge();
    assert_eq!(alice.receive(&commit), Received::Commit);
    carol.join(&welcome);
    talk(&mut carol, &mut [&mut alice, &mut bob], b"hello");
    talk(&mut alice, &mut [&mut bob, &mut carol], b"hello, carol");

    let commit = carol.update();
    carol.merge();
    for device in [&mut alice, &mut bob] {
        assert_eq!(device.receive(&commit), Received::Commit);
    }
    assert_eq!(alice.authenticator(), carol.authenticator());

    let commit = alice.remove(&[LeafNodeIndex::new(2)]);
    alice.merge();
    for device in [&mut bob, &mut carol] {
        assert_eq!(device.receive(&commit), Received::Commit);
    }
    assert!(!carol.rolled_back(|_, _, group| group.is_active()));
    talk(&mut bob, &mut [&mut alice], b"only us");
    assert_eq!(alice.authenticator(), bob.authenticator());
}

#[test]
fn messages_out_of_order_open_after_a_reload() {
    let (mut alice, mut bob) = pair();
    let messages: Vec<_> = (0..20_u8).map(|n| alice.send(&[n])).collect();
    for n in (0..20).rev() {
        assert_eq!(bob.receive(&messages[usize::from(n)]), Received::Text(vec![n]));
    }
}

#[test]
fn a_group_of_16_with_blank_leaves_loads_equal() {
    let mut devices: Vec<_> = (0..16).map(|n| Device::new(&format!("device {n}"))).collect();
    devices[0].create_group();
    let packages: Vec<_> = devices[1..].iter_mut().map(Device::key_package).collect();
    let (_, welcome) = devices[0].add(&packages);
    devices[0].merge();
    for device in &mut devices[1..] {
        device.join(&welcome);
    }
    everybody(&mut devices, 5, |device| device.update());
    // Blank leaves within, and a blank last one, which shortens the tree.
    let gone = [3, 4, 9, 15];
    let commit = devices[7].remove(&gone.map(LeafNodeIndex::new));
    devices[7].merge();
    for (n, device) in devices.iter_mut().enumerate().filter(|(n, _)| *n != 7) {
        assert_eq!(device.receive(&commit), Received::Commit);
        assert_eq!(device.rolled_back(|_, _, group| group.is_active()), !gone.map(|n| n as usize).contains(&n));
    }
    for n in gone.into_iter().rev() {
        devices.remove(n as usize);
    }
    everybody(&mut devices, 0, |device| device.update());

    let authenticator = devices[0].authenticator();
    for device in &mut devices {
        assert_eq!(device.authenticator(), authenticator);
        let (kept, loaded) = device.rolled_back(|provider, signer, group| {
            // The group that made a step, against the one that is read back.
            group.self_update(provider, signer, LeafNodeParameters::default()).unwrap();
            group.merge_pending_commit(provider).unwrap();
            let loaded = MlsGroup::load(provider.storage(), &GroupId::from_slice(GROUP)).unwrap().unwrap();
            (summary(provider, group), summary(provider, &loaded))
        });
        assert_eq!(kept, loaded);
    }

    let mut late = Device::new("late");
    let package = late.key_package();
    let (commit, welcome) = devices[2].add(&[package]);
    devices[2].merge();
    for (_, device) in devices.iter_mut().enumerate().filter(|(n, _)| *n != 2) {
        assert_eq!(device.receive(&commit), Received::Commit);
    }
    late.join(&welcome);
    // In the first blank leaf.
    assert_eq!(late.rolled_back(|_, _, group| group.own_leaf_index()), LeafNodeIndex::new(3));
    talk(&mut late, &mut devices.iter_mut().collect::<Vec<_>>(), b"here");
}

fn everybody(devices: &mut [Device], committer: usize, commit: impl Fn(&mut Device) -> Vec<u8>) {
    let commit = commit(&mut devices[committer]);
    devices[committer].merge();
    for (_, device) in devices.iter_mut().enumerate().filter(|(n, _)| *n != committer) {
        assert_eq!(device.receive(&commit), Received::Commit);
    }
}

fn summary(provider: &Provider<'_>, group: &MlsGroup) -> impl PartialEq + std::fmt::Debug + use<> {
    (
        group.epoch(),
        group.own_leaf_index(),
        group.epoch_authenticator().as_slice().to_vec(),
        group.export_secret(provider.crypto(), "test", b"", 32).unwrap(),
        group.export_ratchet_tree(),
        group.members().map(|member| member.index).collect::<Vec<_>>(),
    )
}

#[test]
fn proposals_and_own_leaf_nodes_survive_a_reload() {
    let (mut alice, mut bob) = pair();
    let proposals: Vec<_> = (0..2)
        .map(|_| {
            bob.step(|provider, signer, group| {
                let proposal = group.propose_self_update(provider, signer, LeafNodeParameters::default()).unwrap();
                wire(&proposal.0)
            })
        })
        .collect();
    for proposal in &proposals {
        assert_eq!(alice.receive(proposal), Received::Proposal);
    }
    assert_eq!(alice.rolled_back(|_, _, group| group.pending_proposals().count()), 2);
    let commit =
        alice.step(|provider, signer, group| wire(&group.commit_to_pending_proposals(provider, signer).unwrap().0));
    alice.merge();
    assert_eq!(bob.receive(&commit), Received::Commit);
    assert_eq!(alice.authenticator(), bob.authenticator());
    assert!(!alice.rolled_back(|_, _, group| group.has_pending_proposals()));
    talk(&mut bob, &mut [&mut alice], b"with a new leaf");
}
