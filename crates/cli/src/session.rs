//! Opens the profile that the options name.

use std::path::PathBuf;
use std::time::Duration;

use waxwing_client::{Client, Profile, ProfileState};
use zeroize::Zeroizing;

use crate::alarms::Alarms;
use crate::arguments::Options;
use crate::failure::Failure;
use crate::output::Output;
use crate::{lines, secret_file};

/// Longest wait for the relay before what is here is shown as it is.
const FETCHING_SECONDS: u64 = 60;
/// Longest wait for what need not be waited for.
const SETTLING: Duration = Duration::from_secs(5);

/// The profile's folder.
pub(crate) fn folder(options: &Options) -> Result<PathBuf, Failure> {
    if let Some(dir) = &options.profile {
        return Ok(dir.clone());
    }
    let folders = directories::BaseDirs::new().ok_or(Failure::NoDataFolder)?;
    Ok(folders.data_local_dir().join("waxwing").join("cli"))
}

/// The passphrase, where a file was named.
pub(crate) fn passphrase(options: &Options) -> Result<Option<Zeroizing<String>>, Failure> {
    options.passphrase_file.as_deref().map(secret_file::read).transpose().map_err(Failure::PassphraseFile)
}

/// Opens a profile. Nothing is made where there is none.
pub(crate) fn profile(options: &Options) -> Result<Profile, Failure> {
    let dir = folder(options)?;
    if matches!(dir.try_exists(), Ok(false)) {
        return Err(Failure::NotRegistered(dir));
    }
    Ok(Profile::open(&dir)?)
}

/// Starts the engine on a profile that has an account.
pub(crate) async fn start(profile: &Profile, options: &Options) -> Result<Client, Failure> {
    let passphrase = match profile.state() {
        ProfileState::Fresh => {
            // What an account that was closed has left goes first.
            Client::finish_closing(profile).await?;
            return Err(Failure::NotRegistered(profile.dir().to_owned()));
        }
        ProfileState::Keychain => None,
        ProfileState::Passphrase => Some(passphrase(options)?.ok_or(Failure::PassphraseNeeded)?),
    };
    Ok(Client::start(profile, passphrase).await?)
}

/// Fetches what is waiting, and sends what is waiting.
pub(crate) async fn fetch(client: &Client) -> Result<(), Failure> {
    match tokio::time::timeout(Duration::from_secs(FETCHING_SECONDS), client.sync()).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(Failure::StillSyncing { seconds: FETCHING_SECONDS }),
    }
}

/// Gives what a command has set off (an access key, an introduction, news of rotated keys) a chance to reach the relay before
/// the process ends. It is stored; what does not get through goes out with a later command.
pub(crate) async fn settle(client: &Client) {
    settle_within(client, SETTLING).await;
}

/// The same with another patience: where the other side waits for it.
pub(crate) async fn settle_within(client: &Client, patience: Duration) {
    match tokio::time::timeout(patience, client.sync()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "settling"),
        Err(_) => tracing::debug!("settling takes too long"),
    }
}

/// What a command says in the end that has waited for the relay, whatever came of it: that the clock is wrong, and what nobody may miss of keys.
pub(crate) async fn tell_last(client: &Client, output: &Output) {
    tell_clock(client, output);
    Alarms::default().tell_all(client, output).await;
}

/// Says that this computer's clock is wrong, where the relay has told the time and it is. The relay's time is what counts, and what people see
/// is not.
pub(crate) fn tell_clock(client: &Client, output: &Output) {
    if let Some(problem) = client.clock_problem() {
        output.aside(&lines::notice(&problem));
    }
}
