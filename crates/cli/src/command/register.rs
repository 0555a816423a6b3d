//! `register`: makes the account, and the profile's keys.

use std::path::{Path, PathBuf};

use clap::Args;
use waxwing_client::{Client, Profile, Registration};
use zeroize::Zeroizing;

use crate::arguments::Options;
use crate::failure::Failure;
use crate::output::Output;
use crate::{input, lines, secret_file, session};

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// User name: 3 to 32 of a-z, 0-9, and . _ - between them
    pub(crate) name: String,
    /// The relay's address; #PIN is the SHA-256 of its certificate, where that is self-signed
    #[arg(long, value_name = "HOST:PORT[#PIN]")]
    pub(crate) relay: String,
    /// The name others see [default: NAME]
    #[arg(long, value_name = "NAME")]
    pub(crate) display_name: Option<String>,
    /// Give the relay the invitation in FILE's first line, where it asks for one; - reads it from standard input
    ///
    /// It is from whoever runs the relay. Nobody but its owner may be able to read the file (chmod 600).
    #[arg(long, value_name = "FILE")]
    pub(crate) invitation_file: Option<PathBuf>,
    /// Print the 24 words of the recovery phrase
    #[arg(long)]
    pub(crate) show_phrase: bool,
}

/// Registers, and prints the address.
pub(crate) async fn run(arguments: Arguments, options: &Options, output: &mut Output) -> Result<(), Failure> {
    let passphrase = session::passphrase(options)?;
    let invitation = arguments.invitation_file.as_deref().map(|file| invitation(file, output)).transpose()?;
    let profile = Profile::open(&session::folder(options)?)?;
    let registration = Registration {
        display_name: arguments.display_name.unwrap_or_else(|| arguments.name.clone()),
        username: arguments.name,
        relay: arguments.relay,
        passphrase,
        invitation,
    };
    let client = Client::register(&profile, registration).await?;
    let result = tell(&client, arguments.show_phrase, output).await;
    session::settle(&client).await;
    session::tell_last(&client, output).await;
    client.stop().await;
    result
}

/// Never an argument itself, which others could see.
pub(crate) fn invitation(file: &Path, output: &Output) -> Result<Zeroizing<String>, Failure> {
    if file == Path::new("-") {
        output.aside("The invitation:");
        return input::secret_line();
    }
    secret_file::read(file).map_err(Failure::InvitationFile)
}

async fn tell(client: &Client, show_phrase: bool, output: &mut Output) -> Result<(), Failure> {
    output.view(&client.profile().await?, lines::profile)?;
    if show_phrase {
        let words = Zeroizing::new(client.phrase_words().await?);
        output.for_people("\nThe recovery phrase. Write it down, and keep it away from this computer:\n")?;
        output.words(&words)?;
    }
    output.for_people(
        "\nThe recovery phrase is kept in this profile until it is confirmed, and then erased.\n\
         `waxwing-cli phrase` shows it, `waxwing-cli phrase --confirm` confirms that it is written down.",
    )
}
