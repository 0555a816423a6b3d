//! Links into groups: one encoding, told apart from links to people, and nothing in them taken for granted.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use waxwing_protocol::{AccessKey, GroupInvite, Invite, InviteError, Link};
use waxwing_wire::api::base64url;
use waxwing_wire::limits::MAX_GROUP_NAME;
use waxwing_wire::{AccountId, hash, label};

fn invite() -> GroupInvite {
    let inviter = Invite {
        relay: "waxwing.example".parse().unwrap(),
        log_key: [0; 32],
        account: AccountId::from_bytes([1; 16]),
        account_key: [2; 32],
        chain_seq: 3,
        chain_head: [4; 32],
        access_key: AccessKey::from_bytes(&[5; 16]),
        name: "alice".parse().unwrap(),
    };
    GroupInvite { inviter, conversation: [6; 32], title: "Birds ✨".to_owned() }
}

fn payload(invite: &GroupInvite) -> Vec<u8> {
    base64url::decode(invite.to_link().split_once('#').unwrap().1).unwrap()
}

fn link(bytes: &[u8]) -> String {
    format!("waxwing:{}", base64url::encode(bytes))
}

/// With a right checksum.
fn checked(bytes: &[u8]) -> String {
    link(&[bytes, &hash(&[&label("invite"), bytes])[..4]].concat())
}

#[test]
fn links_come_back() {
    let pinned = format!("127.0.0.1:4000#{}", "cd".repeat(32));
    for relay in ["waxwing.example", "waxwing.example:8443", "localhost:4000", "[::1]:4000", pinned.as_str()] {
        for title in ["B".to_owned(), "Birds ✨".to_owned(), "x".repeat(MAX_GROUP_NAME)] {
            let inviter = Invite { relay: relay.parse().unwrap(), ..invite().inviter };
            let invite = GroupInvite { inviter, title, ..invite() };
            let link = invite.to_link();
            let (page, fragment) = link.split_once('#').unwrap();
            assert!(page.ends_with("/i") && !page.contains('?'));
            assert_eq!(GroupInvite::parse(&link).as_ref(), Ok(&invite));
            assert_eq!(Link::parse(&format!("waxwing:{fragment}")), Ok(Link::Group(invite.clone())));
            let (start, end) = link.split_at(link.len() / 2);
            assert_eq!(GroupInvite::parse(&format!(" {start}\r\n  {end}\t")).as_ref(), Ok(&invite));
        }
    }
}

/// Field by field as docs/protocol.md lists them; what an older program sees is a link of a newer version.
#[test]
fn as_specified() {
    let bytes = payload(&invite());
    let title = "Birds ✨".as_bytes();
    let fields = [
        &[2],
        [0, 15].as_slice(),
        b"waxwing.example",
        &[0],
        &[0; 32],
        &[1; 16],
        &[2; 32],
        &[0, 0, 0, 3],
        &[4; 32],
        &[5; 16],
        &[0, 5],
        b"alice",
        &[6; 32],
        &[0, 9],
        title,
    ];
    let (fields, check) = (fields.concat(), &bytes[bytes.len() - 4..]);
    assert_eq!(bytes[..bytes.len() - 4], fields);
    assert_eq!(check, &hash(&[&label("invite"), &fields])[..4]);
    assert_eq!(title.len(), 9);
}

#[test]
fn the_two_kinds_are_told_apart() {
    let (group, person) = (invite(), invite().inviter);
    assert_eq!(Invite::parse(&group.to_link()), Err(InviteError::OtherKind));
    assert_eq!(GroupInvite::parse(&person.to_link()), Err(InviteError::OtherKind));
    assert_eq!(Link::parse(&person.to_link()), Ok(Link::Person(person)));
    assert_eq!(GroupInvite::parse("bob@waxwing.example"), Err(InviteError::NotALink));
}

#[test]
fn p18_a_mistyped_or_cut_link_is_damaged() {
    let bytes = payload(&invite());
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            assert_eq!(GroupInvite::parse(&link(&changed)), Err(InviteError::Damaged), "byte {at}, bit {bit}");
        }
        assert_eq!(GroupInvite::parse(&link(&bytes[..at])), Err(InviteError::Damaged));
    }
    let text = invite().to_link();
    for len in text.find('#').unwrap() + 1..text.len() {
        assert_eq!(GroupInvite::parse(&text[..len]), Err(InviteError::Damaged), "{len}");
    }
}

/// With the checksum made anew, each changed bit is refused or says something else, and nothing may be missing.
#[test]
fn p18_a_right_checksum_over_wrong_fields_does_not_help() {
    let bytes = payload(&invite());
    let fields = &bytes[..bytes.len() - 4];
    assert_eq!(GroupInvite::parse(&checked(fields)), Ok(invite()));
    for at in 0..fields.len() {
        for bit in 0..8 {
            let mut changed = fields.to_vec();
            changed[at] ^= 1 << bit;
            assert_ne!(GroupInvite::parse(&checked(&changed)), Ok(invite()), "byte {at}, bit {bit}");
        }
        assert_eq!(Link::parse(&checked(&fields[..at])), Err(InviteError::Damaged), "{at}");
    }
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut fields = fields.to_vec();
        change(&mut fields);
        Link::parse(&checked(&fields))
    };
    assert_eq!(changed(&|fields| fields[0] = 4), Err(InviteError::TooNew));
    assert_eq!(changed(&|fields| fields[0] = 0), Err(InviteError::Damaged));
    // The fields of a group are too many for a link to a person.
    assert_eq!(changed(&|fields| fields[0] = 1), Err(InviteError::Damaged));
    assert_eq!(changed(&|fields| fields.push(0)), Err(InviteError::Damaged));
    let unnamed = GroupInvite { title: String::new(), ..invite() };
    assert_eq!(Link::parse(&unnamed.to_link()), Err(InviteError::Damaged));
    let overlong = GroupInvite { title: "x".repeat(MAX_GROUP_NAME + 1), ..invite() };
    assert_eq!(Link::parse(&overlong.to_link()), Err(InviteError::Damaged));
}

#[test]
fn p1_the_host_shown_is_the_host_used() {
    let link = invite().to_link();
    for other in ["evil.example", "waxwing.example:444", "waxwing.example@evil.example"] {
        assert_eq!(Link::parse(&link.replacen("waxwing.example", other, 1)), Err(InviteError::Damaged), "{other}");
    }
}

#[test]
fn p12_no_key_is_printed() {
    assert_eq!(format!("{:?}", invite()), "GroupInvite(***)");
    assert!(!format!("{:?}", Link::Person(invite().inviter)).contains("[5, 5"));
}
