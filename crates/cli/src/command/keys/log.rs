//! `keys log`: what has happened to the account's keys; and whether such a list from a file holds.

use std::path::PathBuf;

use clap::Args;
use waxwing_client::Client;

use crate::failure::Failure;
use crate::output::Output;
use crate::{files, key_lines, log_lines};

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Check an exported list, one's own or a contact's, against the chain of keys that is known here
    #[arg(long, value_name = "FILE")]
    pub(crate) check: Option<PathBuf>,
    /// Go on with the log of keys of RELAY (host[:port]), which has contradicted itself: read it anew, and let its entries count again
    #[arg(long, value_name = "RELAY", conflicts_with = "check")]
    pub(crate) settle: Option<String>,
}

/// Lists the own history, or checks a file and says whose it is.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    if let Some(file) = &arguments.check {
        let checked = client.check_key_log(&files::read(file)?).await?;
        return output.view(&checked, key_lines::checked);
    }
    // What is known of the log is told also where the relay refuses the account, which it may have lost.
    let synced = client.sync().await;
    // That, too, fails behind what is told of all of them.
    let settled = match &arguments.settle {
        Some(relay) => client.settle_log(relay).await.map(drop),
        None => Ok(()),
    };
    let home = client.transparency_log().await?;
    if let Some(words) = log_lines::log(&home) {
        output.warn(&home, &words);
    }
    for other in client.contradicted_logs().await?.iter().filter(|log| log.origin != home.origin) {
        if let Some(words) = log_lines::elsewhere(other) {
            output.warn(other, &words);
        }
    }
    settled?;
    synced?;
    let keys = client.keys().await?;
    output.view(&keys.history, |history| key_lines::history(history))
}
