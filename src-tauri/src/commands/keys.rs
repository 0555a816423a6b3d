//! The own keys.

use tauri::State;
use waxwing_client::KeysView;

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
