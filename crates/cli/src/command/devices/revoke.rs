//! `devices revoke`: removes one device from the account.

use clap::Args;
use waxwing_client::Client;
use waxwing_client::views::DeviceView;

use crate::failure::Failure;
use crate::output::Output;
use crate::terminal::line;
use crate::{device_lines, input, session, who};

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The device's id, or its first 8 digits or more; `devices list` shows it
    #[arg(value_name = "ID")]
    pub(crate) device: String,
    /// Do not ask whether it is really to be removed
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Removes it, has the conversations learn of it, and prints the devices that are left.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    // It may have come with another device, and be unknown here.
    session::settle(client).await;
    let device = who::device(client.devices().await?.devices, &arguments.device)?;
    if device.this {
        return Err(Failure::RevokesThis);
    }
    if !arguments.yes {
        ask(&device, output)?;
    }
    client.revoke_device(&device.device_id).await?;
    let told = session::fetch(client).await;
    let left = client.devices().await?;
    if left.devices.iter().any(|one| one.device_id == device.device_id) {
        return Err(Failure::StillChanging(told.err().map(|failure| failure.view())));
    }
    output.view(&left, |_| {
        format!("Device {} is removed from the account, and the account key was replaced.", line(&device.device_id))
    })?;
    told
}

fn ask(device: &DeviceView, output: &Output) -> Result<(), Failure> {
    output.aside(&device_lines::device(device));
    output.aside(
        "\nRemove this device from the account? Nothing that is written from then on reaches it, and the account key is replaced. [y/N]",
    );
    if input::yes()? { Ok(()) } else { Err(Failure::NotRevoked(line(&device.device_id))) }
}
