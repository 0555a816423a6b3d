//! An account is got back with its words on another computer, gets other keys, and is closed; from the windows.

use tempfile::TempDir;
use waxwing_client::{Client, Profile, Recovery};
use waxwing_protocol::{PhraseError, RecoveryPhrase};
use waxwing_tests::person::Person;
use waxwing_tests::window::{Window, testid};
use waxwing_tests::{Fault, Outcome, wait};

use crate::Two;

/// The 24 words, read where a new user writes them down.
pub(crate) async fn words(window: &Window) -> Outcome<Vec<String>> {
    window.click(r#"[data-testid="banner"][data-kind="phrase"] [data-testid="banner-action"]"#).await?;
    window.wait(r#"[data-testid="phrase-words"][data-state="shown"]"#).await?;
    let words = window.texts(&format!("{} li", testid("phrase-words"))).await?;
    window.click(&testid("phrase-later")).await?;
    Ok(words)
}

pub(crate) fn broken(error: waxwing_client::Error) -> Fault {
    Fault::Unexpected(error.to_string())
}

/// Somebody who has the words gets the account, on a computer without a window. The folder goes with the second.
pub(crate) async fn recover_elsewhere(address: &str, words: &str) -> Outcome<(Client, TempDir)> {
    let elsewhere = tempfile::tempdir().map_err(Fault::io("a folder"))?;
    let profile = Profile::open(elsewhere.path()).map_err(broken)?;
    let recovery = Recovery {
        address: address.to_owned(),
        phrase: words.to_owned().into(),
        display_name: String::new(),
        passphrase: Some("another passphrase".to_owned().into()),
    };
    Ok((Client::recover(&profile, recovery).await.map_err(broken)?, elsewhere))
}

/// These words, all of the list, in an order that is no phrase.
fn in_another_order(words: &[String]) -> Outcome<String> {
    // One order in 256 would be one.
    let swapped = (1..words.len()).map(|place| {
        let mut words = words.to_vec();
        words.swap(0, place);
        words.join(" ")
    });
    let mut broken = swapped.filter(|words| matches!(RecoveryPhrase::parse(words), Err(PhraseError::Checksum)));
    broken.next().ok_or_else(|| Fault::Unexpected("any order of these words is a phrase".into()))
}

/// Recovers with these words, and expects to be told what is wrong, with nothing changed.
async fn refused(window: &Window, words: &str, told: &str, sentence: &str) -> Outcome<()> {
    window.retype(&testid("recover-phrase"), words).await?;
    window.click(&testid("recover-now")).await?;
    window.wait(told).await?;
    let said = window.texts(told).await?.concat();
    assert!(said.contains(sentence) && said.contains("Nothing was changed."), "{said}");
    assert_eq!(window.all(r#"[data-testid="onboarding"][data-step="recover"]"#).await?.len(), 1);
    assert_eq!(window.value(&testid("recover-phrase")).await?, words, "what is to be mended stays");
    Ok(())
}

#[tokio::test]
async fn an_account_is_recovered_with_its_words_on_another_computer() -> Outcome<()> {
    let mut two = Two::meet().await?;
    let account = two.ada_window.account().await?;
    let (beas, words) = (words(&two.bea_window).await?.join(" "), words(&two.ada_window).await?);
    assert_eq!(words.len(), 24);
    // A second entry of her chain, which the relay can hold back.
    two.ada_window.rotate_keys(2).await?;
    two.ada_window.close().await?;

    let other = Person::new(Some(two.relay.address())).await?;
    let window = other.open_app().await?;
    window.wait(r#"[data-testid="onboarding"][data-step="name"]"#).await?;
    window.click(&testid("onboarding-recover")).await?;
    window.wait(r#"[data-testid="onboarding"][data-step="recover"]"#).await?;
    window.pictures("recover").await?;
    let faults = window.axe().await?;
    assert!(faults.is_empty(), "{faults:#?}");
    window.type_into(&testid("recover-address"), &account.address).await?;
    // A word of another language, two words that have changed places, and the phrase of another account: each is told apart.
    let mut wrong = words.clone();
    wrong[6] = "waxwing".to_owned();
    let (mistake, words) = (testid("recover-mistake"), words.join(" "));
    refused(&window, &wrong.join(" "), &mistake, "Word 7 is not in the list").await?;
    window.pictures("recover-wrong-word").await?;
    let order = in_another_order(&words.split(' ').map(str::to_owned).collect::<Vec<_>>())?;
    refused(&window, &order, &mistake, "one is wrong, or their order is").await?;
    window.pictures("recover-wrong-order").await?;
    let error = |code: &str| format!(r#"[data-testid="onboarding-error"][data-code="{code}"]"#);
    refused(&window, &beas, &error("phraseOfAnother"), "not the one of this account").await?;
    window.pictures("recover-phrase-of-another").await?;
    // The relay shows half of her chain.
    two.relay.stop();
    let lies = two.relay.lies("ada")?;
    let chain = lies.chain()?;
    assert_eq!(chain.len(), 2);
    lies.put(&chain[..1])?;
    drop(lies);
    two.relay.start_again()?;
    refused(&window, &words, &error("keysHeldBack"), "newer entries of your account than the relay shows").await?;
    window.pictures("recover-keys-held-back").await?;
    two.relay.stop();
    let lies = two.relay.lies("ada")?;
    assert_eq!(lies.chain()?, chain[..1], "nothing was signed behind it");
    lies.put(&chain)?;
    drop(lies);
    two.relay.start_again()?;
    window.click(&testid("recover-now")).await?;
    window.wait_ready().await?;
    assert_eq!(window.account().await?.address, account.address);

    // Bea's device brings Ada back, and says so with one quiet line.
    two.bea_window.wait(r#"[data-testid="notice"][data-kind="recovered"]"#).await?;
    two.bea_window.pictures("conversation-recovered").await?;
    window.wait(&testid("conversation")).await?;
    window.open_conversation().await?;
    window.accept().await?;
    window.write("It is me, on a new computer.").await?;
    two.bea_window.wait_message("It is me, on a new computer.", "received").await?;
    two.bea_window.write("Welcome back.").await?;
    window.wait_message("Welcome back.", "received").await?;

    // The history of the keys says what happened, and each entry stands in the relay's log.
    window.open_settings("keys").await?;
    window.wait(r#"[data-testid="log-card"][data-state="consistent"]"#).await?;
    window.wait(&testid("keys-history-item")).await?;
    let history = window.all(&testid("keys-history-item")).await?.len();
    assert_eq!(history, 3, "made, rotated and recovered, and no attempt before has signed anything");
    window.pictures("settings-keys-recovered").await?;
    window.close().await?;
    two.bea_window.close().await
}

/// Brings what stands at the edge of the settings, or beyond it, to their middle.
pub(crate) async fn show(window: &Window, css: &str) -> Outcome<()> {
    window.wait(css).await?;
    let show = format!("document.querySelector('{css}').scrollIntoView({{ block: 'center' }}); return 1");
    window.eval::<u32>(&show).await.map(drop)
}

/// The same, and clicks it.
pub(crate) async fn reach(window: &Window, css: &str) -> Outcome<()> {
    show(window, css).await?;
    window.click(css).await
}

#[tokio::test]
async fn the_account_key_is_replaced_others_are_shut_out_and_the_account_is_closed() -> Outcome<()> {
    let two = Two::meet().await?;
    let ada = &two.ada_window;
    let name = "ada";
    ada.open_settings("keys").await?;
    ada.wait(r#"[data-testid="key-emergency"][data-state="idle"]"#).await?;
    // What follows is said first; to cancel changes nothing.
    reach(ada, &testid("replace-account-key")).await?;
    ada.wait(r#"[data-testid="key-emergency"][data-state="replace"]"#).await?;
    ada.pictures("settings-keys-replace").await?;
    reach(ada, &testid("emergency-cancel")).await?;
    ada.wait(r#"[data-testid="key-emergency"][data-state="idle"]"#).await?;
    ada.wait(&testid("keys-history-item")).await?;
    assert_eq!(ada.all(&testid("keys-history-item")).await?.len(), 1, "nothing was signed");
    reach(ada, &testid("replace-account-key")).await?;
    reach(ada, &testid("emergency-confirm")).await?;
    ada.wait(r#"[data-testid="key-emergency"][data-state="done"]"#).await?;
    ada.wait(r#"[data-testid="account-outcome"][data-state="complete"][data-updated="1"]"#).await?;
    ada.wait(r#"[data-testid="keys-history-item"][data-kind="accountKeyRotated"]"#).await?;
    ada.wait(r#"[data-testid="keys-version"][data-version="1"]"#).await?;
    ada.pictures("settings-keys-replaced").await?;
    ada.close_dialog(&testid("settings")).await?;
    let replaced = r#"[data-testid="notice"][data-kind="accountKeyReplaced"]"#;
    two.bea_window.wait(replaced).await?;
    ada.write("Under another account key.").await?;
    two.bea_window.wait_message("Under another account key.", "received").await?;
    two.bea_window.write("I can read it.").await?;
    ada.wait_message("I can read it.", "received").await?;

    ada.open_settings("keys").await?;
    ada.wait(&testid("key-emergency")).await?;
    reach(ada, &testid("shut-others-out")).await?;
    ada.wait(r#"[data-testid="key-emergency"][data-state="shutOut"]"#).await?;
    ada.pictures("settings-keys-compromised").await?;
    reach(ada, &testid("emergency-confirm")).await?;
    ada.wait(r#"[data-testid="key-emergency"][data-state="done"]"#).await?;
    ada.wait(r#"[data-testid="keys-version"][data-version="2"]"#).await?;
    // What it did in each conversation.
    ada.wait(r#"[data-testid="account-outcome"][data-state="complete"][data-updated="1"]"#).await?;
    ada.wait(r#"[data-testid="keys-outcome"][data-state="complete"][data-updated="1"]"#).await?;
    ada.eval::<u32>(
        "document.querySelector('[data-testid=account-outcome]').scrollIntoView({ block: 'center' }); return 1",
    )
    .await?;
    ada.pictures("settings-keys-shut-out").await?;
    let faults = ada.axe().await?;
    assert!(faults.is_empty(), "{faults:#?}");
    ada.close_dialog(&testid("settings")).await?;
    wait::until(
        "the second line about it",
        async || Ok((two.bea_window.all(replaced).await?.len() == 2).then_some(())),
    )
    .await?;
    ada.write("Under new keys.").await?;
    two.bea_window.wait_message("Under new keys.", "received").await?;

    ada.open_settings("profile").await?;
    ada.click(&testid("close-account-open")).await?;
    ada.type_into(&testid("close-account-name"), name).await?;
    ada.pictures("settings-close-account").await?;
    ada.click(&testid("close-account-yes")).await?;
    ada.wait(r#"[data-testid="onboarding"][data-step="name"]"#).await?;
    wait::until("nothing of the account in the window", async || {
        Ok(ada.all(&testid("conversation")).await?.is_empty().then_some(()))
    })
    .await?;
    two.ada_window.close().await?;
    two.bea_window.close().await
}

/// Somebody who has the words takes the account away; who owns it sees the alarm and takes it back in the same window.
#[tokio::test]
async fn whoever_finds_an_alarm_takes_the_account_back_right_there() -> Outcome<()> {
    let two = Two::meet().await?;
    let ada = &two.ada_window;
    let account = ada.account().await?;
    ada.write("Before all this.").await?;
    two.bea_window.wait_message("Before all this.", "received").await?;
    let words = words(ada).await?.join(" ");

    let (thief, _elsewhere) = recover_elsewhere(&account.address, &words).await?;

    ada.wait(r#"[data-testid="banner"][data-kind="alarm"]"#).await?;
    ada.pictures("conversation-alarm").await?;
    ada.click(r#"[data-testid="banner"][data-kind="alarm"] [data-testid="banner-action"]"#).await?;
    ada.wait(r#"[data-testid="log-card"][data-state="alarm"]"#).await?;
    ada.wait(&testid("alarm-recover")).await?;
    ada.pictures("settings-keys-alarm").await?;
    ada.click(&testid("alarm-recover")).await?;
    ada.wait(r#"[data-testid="recover-here"][data-state="asking"]"#).await?;
    let faults = ada.axe().await?;
    assert!(faults.is_empty(), "{faults:#?}");
    // A word is missing: nothing is changed.
    let short = words.rsplit_once(' ').map_or("", |(most, _)| most);
    ada.type_into(&testid("recover-here-phrase"), short).await?;
    ada.click(&testid("recover-here-now")).await?;
    ada.wait(&testid("recover-here-mistake")).await?;
    assert!(ada.texts(&testid("recover-here-mistake")).await?.concat().contains("23 words"));
    ada.pictures("settings-keys-recover-mistake").await?;
    ada.retype(&testid("recover-here-phrase"), &words).await?;
    ada.click(&testid("recover-here-now")).await?;
    ada.wait(r#"[data-testid="recover-here"][data-state="done"]"#).await?;
    ada.wait(r#"[data-testid="log-card"][data-state="consistent"]"#).await?;
    ada.pictures("settings-keys-recovered-here").await?;
    ada.close_dialog(&testid("settings")).await?;

    // The history is there, the other side lets this device back in, and whoever took the account hears nothing more.
    ada.wait_message("Before all this.", "sent").await?;
    two.bea_window.wait(r#"[data-testid="notice"][data-kind="recovered"]"#).await?;
    ada.wait(r#"[data-testid="notice"][data-kind="repaired"]"#).await?;
    ada.write("It is mine again.").await?;
    two.bea_window.wait_message("It is mine again.", "received").await?;
    two.bea_window.write("Good.").await?;
    ada.wait_message("Good.", "received").await?;
    ada.pictures("conversation-recovered-here").await?;
    for view in thief.conversations().await.map_err(broken)? {
        let page = thief.messages(&view.id, None, 500).await.map_err(broken)?;
        assert!(page.messages.iter().all(|line| line.text != "Good."), "whoever was shut out reads on");
    }
    thief.stop().await;
    two.ada_window.close().await?;
    two.bea_window.close().await
}
