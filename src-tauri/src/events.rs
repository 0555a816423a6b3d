//! Typed events to the window, and the task that carries the engine's events over.

use std::pin::pin;

use serde::{Deserialize, Serialize};
use specta::Type;
use tauri::{AppHandle, Manager as _};
use tauri_specta::Event as _;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use waxwing_client::Event;

use crate::dto::AppState;
use crate::shell::Shell;

/// The engine told something.
#[derive(Debug, Clone, Serialize, Deserialize, Type, tauri_specta::Event)]
pub(crate) struct EngineEvent(pub(crate) Event);

/// The app came into another state by itself, not as the answer to a command.
#[derive(Debug, Clone, Serialize, Deserialize, Type, tauri_specta::Event)]
pub(crate) struct StateChanged(pub(crate) AppState);

/// Carries events to the window until the engine ends. A window that is too slow is told to load everything again. Where the engine has ended by
/// itself the profile is opened again.
pub(crate) async fn forward(app: AppHandle, mut events: Receiver<Event>, ended: impl Future<Output = ()> + Send) {
    let mut ended = pin!(ended);
    loop {
        let event = tokio::select! {
            event = events.recv() => match event {
                Ok(event) => event,
                Err(RecvError::Lagged(_)) => Event::Lagged,
                Err(RecvError::Closed) => return,
            },
            () = &mut ended => return app.state::<Shell>().reopen().await,
        };
        if let Err(error) = EngineEvent(event).emit(&app) {
            tracing::warn!(%error, "an event did not reach the window");
        }
    }
}
