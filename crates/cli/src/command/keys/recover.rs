//! `keys recover`: takes the account back on this device with its recovery phrase; the history stays.

use waxwing_client::Client;

use crate::alarms::Alarms;
use crate::failure::Failure;
use crate::output::Output;
use crate::{input, key_lines};

/// Recovers, and prints the keys as they are then. The phrase is one line of standard input: never an argument, which others could see.
pub(crate) async fn run(client: &Client, output: &mut Output) -> Result<(), Failure> {
    output.aside("The 24 words of the recovery phrase, on one line:");
    let phrase = input::secret_line()?;
    let next = client.recover_here(phrase).await?;
    let result = tell(&next, output).await;
    // So that others let this device back in, and what has waited goes out.
    if let Err(error) = next.sync().await {
        output.aside(&format!("Not everything has got through yet: {error}"));
    }
    // The engine of before, which the command began with, does not look into its database any more.
    Alarms::default().tell_all(&next, output).await;
    next.stop().await;
    result
}

async fn tell(client: &Client, output: &mut Output) -> Result<(), Failure> {
    output.view(&client.keys().await?, key_lines::keys)?;
    output.for_people(
        "\nThis is your account's one device now; every other is revoked. The people you write to let it back into your\n\
         conversations as their devices see it; what you write until then waits.",
    )
}
