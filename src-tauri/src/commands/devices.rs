//! The account's devices: linking another one, being linked as one, and removing one.

use tauri::State;
use waxwing_client::{DevicesView, LinkWaitView, Linking, ProfileView};
use zeroize::Zeroizing;

use super::contacts::qr;
use super::{Answer, view};
use crate::dto::QrView;
use crate::shell::Shell;

/// The account's devices, and the code that links another one, if there is one.
#[tauri::command]
#[specta::specta]
pub(crate) async fn devices(shell: State<'_, Shell>) -> Answer<DevicesView> {
    shell.client()?.devices().await.map_err(view)
}

/// Makes a code that links another device; the one before links none any more.
#[tauri::command]
#[specta::specta]
pub(crate) async fn offer_device_link(shell: State<'_, Shell>) -> Answer<DevicesView> {
    shell.client()?.offer_device_link().await.map_err(view)
}

/// A code that links another device as a QR code: that one and no later one.
#[tauri::command]
#[specta::specta]
pub(crate) async fn device_link_qr(code: String) -> Answer<QrView> {
    qr(&Zeroizing::new(code))
}

/// Takes the code back, or refuses the device that asks with it.
#[tauri::command]
#[specta::specta]
pub(crate) async fn withdraw_device_link(shell: State<'_, Shell>) -> Answer<DevicesView> {
    shell.client()?.withdraw_device_link().await.map_err(view)
}

/// The user has compared the fingerprint of the device that asks (a device id): it is linked.
#[tauri::command]
#[specta::specta]
pub(crate) async fn accept_device(shell: State<'_, Shell>, device: String) -> Answer<DevicesView> {
    shell.client()?.accept_device(&device).await.map_err(view)
}

/// Removes another device (a device id) from the account, and replaces the account key.
#[tauri::command]
#[specta::specta]
pub(crate) async fn revoke_device(shell: State<'_, Shell>, device: String) -> Answer<DevicesView> {
    shell.client()?.revoke_device(&device).await.map_err(view)
}

/// Asks with a code to be linked to its account. A passphrase only where there is no keychain and the user chose so.
#[tauri::command]
#[specta::specta]
pub(crate) async fn begin_link(
    shell: State<'_, Shell>,
    code: String,
    passphrase: Option<String>,
) -> Answer<LinkWaitView> {
    shell.begin_link(Linking { code, passphrase: passphrase.map(Zeroizing::new) }).await
}

/// Waits until another device of the account has confirmed, and goes on with it; none where it was given up.
#[tauri::command]
#[specta::specta]
pub(crate) async fn finish_link(shell: State<'_, Shell>) -> Answer<Option<ProfileView>> {
    shell.finish_link().await
}

/// Gives up being linked.
#[tauri::command]
#[specta::specta]
pub(crate) async fn cancel_link(shell: State<'_, Shell>) -> Answer<()> {
    shell.cancel_link();
    Ok(())
}
