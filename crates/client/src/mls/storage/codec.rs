//! The encoding of what is stored: CBOR, in buffers that are wiped.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::StorageError;

/// Enough for most values without growing.
const FIRST: usize = 1024;

/// What the reader puts byte strings and names into.
const SCRATCH: usize = 4096;

pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Zeroizing<Vec<u8>>, StorageError> {
    let mut buffer = WipedBuffer(Zeroizing::new(Vec::with_capacity(FIRST)));
    // The error's text could quote the value.
    ciborium::into_writer(value, &mut buffer).map_err(|_| StorageError::Encode)?;
    Ok(buffer.0)
}

/// The value in these bytes, which must hold nothing else.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StorageError> {
    let mut rest = bytes;
    let mut scratch = Zeroizing::new([0; SCRATCH]);
    let value =
        ciborium::de::from_reader_with_buffer(&mut rest, scratch.as_mut_slice()).map_err(|_| StorageError::Decode)?;
    if rest.is_empty() { Ok(value) } else { Err(StorageError::Decode) }
}

/// A `Vec` that grows by itself leaves its old bytes behind; this one wipes them.
struct WipedBuffer(Zeroizing<Vec<u8>>);

impl io::Write for WipedBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let needed = self.0.len().saturating_add(bytes.len());
        if needed > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.saturating_mul(2)));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
