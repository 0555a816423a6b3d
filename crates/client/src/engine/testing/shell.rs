//! One engine, started and ended again, for the two things that only an engine can give: the newest schema, and the set of opening keys.
//!
//! Its tasks never run: they are cancelled before anything waits. One for each process.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rusqlite::params;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use waxwing_protocol::{AccessKey, AccountKey, DeviceKeys, DeviceSeeds, RecoveryPhrase, statement};
use waxwing_wire::{AccountId, DeviceId};
use zeroize::Zeroizing;

use super::super::sealing::OpeningKeys;
use super::super::{Client, Engine};
use crate::keystore::{Keystore, Secrets};
use crate::profile::Profile;
use crate::random;
use crate::store::account::Account;
use crate::store::{Store, account, keys};

pub(super) struct Shell {
    runtime: Runtime,
    engine: Engine,
    _folder: TempDir,
    schema: Arc<str>,
}

/// What of a device's database the opening keys are made of.
pub(super) struct KeyRows {
    pub(super) rotation: Option<keys::Rotation>,
    /// Version, bytes, when retired.
    pub(super) old: Vec<(u32, Vec<u8>, i64)>,
}

fn with<T>(work: impl FnOnce(&mut Shell) -> T) -> T {
    static SHELL: OnceLock<Mutex<Shell>> = OnceLock::new();
    let shell = SHELL.get_or_init(|| Mutex::new(Shell::new()));
    work(&mut shell.lock().unwrap_or_else(PoisonError::into_inner))
}

/// All tables of the newest version, as statements.
pub(super) fn schema() -> Arc<str> {
    with(|shell| Arc::clone(&shell.schema))
}

/// [`Engine::opening_keys`] for a device with these keys and rows.
pub(super) fn opening_keys(device: DeviceId, current: Arc<DeviceKeys>, rows: KeyRows) -> OpeningKeys {
    with(|shell| {
        shell.engine.device = device;
        *shell.engine.keys.write().unwrap() = current;
        let Shell { runtime, engine, .. } = shell;
        runtime.block_on(async {
            let filled = engine.store.run(move |tx| {
                tx.execute_batch("DELETE FROM rotation; DELETE FROM old_sealing_keys")?;
                for (version, bytes, retired) in rows.old {
                    tx.execute(
                        "INSERT INTO old_sealing_keys (key_version, bytes, retired_ms) VALUES (?1, ?2, ?3)",
                        params![version, bytes, retired],
                    )?;
                }
                if let Some(rotation) = rows.rotation {
                    let seeds = rotation.seeds.to_bytes();
                    let row = params![rotation.key_version, seeds.as_slice(), rotation.entry];
                    tx.execute("INSERT INTO rotation (one, key_version, seeds, entry) VALUES (1, ?1, ?2, ?3)", row)?;
                }
                Ok(())
            });
            filled.await.unwrap();
            engine.opening_keys().await.unwrap()
        })
    })
}

impl Shell {
    fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // In memory where that can be had: the shell's database is rewritten at each start of a device.
        let memory = std::path::Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let client = runtime.block_on(start(&folder));
        runtime.block_on(client.end_tasks());
        let engine = Arc::try_unwrap(client.0).unwrap_or_else(|_| panic!("a task of the shell is left"));
        let schema = runtime.block_on(engine.store.run(|tx| {
            let version: i64 = tx.query_row("PRAGMA user_version", [], |row| row.get(0))?;
            let mut statement = tx.prepare(
                "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid",
            )?;
            let parts = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
            Ok(format!("{};\nPRAGMA user_version = {version};", parts.join(";\n")))
        }));
        Self { runtime, engine, _folder: folder, schema: schema.unwrap().into() }
    }
}

/// What opens the keystore of [`registered`].
pub(super) fn passphrase() -> Option<Zeroizing<String>> {
    Some(Zeroizing::new("a shell of an engine".to_owned()))
}

async fn start(folder: &TempDir) -> Client {
    let (profile, ..) = registered(folder.path(), Store::create).await;
    Client::start(&profile, passphrase()).await.unwrap()
}

/// A profile as registration leaves it, without a relay.
pub(super) async fn registered(
    folder: &std::path::Path,
    make: impl FnOnce(&std::path::Path, &[u8; 32]) -> Result<Store, crate::error::Error>,
) -> (Profile, Keystore, Secrets, Store) {
    let profile = Profile::open(folder).unwrap();
    let mut rng = random::rng();
    let account_key = AccountKey::generate(&mut rng);
    let phrase = RecoveryPhrase::generate(&mut rng);
    let seeds = DeviceSeeds::generate(&mut rng);
    let secrets = Secrets::new(random::bytes(), *account_key.seed(), *seeds.to_bytes());
    let device = DeviceKeys::new(DeviceId::from_bytes(random::bytes()), 1, seeds).unwrap();
    let id = AccountId::from_bytes(random::bytes());
    let name = Some("shell".parse().unwrap());
    let entry = statement::create(id, "127.0.0.1:1", name, &account_key, &phrase.recovery_key(), &device, 0);
    let keystore = Keystore::create(&profile, passphrase()).await.unwrap();
    keystore.write(&secrets).await.unwrap();
    let store = make(profile.dir(), &secrets.database_key).unwrap();
    let new = Account {
        account: id,
        device: device.device(),
        username: "shell".parse().unwrap(),
        relay: "127.0.0.1:1".parse().unwrap(),
        display_name: "shell".to_owned(),
        create_entry: entry.as_bytes().to_vec(),
        invite_key: AccessKey::generate(&mut rng),
        phrase_places: (1, 2),
        phrase_confirmed: false,
        counter: secrets.counter,
    };
    let made = store.run(move |tx| {
        account::insert(tx, &new, &phrase.entropy())?;
        keys::add_chain_entries(tx, new.account, 0, std::slice::from_ref(&new.create_entry))?;
        account::set_registered(tx)
    });
    made.await.unwrap();
    profile
        .change(|facts| {
            facts.passphrase = true;
            facts.registered = true;
        })
        .unwrap();
    (profile, keystore, secrets, store)
}
