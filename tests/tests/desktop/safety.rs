//! Two people compare their safety number in two windows: the same digits, each other's code, and a mark.

use std::path::Path;

use rqrr::PreparedImage;
use waxwing_tests::person::Person;
use waxwing_tests::window::{Window, testid};
use waxwing_tests::{Fault, Outcome, wait};

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
    bea.rotate_keys(2).await?;
    bea.write("With new keys.").await?;
    ada.wait_message("With new keys.", "received").await?;
    ada.wait(r#"[data-testid="safety"][data-state="verified"]"#).await?;
    assert!(bea.all(&testid("verified-mark")).await?.is_empty());
    ada.click(&testid("safety-unverify")).await?;
    ada.wait(r#"[data-testid="safety"][data-state="notVerified"]"#).await?;
    two.ada_window.close().await?;
    two.bea_window.close().await
}

/// The text of the only QR code in this picture, read as another device's camera would.
fn scanned(picture: &Path) -> Outcome<String> {
    let picture = image::open(picture).map_err(|error| Fault::Unexpected(format!("a picture: {error}")))?.to_luma8();
    let light = |x, y| picture.get_pixel(x as u32, y as u32).0[0];
    let mut prepared =
        PreparedImage::prepare_from_greyscale(picture.width() as usize, picture.height() as usize, light);
    let codes = prepared.detect_grids();
    let [code] = codes.as_slice() else { return Err(Fault::Unexpected(format!("{} QR codes are shown", codes.len()))) };
    let (_, text) = code.decode().map_err(|error| Fault::Unexpected(format!("the QR code: {error}")))?;
    Ok(text)
}

/// The text of the code that this window shows of the person whose conversation is open.
async fn code(window: &Window) -> Outcome<String> {
    window.click(&testid("open-details")).await?;
    let qr = window.wait(&testid("safety-qr")).await?;
    qr.scroll_into_view().await.map_err(Fault::driver("scrolling"))?;
    window.value(&testid("safety-code")).await
}

/// Compares the number with this text, and waits until what comes of it is in view.
async fn compare(window: &Window, shown: &str, outcome: &str) -> Outcome<()> {
    window.retype(&testid("safety-input"), shown).await?;
    window.click(&testid("safety-compare")).await?;
    window.wait(&format!(r#"[data-testid="safety-outcome"][data-state="{outcome}"]"#)).await?;
    let seen = "const { top, bottom } = document.querySelector('[data-testid=safety-outcome]').getBoundingClientRect();
                return top >= 0 && bottom <= innerHeight;";
    wait::until("the answer in view", async || Ok(window.eval::<bool>(seen).await?.then_some(()))).await
}

#[tokio::test]
async fn p11_a_safety_number_is_compared_by_its_code() -> Outcome<()> {
    let two = Two::meet().await?;
    let (ada, bea) = (&two.ada_window, &two.bea_window);
    // Somebody whom Bea does not know has a number with Ada, too.
    let cem = Person::new(Some(two.relay.address())).await?;
    let cem_window = cem.open_app().await?;
    cem_window.first_run("cem").await?;
    cem_window.add(&ada.account().await?.link).await?;

    let (hers, beas, cems) = (code(ada).await?, code(bea).await?, code(&cem_window).await?);
    assert!(hers.starts_with("waxwing-safety:"), "{hers}");
    assert!(hers != beas && hers != cems, "each app shows its own side first");
    for picture in ada.pictures("safety-code").await? {
        assert_eq!(scanned(&picture)?, hers, "{}", picture.display());
    }

    // Cem's code is not Ada's: a sentence says so, and nobody can be marked as verified under it.
    compare(bea, &cems, "mismatch").await?;
    let said = bea.texts(&testid("safety-outcome")).await?.concat();
    assert!(said.starts_with("It is not the same.") && said.contains("Somebody may be reading along"), "{said}");
    bea.wait(&format!("{}:disabled", testid("safety-verify"))).await?;
    bea.pictures("safety-code-mismatch").await?;
    // Nor is her own, nor one that has lost its end.
    compare(bea, &beas, "notForThisConversation").await?;
    compare(bea, &hers[..hers.len() - 1], "damaged").await?;
    bea.wait(r#"[data-testid="safety"][data-state="notVerified"]"#).await?;

    compare(bea, &hers, "match").await?;
    bea.pictures("safety-code-match").await?;
    bea.click(&testid("safety-verify")).await?;
    bea.wait(r#"[data-testid="safety"][data-state="verified"]"#).await?;
    bea.wait(&testid("verified-mark")).await?;

    // Copied by the button and pasted by the keyboard, it is the same text.
    ada.click(&testid("safety-copy")).await?;
    ada.wait(r#"[data-testid="safety-copy"][data-state="copied"]"#).await?;
    ada.click(&testid("safety-input")).await?;
    ada.paste().await?;
    assert_eq!(ada.value(&testid("safety-input")).await?, hers);
    assert!(ada.all(&testid("verified-mark")).await?.is_empty(), "it is Bea's alone");
    cem_window.close().await?;
    two.ada_window.close().await?;
    two.bea_window.close().await
}
