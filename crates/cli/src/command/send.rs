//! `send`: one message.

use std::time::Duration;

use clap::Args;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use waxwing_client::{
    Client, ConversationView, ErrorCode, ErrorView, Event, MessageState, MessageView, new_message_id,
};

use crate::failure::Failure;
use crate::output::Output;
use crate::{change, history, input, lines, who};

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// name@host[:port], a group's name, a conversation's id, or `me`
    #[arg(value_name = "WHO")]
    pub(crate) who: String,
    /// The text; `-` alone reads it from standard input
    #[arg(value_name = "TEXT", required = true)]
    pub(crate) text: Vec<String>,
    /// Whether to wait.
    #[command(flatten)]
    pub(crate) waiting: change::Waiting,
}

/// Stores the message, waits until the relay has it, and prints it as it is then.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let text = match arguments.text.as_slice() {
        [only] if only == "-" => input::all()?,
        words => words.join(" "),
    };
    let conversation = who::find(client, &arguments.who).await?;
    who::accepted(&conversation)?;
    let events = client.events();
    let message = client.send(&conversation.id, &new_message_id(), &text).await?;
    if arguments.waiting.no_wait {
        return output.view(&message, |message| outcome(&conversation, message));
    }
    let patience = Duration::from_secs(arguments.waiting.timeout);
    let message = match tokio::time::timeout(patience, until_settled(client, events, message.clone())).await {
        Ok(settled) => settled?,
        Err(_) => history::reload(client, &message).await?.unwrap_or(message),
    };
    output.view(&message, |message| outcome(&conversation, message))?;
    match message.state {
        MessageState::Sent | MessageState::Received => Ok(()),
        MessageState::Sending => Err(Failure::StillSending { seconds: arguments.waiting.timeout }),
        MessageState::Failed => Err(Failure::NotSent(message.error.unwrap_or_else(no_reason))),
    }
}

/// Waits until the message is no longer on its way.
async fn until_settled(
    client: &Client,
    mut events: Receiver<Event>,
    mut message: MessageView,
) -> Result<MessageView, Failure> {
    while message.state == MessageState::Sending {
        match events.recv().await {
            Ok(Event::Message { message: changed, .. }) if history::is_same(&changed, &message) => message = changed,
            Ok(Event::Lagged) | Err(RecvError::Lagged(_)) => {
                message = history::reload(client, &message).await?.unwrap_or(message);
            }
            Err(RecvError::Closed) => break,
            Ok(_) => {}
        }
    }
    Ok(message)
}

fn outcome(conversation: &ConversationView, message: &MessageView) -> String {
    let who = lines::named(conversation);
    match message.state {
        MessageState::Sent | MessageState::Received => format!("Sent to {who}."),
        MessageState::Sending => format!("Stored here for {who}; the relay does not have it yet."),
        MessageState::Failed => format!("Not sent to {who}."),
    }
}

fn no_reason() -> ErrorView {
    ErrorView { code: ErrorCode::Internal, detail: "the message failed without a reason".to_owned() }
}
