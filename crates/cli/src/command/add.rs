//! `add`: starts a conversation.

use std::time::Duration;

use clap::Args;
use waxwing_client::Client;

use crate::failure::Failure;
use crate::output::Output;
use crate::{input, lines, session};

/// Longest wait for the relay to have what is for the other side. It comes later otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// An invite link, name@host[:port], or `-` to read either from standard input
    ///
    /// A link carries a key that admits its holder, and other users of this computer can see command lines: prefer `-`.
    #[arg(value_name = "LINK_OR_ADDRESS")]
    pub(crate) link_or_address: String,
}

/// Adds the person, and prints the conversation.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let text = match arguments.link_or_address.as_str() {
        "-" => input::all()?,
        text => text.to_owned(),
    };
    output.view(&client.add_contact(text.trim()).await?, lines::conversation)?;
    // Somebody is waiting for it.
    session::settle_within(client, PATIENCE).await;
    Ok(())
}
