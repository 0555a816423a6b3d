//! The commands, one file each.

pub(crate) mod accept;
pub(crate) mod add;
pub(crate) mod block;
pub(crate) mod blocked;
pub(crate) mod certificate;
pub(crate) mod delete;
pub(crate) mod devices;
pub(crate) mod group;
pub(crate) mod invite;
pub(crate) mod keys;
pub(crate) mod link;
pub(crate) mod list;
pub(crate) mod listen;
pub(crate) mod phrase;
pub(crate) mod read;
pub(crate) mod recover;
pub(crate) mod register;
pub(crate) mod requests;
pub(crate) mod rotate;
pub(crate) mod send;
pub(crate) mod sync;
pub(crate) mod whoami;

use waxwing_client::Client;

use crate::arguments::{Arguments, Command};
use crate::command::block::Wish;
use crate::failure::Failure;
use crate::output::Output;
use crate::session;

/// Does what the command line asks for.
pub(crate) async fn run(arguments: Arguments, output: &mut Output) -> Result<(), Failure> {
    let Arguments { options, command } = arguments;
    if let Command::Register(arguments) = command {
        return register::run(arguments, &options, output).await;
    }
    if let Command::Recover(arguments) = command {
        return recover::run(arguments, &options, output).await;
    }
    if matches!(command, Command::Link) {
        return link::run(&options, output).await;
    }
    if let Command::Certificate(arguments) = command {
        return certificate::run(&arguments, &options, output);
    }
    let profile = session::profile(&options)?;
    if let Command::Listen(arguments) = command {
        return listen::run(&arguments, &profile, &options, output).await;
    }
    let client = session::start(&profile, &options).await?;
    let (asks, tells_alarms) = (asks_relay(&command), tells_alarms(&command));
    let result = with_account(command, &client, output).await;
    if asks && tells_alarms {
        session::tell_clock(&client, output);
    } else if asks {
        session::tell_last(&client, output).await;
    }
    client.stop().await;
    result
}

/// Whether a command waits for the relay, so that it knows the time afterwards. `listen` says by itself what it knows, as it learns it.
fn asks_relay(command: &Command) -> bool {
    match command {
        Command::Phrase(_)
        | Command::Whoami
        | Command::List
        | Command::Blocked
        | Command::Listen(_)
        | Command::Certificate(_) => false,
        Command::Keys(arguments) => keys::asks_relay(&arguments.command),
        Command::Devices(arguments) => devices::asks_relay(&arguments.command),
        Command::Register(_)
        | Command::Recover(_)
        | Command::Link
        | Command::Invite(_)
        | Command::Add(_)
        | Command::Send(_)
        | Command::Read(_)
        | Command::Requests(_)
        | Command::Accept(_)
        | Command::Block(_)
        | Command::Unblock(_)
        | Command::Delete(_)
        | Command::Group(_)
        | Command::Rotate
        | Command::Sync => true,
    }
}

/// Whether a command says by itself what speaks against keys and logs of keys.
fn tells_alarms(command: &Command) -> bool {
    matches!(command, Command::Keys(arguments) if keys::tells_alarms(&arguments.command))
}

async fn with_account(command: Command, client: &Client, output: &mut Output) -> Result<(), Failure> {
    match command {
        // They have to do with the engine's beginning or end, or with no engine, and came before.
        Command::Register(_) | Command::Recover(_) | Command::Link | Command::Listen(_) | Command::Certificate(_) => {
            Ok(())
        }
        Command::Phrase(arguments) => phrase::run(&arguments, client, output).await,
        Command::Whoami => whoami::run(client, output).await,
        Command::Invite(arguments) => invite::run(&arguments, client, output).await,
        Command::Add(arguments) => add::run(&arguments, client, output).await,
        Command::List => list::run(client, output).await,
        Command::Send(arguments) => send::run(&arguments, client, output).await,
        Command::Read(arguments) => read::run(&arguments, client, output).await,
        Command::Requests(arguments) => requests::run(&arguments, client, output).await,
        Command::Accept(arguments) => accept::run(&arguments, client, output).await,
        Command::Block(arguments) => block::run(&arguments, Wish::Block, client, output).await,
        Command::Unblock(arguments) => block::run(&arguments, Wish::Unblock, client, output).await,
        Command::Blocked => blocked::run(client, output).await,
        Command::Delete(arguments) => delete::run(&arguments, client, output).await,
        Command::Group(arguments) => group::run(&arguments, client, output).await,
        Command::Keys(arguments) => keys::run(&arguments, client, output).await,
        Command::Devices(arguments) => devices::run(&arguments, client, output).await,
        Command::Rotate => rotate::run(client, output).await,
        Command::Sync => sync::run(client, output).await,
    }
}
