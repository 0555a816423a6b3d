//! The own key packages at the relay: how many there are, how old they get, and how long a Welcome for one can be taken (P10, D8). With
//! as many as the engine has; the relay's time is an argument.

use std::collections::HashSet;
use std::sync::Arc;

use waxwing_wire::LogId;

use super::super::in_hand::InHand;
use super::super::packages::STOCK;
use super::super::rotation::old_keys_live_ms;
use super::faults::rotate;
use super::world::World;
use crate::mls::{self, ClaimedPackage, read_package};
use crate::store::{account, keys};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const YEAR_MS: u64 = 365 * DAY_MS;

/// Ada (0), and Bea (1), whose key packages it is about: none are at the relay yet.
fn two() -> World {
    let mut world = World::new(7, 2);
    world.outside.relay.packages.clear();
    world.on(1, |device, _| device.tx(|tx| account::set_packages(tx, 0, 0))).unwrap();
    stock_up(&mut world);
    world
}

fn stock_up(world: &mut World) {
    world.on(1, |device, outside| device.stock_up(outside, STOCK)).unwrap();
}

/// Bea's one-time packages at the relay.
fn one_time(world: &World) -> HashSet<Vec<u8>> {
    let all = &world.outside.relay.packages[&world.devices[1].device].once;
    let different: HashSet<_> = all.iter().cloned().collect();
    assert_eq!(different.len(), all.len());
    different
}

fn last_resort(world: &World) -> Vec<u8> {
    world.outside.relay.packages[&world.devices[1].device].last_resort.clone().unwrap()
}

fn claim(world: &mut World) -> Vec<u8> {
    let bea = world.devices[1].account;
    world.outside.relay.claim(bea).unwrap().remove(0).1
}

/// Private parts that Bea keeps.
fn kept(world: &mut World) -> HashSet<Vec<u8>> {
    world.devices[1].look(|tx| {
        let mut statement = tx.prepare("SELECT key FROM mls_state WHERE group_id = x'' AND kind = 16")?;
        Ok(statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
    })
}

/// As Ada reads it, who has Bea's chain.
fn read(world: &mut World, package: &[u8]) -> ClaimedPackage {
    let (bea, device) = (world.devices[1].account, world.devices[1].device);
    let ada = &mut world.devices[0];
    let crypto = Arc::clone(&ada.crypto);
    let chain = ada.look(|tx| keys::chain(tx, bea)).unwrap();
    read_package(&crypto, &chain, device, package).unwrap()
}

/// Ada brings Bea into a new group with this package; whether Bea can come.
fn joins(world: &mut World, group: u8, package: &[u8]) -> bool {
    let guest = read(world, package);
    let (ada, adas) = (world.devices[0].account, Arc::clone(&world.devices[0].keys));
    let log = LogId::from_bytes([group; 16]);
    let welcome = world.devices[0].founds_as(log, guest, (ada, &adas), |_| ());
    let bea = &mut world.devices[1];
    let crypto = Arc::clone(&bea.crypto);
    bea.tx(|tx| mls::join(&crypto, tx, log, &welcome)).unwrap().is_ok()
}

#[test]
fn fifty_at_first_and_again_when_fewer_than_twenty_are_left() {
    let mut world = two();
    let (first, spare) = (one_time(&world), last_resort(&world));
    assert_eq!(first.len(), 50);
    assert_eq!(kept(&mut world).len(), 3 + 1 + 50 + 1, "beside those from before, one for each");
    for _ in 0..30 {
        claim(&mut world);
        stock_up(&mut world);
    }
    assert_eq!((one_time(&world).len(), last_resort(&world)), (20, spare.clone()), "twenty are enough");
    claim(&mut world);
    let left = one_time(&world);
    stock_up(&mut world);
    let full = one_time(&world);
    assert_eq!((left.len(), full.len()), (19, 50));
    assert!(full.is_superset(&left), "what was there is not wasted");
    assert_eq!(full.intersection(&first).count(), 19, "and none comes twice");
    assert_ne!(last_resort(&world), spare);
    // Enough, and then it is left alone.
    stock_up(&mut world);
    assert_eq!(one_time(&world), full);
}

/// What a change that was put off has claimed is for its next try, and for nothing once her keys are others.
#[test]
fn p10_what_was_claimed_is_used_before_more_is_claimed() {
    let mut world = two();
    let bea = world.devices[1].account;
    let bytes = claim(&mut world);
    let package = read(&mut world, &bytes);
    let known = world.devices[0].look(|tx| keys::chain(tx, bea)).unwrap();
    let in_hand = InHand::default();
    assert!(in_hand.take(&known).is_none(), "nothing was claimed yet");
    in_hand.put(vec![package.clone()]);
    let again = in_hand.take(&known).unwrap();
    assert!(again.len() == 1 && again[0].package == package.package);
    assert!(in_hand.take(&known).is_none(), "two groups would get the same");
    in_hand.put(again);
    world.outside.now += 8 * DAY_MS;
    rotate(&mut world, 1);
    let newer = world.devices[1].look(|tx| keys::chain(tx, bea)).unwrap();
    assert_ne!(known.head(), newer.head());
    assert!(in_hand.take(&newer).is_none(), "it is of keys that are no longer in force");
    assert!(in_hand.take(&known).is_none(), "and is not kept");
}

#[test]
fn p10_when_all_are_gone_the_last_resort_serves_until_there_are_new_ones() {
    let mut world = two();
    let mut claimed: HashSet<_> = (0..50).map(|_| claim(&mut world)).collect();
    assert_eq!(claimed.len(), 50, "each goes to one");
    let spare = last_resort(&world);
    assert!((0..3).all(|_| claim(&mut world) == spare) && claimed.insert(spare.clone()));
    // It serves more than once, and its private part stays; a one-time package's goes with the joining.
    let before = kept(&mut world).len();
    assert!(joins(&mut world, 0x21, &spare) && joins(&mut world, 0x22, &spare));
    assert_eq!(kept(&mut world).len(), before);
    let once = claimed.iter().find(|package| **package != spare).unwrap().clone();
    assert!(joins(&mut world, 0x23, &once));
    assert_eq!(kept(&mut world).len(), before - 1);
    assert!(!joins(&mut world, 0x24, &once), "it is used up");

    stock_up(&mut world);
    let now = one_time(&world);
    assert_eq!((now.len(), now.is_disjoint(&claimed)), (50, true));
    assert_ne!(last_resort(&world), spare);
    // Whoever claimed the one before is not turned away.
    assert!(joins(&mut world, 0x25, &spare));
    // A relay that has lost the last resort alone is given another.
    let device = world.devices[1].device;
    world.outside.relay.packages.get_mut(&device).unwrap().last_resort = None;
    stock_up(&mut world);
    assert_eq!(one_time(&world), now);
    last_resort(&world);
}

#[test]
fn after_a_week_of_relay_time_all_are_replaced_and_welcomes_for_the_old_ones_are_still_taken() {
    let mut world = two();
    let (first, spare, private) = (one_time(&world), last_resort(&world), kept(&mut world));
    let [early, late, never] = [claim(&mut world), claim(&mut world), claim(&mut world)];
    world.outside.now += 7 * DAY_MS;
    stock_up(&mut world);
    assert_eq!(last_resort(&world), spare, "not before the week is over");
    world.outside.now += 1;
    stock_up(&mut world);
    let second = one_time(&world);
    assert_eq!((second.len(), second.is_disjoint(&first)), (50, true));
    assert_ne!(last_resort(&world), spare);
    stock_up(&mut world);
    assert_eq!(one_time(&world), second, "once a week");
    assert!(joins(&mut world, 0x21, &early));

    // As long as an inbox keeps a Welcome, and whoever sealed it may have had the old keys.
    let live = world.devices[1].look(old_keys_live_ms);
    assert_eq!(live, 67 * DAY_MS);
    world.outside.now += live;
    stock_up(&mut world);
    assert!(joins(&mut world, 0x22, &late) && joins(&mut world, 0x23, &spare));
    assert!(!kept(&mut world).is_disjoint(&private), "the control");
    world.outside.now += 8 * DAY_MS;
    stock_up(&mut world);
    assert!(!joins(&mut world, 0x24, &never) && !joins(&mut world, 0x25, &spare));
    assert!(kept(&mut world).is_disjoint(&private), "erased, whether anybody has claimed them or not");
}

#[test]
fn with_other_device_keys_all_are_replaced_at_once() {
    let mut world = two();
    let (first, spare) = (one_time(&world), last_resort(&world));
    rotate(&mut world, 1);
    let device = world.devices[1].device;
    let three = world.outside.relay.packages[&device].once.clone();
    assert!(three.iter().all(|package| !first.contains(package)));
    assert_ne!(last_resort(&world), spare);
    assert!(joins(&mut world, 0x21, &spare), "a Welcome for one of the old ones may be on its way");
}

/// Packages that were made under a clock that was years ahead are not kept, and neither are their private parts, until it is that year.
#[test]
fn d8_a_relay_whose_clock_was_ahead_keeps_nothing_from_being_replaced() {
    let mut world = two();
    world.outside.now += 10 * YEAR_MS;
    stock_up(&mut world);
    let (ahead, early) = (one_time(&world), claim(&mut world));
    let made_ahead = kept(&mut world);
    world.outside.now -= 10 * YEAR_MS;
    stock_up(&mut world);
    let right = one_time(&world);
    assert_eq!((right.len(), right.is_disjoint(&ahead)), (50, true));
    stock_up(&mut world);
    assert_eq!(one_time(&world), right, "the age is known again");
    assert!(joins(&mut world, 0x21, &early), "what was claimed meanwhile is good");
    world.outside.now += 67 * DAY_MS + 1;
    stock_up(&mut world);
    assert!(kept(&mut world).is_disjoint(&made_ahead), "kept for 67 days, not for ten years");
}
