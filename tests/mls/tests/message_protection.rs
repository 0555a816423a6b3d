//! `message-protection.json`: public and private messages of RFC 9420, section 6, on our primitives.
//!
//! OpenMLS' public API reads a message's outside (what is asserted here) but protects and opens only through an `MlsGroup`,
//! which cannot be made from given secrets; so the frames are made and opened by `frames`, written from the RFC. Each message
//! is opened and protected again to the very same bytes: with the sender's choices given, nothing else is random. What the
//! vector asks beside that, that an application message is never protected publicly, is a rule for whoever frames: OpenMLS
//! has no function for it, and no primitive is involved.

use std::panic::{AssertUnwindSafe, catch_unwind};

use openmls::prelude::tls_codec::DeserializeBytes as _;
use openmls::prelude::{ContentType, MlsMessageIn, ProtocolMessage, WireFormat};
use serde::Deserialize;
use waxwing_mls_vectors::codec::var;
use waxwing_mls_vectors::frames::{Content, Epoch};
use waxwing_mls_vectors::provider::{SUITE, crypto};
use waxwing_mls_vectors::vectors::{Hex, cases};

/// Cases of suite 3.
const CASES: usize = 1;
/// Their messages, together: proposal and commit in public, all three in private.
const MESSAGES: usize = 5;

#[derive(Deserialize)]
struct Case {
    group_id: Hex,
    epoch: u64,
    tree_hash: Hex,
    confirmed_transcript_hash: Hex,
    signature_priv: Hex,
    signature_pub: Hex,
    encryption_secret: Hex,
    sender_data_secret: Hex,
    membership_key: Hex,
    proposal: Hex,
    proposal_priv: Hex,
    proposal_pub: Hex,
    commit: Hex,
    commit_priv: Hex,
    commit_pub: Hex,
    application: Hex,
    application_priv: Hex,
}

impl Case {
    /// As OpenMLS reads its outside.
    fn check_outside(&self, message: &[u8], content: &Content, wire_format: WireFormat) {
        let message = MlsMessageIn::tls_deserialize_exact_bytes(message).unwrap();
        assert_eq!(message.wire_format(), wire_format);
        let message: ProtocolMessage = message.try_into_protocol_message().unwrap();
        assert_eq!(message.group_id().as_slice(), &*self.group_id);
        assert_eq!(message.epoch().as_u64(), self.epoch);
        let expected = match content {
            Content::Application(_) => ContentType::Application,
            Content::Proposal(_) => ContentType::Proposal,
            Content::Commit(_) => ContentType::Commit,
        };
        assert_eq!(message.content_type(), expected);
    }
}

#[test]
fn message_protection() {
    let Some(cases) = cases::<Case>("message-protection.json", CASES) else { return };
    let crypto = crypto(1);
    let mut messages = 0;
    for case in cases {
        // `GroupContext` (section 8.1), without extensions.
        let context = [
            1_u16.to_be_bytes().to_vec(),
            (SUITE as u16).to_be_bytes().to_vec(),
            var(&case.group_id),
            case.epoch.to_be_bytes().to_vec(),
            var(&case.tree_hash),
            var(&case.confirmed_transcript_hash),
            var(b""),
        ]
        .concat();
        let epoch = Epoch {
            crypto: &crypto,
            group_id: &case.group_id,
            epoch: case.epoch,
            context: &context,
            membership_key: &case.membership_key,
            encryption_secret: &case.encryption_secret,
            sender_data_secret: &case.sender_data_secret,
            private: &case.signature_priv,
            public: &case.signature_pub,
        };
        let proposal = Content::Proposal(case.proposal.0.clone());
        let commit = Content::Commit(case.commit.0.clone());
        let application = Content::Application(case.application.0.clone());

        for (message, content) in [(&case.proposal_pub, &proposal), (&case.commit_pub, &commit)] {
            case.check_outside(message, content, WireFormat::PublicMessage);
            let (aad, auth) = epoch.open_public(message, content);
            assert_eq!(epoch.protect_public(&aad, content, auth.confirmation_tag), **message);
            changed_messages_do_not_open(message, |message| drop(epoch.open_public(message, content)));
            messages += 1;
        }
        for (message, content) in
            [(&case.proposal_priv, &proposal), (&case.commit_priv, &commit), (&case.application_priv, &application)]
        {
            case.check_outside(message, content, WireFormat::PrivateMessage);
            let (aad, auth, choices) = epoch.open_private(message, content);
            assert_eq!(epoch.protect_private(&aad, content, auth.confirmation_tag, choices), **message);
            changed_messages_do_not_open(message, |message| drop(epoch.open_private(message, content)));
            messages += 1;
        }
    }
    assert_eq!(messages, MESSAGES);
}

/// One bit of the last byte (membership tag, AEAD tag) and of one in the middle.
fn changed_messages_do_not_open(message: &[u8], open: impl Fn(&[u8])) {
    for place in [message.len() / 2, message.len() - 1] {
        let mut changed = message.to_vec();
        changed[place] ^= 1;
        assert!(catch_unwind(AssertUnwindSafe(|| open(&changed))).is_err(), "byte {place}");
    }
}
