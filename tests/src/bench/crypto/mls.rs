//! MLS on our cryptography with its state in memory, and a message's whole way without network and database.

use ed25519_dalek::Signer as _;
use openmls::prelude::*;
use openmls_memory_storage::MemoryStorage;
use openmls_traits::signatures::{Signer, SignerError};
use tls_codec::{Deserialize as _, Serialize as _};
use waxwing_protocol::{AppMessage, Content, MlsCrypto, envelope};
use waxwing_wire::MessageId;
use waxwing_wire::log::EnvelopeKind;

use super::envelope::{in_log, log_context, recipients, tag_key};
use super::primitives::Primitives;
use super::{Device, rng};
use crate::bench::measure::{MANY, measure as measure_steps};
use crate::bench::report::{Report, Unit};

const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519;

type Crypto = MlsCrypto<rand_core::UnwrapErr<getrandom::SysRng>>;

struct Provider {
    crypto: Crypto,
    storage: MemoryStorage,
}

impl OpenMlsProvider for Provider {
    type CryptoProvider = Crypto;
    type RandProvider = Crypto;
    type StorageProvider = MemoryStorage;

    fn storage(&self) -> &MemoryStorage {
        &self.storage
    }

    fn crypto(&self) -> &Crypto {
        &self.crypto
    }

    fn rand(&self) -> &Crypto {
        &self.crypto
    }
}

struct LeafSigner<'a>(&'a ed25519_dalek::SigningKey);

impl Signer for LeafSigner<'_> {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(self.0.sign(payload).to_bytes().to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// A device in a group.
struct Member<'a> {
    device: &'a Device,
    provider: Provider,
    group: MlsGroup,
}

fn provider() -> Provider {
    Provider { crypto: MlsCrypto::new(rng()), storage: MemoryStorage::default() }
}

fn credential(device: &Device) -> CredentialWithKey {
    CredentialWithKey {
        credential: BasicCredential::new(device.leaf().encode()).into(),
        signature_key: device.keys.record().mls.to_vec().into(),
    }
}

fn key_package(provider: &Provider, device: &Device) -> KeyPackage {
    let builder = KeyPackage::builder().key_package_lifetime(Lifetime::init(0, u64::MAX));
    let bundle = builder.build(SUITE, provider, &LeafSigner(device.keys.mls()), credential(device)).unwrap();
    bundle.key_package().clone()
}

/// The first two of a group of these devices. Nobody has committed but the first, so a path goes to every leaf by itself: the
/// dearest group of its size.
fn pair(devices: &[Device]) -> [Member<'_>; 2] {
    let (first, second) = (&devices[0], &devices[1]);
    let [mine, theirs] = [provider(), provider()];
    let mut group = MlsGroup::builder()
        .with_group_id(GroupId::from_slice(&[0x10; 16]))
        .ciphersuite(SUITE)
        .lifetime(Lifetime::init(0, u64::MAX))
        .with_wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
        .sender_ratchet_configuration(SenderRatchetConfiguration::new(64, 2000))
        .use_ratchet_tree_extension(true)
        .build(&mine, &LeafSigner(first.keys.mls()), credential(first))
        .unwrap();
    let mut packages = vec![key_package(&theirs, second)];
    packages.extend(devices[2..].iter().map(|device| key_package(&provider(), device)));
    let (_, welcome, _) = group.add_members(&mine, &LeafSigner(first.keys.mls()), &packages).unwrap();
    group.merge_pending_commit(&mine).unwrap();
    let MlsMessageBodyIn::Welcome(welcome) =
        MlsMessageIn::tls_deserialize_exact(welcome.tls_serialize_detached().unwrap()).unwrap().extract()
    else {
        panic!("no Welcome");
    };
    let config = MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
        .sender_ratchet_configuration(SenderRatchetConfiguration::new(64, 2000))
        .use_ratchet_tree_extension(true)
        .build();
    let staged = StagedWelcome::new_from_welcome(&theirs, &config, welcome, None).unwrap();
    let joined = staged.into_group(&theirs).unwrap();
    [Member { device: first, provider: mine, group }, Member { device: second, provider: theirs, group: joined }]
}

impl Member<'_> {
    fn encrypt(&mut self, bytes: &[u8]) -> Vec<u8> {
        let message = self.group.create_message(&self.provider, &LeafSigner(self.device.keys.mls()), bytes).unwrap();
        message.tls_serialize_detached().unwrap()
    }

    fn process(&mut self, bytes: &[u8]) -> ProcessedMessageContent {
        let message = MlsMessageIn::tls_deserialize_exact(bytes).unwrap().try_into_protocol_message().unwrap();
        self.group.process_message(&self.provider, message).unwrap().into_content()
    }

    fn decrypt(&mut self, bytes: &[u8]) -> Vec<u8> {
        let ProcessedMessageContent::ApplicationMessage(message) = self.process(bytes) else { panic!("no message") };
        message.into_bytes()
    }

    fn commit(&mut self) -> Vec<u8> {
        let bundle = self
            .group
            .commit_builder()
            .force_self_update(true)
            .load_psks(self.provider.storage())
            .unwrap()
            .build(self.provider.rand(), self.provider.crypto(), &LeafSigner(self.device.keys.mls()), |_| true)
            .unwrap()
            .stage_commit(&self.provider)
            .unwrap();
        bundle.commit().tls_serialize_detached().unwrap()
    }

    /// As if it had never been made, so that the next one is of the same epoch.
    fn forget_commit(&mut self) {
        self.group.clear_pending_commit(self.provider.storage()).unwrap();
    }
}

/// Measures messages and commits.
pub fn measure(report: &mut Report, primitives: &Primitives) {
    let devices: Vec<_> = (1..=64).map(Device::new).collect();
    messages(report, primitives, &devices[..2]);
    report.heading("MLS commits that replace the own leaf, state in memory");
    for count in [2, 16, 64] {
        commits(report, primitives, &devices[..count]);
    }
}

fn messages(report: &mut Report, primitives: &Primitives, devices: &[Device]) {
    report.heading("A text of 1 KiB from one device to another, state in memory");
    let mut both = pair(devices);
    let text = "x".repeat(1024);
    let encrypt = measure_steps(&mut both, MANY, |_| (), |both, ()| both[0].encrypt(text.as_bytes()));
    // Of each: the sender's ratchet (a key, a nonce and the next secret), the sender data's key and nonce, and both encryptions.
    let ratchet = 2.5 * primitives.hkdf + primitives.aead(1024) + primitives.aead_small;
    report.compared("mls_encrypt_1024", "MLS encrypt", Unit::Us, encrypt, primitives.sign + ratchet);
    // The receiver's ratchet has to be where the sender's is.
    let mut both = pair(devices);
    let decrypt = measure_steps(
        &mut both,
        MANY,
        |both| both[0].encrypt(text.as_bytes()),
        |both, message| both[1].decrypt(&message),
    );
    report.compared("mls_decrypt_1024", "MLS decrypt", Unit::Us, decrypt, primitives.verify + ratchet);

    let (tag_key, to) = (tag_key(), recipients(devices));
    let send = |sender: &mut Member<'_>| {
        let said = AppMessage::Text { message_id: MessageId::from_bytes([6; 16]), text: text.clone() };
        let content = Content::Mls(sender.encrypt(&said.encode())).encode();
        envelope::seal(&in_log(sender.device, &to, &tag_key, &content), &mut rng()).unwrap()
    };
    let receive = |receiver: &mut Member<'_>, sender: &Device, sealed: &[u8]| {
        let me = receiver.device;
        let opened = envelope::open(sealed, &[me.keys.sealing()], me.account, &log_context(&tag_key)).unwrap();
        let message = opened.verify_leaf(&sender.leaf()).unwrap();
        let Ok(Content::Mls(bytes)) = Content::decode(EnvelopeKind::App, &message.content) else { panic!("no MLS") };
        AppMessage::decode(&receiver.decrypt(&bytes)).unwrap()
    };
    let mut both = pair(devices);
    let sent = measure_steps(&mut both, MANY, |_| (), |both, ()| send(&mut both[0]));
    let mut both = pair(devices);
    let received = measure_steps(
        &mut both,
        MANY,
        |both| send(&mut both[0]),
        |both, sealed| receive(&mut both[1], &devices[0], &sealed),
    );
    report.value("send_path_per_s", 1e6 / sent.us);
    report.add("send_1024", "send: encode, MLS encrypt, seal to 4 wraps", Unit::Us, sent);
    report.add("receive_1024", "receive: open, verify, MLS decrypt, decode", Unit::Us, received);
}

fn commits(report: &mut Report, primitives: &Primitives, devices: &[Device]) {
    let count = devices.len();
    let others = (count - 1) as f64;
    let mut both = pair(devices);
    let hpke = 4.0 * primitives.hkdf + primitives.aead_small;
    let seal = primitives.x25519_base + primitives.x25519_dh + hpke;
    let levels = (count as f64).log2().ceil();
    let made = measure_steps(&mut both, 1, |both| both[0].forget_commit(), |both, ()| both[0].commit());
    // A path secret to each of the others; a key pair for each node of the path; the leaf and the commit are signed.
    let sum = others * seal + (levels + 1.0) * (primitives.x25519_base + primitives.hkdf) + 2.0 * primitives.sign;
    report.compared(&format!("openmls_commit_{count}"), format!("commit, {count} members"), Unit::Ms, made, sum);

    let mut both = pair(devices);
    let read = measure_steps(
        &mut both,
        1,
        |both| {
            both[0].forget_commit();
            both[0].commit()
        },
        |both, commit| both[1].process(&commit),
    );
    let sum = primitives.x25519_base
        + primitives.x25519_dh
        + hpke
        + levels * (primitives.x25519_base + primitives.hkdf)
        + 2.0 * primitives.verify;
    report.compared(
        &format!("openmls_commit_process_{count}"),
        format!("process it, {count} members"),
        Unit::Ms,
        read,
        sum,
    );
}
