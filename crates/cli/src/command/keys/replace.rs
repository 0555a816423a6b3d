//! `keys replace`: another account key, and with `--shut-others-out` nothing of the old keys left in force.

use clap::Args;
use waxwing_client::Client;

use crate::failure::Failure;
use crate::key_lines;
use crate::output::Output;

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Somebody may have had the keys: revoke every other device, and rotate this device's keys too
    #[arg(long)]
    pub(crate) shut_others_out: bool,
}

/// Replaces it, and prints the keys as they are then.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let keys = match arguments.shut_others_out {
        true => client.shut_others_out().await?,
        false => client.replace_account_key().await?,
    };
    // The groups learn of it with what is sent now.
    client.sync().await?;
    output.view(&keys, key_lines::keys)
}
