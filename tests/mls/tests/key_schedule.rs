//! `key-schedule.json`: the key schedule of RFC 9420, section 8, on our primitives.
//!
//! OpenMLS keeps its own key schedule to itself: its public API has no way to run one from given secrets. That it agrees with
//! this one is shown by `passive_client.rs`, whose epoch authenticators come out of OpenMLS' schedule.

use openmls_traits::crypto::OpenMlsCrypto as _;
use serde::Deserialize;
use waxwing_mls_vectors::codec::var;
use waxwing_mls_vectors::labels::{NH, derive_secret, expand_with_label, extract, hash};
use waxwing_mls_vectors::provider::{SUITE, crypto};
use waxwing_mls_vectors::vectors::{Hex, cases};

/// Cases of suite 3.
const CASES: usize = 1;
/// Their epochs, together.
const EPOCHS: usize = 5;

#[derive(Deserialize)]
struct Case {
    group_id: Hex,
    initial_init_secret: Hex,
    epochs: Vec<Epoch>,
}

#[derive(Deserialize)]
struct Epoch {
    tree_hash: Hex,
    commit_secret: Hex,
    psk_secret: Hex,
    confirmed_transcript_hash: Hex,

    group_context: Hex,
    joiner_secret: Hex,
    welcome_secret: Hex,
    init_secret: Hex,
    sender_data_secret: Hex,
    encryption_secret: Hex,
    exporter_secret: Hex,
    epoch_authenticator: Hex,
    external_secret: Hex,
    confirmation_key: Hex,
    membership_key: Hex,
    resumption_psk: Hex,
    external_pub: Hex,
    exporter: Exporter,
}

#[derive(Deserialize)]
struct Exporter {
    label: String,
    context: Hex,
    length: usize,
    secret: Hex,
}

#[test]
fn key_schedule() {
    let Some(cases) = cases::<Case>("key-schedule.json", CASES) else { return };
    let crypto = crypto(1);
    let mut epochs = 0;
    for case in cases {
        let mut init_secret = case.initial_init_secret.0;
        for (number, epoch) in case.epochs.iter().enumerate() {
            // `GroupContext` (section 8.1), without extensions.
            let context = [
                1_u16.to_be_bytes().to_vec(),
                (SUITE as u16).to_be_bytes().to_vec(),
                var(&case.group_id),
                u64::try_from(number).unwrap().to_be_bytes().to_vec(),
                var(&epoch.tree_hash),
                var(&epoch.confirmed_transcript_hash),
                var(b""),
            ]
            .concat();
            assert_eq!(context, *epoch.group_context);

            // The figure of section 8, from top to bottom.
            let extracted = extract(&crypto, &init_secret, &epoch.commit_secret);
            let joiner = expand_with_label(&crypto, &extracted, "joiner", &context, NH);
            assert_eq!(joiner, *epoch.joiner_secret);
            let member = extract(&crypto, &joiner, &epoch.psk_secret);
            assert_eq!(derive_secret(&crypto, &member, "welcome"), *epoch.welcome_secret);
            let secret = expand_with_label(&crypto, &member, "epoch", &context, NH);

            // Table 4.
            for (label, expected) in [
                ("sender data", &epoch.sender_data_secret),
                ("encryption", &epoch.encryption_secret),
                ("exporter", &epoch.exporter_secret),
                ("external", &epoch.external_secret),
                ("confirm", &epoch.confirmation_key),
                ("membership", &epoch.membership_key),
                ("resumption", &epoch.resumption_psk),
                ("authentication", &epoch.epoch_authenticator),
                ("init", &epoch.init_secret),
            ] {
                assert_eq!(derive_secret(&crypto, &secret, label), **expected, "{label}");
            }

            // Section 8.3.
            let external = crypto.derive_hpke_keypair(SUITE.hpke_config(), &epoch.external_secret).unwrap();
            assert_eq!(external.public, *epoch.external_pub);

            // Section 8.5.
            let exporter = &epoch.exporter;
            let derived = derive_secret(&crypto, &epoch.exporter_secret, &exporter.label);
            let context = hash(&crypto, &exporter.context);
            let exported = expand_with_label(&crypto, &derived, "exported", &context, exporter.length);
            assert_eq!(exported, *exporter.secret);

            init_secret.clone_from(&epoch.init_secret.0);
            epochs += 1;
        }
    }
    assert_eq!(epochs, EPOCHS);
}
