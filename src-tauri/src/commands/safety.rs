//! Safety numbers. Nothing here confirms anything by itself: the window shows, the user decides.

use tauri::State;
use waxwing_client::{SafetyComparison, SafetyNumberView};

use super::contacts::qr;
use super::{Answer, view};
use crate::dto::QrView;
use crate::shell::Shell;

/// Somebody's safety number with oneself (account id).
#[tauri::command]
#[specta::specta]
pub(crate) async fn safety_number(shell: State<'_, Shell>, account: String) -> Answer<SafetyNumberView> {
    shell.client()?.safety_number(&account).await.map_err(view)
}

/// The payload of a safety number as a QR code: of that number and no later one.
#[tauri::command]
#[specta::specta]
pub(crate) async fn safety_number_qr(payload: String) -> Answer<QrView> {
    qr(&payload)
}

/// Compares somebody's safety number with what their app shows: digits, or the text of its QR code.
#[tauri::command]
#[specta::specta]
pub(crate) async fn compare_safety_number(
    shell: State<'_, Shell>,
    account: String,
    shown: String,
) -> Answer<SafetyComparison> {
    shell.client()?.compare_safety_number(&account, &shown).await.map_err(view)
}

/// The user has compared somebody's safety number, which was shown with these digits.
#[tauri::command]
#[specta::specta]
pub(crate) async fn verify(shell: State<'_, Shell>, account: String, digits: String) -> Answer<SafetyNumberView> {
    shell.client()?.verify(&account, &digits).await.map_err(view)
}

/// The user takes a verification back.
#[tauri::command]
#[specta::specta]
pub(crate) async fn unverify(shell: State<'_, Shell>, account: String) -> Answer<SafetyNumberView> {
    shell.client()?.unverify(&account).await.map_err(view)
}
