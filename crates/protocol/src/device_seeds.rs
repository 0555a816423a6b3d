//! Device seeds: the random secrets of one key version, never derived from anything longer-lived (design section 8).

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Five independent random seeds of 32 bytes; [`crate::DeviceKeys`] derives the keys. What the keychain keeps.
#[derive(Clone)]
pub struct DeviceSeeds(Box<[[u8; 32]; 5]>);

impl DeviceSeeds {
    /// Length in bytes: `relay_auth 32 | signing 32 | mls 32 | x25519 32 | xwing 32`.
    pub const LEN: usize = 160;

    /// Fresh ones from `rng`.
    #[must_use]
    pub fn generate(rng: &mut impl rand_core::CryptoRng) -> Self {
        let mut seeds = Self(Box::new([[0; 32]; 5]));
        rng.fill_bytes(seeds.0.as_flattened_mut());
        seeds
    }

    /// The seeds as kept: secret.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; Self::LEN]> {
        let mut bytes = Zeroizing::new([0; Self::LEN]);
        bytes.copy_from_slice(self.0.as_flattened());
        bytes
    }

    /// Reads them back. The caller wipes its own copy.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let mut seeds = Self(Box::new([[0; 32]; 5]));
        seeds.0.as_flattened_mut().copy_from_slice(bytes);
        seeds
    }

    /// The five seeds: relay-auth, signing, MLS, X25519, X-Wing.
    pub(crate) fn split(&self) -> &[[u8; 32]; 5] {
        &self.0
    }
}

impl Zeroize for DeviceSeeds {
    fn zeroize(&mut self) {
        self.0.as_flattened_mut().zeroize();
    }
}

impl Drop for DeviceSeeds {
    fn drop(&mut self) {
        self.zeroize();
    }
}

impl ZeroizeOnDrop for DeviceSeeds {}

impl fmt::Debug for DeviceSeeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceSeeds(***)")
    }
}
