//! Which state the app is in, the account's making, and the connection.

use tauri::State;
use waxwing_client::{Connection, KeysView, ProfileView, Recovery, Registration, RelayView};
use zeroize::Zeroizing;

use super::{Answer, view};
use crate::dto::AppState;
use crate::shell::Shell;

/// The state the app is in.
#[tauri::command]
#[specta::specta]
pub(crate) async fn app_state(shell: State<'_, Shell>) -> Answer<AppState> {
    Ok(shell.state().await)
}

/// Starts the engine again, after what a problem screen asked for was done.
#[tauri::command]
#[specta::specta]
pub(crate) async fn retry_start(shell: State<'_, Shell>) -> Answer<AppState> {
    Ok(shell.start().await)
}

/// Opens a profile that is sealed under a passphrase.
#[tauri::command]
#[specta::specta]
pub(crate) async fn unlock(shell: State<'_, Shell>, passphrase: String) -> Answer<AppState> {
    Ok(shell.unlock(Zeroizing::new(passphrase)).await)
}

/// Looks whether a relay is at this address.
#[tauri::command]
#[specta::specta]
pub(crate) async fn check_relay(shell: State<'_, Shell>, address: String) -> Answer<RelayView> {
    waxwing_client::check_relay(shell.profile_dir(), &address).await.map_err(view)
}

/// Makes the account. A passphrase only where there is no keychain and the user chose so, an invitation only where the relay asks for one.
#[tauri::command]
#[specta::specta]
pub(crate) async fn register(
    shell: State<'_, Shell>,
    username: String,
    display_name: String,
    relay: String,
    passphrase: Option<String>,
    invitation: Option<String>,
) -> Answer<ProfileView> {
    let (passphrase, invitation) = (passphrase.map(Zeroizing::new), invitation.map(Zeroizing::new));
    shell.register(Registration { username, display_name, relay, passphrase, invitation }).await
}

/// Gets an account back with its recovery phrase. A passphrase only where there is no keychain and the user chose so.
#[tauri::command]
#[specta::specta]
pub(crate) async fn recover(
    shell: State<'_, Shell>,
    address: String,
    phrase: String,
    passphrase: Option<String>,
) -> Answer<ProfileView> {
    let (phrase, passphrase) = (Zeroizing::new(phrase), passphrase.map(Zeroizing::new));
    shell.recover(Recovery { address, phrase, display_name: String::new(), passphrase }).await
}

/// Gets the account back with its recovery phrase on this device, which keeps its history; whoever else has keys of it is shut out.
#[tauri::command]
#[specta::specta]
pub(crate) async fn recover_here(shell: State<'_, Shell>, phrase: String) -> Answer<KeysView> {
    shell.recover_here(Zeroizing::new(phrase)).await
}

/// Closes the account for good and empties the profile: the next thing is a first run.
#[tauri::command]
#[specta::specta]
pub(crate) async fn close_account(shell: State<'_, Shell>) -> Answer<AppState> {
    shell.close_account().await
}

/// How the engine stands with the relay.
#[tauri::command]
#[specta::specta]
pub(crate) async fn connection(shell: State<'_, Shell>) -> Answer<Connection> {
    Ok(shell.client()?.connection())
}

/// Tries to reach the relay now.
#[tauri::command]
#[specta::specta]
pub(crate) async fn try_now(shell: State<'_, Shell>) -> Answer<()> {
    shell.client()?.try_now();
    Ok(())
}

/// Changes the name that others see.
#[tauri::command]
#[specta::specta]
pub(crate) async fn set_display_name(shell: State<'_, Shell>, name: String) -> Answer<ProfileView> {
    shell.client()?.set_display_name(&name).await.map_err(view)
}
