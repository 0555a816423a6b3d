//! `link`: makes this profile another device of an account. Not here: what its other device does (`devices link`).

use std::time::Duration;

use waxwing_client::{Client, Linking, Profile};

use crate::arguments::Options;
use crate::failure::Failure;
use crate::output::Output;
use crate::{device_lines, input, lines, session};

/// Longest wait for what has waited for this device. It comes later otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks, prints the address and the fingerprint, waits until the other device confirms, and prints the account. The code is one line of
/// standard input: never an argument, which others could see.
pub(crate) async fn run(options: &Options, output: &mut Output) -> Result<(), Failure> {
    let passphrase = session::passphrase(options)?;
    let profile = Profile::open(&session::folder(options)?)?;
    output
        .aside("The code that `waxwing-cli devices link`, or the app, shows on a device of the account, on one line:");
    let linking = Linking { code: input::secret_line()?.trim().to_owned(), passphrase };
    let here = Client::begin_link(&profile, linking).await?;
    output.view(&here.view(), device_lines::waiting)?;
    output.aside("Confirm on the other device, if it shows the same fingerprint. Waiting for that.");
    let client = here.wait().await?;
    let result = tell(&client, output).await;
    session::settle_within(&client, PATIENCE).await;
    session::tell_last(&client, output).await;
    client.stop().await;
    result
}

async fn tell(client: &Client, output: &mut Output) -> Result<(), Failure> {
    output.view(&client.profile().await?, lines::profile)?;
    output.for_people(
        "\nThis profile is linked: it is a device of the account now. The other device brings it into your conversations;\n\
         what was written before is not here.",
    )
}
