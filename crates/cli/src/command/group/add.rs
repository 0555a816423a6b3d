//! `group add`: brings contacts into a group.

use clap::Args;
use waxwing_client::Client;

use super::Newcomers;
use crate::failure::Failure;
use crate::output::Output;
use crate::{change, lines, who};

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The group's name or id
    #[arg(value_name = "GROUP")]
    pub(crate) group: String,
    /// Contacts to bring in
    #[arg(value_name = "PERSON", required = true)]
    pub(crate) people: Vec<String>,
    /// Whether to wait.
    #[command(flatten)]
    pub(crate) waiting: change::Waiting,
}

/// Adds them, and prints the group.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    change::catch_up(client, arguments.waiting).await;
    let group = who::group(client, &arguments.group).await?;
    who::accepted(&group)?;
    let people = Newcomers::find(client, &arguments.people).await?;
    client.add_members(&group.id, &people.ids()).await?;
    let made = change::of_group(client, &group, arguments.waiting, output, |group| people.are_in(group));
    let (now, fate) = made.await?;
    output.view(&now, |_| fate.say(&format!("{} added to {}", people.shown(), lines::named(&group))))?;
    fate.result()
}
