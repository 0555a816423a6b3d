//! The operating system's random numbers.

use rand_core::UnwrapErr;

/// The generator handed to the protocol. It ends the process where the operating system has no randomness to give:
/// nothing could go on safely.
pub(crate) fn rng() -> UnwrapErr<getrandom::SysRng> {
    UnwrapErr(getrandom::SysRng)
}

/// `N` random bytes.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    use rand_core::Rng as _;
    let mut bytes = [0; N];
    rng().fill_bytes(&mut bytes);
    bytes
}
