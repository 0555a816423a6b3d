//! `invite`: the own invite link.

use clap::Args;
use waxwing_client::Client;

use crate::failure::Failure;
use crate::output::Output;
use crate::session;
use crate::terminal::line;

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Make another link first: the one before admits nobody any more
    #[arg(long)]
    pub(crate) new: bool,
}

/// Prints the link, alone on its line, so that it can be piped on.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let invite = if arguments.new { client.renew_invite().await? } else { client.invite().await? };
    output.view(&invite, |invite| line(&invite.link))?;
    output.aside(&format!(
        "Hand this link over privately: whoever has it can write to you. People on your relay also find you as {}.",
        line(&invite.address)
    ));
    session::settle(client).await;
    Ok(())
}
