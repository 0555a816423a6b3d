//! Typed events to the window, and the task that carries the engine's events over.

use serde::{Deserialize, Serialize};
use specta::Type;
use tauri::AppHandle;
use tauri_specta::Event as _;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use waxwing_client::Event;

use crate::dto::AppState;

/// The engine told something.
#[derive(Debug, Clone, Serialize, Deserialize, Type, tauri_specta::Event)]
pub(crate) struct EngineEvent(pub(crate) Event);

/// The app came into another state by itself, not as the answer to a command.
#[derive(Debug, Clone, Serialize, Deserialize, Type, tauri_specta::Event)]
pub(crate) struct StateChanged(pub(crate) AppState);

/// Carries events to the window until the engine ends. A window that is too slow is told to load everything again.
pub(crate) async fn forward(app: AppHandle, mut events: Receiver<Event>) {
    loop {
        let event = match events.recv().await {
            Ok(event) => event,
            Err(RecvError::Lagged(_)) => Event::Lagged,
            Err(RecvError::Closed) => return,
        };
        if let Err(error) = EngineEvent(event).emit(&app) {
            tracing::warn!(%error, "an event did not reach the window");
        }
    }
}
