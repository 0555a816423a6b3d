//! The desktop around the window: clipboard and links. Both go through Rust; the window has no permission for either.

use tauri::AppHandle;
use tauri_plugin_clipboard_manager::ClipboardExt;

use super::{Answer, internal};
use crate::links;

/// Copies text to the clipboard.
#[tauri::command]
#[specta::specta]
pub(crate) async fn copy_text(app: AppHandle, text: String) -> Answer<()> {
    app.clipboard().write_text(text).map_err(internal)
}

/// Opens an https link outside. The window has shown the real address before.
#[tauri::command]
#[specta::specta]
pub(crate) async fn open_link(url: String) -> Answer<()> {
    links::open(&url).map_err(internal)
}
