//! What relay and client both read.

use std::sync::LazyLock;

use waxwing_protocol::group::{ChainPart, RosterLine, RosterRole, follow};
use waxwing_wire::AccountAddress;
use waxwing_wire::frame::{
    Append, ClaimKeyPackages, ClaimedKeyPackages, CreateLog, InboxPage, InboxSend, LogPage, Push, UploadKeyPackages,
};
use waxwing_wire::{ChainEntry, DeviceRecord, Reader, VerifiedChain};

use crate::same;

static HOME: LazyLock<AccountAddress> = LazyLock::new(|| "alice@waxwing.example".parse().expect("an address"));

/// One chain entry, unverified: read, its hash, its bytes. What it says must be what it was read from.
pub fn chain_entry(bytes: &[u8]) {
    if let Ok(entry) = ChainEntry::decode(bytes) {
        assert_eq!(entry.as_bytes(), bytes);
        let signed = entry.unsigned.encode();
        assert_eq!(signed, bytes[..signed.len()], "the signed bytes are those that were parsed");
        let _ = entry.hash();
    }
}

/// A device's public keys, with whatever stands behind them.
pub fn device_record(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    if let Ok(record) = DeviceRecord::decode(&mut reader) {
        assert_eq!(record.encode(), bytes[..reader.position()]);
        assert_eq!(reader.position(), DeviceRecord::ENCODED);
        assert_eq!([record.xwing_ml_kem(), &record.xwing_x25519()].concat(), record.xwing.as_slice());
    }
}

/// A whole chain, each entry after its length (`u16`): verified.
pub fn chain(bytes: &[u8]) {
    let (mut entries, mut rest) = (Vec::new(), bytes);
    while let Some((length, tail)) = rest.split_first_chunk() {
        let (entry, tail) = tail.split_at(usize::from(u16::from_be_bytes(*length)).min(tail.len()));
        entries.push(entry);
        rest = tail;
    }
    if let Ok(mut chain) = VerifiedChain::verify(&entries) {
        assert_eq!(chain.seq() as usize + 1, entries.len());
        assert_eq!(chain.hash_at(chain.seq()), Some(chain.head()));
        // An entry stands in one place: none can come again.
        let head = chain.head();
        for entry in &entries {
            assert!(chain.extend(entry).is_err());
        }
        assert_eq!(chain.head(), head, "on an error the chain is unchanged");
        follows(&chain, &entries);
    }
}

/// A group that knows of the account nothing but its first entry comes by the others to the same keys.
fn follows(chain: &VerifiedChain, entries: &[&[u8]]) {
    let Some((first, rest)) = entries.split_first().filter(|(_, rest)| !rest.is_empty()) else { return };
    let first = VerifiedChain::verify(&[first]).expect("it begins a valid chain");
    let line = |chain: &VerifiedChain| RosterLine {
        account: chain.account(),
        role: RosterRole::Member,
        account_key: *chain.account_key(),
        recovery_key: *chain.recovery_key(),
        chain_seq: chain.seq(),
        chain_head: chain.head(),
        home: HOME.clone(),
    };
    let part = |from_seq, entries: &[&[u8]]| ChainPart {
        account: chain.account(),
        from_seq,
        entries: entries.iter().map(|entry| entry.to_vec()).collect(),
    };
    for part in [part(0, entries), part(1, rest)] {
        let followed = follow(&line(&first), &part).expect("a valid chain can be followed");
        assert_eq!(followed.line, line(chain));
        assert_eq!(followed.is_closed(), chain.is_closed());
        // Told again, it says nothing new.
        assert!(follow(&followed.line, &part).is_none());
    }
}

/// Binary bodies of the HTTP API and push frames.
pub fn frames(bytes: &[u8]) {
    same(CreateLog::decode(bytes).ok().map(|frame| frame.encode()), bytes);
    same(Append::decode(bytes).ok().map(|frame| frame.encode()), bytes);
    same(LogPage::decode(bytes).ok().map(|frame| frame.encode()), bytes);
    same(InboxSend::decode(bytes).ok().map(|frame| frame.encode()), bytes);
    same(InboxPage::decode(bytes).ok().map(|frame| frame.encode()), bytes);
    same(Push::decode(bytes).ok().map(|frame| frame.encode()), bytes);
    same(UploadKeyPackages::decode(bytes).ok().map(|frame| frame.encode()), bytes);
    same(ClaimKeyPackages::decode(bytes).ok().map(|frame| frame.encode()), bytes);
    same(ClaimedKeyPackages::decode(bytes).ok().map(|frame| frame.encode()), bytes);
}
