//! What is written while the relay is away goes out when it is back, once.

use waxwing_tests::Outcome;
use waxwing_tests::window::testid;

use crate::Two;

const AWAY: &str = "Written while the relay was away.";

#[tokio::test]
async fn what_is_written_offline_is_delivered_once() -> Outcome<()> {
    let mut two = Two::meet().await?;
    two.relay.stop();
    two.ada_window.wait(r#"[data-testid="connection"][data-state="offline"]"#).await?;
    two.ada_window.write(AWAY).await?;
    two.ada_window.wait_message(AWAY, "sending").await?;
    two.ada_window.wait(&testid("banner")).await?;
    two.ada_window.pictures("offline").await?;

    // Also over a restart of the program: the outbox is in the database.
    two.ada_window.close().await?;
    let ada_window = two.ada.open_app().await?;
    ada_window.wait(r#"[data-testid="conversation-list"][data-state="loaded"]"#).await?;
    ada_window.open_conversation().await?;
    ada_window.wait_message(AWAY, "sending").await?;

    two.relay.start_again()?;
    ada_window.wait_message(AWAY, "sent").await?;
    two.bea_window.wait_message(AWAY, "received").await?;
    two.bea_window.write("Got it.").await?;
    ada_window.wait_message("Got it.", "received").await?;

    // What was shown once is also stored once.
    assert_eq!(two.bea_window.count(AWAY, "").await?, 1);
    two.bea_window.close().await?;
    let bea_window = two.bea.open_app().await?;
    bea_window.wait_ready().await?;
    bea_window.open_conversation().await?;
    bea_window.wait_message(AWAY, "received").await?;
    bea_window.close().await?;
    ada_window.close().await
}
