//! The relay's log at a million leaves, on its storage directly: an account that is registered, a proof, and all leaves once through.
//!
//! An append is a whole registration as the storage does it: chain entry, two leaves, nodes, a signed checkpoint, and the commit's fsync. The
//! hash of the name, which the relay computes before that, is not in it. HTTP is not in anything here.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ed25519_dalek::SigningKey;
use tokio::runtime::Runtime;
use waxwing_relay::storage::{NewAccount, PublicName, Registered, SqliteStorage, Storage as _};
use waxwing_relay::{LogSigner, Quotas};
use waxwing_wire::chain::{Create, Statement, UnsignedEntry};
use waxwing_wire::frame::{CreateLog, LogTokens};
use waxwing_wire::limits::MAX_LEAVES_PAGE;
use waxwing_wire::transparency::{Leaf, decode_leaves};
use waxwing_wire::{AccountId, DeviceId, DeviceRecord, LogId, hash};

use super::super::measure::{Figure, measure as measure_work};
use super::super::report::{Report, Unit};

const ORIGIN: &str = "relay.example";
/// Leaves before anything is measured: few, to compare with, then many.
const FEW: u64 = 1_000;
const MANY: u64 = 1_000_000;
/// Leaves put in by one transaction.
const FILLED: u64 = 50_000;
/// Runs in one sample: each append waits for the disk.
const RUNS: usize = 16;

/// A log that grows.
struct Log {
    runtime: Runtime,
    storage: SqliteStorage,
    leaves: u64,
    /// Numbers that were given out, so that no two things here are the same.
    given: u64,
}

/// Measures the log short and long.
pub fn measure(report: &mut Report) {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::open(folder.path());
    report.heading(format!("Transparency log of {MANY} leaves, on the relay's storage"));
    log.fill(FEW);
    let short = log.append();
    let start = Instant::now();
    log.fill(MANY);
    report.note(format!("made in {:.0} s", start.elapsed().as_secs_f64()));
    let commit = log.commit();
    let long = log.append();
    report.add("commit", "a small commit of another kind", Unit::Us, commit);
    report.add("append_short", format!("a registration, at {FEW} leaves"), Unit::Us, short);
    let growth = long.us / short.us;
    report.compared("append", "a registration: entry, leaves, checkpoint", Unit::Us, long, commit.us);
    report.value("append_growth", growth);
    report.note(format!("a registration takes {growth:.2} times as long in a log {} times as long", MANY / FEW));
    let inclusion = log.inclusion();
    report.add("proof", "a proof that a leaf is in it", Unit::Us, inclusion);
    let consistency = log.consistency();
    report.add("proof_consistency", "a proof that it begins with an earlier one", Unit::Us, consistency);
    let start = Instant::now();
    let read = log.stream();
    let seconds = start.elapsed().as_secs_f64();
    report.value("leaves_stream_s", seconds);
    report.note(format!("{read} leaves once through: {seconds:.2} s"));
    log.runtime.block_on(log.storage.close()).unwrap();
}

impl Log {
    fn open(folder: &Path) -> Self {
        let signer = LogSigner::new(ORIGIN, SigningKey::from_bytes(&[7; 32])).unwrap();
        let storage = SqliteStorage::open(folder, Quotas::default(), signer, Arc::new(|_| ())).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        Self { runtime, storage, leaves: 0, given: 0 }
    }

    fn number(&mut self) -> [u8; 32] {
        self.given += 1;
        hash(&[b"bench", &self.given.to_be_bytes()])
    }

    /// Leaves of accounts that there are not, up to `leaves` in all.
    fn fill(&mut self, leaves: u64) {
        while self.leaves < leaves {
            let some = FILLED.min(leaves - self.leaves);
            let some: Vec<_> = (0..some)
                .map(|_| Leaf::Chain { account_hash: self.number(), seq: 0, entry_hash: self.number() })
                .collect();
            self.leaves += some.len() as u64;
            self.runtime.block_on(self.storage.fill_log(some)).unwrap();
        }
    }

    fn append(&mut self) -> Figure {
        measure_work(self, RUNS, Self::account, |log, new| {
            assert_eq!(log.runtime.block_on(log.storage.register(new)), Ok(Registered::Stored));
            log.leaves += 2;
        })
    }

    /// What a commit takes by itself.
    fn commit(&mut self) -> Figure {
        let new_log = |log: &mut Self| {
            let number = log.number();
            let id = number.first_chunk().copied().map(LogId::from_bytes).unwrap();
            CreateLog { log: id, tokens: LogTokens { write: number, read: number } }
        };
        measure_work(self, RUNS, new_log, |log, new| {
            assert_eq!(log.runtime.block_on(log.storage.create_log(new)), Ok(true));
        })
    }

    fn inclusion(&mut self) -> Figure {
        let place = |log: &mut Self| {
            let place = log.place();
            (place, log.leaves)
        };
        measure_work(self, RUNS, place, |log, (index, size)| {
            log.runtime.block_on(log.storage.inclusion(index, size)).unwrap().unwrap()
        })
    }

    fn consistency(&mut self) -> Figure {
        let sizes = |log: &mut Self| {
            let first = log.place() + 1;
            (first, log.leaves)
        };
        measure_work(self, RUNS, sizes, |log, (first, second)| {
            log.runtime.block_on(log.storage.consistency(first, second)).unwrap().unwrap()
        })
    }

    /// Any place in the log.
    fn place(&mut self) -> u64 {
        self.number().first_chunk().copied().map(u64::from_be_bytes).unwrap() % self.leaves
    }

    /// Reads all leaves, as a client does that is new; gives how many.
    fn stream(&self) -> u64 {
        let mut read = 0;
        loop {
            let page = self.runtime.block_on(self.storage.leaves(read, MAX_LEAVES_PAGE)).unwrap().unwrap();
            let page = decode_leaves(&page).unwrap();
            if page.is_empty() {
                assert_eq!(read, self.leaves);
                return read;
            }
            read += page.len() as u64;
        }
    }

    /// A new account. The storage looks at no signature.
    fn account(&mut self) -> NewAccount {
        let key = self.number();
        let id = key.first_chunk().copied().unwrap();
        let device = DeviceRecord {
            device: DeviceId::from_bytes(id),
            key_version: 1,
            relay_auth: key,
            signing: key,
            mls: key,
            x25519: key,
            xwing: Box::new([9; 1216]),
        };
        let name = format!("name-{}", self.given).parse().unwrap();
        let create = Create {
            log_origin: ORIGIN.to_owned(),
            name: Some(name),
            recovery_key: key,
            account_key: key,
            device: device.clone(),
        };
        let name = create.name.clone().map(|name| PublicName { name, hash: self.number() });
        let statement = Statement::Create(Box::new(create));
        let account = AccountId::from_bytes(id);
        let unsigned = UnsignedEntry { account, seq: 0, prev_hash: [0; 32], statement, at_ms: 1 };
        NewAccount { entry: unsigned.assemble(vec![[9; 64]; 5]), name, device }
    }
}
