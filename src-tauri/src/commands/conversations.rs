//! The conversation list: reading it, taking requests, blocking and deleting.

use tauri::State;
use waxwing_client::ConversationView;

use super::{Answer, view};
use crate::shell::Shell;

/// All conversations, newest first.
#[tauri::command]
#[specta::specta]
pub(crate) async fn conversations(shell: State<'_, Shell>) -> Answer<Vec<ConversationView>> {
    shell.client()?.conversations().await.map_err(view)
}

/// Keeps what was typed and not yet sent.
#[tauri::command]
#[specta::specta]
pub(crate) async fn set_draft(shell: State<'_, Shell>, conversation: String, text: String) -> Answer<()> {
    shell.client()?.set_draft(&conversation, &text).await.map_err(view)
}

/// Marks everything up to this place as seen.
#[tauri::command]
#[specta::specta]
pub(crate) async fn mark_read(shell: State<'_, Shell>, conversation: String, order: f64) -> Answer<ConversationView> {
    shell.client()?.mark_read(&conversation, order).await.map_err(view)
}

/// Accepts a request: one takes part from now on.
#[tauri::command]
#[specta::specta]
pub(crate) async fn accept_request(shell: State<'_, Shell>, conversation: String) -> Answer<ConversationView> {
    shell.client()?.accept_request(&conversation).await.map_err(view)
}

/// Blocks the other person of a conversation, or takes them in again.
#[tauri::command]
#[specta::specta]
pub(crate) async fn set_blocked(
    shell: State<'_, Shell>,
    conversation: String,
    blocked: bool,
) -> Answer<ConversationView> {
    shell.client()?.set_blocked(&conversation, blocked).await.map_err(view)
}

/// Deletes a conversation and its messages here.
#[tauri::command]
#[specta::specta]
pub(crate) async fn delete_conversation(shell: State<'_, Shell>, conversation: String) -> Answer<()> {
    shell.client()?.delete_conversation(&conversation).await.map_err(view)
}
