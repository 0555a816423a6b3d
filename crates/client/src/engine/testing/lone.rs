//! One engine without a relay: when a rotation is due by relay time.

use tempfile::TempDir;
use waxwing_wire::AccountId;

use super::super::keys::Cause;
use super::super::{Client, Engine, register};
use super::shell;
use crate::keystore::Keystore;
use crate::mls::GroupChange;
use crate::store::{Store, keys, logs, outbox, rotation as schedule};
use crate::views::RotationSchedule;

pub(super) const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const YEAR_MS: i64 = 365 * DAY_MS;

pub(super) struct Lone {
    pub(super) client: Client,
    pub(super) folder: TempDir,
}

impl Lone {
    pub(super) async fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let (profile, keystore, secrets, store) = shell::registered(folder.path(), |dir, _| Store::plain(dir)).await;
        let client = register::run(&profile, keystore, secrets, store).await.unwrap();
        Self { client, folder }
    }

    /// Goes down and comes up again, on the same files.
    pub(super) async fn restart(self) -> Self {
        self.client.stop().await;
        let Self { client, folder } = self;
        drop(client);
        Self::again(folder).await
    }

    /// Comes up on the files of one that is down.
    pub(super) async fn again(folder: TempDir) -> Self {
        let profile = loop {
            match crate::profile::Profile::open(folder.path()) {
                Ok(profile) => break profile,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        let (keystore, secrets) = Keystore::open(&profile, shell::passphrase()).await.unwrap();
        let store = Store::plain(profile.dir()).unwrap();
        let client = register::run(&profile, keystore, secrets, store).await.unwrap();
        Self { client, folder }
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.client.0
    }

    /// The relay's clock differs from this computer's by so much: as well one is wrong as the other.
    pub(super) fn relay_is_ahead(&self, ms: i64) {
        self.engine().home.set_offset(ms);
    }

    /// The keys are looked after; whether a rotation is under way then. The relay takes nothing, so it stays so.
    async fn rotates(&self) -> bool {
        self.engine().tend_keys().await;
        self.client.keys().await.unwrap().rotating
    }

    /// A rotation that a relay has taken.
    pub(super) async fn rotate(&self, cause: Cause) {
        let engine = self.engine();
        engine.begin_rotation(cause).await.unwrap();
        let rotation = engine.store.run(keys::rotation).await.unwrap().unwrap();
        engine.store_new_seeds(&rotation).await.unwrap();
        engine.finish_rotation(rotation).await.unwrap();
    }

    /// When each update of an own leaf is to go out.
    async fn updates(&self) -> Vec<u64> {
        let change = GroupChange::RotateUpdate.encode().unwrap();
        let find = self.engine().store.run(move |tx| {
            let ids = schedule::conversations(tx)?;
            let items = ids.iter().map(|id| outbox::changes(tx, id)).collect::<Result<Vec<_>, _>>()?;
            Ok(items
                .concat()
                .into_iter()
                .filter(|item| *item.content == change)
                .map(|item| item.not_before_ms)
                .collect())
        });
        find.await.unwrap()
    }
}

#[tokio::test]
async fn d8_a_rotation_is_due_by_relay_time_whatever_the_local_clock_says() {
    // By so much the local clock is behind (or ahead).
    for wrong in [0, YEAR_MS, -YEAR_MS, 10 * YEAR_MS, -10 * YEAR_MS] {
        let lone = Lone::new().await;
        // Before the relay has told the time nothing is begun, however old the keys seem.
        assert!(!lone.rotates().await, "{wrong}");
        lone.relay_is_ahead(wrong);
        assert!(!lone.rotates().await, "{wrong}: the keys are new");
        lone.relay_is_ahead(wrong + 30 * DAY_MS - 60_000);
        assert!(!lone.rotates().await, "{wrong}: a minute too early");
        lone.relay_is_ahead(wrong + 30 * DAY_MS + 1000);
        assert!(lone.rotates().await, "{wrong}: after 30 days");
        let view = lone.client.keys().await.unwrap();
        assert!(view.rotation_problem.is_some(), "no relay is there to take it");
        lone.client.end_tasks().await;
    }
}

/// The local clock is set, forwards or backwards, while the program does not run: relay time has not moved.
#[tokio::test]
async fn d8_a_local_clock_that_is_set_brings_no_rotation_about_and_prevents_none() {
    let lone = Lone::new().await;
    lone.relay_is_ahead(0);
    assert!(!lone.rotates().await);
    for wrong in [5 * YEAR_MS, -5 * YEAR_MS] {
        // What the database says stays as it was; the offset takes up what the clock has lost or won. It cannot be set in a test, so
        // the place of the anchor is moved instead.
        let engine = lone.engine();
        let moved = i64::try_from(engine.store.run(schedule::since).await.unwrap().1).unwrap();
        lone.relay_is_ahead(wrong);
        engine
            .store
            .run(move |tx| {
                let (version, _) = schedule::since(tx)?;
                schedule::set_since(tx, version, u64::try_from(moved + wrong).unwrap_or(0))
            })
            .await
            .unwrap();
        assert!(!lone.rotates().await);
        lone.relay_is_ahead(0);
        engine.store.run(move |tx| schedule::set_since(tx, 1, u64::try_from(moved).unwrap())).await.unwrap();
    }
    lone.relay_is_ahead(31 * DAY_MS);
    assert!(lone.rotates().await);
    lone.client.end_tasks().await;
}

#[tokio::test]
async fn a_relay_whose_clock_was_ahead_delays_nothing_for_good() {
    let lone = Lone::new().await;
    lone.relay_is_ahead(20 * YEAR_MS);
    assert!(!lone.rotates().await);
    // It was set right: counted from now on.
    lone.relay_is_ahead(0);
    assert!(!lone.rotates().await);
    lone.relay_is_ahead(31 * DAY_MS);
    assert!(lone.rotates().await);
    lone.client.end_tasks().await;
}

#[tokio::test]
async fn the_schedule_is_kept_and_followed() {
    let mut lone = Lone::new().await;
    let view = lone.client.keys().await.unwrap();
    assert_eq!((view.schedule, view.old_keys_live_days), (RotationSchedule::Days30, 67));
    lone.relay_is_ahead(0);
    assert!(!lone.rotates().await);
    for (wanted, days, live) in [
        (RotationSchedule::Days7, Some(7.0), 44),
        (RotationSchedule::Days90, Some(90.0), 127),
        (RotationSchedule::Manual, None, 127),
    ] {
        lone.client.set_rotation_schedule(wanted).await.unwrap();
        lone = lone.restart().await;
        let view = lone.client.keys().await.unwrap();
        assert_eq!((view.schedule, view.old_keys_live_days), (wanted, live));
        let since = lone.engine().store.run(schedule::since).await.unwrap().1 as f64;
        assert_eq!(view.next_rotation_at, days.map(|days| since + days * DAY_MS as f64));
    }
    lone.relay_is_ahead(400 * DAY_MS);
    assert!(!lone.rotates().await, "by hand alone");
    lone.client.set_rotation_schedule(RotationSchedule::Days90).await.unwrap();
    assert!(lone.rotates().await);
    lone.client.end_tasks().await;
}

/// A relay that lies about the time would have the chain filled up and old keys erased.
#[tokio::test]
async fn p6_a_relay_cannot_bring_about_one_rotation_after_another() {
    let lone = Lone::new().await;
    lone.relay_is_ahead(0);
    assert!(!lone.rotates().await);
    lone.relay_is_ahead(31 * DAY_MS);
    assert!(lone.rotates().await);
    let engine = lone.engine();
    let rotation = engine.store.run(keys::rotation).await.unwrap().unwrap();
    engine.store_new_seeds(&rotation).await.unwrap();
    engine.finish_rotation(rotation).await.unwrap();
    for months in 2..10 {
        lone.relay_is_ahead(months * 31 * DAY_MS);
        assert!(!lone.rotates().await);
    }
    assert_eq!(lone.client.keys().await.unwrap().version, 2);
    lone.client.end_tasks().await;
}

/// The keystore has the new seeds and the database has not followed when it goes down; at the next start relay time is not known.
#[tokio::test]
async fn d2_a_scheduled_rotation_that_ends_at_a_start_spreads_its_updates_once_relay_time_is_known() {
    let lone = Lone::new().await;
    for name in ["one", "two", "three"] {
        lone.client.create_group(name, &[]).await.unwrap();
    }
    lone.relay_is_ahead(0);
    let engine = lone.engine();
    engine.begin_rotation(Cause::Schedule).await.unwrap();
    let rotation = engine.store.run(keys::rotation).await.unwrap().unwrap();
    engine.store_new_seeds(&rotation).await.unwrap();
    let lone = lone.restart().await;
    let view = lone.client.keys().await.unwrap();
    assert_eq!((view.version, view.rotating), (2, false));
    let outcome = view.outcome.unwrap();
    assert_eq!((outcome.scheduled, outcome.conversations, outcome.updated), (true, 3, 0));
    assert!(outcome.waiting.iter().all(|wait| wait.due.is_none()), "{outcome:?}");
    for wrong in [5 * YEAR_MS, 0] {
        lone.relay_is_ahead(wrong);
        lone.engine().tend_keys().await;
        let now = lone.engine().now_ms();
        let day = u64::try_from(DAY_MS).unwrap();
        let times = lone.updates().await;
        assert!(times.len() == 3 && times.iter().all(|time| (now - 60_000..now + day).contains(time)), "{times:?}");
    }
    lone.client.end_tasks().await;
}

/// Somebody could not be added while the relay was out of reach and the local clock ten years ahead: they are tried again in a minute, by a
/// clock that is right.
#[tokio::test]
async fn d8_what_was_put_off_by_a_clock_that_was_ahead_is_due_once_relay_time_is_known() {
    let lone = Lone::new().await;
    lone.client.create_group("one", &[]).await.unwrap();
    let change = GroupChange::Add(vec![AccountId::from_bytes([9; 16])]).encode().unwrap();
    let when = || async {
        let find = |tx: &rusqlite::Transaction<'_>| {
            let ids = schedule::conversations(tx)?;
            let items = ids.iter().map(|id| outbox::changes(tx, id)).collect::<Result<Vec<_>, _>>()?.concat();
            Ok(items.into_iter().map(|item| item.not_before_ms).collect::<Vec<_>>())
        };
        lone.engine().store.run(find).await.unwrap()
    };
    let now = lone.engine().now_ms();
    let (soon, ahead) = (now + 60_000, now + u64::try_from(10 * YEAR_MS).unwrap());
    let put_off = lone.engine().store.run(move |tx| {
        let id = schedule::conversations(tx)?[0];
        let log = logs::to_send(tx, &id)?.unwrap().log;
        outbox::push_change(tx, &id, log, &change, ahead)?;
        outbox::push_change(tx, &id, log, &change, soon)
    });
    put_off.await.unwrap();
    lone.engine().tend_keys().await;
    assert_eq!(when().await, [ahead, soon], "not before relay time is known");
    lone.relay_is_ahead(0);
    lone.engine().tend_keys().await;
    assert_eq!(when().await, [0, soon]);
    lone.client.end_tasks().await;
}

/// The user is in a hurry where the schedule was not.
#[tokio::test]
async fn rotate_now_takes_over_what_the_schedule_has_begun() {
    let lone = Lone::new().await;
    lone.client.create_group("one", &[]).await.unwrap();
    lone.relay_is_ahead(0);
    let engine = lone.engine();
    engine.begin_rotation(Cause::Schedule).await.unwrap();
    let view = lone.client.rotate_keys().await.unwrap();
    assert!(view.rotating);
    let rotation = engine.store.run(keys::rotation).await.unwrap().unwrap();
    assert_eq!((rotation.key_version, rotation.scheduled), (2, false));
    engine.store_new_seeds(&rotation).await.unwrap();
    engine.finish_rotation(rotation).await.unwrap();
    assert_eq!(lone.updates().await, [0]);
    lone.client.end_tasks().await;
}
