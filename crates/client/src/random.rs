//! The operating system's random numbers.

use rand_core::UnwrapErr;

#[cfg(test)]
pub(crate) mod seeded;

/// Where they come from.
#[cfg(not(test))]
pub(crate) type Source = UnwrapErr<getrandom::SysRng>;
/// The same, until a test asks for other ones.
#[cfg(test)]
pub(crate) type Source = UnwrapErr<seeded::Seeded>;

/// The generator handed to the protocol. It ends the process where the operating system has no randomness to give:
/// nothing could go on safely.
#[cfg(not(test))]
pub(crate) fn rng() -> Source {
    UnwrapErr(getrandom::SysRng)
}

#[cfg(test)]
pub(crate) fn rng() -> Source {
    UnwrapErr(seeded::Seeded)
}

/// `N` random bytes.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    use rand_core::Rng as _;
    let mut bytes = [0; N];
    rng().fill_bytes(&mut bytes);
    bytes
}
