//! The relay's database: which backend, joined with other processes of the relay where there can be some; and what goes on in it by itself.
//!
//! Not here: what is stored and how ([`crate::storage`]), how processes hear of each other ([`crate::bus`]).

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, sleep};
use waxwing_wire::transparency::Checkpoint;

use crate::bus::{Bus, Disguise, NatsConfig};
use crate::config::{Database, Quotas};
use crate::hub::Hub;
use crate::log_signer::LogSigner;
use crate::relay::StartError;
use crate::state::App;
use crate::storage::{PostgresStorage, Setup, SqliteStorage, Storage, StorageError, WakeListener};
use crate::token_keys::Fingerprints;

/// How often to look for what is too old. It is kept by whole days.
const EXPIRE_EVERY: Duration = Duration::from_secs(60);
/// How often to note the log's newest checkpoint.
const NOTE_EVERY: Duration = Duration::from_secs(60);
/// How often to look whether the keys are those that the database knows, which costs nothing as long as they are.
const KEYS_EVERY: Duration = Duration::from_secs(5);
/// Between two batches, for the writes of others.
const EXPIRE_PAUSE: Duration = Duration::from_millis(20);

/// What a database is opened with.
pub(crate) struct Opening<'a> {
    pub(crate) database: &'a Database,
    pub(crate) nats: Option<&'a NatsConfig>,
    pub(crate) retention_days: u32,
    pub(crate) quotas: Quotas,
    pub(crate) signer: LogSigner,
    /// The log's newest checkpoint that this process knows of.
    pub(crate) newest: Option<Checkpoint>,
    /// Of this process's keys; other processes must have the same.
    pub(crate) fingerprints: Fingerprints,
}

/// An open database.
pub(crate) struct Opened {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) hub: Arc<Hub>,
    /// What other processes tell of; none where there can be no others.
    pub(crate) bus: Option<Arc<Bus>>,
}

/// Opens the database.
pub(crate) async fn open(data: &Path, opening: Opening<'_>) -> Result<Opened, StartError> {
    let Opening { database, nats, retention_days, quotas, signer, newest, fingerprints } = opening;
    let (hub, bus) = (Arc::new(Hub::default()), Arc::new(OnceLock::new()));
    let wake = listener(Arc::clone(&hub), Arc::clone(&bus));
    let setup = Setup { quotas, retention_days, newest, ..Setup::new(signer, wake) };
    let storage: Arc<dyn Storage> = match database {
        Database::Sqlite => Arc::new(SqliteStorage::open_with(data, setup)?),
        Database::Postgres(config) => {
            let storage = Arc::new(PostgresStorage::open(config, setup).await?);
            // What this process has stored before, at its start, nobody waits for.
            let _ = bus.set(Arc::new(join(&storage, fingerprints, nats, &hub).await?));
            storage
        }
    };
    Ok(Opened { storage, hub, bus: bus.get().cloned() })
}

/// Joins the other processes of this relay: with the same keys, and knowing what they store.
async fn join(
    storage: &PostgresStorage,
    keys: Fingerprints,
    nats: Option<&NatsConfig>,
    hub: &Hub,
) -> Result<Bus, StartError> {
    // A relay that is one process may have a new token key made. Where there are others, they would refuse what this one signs.
    if !record_keys(storage, &keys).await? {
        return Err(StartError::OtherKeys);
    }
    let disguise = Arc::new(Disguise::new(storage.bus_key().await?));
    hub.disguise(Arc::clone(&disguise));
    Ok(Bus::open(nats, disguise).await?)
}

/// Tells the database which keys this relay has; whether it knows them then. A rotation of which it was not told: the folder knows the key from before.
pub(crate) async fn record_keys(storage: &dyn Storage, keys: &Fingerprints) -> Result<bool, StorageError> {
    let mut same = storage.record_keys(keys.current, None).await?;
    for before in &keys.before {
        same = same || storage.record_keys(keys.current, Some(*before)).await?;
    }
    Ok(same)
}

/// Tells the database of a rotation as soon as it takes it: a process that starts with keys that it does not know is refused.
pub(crate) async fn follow_keys(app: Arc<App>) {
    let mut turn = interval(KEYS_EVERY);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut known, mut told) = (None, None);
    loop {
        tokio::select! {
            () = app.stopping.cancelled() => return,
            _ = turn.tick() => {}
        }
        let mut keys = app.keys.fingerprints(app.log_key.public());
        let current = Some(keys.current);
        if known == current {
            continue;
        }
        // Also where the folder has forgotten that one meanwhile.
        keys.before.extend(known);
        if record_keys(&*app.storage, &keys).await == Ok(true) {
            known = current;
            continue;
        }
        // Another process may have put a newer key there, which is told then.
        app.keys.refresh();
        let newest = Some(app.keys.fingerprints(app.log_key.public()).current);
        if newest == current && told != current {
            told = current;
            tracing::warn!(
                "the database could not be told of this relay's keys; it is tried again until it knows them"
            );
        }
    }
}

/// Tells those who follow here, and the other processes.
fn listener(hub: Arc<Hub>, bus: Arc<OnceLock<Arc<Bus>>>) -> WakeListener {
    Arc::new(move |wake| {
        hub.wake(wake);
        if let Some(bus) = bus.get() {
            bus.tell(wake);
        }
    })
}

/// Lets go what is older than is kept, batch by batch, so that nobody waits long for it.
pub(crate) async fn expire(app: Arc<App>) {
    let mut turn = interval(EXPIRE_EVERY);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = app.stopping.cancelled() => return,
            _ = turn.tick() => {}
        }
        loop {
            match app.storage.expire().await {
                Ok(true) if !app.stopping.is_cancelled() => sleep(EXPIRE_PAUSE).await,
                Ok(_) => break,
                Err(_) => {
                    tracing::warn!("what is too old could not be removed; it is tried again");
                    break;
                }
            }
        }
    }
}

/// Signs the log anew, so that clients see that it is alive and shows everybody the same. The first is signed at the start.
pub(crate) async fn renew_checkpoint(app: Arc<App>, every: Duration) {
    let mut turn = interval_at(Instant::now() + every, every);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = app.stopping.cancelled() => return,
            _ = turn.tick() => {
                if app.storage.renew_checkpoint().await.is_err() {
                    tracing::warn!("the transparency log's checkpoint could not be signed anew");
                }
            }
        }
    }
}

/// Notes the log's newest checkpoint now and then.
pub(crate) async fn note_checkpoint(app: Arc<App>) {
    let mut turn = interval_at(Instant::now() + NOTE_EVERY, NOTE_EVERY);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = app.stopping.cancelled() => return,
            _ = turn.tick() => app.high_water.note(&*app.storage).await,
        }
    }
}
