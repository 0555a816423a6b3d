//! One group whose members run on two providers, ours (cryptography and storage) and `openmls_rust_crypto`, through 20 commits: after each, every member
//! has the same epoch authenticator, and what any of them writes, all others read.

use std::collections::BTreeMap;

use openmls::prelude::tls_codec::{DeserializeBytes as _, Serialize as _};
use openmls::prelude::{
    BasicCredential, CredentialWithKey, GroupId, KeyPackage, KeyPackageIn, LeafNodeParameters, MlsGroup,
    MlsGroupCreateConfig, MlsMessageBodyIn, MlsMessageIn, ProcessedMessageContent, ProtocolVersion, StagedWelcome,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::OpenMlsProvider;
use openmls_traits::signatures::Signer;
use openmls_traits::types::SignatureScheme;
use waxwing_mls_vectors::database::{Database, InTransaction};
use waxwing_mls_vectors::provider::{OurSigner, SUITE};

/// What a commit does.
#[derive(Clone, Copy)]
enum Act {
    Add(&'static [&'static str]),
    Remove(&'static str),
    Update,
}
use Act::{Add, Remove, Update};

/// Who commits what. A name says which provider its bearer runs on.
const COMMITS: [(&str, Act); 20] = [
    ("ours 1", Add(&["theirs 1"])),
    ("theirs 1", Add(&["ours 2"])),
    ("ours 2", Add(&["theirs 2"])),
    ("theirs 2", Update),
    ("ours 1", Update),
    ("theirs 1", Add(&["ours 3"])),
    ("ours 2", Remove("theirs 2")),
    ("ours 3", Update),
    ("theirs 1", Update),
    ("ours 1", Add(&["theirs 3", "ours 4"])),
    ("theirs 3", Remove("ours 2")),
    ("ours 4", Update),
    ("theirs 3", Add(&["theirs 4"])),
    ("theirs 4", Update),
    ("ours 3", Remove("theirs 1")),
    ("ours 1", Update),
    ("theirs 4", Remove("ours 4")),
    ("theirs 3", Add(&["ours 5"])),
    ("ours 5", Add(&["theirs 5", "ours 6"])),
    ("theirs 5", Update),
];

/// Who is left: 10 joined beside the first, 4 were removed.
const LEFT: [&str; 7] = ["ours 1", "ours 3", "ours 5", "ours 6", "theirs 3", "theirs 4", "theirs 5"];

/// A member, whatever it runs on. Only bytes pass between members.
trait Member {
    fn found(&mut self);
    fn key_package(&mut self) -> Vec<u8>;
    /// Commit, and the Welcome if somebody is added. Not merged yet.
    fn commit(&mut self, add: &[Vec<u8>], remove: Option<&str>) -> (Vec<u8>, Option<Vec<u8>>);
    fn merge_own(&mut self);
    fn join(&mut self, welcome: &[u8]);
    /// Takes somebody else's commit; whether still in the group.
    fn follow(&mut self, commit: &[u8]) -> bool;
    fn authenticator(&mut self) -> Vec<u8>;
    fn epoch(&mut self) -> u64;
    fn write(&mut self, text: &str) -> Vec<u8>;
    fn read(&mut self, message: &[u8]) -> String;
}

struct On<P, S> {
    provider: P,
    signer: S,
    credential: CredentialWithKey,
    group: Option<MlsGroup>,
}

impl<P: OpenMlsProvider, S: Signer> On<P, S> {
    fn new(name: &str, provider: P, signer: S, public: &[u8]) -> Self {
        Self { provider, signer, credential: credential(name, public), group: None }
    }

    fn group(&mut self) -> (&mut MlsGroup, &P, &S) {
        (self.group.as_mut().unwrap(), &self.provider, &self.signer)
    }
}

fn credential(name: &str, public: &[u8]) -> CredentialWithKey {
    let credential = BasicCredential::new(name.as_bytes().to_vec()).into();
    CredentialWithKey { credential, signature_key: public.into() }
}

fn config() -> MlsGroupCreateConfig {
    MlsGroupCreateConfig::builder().ciphersuite(SUITE).use_ratchet_tree_extension(true).build()
}

fn key_package<P: OpenMlsProvider>(provider: &P, signer: &impl Signer, credential: &CredentialWithKey) -> Vec<u8> {
    let bundle = KeyPackage::builder().build(SUITE, provider, signer, credential.clone()).unwrap();
    bundle.key_package().tls_serialize_detached().unwrap()
}

fn commit<P: OpenMlsProvider>(
    (group, provider, signer): (&mut MlsGroup, &P, &impl Signer),
    add: &[Vec<u8>],
    remove: Option<&str>,
) -> (Vec<u8>, Option<Vec<u8>>) {
    let validated = |bytes: &Vec<u8>| {
        let unverified = KeyPackageIn::tls_deserialize_exact_bytes(bytes).unwrap();
        unverified.validate(provider.crypto(), ProtocolVersion::Mls10).unwrap()
    };
    let add: Vec<KeyPackage> = add.iter().map(validated).collect();
    let named = |name: &str| {
        let member = group.members().find(|member| member.credential.serialized_content() == name.as_bytes());
        member.unwrap().index
    };
    let remove = remove.map(named);
    // Every commit has a path, so every commit uses HPKE towards both providers.
    let commit = group
        .commit_builder()
        .propose_adds(add)
        .propose_removals(remove)
        .force_self_update(true)
        .leaf_node_parameters(LeafNodeParameters::default())
        .load_psks(provider.storage())
        .unwrap()
        .build(provider.rand(), provider.crypto(), signer, |_| true)
        .unwrap()
        .stage_commit(provider)
        .unwrap();
    let (commit, welcome, _) = commit.into_messages();
    (commit.to_bytes().unwrap(), welcome.map(|welcome| welcome.to_bytes().unwrap()))
}

fn join<P: OpenMlsProvider>(provider: &P, welcome: &[u8]) -> MlsGroup {
    let MlsMessageBodyIn::Welcome(welcome) = MlsMessageIn::tls_deserialize_exact_bytes(welcome).unwrap().extract()
    else {
        panic!("not a welcome")
    };
    let staged = StagedWelcome::new_from_welcome(provider, config().join_config(), welcome, None).unwrap();
    staged.into_group(provider).unwrap()
}

fn process<P: OpenMlsProvider>(group: &mut MlsGroup, provider: &P, message: &[u8]) -> ProcessedMessageContent {
    let message = MlsMessageIn::tls_deserialize_exact_bytes(message).unwrap();
    let processed = group.process_message(provider, message.try_into_protocol_message().unwrap()).unwrap();
    processed.into_content()
}

fn follow<P: OpenMlsProvider>(group: &mut MlsGroup, provider: &P, commit: &[u8]) -> bool {
    let ProcessedMessageContent::StagedCommitMessage(commit) = process(group, provider, commit) else {
        panic!("not a commit")
    };
    group.merge_staged_commit(provider, *commit).unwrap();
    group.is_active()
}

fn read<P: OpenMlsProvider>(group: &mut MlsGroup, provider: &P, message: &[u8]) -> String {
    let ProcessedMessageContent::ApplicationMessage(message) = process(group, provider, message) else {
        panic!("not an application message")
    };
    String::from_utf8(message.into_bytes()).unwrap()
}

impl<P: OpenMlsProvider, S: Signer> Member for On<P, S> {
    fn found(&mut self) {
        let group = MlsGroup::new(&self.provider, &self.signer, &config(), self.credential.clone()).unwrap();
        self.group = Some(group);
    }

    fn key_package(&mut self) -> Vec<u8> {
        key_package(&self.provider, &self.signer, &self.credential)
    }

    fn commit(&mut self, add: &[Vec<u8>], remove: Option<&str>) -> (Vec<u8>, Option<Vec<u8>>) {
        commit(self.group(), add, remove)
    }

    fn merge_own(&mut self) {
        let (group, provider, _) = self.group();
        group.merge_pending_commit(provider).unwrap();
    }

    fn join(&mut self, welcome: &[u8]) {
        self.group = Some(join(&self.provider, welcome));
    }

    fn follow(&mut self, commit: &[u8]) -> bool {
        let (group, provider, _) = self.group();
        follow(group, provider, commit)
    }

    fn authenticator(&mut self) -> Vec<u8> {
        self.group.as_ref().unwrap().epoch_authenticator().as_slice().to_vec()
    }

    fn epoch(&mut self) -> u64 {
        self.group.as_ref().unwrap().epoch().as_u64()
    }

    fn write(&mut self, text: &str) -> Vec<u8> {
        let (group, provider, signer) = self.group();
        group.create_message(provider, signer, text.as_bytes()).unwrap().to_bytes().unwrap()
    }

    fn read(&mut self, message: &[u8]) -> String {
        let (group, provider, _) = self.group();
        read(group, provider, message)
    }
}

/// As the app has it: everything in a database, and nothing in memory from one step to the next.
struct InDatabase {
    database: Database,
    signer: OurSigner,
    credential: CredentialWithKey,
    id: Option<GroupId>,
}

impl InDatabase {
    /// One transaction on the group as it is stored.
    fn step<T>(&mut self, work: impl FnOnce(&mut MlsGroup, &InTransaction<'_>, &OurSigner) -> T) -> T {
        let (id, signer) = (self.id.clone().unwrap(), &self.signer);
        self.database.transaction(|provider| {
            let mut group = MlsGroup::load(provider.storage(), &id).unwrap().unwrap();
            work(&mut group, provider, signer)
        })
    }
}

impl Member for InDatabase {
    fn found(&mut self) {
        let (signer, credential) = (&self.signer, self.credential.clone());
        let found = |provider: &InTransaction<'_>| MlsGroup::new(provider, signer, &config(), credential).unwrap();
        self.id = Some(self.database.transaction(|provider| found(provider).group_id().clone()));
    }

    fn key_package(&mut self) -> Vec<u8> {
        let (signer, credential) = (&self.signer, &self.credential);
        self.database.transaction(|provider| key_package(provider, signer, credential))
    }

    fn commit(&mut self, add: &[Vec<u8>], remove: Option<&str>) -> (Vec<u8>, Option<Vec<u8>>) {
        self.step(|group, provider, signer| commit((group, provider, signer), add, remove))
    }

    fn merge_own(&mut self) {
        self.step(|group, provider, _| group.merge_pending_commit(provider)).unwrap();
    }

    fn join(&mut self, welcome: &[u8]) {
        self.id = Some(self.database.transaction(|provider| join(provider, welcome).group_id().clone()));
    }

    fn follow(&mut self, commit: &[u8]) -> bool {
        self.step(|group, provider, _| follow(group, provider, commit))
    }

    fn authenticator(&mut self) -> Vec<u8> {
        self.step(|group, _, _| group.epoch_authenticator().as_slice().to_vec())
    }

    fn epoch(&mut self) -> u64 {
        self.step(|group, _, _| group.epoch().as_u64())
    }

    fn write(&mut self, text: &str) -> Vec<u8> {
        self.step(|group, provider, signer| {
            group.create_message(provider, signer, text.as_bytes()).unwrap().to_bytes().unwrap()
        })
    }

    fn read(&mut self, message: &[u8]) -> String {
        self.step(|group, provider, _| read(group, provider, message))
    }
}

/// Somebody new. `seed` sets our randomness apart.
fn member(name: &str, seed: u8) -> Box<dyn Member> {
    if name.starts_with("ours") {
        let signer = OurSigner::new(seed);
        let credential = credential(name, signer.public());
        Box::new(InDatabase { database: Database::new(seed.wrapping_add(128)), signer, credential, id: None })
    } else {
        let signer = SignatureKeyPair::new(SignatureScheme::ED25519).unwrap();
        let public = signer.public().to_vec();
        Box::new(On::new(name, OpenMlsRustCrypto::default(), signer, &public))
    }
}

#[test]
fn two_providers_in_one_group() {
    let mut group: BTreeMap<&str, Box<dyn Member>> = BTreeMap::new();
    let mut founder = member("ours 1", 0);
    founder.found();
    group.insert("ours 1", founder);

    let (mut joined, mut read) = (0, 0);
    for (number, (committer, act)) in COMMITS.into_iter().enumerate() {
        let (names, remove) = match act {
            Add(names) => (names, None),
            Remove(name) => (&[][..], Some(name)),
            Update => (&[][..], None),
        };
        let mut new: Vec<_> = Vec::new();
        for name in names {
            joined += 1;
            new.push((*name, member(name, joined)));
        }
        let key_packages: Vec<_> = new.iter_mut().map(|(_, member)| member.key_package()).collect();

        let (commit, welcome) = group.get_mut(committer).unwrap().commit(&key_packages, remove);
        for (name, member) in &mut group {
            if *name == committer {
                member.merge_own();
            } else {
                assert_eq!(member.follow(&commit), remove != Some(*name), "{name} after commit {number}");
            }
        }
        if let Some(name) = remove {
            group.remove(name).unwrap();
        }
        for (name, mut member) in new {
            member.join(welcome.as_deref().unwrap());
            assert!(group.insert(name, member).is_none());
        }

        let expected = group.get_mut(committer).unwrap().authenticator();
        for (name, member) in &mut group {
            assert_eq!(member.epoch(), number as u64 + 1);
            assert_eq!(member.authenticator(), expected, "{name} after commit {number} by {committer}");
        }
        read += everybody_reads_everybody(&mut group, number);
    }

    assert_eq!(group.keys().copied().collect::<Vec<_>>(), LEFT);
    for provider in ["ours", "theirs"] {
        assert_eq!(COMMITS.iter().filter(|(name, _)| name.starts_with(provider)).count(), 10, "commits on {provider}");
    }
    println!("{} commits, {joined} joined, {read} application messages read", COMMITS.len());
}

/// How many were read.
fn everybody_reads_everybody(group: &mut BTreeMap<&str, Box<dyn Member>>, number: usize) -> usize {
    let names: Vec<&str> = group.keys().copied().collect();
    let mut read = 0;
    for writer in &names {
        let text = format!("{writer} after commit {number}");
        let message = group.get_mut(writer).unwrap().write(&text);
        for reader in names.iter().filter(|reader| *reader != writer) {
            assert_eq!(group.get_mut(reader).unwrap().read(&message), text, "{reader} reads {writer}");
            read += 1;
        }
    }
    read
}
