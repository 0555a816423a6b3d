//! The randomness that OpenMLS draws: from the one source, behind its lock.

use std::sync::MutexGuard;

use openmls_traits::random::OpenMlsRand;
use openmls_traits::types::CryptoError;
use rand_core::CryptoRng;

use super::MlsCrypto;

/// Most bytes given at once. OpenMLS asks for tens: ids, nonces, secrets of one hash.
pub(super) const MOST_RANDOM: usize = 1 << 16;

/// Why there is no randomness. A fault of this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RandomnessError {
    /// The source panicked earlier, in the midst of its work: it is not asked again.
    #[error("the source of randomness has failed before")]
    Failed,
    /// More bytes at once than anything here needs.
    #[error("at most {MOST_RANDOM} random bytes are given at once")]
    TooMany,
}

impl From<RandomnessError> for CryptoError {
    fn from(_: RandomnessError) -> Self {
        Self::InsufficientRandomness
    }
}

impl<R: CryptoRng + Send> MlsCrypto<R> {
    /// The source, locked.
    pub(super) fn rng(&self) -> Result<MutexGuard<'_, R>, RandomnessError> {
        self.rng.lock().map_err(|_| RandomnessError::Failed)
    }
}

impl<R: CryptoRng + Send> OpenMlsRand for MlsCrypto<R> {
    type Error = RandomnessError;

    fn random_array<const N: usize>(&self) -> Result<[u8; N], RandomnessError> {
        let mut bytes = [0; N];
        self.rng()?.fill_bytes(&mut bytes);
        Ok(bytes)
    }

    fn random_vec(&self, len: usize) -> Result<Vec<u8>, RandomnessError> {
        if len > MOST_RANDOM {
            return Err(RandomnessError::TooMany);
        }
        let mut bytes = vec![0; len];
        self.rng()?.fill_bytes(&mut bytes);
        Ok(bytes)
    }
}
