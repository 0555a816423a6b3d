//! Access key: admits its holder, unnamed, to an account's inboxes and key packages (design sections 2 and 7).

use waxwing_wire::log::token_hash;

use crate::secret::{generate, secret};

secret!(
    /// 16 random bytes, one per contact or invite link. The relay keeps [`AccessKey::hash`] alone.
    AccessKey,
    16
);
generate!(AccessKey, 16);

impl AccessKey {
    /// What the relay keeps: `H(label("token") || key)`.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        token_hash(self.as_bytes())
    }
}
