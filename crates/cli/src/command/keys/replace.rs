//! `keys replace`: another account key, and with `--shut-others-out` nothing of the old keys left in force.

use clap::Args;
use waxwing_client::{Client, ErrorCode};

use crate::failure::Failure;
use crate::output::Output;
use crate::{key_lines, session};

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Somebody may have had the keys: revoke every other device, and rotate this device's keys too
    #[arg(long)]
    pub(crate) shut_others_out: bool,
}

/// Replaces it, has the conversations learn of it, and prints the keys as they are then, with what waits.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let done = match arguments.shut_others_out {
        true => client.shut_others_out().await?,
        false => client.replace_account_key().await?,
    };
    if let Some(problem) = done.rotation_problem.filter(|problem| problem.code == ErrorCode::OwnKeysChanged) {
        // Given up, or overtaken and to go on later: whatever comes next says nothing of it.
        return Err(Failure::StillRotating(Some(problem)));
    }
    let told = session::fetch(client).await;
    // Whatever came of telling them: the key may be in force, and what waits says where not.
    let keys = client.keys().await?;
    output.view(&keys, key_lines::keys)?;
    told?;
    if keys.rotating { Err(Failure::StillRotating(keys.rotation_problem)) } else { Ok(()) }
}
