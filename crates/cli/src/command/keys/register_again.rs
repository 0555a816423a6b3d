//! `keys register-again`: tells a relay that was restored from a backup again what it has lost of the account.

use std::path::PathBuf;

use clap::Args;
use waxwing_client::Client;
use zeroize::Zeroizing;

use crate::command::register;
use crate::failure::Failure;
use crate::key_lines;
use crate::output::Output;

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Give the relay the invitation in FILE's first line, where it asks for one; - reads it from standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) invitation_file: Option<PathBuf>,
}

/// Registers what was lost, and prints the keys.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let invitation = arguments.invitation_file.as_deref().map(|file| register::invitation(file, output)).transpose()?;
    client.register_again(invitation.unwrap_or_else(|| Zeroizing::new(String::new()))).await?;
    client.sync().await?;
    output.view(&client.keys().await?, key_lines::keys)
}
