//! `group leave`: leaves a group.

use clap::Args;
use waxwing_client::{Client, Standing};

use crate::failure::Failure;
use crate::output::Output;
use crate::{change, lines, who};

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The group's name or id
    #[arg(value_name = "GROUP")]
    pub(crate) group: String,
    /// Whether to wait.
    #[command(flatten)]
    pub(crate) waiting: change::Waiting,
}

/// Leaves it, and prints the conversation, which stays readable.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    change::catch_up(client, arguments.waiting).await;
    let group = who::group(client, &arguments.group).await?;
    if group.standing == Standing::Asked {
        return Err(Failure::NotLetIn(lines::named(&group)));
    }
    client.leave_group(&group.id).await?;
    let (now, fate) = change::of_standing(client, &group, arguments.waiting).await?;
    output.view(&now, |now| {
        let what = if now.standing == Standing::Removed { "You were removed from" } else { "You left" };
        fate.say(&format!("{what} {}", lines::named(now)))
    })?;
    fate.result()
}
