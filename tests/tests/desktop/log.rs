//! What a window says and offers where a relay's log of keys is not as it was: taken back without a word, restored with one, not signed for a day.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use waxwing_client::{Client, Profile, Registration};
use waxwing_tests::relay::RelayProcess;
use waxwing_tests::window::{Window, testid};
use waxwing_tests::{Fault, Outcome, clock, place, wait};

use crate::Two;

/// Somebody registers, so that the log grows, and is gone; gives their invite link.
async fn log_grows(relay: &RelayProcess, name: &str) -> Outcome<String> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let dir = tempfile::tempdir().map_err(Fault::io("a folder"))?;
    let broken = |error: waxwing_client::Error| Fault::Unexpected(error.to_string());
    let profile = Profile::open(dir.path()).map_err(broken)?;
    let registration = Registration {
        username: name.to_owned(),
        display_name: name.to_owned(),
        relay: relay.address().to_owned(),
        passphrase: Some("a passphrase for tests".to_owned().into()),
        invitation: None,
    };
    let client = Client::register(&profile, registration).await.map_err(broken)?;
    client.sync().await.map_err(broken)?;
    let link = client.invite().await.map_err(broken)?.link;
    client.stop().await;
    Ok(link)
}

/// Waits until the settings, which are open, say that so many entries were read.
async fn until_read(window: &Window, entries: u32) -> Outcome<()> {
    wait::until(&format!("{entries} entries of the log"), async || {
        let size = window.attribute(&testid("log-card"), "data-size").await?;
        Ok(size.parse::<u32>().ok().filter(|size| *size >= entries))
    })
    .await
    .map(drop)
}

/// A folder's plain files as they are, in the place of those that were there.
fn copy(from: &Path, to: &Path) -> Outcome<()> {
    let broken = || Fault::io("a copy of the relay's folder");
    fs::create_dir_all(to).map_err(broken())?;
    for file in fs::read_dir(to).map_err(broken())?.flatten().filter(|file| file.path().is_file()) {
        fs::remove_file(file.path()).map_err(broken())?;
    }
    for file in fs::read_dir(from).map_err(broken())?.flatten().filter(|file| file.path().is_file()) {
        fs::copy(file.path(), to.join(file.file_name())).map_err(broken())?;
    }
    Ok(())
}

#[tokio::test]
async fn p17_a_log_that_was_taken_back_stops_new_keys_until_the_user_goes_on_with_it() -> Outcome<()> {
    let mut two = Two::meet().await?;
    let kept = tempfile::tempdir().map_err(Fault::io("a folder"))?;
    two.relay.stop();
    copy(two.relay.data(), kept.path())?;
    two.relay.start_again()?;
    log_grows(&two.relay, "cem").await?;
    let ada = &two.ada_window;
    ada.open_settings("keys").await?;
    until_read(ada, 6).await?;
    ada.wait(r#"[data-testid="log-card"][data-state="consistent"]"#).await?;
    ada.close_dialog(&testid("settings")).await?;

    two.relay.stop();
    copy(kept.path(), two.relay.data())?;
    two.relay.start_again()?;
    // What it signs next is later, and does not go on from what it has signed before.
    let dans = log_grows(&two.relay, "dan").await?;
    ada.wait(r#"[data-testid="banner"][data-kind="log"]"#).await?;
    ada.pictures("log-contradicts-banner").await?;
    // Nobody new is taken from it meanwhile.
    ada.click(&testid("new-conversation")).await?;
    ada.type_into(&testid("new-input"), &dans).await?;
    ada.click(&testid("new-add")).await?;
    ada.wait(&testid("new-error")).await?;
    ada.close_dialog(&testid("new-dialog")).await?;
    ada.click(r#"[data-testid="banner"][data-kind="log"] [data-testid="banner-action"]"#).await?;
    ada.wait(r#"[data-testid="log-card"][data-state="contradicts"]"#).await?;
    ada.wait(&testid("log-contradiction")).await?;
    ada.click(&testid("settle-log-open")).await?;
    ada.wait(r#"[data-testid="settle-log"][data-state="asking"]"#).await?;
    ada.pictures("log-settle").await?;
    let faults = ada.axe().await?;
    assert!(faults.is_empty(), "{faults:#?}");
    // Not at once: what is safe comes first.
    ada.click(&testid("settle-log-close")).await?;
    ada.wait(r#"[data-testid="settle-log"][data-state="idle"]"#).await?;
    ada.wait(r#"[data-testid="log-card"][data-state="contradicts"]"#).await?;
    ada.click(&testid("settle-log-open")).await?;
    ada.click(&testid("settle-log-now")).await?;
    ada.wait(r#"[data-testid="log-card"][data-state="consistent"]"#).await?;
    until_read(ada, 6).await?;
    ada.wait(&testid("log-settled")).await?;
    ada.wait_gone(r#"[data-testid="banner"][data-kind="log"]"#).await?;
    ada.pictures("log-settled").await?;
    ada.close_dialog(&testid("settings")).await?;
    ada.add(&dans).await?;
    two.ada_window.close().await?;
    two.bea_window.close().await
}

#[tokio::test]
async fn d14_a_relay_that_was_restored_is_told_of_in_the_settings() -> Outcome<()> {
    let mut two = Two::meet().await?;
    let folder = tempfile::tempdir().map_err(Fault::io("a folder"))?;
    let backup = folder.path().join("backup").display().to_string();
    two.relay.admin(&["backup", &backup])?;
    log_grows(&two.relay, "cem").await?;
    let ada = &two.ada_window;
    ada.open_settings("keys").await?;
    until_read(ada, 6).await?;
    assert!(ada.all(&testid("log-restored")).await?.is_empty(), "it was not restored yet");

    two.relay.stop();
    for ending in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(two.relay.data().join(format!("relay.db{ending}")));
    }
    let mut restore = Command::new(place::binary("waxwing-relay")?);
    restore.args(["restore", "--from", &backup, "--data"]).arg(two.relay.data());
    let output = restore.output().map_err(Fault::io("waxwing-relay restore"))?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    two.relay.start_again()?;
    ada.wait(r#"[data-testid="log-restored"][data-count="1"]"#).await?;
    ada.wait(r#"[data-testid="log-card"][data-state="consistent"]"#).await?;
    assert!(ada.all(&testid("restored-problem")).await?.is_empty(), "it has lost nothing of hers");
    ada.pictures("log-restored").await?;
    let faults = ada.axe().await?;
    assert!(faults.is_empty(), "{faults:#?}");
    ada.close_dialog(&testid("settings")).await?;
    ada.write("After the restore.").await?;
    two.bea_window.wait_message("After the restore.", "received").await?;
    two.ada_window.close().await?;
    two.bea_window.close().await
}

/// The relay's time goes on by a day, and its log is not signed: once that stays so, it is said above the conversations, and taken back as soon
/// as it is signed again.
#[tokio::test]
async fn d8_a_log_that_is_a_day_old_is_told_of_above_the_conversations() -> Outcome<()> {
    let Some(library) = clock::library() else {
        println!("SKIPPED: faketime is not installed; script/bootstrap test installs it");
        return Ok(());
    };
    let mut two = Two::meet().await?;
    let folder = tempfile::tempdir().map_err(Fault::io("a folder"))?;
    let file = folder.path().join("clock");
    let set = |time: &str| fs::write(&file, format!("{time}\n")).map_err(Fault::io("the relay's clock"));
    set("+0")?;
    let words = [
        "env".to_owned(),
        format!("LD_PRELOAD={library}"),
        format!("FAKETIME_TIMESTAMP_FILE={}", file.display()),
        "FAKETIME_NO_CACHE=1".to_owned(),
        "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
    ];
    two.ada_window.close().await?;
    two.relay.stop();
    two.relay.start_again_under(&words)?;
    set("+25h")?;
    let ada = two.ada.open_app().await?;
    ada.wait_ready().await?;
    ada.open_settings("keys").await?;
    ada.wait(r#"[data-testid="log-card"][data-state="stale"]"#).await?;
    ada.pictures("log-stale").await?;
    let faults = ada.axe().await?;
    assert!(faults.is_empty(), "{faults:#?}");
    ada.close_dialog(&testid("settings")).await?;
    // It must have stayed so for a minute.
    let banner = r#"[data-testid="banner"][data-kind="log"]"#;
    let within = Duration::from_secs(120);
    wait::within(within, "the banner", async || Ok((!ada.all(banner).await?.is_empty()).then_some(()))).await?;
    assert!(ada.texts(banner).await?.concat().contains("more than a day old"));
    ada.pictures("log-stale-banner").await?;
    ada.open_conversation().await?;
    ada.write("Whoever is known is written to all the same.").await?;
    ada.wait_message("Whoever is known is written to all the same.", "sent").await?;
    // Somebody registers, and the log is signed for that.
    log_grows(&two.relay, "cem").await?;
    ada.wait_gone(banner).await?;
    ada.close().await?;
    two.bea_window.close().await
}
