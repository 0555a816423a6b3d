//! `devices link`: lets a new device into the account. Nothing is let in whose fingerprint was not compared.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use clap::Args;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use waxwing_client::views::{DeviceOfferView, DeviceRequestView, DeviceView, DevicesView};
use waxwing_client::{Client, ErrorCode, ErrorView, Event};
use zeroize::Zeroizing;

use crate::clock::utc;
use crate::failure::Failure;
use crate::output::Output;
use crate::terminal::line;
use crate::{device_lines, input, session};

/// Longest wait for a device to ask. A code is valid for 10 minutes, and the engine says when they are over.
const ASKING: Duration = Duration::from_secs(11 * 60);
/// Longest wait until a device that was confirmed is in the account.
const ADDING_SECONDS: u64 = 120;
/// Longest wait for the conversations to have it. They get it later otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The fingerprint that the new device shows, all of its digits; spaces do not matter
    ///
    /// Without it you are asked, once a device asks, whether its fingerprint is the one that the new device shows. Where standard input
    /// is no terminal, the fingerprint is read from its first line then: the new device shows it only after it has got the code.
    #[arg(long, value_name = "DIGITS")]
    pub(crate) fingerprint: Option<String>,
}

/// Prints the code, alone on its line, so that it can be piped on; then the device that asks, and the device as it is in the account.
pub(crate) async fn run(arguments: &Arguments, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let mut events = client.events();
    let devices = client.offer_device_link().await?;
    // One that was agreed to before is still on its way.
    if let Some(under_way) = devices.offer.as_ref().filter(|offer| offer.adding) {
        let id = under_way.request.as_ref().map_or_else(String::new, |request| request.device_id.clone());
        return is_added(client, &mut events, devices, &id, output).await;
    }
    let request = match confirmed(arguments, client, &mut events, devices, output).await {
        Ok(request) => request,
        Err(failure) => {
            withdraw(client, output).await;
            return Err(failure);
        }
    };
    let id = request.device_id;
    let devices = client.accept_device(&id).await?;
    is_added(client, &mut events, devices, &id, output).await
}

/// Waits until the device is in the account, and says so.
async fn is_added(
    client: &Client,
    events: &mut Receiver<Event>,
    devices: DevicesView,
    id: &str,
    output: &mut Output,
) -> Result<(), Failure> {
    let adding = until(client, events, devices, |devices| added(devices, id));
    let device = tokio::time::timeout(Duration::from_secs(ADDING_SECONDS), adding).await.unwrap_or(Ok(None))?;
    let device = device.ok_or(Failure::StillLinking { seconds: ADDING_SECONDS })?;
    output.view(&device, |device| format!("Device {} is linked.", line(&device.device_id)))?;
    session::settle_within(client, PATIENCE).await;
    Ok(())
}

/// The device that has asked with the code, once its fingerprint was compared.
async fn confirmed(
    arguments: &Arguments,
    client: &Client,
    events: &mut Receiver<Event>,
    devices: DevicesView,
    output: &mut Output,
) -> Result<DeviceRequestView, Failure> {
    let offer = devices.offer.as_ref().ok_or(Failure::NobodyAsked)?;
    output.view(offer, |offer| line(&offer.code))?;
    output.aside(&told(offer));
    let asking = until(client, events, devices, asked);
    let request = tokio::time::timeout(ASKING, asking).await.unwrap_or(Ok(None))?.ok_or(Failure::NobodyAsked)?;
    output.view(&request, device_lines::request)?;
    compare(arguments, &request, output)?;
    Ok(request)
}

fn told(offer: &DeviceOfferView) -> String {
    format!(
        "Give this code to the new device, and to nothing else: to `waxwing-cli link` there, or to its app. It is valid until {}.\n\
         Waiting for that device to ask.",
        utc(offer.expires_at)
    )
}

/// Waits until `done` makes something of the devices as they are; nothing, where the engine has ended. Events only say when to look.
async fn until<T>(
    client: &Client,
    events: &mut Receiver<Event>,
    mut devices: DevicesView,
    done: impl Fn(&DevicesView) -> Result<Option<T>, Failure>,
) -> Result<Option<T>, Failure> {
    loop {
        if let Some(made) = done(&devices)? {
            return Ok(Some(made));
        }
        match events.recv().await {
            Ok(Event::Devices { .. } | Event::Lagged) | Err(RecvError::Lagged(_)) => devices = client.devices().await?,
            Err(RecvError::Closed) => return Ok(None),
            Ok(_) => {}
        }
    }
}

/// The device that asks. Without an offer the code's time is over.
fn asked(devices: &DevicesView) -> Result<Option<DeviceRequestView>, Failure> {
    let offer = devices.offer.as_ref().ok_or(Failure::NobodyAsked)?;
    match &offer.problem {
        Some(problem) if !passes(problem) => Err(Failure::NotChanged(problem.clone())),
        _ => Ok(offer.request.clone()),
    }
}

/// The device that was confirmed, once it is in the account.
fn added(devices: &DevicesView, id: &str) -> Result<Option<DeviceView>, Failure> {
    if let Some(device) = devices.devices.iter().find(|device| device.device_id == id) {
        return Ok(Some(device.clone()));
    }
    match devices.offer.as_ref().and_then(|offer| offer.problem.as_ref()) {
        Some(problem) if !passes(problem) => Err(Failure::NotChanged(problem.clone())),
        _ => Ok(None),
    }
}

/// Whether it goes on by itself.
fn passes(problem: &ErrorView) -> bool {
    matches!(problem.code, ErrorCode::RelayDown | ErrorCode::RelayBusy)
}

fn compare(arguments: &Arguments, request: &DeviceRequestView, output: &Output) -> Result<(), Failure> {
    let read: Zeroizing<String>;
    let given = match &arguments.fingerprint {
        Some(given) => given.as_str(),
        None if io::stdin().is_terminal() => return ask(output),
        None => {
            output.aside("The fingerprint that the new device shows, on one line:");
            read = input::secret_line()?;
            read.as_str()
        }
    };
    match digits(given) {
        given if given.is_empty() => Err(Failure::FingerprintNotCompared),
        given if given == digits(&request.fingerprint) => Ok(()),
        _ => Err(Failure::FingerprintDiffers),
    }
}

fn ask(output: &Output) -> Result<(), Failure> {
    output.aside("Is this the fingerprint that the new device shows? [y/N]");
    if input::yes()? { Ok(()) } else { Err(Failure::FingerprintNotCompared) }
}

/// A fingerprint, however it is grouped.
fn digits(text: &str) -> String {
    text.chars().filter(|character| !character.is_whitespace()).map(|digit| digit.to_ascii_lowercase()).collect()
}

/// Takes the code back, and refuses whoever has asked with it.
async fn withdraw(client: &Client, output: &Output) {
    if let Err(error) = client.withdraw_device_link().await {
        tracing::debug!(%error, "taking a code back");
        output.aside("The relay could not be told that the code is taken back. Nobody gets in with it, and its time ends by itself.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device_lines::tests::view;

    const FINGERPRINT: &str = "1a2b 3c4d 0000 0000 0000 0000 0000 0001";

    fn problem(code: ErrorCode) -> Option<ErrorView> {
        Some(ErrorView { code, detail: String::new() })
    }

    fn request() -> DeviceRequestView {
        DeviceRequestView { device_id: "0d".repeat(16), fingerprint: FINGERPRINT.to_owned() }
    }

    fn with(request: Option<DeviceRequestView>, problem: Option<ErrorView>) -> DevicesView {
        let offer = DeviceOfferView { code: "c".to_owned(), expires_at: 0.0, request, adding: false, problem };
        DevicesView { devices: vec![view("0a")], offer: Some(offer) }
    }

    #[test]
    fn all_digits_count_and_spaces_do_not() {
        let come = |given: &str| {
            let arguments = Arguments { fingerprint: Some(given.to_owned()) };
            compare(&arguments, &request(), &Output::new(true, Box::new(io::sink())))
        };
        for given in [FINGERPRINT, &FINGERPRINT.replace(' ', ""), &format!(" {}\n", FINGERPRINT.to_uppercase())] {
            assert!(come(given).is_ok(), "{given:?}");
        }
        let other = FINGERPRINT.replace("0001", "0002");
        for given in [&FINGERPRINT[..4], &other, &format!("{FINGERPRINT} 0000"), "y", "yes"] {
            assert!(matches!(come(given), Err(Failure::FingerprintDiffers)), "{given:?}");
        }
        for given in ["", " \n"] {
            assert!(matches!(come(given), Err(Failure::FingerprintNotCompared)), "{given:?}");
        }
    }

    #[test]
    fn until_a_device_asks() {
        assert!(matches!(asked(&with(None, None)), Ok(None)));
        assert!(matches!(asked(&with(None, problem(ErrorCode::RelayDown))), Ok(None)));
        assert!(matches!(asked(&with(Some(request()), None)), Ok(Some(asks)) if asks.device_id == "0d".repeat(16)));
        let over = asked(&with(None, problem(ErrorCode::LinkExpired)));
        assert!(matches!(over, Err(Failure::NotChanged(why)) if why.code == ErrorCode::LinkExpired));
        let gone = DevicesView { offer: None, ..with(None, None) };
        assert!(matches!(asked(&gone), Err(Failure::NobodyAsked)));
    }

    #[test]
    fn until_it_is_in_the_account() {
        let id = "0d".repeat(16);
        assert!(matches!(added(&with(Some(request()), None), &id), Ok(None)));
        assert!(matches!(added(&with(Some(request()), problem(ErrorCode::RelayDown)), &id), Ok(None)));
        let overtaken = added(&with(Some(request()), problem(ErrorCode::LinkOvertaken)), &id);
        assert!(matches!(overtaken, Err(Failure::NotChanged(why)) if why.code == ErrorCode::LinkOvertaken));
        let in_it = DevicesView { devices: vec![view("0a"), view("0d")], offer: None };
        assert!(matches!(added(&in_it, &id), Ok(Some(device)) if device.device_id == id));
    }
}
