//! The schedules: 40 to 120 events among 2 to 5 people, with at least three commits and a crash in each, then everything is delivered and
//! checked. In every fourth, older copies of somebody's database are put back.
//!
//! Each is a case of proptest's, made from its number (the seed), and shrinks to the events that matter.
//!
//! `WAXWING_SCHEDULES`: how many in all (1,000). `WAXWING_SEED`: one schedule alone, told as it goes.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::dice::Dice;
use super::events::{KINDS, KINDS_OF_EARLIER_DAYS};
use super::world::World;
use crate::random::seeded::Repeated;

/// Test functions that share the schedules.
const PARTS: u64 = 16;
/// Faults that must have happened too.
const FAULTS: [&str; 13] = [
    "answer lost",
    "conflict",
    "copy made",
    "copy put back",
    "crash after commit",
    "crash before answer",
    "crash before commit",
    "crash before request",
    "entries withheld",
    "kept from others",
    "kept from others by MLS",
    "mended",
    "request lost",
];

/// Of how many people a schedule is; each number must have come up.
const PEOPLE: [(usize, &str); 4] = [(2, "people 2"), (3, "people 3"), (4, "people 4"), (5, "people 5")];
/// With fewer schedules nothing is made of it that some kind of event or fault never happened.
const ENOUGH: u64 = 20;
/// The same for the numbers of people, of which one in ten is of five.
const ENOUGH_FOR_PEOPLE: u64 = 60;

/// What happens, one after another.
enum Events<'a> {
    /// Each from dice of its own, so that one can be left out and the others stay as they are.
    Each(&'a [u64]),
    /// 40 to 120 that go on with the dice of the one before: schedules of earlier days.
    Chained,
}

/// How many people there are, and the dice of each event.
fn schedules() -> impl Strategy<Value = (usize, Vec<u64>)> {
    // Mostly small: what goes wrong, goes wrong among few, and costs grow with the square.
    let people = prop_oneof![4 => Just(2_usize), 4 => Just(3_usize), 1 => Just(4_usize), 1 => Just(5_usize)];
    let dice = || any::<u64>().no_shrink();
    let events = prop_oneof![7 => vec(dice(), 40..=70), 2 => vec(dice(), 70..=95), 1 => vec(dice(), 95..=120)];
    (people.no_shrink(), events)
}

fn runner(seed: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases: 1, failure_persistence: None, max_shrink_iters: 256, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// The schedule with this number. What fails is told with as few of its events as still fail.
fn schedule(seed: u64, counts: &mut BTreeMap<&'static str, u64>) {
    let counts = RefCell::new(counts);
    let told = runner(seed).run(&schedules(), |(people, events)| {
        play(seed, people, &Events::Each(&events), &mut counts.borrow_mut());
        Ok(())
    });
    if let Err(error) = told {
        panic!("seed {seed}; WAXWING_SEED={seed} plays it alone: {error}");
    }
}

/// As they were numbered before each event had dice of its own.
fn schedule_of_earlier_days(seed: u64) {
    let people = 2 + [0, 0, 0, 0, 1, 1, 1, 1, 2, 3][Dice::new(seed).below(10)];
    play(seed, people, &Events::Chained, &mut BTreeMap::new());
}

fn play(seed: u64, people: usize, events: &Events<'_>, counts: &mut BTreeMap<&'static str, u64>) {
    let _repeated = Repeated::from(seed);
    let mut world = World::new(seed, people);
    world.outside.spreads = seed.is_multiple_of(3);
    let number = match events {
        Events::Each(events) => events.len(),
        Events::Chained => 40 + world.dice.below(81).min(world.dice.below(81)).min(world.dice.below(81)),
    };
    let others = world.others(0);
    world.create_with(0, &others);
    let told = catch_unwind(AssertUnwindSafe(|| {
        let kinds = match events {
            Events::Each(_) => &KINDS[..],
            Events::Chained => &KINDS[..KINDS_OF_EARLIER_DAYS],
        };
        let mut copies = seed.is_multiple_of(4).then(|| Dice::new(!seed));
        for event in 0..number {
            if let Events::Each(events) = events {
                world.dice = Dice::new(events[event]);
                copies = copies.map(|_| Dice::new(!events[event]));
            }
            world.event(kinds);
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
        std::panic::resume_unwind(panic);
    }
    assert!(world.outside.ledger.commits >= 3, "seed {seed}: too few commits");
    assert!(world.outside.ledger.crashes >= 1, "seed {seed}: no crash");
    for (kind, count) in &world.outside.ledger.counts {
        *counts.entry(kind).or_default() += count;
    }
    if let Some((_, how_many)) = PEOPLE.iter().find(|(number, _)| *number == people) {
        *counts.entry(how_many).or_default() += 1;
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
    // Each is played, whichever fails: a run of many says all that is wrong.
    let mut failed = Vec::new();
    for seed in (0..all).map(|n| number * 1_000_000 + n) {
        if catch_unwind(AssertUnwindSafe(|| schedule(seed, &mut counts))).is_err() {
            failed.push(seed);
        }
    }
    assert!(failed.is_empty(), "{} of {all} failed: {failed:?}; WAXWING_SEED=… plays one alone", failed.len());
    let each = start.elapsed().as_millis() as u64 / all.max(1);
    println!("{all} schedules, {each} ms each: {counts:?}");
    for (what, enough, missing) in [
        ("each kind of event and fault", ENOUGH, never_happened(&counts)),
        ("each number of people", ENOUGH_FOR_PEOPLE, of_nobody(&counts)),
    ] {
        if all < enough {
            println!("not checked that there was {what}: {all} schedules are too few");
        } else {
            assert!(missing.is_empty(), "never happened: {missing:?}");
        }
    }
}

/// Kinds of events and faults that none of the schedules had.
fn never_happened(counts: &BTreeMap<&'static str, u64>) -> Vec<&'static str> {
    KINDS.iter().map(|(kind, _)| *kind).chain(FAULTS).filter(|kind| is_none(counts, kind)).collect()
}

/// Numbers of people that none of the schedules was of.
fn of_nobody(counts: &BTreeMap<&'static str, u64>) -> Vec<&'static str> {
    PEOPLE.map(|(_, how_many)| how_many).into_iter().filter(|how_many| is_none(counts, how_many)).collect()
}

fn is_none(counts: &BTreeMap<&'static str, u64>, what: &str) -> bool {
    counts.get(what).is_none_or(|count| *count == 0)
}

#[test]
fn what_never_happened_is_missed() {
    let all = KINDS.iter().map(|(kind, _)| *kind).chain(FAULTS).chain(PEOPLE.map(|(_, how_many)| how_many));
    let mut counts: BTreeMap<_, _> = all.map(|what| (what, 1)).collect();
    assert_eq!((never_happened(&counts), of_nobody(&counts)), (vec![], vec![]));
    counts.insert("kept from others by MLS", 0);
    counts.remove("people 4");
    assert_eq!((never_happened(&counts), of_nobody(&counts)), (vec!["kept from others by MLS"], vec!["people 4"]));
}

/// So that it is no matter of chance whether a whole run has them.
#[test]
fn each_part_of_a_run_has_schedules_of_2_to_5_people() {
    for part in 0..PARTS {
        let drawn = |n| schedules().new_tree(&mut runner(part * 1_000_000 + n)).unwrap().current().0;
        let people: BTreeSet<usize> = (0..ENOUGH_FOR_PEOPLE).map(drawn).collect();
        assert_eq!(people, PEOPLE.map(|(number, _)| number).into(), "part {part}");
    }
}

/// Schedules that found faults once, and must never again.
const FOUND: [u64; 8] = [
    // A wish to leave behind an own rotation, signed with the key that the rotation replaced.
    3_000_055,
    // A copy of a Welcome, fetched with news of its sender's chain: kept at hand, not stored, and what came later left a gap.
    4_000_087, // A second invitation overtaken by a third.
    3_000_074, 11_000_113, // Two groups of one conversation after restored copies.
    6_000_624, 9_000_080, 3_000_360, 4_000_240,
];

#[test]
fn what_was_found_once_stays_mended() {
    for seed in FOUND {
        schedule_of_earlier_days(seed);
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
