//! The timeline.

use tauri::State;
use waxwing_client::{MessagePage, MessageView};

use super::{Answer, view};
use crate::shell::Shell;

/// A stretch of a timeline: the newest, or those before a place.
#[tauri::command]
#[specta::specta]
pub(crate) async fn messages(
    shell: State<'_, Shell>,
    conversation: String,
    before: Option<f64>,
    limit: u32,
) -> Answer<MessagePage> {
    shell.client()?.messages(&conversation, before, limit).await.map_err(view)
}

/// Stores a message and sends it as soon as that is possible. The window makes the id, so the row it already shows is this one.
#[tauri::command]
#[specta::specta]
pub(crate) async fn send(
    shell: State<'_, Shell>,
    conversation: String,
    id: String,
    text: String,
) -> Answer<MessageView> {
    shell.client()?.send(&conversation, &id, &text).await.map_err(view)
}

/// Tries a failed message again.
#[tauri::command]
#[specta::specta]
pub(crate) async fn retry_message(shell: State<'_, Shell>, id: String) -> Answer<MessageView> {
    shell.client()?.retry(&id).await.map_err(view)
}

/// Deletes a message here.
#[tauri::command]
#[specta::specta]
pub(crate) async fn delete_message(shell: State<'_, Shell>, id: String) -> Answer<()> {
    shell.client()?.delete(&id).await.map_err(view)
}
