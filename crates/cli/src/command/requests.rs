//! `requests`: who asks.

use clap::Args;
use waxwing_client::{Client, Standing};

use crate::failure::Failure;
use crate::output::Output;
use crate::{lines, session};

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Print what is on this computer, without asking the relay first
    #[arg(long)]
    pub(crate) offline: bool,
}

/// Fetches what is waiting, then prints the requests, newest first. With the relay out of reach those that are here are
/// printed all the same, and the failure told after them.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let fetched = if arguments.offline { Ok(()) } else { session::fetch(client).await };
    let mut requests = client.conversations().await?;
    // Whoever is blocked does not ask any more; `list` still has them.
    requests.retain(|conversation| conversation.standing == Standing::Request && !conversation.blocked);
    if requests.is_empty() {
        output.aside("No requests.");
    }
    for request in &requests {
        output.view(request, lines::conversation)?;
    }
    fetched
}
