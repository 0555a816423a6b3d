//! A second computer comes into an account with a code, and is taken out again; from the windows of both.

use waxwing_tests::person::Person;
use waxwing_tests::relay::RelayProcess;
use waxwing_tests::window::{Window, testid};
use waxwing_tests::{Outcome, wait};

use crate::account::{reach, show};
use crate::{FIRST, Two};

const TO_BOTH: &str = "To both of your computers.";
const PASSPHRASE: &str = "four or five random words";
const MINE: &str = r#"[data-testid="message"][data-mine="true"] .bubble"#;
const OTHER: &str = r#"[data-testid="device"][data-this="false"]"#;

/// Something in this state.
fn state(name: &str, state: &str) -> String {
    format!(r#"[data-testid="{name}"][data-state="{state}"]"#)
}

fn step(name: &str) -> String {
    format!(r#"[data-testid="onboarding"][data-step="{name}"]"#)
}

fn error(code: &str) -> String {
    format!(r#"[data-testid="onboarding-error"][data-code="{code}"]"#)
}

/// Waits until the devices are shown, and are this many.
async fn devices(window: &Window, count: usize) -> Outcome<()> {
    window.wait(&format!(r#"[data-testid="devices"][data-state="loaded"][data-count="{count}"]"#)).await?;
    assert_eq!(window.all(&testid("device")).await?.len(), count);
    Ok(())
}

/// Pictures; and axe finds nothing.
async fn look(window: &Window, name: &str) -> Outcome<()> {
    window.pictures(name).await?;
    assert_eq!(window.axe().await?, Vec::<String>::new(), "{name}");
    Ok(())
}

/// Makes a code in the settings, which stay open, and reads it.
async fn make_code(window: &Window) -> Outcome<String> {
    window.open_settings("devices").await?;
    devices(window, 1).await?;
    assert!(window.all(&testid("device-remove")).await?.is_empty(), "a device does not remove itself");
    reach(window, &testid("device-link-make")).await?;
    window.wait(&state("device-link", "code")).await?;
    window.wait(&testid("device-link-qr")).await?;
    window.value(&testid("device-link-code")).await
}

/// To where a new computer takes a code.
async fn choose_to_link(window: &Window) -> Outcome<()> {
    window.wait(&step("name")).await?;
    window.click(&testid("onboarding-link")).await?;
    window.wait(&step("link")).await.map(drop)
}

/// The digits that both show, which are the same.
async fn compare(old: &Window, new: &Window) -> Outcome<String> {
    old.wait(&testid("device-request-fingerprint")).await?;
    new.wait(&testid("linking-fingerprint")).await?;
    let asks = old.texts(&testid("device-request-fingerprint")).await?;
    assert_eq!(asks, new.texts(&testid("linking-fingerprint")).await?, "both show the same");
    assert_eq!(asks.len(), 1);
    let digits = asks.concat();
    assert_eq!(digits.split_whitespace().count(), 8, "{digits}");
    Ok(digits)
}

/// One computer of the account writes; the other has it as its own, and who is written to hears it.
async fn write_as_one(from: &Window, other: &Window, to: &Window, text: &str) -> Outcome<()> {
    from.write(text).await?;
    from.wait_message(text, "sent").await?;
    tokio::try_join!(other.wait_message(text, "sent"), to.wait_message(text, "received"))?;
    assert!(other.texts(MINE).await?.iter().any(|line| line == text), "it is one's own: {text}");
    Ok(())
}

#[tokio::test]
async fn a_second_computer_is_linked_chats_and_is_removed() -> Outcome<()> {
    let two = Two::meet().await?;
    let (ada, bea) = (&two.ada_window, &two.bea_window);
    let account = ada.account().await?;
    let computer = Person::new(Some(two.relay.address())).await?;
    let second = computer.open_app().await?;

    let code = make_code(ada).await?;
    show(ada, &testid("device-link-qr")).await?;
    look(ada, "settings-devices-code").await?;
    ada.close_dialog(&testid("settings")).await?;
    choose_to_link(&second).await?;
    second.type_into(&testid("linking-code"), &code).await?;
    look(&second, "link-code").await?;
    second.click(&testid("linking-now")).await?;
    second.wait(&step("linkWait")).await?;
    look(&second, "link-wait").await?;
    assert_eq!(second.texts(&testid("linking-account")).await?, [account.address.as_str()]);

    // It is told wherever Ada is.
    let banner = r#"[data-testid="banner"][data-kind="device"]"#;
    ada.wait(banner).await?;
    look(ada, "conversation-device-asks").await?;
    ada.click(&format!("{banner} {}", testid("banner-action"))).await?;
    let digits = compare(ada, &second).await?;
    devices(ada, 1).await?;
    show(ada, &testid("device-request")).await?;
    look(ada, "settings-devices-request").await?;
    reach(ada, &testid("device-request-yes")).await?;
    ada.wait(&state("device-link-stage", "linked")).await?;
    devices(ada, 2).await?;
    assert_eq!(ada.texts(&format!("{OTHER} {}", testid("device-fingerprint"))).await?, [digits]);
    look(ada, "settings-devices-linked").await?;
    ada.close_dialog(&testid("settings")).await?;

    // The conversation is there, and what was said before is not.
    second.wait_ready().await?;
    assert_eq!(second.account().await?.address, account.address);
    second.wait(&state("conversation", "member")).await?;
    second.open_conversation().await?;
    bea.write(TO_BOTH).await?;
    tokio::try_join!(ada.wait_message(TO_BOTH, "received"), second.wait_message(TO_BOTH, "received"))?;
    write_as_one(&second, ada, bea, "From my other computer.").await?;
    write_as_one(ada, &second, bea, "And from the first one.").await?;
    assert_eq!(second.count(FIRST, "").await?, 0);
    second.pictures("conversation-second-device").await?;

    ada.open_settings("devices").await?;
    devices(ada, 2).await?;
    reach(ada, &format!("{OTHER} {}", testid("device-remove"))).await?;
    ada.wait(&format!(r#"{OTHER}[data-state="asking"]"#)).await?;
    show(ada, &testid("device-remove-yes")).await?;
    look(ada, "settings-devices-remove").await?;
    reach(ada, &testid("device-remove-yes")).await?;
    devices(ada, 1).await?;
    wait::until("what was done", async || {
        Ok(ada.texts(&testid("devices-done")).await?.concat().starts_with("Done.").then_some(()))
    })
    .await?;
    ada.pictures("settings-devices-removed").await?;
    ada.close_dialog(&testid("settings")).await?;

    // Why nothing comes any more stands with the connection, whatever else is said in the banners.
    second.open_settings("network").await?;
    second.wait(r#"[data-testid="settings"] [data-code="deviceRevoked"]"#).await?;
    look(&second, "settings-network-removed").await?;
    second.close_dialog(&testid("settings")).await?;
    second.wait(&state("connection", "offline")).await?;
    second.pictures("conversation-device-removed").await?;
    ada.write("Among us again.").await?;
    bea.wait_message("Among us again.", "received").await?;
    bea.write("Good.").await?;
    ada.wait_message("Good.", "received").await?;
    for text in ["Among us again.", "Good."] {
        assert_eq!(second.count(text, "").await?, 0, "whoever was removed reads on");
    }
    second.wait_message("From my other computer.", "sent").await?;
    second.close().await?;
    two.ada_window.close().await?;
    two.bea_window.close().await
}

/// On a computer without a keychain: the way over a passphrase loses nothing either.
#[tokio::test]
async fn a_code_that_is_wrong_or_refused_keeps_what_was_typed() -> Outcome<()> {
    let relay = RelayProcess::start()?;
    let address = Some(relay.address());
    let (person, computer) = tokio::try_join!(Person::new(address), Person::without_keychain(address))?;
    let (ada, new) = tokio::try_join!(person.open_app(), computer.open_app())?;
    ada.first_run("ada").await?;
    let code = make_code(&ada).await?;

    choose_to_link(&new).await?;
    let field = testid("linking-code");
    // Something else, and a code that was not copied as a whole.
    for wrong in ["nothing like a code", &code[..code.len() - 8]] {
        new.retype(&field, wrong).await?;
        new.wait_gone(&testid("onboarding-error")).await?;
        new.click(&testid("linking-now")).await?;
        new.wait(&error("notADeviceCode")).await?;
        assert_eq!(new.value(&field).await?, wrong, "what is to be mended stays");
    }
    look(&new, "link-not-a-code").await?;

    new.retype(&field, &code).await?;
    new.click(&testid("linking-now")).await?;
    new.wait(&error("keychainAbsent")).await?;
    assert_eq!(new.value(&field).await?, code);
    new.click(&testid("onboarding-use-passphrase")).await?;
    new.wait(&step("linkPassphrase")).await?;
    new.type_into(&testid("onboarding-passphrase"), PASSPHRASE).await?;
    new.type_into(&testid("onboarding-passphrase-again"), PASSPHRASE).await?;
    look(&new, "link-passphrase").await?;
    new.click(&testid("onboarding-create")).await?;
    new.wait(&step("linkWait")).await?;
    compare(&ada, &new).await?;

    reach(&ada, &testid("device-request-no")).await?;
    ada.wait(&state("device-link", "off")).await?;
    devices(&ada, 1).await?;
    ada.pictures("settings-devices-refused").await?;
    new.click(&testid("linking-cancel")).await?;
    new.wait(&step("link")).await?;
    assert_eq!(new.value(&field).await?, code, "what was typed stays");
    assert!(new.all(&testid("onboarding-error")).await?.is_empty(), "to give up is no error");
    new.pictures("link-given-up").await?;
    new.click(&testid("onboarding-back")).await?;
    new.wait(&step("name")).await?;
    ada.close().await?;
    new.close().await
}
