//! A relay that shows other keys of a contact: nothing is sent, nothing typed is lost, and it is over when the relay is right again. A verified
//! contact who has recovered: the same, until the user decides.

use waxwing_client::Standing;
use waxwing_tests::lies::forged;
use waxwing_tests::window::{ENTER, Window, testid};
use waxwing_tests::{Outcome, wait};

use crate::Two;
use crate::account::{broken, recover_elsewhere, words};

const TEXT: &str = "For Bea alone.";

/// Marks the one whose conversation is open as verified.
async fn verify(window: &Window) -> Outcome<()> {
    window.click(&testid("open-details")).await?;
    window.click(&testid("safety-verify")).await?;
    window.wait(r#"[data-testid="safety"][data-state="verified"]"#).await?;
    window.click(&testid("close-details")).await
}

/// The relay says this of Bea from its next start on; Ada's app has lost it meanwhile, and has found it again.
async fn relay_shows(two: &mut Two, chain: &[Vec<u8>]) -> Outcome<()> {
    two.relay.stop();
    two.ada_window.wait(r#"[data-testid="connection"][data-state="offline"]"#).await?;
    two.relay.lies("bea")?.put(chain)?;
    two.relay.start_again()?;
    two.ada_window.wait(r#"[data-testid="connection"][data-state="online"]"#).await.map(drop)
}

#[tokio::test]
async fn p11_a_broken_chain_blocks_sending() -> Outcome<()> {
    let mut two = Two::meet().await?;
    verify(&two.ada_window).await?;
    two.relay.stop();
    let honest = two.relay.lies("bea")?.chain()?;
    let broken = [honest.as_slice(), &[forged(&honest)?]].concat();
    relay_shows(&mut two, &broken).await?;

    // A look at the number asks the relay. What is wrong is said before anything is written, and the mark beside her name is gone.
    let ada = &two.ada_window;
    ada.click(&testid("open-details")).await?;
    ada.wait(r#"[data-testid="safety"][data-state="broken"]"#).await?;
    ada.wait(r#"[data-testid="banner"][data-kind="conversation"]"#).await?;
    ada.wait(r#"[data-testid="notice"][data-kind="keysInDoubt"]"#).await?;
    ada.wait_gone(&testid("verified-mark")).await?;
    assert!(ada.all(&testid("safety-compare")).await?.is_empty(), "there is nothing to compare");
    ada.pictures("doubt-details").await?;
    assert_eq!(ada.axe().await?, Vec::<String>::new());
    ada.click(&testid("close-details")).await?;

    ada.type_into(&testid("composer"), TEXT).await?;
    ada.pictures("doubt-banner").await?;
    ada.keys(ENTER).await?;
    ada.wait(r#"[data-testid="doubt"][data-kind="keysInDoubt"]"#).await?;
    ada.pictures("doubt-dialog").await?;
    assert_eq!(ada.axe().await?, Vec::<String>::new());
    assert!(ada.all(&testid("doubt-anyway")).await?.is_empty(), "there is no way around it");
    ada.click(&testid("doubt-close")).await?;
    ada.wait_gone(&testid("doubt")).await?;
    assert_eq!(ada.value(&testid("composer")).await?, TEXT, "nothing typed is lost");
    assert_eq!(ada.count(TEXT, "").await?, 0, "nothing is sent");
    ada.pictures("doubt-kept").await?;

    // From the banner to the number: the relay is asked once more, and it is still wrong.
    ada.click(r#"[data-testid="banner"][data-kind="conversation"] [data-testid="banner-action"]"#).await?;
    ada.click(&testid("doubt-compare")).await?;
    ada.wait(r#"[data-testid="safety-dialog"] [data-testid="safety"][data-state="broken"]"#).await?;
    ada.close_dialog(&testid("safety-dialog")).await?;

    // The relay is right again, though its log keeps what it had shown: the verification stands as before, by itself.
    relay_shows(&mut two, &honest).await?;
    let (ada, bea) = (&two.ada_window, &two.bea_window);
    ada.wait_gone(r#"[data-testid="banner"][data-kind="conversation"]"#).await?;
    ada.wait(&testid("verified-mark")).await?;
    ada.click(&testid("open-details")).await?;
    ada.wait(r#"[data-testid="safety"][data-state="verified"]"#).await?;
    ada.pictures("doubt-over").await?;
    ada.click(&testid("close-details")).await?;
    assert!(ada.all(&testid("composer-error")).await?.is_empty(), "nothing says that it goes on");

    // Nothing has waited in secret: both ways are open, and still only the draft has the text.
    bea.write("Are you there?").await?;
    ada.wait_message("Are you there?", "received").await?;
    assert_eq!(ada.value(&testid("composer")).await?, TEXT);
    assert_eq!(bea.count(TEXT, "").await?, 0);
    ada.click(&testid("send")).await?;
    ada.wait_message(TEXT, "sent").await?;
    bea.wait_message(TEXT, "received").await?;
    two.ada_window.close().await?;
    two.bea_window.close().await
}

#[tokio::test]
async fn p11_a_verified_contacts_recovery_asks_first() -> Outcome<()> {
    let two = Two::meet().await?;
    let ada = &two.ada_window;
    verify(ada).await?;
    let (account, words) = (two.bea_window.account().await?, words(&two.bea_window).await?.join(" "));
    two.bea_window.close().await?;
    let (again, _elsewhere) = recover_elsewhere(&account.address, &words).await?;

    // Said before anything is written, and nobody was let in meanwhile.
    ada.wait(r#"[data-testid="notice"][data-kind="verifyAgain"]"#).await?;
    ada.wait(r#"[data-testid="banner"][data-kind="conversation"]"#).await?;
    ada.wait_gone(&testid("verified-mark")).await?;
    ada.type_into(&testid("composer"), TEXT).await?;
    ada.keys(ENTER).await?;
    ada.wait(r#"[data-testid="doubt"][data-kind="verifyAgain"]"#).await?;
    ada.pictures("doubt-recovered").await?;
    assert_eq!(ada.axe().await?, Vec::<String>::new());
    ada.click(&testid("doubt-close")).await?;
    ada.wait_gone(&testid("doubt")).await?;
    assert_eq!(ada.value(&testid("composer")).await?, TEXT, "nothing typed is lost");
    assert_eq!(ada.count(TEXT, "").await?, 0, "nothing is sent");
    assert!(ada.all(r#"[data-testid="notice"][data-kind="recovered"]"#).await?.is_empty(), "nobody has decided");
    assert!(again.conversations().await.map_err(broken)?.is_empty(), "the new device is in the conversation");

    // The user goes on as with somebody who is not verified: the new device is let in, and reads what was kept.
    ada.click(&testid("send")).await?;
    ada.wait(&testid("doubt")).await?;
    ada.click(&testid("doubt-anyway")).await?;
    ada.wait_message(TEXT, "sent").await?;
    ada.wait(r#"[data-testid="notice"][data-kind="recovered"]"#).await?;
    let heard = async || {
        for view in again.conversations().await.map_err(broken)? {
            if view.standing == Standing::Request {
                again.accept_request(&view.id).await.map_err(broken)?;
            }
            let page = again.messages(&view.id, None, 500).await.map_err(broken)?;
            if page.messages.iter().any(|line| line.text == TEXT) {
                return Ok(Some(()));
            }
        }
        Ok(None)
    };
    wait::until("the new device to read it", heard).await?;
    again.stop().await;
    two.ada_window.close().await
}
