//! The own keys, and the history of other people's.

use tauri::State;
use waxwing_client::{KeyHistoryItem, KeysView, LogView, PhraseCheck, RotationSchedule};
use zeroize::Zeroizing;

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

/// The log of somebody's relay (an account id).
#[tauri::command]
#[specta::specta]
pub(crate) async fn log_of(shell: State<'_, Shell>, account: String) -> Answer<LogView> {
    shell.client()?.log_of(&account).await.map_err(view)
}

/// The logs of all relays that have contradicted themselves.
#[tauri::command]
#[specta::specta]
pub(crate) async fn contradicted_logs(shell: State<'_, Shell>) -> Answer<Vec<LogView>> {
    shell.client()?.contradicted_logs().await.map_err(view)
}

/// The log of the relay of whoever a conversation is with.
#[tauri::command]
#[specta::specta]
pub(crate) async fn peer_log(shell: State<'_, Shell>, conversation: String) -> Answer<LogView> {
    shell.client()?.peer_log(&conversation).await.map_err(view)
}

/// Tells the own relay, which was restored from a backup, again what it has lost of this account. The invitation may be blank.
#[tauri::command]
#[specta::specta]
pub(crate) async fn register_again(shell: State<'_, Shell>, invitation: String) -> Answer<LogView> {
    shell.client()?.register_again(Zeroizing::new(invitation)).await.map_err(view)
}

/// Goes on with a relay's log (`host[:port]`), which has contradicted itself.
#[tauri::command]
#[specta::specta]
pub(crate) async fn settle_log(shell: State<'_, Shell>, origin: String) -> Answer<LogView> {
    shell.client()?.settle_log(&origin).await.map_err(view)
}

/// Decides how often the keys are rotated by themselves.
#[tauri::command]
#[specta::specta]
pub(crate) async fn set_rotation_schedule(shell: State<'_, Shell>, schedule: RotationSchedule) -> Answer<KeysView> {
    shell.client()?.set_rotation_schedule(schedule).await.map_err(view)
}

/// The history of somebody's keys (an account id), newest first.
#[tauri::command]
#[specta::specta]
pub(crate) async fn key_history(shell: State<'_, Shell>, account: String) -> Answer<Vec<KeyHistoryItem>> {
    shell.client()?.key_history(&account).await.map_err(view)
}

/// The own history as a signed text.
#[tauri::command]
#[specta::specta]
pub(crate) async fn export_key_log(shell: State<'_, Shell>) -> Answer<String> {
    shell.client()?.export_key_log().await.map_err(view)
}

/// Whether these words are the recovery phrase of this account. They are looked at and forgotten.
#[tauri::command]
#[specta::specta]
pub(crate) async fn check_phrase(shell: State<'_, Shell>, words: String) -> Answer<PhraseCheck> {
    let words = Zeroizing::new(words);
    shell.client()?.check_phrase(words).await.map_err(view)
}

/// Replaces the account key.
#[tauri::command]
#[specta::specta]
pub(crate) async fn replace_account_key(shell: State<'_, Shell>) -> Answer<KeysView> {
    shell.client()?.replace_account_key().await.map_err(view)
}

/// Replaces account key and device keys, and revokes every other device.
#[tauri::command]
#[specta::specta]
pub(crate) async fn shut_others_out(shell: State<'_, Shell>) -> Answer<KeysView> {
    shell.client()?.shut_others_out().await.map_err(view)
}
