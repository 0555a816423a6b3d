//! `devices list`: the account's devices.

use clap::Args;
use waxwing_client::Client;

use crate::failure::Failure;
use crate::output::Output;
use crate::{device_lines, session};

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Print what is on this computer, without asking the relay first
    #[arg(long)]
    pub(crate) offline: bool,
}

/// Fetches what is waiting, then prints them, this one first. With the relay out of reach those that are known here are printed all the
/// same, and the failure told after them.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let fetched = if arguments.offline { Ok(()) } else { session::fetch(client).await };
    let mut devices = client.devices().await?.devices;
    devices.sort_by_key(|device| !device.this);
    for device in &devices {
        output.view(device, device_lines::device)?;
    }
    fetched
}
