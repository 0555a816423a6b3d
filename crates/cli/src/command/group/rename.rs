//! `group rename`: gives a group another name.

use clap::Args;
use waxwing_client::Client;

use crate::failure::Failure;
use crate::output::Output;
use crate::terminal::quoted;
use crate::{change, lines, who};

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The group's name or id
    #[arg(value_name = "GROUP")]
    pub(crate) group: String,
    /// The new name: 1 to 64 characters
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Whether to wait.
    #[command(flatten)]
    pub(crate) waiting: change::Waiting,
}

/// Renames it, and prints the group.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    change::catch_up(client, arguments.waiting).await;
    let group = who::group(client, &arguments.group).await?;
    who::accepted(&group)?;
    let name = arguments.name.trim();
    client.rename_group(&group.id, name).await?;
    let (now, fate) = change::of_group(client, &group, arguments.waiting, output, |group| group.name == name).await?;
    output.view(&now, |_| fate.say(&format!("{} is called {} now", lines::named(&group), quoted(name))))?;
    fate.result()
}
