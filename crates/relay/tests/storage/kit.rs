//! A database of a test's own, on either backend, and what goes into it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ed25519_dalek::SigningKey;
use tempfile::TempDir;
use waxwing_relay::LogSigner;
use waxwing_relay::clock::Clock;
use waxwing_relay::hub::Wake;
use waxwing_relay::storage::Admission;
use waxwing_relay::storage::{
    Appended, Appending, Delivered, Delivery, DeviceChange, LogRead, NewAccount, NextEntry, OpenError, PostgresConfig,
    PostgresStorage, PublicName, Registered, Setup, SqliteStorage, Storage, WakeListener,
};
use waxwing_wire::chain::{ChainEntry, Create, Statement, UnsignedEntry};
use waxwing_wire::frame::{Append, CreateLog, InboxSend, LogPage, LogTokens};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::transparency::{Frontier, Leaf, NoteKey, SignedCheckpoint, decode_leaves};
use waxwing_wire::{AccountId, DeviceId, DeviceRecord, EnvelopeId, LogId};

use crate::cluster::Cluster;

pub const ORIGIN: &str = "relay.example";
pub const DAY: u64 = 86_400;

/// Where a test's database is.
pub enum Place {
    Sqlite(TempDir),
    Postgres(PostgresConfig),
}

impl Place {
    pub fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    pub fn postgres() -> Self {
        Self::Postgres(Cluster::shared().database())
    }

    /// A handle; any number may be open at a time.
    pub async fn open(&self) -> Arc<dyn Storage> {
        self.open_with(setup()).await.unwrap()
    }

    pub async fn open_with(&self, setup: Setup) -> Result<Arc<dyn Storage>, OpenError> {
        Ok(match self {
            Self::Sqlite(folder) => Arc::new(SqliteStorage::open_with(folder.path(), setup)?),
            Self::Postgres(config) => Arc::new(PostgresStorage::open(config, setup).await?),
        })
    }
}

pub fn signing(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte; 32])
}

pub fn signer() -> LogSigner {
    LogSigner::new(ORIGIN, signing(7)).unwrap()
}

pub fn log_key() -> NoteKey {
    signer().key().clone()
}

pub fn setup() -> Setup {
    Setup::new(signer(), Arc::new(|_| ()))
}

/// A setup whose wakes come out of the other end.
pub fn listening<T: Send + 'static>(
    of: impl Fn(&Wake) -> Option<T> + Send + Sync + 'static,
) -> (Setup, tokio::sync::mpsc::UnboundedReceiver<T>) {
    let (told, wakes) = tokio::sync::mpsc::unbounded_channel();
    let listener: WakeListener = Arc::new(move |wake| {
        if let Some(value) = of(wake) {
            // Who no longer listens need not be told.
            let _ = told.send(value);
        }
    });
    (Setup::new(signer(), listener), wakes)
}

/// A clock that stands still until it is set.
#[derive(Clone)]
pub struct Hands {
    time: Arc<AtomicU64>,
    uptime: Arc<AtomicU64>,
}

impl Hands {
    pub fn now() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Self { time: Arc::new(AtomicU64::new(now.as_secs())), uptime: Arc::default() }
    }

    pub fn clock(&self) -> Clock {
        let seconds = |of: &Arc<AtomicU64>| {
            let of = Arc::clone(of);
            move || Duration::from_secs(of.load(Ordering::Relaxed))
        };
        Clock::new(seconds(&self.time), seconds(&self.uptime))
    }

    pub fn pass(&self, seconds: u64) {
        self.time.fetch_add(seconds, Ordering::Relaxed);
        self.uptime.fetch_add(seconds, Ordering::Relaxed);
    }

    /// Sets it ahead, or back, while no time passes.
    pub fn set(&self, days: i64) {
        self.time.fetch_add((days * DAY as i64) as u64, Ordering::Relaxed);
    }
}

pub fn new_log(byte: u8) -> CreateLog {
    CreateLog { log: LogId::from_bytes([byte; 16]), tokens: LogTokens { write: [byte; 32], read: [byte; 32] } }
}

pub fn envelope_id(id: u64) -> EnvelopeId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&id.to_be_bytes());
    EnvelopeId::from_bytes(bytes)
}

/// An append of an entry of `size` bytes.
pub fn append(log: &CreateLog, id: u64, size: usize) -> Appending {
    let blob = id.to_be_bytes().iter().copied().cycle().take(size).collect();
    let append = Append { entry_id: envelope_id(id), kind: EnvelopeKind::App, after: 0, rekey: None, blob };
    appending(log, append)
}

pub fn appending(log: &CreateLog, append: Append) -> Appending {
    let digest = waxwing_wire::hash(&[&append.encode()]);
    Appending { log: log.log, write_hash: log.tokens.write, digest, append }
}

/// A handshake that replaces the tokens by `tokens`.
pub fn rekey(log: &CreateLog, id: u64, after: u64, tokens: LogTokens) -> Appending {
    let (kind, rekey) = (EnvelopeKind::Handshake, Some(tokens));
    appending(log, Append { entry_id: envelope_id(id), kind, after, rekey, blob: vec![1; 10] })
}

pub fn stored(seq: u64) -> Appended {
    Appended::Stored { seq }
}

pub async fn page(storage: &dyn Storage, log: &CreateLog, after: u64) -> LogPage {
    match storage.read_log(log.log, log.tokens.read, after).await.unwrap() {
        LogRead::Page(page) => page,
        other => panic!("{other:?}"),
    }
}

/// Everything in a log, page by page.
pub async fn drain(storage: &dyn Storage, log: &CreateLog) -> Vec<(u64, EnvelopeId, Vec<u8>)> {
    let mut all = Vec::new();
    loop {
        let page = page(storage, log, all.len() as u64).await;
        if page.entries.is_empty() {
            assert_eq!(page.head, all.len() as u64);
            return all;
        }
        all.extend(page.entries.into_iter().map(|entry| (entry.seq, entry.entry_id, entry.blob)));
    }
}

pub fn device_id(n: u16) -> DeviceId {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&n.to_be_bytes());
    DeviceId::from_bytes(id)
}

pub fn device(n: u16, version: u32) -> DeviceRecord {
    let key = [version as u8; 32];
    DeviceRecord {
        device: device_id(n),
        key_version: version,
        relay_auth: key,
        signing: key,
        mls: key,
        x25519: key,
        xwing: Box::new([0; 1216]),
    }
}

pub fn account(n: u16) -> AccountId {
    let mut id = [0xaa; 16];
    id[..2].copy_from_slice(&n.to_be_bytes());
    AccountId::from_bytes(id)
}

/// An entry of account `n`'s chain. The storage does not look at signatures.
pub fn entry(n: u16, seq: u32, prev_hash: [u8; 32], statement: Statement) -> ChainEntry {
    let signatures = vec![[9; 64]; if seq == 0 { 5 } else { 4 }];
    UnsignedEntry { account: account(n), seq, prev_hash, statement, at_ms: 1 }.assemble(signatures)
}

/// Account `n`'s first entry, with device `n`. Its hash stands for the name's, which takes its time.
pub fn create(n: u16, name: Option<&str>) -> NewAccount {
    let name =
        name.map(|name| PublicName { name: name.parse().unwrap(), hash: waxwing_wire::hash(&[name.as_bytes()]) });
    let create = Create {
        log_origin: ORIGIN.to_owned(),
        name: name.as_ref().map(|public| public.name.clone()),
        recovery_key: [1; 32],
        account_key: [2; 32],
        device: device(n, 1),
    };
    NewAccount { entry: entry(n, 0, [0; 32], Statement::Create(Box::new(create))), name, device: device(n, 1) }
}

pub async fn registered(storage: &dyn Storage, n: u16, name: Option<&str>) -> NewAccount {
    let new = create(n, name);
    assert_eq!(storage.register(new.clone()).await.unwrap(), Registered::Stored);
    new
}

/// The entry after `before` that gives device `n` new keys.
pub fn rotation(n: u16, before: &ChainEntry) -> NextEntry {
    let seq = before.unsigned.seq + 1;
    let device = device(n, seq + 1);
    NextEntry {
        entry: entry(n, seq, before.hash(), Statement::RotateDeviceKeys(Box::new(device.clone()))),
        devices: DeviceChange::Rotated(device),
    }
}

/// The entry after `before` that does `change`; what it states does not matter to the storage.
pub fn next(n: u16, before: &ChainEntry, change: DeviceChange) -> NextEntry {
    let statement = Statement::RotateDeviceKeys(Box::new(device(n, 200)));
    NextEntry { entry: entry(n, before.unsigned.seq + 1, before.hash(), statement), devices: change }
}

pub fn delivery(n: u16, id: u64, admission: Admission, size: usize) -> Delivery {
    let send = InboxSend { entry_id: envelope_id(id), kind: EnvelopeKind::Notice, blob: vec![id as u8; size] };
    let digest = waxwing_wire::hash(&[&send.encode()]);
    Delivery { device: device_id(n), admission, digest, send }
}

pub fn delivered(seq: u64) -> Delivered {
    Delivered::Stored { seq }
}

pub async fn leaves(storage: &dyn Storage) -> Vec<Leaf> {
    decode_leaves(&storage.leaves(0, 1000).await.unwrap().unwrap()).unwrap()
}

/// The newest checkpoint, which must be that of the leaves.
pub async fn checkpoint(storage: &dyn Storage) -> SignedCheckpoint {
    let signed = SignedCheckpoint::verify(storage.checkpoint().await.unwrap().as_bytes(), &log_key()).unwrap();
    let mut tree = Frontier::new();
    leaves(storage).await.iter().for_each(|leaf| tree.append(leaf.hash()).unwrap());
    assert_eq!((signed.checkpoint().size, signed.checkpoint().root), (tree.size(), tree.root()));
    signed
}
