//! `group link`: the link that lets people into a group.

use clap::Args;
use waxwing_client::Client;

use crate::change::Waiting;
use crate::failure::Failure;
use crate::output::Output;
use crate::terminal::line;
use crate::{change, lines, session, who};

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The group's name or id
    #[arg(value_name = "GROUP")]
    pub(crate) group: String,
    /// Make another link; the one before lets nobody in any more
    #[arg(long, conflicts_with = "off")]
    pub(crate) new: bool,
    /// Turn the link off: it lets nobody in any more
    #[arg(long)]
    pub(crate) off: bool,
}

/// Prints the link alone on its line, so that it can be piped on; makes one where there is none. Or turns it off.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    change::catch_up(client, Waiting { timeout: 0, no_wait: false }).await;
    let group = who::group(client, &arguments.group).await?;
    who::accepted(&group)?;
    if arguments.off {
        let now = client.end_group_link(&group.id).await?;
        output.view(&now, |_| format!("No link of yours lets anybody into {} now.", lines::named(&group)))?;
        // The relay is to forget it too; if it is out of reach, it hears of it with a later command.
        session::settle(client).await;
        return Ok(());
    }
    let link = match client.group_link(&group.id).await? {
        Some(link) if !arguments.new => link,
        _ => client.make_group_link(&group.id).await?,
    };
    output.view(&link, |link| line(&link.link))?;
    output.aside(&format!(
        "Whoever has this link is let into {}, as long as this profile is connected now and then; `--off` turns it off.",
        lines::named(&group)
    ));
    Ok(())
}
