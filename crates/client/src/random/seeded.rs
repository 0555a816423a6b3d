//! Random numbers that a test repeats: those of one thread, from a number on. Without one they are the operating system's. In no build but
//! that of this crate's own tests.

use std::cell::Cell;

use rand_core::{TryCryptoRng, TryRng};

thread_local! {
    static STATE: Cell<Option<u64>> = const { Cell::new(None) };
}

/// The thread's numbers follow from `seed` until this is dropped.
pub(crate) struct Repeated(());

impl Repeated {
    pub(crate) fn from(seed: u64) -> Self {
        STATE.set(Some(seed));
        Self(())
    }
}

impl Drop for Repeated {
    fn drop(&mut self) {
        STATE.set(None);
    }
}

/// The generator of the thread that asks.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seeded;

impl TryRng for Seeded {
    type Error = getrandom::Error;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok((self.try_next_u64()? >> 32) as u32)
    }

    /// SplitMix64, where there is a seed.
    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let Some(before) = STATE.get() else { return getrandom::SysRng.try_next_u64() };
        let state = before.wrapping_add(0x9e37_79b9_7f4a_7c15);
        STATE.set(Some(state));
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Ok(z ^ (z >> 31))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Self::Error> {
        if STATE.get().is_none() {
            return getrandom::SysRng.try_fill_bytes(to);
        }
        for chunk in to.chunks_mut(8) {
            let bytes = self.try_next_u64()?.to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Seeded {}

#[test]
fn numbers_repeat_with_their_seed_and_not_without() {
    let four = || (0..4).map(|_| super::bytes::<16>()).collect::<Vec<_>>();
    let seeded = |seed| {
        let _repeated = Repeated::from(seed);
        four()
    };
    assert_eq!(seeded(1), seeded(1));
    assert_ne!(seeded(1), seeded(2));
    assert_ne!(four(), four());
}
