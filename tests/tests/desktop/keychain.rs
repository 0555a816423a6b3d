//! A computer without a keychain: a passphrase instead, chosen by the user and never silently.

use waxwing_tests::person::{Keychain, Person};
use waxwing_tests::relay::RelayProcess;
use waxwing_tests::window::testid;
use waxwing_tests::{Outcome, wait};

const PASSPHRASE: &str = "four or five random words";

#[tokio::test]
async fn without_a_keychain_a_passphrase_takes_its_place() -> Outcome<()> {
    let relay = RelayProcess::start()?;
    let ada = Person::without_keychain(Some(relay.address())).await?;
    let window = ada.open_app().await?;
    window.name_step("ada").await?;
    window.click(&testid("onboarding-create")).await?;
    window.wait(r#"[data-testid="onboarding-error"][data-code="keychainAbsent"]"#).await?;
    window.pictures("first-run-keychain-absent").await?;
    window.click(&testid("onboarding-use-passphrase")).await?;
    window.type_into(&testid("onboarding-passphrase"), "short").await?;
    window.type_into(&testid("onboarding-passphrase-again"), "short").await?;
    window.click(&testid("onboarding-create")).await?;
    window.wait(r#"[data-testid="onboarding-error"][data-code="weakPassphrase"]"#).await?;
    window.pictures("first-run-passphrase").await?;
    window.retype(&testid("onboarding-passphrase"), PASSPHRASE).await?;
    window.retype(&testid("onboarding-passphrase-again"), PASSPHRASE).await?;
    window.click(&testid("onboarding-create")).await?;
    window.click(&testid("phrase-later")).await?;
    window.wait_ready().await?;
    window.click(&testid("empty-note")).await?;
    window.write("Kept under a passphrase.").await?;
    window.close().await?;

    let window = ada.open_app().await?;
    window.wait(r#"[data-testid="app"][data-state="locked"]"#).await?;
    window.pictures("locked").await?;
    window.type_into(&testid("unlock-passphrase"), "not this one").await?;
    window.click(&testid("unlock")).await?;
    window.wait(r#"[data-testid="unlock-error"][data-code="wrongPassphrase"]"#).await?;
    window.retype(&testid("unlock-passphrase"), PASSPHRASE).await?;
    window.click(&testid("unlock")).await?;
    window.wait_ready().await?;
    window.open_conversation().await?;
    window.wait_message("Kept under a passphrase.", "sent").await?;
    window.close().await
}

#[tokio::test]
async fn a_keychain_that_is_gone_is_a_screen_and_it_may_come_back() -> Outcome<()> {
    let relay = RelayProcess::start()?;
    let mut ada = Person::new(Some(relay.address())).await?;
    let window = ada.open_app().await?;
    window.first_run("ada").await?;
    window.close().await?;

    ada.log_in_again(Keychain::Absent).await?;
    let window = ada.open_app().await?;
    window.wait(r#"[data-testid="problem-screen"][data-code="keychainAbsent"]"#).await?;
    window.pictures("problem-keychain-absent").await?;
    // Looking again takes a new process; the driver does not follow it there.
    let pid = ada.app_pid()?;
    let _lost = window.click(&testid("problem-action")).await;
    wait::until("another process", async || Ok(ada.app_pid().ok().filter(|now| *now != pid))).await?;

    window.forget();
    ada.log_in_again(Keychain::Unlocked).await?;
    let window = ada.open_app().await?;
    window.wait_ready().await?;
    window.close().await
}
