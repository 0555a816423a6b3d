//! `group join`: asks to be let into a group.

use clap::Args;
use waxwing_client::{Client, ConversationView, GroupOfferView, Standing};

use crate::failure::Failure;
use crate::output::Output;
use crate::terminal::{line, quoted};
use crate::{input, lines, session};

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A link into a group, or `-` to read it from standard input
    ///
    /// A link is a key, and other users of this computer can see command lines: prefer `-`.
    #[arg(value_name = "LINK")]
    pub(crate) link: String,
    /// Only show what the link says; nobody is asked
    #[arg(long)]
    pub(crate) look: bool,
}

/// Says which group it is and who lets people in, asks, and prints the conversation.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let text = match arguments.link.as_str() {
        "-" => input::all()?,
        text => text.to_owned(),
    };
    let offer = client.look_at_link(&text).await?;
    if let (Some(offer), true) = (&offer, arguments.look) {
        return output.view(offer, offered);
    }
    let asked = client.join_group(&text).await?;
    session::settle(client).await;
    let now = client.conversation(&asked.id).await?;
    if now.standing == Standing::Asked
        && let Some(problem) = now.problem
    {
        return Err(Failure::NotChanged(problem));
    }
    let by = offer.map_or_else(|| now.inviter.clone().unwrap_or_default(), |offer| offer.address);
    output.view(&now, |now| said(now, &by))
}

fn offered(offer: &GroupOfferView) -> String {
    format!("The group {}; {} lets you in.", quoted(&offer.title), line(&offer.address))
}

fn said(now: &ConversationView, by: &str) -> String {
    match now.standing {
        Standing::Asked => format!(
            "You asked to join {}. The app of {} lets you in when it is next connected.",
            lines::named(now),
            line(by)
        ),
        _ => format!("You are in {}.", lines::named(now)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::tests::book_club;

    #[test]
    fn who_lets_in_and_where() {
        let asked = ConversationView { standing: Standing::Asked, ..book_club() };
        let text =
            "You asked to join 4f4f4f4f \"Book club\". The app of ada@relay␛ lets you in when it is next connected.";
        assert_eq!(said(&asked, "ada@relay\u{1b}"), text);
        assert_eq!(said(&book_club(), "ada@relay"), "You are in 4f4f4f4f \"Book club\".");
        let offer = GroupOfferView {
            conversation: "4f".repeat(32),
            title: "Book\nclub".to_owned(),
            inviter: "Ada".to_owned(),
            address: "ada@relay:1".to_owned(),
        };
        assert_eq!(offered(&offer), "The group \"Book␊club\"; ada@relay:1 lets you in.");
    }
}
