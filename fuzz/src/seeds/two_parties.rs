//! Two parties.

use rand_chacha::rand_core::Rng as _;

use super::Seed;
use crate::people::rng;
use crate::two_parties::{Act, Step};

/// Each thing that can happen to them, in an order in which it matters; and many in any order.
pub(super) fn all() -> Vec<Seed> {
    use Act::{Append, Drop, Forge, Inbox, Present, Read, Readd, Restart, Rotate, Say, Sync, Update};
    let step = |act, who, pick, how, at| Step { act, who, pick, how, at };
    let plain = |acts: &[(Act, usize)]| acts.iter().map(|(act, who)| step(*act, *who, 0, 0, 9)).collect::<Vec<_>>();
    let bytes = |steps: &[Step]| steps.iter().flat_map(Step::encode).collect::<Vec<_>>();
    let said = plain(&[(Say, 0), (Append, 0), (Say, 1), (Append, 1), (Update, 0), (Append, 0)]);

    let out_of_order = [
        plain(&[(Say, 0); 6]),
        (0..6).map(|n| step(Append, 0, 5 - n, 0, 0)).collect(),
        (0..6).map(|n| step(Read, 1, 3 * n, 0, 0)).collect(),
        // Each again: to one who knows it, and to one who does not.
        (0..12).map(|n| step(Present, 1, n / 2, n % 2, 0)).collect(),
        // And in new envelopes: by whoever said it, and by whoever heard it.
        vec![step(Forge, 0, 2, 14, 0), step(Forge, 1, 3, 14, 0), step(Forge, 0, 4, 15, 8), step(Sync, 0, 0, 0, 0)],
    ];
    let lost = [
        plain(&[(Say, 0); 4]),
        plain(&[(Append, 0), (Append, 0), (Append, 0), (Append, 0), (Drop, 1), (Update, 0), (Append, 0)]),
        // One comes late, the others never.
        vec![step(Present, 1, 0, 0, 0), step(Read, 1, 2, 0, 0), step(Present, 1, 2, 0, 0), step(Present, 1, 2, 1, 0)],
    ];
    let race = [
        plain(&[(Update, 0), (Update, 1), (Say, 0), (Say, 1), (Append, 1), (Append, 0), (Append, 0), (Append, 1)]),
        plain(&[(Append, 0), (Append, 1), (Restart, 0), (Restart, 1), (Sync, 0), (Append, 0), (Append, 1), (Sync, 0)]),
    ];
    let rotated = plain(&[
        (Rotate, 0),
        (Say, 1),
        (Append, 1),
        (Append, 0),
        (Say, 0),
        (Rotate, 1),
        (Append, 0),
        (Append, 0),
        (Append, 1),
        (Rotate, 1),
        (Rotate, 0),
        (Append, 0),
        (Append, 1),
        (Append, 1),
    ]);
    let readded = [
        plain(&[(Say, 1), (Readd, 0), (Say, 1), (Append, 1), (Rotate, 1), (Append, 0), (Readd, 1)]),
        plain(&[(Read, 1), (Restart, 1), (Read, 1), (Say, 0), (Append, 0), (Append, 0), (Read, 0), (Read, 0)]),
        (0..8).map(|how| step(Inbox, 1, 1, 7 - how, 700)).collect(),
        vec![step(Inbox, 1, 0, 1, 0), step(Inbox, 1, 0, 3, 0)],
        plain(&[(Append, 1), (Append, 1), (Append, 1), (Say, 1), (Append, 1), (Sync, 0), (Readd, 0), (Append, 0)]),
    ];
    // As they are comes last: what was read before is refused for that alone.
    let changed: Vec<_> =
        (0..12).rev().flat_map(|how| [0, 1, 2].map(|pick| step(Present, 1, pick, how, 5005))).collect();
    let reflected = (0..12).rev().flat_map(|how| [0, 2].map(|pick| step(Present, 0, pick, how, 703))).collect();
    let forged = (0..16).flat_map(|how| {
        let who = usize::from(how % 2);
        [step(Forge, who, how, how, 45), step(Read, 1 - who, how, 0, 0), step(Sync, 0, 0, 0, 0)]
    });
    let forged_at =
        |at| (0..15).flat_map(move |how| [step(Forge, 0, how, how % 4, at + u16::from(how)), step(Sync, 0, 0, 0, 0)]);
    let mut seeds = vec![
        ("two_parties", "out_of_order", bytes(&out_of_order.concat())),
        ("two_parties", "lost", bytes(&lost.concat())),
        ("two_parties", "race", bytes(&race.concat())),
        ("two_parties", "rotated", bytes(&rotated)),
        ("two_parties", "readded", bytes(&readded.concat())),
        ("two_parties", "changed", bytes(&[said.clone(), changed].concat())),
        ("two_parties", "reflected", bytes(&[said.clone(), reflected].concat())),
        ("two_parties", "forged", bytes(&[said.clone(), forged.collect()].concat())),
        ("two_parties", "forged_head", bytes(&[said.clone(), forged_at(0).collect()].concat())),
        ("two_parties", "forged_tail", bytes(&[said, forged_at(60).collect()].concat())),
    ];
    for (name, seed) in [("any_1", 1), ("any_2", 2), ("any_3", 3), ("any_4", 4)] {
        let mut steps = vec![0; 64 * 5];
        rng(seed).fill_bytes(&mut steps);
        seeds.push(("two_parties", name, steps));
    }
    seeds
}
