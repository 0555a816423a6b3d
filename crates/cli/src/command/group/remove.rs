//! `group remove`: removes somebody from a group.

use clap::Args;
use waxwing_client::Client;

use crate::failure::Failure;
use crate::output::Output;
use crate::{change, lines, who};

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The group's name or id
    #[arg(value_name = "GROUP")]
    pub(crate) group: String,
    /// Somebody in it
    #[arg(value_name = "PERSON")]
    pub(crate) person: String,
    /// Whether to wait.
    #[command(flatten)]
    pub(crate) waiting: change::Waiting,
}

/// Removes them, and prints the group.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    change::catch_up(client, arguments.waiting).await;
    let group = who::group(client, &arguments.group).await?;
    who::accepted(&group)?;
    let member = who::member(&client.group(&group.id).await?, &arguments.person)?;
    if member.me {
        return Err(Failure::RemovesOneself);
    }
    client.remove_member(&group.id, &member.account_id).await?;
    let gone = |group: &waxwing_client::GroupView| group.members.iter().all(|one| one.account_id != member.account_id);
    let (now, fate) = change::of_group(client, &group, arguments.waiting, output, gone).await?;
    output
        .view(&now, |_| fate.say(&format!("{} removed from {}", lines::member_who(&member), lines::named(&group))))?;
    fate.result()
}
