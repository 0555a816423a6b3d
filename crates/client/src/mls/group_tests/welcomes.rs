//! Welcomes of hosts that do not play by the rules.

use super::*;

/// A group that its host built with OpenMLS alone.
struct Host {
    log: LogId,
    identity: Vec<u8>,
    extensions: Vec<Extension>,
}

impl Host {
    /// Of whom nothing is wrong.
    fn honest(host: &Person, guest: &Person) -> Self {
        let roster = named("Birds", [host.line(RosterRole::Admin), guest.line(RosterRole::Member)]);
        let identity = LeafIdentity::of(host.account, host.keys.record()).encode();
        Self { log: LOG, identity, extensions: with_roster(roster.encode()) }
    }

    /// The Welcome to a group with the host and these.
    fn welcome(self, host: &mut Person, guests: &[KeyPackage]) -> Vec<u8> {
        let tx = host.db.transaction().unwrap();
        let provider = Provider::new(&host.crypto, &tx);
        let signer = LeafSigner(host.keys.mls());
        let credential = CredentialWithKey {
            credential: BasicCredential::new(self.identity).into(),
            signature_key: host.keys.record().mls.to_vec().into(),
        };
        let mut group = MlsGroup::builder()
            .with_group_id(GroupId::from_slice(self.log.as_bytes()))
            .ciphersuite(SUITE)
            .lifetime(lifetime())
            .with_capabilities(capabilities())
            .with_wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
            .use_ratchet_tree_extension(true)
            .with_group_context_extensions(Extensions::from_vec(self.extensions).unwrap())
            .build(&provider, &signer, credential)
            .unwrap();
        let (_, welcome, _) = group.add_members(&provider, &signer, guests).unwrap();
        welcome.tls_serialize_detached().unwrap()
    }
}

fn with_roster(bytes: Vec<u8>) -> Vec<Extension> {
    let demanded = RequiredCapabilitiesExtension::new(&[ExtensionType::Unknown(ROSTER_EXTENSION)], &[], &[]);
    vec![Extension::RequiredCapabilities(demanded), Extension::Unknown(ROSTER_EXTENSION, UnknownExtension(bytes))]
}

/// It is refused; nothing of it sticks, and the same key package still serves an honest host.
#[track_caller]
fn refused(change: impl FnOnce(&mut Host, &mut Vec<KeyPackage>), log: LogId, why: &'static str) {
    let [mut mallory, mut guest] = [5, 6].map(Person::new);
    let package = guest.package().package;
    let rows = guest.rows();
    let mut host = Host::honest(&mallory, &guest);
    let mut guests = vec![package.clone()];
    change(&mut host, &mut guests);
    let welcome = host.welcome(&mut mallory, &guests);
    assert_eq!(guest.join(log, &welcome).err(), Some(why));
    assert_eq!(guest.rows(), rows);
    let welcome = Host::honest(&mallory, &guest).welcome(&mut mallory, &[package]);
    let joined = guest.join(LOG, &welcome).unwrap();
    assert_eq!(joined.sender.identity.account, mallory.account);
}

#[test]
fn an_honest_one_is_joined() {
    let [mut host, mut guest] = [5, 6].map(Person::new);
    let package = guest.package().package;
    let welcome = Host::honest(&host, &guest).welcome(&mut host, &[package]);
    let joined = guest.join(LOG, &welcome).unwrap();
    assert_eq!(joined.facts.id, LOG);
    assert_eq!(joined.facts.leaves.len(), 2);
    assert_eq!(joined.own.identity, LeafIdentity::of(guest.account, guest.keys.record()));
    assert_eq!(joined.sender.mls_key, host.keys.record().mls);
    assert_eq!(guest.facts().leaves, joined.facts.leaves);
}

#[test]
fn for_another_group() {
    let why = "its Welcome is for another group";
    refused(|host, _| host.log = LogId::from_bytes([8; 16]), LOG, why);
    refused(|_, _| (), LogId::from_bytes([8; 16]), why);
}

#[test]
fn without_a_roster() {
    let why = "its group has no roster";
    refused(|host, _| host.extensions.clear(), LOG, why);
    refused(|host, _| host.extensions.truncate(1), LOG, why);
    refused(|host, _| host.extensions = with_roster(Vec::new()), LOG, why);
    refused(|host, _| host.extensions = with_roster(b"roster".to_vec()), LOG, why);
    refused(
        |host, _| {
            let Some(Extension::Unknown(_, roster)) = host.extensions.pop() else { panic!("no roster") };
            host.extensions = with_roster([roster.0.as_slice(), &[0]].concat());
        },
        LOG,
        why,
    );
}

#[test]
fn with_a_leaf_that_says_not_who_it_is() {
    let why = "its group has a leaf that says not who it is";
    for identity in [Vec::new(), b"mallory".to_vec(), vec![0; LeafIdentity::LEN], vec![5; LeafIdentity::LEN - 1]] {
        refused(|host, _| host.identity.clone_from(&identity), LOG, why);
        // Not the host's, but a third one's.
        refused(|_, guests| guests.push(Person::new(7).odd_package(identity.clone(), lifetime())), LOG, why);
    }
}

#[test]
fn for_another_device() {
    let [mut host, mut guest, mut other] = [5, 6, 7].map(Person::new);
    guest.package();
    let package = other.package().package;
    let welcome = Host::honest(&host, &guest).welcome(&mut host, &[package]);
    assert_eq!(guest.join(LOG, &welcome).err(), Some(crate::mls::NO_PRIVATE_PART));
}

#[test]
fn what_is_no_welcome() {
    let [mut host, mut guest] = [5, 6].map(Person::new);
    let package = guest.package().package;
    let welcome = Host::honest(&host, &guest).welcome(&mut host, std::slice::from_ref(&package));
    let trailing = [welcome.as_slice(), &[0]].concat();
    let package = key_package::message(package).unwrap();
    for bytes in [&[][..], b"welcome", &welcome[..welcome.len() - 1], &trailing, &package] {
        assert_eq!(guest.join(LOG, bytes).err(), Some("it holds no Welcome"));
    }
    guest.join(LOG, &welcome).unwrap();
}

#[test]
fn no_byte_of_a_welcome_can_be_changed() {
    let [mut host, mut guest] = [5, 6].map(Person::new);
    let package = guest.package().package;
    let welcome = Host::honest(&host, &guest).welcome(&mut host, &[package]);
    let rows = guest.rows();
    for at in (0..welcome.len()).step_by(7) {
        let mut wrong = welcome.clone();
        wrong[at] ^= 1;
        assert!(guest.join(LOG, &wrong).is_err(), "byte {at}");
    }
    assert_eq!(guest.rows(), rows);
    guest.join(LOG, &welcome).unwrap();
}

#[test]
fn a_one_time_key_package_serves_once() {
    let [mut host, mut guest] = [5, 6].map(Person::new);
    let package = guest.package().package;
    let first = Host::honest(&host, &guest).welcome(&mut host, std::slice::from_ref(&package));
    guest.join(LOG, &first).unwrap();
    let tx = guest.db.transaction().unwrap();
    storage::delete_group(&tx, LOG.as_bytes()).unwrap();
    tx.commit().unwrap();
    let second = Host::honest(&host, &guest);
    host = Person::new(5);
    let second = second.welcome(&mut host, &[package]);
    assert_eq!(guest.join(LOG, &second).err(), Some(crate::mls::NO_PRIVATE_PART));
}
