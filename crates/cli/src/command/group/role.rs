//! `group role`: makes somebody an admin, or an ordinary member.

use clap::{Args, ValueEnum};
use waxwing_client::{Client, GroupView};

use crate::failure::Failure;
use crate::output::Output;
use crate::{change, lines, who};

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The group's name or id
    #[arg(value_name = "GROUP")]
    pub(crate) group: String,
    /// Somebody in it; `me` for yourself
    #[arg(value_name = "PERSON")]
    pub(crate) person: String,
    /// What they may do from now on
    #[arg(value_name = "ROLE")]
    pub(crate) role: Role,
    /// Whether to wait.
    #[command(flatten)]
    pub(crate) waiting: change::Waiting,
}

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Adds and removes people, changes name and roles
    Admin,
    /// Reads and writes
    Member,
}

impl From<Role> for waxwing_client::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Admin => Self::Admin,
            Role::Member => Self::Member,
        }
    }
}

/// Changes the role, and prints the group.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    change::catch_up(client, arguments.waiting).await;
    let group = who::group(client, &arguments.group).await?;
    who::accepted(&group)?;
    let member = who::member(&client.group(&group.id).await?, &arguments.person)?;
    let role = arguments.role.into();
    client.set_role(&group.id, &member.account_id, role).await?;
    let has_it = |group: &GroupView| {
        let now = group.members.iter().find(|one| one.account_id == member.account_id);
        now.is_some_and(|now| now.role == role)
    };
    let (now, fate) = change::of_group(client, &group, arguments.waiting, output, has_it).await?;
    let role = match arguments.role {
        Role::Admin => "an admin",
        Role::Member => "an ordinary member",
    };
    output
        .view(&now, |_| fate.say(&format!("{} is {role} of {}", lines::member_who(&member), lines::named(&group))))?;
    fate.result()
}
