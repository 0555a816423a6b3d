//! `keys verify`: marks somebody as verified, or takes that back. Nothing is marked that was not compared.

use clap::Args;
use waxwing_client::{Client, SafetyComparison, SafetyNumberView};

use crate::failure::Failure;
use crate::output::Output;
use crate::terminal::line;
use crate::{input, lines, who};

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A contact, or somebody in a group: name@host[:port], or an account's id
    #[arg(value_name = "PERSON")]
    pub(crate) person: String,
    /// The 60 digits that their app shows; without this or --qr you are asked whether you have compared them
    #[arg(long, value_name = "DIGITS")]
    pub(crate) number: Option<String>,
    /// The text of the QR code that their app shows
    #[arg(long, value_name = "PAYLOAD", conflicts_with = "number")]
    pub(crate) qr: Option<String>,
    /// Take the verification back
    #[arg(long, conflicts_with_all = ["number", "qr"])]
    pub(crate) undo: bool,
}

/// Compares, marks, and prints the number as it stands then.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let person = who::person(client, &arguments.person).await?;
    if arguments.undo {
        return output.view(&client.unverify(&person).await?, lines::safety_number);
    }
    let number = client.safety_number(&person).await?;
    match arguments.number.as_ref().or(arguments.qr.as_ref()) {
        Some(shown) => match client.compare_safety_number(&person, shown).await? {
            SafetyComparison::Match => {}
            came => return Err(Failure::NotTheSame { who: line(&number.address), came }),
        },
        None => ask(&number, output)?,
    }
    let verified = client.verify(&person, &number.groups.concat()).await?;
    output.view(&verified, lines::safety_number)
}

/// Without what the other side shows, the user has to say that it is the same.
fn ask(number: &SafetyNumberView, output: &Output) -> Result<(), Failure> {
    output.aside(&lines::safety_number(number));
    output.aside("\nDoes their app show the same digits? Type yes to mark them as verified:");
    if input::secret_line()?.trim().eq_ignore_ascii_case("yes") {
        return Ok(());
    }
    Err(Failure::NotCompared(line(&number.address)))
}
