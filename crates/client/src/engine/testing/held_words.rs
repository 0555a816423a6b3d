//! What a member says whose chain cannot be had: kept within bounds, told where that is too much, and no matter of anybody else's.

use waxwing_wire::{AccountId, LogId};

use super::super::held::MOST;
use super::faults::{everybody, say, shows};
use super::long_chains::{members, with_a_newcomer};
use super::world::World;
use crate::store::conversations::ConversationId;
use crate::store::held::{self, Held, Room};
use crate::store::{account, messages};
use crate::views::Notice;

const ADA: usize = 0;
const BEA: usize = 1;
const CEM: usize = 2;
const DOT: usize = 3;
const MIB: usize = 1024 * 1024;
const ANY: Room = Room { each: u64::MAX, all: u64::MAX, always: 0 };

fn words(log: LogId, content: Vec<u8>) -> Held {
    Held { n: 0, log, leaf: vec![1; 40], mls_key: [1; 32], sent_ms: 1, content, at_ms: 1_800_000_000_000 }
}

/// How much is kept of somebody at Bea's: how many words, and their bytes.
fn kept(world: &mut World, of: AccountId) -> (usize, usize) {
    let all = world.devices[BEA].look(|tx| held::of(tx, of));
    (all.len(), all.iter().map(|one| one.content.len()).sum())
}

/// How often Bea is told that something cannot be read.
fn told(world: &mut World, id: ConversationId) -> usize {
    let page = world.devices[BEA].look(|tx| messages::page(tx, &account::require(tx)?, &id, None, 500));
    page.messages.iter().filter(|line| matches!(line.notice, Some(Notice::Unreadable { .. }))).count()
}

#[test]
fn d9_of_words_that_cannot_be_read_yet_16_mib_are_kept_and_what_is_more_is_told() {
    let (mut world, id) = with_a_newcomer(130);
    let (log, dot) = (members(&mut world, ADA, id).0, world.devices[DOT].account);
    // Dot's relay does not answer: nothing says that these are her keys.
    let first = say(&mut world, DOT, id);
    everybody(&mut world);
    assert!(!shows(&mut world, BEA, id, first) && kept(&mut world, dot).0 > 0, "the control");
    for _ in 0..15 {
        assert!(world.devices[BEA].tx(|tx| held::keep(tx, dot, &words(log, vec![7; MIB]), ANY)).unwrap());
    }
    let second = say(&mut world, DOT, id);
    let (before, _) = kept(&mut world, dot);
    everybody(&mut world);
    assert_eq!((kept(&mut world, dot).0, told(&mut world, id)), (before + 1, 0), "there is room");
    assert!(world.devices[BEA].tx(|tx| held::keep(tx, dot, &words(log, vec![7; MIB]), ANY)).unwrap());
    let full = kept(&mut world, dot);
    assert!(full.1 > 16 * MIB && full.1 < 17 * MIB, "the control: {}", full.1);
    let third = say(&mut world, DOT, id);
    everybody(&mut world);
    assert_eq!(kept(&mut world, dot), full, "more is kept than fits");
    assert_eq!(told(&mut world, id), 1, "nobody is told of what was dropped");
    // Nobody else is silenced, and others keep what they can.
    let heard = say(&mut world, ADA, id);
    everybody(&mut world);
    assert!(shows(&mut world, BEA, id, heard));
    world.outside.relay.dark.clear();
    everybody(&mut world);
    assert!(shows(&mut world, BEA, id, first) && shows(&mut world, BEA, id, second));
    assert!(!shows(&mut world, BEA, id, third));
    assert!([first, second, third].iter().all(|message| shows(&mut world, CEM, id, *message)));
    // There is room again.
    assert_eq!(kept(&mut world, dot), (0, 0));
    let last = say(&mut world, DOT, id);
    everybody(&mut world);
    assert!(shows(&mut world, BEA, id, last));
}

/// One member's words, in one log, take nobody else's room; and many that are empty take some, too.
#[test]
fn d9_each_member_has_room_of_their_own_in_each_log() {
    let mut world = World::new(7, 1);
    let (one, other) = (AccountId::from_bytes([1; 16]), AccountId::from_bytes([2; 16]));
    let (here, there) = (LogId::from_bytes([1; 16]), LogId::from_bytes([2; 16]));
    let kept = world.devices[0].tx(|tx| {
        let room = Room { each: 2000, ..ANY };
        let keep = |who, log, length| held::keep(tx, who, &words(log, vec![7; length]), room);
        let first = [keep(one, here, 1000)?, keep(one, here, 487)?, keep(one, here, 0)?, keep(one, here, 0)?];
        let others = [keep(one, there, 1)?, keep(other, here, 1)?];
        let mut empty = 0;
        while keep(other, there, 0)? {
            empty += 1;
        }
        Ok((first, others, empty))
    });
    // Each takes 256 bytes more than it is long: 1256, 1999, 2255.
    assert_eq!(kept.unwrap(), ([true, true, true, false], [true, true], 8));
}

/// Many who are in on it, each with room of their own, do not fill a disk; and what is shown or given up makes room again.
#[test]
fn d7_all_together_have_no_more_than_128_mib_of_room() {
    assert_eq!((MOST.each, MOST.all), (16 * 1024 * 1024, 128 * 1024 * 1024));
    let mut world = World::new(7, 1);
    let one = |at: u8| (AccountId::from_bytes([at; 16]), LogId::from_bytes([at; 16]));
    let room = Room { each: 2000, all: 5000, always: 0 };
    world.devices[0]
        .tx(|tx| {
            let keep = |at, length| held::keep(tx, one(at).0, &words(one(at).1, vec![7; length]), room);
            // 1256 each: the fourth begins below 5000, the fifth does not.
            assert_eq!([keep(1, 1000)?, keep(2, 1000)?, keep(3, 1000)?, keep(4, 1000)?], [true; 4]);
            assert_eq!([keep(5, 0)?, keep(1, 0)?], [false; 2], "there is room without end");
            // A little of each is kept all the same: those who fill it do not silence everybody else.
            let small = Room { always: 300, ..room };
            let keep_small = |at, length| held::keep(tx, one(at).0, &words(one(at).1, vec![7; length]), small);
            assert_eq!([keep_small(6, 0)?, keep_small(6, 0)?, keep_small(6, 0)?], [true, true, false]);
            while let Some(next) = held::next(tx, one(6).0, 0)? {
                held::remove(tx, next.n)?;
            }
            held::remove(tx, held::next(tx, one(2).0, 0)?.unwrap().n)?;
            assert!(held::next(tx, one(2).0, 0)?.is_none());
            assert!(keep(5, 0)?, "nothing makes room again");
            let sizes: Vec<(Vec<u8>, u64)> = tx
                .prepare("SELECT sender, bytes FROM held_sizes ORDER BY sender")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<_>>()?;
            assert_eq!(sizes, [(vec![1; 16], 1256), (vec![3; 16], 1256), (vec![4; 16], 1256), (vec![5; 16], 256)]);
            Ok(())
        })
        .unwrap();
}

/// What one sender has said is taken up piece by piece, in its order, and nobody else's between.
#[test]
fn what_is_kept_comes_one_by_one() {
    let mut world = World::new(7, 1);
    let (one, other) = (AccountId::from_bytes([1; 16]), AccountId::from_bytes([2; 16]));
    world.devices[0]
        .tx(|tx| {
            for at in 0..6_u8 {
                let (who, log) = (if at % 3 == 2 { other } else { one }, LogId::from_bytes([9 - at; 16]));
                assert!(held::keep(tx, who, &words(log, vec![at]), ANY)?);
            }
            let (mut n, mut seen) = (0, Vec::new());
            while let Some(held) = held::next(tx, one, n)? {
                n = held.n;
                seen.push(held.content[0]);
            }
            assert_eq!(seen, [0, 1, 3, 4]);
            Ok(())
        })
        .unwrap();
}
