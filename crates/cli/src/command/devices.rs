//! `devices`: the devices of the account. One file for each command. Not here: what the new device does (`link`).

mod link;
mod list;
mod revoke;

use clap::{Args, Subcommand};
use waxwing_client::Client;

use crate::failure::Failure;
use crate::output::Output;

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What to do with devices.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do with devices.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Fetch what is waiting, and list the account's devices, this one first
    List(list::Arguments),
    /// Print a code for a new device, wait until that device asks, compare its fingerprint, and let it into the account
    Link(link::Arguments),
    /// Remove one device from the account, and replace the account key
    Revoke(revoke::Arguments),
}

/// Whether it waits for the relay.
pub(super) fn asks_relay(command: &Command) -> bool {
    match command {
        Command::List(arguments) => !arguments.offline,
        Command::Link(_) | Command::Revoke(_) => true,
    }
}

/// Does what the command line asks for.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    match &arguments.command {
        Command::List(arguments) => list::run(arguments, client, output).await,
        Command::Link(arguments) => link::run(arguments, client, output).await,
        Command::Revoke(arguments) => revoke::run(arguments, client, output).await,
    }
}
