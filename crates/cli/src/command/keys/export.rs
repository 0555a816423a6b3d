//! `keys export`: the history of the own keys as a signed text.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use waxwing_client::Client;

use crate::failure::Failure;
use crate::files;
use crate::output::Output;

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Where to write it; standard output without it. A file that is there already is not overwritten
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Serialize)]
struct Written {
    file: PathBuf,
    bytes: usize,
}

#[derive(Serialize)]
struct Text<'t> {
    text: &'t str,
}

/// Writes the text, byte for byte: it is signed.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let text = client.export_key_log().await?;
    let Some(file) = &arguments.file else {
        // The line end is the output's own.
        return output.view(&Text { text: &text }, |_| text.trim_end().to_owned());
    };
    files::write_new(file, &text)?;
    let written = Written { file: file.clone(), bytes: text.len() };
    output.view(&written, |written| {
        let name = crate::terminal::line(&written.file.display().to_string());
        format!("Written to {name}. `waxwing-cli keys log --check {name}` checks it, here and at your contacts'.")
    })
}
