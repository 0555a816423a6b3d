//! What a relay does now and then beside its database: limiters, keys, blobs, certificate.
//!
//! Not here: what goes on in the database by itself ([`crate::database`]).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

use crate::error::Refusal;
use crate::state::App;
use crate::tls::ServerTls;

/// Keeps the limiters' memory bounded, and the keys those of the folder.
pub(super) async fn sweep(app: Arc<App>) {
    let mut minute = interval(Duration::from_secs(60));
    loop {
        tokio::select! {
            () = app.stopping.cancelled() => return,
            _ = minute.tick() => {
                app.limiters.sweep();
                // What the operator did at another relay that shares the keys with this one.
                app.keys.refresh();
            }
        }
    }
}

/// Between two looks for the blobs of accounts that were closed: each reads something of every blob.
const REMOVE_PAUSE: Duration = Duration::from_secs(30);

/// Removes the blobs of closed accounts, and those that were kept long enough.
pub(super) async fn sweep_blobs(app: Arc<App>) {
    let mut turn = interval(app.blobs.limits().sweep);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = app.stopping.cancelled() => return,
            _ = turn.tick() => {
                // What has expired first: it gives the room that anything else may need. And both, whatever becomes of the other.
                if app.blobs.sweep().await.is_err() {
                    tracing::warn!("blobs that have expired could not be removed; it is tried again");
                }
                if remove_owned(&app).await.is_err() {
                    tracing::warn!("blobs of closed accounts could not be removed; it is tried again");
                }
            }
            () = app.blobs_wake.notified() => {
                if remove_owned(&app).await.is_err() {
                    tracing::warn!("blobs of closed accounts could not be removed; it is tried again");
                }
                tokio::select! {
                    () = app.stopping.cancelled() => return,
                    () = tokio::time::sleep(REMOVE_PAUSE) => {}
                }
            }
        }
    }
}

/// Removes the blobs of accounts that were closed.
async fn remove_owned(app: &App) -> Result<(), Refusal> {
    let secrets = app.storage.blobs_to_remove().await?;
    if secrets.is_empty() {
        return Ok(());
    }
    let removed = app.blobs.remove_owned(&secrets).await;
    app.storage.blobs_removed(secrets, removed.is_ok()).await?;
    Ok(removed?)
}

/// How often the disk is asked how much of it is free: what is written in the meantime is a small part of the reserve.
const LOOK: Duration = Duration::from_secs(3);

/// Looks whether the disk has its reserve.
pub(super) async fn watch_space(app: Arc<App>) {
    let mut turn = interval(LOOK);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = app.stopping.cancelled() => return,
            _ = turn.tick() => {
                let (looking, spare) = (Arc::clone(&app), app.storage.spare().await.unwrap_or(0));
                let _ = tokio::task::spawn_blocking(move || looking.space.look(spare)).await;
            }
        }
    }
}

/// Looks at the certificate's files now and then.
pub(super) async fn follow_certificate(app: Arc<App>, tls: Arc<ServerTls>, every: Duration) {
    let mut turn = interval_at(Instant::now() + every, every);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = app.stopping.cancelled() => return,
            _ = turn.tick() => {
                let tls = Arc::clone(&tls);
                // Its files may be on a slow disk.
                let _ = tokio::task::spawn_blocking(move || tls.refresh()).await;
            }
        }
    }
}
