//! `group list`: the groups, or who is in one.

use clap::Args;
use waxwing_client::{Client, ConversationKind};

use crate::failure::Failure;
use crate::output::Output;
use crate::{lines, who};

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The group's name or id [default: list the groups]
    #[arg(value_name = "GROUP")]
    pub(crate) group: Option<String>,
}

/// Prints the groups, newest first; or one with everybody in it.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    if let Some(group) = &arguments.group {
        let group = who::group(client, group).await?;
        return output.view(&client.group(&group.id).await?, lines::group);
    }
    let mut groups = client.conversations().await?;
    groups.retain(|conversation| conversation.kind == ConversationKind::Group);
    if groups.is_empty() {
        output.aside("No groups yet. `waxwing-cli group create` makes one.");
    }
    for group in &groups {
        output.view(group, lines::conversation)?;
    }
    Ok(())
}
