//! The keychain holds the keys; no file of the person's holds a key or a message, whether the app runs or was killed.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ciborium::Value;
use waxwing_tests::person::Person;
use waxwing_tests::search::{Needle, files, needles, search};
use waxwing_tests::{Fault, Outcome};

use crate::Two;

const MINE: &str = "Quokka at half past nine, behind the observatory.";
const THEIRS: &str = "Pangolin brings the umbrella and the second map.";
const DRAFT: &str = "Axolotl has not decided yet whether to come along.";

/// Every key of the keychain's record: base64 of CBOR, whose byte strings are keys or rows of 32-byte seeds.
pub(crate) fn keys_of(secret: &str) -> Outcome<Vec<Vec<u8>>> {
    let wrong = |what: &str| Fault::Unexpected(format!("the keychain's record: {what}"));
    let cbor = STANDARD_NO_PAD.decode(secret).map_err(|_| wrong("no base64"))?;
    let record: Value = ciborium::from_reader(cbor.as_slice()).map_err(|_| wrong("no CBOR"))?;
    let fields = record.into_map().map_err(|_| wrong("no map"))?;
    let strings = fields.into_iter().filter_map(|(_, value)| value.into_bytes().ok());
    let keys: Vec<Vec<u8>> =
        strings.flat_map(|bytes| bytes.chunks(32).map(<[u8]>::to_vec).collect::<Vec<_>>()).collect();
    // Database key, account seed, five device seeds.
    if keys.len() == 7 && keys.iter().all(|key| key.len() == 32) { Ok(keys) } else { Err(wrong("not seven keys")) }
}

fn secrets_of(person: &Person) -> Outcome<Vec<Needle>> {
    let secret = person.keychain_secret()?;
    let mut all = needles("the keychain's record", secret.as_bytes());
    for (number, key) in keys_of(&secret)?.iter().enumerate() {
        all.extend(needles(&format!("key {number}"), key));
    }
    for (name, text) in [("own message", MINE), ("their message", THEIRS), ("draft", DRAFT)] {
        all.extend(needles(name, text.as_bytes()));
    }
    Ok(all)
}

/// Plants one secret in each form the search must know, and expects to find all of them. Gone afterwards.
fn assert_control_is_found(person: &Person, secrets: &[Needle]) -> Outcome<()> {
    let key = keys_of(&person.keychain_secret()?)?.remove(0);
    let dir = person.home().join(".cache/planted");
    fs::create_dir_all(&dir).map_err(Fault::io("the control"))?;
    let utf16: Vec<u8> = MINE.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let shifted = |offset: usize| [vec![b'x'; offset], key.clone(), b"yz".to_vec()].concat();
    let planted: [(&str, Vec<u8>); 8] = [
        ("raw-key", key.clone()),
        ("hex-key", hex::encode(&key).into_bytes()),
        ("base64-key-0", STANDARD.encode(shifted(0)).into_bytes()),
        ("base64-key-1", STANDARD.encode(shifted(1)).into_bytes()),
        ("base64-key-2", STANDARD.encode(shifted(2)).into_bytes()),
        ("utf8-text", format!("before {MINE} after").into_bytes()),
        ("utf16-text", utf16),
        ("base64-text", STANDARD.encode(format!("x{THEIRS}")).into_bytes()),
    ];
    for (name, content) in &planted {
        fs::write(dir.join(name), content).map_err(Fault::io("the control"))?;
    }
    let finds = search(person.folders(), secrets)?;
    for (name, _) in &planted {
        assert!(finds.iter().any(|find| find.file.ends_with(name)), "the search does not find {name}");
    }
    fs::remove_dir_all(&dir).map_err(Fault::io("the control"))
}

#[tokio::test]
async fn the_keychain_holds_the_keys_and_no_file_does() -> Outcome<()> {
    let mut two = Two::meet().await?;
    two.ada_window.write(MINE).await?;
    two.ada_window.wait_message(MINE, "sent").await?;
    two.bea_window.write(THEIRS).await?;
    two.ada_window.wait_message(THEIRS, "received").await?;
    two.ada_window.type_into(r#"[data-testid="composer"]"#, DRAFT).await?;
    // Leaving the field stores the draft.
    two.ada_window.click(r#"[data-testid="open-settings"]"#).await?;
    two.ada_window.close_dialog(r#"[data-testid="settings"]"#).await?;

    let secrets = secrets_of(&two.ada)?;
    let webview = two.ada.profile_dir().join("webview");
    assert!(!files(&webview)?.is_empty(), "WebKit's folders are among those searched");
    assert_control_is_found(&two.ada, &secrets)?;
    let finds = search(two.ada.folders(), &secrets)?;
    assert!(finds.is_empty(), "while running: {finds:#?}");

    two.ada.kill_app(two.ada_window).await?;
    let finds = search(two.ada.folders(), &secrets)?;
    assert!(finds.is_empty(), "after kill -9: {finds:#?}");
    assert_control_is_found(&two.ada, &secrets)?;

    // The same keychain opens the same history, the draft too.
    let window = two.ada.open_app().await?;
    window.wait_ready().await?;
    window.open_conversation().await?;
    window.wait_message(MINE, "sent").await?;
    assert_eq!(window.value(r#"[data-testid="composer"]"#).await?, DRAFT);
    window.close().await?;
    two.bea_window.close().await
}
