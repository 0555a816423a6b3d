//! Header: what travels in clear. 62 bytes.

use waxwing_wire::limits::{MAX_ENVELOPE, MAX_WRAPS};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{DecodeError, EnvelopeId, Reader, Writer};

use super::error::OpenError;
use super::sender_box::SENDER_BOX;
use super::suite::Suite;
use super::{AEAD_TAG, body};

const MAGIC: [u8; 2] = *b"WX";
const VERSION: u8 = 1;

/// The header of an envelope whose structure was checked. Nothing in it is authenticated yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// How the message key is wrapped.
    pub suite: Suite,
    /// What the envelope is for.
    pub kind: EnvelopeKind,
    /// Its id, random.
    pub envelope_id: EnvelopeId,
    /// Commitment to the message key.
    pub com: [u8; 32],
    /// How many wraps, dummies included.
    pub n_wraps: u16,
    /// Length of the body box, in bytes.
    pub body_len: u32,
}

/// An envelope cut into its parts; together they are all of it.
pub(super) struct Parts<'a> {
    pub(super) header: Header,
    pub(super) header_bytes: &'a [u8],
    pub(super) wraps: &'a [u8],
    pub(super) sender_box: &'a [u8],
    pub(super) body_box: &'a [u8],
}

impl Header {
    /// Length in bytes: `magic 2 = "WX" | ver 1 = 1 | suite 1 | kind 1 | flags 1 = 0 | envelope_id 16 | com 32 |
    /// n_wraps u16 | sender_len u16 | body_len u32`.
    pub const LEN: usize = 62;

    /// Checks the structure of a whole envelope and reads its header. Decrypts nothing.
    pub fn parse(envelope: &[u8]) -> Result<Self, OpenError> {
        Parts::split(envelope).map(|parts| parts.header)
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, DecodeError> {
        let sender_len = u16::try_from(SENDER_BOX).map_err(|_| DecodeError::TooLong("sender box"))?;
        Ok(Writer::new()
            .bytes(&MAGIC)
            .u8(VERSION)
            .u8(self.suite as u8)
            .u8(self.kind as u8)
            .u8(0)
            .bytes(self.envelope_id.as_bytes())
            .bytes(&self.com)
            .u16(self.n_wraps)
            .u16(sender_len)
            .u32(self.body_len)
            .finish())
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, OpenError> {
        if reader.array("magic")? != MAGIC {
            return Err(DecodeError::Invalid("magic").into());
        }
        if reader.u8("version")? != VERSION {
            return Err(OpenError::Unsupported("version"));
        }
        let suite = Suite::from_byte(reader.u8("suite")?).ok_or(OpenError::Unsupported("suite"))?;
        let kind = EnvelopeKind::from_byte(reader.u8("kind")?).map_err(|_| OpenError::Unsupported("kind"))?;
        if reader.u8("flags")? != 0 {
            return Err(OpenError::Unsupported("flag"));
        }
        let envelope_id = EnvelopeId::from_bytes(reader.array("envelope id")?);
        let com = reader.array("commitment")?;
        let n_wraps = reader.u16("number of wraps")?;
        let sender_len = reader.u16("length of the sender box")?;
        let body_len = reader.u32("length of the body box")?;
        if usize::from(n_wraps) > MAX_WRAPS {
            return Err(DecodeError::TooLong("wraps").into());
        }
        if usize::from(sender_len) != SENDER_BOX {
            return Err(DecodeError::Invalid("length of the sender box").into());
        }
        if !(body_len as usize).checked_sub(AEAD_TAG).is_some_and(body::is_bucket) {
            return Err(DecodeError::Invalid("length of the body box").into());
        }
        if !kind.in_log() && n_wraps != 1 {
            return Err(OpenError::WrapCount);
        }
        if !suite.allows(kind) {
            return Err(OpenError::SuiteNotAllowed);
        }
        Ok(Self { suite, kind, envelope_id, com, n_wraps, body_len })
    }
}

impl<'a> Parts<'a> {
    pub(super) fn split(envelope: &'a [u8]) -> Result<Self, OpenError> {
        if envelope.len() > MAX_ENVELOPE {
            return Err(DecodeError::TooLong("envelope").into());
        }
        let header = Header::read(&mut Reader::new(envelope))?;
        let mut reader = Reader::new(envelope);
        let header_bytes = reader.take(Header::LEN, "header")?;
        let wraps = reader.take(usize::from(header.n_wraps) * header.suite.wrap_len(), "wraps")?;
        let sender_box = reader.take(SENDER_BOX, "sender box")?;
        let body_box = reader.take(header.body_len as usize, "body box")?;
        reader.finish("envelope")?;
        Ok(Self { header, header_bytes, wraps, sender_box, body_box })
    }
}
