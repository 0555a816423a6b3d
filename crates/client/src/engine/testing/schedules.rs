//! The schedules: 40 to 120 events among 2 to 5 people, with at least three commits and a crash in each, then everything is delivered and
//! checked. In every fourth, older copies of somebody's database are put back.
//!
//! `WAXWING_SCHEDULES`: how many in all (1,000). `WAXWING_SEED`: one schedule alone, told as it goes.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use super::dice::Dice;
use super::events::KINDS;
use super::world::World;

/// Test functions that share the schedules.
const PARTS: u64 = 16;
/// Faults that must have happened too.
const FAULTS: [&str; 10] = [
    "answer lost",
    "conflict",
    "copy made",
    "copy put back",
    "crash after commit",
    "crash before answer",
    "crash before commit",
    "crash before request",
    "mended",
    "request lost",
];

fn schedule(seed: u64, counts: &mut BTreeMap<&'static str, u64>) {
    // Mostly small: what goes wrong, goes wrong among few, and costs grow with the square.
    let people = 2 + [0, 0, 0, 0, 1, 1, 1, 1, 2, 3][Dice::new(seed).below(10)];
    let mut world = World::new(seed, people);
    // None of those in `FOUND`: they stay as they were when they found something.
    world.outside.spreads = seed.is_multiple_of(3);
    let events = 40 + world.dice.below(81).min(world.dice.below(81)).min(world.dice.below(81));
    let others = world.others(0);
    world.create_with(0, &others);
    let told = catch_unwind(AssertUnwindSafe(|| {
        let mut copies = seed.is_multiple_of(4).then(|| Dice::new(!seed));
        for _ in 0..events {
            world.event();
            if let Some(dice) = &mut copies {
                // One person alone: where all have lost their places, nobody is there to be asked.
                world.copies((seed / 4) as usize % people, dice);
            }
        }
        for _ in 0..50 {
            if world.outside.ledger.commits >= 3 {
                break;
            }
            // Whoever has rotated has no key packages at the relay before the next synchronisation.
            for who in 0..people {
                world.on(who, |device, outside| device.sync(outside));
            }
            world.create_with(0, &others);
            world.on(0, |device, outside| device.sync(outside));
        }
        for _ in 0..50 {
            if world.outside.ledger.crashes > 0 {
                break;
            }
            world.run("sync with a crash");
        }
        world.settle();
        world.check();
    }));
    if let Err(panic) = told {
        println!("seed {seed}, {people} people: {}", world.outside.ledger.story.join(", "));
        println!("WAXWING_SEED={seed} tells this schedule alone");
        std::panic::resume_unwind(panic);
    }
    assert!(world.outside.ledger.commits >= 3, "seed {seed}: too few commits");
    assert!(world.outside.ledger.crashes >= 1, "seed {seed}: no crash");
    for (kind, count) in &world.outside.ledger.counts {
        *counts.entry(kind).or_default() += count;
    }
    *counts.entry("commit").or_default() += world.outside.ledger.commits;
    *counts.entry("text").or_default() += world.outside.ledger.sent.len() as u64;
}

fn part(number: u64) {
    let given = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let mut counts = BTreeMap::new();
    if let Some(seed) = given("WAXWING_SEED") {
        if number == 0 {
            schedule(seed, &mut counts);
            println!("seed {seed} holds: {counts:?}");
        }
        return;
    }
    let all = given("WAXWING_SCHEDULES").unwrap_or(1000).div_ceil(PARTS);
    let start = Instant::now();
    for n in 0..all {
        schedule(number * 1_000_000 + n, &mut counts);
    }
    let each = start.elapsed().as_millis() as u64 / all.max(1);
    println!("{all} schedules, {each} ms each: {counts:?}");
    let missing: Vec<_> =
        KINDS.iter().map(|(kind, _)| *kind).chain(FAULTS).filter(|kind| !counts.contains_key(kind)).collect();
    assert!(all < 20 || missing.is_empty(), "never happened: {missing:?}");
}

/// Schedules that found faults once, and must never again.
const FOUND: [u64; 4] = [
    // A wish to leave behind an own rotation, signed with the key that the rotation replaced.
    3_000_055,
    // A copy of a Welcome, fetched with news of its sender's chain: kept at hand, not stored, and what came later left a gap.
    4_000_087, // A second invitation overtaken by a third.
    3_000_074, 11_000_113,
];

#[test]
fn what_was_found_once_stays_mended() {
    for seed in FOUND {
        schedule(seed, &mut BTreeMap::new());
    }
}

macro_rules! parts {
    ($($name:ident $number:literal)*) => { $(
        #[test]
        fn $name() {
            part($number);
        }
    )* };
}

parts! {
    schedules_00 0 schedules_01 1 schedules_02 2 schedules_03 3 schedules_04 4 schedules_05 5 schedules_06 6 schedules_07 7
    schedules_08 8 schedules_09 9 schedules_10 10 schedules_11 11 schedules_12 12 schedules_13 13 schedules_14 14 schedules_15 15
}
