//! `delete`: erases a conversation's history on this computer.

use clap::Args;
use waxwing_client::{Client, ConversationView, Event, Standing};

use crate::failure::Failure;
use crate::output::Output;
use crate::{lines, session, who};

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// name@host[:port], a group's name, a conversation's id, or `me`
    #[arg(value_name = "WHO")]
    pub(crate) who: String,
}

/// Deletes it, and prints that. Nobody else is told, so nothing is waited for.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let conversation = who::find(client, &arguments.who).await?;
    if conversation.standing == Standing::Left {
        // With the conversation goes what waits in it: that one has left is told first, if it can be.
        session::settle(client).await;
    }
    client.delete_conversation(&conversation.id).await?;
    output.view(&Event::ConversationDeleted { conversation: conversation.id.clone() }, |_| said(&conversation))
}

fn said(conversation: &ConversationView) -> String {
    let after = match conversation.standing {
        _ if conversation.blocked => " Whoever you blocked stays so; `waxwing-cli blocked` lists them.",
        Standing::Left | Standing::Removed => "",
        Standing::Asked => " You do not wait to be let in any more.",
        Standing::Member | Standing::Request => " It comes back, empty, with the next message.",
    };
    format!("Deleted on this computer: {}.{after}", lines::named(conversation))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::tests::{book_club, direct};

    #[test]
    fn what_comes_back_is_said() {
        let bob = direct("bob@relay:1", "0b");
        let text = "Deleted on this computer: bob@relay:1. It comes back, empty, with the next message.";
        assert_eq!(said(&bob), text);
        let blocked = said(&ConversationView { blocked: true, ..bob });
        assert!(blocked.ends_with("bob@relay:1. Whoever you blocked stays so; `waxwing-cli blocked` lists them."));
        let left = ConversationView { standing: Standing::Left, ..book_club() };
        assert_eq!(said(&left), "Deleted on this computer: 4f4f4f4f \"Book club\".");
        let asked = ConversationView { standing: Standing::Asked, ..book_club() };
        assert!(said(&asked).ends_with("\"Book club\". You do not wait to be let in any more."));
    }
}
