//! `block` and `unblock`: whether anything of somebody's is taken in.

use clap::Args;
use waxwing_client::{Client, ConversationKind, Standing};

use crate::failure::Failure;
use crate::output::Output;
use crate::terminal::line;
use crate::{change, lines, who};

/// The arguments of both.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// name@host[:port], or a conversation's id
    #[arg(value_name = "WHO")]
    pub(crate) who: String,
    /// Whether to wait.
    #[command(flatten)]
    pub(crate) waiting: change::Waiting,
}

/// What is to become of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Nothing of theirs is taken in.
    Block,
    /// They can write again.
    Unblock,
}

/// Blocks or unblocks, and prints the conversation; the person, where that was deleted.
pub(crate) async fn run(
    arguments: &Arguments,
    wish: Wish,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    change::catch_up(client, arguments.waiting).await;
    let conversation = match who::find(client, &arguments.who).await {
        Err(Failure::NoConversation(who)) if wish == Wish::Unblock => {
            let person = client.unblock(&who::blocked(client, &who).await?).await?;
            return output.view(&person, |person| format!("{} is not blocked.", line(&person.address)));
        }
        found => found?,
    };
    // Of a group that one was just added to, whoever has done that.
    let adder = conversation.standing == Standing::Request || conversation.blocked;
    if conversation.kind != ConversationKind::Direct && !(conversation.kind == ConversationKind::Group && adder) {
        return Err(Failure::NotOnePerson(lines::named(&conversation)));
    }
    client.set_blocked(&conversation.id, wish == Wish::Block).await?;
    let (now, fate) = change::of_standing(client, &conversation, arguments.waiting).await?;
    output.view(&now, |now| {
        let state = if now.blocked { "blocked" } else { "not blocked" };
        let whom = if now.kind == ConversationKind::Group { "Whoever added you to " } else { "" };
        fate.say(&format!("{whom}{} is {state}", lines::named(now)))
    })?;
    fate.result()
}
