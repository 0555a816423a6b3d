//! `list`: the conversations.

use waxwing_client::Client;

use crate::failure::Failure;
use crate::lines;
use crate::output::Output;

/// Prints the conversations, newest first.
pub(crate) async fn run(client: &Client, output: &mut Output) -> Result<(), Failure> {
    let conversations = client.conversations().await?;
    if conversations.is_empty() {
        output.aside("No conversations yet. `waxwing-cli add` starts one.");
    }
    for conversation in &conversations {
        output.view(conversation, lines::conversation)?;
    }
    Ok(())
}
