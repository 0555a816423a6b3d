//! `keys`: this device's keys, how often they are replaced, and their history; and whether one has compared those of others. One file for
//! each command.

mod export;
mod log;
mod number;
mod recover;
mod register_again;
mod replace;
mod schedule;
mod verify;

use clap::{Args, Subcommand};
use waxwing_client::Client;

use super::rotate;
use crate::failure::Failure;
use crate::key_lines;
use crate::output::Output;

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What to do with keys.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the keys in force, when they are replaced next, and how far the last rotation has got
    Show,
    /// Rotate this device's keys now
    Rotate,
    /// Replace the account key: the one that all devices' keys are proved by
    Replace(replace::Arguments),
    /// Take the account back on this device with its recovery phrase, and shut everybody else out; the history stays
    Recover,
    /// Tell a relay that was restored from a backup again what it has lost of the account
    RegisterAgain(register_again::Arguments),
    /// Show how often the keys are replaced by themselves, or decide it
    Schedule(schedule::Arguments),
    /// List what has happened to the account's keys, newest first; or check such a list from a file
    Log(log::Arguments),
    /// Write that list as a text that this device signs
    Export(export::Arguments),
    /// Show the safety number that you and somebody share
    Number(number::Arguments),
    /// Mark somebody as verified, once you have compared the safety number with them
    Verify(verify::Arguments),
}

/// Whether it waits for the relay.
pub(super) fn asks_relay(command: &Command) -> bool {
    match command {
        Command::Show | Command::Schedule(_) | Command::Export(_) | Command::Number(_) => false,
        Command::Rotate
        | Command::Replace(_)
        | Command::Recover
        | Command::RegisterAgain(_)
        | Command::Log(_)
        | Command::Verify(_) => true,
    }
}

/// Whether it says by itself what speaks against keys and logs of keys.
pub(super) fn tells_alarms(command: &Command) -> bool {
    matches!(command, Command::Log(arguments) if arguments.check.is_none())
}

/// Does what the command line asks for.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    match &arguments.command {
        Command::Show => output.view(&client.keys().await?, key_lines::keys),
        Command::Rotate => rotate::run(client, output).await,
        Command::Replace(arguments) => replace::run(arguments, client, output).await,
        Command::Recover => recover::run(client, output).await,
        Command::RegisterAgain(arguments) => register_again::run(arguments, client, output).await,
        Command::Schedule(arguments) => schedule::run(arguments, client, output).await,
        Command::Log(arguments) => log::run(arguments, client, output).await,
        Command::Export(arguments) => export::run(arguments, client, output).await,
        Command::Number(arguments) => number::run(arguments, client, output).await,
        Command::Verify(arguments) => verify::run(arguments, client, output).await,
    }
}
