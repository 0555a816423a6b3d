//! Links into groups: one's own, and somebody else's.

use tauri::State;
use waxwing_client::{ConversationView, GroupLinkView, GroupOfferView, GroupView};

use super::contacts::qr;
use super::{Answer, view};
use crate::dto::QrView;
use crate::shell::Shell;

/// The own link into a group, if there is one.
#[tauri::command]
#[specta::specta]
pub(crate) async fn group_link(shell: State<'_, Shell>, conversation: String) -> Answer<Option<GroupLinkView>> {
    shell.client()?.group_link(&conversation).await.map_err(view)
}

/// The own link into a group as a QR code, if there is one.
#[tauri::command]
#[specta::specta]
pub(crate) async fn group_link_qr(shell: State<'_, Shell>, conversation: String) -> Answer<Option<QrView>> {
    let link = shell.client()?.group_link(&conversation).await.map_err(view)?;
    link.map(|link| qr(&link.link)).transpose()
}

/// Makes a link into a group; the one before lets nobody in any more.
#[tauri::command]
#[specta::specta]
pub(crate) async fn make_group_link(shell: State<'_, Shell>, conversation: String) -> Answer<GroupLinkView> {
    shell.client()?.make_group_link(&conversation).await.map_err(view)
}

/// Turns the link into a group off.
#[tauri::command]
#[specta::specta]
pub(crate) async fn end_group_link(shell: State<'_, Shell>, conversation: String) -> Answer<GroupView> {
    shell.client()?.end_group_link(&conversation).await.map_err(view)
}

/// What a link into a group says; none where the text is anything else. Nobody is asked.
#[tauri::command]
#[specta::specta]
pub(crate) async fn look_at_link(shell: State<'_, Shell>, text: String) -> Answer<Option<GroupOfferView>> {
    shell.client()?.look_at_link(&text).await.map_err(view)
}

/// Asks to be let into the group of a link.
#[tauri::command]
#[specta::specta]
pub(crate) async fn join_group(shell: State<'_, Shell>, link: String) -> Answer<ConversationView> {
    shell.client()?.join_group(&link).await.map_err(view)
}
