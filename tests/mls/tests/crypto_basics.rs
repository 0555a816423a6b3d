//! `crypto-basics.json`: the labelled functions of RFC 9420 on our primitives.

use openmls_traits::types::HpkeCiphertext;
use serde::Deserialize;
use waxwing_mls_vectors::labels;
use waxwing_mls_vectors::provider::crypto;
use waxwing_mls_vectors::vectors::{Hex, cases};

/// Cases of suite 3.
const CASES: usize = 1;

#[derive(Deserialize)]
struct Case {
    ref_hash: RefHash,
    expand_with_label: Expand,
    derive_secret: Derive,
    derive_tree_secret: Tree,
    sign_with_label: Sign,
    encrypt_with_label: Encrypt,
}

#[derive(Deserialize)]
struct RefHash {
    label: String,
    value: Hex,
    out: Hex,
}

#[derive(Deserialize)]
struct Expand {
    secret: Hex,
    label: String,
    context: Hex,
    length: usize,
    out: Hex,
}

#[derive(Deserialize)]
struct Derive {
    secret: Hex,
    label: String,
    out: Hex,
}

#[derive(Deserialize)]
struct Tree {
    secret: Hex,
    label: String,
    generation: u32,
    length: usize,
    out: Hex,
}

#[derive(Deserialize)]
struct Sign {
    r#priv: Hex,
    r#pub: Hex,
    content: Hex,
    label: String,
    signature: Hex,
}

#[derive(Deserialize)]
struct Encrypt {
    r#priv: Hex,
    r#pub: Hex,
    label: String,
    context: Hex,
    plaintext: Hex,
    kem_output: Hex,
    ciphertext: Hex,
}

#[test]
fn crypto_basics() {
    let Some(cases) = cases::<Case>("crypto-basics.json", CASES) else { return };
    let crypto = crypto(1);
    for case in cases {
        // Section 5.2.
        let it = case.ref_hash;
        assert_eq!(labels::ref_hash(&crypto, &it.label, &it.value), *it.out);

        // Section 8.
        let it = case.expand_with_label;
        assert_eq!(labels::expand_with_label(&crypto, &it.secret, &it.label, &it.context, it.length), *it.out);
        let it = case.derive_secret;
        assert_eq!(labels::derive_secret(&crypto, &it.secret, &it.label), *it.out);

        // Section 9.
        let it = case.derive_tree_secret;
        assert_eq!(labels::derive_tree_secret(&crypto, &it.secret, &it.label, it.generation, it.length), *it.out);

        // Section 5.1.2. Ed25519 is deterministic, so the signature is the very same.
        let it = case.sign_with_label;
        assert_eq!(labels::sign_with_label(&crypto, &it.r#priv, &it.label, &it.content), *it.signature);
        let verify = |label, content| labels::verify_with_label(&crypto, &it.r#pub, label, content, &it.signature);
        assert!(verify(&it.label, &it.content).is_ok());
        assert!(verify("another label", &it.content).is_err());
        assert!(verify(&it.label, b"another content").is_err());

        // Section 5.1.3.
        let it = case.encrypt_with_label;
        let decrypt = |label, context, sealed| labels::decrypt_with_label(&crypto, &it.r#priv, label, context, sealed);
        let theirs =
            HpkeCiphertext { kem_output: it.kem_output.0.clone().into(), ciphertext: it.ciphertext.0.clone().into() };
        assert_eq!(decrypt(&it.label, &it.context, &theirs).unwrap(), *it.plaintext);
        assert!(decrypt("another label", &it.context, &theirs).is_err());
        assert!(decrypt(&it.label, b"another context", &theirs).is_err());
        let ours = labels::encrypt_with_label(&crypto, &it.r#pub, &it.label, &it.context, &it.plaintext).unwrap();
        assert_eq!(decrypt(&it.label, &it.context, &ours).unwrap(), *it.plaintext);
    }
}
