//! [`Storage`], method by method: which statements, in which kind of transaction, and what is told after the commit.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::BoxFuture;
use waxwing_wire::api::{ConsistencyProof, InclusionProof, KeyPackageCount};
use waxwing_wire::blob::BlobSecret;
use waxwing_wire::frame::{CreateLog, InboxPage, UploadKeyPackages};
use waxwing_wire::{AccountId, DeviceId, LogId};

use super::super::{
    AccountRef, AccountUse, Answer, Appended, Appending, BackupError, Chained, Claim, Claimed, Decided, Delivered,
    Delivery, Heads, Invitation, Invited, LogRead, NewAccount, NextEntry, Quota, Registered, Storage, StorageError,
    StorageStats, StoredChain, Totals, Uploaded, Watched,
};
use super::{PostgresStorage, accounts, closed, expiry, inboxes, key_packages, logs, operator, shared, transparency};
use crate::clock::Moment;
use crate::hub::Wake;
use crate::replay::{Seen, Showing};

impl Storage for PostgresStorage {
    fn register(&self, account: NewAccount) -> Answer<'_, Registered> {
        Box::pin(async move {
            match self.batches.register(account, None).await? {
                Invited::Judged(registered) => Ok(registered),
                // Nobody was asked for an invitation.
                Invited::Refused => Err(StorageError::Damaged),
            }
        })
    }

    fn extend_chain(&self, next: NextEntry) -> Answer<'_, Chained> {
        let next = Arc::new(next);
        self.write(move |tx, context| {
            let next = Arc::clone(&next);
            Box::pin(async move { accounts::extend_chain(tx, &next, context).await })
        })
    }

    fn chain(&self, account: AccountRef, from: u32, limit: usize) -> Answer<'_, Option<StoredChain>> {
        self.read(move |tx| Box::pin(async move { accounts::chain(tx, &account, from, limit).await }))
    }

    fn relay_auth(&self, account: AccountId, device: DeviceId) -> Answer<'_, Option<[u8; 32]>> {
        self.read(move |tx| Box::pin(accounts::relay_auth(tx, account, device)))
    }

    fn checkpoint(&self) -> Answer<'_, String> {
        self.read(|tx| Box::pin(transparency::checkpoint(tx)))
    }

    fn renew_checkpoint(&self) -> Answer<'_, ()> {
        self.write(|tx, context| {
            Box::pin(async {
                let log = transparency::Growing::lock(tx).await?;
                let signed = log.seal(tx, &context.signer, context.clock.now()).await?;
                Ok(((), vec![Wake::Checkpoint(Box::new(signed))]))
            })
        })
    }

    fn leaves(&self, from: u64, limit: usize) -> Answer<'_, Option<Vec<u8>>> {
        self.read(move |tx| Box::pin(transparency::leaves(tx, from, limit)))
    }

    fn consistency(&self, first: u64, second: u64) -> Answer<'_, Option<ConsistencyProof>> {
        self.read(move |tx| Box::pin(transparency::consistency(tx, first, second)))
    }

    fn inclusion(&self, index: u64, size: u64) -> Answer<'_, Option<InclusionProof>> {
        self.read(move |tx| Box::pin(transparency::inclusion(tx, index, size)))
    }

    fn admit(&self, account: AccountId, hashes: Vec<[u8; 32]>) -> Answer<'_, bool> {
        let hashes: Arc<[_]> = hashes.into();
        self.write(move |tx, _| {
            let hashes = Arc::clone(&hashes);
            Box::pin(async move { Ok((accounts::admit(tx, account, &hashes).await?, Vec::new())) })
        })
    }

    fn dismiss(&self, account: AccountId, hashes: Vec<[u8; 32]>) -> Answer<'_, ()> {
        let hashes: Arc<[_]> = hashes.into();
        self.write(move |tx, _| {
            let hashes = Arc::clone(&hashes);
            Box::pin(async move { Ok((accounts::dismiss(tx, account, &hashes).await?, Vec::new())) })
        })
    }

    fn upload_key_packages(&self, device: DeviceId, upload: UploadKeyPackages) -> Answer<'_, Uploaded> {
        let upload = Arc::new(upload);
        self.write(move |tx, context| {
            let upload = Arc::clone(&upload);
            let day = context.calendar.day();
            Box::pin(async move { Ok((key_packages::upload(tx, device, &upload, day).await?, Vec::new())) })
        })
    }

    fn count_key_packages(&self, device: DeviceId) -> Answer<'_, Option<KeyPackageCount>> {
        self.read(move |tx| Box::pin(key_packages::count(tx, device)))
    }

    fn claim_key_packages(&self, claim: Claim) -> Answer<'_, Claimed> {
        self.write(move |tx, context| {
            let (now, today) = (context.clock.now(), context.calendar.today());
            Box::pin(async move { Ok((key_packages::claim(tx, &claim, now, today).await?, Vec::new())) })
        })
    }

    fn create_log(&self, log: CreateLog) -> Answer<'_, bool> {
        self.write(move |tx, _| Box::pin(async move { Ok((logs::create(tx, &log).await?, Vec::new())) }))
    }

    fn append(&self, appending: Appending) -> Answer<'_, Appended> {
        Box::pin(self.batches.append(appending))
    }

    fn read_log(&self, log: LogId, read_hash: [u8; 32], after: u64) -> Answer<'_, LogRead> {
        self.read(move |tx| Box::pin(async move { logs::read(tx, log, &read_hash, after).await }))
    }

    fn heads(&self, watched: Watched) -> Answer<'_, Heads> {
        self.read(move |tx| Box::pin(async move { logs::heads(tx, &watched).await }))
    }

    fn deliver(&self, delivery: Delivery) -> Answer<'_, Delivered> {
        let delivery = Arc::new(delivery);
        self.write(move |tx, context| {
            let delivery = Arc::clone(&delivery);
            Box::pin(async move {
                let (delivered, wake) = inboxes::deliver(tx, &delivery, context).await?;
                Ok((delivered, wake.into_iter().collect()))
            })
        })
    }

    fn read_inbox(&self, device: DeviceId, after: u64) -> Answer<'_, Option<InboxPage>> {
        self.read(move |tx| Box::pin(inboxes::read(tx, device, after)))
    }

    fn acknowledge(&self, device: DeviceId, up_to: u64) -> Answer<'_, ()> {
        self.write(move |tx, context| {
            let day = context.calendar.day();
            Box::pin(async move { Ok((inboxes::acknowledge(tx, device, up_to, day).await?, Vec::new())) })
        })
    }

    fn shown(&self, showing: Showing) -> Answer<'_, Seen> {
        self.write(move |tx, context| {
            let now = context.clock.now();
            Box::pin(async move { Ok((shared::shown(tx, &showing, now).await?, Vec::new())) })
        })
    }

    fn expire(&self) -> Answer<'_, bool> {
        // Of its own: where nothing can be removed the day goes on all the same.
        let noting = self
            .write(|tx, context| Box::pin(async move { Ok((expiry::note(tx, &context.calendar).await?, Vec::new())) }));
        Box::pin(async move {
            let day = noting.await?;
            let expiring = self.write(move |tx, context| {
                let (now, days) = (context.clock.now(), context.retention_days);
                Box::pin(async move { Ok((expiry::expire(tx, day, now, days).await?, Vec::new())) })
            });
            expiring.await
        })
    }

    fn expiry_time(&self) -> Moment {
        self.inner.context.calendar.now()
    }

    fn arrival_time(&self) -> Moment {
        self.inner.context.calendar.arrival()
    }

    fn blobs_to_remove(&self) -> Answer<'_, Vec<BlobSecret>> {
        self.read(|tx| Box::pin(closed::wanted(tx)))
    }

    fn blobs_removed(&self, of: Vec<BlobSecret>, all: bool) -> Answer<'_, ()> {
        let of = Arc::new(of);
        self.write(move |tx, context| {
            let (of, now) = (Arc::clone(&of), context.clock.now());
            Box::pin(async move { Ok((closed::removed(tx, &of, all, now).await?, Vec::new())) })
        })
    }

    fn spare(&self) -> Answer<'_, u64> {
        // Its disk is another computer's.
        Box::pin(async { Ok(0) })
    }

    fn record_keys(&self, fingerprint: [u8; 32], replacing: Option<[u8; 32]>) -> Answer<'_, bool> {
        self.write(move |tx, _| {
            Box::pin(async move { Ok((shared::record_keys(tx, &fingerprint, replacing.as_ref()).await?, Vec::new())) })
        })
    }

    fn stats(&self) -> StorageStats {
        StorageStats {
            commits: self.inner.commits.load(Ordering::Relaxed),
            writes: self.inner.writes.load(Ordering::Relaxed),
        }
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async {
            self.batches.stop().await;
            self.inner.pool.close();
            Ok(())
        })
    }

    fn invite(&self, invitation: Invitation) -> Answer<'_, ()> {
        self.write(move |tx, context| {
            let now = context.clock.now();
            Box::pin(async move { Ok((operator::invite(tx, &invitation, now).await?, Vec::new())) })
        })
    }

    fn invited(&self, invitation: [u8; 32]) -> Answer<'_, bool> {
        let now = self.inner.context.clock.now();
        self.read(move |tx| Box::pin(async move { operator::is_good(tx, &invitation, now).await }))
    }

    fn register_invited(&self, account: NewAccount, invitation: [u8; 32]) -> Answer<'_, Invited> {
        Box::pin(self.batches.register(account, Some(invitation)))
    }

    fn set_disabled(&self, account: AccountRef, disabled: bool) -> Answer<'_, Option<AccountId>> {
        self.write(move |tx, _| {
            let account = account.clone();
            Box::pin(async move {
                let found = operator::set_disabled(tx, &account, disabled).await?;
                Ok((found, found.iter().map(|_| Wake::Decided).collect()))
            })
        })
    }

    fn set_quotas(&self, of: Option<AccountRef>, changes: Vec<(Quota, Option<u64>)>) -> Answer<'_, bool> {
        let asked = Arc::new((of, changes));
        let setting = self.write(move |tx, _| {
            let asked = Arc::clone(&asked);
            Box::pin(async move {
                let set = operator::set_quotas(tx, asked.0.as_ref(), &asked.1).await?;
                Ok((set, set.then_some(Wake::Decided).into_iter().collect()))
            })
        });
        Box::pin(async move {
            let set = setting.await?;
            self.decided(None).await?;
            Ok(set)
        })
    }

    fn decided(&self, known: Option<u64>) -> Answer<'_, Option<Decided>> {
        let reading = self.read(move |tx| Box::pin(operator::decided(tx, known)));
        Box::pin(async move {
            let decided = reading.await?;
            Ok(decided.inspect(|decided| self.inner.context.quotas.take_in(decided)))
        })
    }

    fn account_use(&self, account: AccountRef) -> Answer<'_, Option<AccountUse>> {
        self.read(move |tx| Box::pin(async move { operator::account_use(tx, &account).await }))
    }

    fn totals(&self) -> Answer<'_, Totals> {
        let now = self.inner.context.clock.now();
        self.read(move |tx| Box::pin(operator::totals(tx, now)))
    }

    fn database_bytes(&self) -> Answer<'_, u64> {
        self.read(|tx| Box::pin(operator::database_bytes(tx)))
    }

    fn probe(&self) -> Answer<'_, ()> {
        self.write(|tx, _| Box::pin(async move { Ok((operator::probe(tx).await?, Vec::new())) }))
    }

    fn backup(&self, _to: PathBuf) -> BoxFuture<'_, Result<u64, BackupError>> {
        Box::pin(async { Err(BackupError::Elsewhere) })
    }
}
