//! What is read after something was decrypted, and what the database keeps.

use waxwing_protocol::group::{CommitData, Roster};
use waxwing_protocol::{AppMessage, Content, LeafIdentity, SealingKeys};
use waxwing_wire::log::EnvelopeKind;

use crate::same;

const KINDS: [EnvelopeKind; 5] =
    [EnvelopeKind::App, EnvelopeKind::Handshake, EnvelopeKind::Welcome, EnvelopeKind::Notice, EnvelopeKind::Resync];

/// Content of an envelope, in each kind.
pub fn content(bytes: &[u8]) {
    let mut accepted = 0;
    for kind in KINDS {
        if let Ok(content) = Content::decode(kind, bytes) {
            assert_eq!(content.encode().as_slice(), bytes);
            accepted += 1;
        }
    }
    // MLS travels in two kinds, everything else in one.
    assert!(accepted <= if bytes.first() == Some(&1) { 2 } else { 1 });
}

/// A welcome without its type byte.
pub fn welcome(bytes: &[u8]) {
    let bytes = [&[2], bytes].concat();
    same(Content::decode(EnvelopeKind::Welcome, &bytes).ok().map(|content| content.encode().to_vec()), &bytes);
}

/// An app message.
pub fn app_message(bytes: &[u8]) {
    same(AppMessage::decode(bytes).ok().map(|message| message.encode().to_vec()), bytes);
}

/// A roster, and what is done with one.
pub fn roster(bytes: &[u8]) {
    let Ok(mut roster) = Roster::decode(bytes) else { return };
    assert_eq!(roster.encode(), bytes);
    for line in roster.lines.clone() {
        assert_eq!(roster.line(line.account), Some(&line));
        roster.remove(line.account);
        assert_eq!(roster.line(line.account), None);
        roster.set(line);
    }
    assert_eq!(roster.encode(), bytes, "each line is back in its place");
}

/// What travels with a commit.
pub fn commit_data(bytes: &[u8]) {
    same(CommitData::decode(bytes).ok().map(|data| data.encode()), bytes);
}

/// The credential of a leaf.
pub fn leaf_identity(bytes: &[u8]) {
    same(LeafIdentity::decode(bytes).ok().map(|identity| identity.encode()), bytes);
}

/// Old sealing keys as the database keeps them.
pub fn sealing_keys(bytes: &[u8]) {
    same(SealingKeys::from_bytes(bytes).ok().map(|keys| keys.to_bytes().to_vec()), bytes);
}
