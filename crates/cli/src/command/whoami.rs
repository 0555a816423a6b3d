//! `whoami`: the own account.

use waxwing_client::Client;

use crate::failure::Failure;
use crate::lines;
use crate::output::Output;

/// Prints the profile.
pub(crate) async fn run(client: &Client, output: &mut Output) -> Result<(), Failure> {
    output.view(&client.profile().await?, lines::profile)
}
