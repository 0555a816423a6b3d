use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, date_time_ymd};

use super::*;

const RELAY: &str = "relay.example.org:8443";
const FILE: &str = "certificates/relay.example.org_8443.pem";

/// A certificate and its key, in PEM.
fn pair(key: &KeyPair) -> (String, String) {
    let mut params = CertificateParams::new(vec!["client".to_owned()]).unwrap();
    params.not_after = date_time_ymd(2031, 2, 3);
    (params.self_signed(key).unwrap().pem(), key.serialize_pem())
}

fn good() -> String {
    let (certificate, key) = pair(&KeyPair::generate().unwrap());
    certificate + &key
}

/// A profile's folder, and a file beside it that holds this.
fn with(text: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("given.pem");
    fs::write(&file, text).unwrap();
    (dir, file)
}

#[test]
fn added_listed_replaced_and_removed() {
    let (first, second) = (good(), good());
    let (dir, file) = with(&first);
    let profile = dir.path().join("profile");
    assert_eq!(certificates(&profile).unwrap(), []);
    assert!(!remove_certificate(&profile, RELAY).unwrap());
    let added = add_certificate(&profile, &format!(" {RELAY}#{}", "0a".repeat(32)), &file).unwrap();
    assert_eq!((added.relay.as_str(), added.problem.as_ref()), (RELAY, None));
    let der = CertificateDer::from_pem_slice(first.as_bytes()).unwrap();
    assert_eq!(added.fingerprint.as_deref(), Some(to_hex(&hash(&[der.as_ref()])).as_str()));
    assert_eq!(added.valid_until, Some(1_927_843_200_000.0), "2031-02-03");
    assert_eq!(fs::read_to_string(profile.join(FILE)).unwrap(), first);

    fs::write(&file, &second).unwrap();
    let replaced = add_certificate(&profile, RELAY, &file).unwrap();
    assert_ne!(replaced.fingerprint, added.fingerprint);
    let elsewhere = add_certificate(&profile, "[::1]:4000", &file).unwrap();
    fs::write(profile.join("certificates/notes.txt"), "none of ours").unwrap();
    assert_eq!(certificates(&profile).unwrap(), [elsewhere.clone(), replaced]);
    // Nothing of a file on its way stays.
    assert_eq!(fs::read_dir(profile.join(FOLDER)).unwrap().count(), 3);

    assert!(remove_certificate(&profile, RELAY).unwrap());
    assert_eq!(certificates(&profile).unwrap(), [elsewhere]);
    let error = add_certificate(&profile, "no relay", &file).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidAddress);
}

#[test]
fn each_relay_has_its_own() {
    let (dir, file) = with(good());
    add_certificate(dir.path(), RELAY, &file).unwrap();
    let at = |relay: &str| load(&file_of(dir.path(), &relay.parse().unwrap())).unwrap();
    assert!(at(RELAY).is_some());
    for other in ["relay.example.org", "relay.example.org:443", "relay.example.com:8443", "example.org:8443"] {
        assert!(at(other).is_none(), "{other}");
    }
    // So long that no file could be called so.
    let label = "a".repeat(62);
    assert!(at(&format!("{label}.{label}.{label}.{label}:65535")).is_none());
}

#[test]
fn keys_of_all_kinds() {
    for key in [KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384), KeyPair::generate_for(&PKCS_ED25519)] {
        let (certificate, key) = pair(&key.unwrap());
        // In whatever order, and with words between.
        understand(format!("words\n{key}{certificate}").as_bytes()).unwrap();
    }
}

#[test]
fn what_cannot_be_used_is_refused_and_changes_nothing() {
    let (certificate, key) = pair(&KeyPair::generate().unwrap());
    let (_, other_key) = pair(&KeyPair::generate().unwrap());
    let broken = certificate.replacen("\nMII", "\n!!!", 1);
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let long = format!("{certificate}{key}{}", " ".repeat(LONGEST));
    let sealed = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let cases = [
        (String::new(), Unusable::NoCertificate),
        ("not PEM".to_owned(), Unusable::NoCertificate),
        (key.clone(), Unusable::NoCertificate),
        (broken + &key, Unusable::NotPem),
        (format!("{no_certificate}{key}"), Unusable::BadCertificate),
        (certificate.clone(), Unusable::NoKey),
        (format!("{certificate}{sealed}"), Unusable::NoKey),
        (format!("{certificate}{no_key}"), Unusable::BadKey),
        (format!("{certificate}{other_key}"), Unusable::OtherKey),
        (long, Unusable::TooLong),
    ];
    let (dir, file) = with(good());
    add_certificate(dir.path(), RELAY, &file).unwrap();
    let before = fs::read(dir.path().join(FILE)).unwrap();
    for (text, why) in cases {
        fs::write(&file, &text).unwrap();
        let error = add_certificate(dir.path(), RELAY, &file).unwrap_err();
        assert_eq!(error.code(), ErrorCode::CertificateUnusable, "{why}");
        assert_eq!(error.to_string(), format!("{}: {why}", file.display()));
        assert_eq!(fs::read(dir.path().join(FILE)).unwrap(), before, "{why}");
        // Put there by somebody else it is listed with what is wrong.
        fs::write(dir.path().join(FILE), &text).unwrap();
        let listed = certificates(dir.path()).unwrap();
        assert_eq!(
            listed[0].problem.as_ref().map(|problem| problem.code),
            Some(ErrorCode::CertificateUnusable),
            "{why}"
        );
        assert_eq!((listed.len(), &listed[0].fingerprint), (1, &None));
        fs::write(dir.path().join(FILE), &before).unwrap();
    }
    let gone = add_certificate(dir.path(), RELAY, &dir.path().join("gone")).unwrap_err();
    assert_eq!(gone.code(), ErrorCode::CertificateUnusable);
}

#[cfg(unix)]
#[test]
fn others_must_not_read_it() {
    use std::os::unix::fs::PermissionsExt as _;

    let (dir, file) = with(good());
    let profile = dir.path().join("profile");
    // Whatever the file that was given may be read by.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    add_certificate(&profile, RELAY, &file).unwrap();
    let own = profile.join(FILE);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&own), mode(&profile.join(FOLDER)), mode(&profile)), (0o600, 0o700, 0o700));
    for open in [0o644, 0o640, 0o604, 0o620, 0o610, 0o601, 0o660, 0o777] {
        fs::set_permissions(&own, fs::Permissions::from_mode(open)).unwrap();
        assert_eq!(load(&own).unwrap_err(), Unusable::OpenToOthers(open));
        let problem = certificates(&profile).unwrap().remove(0).problem.unwrap();
        assert!(problem.detail.ends_with(&format!("(mode {open:03o})")), "{}", problem.detail);
    }
    for private in [0o600, 0o400, 0o700] {
        fs::set_permissions(&own, fs::Permissions::from_mode(private)).unwrap();
        assert!(load(&own).unwrap().is_some(), "{private:o}");
    }
}

#[test]
fn p12_nothing_of_the_key_is_printed() {
    let (certificate, key) = pair(&KeyPair::generate().unwrap());
    let (dir, file) = with(certificate + &key);
    let added = add_certificate(dir.path(), RELAY, &file).unwrap();
    let der = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let own = load(&dir.path().join(FILE)).unwrap().unwrap();
    let shown = format!("{added:?}{own:?}{}", serde_json::to_string(&added).unwrap());
    for line in key.lines().filter(|line| !line.starts_with('-')) {
        assert!(!shown.contains(line), "{shown}");
    }
    assert!(
        !shown.contains(&to_hex(&der.secret_der()[40..50]))
            && !shown.contains(&format!("{:?}", &der.secret_der()[40..44]))
    );
}
