//! Keys are rotated in the settings, and the chat goes on; the other side shows one quiet line.

use waxwing_tests::Outcome;
use waxwing_tests::window::testid;

use crate::Two;

#[tokio::test]
async fn keys_are_rotated_and_the_chat_goes_on() -> Outcome<()> {
    let two = Two::meet().await?;
    let ada = &two.ada_window;
    ada.open_settings("keys").await?;
    ada.wait(r#"[data-testid="keys-version"][data-version="1"]"#).await?;
    let old = ada.texts(&testid("keys-fingerprint")).await?;
    ada.pictures("settings-keys").await?;
    ada.click(&testid("rotate-now")).await?;
    ada.wait(r#"[data-testid="rotate-state"][data-state="done"]"#).await?;
    ada.wait(r#"[data-testid="keys-version"][data-version="2"]"#).await?;
    assert_ne!(ada.texts(&testid("keys-fingerprint")).await?, old);
    ada.wait(r#"[data-testid="keys-history-item"][data-version="2"]"#).await?;
    ada.pictures("settings-keys-rotated").await?;
    ada.close_dialog(&testid("settings")).await?;

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
