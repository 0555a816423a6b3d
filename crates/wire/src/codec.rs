//! Fixed, canonical binary encoding: integers big-endian, lengths explicit, nothing optional, nothing left over.
//!
//! There is exactly one encoding of each value, so a signature over parsed bytes is a signature over the value (P18).

/// Why bytes could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end too early.
    #[error("ends too early in {0}")]
    Truncated(&'static str),
    /// Bytes are left over.
    #[error("bytes left over after {0}")]
    Trailing(&'static str),
    /// A field holds a value that is not allowed.
    #[error("{0} holds a value that is not allowed")]
    Invalid(&'static str),
    /// A field is longer than allowed.
    #[error("{0} is too long")]
    TooLong(&'static str),
}

/// The greatest `u64` of this protocol. Places, times and counters are kept in databases whose integers are signed: what one of them cannot hold
/// nobody has counted, and whoever says it would have the receiver fail where it is stored.
pub const MAX_U64: u64 = i64::MAX.unsigned_abs();

/// Appends fields to a byte string.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// An empty writer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty writer with room for `capacity` bytes: secrets are then written in one place and leave no copies behind.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// Raw bytes, without a length.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes(&[value])
    }

    /// Two bytes, big-endian.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Four bytes, big-endian.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Eight bytes, big-endian.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// A `u32` length, then the bytes. Longer than 4 GiB cannot be encoded and is cut; no limit here comes near that.
    pub fn var(&mut self, bytes: &[u8]) -> &mut Self {
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.u32(len).bytes(bytes.get(..len as usize).unwrap_or(bytes))
    }

    /// What was written.
    #[must_use]
    pub fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

/// Takes fields from a byte string. Every method names the field it reads, for the error.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from the start.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Where the next field starts, in bytes.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let end = self.at.checked_add(len).ok_or(DecodeError::Truncated(field))?;
        let taken = self.bytes.get(self.at..end).ok_or(DecodeError::Truncated(field))?;
        self.at = end;
        Ok(taken)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let taken = self.take(N, field)?;
        taken.try_into().map_err(|_| DecodeError::Truncated(field))
    }

    /// One byte.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        Ok(self.array::<1>(field)?[0])
    }

    /// Two bytes, big-endian.
    pub fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array(field)?))
    }

    /// Four bytes, big-endian.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array(field)?))
    }

    /// Eight bytes, big-endian: no more than [`MAX_U64`].
    pub fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        let value = u64::from_be_bytes(self.array(field)?);
        if value > MAX_U64 { Err(DecodeError::Invalid(field)) } else { Ok(value) }
    }

    /// A `u32` length of at most `max`, then that many bytes.
    pub fn var(&mut self, max: usize, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let len = self.u32(field)? as usize;
        if len > max {
            return Err(DecodeError::TooLong(field));
        }
        self.take(len, field)
    }

    /// Like [`Reader::var`], as UTF-8 text.
    pub fn text(&mut self, max: usize, field: &'static str) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.var(max, field)?).map_err(|_| DecodeError::Invalid(field))
    }

    /// Nothing may be left.
    pub fn finish(self, whole: &'static str) -> Result<(), DecodeError> {
        if self.remaining() == 0 { Ok(()) } else { Err(DecodeError::Trailing(whole)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let bytes = Writer::new().u8(1).u16(2).u32(3).u64(4).var(b"five").finish();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.u8("a"), Ok(1));
        assert_eq!(reader.u16("b"), Ok(2));
        assert_eq!(reader.u32("c"), Ok(3));
        assert_eq!(reader.u64("d"), Ok(4));
        assert_eq!(reader.text(4, "e"), Ok("five"));
        assert_eq!(reader.finish("all"), Ok(()));
    }

    #[test]
    fn p18_nothing_may_be_left_over_or_missing() {
        assert_eq!(Reader::new(&[1]).finish("all"), Err(DecodeError::Trailing("all")));
        assert_eq!(Reader::new(&[0, 0, 0]).u32("n"), Err(DecodeError::Truncated("n")));
        assert_eq!(Reader::new(&[0, 0, 0, 9, 1]).var(8, "v"), Err(DecodeError::TooLong("v")));
        assert_eq!(Reader::new(&[255, 255, 255, 255]).var(usize::MAX, "v"), Err(DecodeError::Truncated("v")));
        assert_eq!(Reader::new(&[0, 0, 0, 1, 0xff]).text(8, "t"), Err(DecodeError::Invalid("t")));
    }

    #[test]
    fn p18_no_number_is_greater_than_a_database_can_hold() {
        let read = |value: u64| Reader::new(&value.to_be_bytes()).u64("n");
        assert_eq!((read(0), read(MAX_U64)), (Ok(0), Ok(MAX_U64)));
        for value in [MAX_U64 + 1, u64::MAX] {
            assert_eq!(read(value), Err(DecodeError::Invalid("n")));
        }
    }
}
