//! Invites: one encoding, and no other page than their own relay's.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use waxwing_protocol::{AccessKey, Invite, InviteError};
use waxwing_wire::api::base64url;
use waxwing_wire::{AccountId, hash, label};

fn invite() -> Invite {
    Invite {
        relay: "waxwing.example".parse().unwrap(),
        log_key: [0; 32],
        account: AccountId::from_bytes([1; 16]),
        account_key: [2; 32],
        chain_seq: 3,
        chain_head: [4; 32],
        access_key: AccessKey::from_bytes(&[5; 16]),
        name: "alice".parse().unwrap(),
    }
}

fn payload(invite: &Invite) -> Vec<u8> {
    let link = invite.to_link();
    base64url::decode(link.split_once('#').unwrap().1).unwrap()
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
    for (relay, page) in [
        ("waxwing.example", "https://waxwing.example/i#"),
        ("waxwing.example:8443", "https://waxwing.example:8443/i#"),
        ("localhost:4000", "http://localhost:4000/i#"),
        ("[::1]:4000", "http://[::1]:4000/i#"),
        (pinned.as_str(), "https://127.0.0.1:4000/i#"),
    ] {
        let invite = Invite { relay: relay.parse().unwrap(), ..invite() };
        let link = invite.to_link();
        let fragment = link.strip_prefix(page).unwrap();
        assert!(fragment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        assert_eq!(Invite::parse(&link).as_ref(), Ok(&invite));
        assert_eq!(Invite::parse(&format!("waxwing:{fragment}")).as_ref(), Ok(&invite));
        // As people paste it: space around it, a line broken by mail, another case in front.
        let (start, end) = link.split_at(link.len() / 2);
        assert_eq!(Invite::parse(&format!(" {start}\r\n  {end}\t")).as_ref(), Ok(&invite));
        let shouted = format!("{}{fragment}", page.to_uppercase().replace("/I#", "/i#"));
        assert_eq!(Invite::parse(&shouted).as_ref(), Ok(&invite));
        assert_eq!(Invite::parse(&link.replace("/i#", "/i/#")).as_ref(), Ok(&invite));
    }
}

#[test]
fn p1_an_invite_carries_no_more_than_it_says() {
    // Nothing secret stands in front of the fragment.
    let link = invite().to_link();
    assert_eq!(link.split_once('#').unwrap().0, "https://waxwing.example/i");
    assert_eq!(payload(&invite()).len(), 1 + 2 + 15 + 1 + 32 + 16 + 32 + 4 + 32 + 16 + 2 + 5 + 4);
}

#[test]
fn what_is_no_link_is_told_apart_from_what_is_damaged() {
    for text in [
        "",
        "hello",
        "bob@waxwing.example",
        "https://waxwing.example",
        "https://waxwing.example/i",
        "https://waxwing.example/x#abc",
        "ftp://waxwing.example/i#abc",
        "waxwin",
        &"a".repeat(5000),
    ] {
        assert_eq!(Invite::parse(text), Err(InviteError::NotALink), "{text}");
    }
    for text in ["waxwing:", "waxwing:abc", "https://waxwing.example/i#", "waxwing:!!!!", "https://waxwing.example/i#ü"]
    {
        assert_eq!(Invite::parse(text), Err(InviteError::Damaged), "{text}");
    }
}

#[test]
fn p18_a_mistyped_or_cut_link_is_damaged() {
    let bytes = payload(&invite());
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            assert_eq!(Invite::parse(&link(&changed)), Err(InviteError::Damaged), "byte {at}, bit {bit}");
        }
        assert_eq!(Invite::parse(&link(&bytes[..at])), Err(InviteError::Damaged));
    }
    let text = invite().to_link();
    for len in text.find('#').unwrap() + 1..text.len() {
        assert_eq!(Invite::parse(&text[..len]), Err(InviteError::Damaged), "{len}");
    }
}

#[test]
fn p18_a_right_checksum_over_wrong_fields_does_not_help() {
    let bytes = payload(&invite());
    let fields = &bytes[..bytes.len() - 4];
    assert_eq!(Invite::parse(&checked(fields)), Ok(invite()));
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut fields = fields.to_vec();
        change(&mut fields);
        Invite::parse(&checked(&fields))
    };
    assert_eq!(changed(&|fields| fields[0] = 4), Err(InviteError::TooNew));
    assert_eq!(changed(&|fields| fields[0] = 0), Err(InviteError::Damaged));
    assert_eq!(changed(&|fields| fields.push(0)), Err(InviteError::Damaged));
    assert_eq!(changed(&|fields| fields[3] = b'W'), Err(InviteError::Damaged));
    assert_eq!(changed(&|fields| fields[3] = b'/'), Err(InviteError::Damaged));
    assert_eq!(changed(&|fields| fields[18] = 2), Err(InviteError::Damaged));
    assert_eq!(changed(&|fields| *fields.last_mut().unwrap() = b'E'), Err(InviteError::Damaged));
    assert_eq!(changed(&|fields| fields.truncate(10)), Err(InviteError::Damaged));
    assert_eq!(changed(&|fields| fields.clear()), Err(InviteError::Damaged));
}

/// The page in front of the fragment must be the invite's own relay: nobody is shown one host and sent to another.
#[test]
fn p1_the_host_shown_is_the_host_used() {
    let link = invite().to_link();
    for other in ["evil.example", "waxwing.example:444", "waxwing.example@evil.example", "waxwing.example.evil.example"]
    {
        assert_eq!(Invite::parse(&link.replacen("waxwing.example", other, 1)), Err(InviteError::Damaged), "{other}");
    }
}
