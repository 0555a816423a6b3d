//! Every screen, light and dark, as a picture to look at; and axe finds nothing serious on them.

use waxwing_tests::person::Person;
use waxwing_tests::relay::RelayProcess;
use waxwing_tests::window::{Window, testid};
use waxwing_tests::{Outcome, wait};

use crate::Two;

async fn look(window: &Window, name: &str, faults: &mut Vec<String>) -> Outcome<()> {
    window.pictures(name).await?;
    faults.extend(window.axe().await?.into_iter().map(|fault| format!("{name}: {fault}")));
    Ok(())
}

#[tokio::test]
async fn the_screens_of_the_first_run() -> Outcome<()> {
    let relay = RelayProcess::start()?;
    let ada = Person::new(Some(relay.address())).await?;
    let window = ada.open_app().await?;
    let mut faults = Vec::new();
    window.wait(r#"[data-testid="onboarding"][data-step="name"]"#).await?;
    look(&window, "first-run-1-name", &mut faults).await?;
    window.name_step("ada").await?;
    look(&window, "first-run-2-relay", &mut faults).await?;
    window.click(&testid("onboarding-relay-local")).await?;
    window.click(&testid("onboarding-create")).await?;
    window.wait(r#"[data-testid="phrase-words"][data-state="shown"]"#).await?;
    look(&window, "first-run-3-phrase", &mut faults).await?;

    // The two words that are asked for, read off the list as its owner would.
    let words = window.texts(&format!("{} li", testid("phrase-words"))).await?;
    window.click(&testid("phrase-continue")).await?;
    window.wait(r#"[data-testid="onboarding"][data-step="confirm"]"#).await?;
    look(&window, "first-run-4-confirm", &mut faults).await?;
    let places: Vec<usize> = window
        .texts(".questions .label")
        .await?
        .iter()
        .filter_map(|label| label.trim_start_matches("Word ").parse().ok())
        .collect();
    window.type_into(&testid("phrase-word-first"), "wrong").await?;
    window.type_into(&testid("phrase-word-second"), "wrong").await?;
    window.click(&testid("phrase-confirm")).await?;
    window.wait(&testid("phrase-error")).await?;
    for (field, place) in ["phrase-word-first", "phrase-word-second"].into_iter().zip(&places) {
        window.retype(&testid(field), &words[place - 1]).await?;
    }
    window.click(&testid("phrase-confirm")).await?;
    window.wait_ready().await?;
    assert!(window.all(r#"[data-testid="banner"][data-kind="phrase"]"#).await?.is_empty(), "no reminder is needed");
    look(&window, "empty", &mut faults).await?;
    window.close().await?;
    assert!(faults.is_empty(), "{faults:#?}");
    Ok(())
}

#[tokio::test]
async fn the_screens_of_every_day() -> Outcome<()> {
    let two = Two::meet().await?;
    let window = &two.ada_window;
    let mut faults = Vec::new();
    for text in ["Good morning!", "The garden is full of waxwings today.", "They are at the rowan berries."] {
        window.write(text).await?;
    }
    two.bea_window.write("How many? I can see https://example.org/waxwings from here.").await?;
    window.wait_message("How many? I can see https://example.org/waxwings from here.", "received").await?;
    window.wait_message("They are at the rowan berries.", "sent").await?;
    look(window, "chat", &mut faults).await?;

    window.click(&testid("open-details")).await?;
    window.wait(&testid("details")).await?;
    look(window, "details", &mut faults).await?;
    window.click(&testid("close-details")).await?;

    window.click(&testid("new-conversation")).await?;
    window.wait(&testid("invite-qr")).await?;
    look(window, "new-conversation", &mut faults).await?;
    window.click(&testid("invite-copy")).await?;
    window.wait(r#"[data-testid="invite-copy"][data-state="copied"]"#).await?;
    window.close_dialog(&testid("new-dialog")).await?;

    for section in ["profile", "keys", "devices", "privacy", "appearance", "network", "about"] {
        window.open_settings(section).await?;
        look(window, &format!("settings-{section}"), &mut faults).await?;
        window.close_dialog(&testid("settings")).await?;
    }

    window.click(&testid("message-link")).await?;
    window.wait(&testid("link-dialog")).await?;
    look(window, "link", &mut faults).await?;
    window.click(&testid("link-cancel")).await?;
    window.wait_gone(&testid("link-dialog")).await?;
    window.click(&testid("message-link")).await?;
    window.click(&testid("link-open")).await?;
    wait::until("the link to be opened outside", async || Ok((!two.ada.opened().is_empty()).then_some(()))).await?;
    assert_eq!(two.ada.opened(), ["https://example.org/waxwings"], "and not when it was cancelled");

    window.resize(400, 720).await?;
    window.wait(&testid("back")).await?;
    look(window, "narrow-chat", &mut faults).await?;
    window.click(&testid("back")).await?;
    look(window, "narrow-list", &mut faults).await?;
    two.ada_window.close().await?;
    two.bea_window.close().await?;
    assert!(faults.is_empty(), "{faults:#?}");
    Ok(())
}
