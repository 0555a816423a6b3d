//! Sealing for the log: texts, commits, and what a malicious member would seal.

use openmls::prelude::{KeyPackage, LeafNodeParameters, NewSignerBundle, OpenMlsProvider as _};
use rand_chacha::rand_core::Rng as _;
use waxwing_protocol::envelope::seal;
use waxwing_protocol::group::CommitData;
use waxwing_protocol::{ChannelSecret, Content, MessageSender, Recipient, SealRequest, Sender, Suite};
use waxwing_wire::frame::LogTokens;
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{EnvelopeId, hash};

use super::base::person;
use super::log::{Entry, Said, Truth};
use super::mls::{LeafSigner, capabilities, credential, epoch, leaf};
use super::party::{Party, exported, replaces_secret};
use crate::people::LOG;

/// What is to be sent.
#[derive(Debug, Clone)]
pub(super) enum What {
    Text(Vec<u8>),
    Update,
    Readd,
}

/// It, and how it was sealed last.
pub(super) struct Item {
    pub(super) what: What,
    pub(super) sealed: Option<Sealed>,
}

/// Ready for the log.
#[derive(Clone)]
pub(super) struct Sealed {
    pub(super) entry: Entry,
    pub(super) after: u64,
    pub(super) rekey: Option<LogTokens>,
    pub(super) truth: Truth,
}

/// What one remembers of what one sealed.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) digest: [u8; 32],
    pub(super) kind: EnvelopeKind,
    pub(super) after: u64,
    pub(super) change: Option<Change>,
}

/// What an own commit brings once it has its place.
#[derive(Clone)]
pub(super) struct Change {
    pub(super) secret: Option<ChannelSecret>,
    pub(super) welcome: Option<Vec<u8>>,
}

/// What an envelope says wrongly, under a good signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lie {
    None,
    After,
    Running,
    Epoch,
    Authenticator,
    Account,
}

impl Party {
    /// Seals an item as things stand. `package`: the other one's, to bring them in again with.
    pub(super) fn seal(&mut self, n: usize, other: u32, package: Option<KeyPackage>) {
        let (kind, said, mls, change) = match self.outbox[n].what.clone() {
            What::Text(text) => {
                let mls = self.encrypt(&text);
                (EnvelopeKind::App, Said::Text(text), mls, None)
            }
            What::Update | What::Readd => {
                let (mls, change) = self.commit(package);
                (EnvelopeKind::Handshake, Said::Commit, mls, Some(change))
            }
        };
        let rekey = change.as_ref().and_then(|change| change.secret.as_ref()).map(ChannelSecret::log_tokens);
        let content = Content::Mls(mls.clone()).encode();
        let (entry, sender) = self.envelope(kind, &content, other, Lie::None);
        let after = self.last_handshake;
        let shown = Shown { digest: hash(&[&entry.blob]), kind, after, change };
        self.shown.insert(entry.id, shown);
        let truth = Truth { by: self.who, sender, counter: self.counter, mls, said };
        self.outbox[n].sealed = Some(Sealed { entry, after, rekey, truth });
    }

    /// An `MLSMessage` with a text.
    pub(super) fn encrypt(&mut self, text: &[u8]) -> Vec<u8> {
        let signer = LeafSigner(self.as_leaf().expect("in the group"));
        let group = self.group.as_mut().expect("in the group");
        let message = group.create_message(&self.provider, &signer, text).expect("a message");
        message.to_bytes().expect("a message")
    }

    /// A commit with a new own leaf, under the newest device keys.
    fn commit(&mut self, package: Option<KeyPackage>) -> (Vec<u8>, Change) {
        // OpenMLS keeps one at a time.
        for item in self.outbox.iter_mut().filter(|item| !matches!(item.what, What::Text(_))) {
            item.sealed = None;
        }
        let (old, new) = (self.as_leaf().expect("in the group"), self.newest());
        let group = self.group.as_mut().expect("in the group");
        let rotates = old.keys.key_version() != new.keys.key_version();
        let (other, _) = leaf(group, person(1 - self.who, 1).keys.device()).expect("the other one");
        let rekey = rotates || replaces_secret(package.is_some(), package.is_some());
        group.clear_pending_commit(self.provider.storage()).expect("clearing a commit");
        group.set_aad(CommitData { rekey, ..CommitData::default() }.encode());
        let builder = group
            .commit_builder()
            .force_self_update(true)
            .propose_removals(package.as_ref().map(|_| other))
            .propose_adds(package)
            .leaf_node_parameters(LeafNodeParameters::builder().with_capabilities(capabilities()).build());
        let loaded = builder.load_psks(self.provider.storage()).expect("a commit");
        let (rand, crypto) = (self.provider.rand(), self.provider.crypto());
        let built = if rotates {
            let bundle = NewSignerBundle { signer: &LeafSigner(new), credential_with_key: credential(new) };
            loaded.build_with_new_signer(rand, crypto, &LeafSigner(old), bundle, |_| true)
        } else {
            loaded.build(rand, crypto, &LeafSigner(old), |_| true)
        };
        let bundle = built.expect("a commit").stage_commit(&self.provider).expect("a commit");
        let (commit, welcome, _) = bundle.into_messages();
        let staged = group.pending_commit().expect("it waits");
        let secret = rekey.then(|| exported(staged, self.provider.crypto()));
        let welcome = welcome.map(|welcome| welcome.to_bytes().expect("a Welcome"));
        (commit.to_bytes().expect("a commit"), Change { secret, welcome })
    }

    /// A commit that will not have its place.
    pub(super) fn commit_for_nothing(&mut self) -> Vec<u8> {
        let (commit, _) = self.commit(None);
        let group = self.group.as_mut().expect("in the group");
        group.clear_pending_commit(self.provider.storage()).expect("clearing a commit");
        commit
    }

    /// Any content, for both.
    pub(super) fn envelope(
        &mut self,
        kind: EnvelopeKind,
        content: &[u8],
        other: u32,
        lie: Lie,
    ) -> (Entry, MessageSender) {
        let (me, other) = (self.as_leaf().expect("in the group"), person(1 - self.who, other));
        let mut id = [0; 16];
        self.rng.fill_bytes(&mut id);
        self.counter += 1;
        let mut request = SealRequest {
            kind,
            suite: if kind == EnvelopeKind::App { Suite::X25519 } else { Suite::XWing },
            envelope_id: EnvelopeId::from_bytes(id),
            sender: me.sender(),
            recipients: &[self.newest().recipient(), other.recipient()],
            tag_key: Some(&self.secret.tag_key()),
            log: LOG,
            after: self.last_handshake,
            counter: self.counter,
            sent_ms: self.counter,
            epoch: epoch(self.group.as_ref().expect("in the group")),
            running_hash: self.handshake_running,
            checkpoint: None,
            content,
        };
        // A lie about the account must name it among the recipients too.
        let as_other = [Recipient { account: other.account, ..self.newest().recipient() }, other.recipient()];
        match lie {
            Lie::None => {}
            Lie::After => request.after += 1,
            Lie::Running => request.running_hash[0] ^= 1,
            Lie::Epoch => request.epoch.number += 1,
            Lie::Authenticator => request.epoch.authenticator[31] ^= 1,
            Lie::Account => {
                request.sender = Sender { account: other.account, ..request.sender };
                request.recipients = &as_other;
            }
        }
        let blob = seal(&request, &mut self.rng).expect("an envelope");
        let entry = Entry { id: request.envelope_id, kind, blob };
        let (account, device, key_version) = (me.account, me.keys.device(), me.keys.key_version());
        (entry, MessageSender { account, device, key_version })
    }
}
