//! Two parties, one log, and a relay that loses, reorders, repeats, swaps and changes what it likes (A6, P5, D10).
//!
//! The input is a list of steps ([`step`]). Each entry is what the app sends: an MLS message in an envelope. What must hold is asserted
//! after each step ([`world`]): what was sent opens once, to exactly that, from exactly its sender; nothing else ever opens; and both
//! come to the same epochs and channel secrets. All randomness is reproducible.
//!
//! A party ([`party`]) does what `waxwing-client` does around OpenMLS, without its database, and judges of commits only what two honest
//! parties can do. Not here: people's rights in groups, resync, restored databases (the engine's own tests have them).

mod base;
mod forge;
mod inbox;
mod log;
mod mls;
mod party;
mod seal;
mod step;
mod twist;
mod world;

#[cfg(test)]
pub(crate) use step::{Act, Step};
use world::World;

/// Most steps of one run.
const MOST_STEPS: usize = 64;

/// Any bytes as a list of steps.
pub fn two_parties(bytes: &[u8]) {
    run(bytes);
}

/// Gives the running hash of the log in the end.
fn run(bytes: &[u8]) -> [u8; 32] {
    let mut world = World::new();
    for step in step::all(bytes).take(MOST_STEPS) {
        world.play(step);
    }
    world.finish()
}

#[cfg(test)]
mod tests {
    /// What is found once is found again.
    #[test]
    fn the_same_steps_make_the_same_log() {
        for bytes in
            [include_bytes!("../seeds/two_parties/race").as_slice(), include_bytes!("../seeds/two_parties/readded")]
        {
            assert_eq!(super::run(bytes), super::run(bytes));
        }
    }
}
