//! `blocked`: who is blocked.

use waxwing_client::Client;

use crate::failure::Failure;
use crate::lines;
use crate::output::Output;

/// Prints them, by name.
pub(crate) async fn run(client: &Client, output: &mut Output) -> Result<(), Failure> {
    let blocked = client.blocked().await?;
    if blocked.is_empty() {
        output.aside("Nobody is blocked.");
    }
    for person in &blocked {
        output.view(person, lines::blocked)?;
    }
    Ok(())
}
