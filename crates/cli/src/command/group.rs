//! `group`: groups, and who is in them. One file for each command.

mod add;
mod create;
mod join;
mod leave;
mod link;
mod list;
mod remove;
mod rename;
mod role;

use clap::{Args, Subcommand};
use waxwing_client::{Client, ContactView, GroupView};

use crate::failure::Failure;
use crate::output::Output;
use crate::terminal::line;
use crate::who;

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What to do with groups.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do with groups.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a group
    Create(create::Arguments),
    /// Bring contacts into a group
    Add(add::Arguments),
    /// Remove somebody from a group
    Remove(remove::Arguments),
    /// Make somebody an admin of a group, or an ordinary member
    Role(role::Arguments),
    /// Give a group another name
    Rename(rename::Arguments),
    /// Leave a group
    Leave(leave::Arguments),
    /// Print a link that lets whoever has it into a group, or turn it off
    Link(link::Arguments),
    /// Ask to be let into a group, with somebody's link
    Join(join::Arguments),
    /// List the groups, or who is in one
    List(list::Arguments),
}

/// Does what the command line asks for.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    match &arguments.command {
        Command::Create(arguments) => create::run(arguments, client, output).await,
        Command::Add(arguments) => add::run(arguments, client, output).await,
        Command::Remove(arguments) => remove::run(arguments, client, output).await,
        Command::Role(arguments) => role::run(arguments, client, output).await,
        Command::Rename(arguments) => rename::run(arguments, client, output).await,
        Command::Leave(arguments) => leave::run(arguments, client, output).await,
        Command::Link(arguments) => link::run(arguments, client, output).await,
        Command::Join(arguments) => join::run(arguments, client, output).await,
        Command::List(arguments) => list::run(arguments, client, output).await,
    }
}

/// Contacts that are to come into a group.
struct Newcomers(Vec<ContactView>);

impl Newcomers {
    /// All of them, or none.
    async fn find(client: &Client, people: &[String]) -> Result<Self, Failure> {
        let mut contacts = Vec::with_capacity(people.len());
        for person in people {
            contacts.push(who::contact(client, person).await?);
        }
        Ok(Self(contacts))
    }

    fn ids(&self) -> Vec<String> {
        self.0.iter().map(|contact| contact.account_id.clone()).collect()
    }

    fn are_in(&self, group: &GroupView) -> bool {
        let here = |id: &String| group.members.iter().any(|member| member.account_id == *id);
        self.0.iter().all(|contact| here(&contact.account_id))
    }

    fn shown(&self) -> String {
        self.0.iter().map(|contact| line(&contact.address)).collect::<Vec<_>>().join(", ")
    }
}
