//! Key packages that a relay hands out: whose they must be (P2), which key may stand where (P4), and what they must be good for.

use waxwing_protocol::{AccountKey, RecoveryPhrase, statement};
use waxwing_wire::VerifiedChain;

use super::*;

const NOT_THEIRS: &str = "its keys are not those of the chain";

/// An account with a chain of two versions of its one device's keys.
struct Owner {
    person: Person,
    account_key: AccountKey,
    chain: VerifiedChain,
}

impl Owner {
    fn new(number: u8) -> Self {
        let person = Person::new(number);
        let account_key = AccountKey::generate(&mut random::rng());
        let recovery = RecoveryPhrase::generate(&mut random::rng()).recovery_key();
        let entry = statement::create(person.account, "host", None, &account_key, &recovery, &person.keys, 0);
        let chain = VerifiedChain::verify(&[entry.as_bytes()]).unwrap();
        Self { person, account_key, chain }
    }

    fn rotate(&mut self) -> DeviceKeys {
        let new = self.person.next_keys();
        let entry = statement::rotate_device_keys(&self.chain, &self.account_key, &new, 1);
        self.chain.extend(entry.as_bytes()).unwrap();
        std::mem::replace(&mut self.person.keys, new)
    }

    fn identity(&self) -> LeafIdentity {
        LeafIdentity::of(self.person.account, self.person.keys.record())
    }

    fn package(&mut self) -> Vec<u8> {
        key_package::message(self.person.package().package).unwrap()
    }

    /// A key package that says this, signed by this device's MLS key.
    fn saying(&mut self, identity: LeafIdentity) -> Vec<u8> {
        key_package::message(self.person.odd_package(identity.encode(), lifetime())).unwrap()
    }

    fn read(&self, bytes: &[u8]) -> Result<(), String> {
        let read = read_package(&self.person.crypto, &self.chain, self.person.keys.device(), bytes);
        read.map(drop).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn refuses(&self, bytes: &[u8], why: &str) {
        let error = self.read(bytes).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn p2_a_key_package_is_of_one_account_and_device() {
    let [mut alice, mut bob] = [1, 2].map(Owner::new);
    let package = bob.package();
    bob.read(&package).unwrap();
    alice.refuses(&package, NOT_THEIRS);
    // Bob's device is in no chain but his.
    let crypto = &alice.person.crypto;
    let other = read_package(crypto, &alice.chain, bob.person.keys.device(), &package).map(drop).unwrap_err();
    assert!(other.to_string().contains("unknown device"), "{other}");
    // Alice's own key under another name, and another's key under hers.
    let (hers, his) = (alice.identity(), bob.identity());
    let package = alice.saying(his);
    alice.refuses(&package, NOT_THEIRS);
    bob.refuses(&package, NOT_THEIRS);
    let package = bob.saying(hers);
    alice.refuses(&package, NOT_THEIRS);
    bob.refuses(&package, NOT_THEIRS);
    for identity in [
        LeafIdentity { account: his.account, ..hers },
        LeafIdentity { device: his.device, ..hers },
        LeafIdentity { key_version: 2, ..hers },
        LeafIdentity { signing: his.signing, ..hers },
        LeafIdentity { signing: alice.person.keys.record().relay_auth, ..hers },
        LeafIdentity { signing: alice.person.keys.record().mls, ..hers },
        LeafIdentity { signing: alice.account_key.public(), ..hers },
    ] {
        let package = alice.saying(identity);
        alice.refuses(&package, NOT_THEIRS);
    }
    let package = alice.saying(hers);
    alice.read(&package).unwrap();
}

#[test]
fn p2_a_key_package_is_of_the_version_in_force() {
    let mut alice = Owner::new(1);
    let old = alice.package();
    alice.read(&old).unwrap();
    let first = alice.rotate();
    alice.refuses(&old, NOT_THEIRS);
    // What the old keys say of the new version, and the other way round.
    let (new, old) = (alice.identity(), LeafIdentity::of(alice.person.account, first.record()));
    let package = alice.saying(old);
    alice.refuses(&package, NOT_THEIRS);
    let second = std::mem::replace(&mut alice.person.keys, first);
    for identity in [new, LeafIdentity { key_version: 2, ..old }] {
        let package = alice.saying(identity);
        alice.refuses(&package, NOT_THEIRS);
    }
    alice.person.keys = second;
    let package = alice.package();
    alice.read(&package).unwrap();
}

/// A leaf is signed by the MLS key, and by no other key of its device or account.
#[test]
fn p4_a_leaf_is_signed_by_the_mls_key_alone() {
    let mut alice = Owner::new(1);
    let identity = alice.identity();
    let (keys, account_key) = (alice.person.keys.seeds().clone(), *alice.account_key.seed());
    let keys = DeviceKeys::new(alice.person.keys.device(), 1, keys).unwrap();
    let account_key = ed25519_dalek::SigningKey::from_bytes(&account_key);
    for key in [keys.signing(), keys.relay_auth(), &account_key] {
        let tx = alice.person.db.transaction().unwrap();
        let provider = Provider::new(&alice.person.crypto, &tx);
        let credential = CredentialWithKey {
            credential: BasicCredential::new(identity.encode()).into(),
            signature_key: key.verifying_key().to_bytes().to_vec().into(),
        };
        let builder = KeyPackage::builder().key_package_lifetime(lifetime()).leaf_node_capabilities(capabilities());
        let package = builder.build(SUITE, &provider, &LeafSigner(key), credential).unwrap();
        tx.rollback().unwrap();
        let bytes = key_package::message(package.into_key_package()).unwrap();
        alice.refuses(&bytes, NOT_THEIRS);
    }
}

#[test]
fn p8_a_key_package_of_another_suite_is_refused() {
    let mut alice = Owner::new(1);
    let other = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
    let good = alice.package();
    // RFC 9420, section 10: `version u16 | wire format u16 | version u16 | cipher suite u16`.
    let mut bytes = good.clone();
    assert_eq!(bytes[6..8], (SUITE as u16).to_be_bytes());
    bytes[6..8].copy_from_slice(&(other as u16).to_be_bytes());
    alice.refuses(&bytes, "a key package is not usable");
    bytes[6..8].copy_from_slice(&[0xff, 0xff]);
    alice.refuses(&bytes, "a key package is not usable");
    alice.read(&good).unwrap();
}

#[test]
fn p8_a_key_package_that_is_cut_long_or_bent_is_refused() {
    let mut alice = Owner::new(1);
    let good = alice.package();
    for length in (0..good.len()).step_by(3) {
        alice.refuses(&good[..length], "it cannot be read");
    }
    alice.refuses(&[good.as_slice(), &[0]].concat(), "it cannot be read");
    alice.refuses(&vec![0; 4097], "too long");
    for at in 0..good.len() {
        let mut bent = good.clone();
        bent[at] ^= 1;
        alice.refuses(&bent, "a key package is not usable");
    }
    alice.read(&good).unwrap();
}

/// With an end, two members' clocks could come to two groups; one that is over, or not yet good, is refused by the clock already.
#[test]
fn d8_a_key_package_that_ends_is_refused() {
    let mut alice = Owner::new(1);
    let identity = alice.identity().encode();
    for (from, to) in [(0, 1), (0, u64::MAX - 1), (1, u64::MAX), (u64::MAX - 1, u64::MAX)] {
        let package = alice.person.odd_package(identity.clone(), Lifetime::init(from, to));
        let bytes = key_package::message(package).unwrap();
        alice.refuses(&bytes, "a key package is not usable");
    }
}

/// Whoever adds it seals to its init key, and everybody who commits afterwards to its leaf: with a key that nobody can seal to, the group would
/// stand still.
#[test]
fn p8_a_key_package_with_a_key_that_nobody_can_seal_to_is_refused() {
    let mut alice = Owner::new(1);
    for which in [Which::Init, Which::PackageLeaf] {
        for public in unusable() {
            let (_, bytes) = alice.person.bent_package(which, &public);
            alice.refuses(&bytes, "a key package is not usable");
            // An empty one is not even read.
            if !public.is_empty() {
                alice.refuses(&bytes, "nobody can seal to its keys");
            }
        }
        // The harness bends nothing else.
        let (_, bytes) = alice.person.bent_package(which, &[9; 32]);
        alice.read(&bytes).unwrap();
    }
}
