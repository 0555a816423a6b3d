//! Channel secret (CS): gives a log's write token, read token and tag key (design sections 2 and 6).

use waxwing_wire::frame::LogTokens;
use waxwing_wire::label;
use waxwing_wire::log::token_hash;
use zeroize::Zeroizing;

use crate::kdf;
use crate::secret::{generate, secret};
use crate::tag_key::TagKey;

secret!(
    /// 32 bytes known to the members of a log, from the MLS exporter of the epoch that set it.
    ///
    /// Everything is `HKDF-Expand(CS, label(..), 32)`: CS is uniform, so it is its own PRK (RFC 5869, section 3.3).
    ChannelSecret,
    32
);
generate!(ChannelSecret, 32);

impl ChannelSecret {
    /// Bearer token to append to the log; `label("channel write")`.
    #[must_use]
    pub fn write_token(&self) -> Zeroizing<[u8; 32]> {
        kdf::expand(self.as_bytes(), &[&label("channel write")])
    }

    /// Bearer token to read the log; `label("channel read")`.
    #[must_use]
    pub fn read_token(&self) -> Zeroizing<[u8; 32]> {
        kdf::expand(self.as_bytes(), &[&label("channel read")])
    }

    /// Key of the wraps' tags; `label("channel tag")`.
    #[must_use]
    pub fn tag_key(&self) -> TagKey {
        TagKey::from_bytes(&kdf::expand(self.as_bytes(), &[&label("channel tag")]))
    }

    /// What the relay keeps: [`token_hash`] of both tokens.
    #[must_use]
    pub fn log_tokens(&self) -> LogTokens {
        LogTokens { write: token_hash(self.write_token().as_slice()), read: token_hash(self.read_token().as_slice()) }
    }
}
