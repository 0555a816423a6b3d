//! What a member says whose chain cannot be had: kept within bounds, told where that is too much, and no matter of anybody else's.

use waxwing_wire::{AccountId, LogId};

use super::faults::{everybody, say, shows};
use super::long_chains::{members, with_a_newcomer};
use super::world::World;
use crate::store::conversations::ConversationId;
use crate::store::held::{self, Held};
use crate::store::{account, messages};
use crate::views::Notice;

const ADA: usize = 0;
const BEA: usize = 1;
const CEM: usize = 2;
const DOT: usize = 3;
const MIB: usize = 1024 * 1024;

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
        assert!(world.devices[BEA].tx(|tx| held::keep(tx, dot, &words(log, vec![7; MIB]), u64::MAX)).unwrap());
    }
    let second = say(&mut world, DOT, id);
    let (before, _) = kept(&mut world, dot);
    everybody(&mut world);
    assert_eq!((kept(&mut world, dot).0, told(&mut world, id)), (before + 1, 0), "there is room");
    assert!(world.devices[BEA].tx(|tx| held::keep(tx, dot, &words(log, vec![7; MIB]), u64::MAX)).unwrap());
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
        let keep = |who, log, length| held::keep(tx, who, &words(log, vec![7; length]), 2000);
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
