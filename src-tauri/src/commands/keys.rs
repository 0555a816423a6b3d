//! The own keys.

use tauri::State;
use waxwing_client::{KeysView, LogView};

use super::{Answer, view};
use crate::shell::Shell;

/// The keys in force and their history.
#[tauri::command]
#[specta::specta]
pub(crate) async fn keys(shell: State<'_, Shell>) -> Answer<KeysView> {
    shell.client()?.keys().await.map_err(view)
}

/// Rotates the device keys; answers when the relay has them, or with why it has not yet.
#[tauri::command]
#[specta::specta]
pub(crate) async fn rotate_keys(shell: State<'_, Shell>) -> Answer<KeysView> {
    shell.client()?.rotate_keys().await.map_err(view)
}

/// The own relay's transparency log, as far as it was read.
#[tauri::command]
#[specta::specta]
pub(crate) async fn transparency_log(shell: State<'_, Shell>) -> Answer<LogView> {
    shell.client()?.transparency_log().await.map_err(view)
}

/// The log of the relay of whoever a conversation is with.
#[tauri::command]
#[specta::specta]
pub(crate) async fn peer_log(shell: State<'_, Shell>, conversation: String) -> Answer<LogView> {
    shell.client()?.peer_log(&conversation).await.map_err(view)
}
