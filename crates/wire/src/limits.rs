//! Sizes and counts that both sides hold to.

/// Longest text of one message, in UTF-8 bytes.
pub const MAX_TEXT: usize = 64 * 1024;
/// Longest display name, in UTF-8 bytes.
pub const MAX_DISPLAY_NAME: usize = 128;
/// Largest envelope, in bytes: 256 X-Wing wraps and a padded body of 64 KiB fit.
pub const MAX_ENVELOPE: usize = 512 * 1024;
/// Most wraps in one envelope.
pub const MAX_WRAPS: usize = 256;
/// Largest chain entry, in bytes.
pub const MAX_CHAIN_ENTRY: usize = 8 * 1024;
/// Most devices of one account.
pub const MAX_DEVICES: usize = 16;
/// Most entries of a chain.
pub const MAX_CHAIN: usize = 4096;
/// Beyond this many entries only `recover` is taken, and beyond three quarters of what was left at the start or at the last
/// `recover`: a stolen account key must not leave the phrase, and what the phrase puts in force, without room.
pub const MAX_CHAIN_BY_ACCOUNT_KEY: usize = MAX_CHAIN - 64;
/// Most chain entries in one answer.
pub const MAX_CHAIN_PAGE: usize = 256;
/// Most entries in one page of a log or inbox.
pub const MAX_PAGE_ENTRIES: usize = 512;
/// Most blob bytes in one page of a log or inbox; at least one entry always fits.
pub const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Largest entry that a push frame carries with it, in bytes.
pub const MAX_PUSHED_ENTRY: usize = 64 * 1024;
/// Most logs that one subscription follows.
pub const MAX_SUBSCRIBED_LOGS: usize = 4096;
/// Largest message of a client on a subscription, in bytes: what read it keeps its room as long as the connection lasts.
pub const MAX_SUBSCRIBE_MESSAGE: usize = 32 * 1024;
/// Most logs that a client names in one message: each takes 103 bytes there, and whoever follows more sends several.
pub const SUBSCRIBE_MESSAGE_LOGS: usize = 256;
/// Most access keys of one account.
pub const MAX_ACCESS_KEYS: usize = 4096;
/// Most one-time key packages that wait for one device, and most in one upload; a last resort stands beside them.
pub const KEY_PACKAGES: usize = 100;
/// Life of an access token, in seconds.
pub const TOKEN_SECONDS: u64 = 600;
/// Longest life of a token request's assertion and age of a DPoP proof, in seconds of relay time.
pub const ASSERTION_SECONDS: u64 = 60;
/// Longest nonce of a relay for DPoP proofs, in bytes.
pub const MAX_DPOP_NONCE: usize = 128;
/// Longest name of a group, in UTF-8 bytes.
pub const MAX_GROUP_NAME: usize = 256;
/// Most people in a group.
pub const MAX_GROUP_PEOPLE: usize = 64;
/// Most devices in a group.
pub const MAX_GROUP_DEVICES: usize = 128;
/// Largest MLS key package, in bytes.
pub const MAX_KEY_PACKAGE: usize = 4096;
/// Longest origin of a log and name of its key, in bytes.
pub const MAX_ORIGIN: usize = 300;
/// Largest signed checkpoint of the transparency log, in bytes.
pub const MAX_CHECKPOINT: usize = 1024;
/// Largest signed note of any kind, in bytes.
pub const MAX_NOTE: usize = 8 * 1024;
/// Most signatures on a note (C2SP `signed-note` asks for at least 16).
pub const MAX_NOTE_SIGNATURES: usize = 16;
/// Most leaves of the transparency log in one answer.
pub const MAX_LEAVES_PAGE: usize = 65_536;
/// Most hashes in a proof: a consistency proof between trees of fewer than 2^64 leaves needs no more.
pub const MAX_PROOF: usize = 65;
/// Smallest part of a blob that is put up in parts, in bytes; the last one may be smaller.
pub const MIN_BLOB_PART: u64 = 256 * 1024;
