//! Members and strangers that lie and stay in step with the group all the same, and devices that are not whom they claim to be.

use std::sync::Arc;

use openmls::prelude::{MlsMessageBodyIn, MlsMessageIn, ProtocolVersion};
use tls_codec::DeserializeBytes as _;
use waxwing_protocol::DeviceKeys;
use waxwing_protocol::group::{GroupKind, Roster, RosterLine, RosterRole};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{AccountId, DeviceId, LogId};

use super::device::{Device, HOME};
use super::ledger::Outside;
use super::relay::FakeRelay;
use crate::mls::{self, ClaimedPackage, Group, GroupChange, PendingWelcome, Plan};
use crate::store::conversations::ConversationId;
use crate::store::outbox::{self, Sealed};
use crate::store::{keys, logs};

/// A device that says it is one of `account`, with keys, and a chain, that nobody else knows.
pub(super) fn impostor(name: &str, account: AccountId, device: DeviceId) -> Device {
    Device::register(&mut FakeRelay::default(), name, account, device)
}

/// A key package as the relay would give it out, checked by nobody.
pub(super) fn unchecked(device: &mut Device, bytes: &[u8]) -> ClaimedPackage {
    let (message, _) = MlsMessageIn::tls_deserialize_bytes(bytes).unwrap();
    let MlsMessageBodyIn::KeyPackage(package) = message.extract() else { panic!("no key package") };
    let package = package.validate(&*device.crypto, ProtocolVersion::Mls10).unwrap();
    ClaimedPackage { account: device.account, device: device.device, package, chain: [0; 32] }
}

impl Device {
    /// A key package of this device, made and not put up.
    pub(super) fn package(&mut self) -> Vec<u8> {
        let (crypto, account, keys) = (Arc::clone(&self.crypto), self.account, Arc::clone(&self.keys));
        self.tx(|tx| mls::make_packages(&crypto, tx, account, &keys, 1)).unwrap().1.remove(0)
    }

    pub(super) fn claimed(&mut self) -> ClaimedPackage {
        let bytes = self.package();
        unchecked(self, &bytes)
    }

    /// Somebody's line of a roster, by the chain that is known of them.
    pub(super) fn line(&mut self, name: &str, who: AccountId) -> RosterLine {
        let chain = self.look(|tx| keys::chain(tx, who)).unwrap();
        RosterLine {
            account: who,
            role: RosterRole::Member,
            account_key: *chain.account_key(),
            recovery_key: *chain.recovery_key(),
            chain_seq: chain.seq(),
            chain_head: chain.head(),
            home: format!("{name}@{HOME}").parse().unwrap(),
        }
    }

    /// Commits to whatever the rules of the group let pass, with a leaf of these keys, and follows the group into it. The Welcome, if
    /// it has added somebody.
    pub(super) fn commit_anyway(
        &mut self,
        outside: &mut Outside,
        (id, log): (ConversationId, LogId),
        new: &Arc<DeviceKeys>,
        plan: Plan,
    ) -> Option<Vec<u8>> {
        let (crypto, account, old) = (Arc::clone(&self.crypto), self.account, Arc::clone(&self.keys));
        let committed =
            self.tx(|tx| Group::load(&crypto, tx, log)?.unwrap().commit(account, old.leaf(), new, plan)).unwrap();
        let kind = EnvelopeKind::Handshake;
        let (entry_id, blob) = self.envelope(log, kind, committed.message, (account, &old));
        let welcome = committed.welcome.as_ref().map(|welcome| welcome.mls.clone());
        self.tx(|tx| {
            let after = logs::load(tx, log)?.unwrap().last_handshake;
            outbox::push_change(tx, &id, log, &GroupChange::Update.encode()?, 0)?;
            let item = outbox::changes(tx, &id)?.pop().unwrap();
            let welcome = committed.welcome.as_ref().map(PendingWelcome::encode).transpose()?;
            let sealed = Sealed { log, entry_id, after, blob, secret: committed.secret, welcome };
            outbox::set_sealed(tx, item.n, &sealed)
        })
        .unwrap();
        self.keys = Arc::clone(new);
        self.flush(outside).unwrap();
        welcome
    }

    /// The Welcome to a new group of this id, of which nobody else hears. The own state stays as it is.
    pub(super) fn founds(&mut self, log: LogId, guest: ClaimedPackage) -> Vec<u8> {
        let (account, keys) = (self.account, Arc::clone(&self.keys));
        self.founds_as(log, guest, (account, &keys), |_| ())
    }

    /// The same with a first leaf of anybody's, and another roster.
    pub(super) fn founds_as(
        &mut self,
        log: LogId,
        guest: ClaimedPackage,
        (account, keys): (AccountId, &DeviceKeys),
        change: impl FnOnce(&mut Roster),
    ) -> Vec<u8> {
        let (crypto, me) = (Arc::clone(&self.crypto), self.account);
        let (name, lines) = ("Birds".to_owned(), Vec::new());
        let mut roster = Roster { kind: GroupKind::Group, conversation: [0x84; 32], generation: 1, name, lines };
        roster.set(RosterLine { role: RosterRole::Admin, ..self.line("ada", me) });
        roster.set(self.line("bea", guest.account));
        change(&mut roster);
        self.look(|tx| {
            let mut group = Group::create(&crypto, tx, account, keys, log, &roster)?;
            let plan = Plan { add: vec![guest], ..Plan::default() };
            Ok(group.commit(account, keys.leaf(), keys, plan)?.welcome.unwrap().mls)
        })
    }

    /// Takes a Welcome without asking any questions.
    pub(super) fn joins(&mut self, log: LogId, welcome: &[u8]) {
        let crypto = Arc::clone(&self.crypto);
        let joined = self.tx(|tx| mls::join(&crypto, tx, log, welcome)).unwrap();
        assert!(joined.is_ok(), "{:?}", joined.err());
    }

    /// An application message of this device's leaf.
    pub(super) fn says(&mut self, log: LogId, bytes: &[u8]) -> Vec<u8> {
        let (crypto, keys) = (Arc::clone(&self.crypto), Arc::clone(&self.keys));
        self.tx(|tx| Group::load(&crypto, tx, log)?.unwrap().encrypt(keys.leaf(), bytes)).unwrap()
    }
}
