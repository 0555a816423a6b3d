//! A group, from its making to somebody's removal, in two windows.

use waxwing_tests::window::testid;
use waxwing_tests::{Outcome, wait};

use crate::Two;

#[tokio::test]
async fn a_group_is_made_renamed_and_left_by_one() -> Outcome<()> {
    let two = Two::meet().await?;
    let (ada, bea) = (&two.ada_window, &two.bea_window);
    ada.click(&testid("new-conversation")).await?;
    ada.click(&testid("new-group")).await?;
    ada.type_into(&testid("group-name"), "Book club").await?;
    ada.click(&testid("person-option")).await?;
    ada.wait(&testid("person-chip")).await?;
    ada.pictures("group-new").await?;
    ada.click(&testid("group-create")).await?;
    ada.wait(r#"[data-testid="conversation"][data-kind="group"][data-open="true"]"#).await?;
    ada.write("Welcome to the club.").await?;
    ada.wait_message("Welcome to the club.", "sent").await?;

    // Bea knows Ada, so she takes part at once.
    bea.click(r#"[data-testid="conversation"][data-kind="group"][data-state="member"]"#).await?;
    bea.wait_message("Welcome to the club.", "received").await?;
    bea.write("Which book first?").await?;
    ada.wait_message("Which book first?", "received").await?;

    ada.click(&testid("open-details")).await?;
    ada.wait(r#"[data-testid="members"][data-state="loaded"][data-count="2"]"#).await?;
    ada.click(&testid("rename-group")).await?;
    ada.retype(&testid("rename-field"), "Bird club").await?;
    ada.click(&testid("rename-save")).await?;
    bea.wait(r#"[data-testid="notice"][data-kind="renamed"]"#).await?;
    ada.pictures("group-details").await?;
    assert_eq!(ada.axe().await?, Vec::<String>::new());

    ada.click(&format!(r#"{}[data-me="false"] {}"#, testid("member"), testid("member-menu"))).await?;
    ada.click(&testid("member-remove")).await?;
    ada.click(&testid("confirm-yes")).await?;
    bea.wait(r#"[data-testid="closed"][data-kind="removed"]"#).await?;
    bea.pictures("group-removed").await?;
    ada.wait(r#"[data-testid="members"][data-count="1"]"#).await?;
    ada.write("Just me now.").await?;
    ada.wait_message("Just me now.", "sent").await?;
    assert_eq!(bea.count("Just me now.", "").await?, 0);

    // Bea clears it away; the conversation with Ada stays.
    bea.click(&testid("closed-delete")).await?;
    bea.click(&testid("confirm-yes")).await?;
    bea.wait_gone(r#"[data-testid="conversation"][data-kind="group"]"#).await?;
    bea.wait(r#"[data-testid="conversation"][data-kind="direct"]"#).await?;

    two.ada_window.close().await?;
    two.bea_window.close().await
}

#[tokio::test]
async fn a_group_is_joined_by_its_link() -> Outcome<()> {
    let two = Two::meet().await?;
    let (ada, bea) = (&two.ada_window, &two.bea_window);
    ada.click(&testid("new-conversation")).await?;
    ada.click(&testid("new-group")).await?;
    ada.type_into(&testid("group-name"), "Night walks").await?;
    ada.click(&testid("person-option")).await?;
    ada.click(&testid("group-create")).await?;
    ada.wait(r#"[data-testid="conversation"][data-kind="group"][data-open="true"]"#).await?;
    bea.click(r#"[data-testid="conversation"][data-kind="group"][data-state="member"]"#).await?;
    bea.click(&testid("open-details")).await?;
    bea.click(&testid("details-leave")).await?;
    bea.click(&testid("confirm-yes")).await?;
    bea.wait(r#"[data-testid="closed"][data-kind="left"]"#).await?;

    ada.click(&testid("open-details")).await?;
    ada.wait(r#"[data-testid="members"][data-state="loaded"][data-count="1"]"#).await?;
    ada.click(&testid("group-link-make")).await?;
    ada.wait(r#"[data-testid="group-link"][data-state="on"]"#).await?;
    ada.wait(&testid("group-link-qr")).await?;
    let link = wait::until("the link", async || {
        let link = ada.value(&testid("group-link-text")).await?;
        Ok((!link.is_empty()).then_some(link))
    })
    .await?;
    ada.pictures("group-link").await?;
    assert_eq!(ada.axe().await?, Vec::<String>::new());

    bea.click(&testid("new-conversation")).await?;
    bea.type_into(&testid("new-input"), &link).await?;
    bea.click(&testid("new-add")).await?;
    bea.wait(&testid("offer")).await?;
    bea.pictures("group-offer").await?;
    assert_eq!(bea.axe().await?, Vec::<String>::new());
    bea.click(&testid("offer-join")).await?;
    bea.wait(r#"[data-testid="conversation"][data-kind="group"][data-state="member"]"#).await?;
    bea.write("Here I am again.").await?;
    ada.wait_message("Here I am again.", "received").await?;
    ada.click(&testid("group-link-off")).await?;
    ada.wait(r#"[data-testid="group-link"][data-state="off"]"#).await?;

    two.ada_window.close().await?;
    two.bea_window.close().await
}

#[tokio::test]
async fn a_request_is_shown_and_refused_by_deleting_it() -> Outcome<()> {
    let two = Two::greet().await?;
    let ada = &two.ada_window;
    ada.open_conversation().await?;
    ada.wait(&testid("request-card")).await?;
    ada.wait_message("Hello Ada, this is Bea.", "received").await?;
    assert!(ada.all(&testid("composer")).await?.is_empty(), "nothing can be written before one accepts");
    ada.pictures("request").await?;
    assert_eq!(ada.axe().await?, Vec::<String>::new());
    ada.click(&testid("request-delete")).await?;
    ada.click(&testid("confirm-yes")).await?;
    ada.wait_gone(&testid("conversation")).await?;
    // What comes next asks again.
    two.bea_window.write("Did you see this?").await?;
    ada.wait(r#"[data-testid="conversation"][data-state="request"]"#).await?;
    ada.open_conversation().await?;
    ada.wait_message("Did you see this?", "received").await?;
    ada.click(&testid("request-block")).await?;
    ada.click(&testid("confirm-yes")).await?;
    ada.wait(r#"[data-testid="closed"][data-kind="blocked"]"#).await?;

    // Deleted, it is where nobody is unblocked any more; in the settings they are.
    ada.click(&testid("open-details")).await?;
    ada.click(&testid("details-delete")).await?;
    ada.click(&testid("confirm-yes")).await?;
    ada.wait_gone(&testid("conversation")).await?;
    two.bea_window.write("Are you there?").await?;
    two.bea_window.wait_message("Are you there?", "sent").await?;
    ada.open_settings("privacy").await?;
    ada.wait(r#"[data-testid="blocked-people"][data-count="1"]"#).await?;
    assert!(ada.texts(&testid("blocked-person")).await?.concat().contains("Blocked since"));
    ada.pictures("settings-privacy-blocked").await?;
    ada.click(&testid("unblock")).await?;
    ada.wait(r#"[data-testid="blocked-person"][data-state="asking"]"#).await?;
    ada.pictures("settings-privacy-unblock").await?;
    assert_eq!(ada.axe().await?, Vec::<String>::new());
    ada.click(&testid("unblock-yes")).await?;
    ada.wait(r#"[data-testid="blocked-people"][data-count="0"]"#).await?;
    ada.pictures("settings-privacy-unblocked").await?;
    ada.close_dialog(&testid("settings")).await?;
    assert!(ada.all(&testid("conversation")).await?.is_empty(), "what was said meanwhile is not brought back");
    two.bea_window.write("And now?").await?;
    ada.wait(r#"[data-testid="conversation"][data-state="request"]"#).await?;
    ada.open_conversation().await?;
    ada.wait_message("And now?", "received").await?;
    assert_eq!(ada.count("Are you there?", "").await?, 0);

    two.ada_window.close().await?;
    two.bea_window.close().await
}
