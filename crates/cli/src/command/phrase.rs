//! `phrase`: shows the recovery phrase, or confirms that it is written down.

use clap::Args;
use waxwing_client::{Client, Error, ErrorCode};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::output::Output;
use crate::{input, lines};

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Read two of its words from standard input, each on a line, and then erase the phrase here
    #[arg(long)]
    pub(crate) confirm: bool,
}

/// Shows the words, or asks for two of them.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    if !arguments.confirm {
        return output.words(&Zeroizing::new(client.phrase_words().await.map_err(erased)?));
    }
    let (first, second) = client.phrase_challenge().await.map_err(erased)?;
    let first = ask(first, output)?;
    let second = ask(second, output)?;
    let profile = client.phrase_confirm(first.trim(), second.trim()).await?;
    output.view(&profile, lines::profile)?;
    output.for_people("\nThe recovery phrase is confirmed, and its words are erased here.")
}

fn ask(place: u32, output: &Output) -> Result<Zeroizing<String>, Failure> {
    output.aside(&format!("Word {place} of the recovery phrase:"));
    input::secret_line()
}

fn erased(error: Error) -> Failure {
    match error.code() {
        ErrorCode::NotFound => Failure::PhraseErased,
        _ => error.into(),
    }
}
