//! Keys are rotated in the settings, and the chat goes on; the other side shows one quiet line for each rotation.

use waxwing_tests::window::{Window, testid};
use waxwing_tests::{Fault, Outcome, wait};

use crate::{FIRST, Two};

const ROTATIONS: u32 = 20;
/// The second keys of an account, in a history of keys, as their relay's log holds them.
const PROVED: &str = r#"[data-testid="keys-history-item"][data-version="2"][data-state="proved"]"#;

#[tokio::test]
async fn keys_are_rotated_and_the_chat_goes_on() -> Outcome<()> {
    let two = Two::meet().await?;
    let (ada, bea) = (&two.ada_window, &two.bea_window);
    bea.click(&testid("open-details")).await?;
    bea.click(&testid("peer-keys-toggle")).await?;
    bea.wait(r#"[data-testid="keys-history-item"][data-version="1"]"#).await?;
    ada.open_settings("keys").await?;
    ada.wait(r#"[data-testid="keys-version"][data-version="1"]"#).await?;
    let old = ada.texts(&testid("keys-fingerprint")).await?;
    ada.pictures("settings-keys").await?;
    ada.click(&testid("rotate-now")).await?;
    ada.wait(r#"[data-testid="rotate-state"][data-state="done"]"#).await?;
    ada.wait(r#"[data-testid="keys-version"][data-version="2"]"#).await?;
    assert_ne!(ada.texts(&testid("keys-fingerprint")).await?, old);
    ada.wait(r#"[data-testid="keys-history-item"][data-version="2"]"#).await?;
    // Both histories stay open, and follow the log.
    tokio::try_join!(ada.wait(PROVED), bea.wait(PROVED))?;
    assert!(ada.texts(PROVED).await?.concat().contains("in the log, proved"));
    ada.pictures("settings-keys-rotated").await?;
    ada.close_dialog(&testid("settings")).await?;
    bea.click(&testid("close-details")).await?;

    ada.write("Sealed by new keys.").await?;
    two.bea_window.wait_message("Sealed by new keys.", "received").await?;
    two.bea_window.write("And to new keys.").await?;
    ada.wait_message("And to new keys.", "received").await?;

    two.bea_window.wait(r#"[data-testid="notice"][data-kind="keysRotated"]"#).await?;
    let notices = two.bea_window.all(r#"[data-testid="notice"][data-kind="keysRotated"]"#).await?;
    assert_eq!(notices.len(), 1, "one quiet line");
    two.bea_window.pictures("conversation-keys-rotated").await?;
    two.ada_window.close().await?;
    two.bea_window.close().await
}

fn from_ada(round: u32) -> String {
    format!("before {round}")
}

fn from_bea(round: u32) -> String {
    format!("meanwhile {round}")
}

/// Every message once, and nothing else: Bea's first one, and one of each in every round.
async fn all_is_there_once(window: &Window, whose: &str) -> Outcome<()> {
    let rounds = (1..=ROTATIONS).flat_map(|round| [from_ada(round), from_bea(round)]);
    let mut written: Vec<String> = rounds.chain([FIRST.to_owned()]).collect();
    written.sort_unstable();
    let mut shown = Vec::new();
    let look = async || {
        let lines = window.whole_timeline(FIRST).await?;
        let settled = lines.into_iter().filter(|line| ["sent", "received"].contains(&line.kind.as_str()));
        shown = settled.map(|line| line.text).collect();
        shown.sort_unstable();
        Ok((shown == written).then_some(()))
    };
    let waited = wait::until("each message once", look).await;
    waited.map_err(|fault| Fault::Unexpected(format!("{whose} window: {fault}; it shows {shown:#?}")))
}

/// The quiet lines about rotations.
async fn rotations(window: &Window) -> Outcome<usize> {
    let lines = window.whole_timeline(FIRST).await?;
    Ok(lines.iter().filter(|line| line.kind == "keysRotated").count())
}

#[tokio::test]
async fn twenty_rotations_lose_and_double_nothing() -> Outcome<()> {
    let two = Two::meet().await?;
    let (ada, bea) = (&two.ada_window, &two.bea_window);
    for round in 1..=ROTATIONS {
        // Hers is on its way when the keys change, and Bea writes meanwhile. Nobody waits for anything to arrive.
        let (hers, beas) = (from_ada(round), from_bea(round));
        ada.hand_in(&hers).await?;
        tokio::try_join!(ada.rotate_keys(round + 1), bea.hand_in(&beas))?;
    }
    tokio::try_join!(all_is_there_once(ada, "Ada's"), all_is_there_once(bea, "Bea's"))?;
    assert_eq!(rotations(bea).await?, 20, "one quiet line for each");

    ada.open_settings("keys").await?;
    ada.wait(r#"[data-testid="keys-version"][data-version="21"]"#).await?;
    ada.wait(r#"[data-testid="keys-history-item"][data-version="21"]"#).await?;
    ada.close_dialog(&testid("settings")).await?;
    bea.click(&testid("open-details")).await?;
    bea.click(&testid("peer-keys-toggle")).await?;
    bea.wait(r#"[data-testid="keys-history-item"][data-version="21"]"#).await?;

    // What is shown once is also stored once.
    two.bea_window.close().await?;
    let bea = two.bea.open_app().await?;
    bea.wait_ready().await?;
    bea.open_conversation().await?;
    tokio::try_join!(all_is_there_once(&bea, "Bea's new"), all_is_there_once(ada, "Ada's"))?;
    assert_eq!(rotations(&bea).await?, 20, "after a restart");
    bea.close().await?;
    two.ada_window.close().await
}
