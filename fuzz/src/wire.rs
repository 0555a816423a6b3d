//! What relay and client both read.

use waxwing_wire::frame::{
    Append, ClaimKeyPackages, ClaimedKeyPackages, CreateLog, InboxPage, InboxSend, LogPage, Push, UploadKeyPackages,
};
use waxwing_wire::transparency::{Leaf, decode_leaves};
use waxwing_wire::{ChainEntry, VerifiedChain};

use crate::same;

/// One chain entry, unverified: read, its hash, its bytes. What it says must be what it was read from.
pub fn chain_entry(bytes: &[u8]) {
    if let Ok(entry) = ChainEntry::decode(bytes) {
        assert_eq!(entry.as_bytes(), bytes);
        let signed = entry.unsigned.encode();
        assert_eq!(signed, bytes[..signed.len()], "the signed bytes are those that were parsed");
        let _ = entry.hash();
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
    same(decode_leaves(bytes).ok().map(|leaves| leaves.iter().flat_map(Leaf::encode).collect()), bytes);
}
