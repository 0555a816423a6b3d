//! `group create`: makes a group.

use clap::Args;
use waxwing_client::Client;

use super::Newcomers;
use crate::failure::Failure;
use crate::output::Output;
use crate::{change, lines};

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The group's name: 1 to 64 characters
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Contacts to bring in
    #[arg(value_name = "PERSON")]
    pub(crate) people: Vec<String>,
    /// Whether to wait.
    #[command(flatten)]
    pub(crate) waiting: change::Waiting,
}

/// Makes the group with these people, and prints it.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let people = Newcomers::find(client, &arguments.people).await?;
    let made = client.create_group(&arguments.name, &people.ids()).await?;
    let fate = if people.0.is_empty() {
        change::of_standing(client, &made, arguments.waiting).await?.1
    } else {
        change::of_group(client, &made, arguments.waiting, output, |group| people.are_in(group)).await?.1
    };
    output.view(&client.conversation(&made.id).await?, |group| {
        let with = if people.0.is_empty() { String::new() } else { format!(" with {}", people.shown()) };
        fate.say(&format!("{} is made{with}", lines::named(group)))
    })?;
    fate.result()
}
