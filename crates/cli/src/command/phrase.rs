//! `phrase`: shows the recovery phrase, confirms that it is written down, or checks what was written down.

use clap::Args;
use waxwing_client::{Client, Error, ErrorCode, PhraseCheck};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::output::Output;
use crate::{input, key_lines, lines};

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Read two of its words from standard input, each on a line, and then erase the phrase here
    #[arg(long)]
    pub(crate) confirm: bool,
    /// Read 24 words from standard input and say whether they are this account's; nothing is stored
    #[arg(long, conflicts_with = "confirm")]
    pub(crate) check: bool,
}

/// Shows the words, or asks for two of them.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    if arguments.check {
        return check(client, output).await;
    }
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

async fn check(client: &Client, output: &mut Output) -> Result<(), Failure> {
    output.aside("The 24 words, with spaces or line breaks between them, and the end of the input (Ctrl+D):");
    match client.check_phrase(input::secret_text()?).await? {
        PhraseCheck::Right => output.view(&PhraseCheck::Right, |check| key_lines::phrase(*check)),
        other => Err(Failure::NotThePhrase(other)),
    }
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
