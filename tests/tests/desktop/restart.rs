//! History and identity outlive the program, whether it was closed or killed.

use waxwing_tests::Outcome;
use waxwing_tests::window::{Window, testid};

use crate::Two;

const BEFORE: &str = "Written before the restart.";

async fn identity(window: &Window) -> Outcome<(String, Vec<String>)> {
    let account = window.account().await?;
    window.open_settings("keys").await?;
    window.wait(&testid("keys-version")).await?;
    let fingerprint = window.texts(&testid("keys-fingerprint")).await?;
    window.close_dialog(&testid("settings")).await?;
    Ok((account.address, fingerprint))
}

#[tokio::test]
async fn a_restart_keeps_history_and_identity() -> Outcome<()> {
    let mut two = Two::meet().await?;
    two.ada_window.write(BEFORE).await?;
    two.ada_window.wait_message(BEFORE, "sent").await?;
    two.bea_window.wait_message(BEFORE, "received").await?;
    let before = identity(&two.ada_window).await?;

    two.ada_window.close().await?;
    let window = two.ada.open_app().await?;
    window.wait_ready().await?;
    assert_eq!(identity(&window).await?, before, "after closing");
    window.open_conversation().await?;
    window.wait_message(BEFORE, "sent").await?;
    window.wait_message("Hello Ada, this is Bea.", "received").await?;

    window.write("Written just before the crash.").await?;
    two.ada.kill_app(window).await?;
    two.bea_window.write("Written while Ada was away.").await?;
    let window = two.ada.open_app().await?;
    window.wait_ready().await?;
    assert_eq!(identity(&window).await?, before, "after kill -9");
    window.open_conversation().await?;
    window.wait_message(BEFORE, "sent").await?;
    window.wait_message("Written just before the crash.", "sent").await?;
    window.wait_message("Written while Ada was away.", "received").await?;
    two.bea_window.wait_message("Written just before the crash.", "received").await?;

    window.close().await?;
    two.bea_window.close().await
}
