//! Who sent it, and in which epoch: what must hold before a message is anybody's. Tags are those of the failure-mode list.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod common;

use common::forged::{forge, inbox_forge};
use common::second::Forge;
use common::{in_inbox, in_log, inbox_context, log_context, open_as, person, person_at, rng, tag_key};
use waxwing_protocol::envelope;
use waxwing_protocol::{Epoch, LeafIdentity, OpenContext, OpenError, Opened, SealError, SealRequest};
use waxwing_wire::DecodeError;
use waxwing_wire::log::EnvelopeKind;

/// A good log envelope from person 1, opened by person 2.
fn from_a_log() -> Opened {
    let (alice, bob) = (person(1), person(2));
    let tags = tag_key();
    let to = [alice.recipient(), bob.recipient()];
    let sealed = envelope::seal(&in_log(&alice, &to, &tags, b"hi"), &mut rng(9)).unwrap();
    envelope::open(&sealed, &[bob.keys.sealing()], bob.account, &log_context(&tags)).unwrap()
}

/// A good inbox envelope of this kind from person 1, opened by person 2.
fn from_an_inbox(kind: EnvelopeKind) -> Opened {
    let (alice, bob) = (person(1), person(2));
    let to = [bob.recipient()];
    let sealed = envelope::seal(&SealRequest { kind, ..in_inbox(&alice, &to, b"hi") }, &mut rng(9)).unwrap();
    let context = OpenContext { kind, ..inbox_context() };
    envelope::open(&sealed, &[bob.keys.sealing()], bob.account, &context).unwrap()
}

/// Before its signature is checked, an inbox envelope shows where its sender's chain is. In a log the leaf is at hand:
/// nothing shows.
#[test]
fn p3_unverified_content_is_an_inboxs_alone() {
    for kind in [EnvelopeKind::Welcome, EnvelopeKind::Notice, EnvelopeKind::Resync] {
        assert_eq!(from_an_inbox(kind).unverified_content().as_slice(), b"hi");
    }
    assert_eq!(from_a_log().unverified_content().as_slice(), b"");
    // Nor does a broken padding show anything.
    let (alice, bob) = (person(1), person(2));
    let mut forge = inbox_forge(&alice, &bob);
    *forge.padded.last_mut().unwrap() = 1;
    let sealed = forge.build(&mut rng(1));
    let opened = envelope::open(&sealed, &[bob.keys.sealing()], bob.account, &inbox_context()).unwrap();
    assert_eq!(opened.unverified_content().as_slice(), b"");
}

/// In a log the leaf alone says who speaks: account, device, version and key must all be its own.
#[test]
fn p2_p13_a_leaf_speaks_for_itself_alone() {
    let (alice, eve) = (person(1), person(3));
    let leaf = alice.leaf();
    let message = from_a_log().verify_leaf(&leaf).unwrap();
    assert_eq!(
        (message.sender.account, message.sender.device, message.sender.key_version),
        (alice.account, leaf.device, 1)
    );
    let wrong_sender = [
        LeafIdentity { account: eve.account, ..leaf },
        LeafIdentity { device: eve.keys.device(), ..leaf },
        LeafIdentity { key_version: 2, ..leaf },
        eve.leaf(),
        person_at(1, 2).leaf(),
    ];
    for leaf in wrong_sender {
        assert_eq!(from_a_log().verify_leaf(&leaf).unwrap_err(), OpenError::WrongSender, "{leaf:?}");
    }
    let record = alice.keys.record();
    for signing in [eve.leaf().signing, person_at(1, 2).leaf().signing, record.mls, record.relay_auth, [0; 32]] {
        let leaf = LeafIdentity { signing, ..leaf };
        assert_eq!(from_a_log().verify_leaf(&leaf).unwrap_err(), OpenError::BadSignature, "{leaf:?}");
    }
}

/// In an inbox the record from the chain says who speaks: device, version and key must all be its own.
#[test]
fn p2_a_record_speaks_for_itself_alone() {
    let (alice, eve) = (person(1), person(3));
    let opened = || from_an_inbox(EnvelopeKind::Resync);
    let record = || alice.keys.record().clone();
    assert_eq!(opened().verify(&record()).unwrap().content.as_slice(), b"hi");
    for (device, key_version) in [(eve.keys.device(), 1), (alice.keys.device(), 2), (alice.keys.device(), 0)] {
        let record = waxwing_wire::DeviceRecord { device, key_version, ..record() };
        assert_eq!(opened().verify(&record).unwrap_err(), OpenError::WrongSender);
    }
    let record = waxwing_wire::DeviceRecord { signing: eve.keys.record().signing, ..record() };
    assert_eq!(opened().verify(&record).unwrap_err(), OpenError::BadSignature);
}

#[test]
fn p13_a_member_cannot_speak_as_another() {
    let (alice, bob, eve) = (person(1), person(2), person(3));
    let tags = tag_key();
    // Eve knows everything that a member knows and names Alice.
    let forge = Forge { signing: eve.keys.signing().clone(), ..forge(&alice, &[&bob]) };
    let sealed = forge.build(&mut rng(1));
    let open = || envelope::open(&sealed, &[bob.keys.sealing()], bob.account, &log_context(&tags)).unwrap();
    assert_eq!(open().claimed().account, alice.account);
    assert_eq!(open().verify_leaf(&alice.leaf()).unwrap_err(), OpenError::BadSignature);
    // Nor does Eve's own leaf help, nor one of Alice's other versions.
    assert_eq!(open().verify_leaf(&eve.leaf()).unwrap_err(), OpenError::WrongSender);
    assert_eq!(open().verify_leaf(&person_at(1, 2).leaf()).unwrap_err(), OpenError::WrongSender);
    // The same in an inbox, by the chain.
    let forge = Forge { signing: eve.keys.signing().clone(), ..inbox_forge(&alice, &bob) };
    let sealed = forge.build(&mut rng(1));
    let open = || envelope::open(&sealed, &[bob.keys.sealing()], bob.account, &inbox_context()).unwrap();
    assert_eq!(open().verify(alice.keys.record()).unwrap_err(), OpenError::BadSignature);
    assert_eq!(open().verify(eve.keys.record()).unwrap_err(), OpenError::WrongSender);
}

#[test]
fn p2_p4_each_key_and_signature_has_one_role() {
    let (alice, bob) = (person(1), person(2));
    let tags = tag_key();
    for inbox in [false, true] {
        let forge = || if inbox { inbox_forge(&alice, &bob) } else { forge(&alice, &[&bob]) };
        let context = if inbox { inbox_context() } else { log_context(&tags) };
        let attempts = [
            Forge { signing: alice.keys.mls().clone(), ..forge() },
            Forge { signing: alice.keys.relay_auth().clone(), ..forge() },
            Forge { context: "chain account", ..forge() },
            Forge { context: "leave", ..forge() },
            Forge { context: "resync", ..forge() },
        ];
        for attempt in attempts {
            let error = open_as(&bob, &alice, &attempt.build(&mut rng(1)), &context).unwrap_err();
            assert_eq!(error, OpenError::BadSignature);
        }
    }
}

/// Any epoch in a log: which one is right is for the group to say.
#[test]
fn the_epoch_is_the_senders() {
    let (alice, bob) = (person(1), person(2));
    let tags = tag_key();
    let to = [alice.recipient(), bob.recipient()];
    for epoch in [
        Epoch::default(),
        Epoch { number: 1, authenticator: [0; 32] },
        Epoch { number: 0, authenticator: [1; 32] },
        Epoch { number: waxwing_wire::MAX_U64, authenticator: [0xff; 32] },
    ] {
        let request = SealRequest { epoch, ..in_log(&alice, &to, &tags, b"") };
        let sealed = envelope::seal(&request, &mut rng(9)).unwrap();
        assert_eq!(open_as(&bob, &alice, &sealed, &log_context(&tags)).unwrap().epoch, epoch);
    }
}

/// An inbox belongs to no group: whoever states an epoch there is refused, before the signature is looked at.
#[test]
fn p18_an_inbox_envelope_has_no_epoch() {
    let (alice, bob) = (person(1), person(2));
    let refused = OpenError::Malformed(DecodeError::Invalid("MLS epoch"));
    assert_eq!(from_an_inbox(EnvelopeKind::Welcome).verify(alice.keys.record()).unwrap().epoch, Epoch::default());
    // The first and last byte of the number, the first and last byte of the authenticator.
    for at in [76, 83, 84, 115] {
        let mut forge = inbox_forge(&alice, &bob);
        forge.fields[at] = 1;
        let sealed = forge.build(&mut rng(1));
        let opened = envelope::open(&sealed, &[bob.keys.sealing()], bob.account, &inbox_context());
        assert_eq!(opened.unwrap_err(), refused, "{at}");
    }
    // An honest program does not make what nobody would open.
    let to = [bob.recipient()];
    for epoch in [Epoch { number: 1, ..Epoch::default() }, Epoch { authenticator: [1; 32], ..Epoch::default() }] {
        let request = SealRequest { epoch, ..in_inbox(&alice, &to, b"") };
        assert_eq!(envelope::seal(&request, &mut rng(9)), Err(SealError::Place));
    }
}
