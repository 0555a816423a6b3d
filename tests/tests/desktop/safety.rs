//! Two people compare their safety number in two windows: the same digits, each other's code, and a mark.

use waxwing_tests::window::{Window, testid};
use waxwing_tests::{Outcome, wait};

use crate::Two;

async fn digits(window: &Window) -> Outcome<Vec<String>> {
    window.click(&testid("open-details")).await?;
    window.wait(r#"[data-testid="safety"][data-state="notVerified"]"#).await?;
    window.texts(&format!("{} li", testid("safety-digits"))).await
}

#[tokio::test]
async fn p11_a_safety_number_is_compared_and_marked() -> Outcome<()> {
    let two = Two::meet().await?;
    let (ada, bea) = (&two.ada_window, &two.bea_window);
    let (hers, theirs) = (digits(ada).await?, digits(bea).await?);
    assert_eq!(hers, theirs);
    assert_eq!(hers.len(), 12);
    ada.wait(&testid("safety-qr")).await?;

    // One digit off, then what Bea's window shows.
    let wrong = format!("{}x", theirs.concat());
    ada.type_into(&testid("safety-input"), &wrong).await?;
    ada.click(&testid("safety-compare")).await?;
    ada.wait(r#"[data-testid="safety-outcome"][data-state="damaged"]"#).await?;
    ada.pictures("safety-damaged").await?;
    ada.retype(&testid("safety-input"), &theirs.join(" ")).await?;
    ada.click(&testid("safety-compare")).await?;
    ada.wait(r#"[data-testid="safety-outcome"][data-state="match"]"#).await?;
    ada.click(&testid("safety-verify")).await?;
    ada.wait(r#"[data-testid="safety"][data-state="verified"]"#).await?;
    wait::until("the mark beside the name in list, header and details", async || {
        Ok((ada.all(&testid("verified-mark")).await?.len() >= 3).then_some(()))
    })
    .await?;
    ada.pictures("safety-verified").await?;
    let faults = ada.axe().await?;
    assert!(faults.is_empty(), "{faults:#?}");

    // It outlives a rotation, and is Ada's alone.
    bea.click(&testid("close-details")).await?;
    bea.open_settings("keys").await?;
    bea.click(&testid("rotate-now")).await?;
    bea.wait(r#"[data-testid="rotate-state"][data-state="done"]"#).await?;
    bea.close_dialog(&testid("settings")).await?;
    bea.write("With new keys.").await?;
    ada.wait_message("With new keys.", "received").await?;
    ada.wait(r#"[data-testid="safety"][data-state="verified"]"#).await?;
    assert!(bea.all(&testid("verified-mark")).await?.is_empty());
    ada.click(&testid("safety-unverify")).await?;
    ada.wait(r#"[data-testid="safety"][data-state="notVerified"]"#).await?;
    two.ada_window.close().await?;
    two.bea_window.close().await
}
