//! `rotate`: new device keys, now.

use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use waxwing_client::{Client, Event, KeysView};

use crate::failure::Failure;
use crate::output::Output;
use crate::{key_lines, session};

/// Longest wait until the relay has the new keys.
const PATIENCE: Duration = Duration::from_secs(30);

/// Rotates, and prints the keys as they are then.
pub(crate) async fn run(client: &Client, output: &mut Output) -> Result<(), Failure> {
    let events = client.events();
    let keys = client.rotate_keys().await?;
    let keys = match tokio::time::timeout(PATIENCE, until_rotated(client, events, keys)).await {
        Ok(rotated) => rotated?,
        Err(_) => client.keys().await?,
    };
    output.view(&keys, key_lines::keys)?;
    if keys.rotating {
        return Err(Failure::StillRotating(keys.rotation_problem));
    }
    session::settle(client).await;
    Ok(())
}

/// Waits until the relay has accepted the rotation, or an attempt has failed.
async fn until_rotated(client: &Client, mut events: Receiver<Event>, mut keys: KeysView) -> Result<KeysView, Failure> {
    while keys.rotating && keys.rotation_problem.is_none() {
        match events.recv().await {
            Ok(Event::Keys { keys: changed }) => keys = changed,
            Ok(Event::Lagged) | Err(RecvError::Lagged(_)) => keys = client.keys().await?,
            Err(RecvError::Closed) => break,
            Ok(_) => {}
        }
    }
    Ok(keys)
}
