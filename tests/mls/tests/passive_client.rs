//! `passive-client-welcome.json`, `passive-client-handling-commit.json`: a client that joins by a Welcome and follows
//! commits, through OpenMLS' public API on our cryptography. Epoch authenticators are compared at every step.
//!
//! OpenMLS' public API takes no key package together with given private keys; a `KeyPackageBundle` is put together in the form
//! in which OpenMLS itself stores it.

use openmls::prelude::tls_codec::{DeserializeBytes as _, Serialize as _};
use openmls::prelude::{
    JoinBuilder, KeyPackage, KeyPackageBundle, KeyPackageIn, KeyPackageVerifyError,
    MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY, MlsGroup, MlsGroupJoinConfig, MlsMessageBodyIn, MlsMessageIn,
    ProcessedMessageContent, ProcessedWelcome, ProtocolVersion, RatchetTreeIn,
};
use openmls::schedule::PreSharedKeyId;
use openmls::treesync::errors::LifetimeError;
use openmls_traits::OpenMlsProvider as _;
use openmls_traits::crypto::OpenMlsCrypto as _;
use openmls_traits::storage::StorageProvider as _;
use openmls_traits::types::{HpkePrivateKey, SignatureScheme};
use serde::Deserialize;
use serde_json::json;
use waxwing_mls_vectors::provider::{Ours, SUITE};
use waxwing_mls_vectors::vectors::{Hex, cases};

/// Cases of suite 3 in `passive-client-welcome.json`; none has an epoch after it.
const WELCOMES: usize = 8;
/// Cases of suite 3 in `passive-client-handling-commit.json`.
const HANDLING: usize = 13;
/// Their commits, together.
const COMMITS: usize = 26;
/// Their proposals by reference, together.
const PROPOSALS: usize = 12;

#[derive(Deserialize)]
struct Case {
    external_psks: Vec<Psk>,
    key_package: Hex,
    signature_priv: Hex,
    encryption_priv: Hex,
    init_priv: Hex,
    welcome: Hex,
    ratchet_tree: Option<Hex>,
    initial_epoch_authenticator: Hex,
    epochs: Vec<Epoch>,
}

#[derive(Deserialize)]
struct Psk {
    psk_id: Hex,
    psk: Hex,
}

#[derive(Deserialize)]
struct Epoch {
    proposals: Vec<Hex>,
    commit: Hex,
    epoch_authenticator: Hex,
}

#[test]
fn welcome() {
    let Some(cases) = cases::<Case>("passive-client-welcome.json", WELCOMES) else { return };
    let mut authenticators = 0;
    for case in cases {
        let seen = follow(&case);
        assert_eq!((seen.commits, seen.proposals), (0, 0));
        assert!(seen.expired, "these key packages ended in 2024");
        authenticators += seen.authenticators;
    }
    assert_eq!(authenticators, WELCOMES);
}

#[test]
fn handling_commit() {
    let Some(cases) = cases::<Case>("passive-client-handling-commit.json", HANDLING) else { return };
    let (mut authenticators, mut commits, mut proposals) = (0, 0, 0);
    for case in cases {
        let seen = follow(&case);
        assert!(!seen.expired, "these key packages never end");
        authenticators += seen.authenticators;
        commits += seen.commits;
        proposals += seen.proposals;
    }
    assert_eq!((commits, proposals), (COMMITS, PROPOSALS));
    assert_eq!(authenticators, HANDLING + COMMITS);
}

/// What was gone through, and compared.
#[derive(Default)]
struct Seen {
    expired: bool,
    authenticators: usize,
    commits: usize,
    proposals: usize,
}

fn follow(case: &Case) -> Seen {
    let provider = Ours::new(1);
    let mut seen = Seen::default();
    let key_package = key_package(&provider, case, &mut seen);
    keys_belong_together(&provider, case, &key_package);
    store_key_package(&provider, case, &key_package);
    for Psk { psk_id, psk } in &case.external_psks {
        PreSharedKeyId::external(psk_id.0.clone(), Vec::new()).store(&provider, psk).unwrap();
    }

    let mut group = join(&provider, case);
    let mut check = |group: &MlsGroup, expected: &[u8]| {
        assert_eq!(group.epoch_authenticator().as_slice(), expected);
        seen.authenticators += 1;
    };
    check(&group, &case.initial_epoch_authenticator);
    for epoch in &case.epochs {
        for proposal in &epoch.proposals {
            let ProcessedMessageContent::ProposalMessage(proposal) = process(&provider, &mut group, proposal) else {
                panic!("not a proposal")
            };
            group.store_pending_proposal(provider.storage(), *proposal).unwrap();
            seen.proposals += 1;
        }
        let ProcessedMessageContent::StagedCommitMessage(commit) = process(&provider, &mut group, &epoch.commit) else {
            panic!("not a commit")
        };
        group.merge_staged_commit(&provider, *commit).unwrap();
        check(&group, &epoch.epoch_authenticator);
        seen.commits += 1;
    }
    seen
}

fn message(bytes: &[u8]) -> MlsMessageIn {
    MlsMessageIn::tls_deserialize_exact_bytes(bytes).unwrap()
}

/// The own key package, verified but for its lifetime: OpenMLS looks at that last.
fn key_package(provider: &Ours, case: &Case, seen: &mut Seen) -> KeyPackage {
    let MlsMessageBodyIn::KeyPackage(unverified) = message(&case.key_package).extract() else {
        panic!("not a key package")
    };
    let check = |unverified: KeyPackageIn| unverified.validate(provider.crypto(), ProtocolVersion::Mls10);
    match check(unverified.clone()) {
        Ok(key_package) => key_package,
        Err(KeyPackageVerifyError::LifetimeError(LifetimeError::Expired { .. })) => {
            seen.expired = true;
            unverified.into_unchecked()
        }
        Err(error) => panic!("{error}"),
    }
}

/// The three private keys are those of the key package's three public ones.
fn keys_belong_together(provider: &Ours, case: &Case, key_package: &KeyPackage) {
    let crypto = provider.crypto();
    let leaf = key_package.leaf_node();
    let signature = crypto.sign(SignatureScheme::ED25519, b"any", &case.signature_priv).unwrap();
    crypto.verify_signature(SignatureScheme::ED25519, b"any", leaf.signature_key().as_slice(), &signature).unwrap();
    let encryption = leaf.encryption_key().tls_serialize_detached().unwrap();
    // The key as a vector of variable size: one byte of length.
    for (public, private) in
        [(key_package.hpke_init_key().as_slice(), &case.init_priv), (&encryption[1..], &case.encryption_priv)]
    {
        let sealed = crypto.hpke_seal(SUITE.hpke_config(), public, b"", b"", b"any").unwrap();
        assert_eq!(crypto.hpke_open(SUITE.hpke_config(), &sealed, private, b"", b"").unwrap(), b"any");
    }
}

fn store_key_package(provider: &Ours, case: &Case, key_package: &KeyPackage) {
    let private = |key: &Hex| HpkePrivateKey::from(key.0.as_slice());
    let bundle: KeyPackageBundle = serde_json::from_value(json!({
        "key_package": key_package,
        "private_init_key": private(&case.init_priv),
        "private_encryption_key": { "key": private(&case.encryption_priv) },
    }))
    .unwrap();
    let reference = key_package.hash_ref(provider.crypto()).unwrap();
    provider.storage().write_key_package(&reference, &bundle).unwrap();
}

fn join(provider: &Ours, case: &Case) -> MlsGroup {
    let config = MlsGroupJoinConfig::builder()
        .wire_format_policy(MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY)
        // This epoch's and the one's before, which some commits name.
        .number_of_resumption_psks(2)
        .build();
    let MlsMessageBodyIn::Welcome(welcome) = message(&case.welcome).extract() else { panic!("not a welcome") };
    let processed = ProcessedWelcome::new_from_welcome(provider, &config, welcome).unwrap();
    // The other leaves have expired too.
    let mut join = JoinBuilder::new(provider, processed).skip_lifetime_validation();
    if let Some(tree) = &case.ratchet_tree {
        join = join.with_ratchet_tree(RatchetTreeIn::tls_deserialize_exact_bytes(tree).unwrap());
    }
    join.build().unwrap().into_group(provider).unwrap()
}

fn process(provider: &Ours, group: &mut MlsGroup, bytes: &[u8]) -> ProcessedMessageContent {
    let message = message(bytes).try_into_protocol_message().unwrap();
    group.process_message(provider, message).unwrap().into_content()
}
