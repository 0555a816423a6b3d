//! What goes wrong is said in one sentence, and nothing typed is lost.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use waxwing_tests::group::Group;
use waxwing_tests::person::Person;
use waxwing_tests::relay::RelayProcess;
use waxwing_tests::window::{Window, testid};
use waxwing_tests::{Fault, Outcome, place, wait};

async fn expect_error(window: &Window, name: &str, code: &str) -> Outcome<()> {
    window.wait(&format!("{}[data-code=\"{code}\"]", testid(name))).await.map(drop)
}

/// Tries to make the account with the relay at this address.
async fn try_relay(window: &Window, address: &str) -> Outcome<()> {
    window.click(&testid("onboarding-relay-other")).await?;
    window.retype(&testid("onboarding-relay-address"), address).await?;
    window.click(&testid("onboarding-create")).await
}

#[tokio::test]
async fn the_first_run_says_what_is_wrong() -> Outcome<()> {
    let relay = RelayProcess::start()?;
    let ada = Person::new(Some(relay.address())).await?;
    let window = ada.open_app().await?;

    window.wait(r#"[data-testid="onboarding"][data-step="name"]"#).await?;
    window.type_into(&testid("onboarding-name"), "a!").await?;
    window.click(&testid("onboarding-next")).await?;
    expect_error(&window, "onboarding-error", "invalidName").await?;
    window.pictures("first-run-invalid-name").await?;
    window.retype(&testid("onboarding-name"), "ada").await?;
    window.click(&testid("onboarding-next")).await?;
    window.wait(r#"[data-testid="onboarding"][data-step="relay"]"#).await?;

    // A port that nobody listens on.
    let closed = TcpListener::bind("127.0.0.1:0").await.and_then(|listener| listener.local_addr());
    let closed = closed.map_err(Fault::io("a free port"))?.to_string();
    try_relay(&window, &closed).await?;
    expect_error(&window, "onboarding-error", "relayDown").await?;
    assert_eq!(window.value(&testid("onboarding-relay-address")).await?, closed, "what was typed stays");
    window.pictures("first-run-relay-down").await?;

    let stranger = TcpListener::bind("127.0.0.1:0").await.map_err(Fault::io("a stranger"))?;
    let address = stranger.local_addr().map_err(Fault::io("a stranger"))?.to_string();
    let answering = tokio::spawn(async move {
        while let Ok((mut stream, _)) = stranger.accept().await {
            let answer =
                b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
            // The question is read first: closing with unread bytes would look like a broken connection.
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer).await;
        }
    });
    try_relay(&window, &address).await?;
    expect_error(&window, "onboarding-error", "notARelay").await?;
    answering.abort();

    try_relay(&window, "not an address").await?;
    expect_error(&window, "onboarding-error", "invalidAddress").await?;

    // After all that, the account can still be made.
    window.click(&testid("onboarding-relay-local")).await?;
    window.click(&testid("onboarding-create")).await?;
    window.wait(r#"[data-testid="phrase-words"][data-state="shown"]"#).await?;
    window.click(&testid("phrase-later")).await?;
    window.wait_ready().await?;
    window.close().await
}

#[tokio::test]
async fn a_taken_name_leads_back_to_the_name() -> Outcome<()> {
    let relay = RelayProcess::start()?;
    let (ada, other) = tokio::try_join!(Person::new(Some(relay.address())), Person::new(Some(relay.address())))?;
    let (ada_window, window) = tokio::try_join!(ada.open_app(), other.open_app())?;
    ada_window.first_run("ada").await?;
    window.name_step("ada").await?;
    window.click(&testid("onboarding-create")).await?;
    window.wait(r#"[data-testid="onboarding"][data-step="name"]"#).await?;
    expect_error(&window, "onboarding-error", "nameTaken").await?;
    ada_window.close().await?;
    window.close().await
}

#[tokio::test]
async fn a_bad_link_stays_in_its_field() -> Outcome<()> {
    let relay = RelayProcess::start()?;
    let ada = Person::new(Some(relay.address())).await?;
    let window = ada.open_app().await?;
    window.first_run("ada").await?;
    let own = window.account().await?;
    window.click(&testid("new-conversation")).await?;
    let nobody = own.address.replace("ada@", "nobody@");
    for (input, code) in
        [("neither link nor address", "invalidLink"), (nobody.as_str(), "unknownUser"), (own.link.as_str(), "ownLink")]
    {
        window.retype(&testid("new-input"), input).await?;
        window.click(&testid("new-add")).await?;
        expect_error(&window, "new-error", code).await?;
        assert_eq!(window.value(&testid("new-input")).await?, input);
    }
    window.pictures("new-conversation-error").await?;
    window.close().await
}

#[tokio::test]
async fn a_message_that_is_too_long_stays_in_the_composer() -> Outcome<()> {
    let relay = RelayProcess::start()?;
    let ada = Person::new(Some(relay.address())).await?;
    let window = ada.open_app().await?;
    window.first_run("ada").await?;
    window.click(&testid("empty-note")).await?;
    window.type_into(&testid("composer"), "begins here, ").await?;
    // As if pasted: 64 KiB of key presses would take minutes.
    let paste = "const field = document.querySelector('[data-testid=composer]');
                 field.value += 'x'.repeat(65536);
                 field.dispatchEvent(new InputEvent('input', { bubbles: true }));
                 return field.value.length";
    let length: usize = window.eval(paste).await?;
    assert!(length > 65536);
    window.click(&testid("send")).await?;
    expect_error(&window, "composer-error", "tooLong").await?;
    window.pictures("too-long").await?;
    assert_eq!(window.value(&testid("composer")).await?.len(), length, "nothing typed is lost");
    assert!(window.all(&testid("message")).await?.is_empty());
    window.close().await
}

#[tokio::test]
async fn a_second_start_of_a_profile_is_turned_away() -> Outcome<()> {
    let relay = RelayProcess::start()?;
    let ada = Person::new(Some(relay.address())).await?;
    let window = ada.open_app().await?;
    window.first_run("ada").await?;

    // In the same session: it shows the first one's window, and ends.
    let mut second = Group::start(&ada.command(&place::binary("waxwing")?)?, Stdio::null(), Stdio::inherit())?;
    let patience = Duration::from_secs(30);
    let status = wait::within(patience, "the second one to end", async || second.ended()).await?;
    assert!(status.success(), "{status}");

    // In another session, where it cannot reach the first one: the profile's lock turns it away.
    let elsewhere = ada.in_another_session().await?;
    let turned_away = elsewhere.open_app().await?;
    turned_away.wait(r#"[data-testid="problem-screen"][data-code="alreadyRunning"]"#).await?;
    turned_away.pictures("problem-already-running").await?;

    // The first one is not disturbed; once it is closed, 'try again' opens the profile.
    window.open_settings("profile").await?;
    window.close_dialog(&testid("settings")).await?;
    window.close().await?;
    turned_away.click(&testid("problem-action")).await?;
    turned_away.wait_ready().await?;
    turned_away.close().await
}
