//! How every run begins: both in one group, with a log that nothing stands in. Made once in a process.

use std::sync::LazyLock;

use openmls::prelude::{GroupId, KeyPackage, MlsGroup, MlsGroupCreateConfig, StagedWelcome};
use openmls::prelude::{MlsMessageBodyIn, MlsMessageIn};
use openmls_memory_storage::MemoryStorage;
use openmls_traits::OpenMlsProvider as _;
use waxwing_protocol::ChannelSecret;
use waxwing_protocol::group::{CHANNEL_SECRET_EXPORT, GroupKind, Roster, RosterLine, RosterRole};

use super::mls::{LeafSigner, Provider, SUITE, capabilities, copy, credential, extensions, join_config, lifetime};
use crate::people::{LOG, Person};

/// Versions of each one's device keys.
pub(super) const VERSIONS: u32 = 3;

/// X-Wing keys are slow to make.
static PEOPLE: LazyLock<[[Person; VERSIONS as usize]; 2]> =
    LazyLock::new(|| [1, 2].map(|number| [1, 2, 3].map(|version| Person::at(number, version))));

/// One of the two, with the device keys of a version.
pub(super) fn person(who: usize, version: u32) -> &'static Person {
    &PEOPLE[who][version as usize - 1]
}

pub(super) static BASE: LazyLock<Base> = LazyLock::new(Base::new);

pub(super) struct Base {
    pub(super) stored: [MemoryStorage; 2],
    pub(super) secret: ChannelSecret,
}

impl Base {
    fn new() -> Self {
        let (one, two) = (person(0, 1), person(1, 1));
        let (ones, twos) =
            (Provider::new(0x30, &MemoryStorage::default()), Provider::new(0x31, &MemoryStorage::default()));
        let config = MlsGroupCreateConfig::builder()
            .ciphersuite(SUITE)
            .wire_format_policy(join_config().wire_format_policy())
            .use_ratchet_tree_extension(true)
            .max_past_epochs(0)
            .sender_ratchet_configuration(*join_config().sender_ratchet_configuration())
            .capabilities(capabilities())
            .lifetime(lifetime())
            .with_group_context_extensions(extensions(&roster()))
            .build();
        let id = GroupId::from_slice(LOG.as_bytes());
        let mut group =
            MlsGroup::new_with_group_id(&ones, &LeafSigner(one), &config, id, credential(one)).expect("a group");
        let secret = group.export_secret(ones.crypto(), CHANNEL_SECRET_EXPORT, &[], 32).expect("a secret");
        let secret = ChannelSecret::from_bytes(secret.as_slice().try_into().expect("32 bytes"));
        let (_, welcome, _) = group.add_members(&ones, &LeafSigner(one), &[key_package(&twos, two)]).expect("a commit");
        group.merge_pending_commit(&ones).expect("an own commit");
        join(&twos, &welcome.to_bytes().expect("a Welcome")).expect("it opens");
        Self { stored: [copy(ones.storage()), copy(twos.storage())], secret }
    }
}

/// A fresh key package, whose private parts are stored.
pub(super) fn key_package(provider: &Provider, person: &'static Person) -> KeyPackage {
    KeyPackage::builder()
        .key_package_lifetime(lifetime())
        .leaf_node_capabilities(capabilities())
        .build(SUITE, provider, &LeafSigner(person), credential(person))
        .expect("a key package")
        .into_key_package()
}

/// Joins a group by an `MLSMessage` with a Welcome.
pub(super) fn join(provider: &Provider, bytes: &[u8]) -> Result<MlsGroup, &'static str> {
    use openmls::prelude::tls_codec::DeserializeBytes as _;
    let message = MlsMessageIn::tls_deserialize_exact_bytes(bytes).map_err(|_| "no MLS message")?;
    let MlsMessageBodyIn::Welcome(welcome) = message.extract() else { return Err("no Welcome") };
    let staged =
        StagedWelcome::new_from_welcome(provider, &join_config(), welcome, None).map_err(|_| "it does not open")?;
    let context = staged.group_context();
    if context.group_id().as_slice() != LOG.as_bytes() || context.ciphersuite() != SUITE {
        return Err("it is for another group");
    }
    Ok(staged.into_group(provider).expect("a Welcome that opened"))
}

fn roster() -> Roster {
    let line = |who| {
        let account = person(who, 1).account;
        let home = format!("person{who}@waxwing.example").parse().expect("an address");
        RosterLine {
            account,
            role: RosterRole::Admin,
            account_key: [1; 32],
            recovery_key: [2; 32],
            chain_seq: 0,
            chain_head: [3; 32],
            home,
        }
    };
    let mut lines = vec![line(0), line(1)];
    lines.sort_by_key(|line| line.account);
    Roster { kind: GroupKind::Group, conversation: [7; 32], generation: 1, name: "Birds".to_owned(), lines }
}
