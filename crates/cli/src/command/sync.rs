//! `sync`: fetches what is waiting, and sends what is waiting.

use waxwing_client::Client;

use crate::failure::Failure;
use crate::output::Output;

/// Gets in step with the relay, once.
pub(crate) async fn run(client: &Client, output: &mut Output) -> Result<(), Failure> {
    client.sync().await?;
    output.for_people("Everything is fetched, and everything is sent.")
}
