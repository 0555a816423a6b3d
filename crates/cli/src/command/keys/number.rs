//! `keys number`: the safety number that one shares with somebody.

use clap::Args;
use waxwing_client::Client;

use crate::failure::Failure;
use crate::output::Output;
use crate::{lines, who};

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A contact, or somebody in a group: name@host[:port], or an account's id
    #[arg(value_name = "PERSON")]
    pub(crate) person: String,
}

/// Prints the number.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let person = who::person(client, &arguments.person).await?;
    output.view(&client.safety_number(&person).await?, lines::safety_number)
}
