//! `recover`: gets an account back with its recovery phrase, on this computer.

use clap::Args;
use waxwing_client::{Client, Profile, Recovery};

use crate::arguments::Options;
use crate::failure::Failure;
use crate::output::Output;
use crate::{input, lines, session};

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The account's address; #PIN is the SHA-256 of the relay's certificate, where that is self-signed
    #[arg(value_name = "NAME@HOST[:PORT][#PIN]")]
    pub(crate) address: String,
    /// The name others see [default: the name in the address]
    #[arg(long, value_name = "NAME")]
    pub(crate) display_name: Option<String>,
}

/// Recovers, and prints the address. The phrase is one line of standard input: never an argument, which others could see.
pub(crate) async fn run(arguments: Arguments, options: &Options, output: &mut Output) -> Result<(), Failure> {
    let passphrase = session::passphrase(options)?;
    let profile = Profile::open(&session::folder(options)?)?;
    output.aside("The 24 words of the recovery phrase, on one line:");
    let recovery = Recovery {
        address: arguments.address,
        phrase: input::secret_line()?,
        display_name: arguments.display_name.unwrap_or_default(),
        passphrase,
    };
    let client = Client::recover(&profile, recovery).await?;
    let result = tell(&client, output).await;
    session::settle(&client).await;
    session::tell_last(&client, output).await;
    client.stop().await;
    result
}

async fn tell(client: &Client, output: &mut Output) -> Result<(), Failure> {
    output.view(&client.profile().await?, lines::profile)?;
    output.for_people(
        "\nThis is your account's one device now; every other is revoked. The people you write to bring it back into your\n\
         conversations as their devices see it. What was written before is not here.",
    )
}
