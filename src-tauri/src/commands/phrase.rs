//! The recovery phrase, until it is confirmed.

use tauri::State;
use waxwing_client::ProfileView;

use super::{Answer, view};
use crate::dto::{PhraseChallenge, PhraseView};
use crate::shell::Shell;

/// The words, only until they are confirmed.
#[tauri::command]
#[specta::specta]
pub(crate) async fn phrase_words(shell: State<'_, Shell>) -> Answer<PhraseView> {
    let words = shell.client()?.phrase_words().await.map_err(view)?;
    Ok(PhraseView { words })
}

/// Which two words are asked for.
#[tauri::command]
#[specta::specta]
pub(crate) async fn phrase_challenge(shell: State<'_, Shell>) -> Answer<PhraseChallenge> {
    let (first, second) = shell.client()?.phrase_challenge().await.map_err(view)?;
    Ok(PhraseChallenge { first, second })
}

/// Confirms the phrase by the two words; they are erased from this computer then.
#[tauri::command]
#[specta::specta]
pub(crate) async fn phrase_confirm(
    shell: State<'_, Shell>,
    first_word: String,
    second_word: String,
) -> Answer<ProfileView> {
    shell.client()?.phrase_confirm(&first_word, &second_word).await.map_err(view)
}
