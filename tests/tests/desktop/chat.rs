//! First run, and two windows that chat both ways.

use waxwing_tests::Outcome;

use crate::Two;

#[tokio::test]
async fn two_people_chat_both_ways() -> Outcome<()> {
    let two = Two::meet().await?;
    for (from, to, text) in [
        (&two.ada_window, &two.bea_window, "Hello Bea."),
        (&two.bea_window, &two.ada_window, "Grüße aus Köln — und ein Zitat: “Ja”."),
        (&two.ada_window, &two.bea_window, "<b>Text is text</b> & nothing else."),
    ] {
        from.write(text).await?;
        from.wait_message(text, "sent").await?;
        to.wait_message(text, "received").await?;
    }
    two.ada_window.pictures("conversation").await?;
    two.bea_window.pictures("conversation-other-side").await?;
    two.ada_window.close().await?;
    two.bea_window.close().await
}
