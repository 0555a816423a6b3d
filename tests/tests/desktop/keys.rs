//! What the settings say and do about keys, beside rotating them: the schedule, the check of the phrase, the history as a signed text.

use std::fs;
use std::process::Stdio;

use serde_json::Value;
use waxwing_tests::person::Person;
use waxwing_tests::search::{needles, search};
use waxwing_tests::window::{ENTER, Window, testid};
use waxwing_tests::{Fault, Outcome, place, wait};

use crate::Two;
use crate::account::words;

/// WebDriver's code for the Tab key: from the words to the button behind them.
const TAB: &str = "\u{E004}";
const SCHEDULE: &str = r#"[data-testid="keys-schedule"]"#;

/// Chooses a schedule; gives what is said about the next rotation then.
async fn choose(window: &Window, schedule: &str, said: &str) -> Outcome<String> {
    window.click(&format!(r#"{SCHEDULE} option[value="{schedule}"]"#)).await?;
    let what = format!("the schedule {schedule} and {said:?}");
    wait::until(&what, async || {
        let next = window.texts(&testid("keys-next")).await?.concat();
        Ok((next.contains(said) && window.value(SCHEDULE).await? == schedule).then_some(next))
    })
    .await
}

/// What `waxwing-cli` says of an exported history, on the profile of somebody whose app is closed.
async fn checked(person: &Person, text: &str) -> Outcome<Value> {
    let file = person.home().join("keys.txt");
    fs::write(&file, text).map_err(Fault::io("the exported history"))?;
    // An app that was closed is gone a moment later.
    wait::until("the profile to be let go", async || {
        let mut command = person.command(&place::binary("waxwing-cli")?)?;
        command.arg("--profile").arg(person.profile_dir()).args(["--json", "keys", "log", "--check"]).arg(&file);
        let output = command.stdin(Stdio::null()).output().map_err(Fault::io("waxwing-cli"))?;
        let told = if output.status.success() { &output.stdout } else { &output.stderr };
        let told: Value =
            serde_json::from_slice(told).map_err(|error| Fault::Unexpected(format!("waxwing-cli: {error}")))?;
        Ok((told["code"] != "alreadyRunning").then_some(told))
    })
    .await
}

#[tokio::test]
async fn schedule_phrase_and_history_are_seen_to_in_the_settings() -> Outcome<()> {
    let two = Two::meet().await?;
    let ada = two.ada_window;
    let words = words(&ada).await?;
    ada.rotate_keys(2).await?;

    ada.open_settings("keys").await?;
    ada.wait(SCHEDULE).await?;
    assert_eq!(ada.value(SCHEDULE).await?, "days30");
    let week = choose(&ada, "days7", "in 7 days").await?;
    let long = choose(&ada, "days90", "in 90 days").await?;
    assert_ne!(week, long);
    ada.pictures("settings-keys-schedule").await?;
    choose(&ada, "manual", "They stay until you rotate them.").await?;

    // A word of no list, one that stands elsewhere, and the right ones; letters and spaces are as they may be typed.
    ada.click(&testid("phrase-check-open")).await?;
    let field = testid("phrase-check-field");
    let check = async |text: &str, state: &str| {
        // The focus is there at first, and is put there again as somebody does who scrolls to it.
        let show = format!(
            "const e = document.querySelector('{field}'); e.scrollIntoView({{ block: 'center' }}); e.focus(); e.select(); return 1"
        );
        ada.eval::<u32>(&show).await?;
        ada.keys(text).await?;
        ada.keys(TAB).await?;
        ada.keys(ENTER).await?;
        ada.wait(&format!(r#"[data-testid="phrase-check-result"][data-state="{state}"]"#)).await
    };
    check(&words[1..].join(" "), "wordCount").await?;
    let mut wrong = words.clone();
    wrong[6] = "waxwing".to_owned();
    check(&wrong.join(" "), "unknownWord").await?;
    assert!(ada.texts(&testid("phrase-check-result")).await?.concat().contains("Word 7"));
    assert_eq!(ada.value(&field).await?, wrong.join(" "), "what is to be mended stays");
    ada.pictures("settings-phrase-check").await?;
    let faults = ada.axe().await?;
    assert!(faults.is_empty(), "{faults:#?}");
    check(&format!("  {} ", words.join("  ").to_uppercase()), "right").await?;
    assert_eq!(ada.value(&field).await?, "", "what is right is forgotten");
    ada.pictures("settings-phrase-right").await?;
    let stored = search(two.ada.folders(), &needles("the phrase", words.join(" ").as_bytes()))?;
    assert!(stored.is_empty(), "{stored:#?}");

    // The history is copied, and pasted where text goes.
    let shown = ada.texts(&testid("keys-fingerprint")).await?.concat();
    ada.click(&testid("keys-export")).await?;
    ada.wait(r#"[data-testid="keys-export"][data-state="copied"]"#).await?;
    ada.close_dialog(&testid("settings")).await?;
    ada.click(&testid("composer")).await?;
    ada.paste().await?;
    let text = wait::until("the history in the composer", async || {
        let text = ada.value(&testid("composer")).await?;
        Ok(text.contains("-----END WAXWING SIGNATURE-----").then_some(text))
    })
    .await?;
    assert!(text.starts_with("Waxwing key log 1\n") && text.contains(&shown), "{text}");
    ada.retype(&testid("composer"), " ").await?;
    ada.close().await?;

    // It is what this device has signed: on its own profile, and on that of whoever knows her. With another letter it is not.
    let mine = checked(&two.ada, &text).await?;
    assert_eq!((&mine["mine"], &mine["entries"], &mine["version"]), (&true.into(), &2.into(), &2.into()), "{mine}");
    two.bea_window.close().await?;
    let theirs = checked(&two.bea, &text).await?;
    assert_eq!((&theirs["mine"], &theirs["entries"]), (&false.into(), &2.into()), "{theirs}");
    let other = checked(&two.bea, &text.replace("Name: ada", "Name: adb")).await?;
    assert_eq!(other["code"], "keyLogWrong", "{other}");

    // What was chosen is kept.
    let ada = two.ada.open_app().await?;
    ada.wait_ready().await?;
    ada.open_settings("keys").await?;
    ada.wait(SCHEDULE).await?;
    assert_eq!(ada.value(SCHEDULE).await?, "manual");
    ada.close().await
}
