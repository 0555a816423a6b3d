//! `accept`: takes part in a conversation that somebody unknown has begun.

use clap::Args;
use waxwing_client::{Client, Standing};

use crate::change::Fate;
use crate::failure::Failure;
use crate::output::Output;
use crate::{change, lines, who};

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The request: name@host[:port], a group's name, or an id
    #[arg(value_name = "WHO")]
    pub(crate) who: String,
    /// Whether to wait.
    #[command(flatten)]
    pub(crate) waiting: change::Waiting,
}

/// Accepts the request, and prints the conversation. Accepting twice is no error.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    change::catch_up(client, arguments.waiting).await;
    let conversation = who::find(client, &arguments.who).await?;
    let (now, fate) = match conversation.standing {
        Standing::Request => {
            client.accept_request(&conversation.id).await?;
            change::of_standing(client, &conversation, arguments.waiting).await?
        }
        Standing::Member => (conversation, Fate::Made),
        Standing::Left | Standing::Removed | Standing::Asked => {
            return Err(Failure::NoRequest(lines::who(&conversation)));
        }
    };
    output.view(&now, |now| fate.say(&format!("{} is accepted", lines::named(now))))?;
    fate.result()
}
