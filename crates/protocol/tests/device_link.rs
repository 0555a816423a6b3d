//! Codes for linking a device: one encoding, told apart from links, never the address of a page, and nothing in them taken for granted.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use waxwing_protocol::{AccessKey, DeviceLink, GroupInvite, Invite, InviteError, Link, LinkSecret};
use waxwing_wire::api::base64url;
use waxwing_wire::{AccountId, DeviceId, hash, label};

fn code() -> DeviceLink {
    let account = Invite {
        relay: "waxwing.example".parse().unwrap(),
        log_key: [0; 32],
        account: AccountId::from_bytes([1; 16]),
        account_key: [2; 32],
        chain_seq: 3,
        chain_head: [4; 32],
        access_key: AccessKey::from_bytes(&[5; 16]),
        name: "alice".parse().unwrap(),
    };
    DeviceLink { account, device: DeviceId::from_bytes([6; 16]), secret: LinkSecret::from_bytes(&[7; 16]) }
}

fn payload(code: &DeviceLink) -> Vec<u8> {
    base64url::decode(code.to_code().strip_prefix("waxwing:").unwrap()).unwrap()
}

/// With a right checksum.
fn checked(bytes: &[u8]) -> String {
    let checksum = &hash(&[&label("invite"), bytes])[..4];
    format!("waxwing:{}", base64url::encode(&[bytes, checksum].concat()))
}

#[test]
fn codes_come_back() {
    let pinned = format!("127.0.0.1:4000#{}", "cd".repeat(32));
    for relay in ["waxwing.example", "waxwing.example:8443", "localhost:4000", "[::1]:4000", pinned.as_str()] {
        let account = Invite { relay: relay.parse().unwrap(), ..code().account };
        let code = DeviceLink { account, ..code() };
        let text = code.to_code();
        assert_eq!(DeviceLink::parse(&text).as_ref(), Ok(&code));
        assert_eq!(Link::parse(&text), Ok(Link::Device(code.clone())));
        let (start, end) = text.split_at(text.len() / 2);
        assert_eq!(DeviceLink::parse(&format!(" {start}\r\n  {end}\t")).as_ref(), Ok(&code));
        // Nobody opens it as a page.
        let page = format!("{}/i#{}", code.account.relay.base_url(), text.strip_prefix("waxwing:").unwrap());
        assert_eq!(DeviceLink::parse(&page), Err(InviteError::Damaged));
    }
}

/// Field by field as docs/protocol.md lists them.
#[test]
fn as_specified() {
    let fields = [
        &[3],
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
        &[6; 16],
        &[7; 16],
    ];
    let (bytes, checksum) = (fields.concat(), 4);
    let payload = payload(&code());
    assert_eq!(payload[..payload.len() - checksum], bytes);
    assert_eq!(checked(&bytes), *code().to_code());
}

#[test]
fn what_is_no_whole_code_is_refused() {
    let text = code().to_code();
    for end in 0..text.len() {
        assert!(DeviceLink::parse(&text[..end]).is_err(), "{end}");
    }
    let bytes = payload(&code());
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let text = format!("waxwing:{}", base64url::encode(&changed));
        assert_eq!(DeviceLink::parse(&text), Err(InviteError::Damaged), "{at}");
    }
    let fields = &bytes[..bytes.len() - 4];
    assert_eq!(DeviceLink::parse(&checked(&[fields, &[0]].concat())), Err(InviteError::Damaged));
    assert_eq!(DeviceLink::parse(&checked(&fields[..fields.len() - 1])), Err(InviteError::Damaged));
}

#[test]
fn a_code_is_no_link_and_a_link_no_code() {
    let person = code().account;
    let group = GroupInvite { inviter: person.clone(), conversation: [8; 32], title: "Birds".to_owned() };
    assert_eq!(DeviceLink::parse(&person.to_link()), Err(InviteError::OtherKind));
    assert_eq!(DeviceLink::parse(&group.to_link()), Err(InviteError::OtherKind));
    assert_eq!(Invite::parse(&code().to_code()), Err(InviteError::OtherKind));
    assert_eq!(GroupInvite::parse(&code().to_code()), Err(InviteError::OtherKind));
    assert_eq!(DeviceLink::parse("hello"), Err(InviteError::NotALink));
}

#[test]
fn p12_a_code_is_not_shown() {
    assert_eq!(format!("{:?} {:?}", code(), code().secret), "DeviceLink(***) LinkSecret(***)");
}
