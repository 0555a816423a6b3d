//! Groups: making one, who is in it, and going. Every change is queued by the engine; an event tells when the relay has it.

use tauri::State;
use waxwing_client::{ConversationView, GroupView, Role};

use super::{Answer, view};
use crate::shell::Shell;

/// Makes a group of oneself and these people (account ids).
#[tauri::command]
#[specta::specta]
pub(crate) async fn create_group(
    shell: State<'_, Shell>,
    name: String,
    people: Vec<String>,
) -> Answer<ConversationView> {
    shell.client()?.create_group(&name, &people).await.map_err(view)
}

/// Who is in a conversation.
#[tauri::command]
#[specta::specta]
pub(crate) async fn group(shell: State<'_, Shell>, conversation: String) -> Answer<GroupView> {
    shell.client()?.group(&conversation).await.map_err(view)
}

/// Adds people (account ids) to a group.
#[tauri::command]
#[specta::specta]
pub(crate) async fn add_members(
    shell: State<'_, Shell>,
    conversation: String,
    people: Vec<String>,
) -> Answer<GroupView> {
    shell.client()?.add_members(&conversation, &people).await.map_err(view)
}

/// Removes somebody from a group.
#[tauri::command]
#[specta::specta]
pub(crate) async fn remove_member(shell: State<'_, Shell>, conversation: String, account: String) -> Answer<GroupView> {
    shell.client()?.remove_member(&conversation, &account).await.map_err(view)
}

/// Makes somebody an admin of a group, or no longer one.
#[tauri::command]
#[specta::specta]
pub(crate) async fn set_role(
    shell: State<'_, Shell>,
    conversation: String,
    account: String,
    role: Role,
) -> Answer<GroupView> {
    shell.client()?.set_role(&conversation, &account, role).await.map_err(view)
}

/// Gives a group another name.
#[tauri::command]
#[specta::specta]
pub(crate) async fn rename_group(shell: State<'_, Shell>, conversation: String, name: String) -> Answer<GroupView> {
    shell.client()?.rename_group(&conversation, &name).await.map_err(view)
}

/// Leaves a group. What was said stays readable here.
#[tauri::command]
#[specta::specta]
pub(crate) async fn leave_group(shell: State<'_, Shell>, conversation: String) -> Answer<ConversationView> {
    shell.client()?.leave_group(&conversation).await.map_err(view)
}
