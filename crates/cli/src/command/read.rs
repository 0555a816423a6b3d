//! `read`: the history.

use clap::Args;
use waxwing_client::Client;

use crate::failure::Failure;
use crate::output::Output;
use crate::room::Room;
use crate::{history, lines, session, who};

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// name@host[:port], a group's name, a conversation's id, or `me` [default: all conversations]
    #[arg(value_name = "WHO")]
    pub(crate) who: Option<String>,
    /// Print the newest N lines only
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: Option<u32>,
    /// Print what is on this computer, without asking the relay first
    #[arg(long)]
    pub(crate) offline: bool,
}

/// Fetches what is waiting, then prints the history, oldest first. With the relay out of reach what is here is printed all
/// the same, and the failure told after it.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let synced = if arguments.offline { Ok(()) } else { session::fetch(client).await };
    let printed = print(arguments, client, output).await;
    // Somebody whose first message could not be fetched is not known here yet: then that is why.
    match (synced, printed) {
        (Err(synced), Err(Failure::NoConversation(_))) => Err(synced),
        (synced, printed) => printed.and(synced),
    }
}

async fn print(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let conversations = match &arguments.who {
        Some(who) => vec![who::find(client, who).await?],
        None => client.conversations().await?,
    };
    let (mut rooms, mut messages) = (Vec::with_capacity(conversations.len()), Vec::new());
    for conversation in conversations {
        messages.extend(history::newest(client, &conversation.id, arguments.limit).await?);
        rooms.push(Room::of(client, conversation).await?);
    }
    let mut messages = history::in_order(messages);
    let surplus = arguments.limit.map_or(0, |limit| messages.len().saturating_sub(limit as usize));
    messages.drain(..surplus);

    for message in &messages {
        let room = rooms.iter().find(|room| room.conversation.id == message.conversation);
        output.view(message, |message| room.map_or_else(String::new, |room| lines::message(room, message)))?;
    }
    for Room { conversation, .. } in &rooms {
        let own = messages.iter().filter(|message| message.conversation == conversation.id);
        history::mark_seen(client, conversation, own).await?;
    }
    Ok(())
}
