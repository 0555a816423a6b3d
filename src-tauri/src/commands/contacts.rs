//! Finding others and being found.

use qrcode::{Color, QrCode};
use tauri::State;
use waxwing_client::{BlockedView, ContactView, ConversationView, InviteView};

use super::{Answer, internal, view};
use crate::dto::QrView;
use crate::shell::Shell;

/// Everybody one talks with, for picking people.
#[tauri::command]
#[specta::specta]
pub(crate) async fn contacts(shell: State<'_, Shell>) -> Answer<Vec<ContactView>> {
    shell.client()?.contacts().await.map_err(view)
}

/// Everybody who is blocked, whether or not there is a conversation with them.
#[tauri::command]
#[specta::specta]
pub(crate) async fn blocked(shell: State<'_, Shell>) -> Answer<Vec<BlockedView>> {
    shell.client()?.blocked().await.map_err(view)
}

/// Takes somebody in again, by account id.
#[tauri::command]
#[specta::specta]
pub(crate) async fn unblock(shell: State<'_, Shell>, account: String) -> Answer<ContactView> {
    shell.client()?.unblock(&account).await.map_err(view)
}

/// Opens the conversation with whom an invite link or `name@host[:port]` names.
#[tauri::command]
#[specta::specta]
pub(crate) async fn add_contact(shell: State<'_, Shell>, input: String) -> Answer<ConversationView> {
    shell.client()?.add_contact(&input).await.map_err(view)
}

/// Opens the conversation with oneself.
#[tauri::command]
#[specta::specta]
pub(crate) async fn note_to_self(shell: State<'_, Shell>) -> Answer<ConversationView> {
    shell.client()?.note_to_self().await.map_err(view)
}

/// The own invite.
#[tauri::command]
#[specta::specta]
pub(crate) async fn my_invite(shell: State<'_, Shell>) -> Answer<InviteView> {
    shell.client()?.invite().await.map_err(view)
}

/// Another invite link: the one before admits nobody any more.
#[tauri::command]
#[specta::specta]
pub(crate) async fn renew_invite(shell: State<'_, Shell>) -> Answer<InviteView> {
    shell.client()?.renew_invite().await.map_err(view)
}

/// The own invite link as a QR code.
#[tauri::command]
#[specta::specta]
pub(crate) async fn invite_qr(shell: State<'_, Shell>) -> Answer<QrView> {
    let invite = shell.client()?.invite().await.map_err(view)?;
    qr(&invite.link)
}

pub(super) fn qr(text: &str) -> Answer<QrView> {
    let code = QrCode::new(text).map_err(internal)?;
    let size = u32::try_from(code.width()).map_err(internal)?;
    let modules = code.to_colors().into_iter().map(|color| if color == Color::Dark { '1' } else { '0' }).collect();
    Ok(QrView { size, modules })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qr_code_is_a_square_with_its_three_marks() {
        let view = qr("https://example.org/an-invite").unwrap();
        let size = view.size as usize;
        assert_eq!(view.modules.len(), size * size);
        let row = |y: usize, x: usize| &view.modules[y * size + x..y * size + x + 7];
        for (y, x) in [(0, 0), (0, size - 7), (size - 7, 0)] {
            assert_eq!(row(y, x), "1111111");
            assert_eq!(row(y + 1, x), "1000001");
        }
    }

    #[test]
    fn too_long_a_text_is_an_error() {
        assert!(qr(&"x".repeat(5000)).is_err());
    }
}
