//! The presentation language of RFC 9420, section 2: big-endian numbers, and vectors of variable size.

/// A vector of variable size, `opaque x<V>` (RFC 9420, section 2.1.2): its length in 1, 2 or 4 bytes, of which the first
/// two bits say how many, and then its bytes.
///
/// # Panics
///
/// If it is longer than 2^30 - 1.
#[must_use]
pub fn var(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    let mut out = match length {
        0..=0x3f => length.to_be_bytes()[3..].to_vec(),
        0x40..=0x3fff => (length | 0x4000).to_be_bytes()[2..].to_vec(),
        0x4000..=0x3fff_ffff => (length | 0x8000_0000).to_be_bytes().to_vec(),
        _ => panic!("too long"),
    };
    out.extend_from_slice(bytes);
    out
}

/// Reads from the front of what is left. Every method panics where the bytes are not what was asked for.
#[derive(Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// The next `length` bytes.
    ///
    /// # Panics
    ///
    /// If there are fewer.
    pub fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (taken, left) = self.0.split_at(length);
        self.0 = left;
        taken
    }

    /// The next `N` bytes.
    ///
    /// # Panics
    ///
    /// If there are fewer.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        self.bytes(N).try_into().unwrap()
    }

    /// A vector of variable size.
    ///
    /// # Panics
    ///
    /// If there is none, or if its length is not written as short as can be.
    pub fn var(&mut self) -> &'a [u8] {
        let before = self.0;
        let [first] = self.array();
        let more = match first >> 6 {
            0 => 0,
            1 => 1,
            2 => 3,
            _ => panic!("no length starts with {first:#x}"),
        };
        let length = self.bytes(more).iter().fold(usize::from(first & 0x3f), |sum, byte| sum << 8 | usize::from(*byte));
        let value = self.bytes(length);
        assert!(before.starts_with(&var(value)), "a length longer than needed");
        value
    }

    /// Exactly these bytes.
    ///
    /// # Panics
    ///
    /// If others follow.
    pub fn expect(&mut self, expected: &[u8]) {
        assert_eq!(self.bytes(expected.len()), expected);
    }

    /// Nothing is left.
    ///
    /// # Panics
    ///
    /// If something is.
    pub fn end(self) {
        assert_eq!(self.0, b"", "bytes are left");
    }
}
