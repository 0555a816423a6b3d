//! Body: the inner content, padded so that its length says little (P7). Nothing is ever compressed.

use padme_padding::Padme;
use waxwing_wire::{DecodeError, Reader, Writer};
use zeroize::Zeroizing;

/// Shortest padded body, in bytes.
const FLOOR: usize = 512;
/// Bytes of the content's length.
const LENGTH: usize = 4;

/// Padded length for `len` bytes: PADME (Nikitin et al., PETS 2019) with a floor.
fn bucket(len: usize) -> usize {
    Padme::padded_len(len).max(FLOOR)
}

/// Whether a padded body can be `len` bytes long.
pub(super) fn is_bucket(len: usize) -> bool {
    bucket(len) == len
}

/// Pads: `content_len u32 | content | zeros`.
pub(super) fn pad(content: &[u8]) -> Result<Zeroizing<Vec<u8>>, DecodeError> {
    if u32::try_from(content.len()).is_err() {
        return Err(DecodeError::TooLong("content"));
    }
    let len = bucket(LENGTH + content.len());
    let mut padded = Zeroizing::new(Writer::with_capacity(len).var(content).finish());
    padded.resize(len, 0);
    Ok(padded)
}

/// Takes the padding off. The bucket must be the content's own, and every padding byte zero (P18).
pub(super) fn unpad(padded: &[u8]) -> Result<Zeroizing<Vec<u8>>, DecodeError> {
    let mut reader = Reader::new(padded);
    let content = reader.var(padded.len(), "content")?;
    let padding = reader.take(reader.remaining(), "padding")?;
    if bucket(LENGTH + content.len()) != padded.len() || padding.iter().any(|byte| *byte != 0) {
        return Err(DecodeError::Invalid("padding"));
    }
    Ok(Zeroizing::new(content.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p7_sizes_are_buckets() {
        for (content, padded) in
            [(0, 512), (1, 512), (508, 512), (509, 544), (540, 544), (541, 576), (1021, 1088), (65_536, 67_584)]
        {
            assert_eq!(pad(&vec![1; content]).unwrap().len(), padded, "{content}");
        }
        let buckets: Vec<_> = (0..=1088).filter(|len| is_bucket(*len)).collect();
        assert_eq!(buckets, (512..=1024).step_by(32).chain([1088]).collect::<Vec<_>>());
        // At most 12 % are added beyond the floor (PADME's bound).
        for len in 512..70_000 {
            let padded = bucket(len);
            assert!(is_bucket(padded) && padded >= len && (padded - len) * 100 <= len * 12, "{len}");
        }
    }

    #[test]
    fn p18_padding_is_canonical() {
        let padded = pad(b"content").unwrap();
        assert_eq!(unpad(&padded).unwrap().as_slice(), b"content");
        let mut not_zero = padded.to_vec();
        not_zero[511] = 1;
        assert_eq!(unpad(&not_zero), Err(DecodeError::Invalid("padding")));
        let mut larger = padded.to_vec();
        larger.resize(544, 0);
        assert_eq!(unpad(&larger), Err(DecodeError::Invalid("padding")));
        let mut longer = padded.to_vec();
        longer[..4].copy_from_slice(&509u32.to_be_bytes());
        assert_eq!(unpad(&longer), Err(DecodeError::Truncated("content")));
        longer[..4].copy_from_slice(&[255; 4]);
        assert_eq!(unpad(&longer), Err(DecodeError::TooLong("content")));
        assert_eq!(unpad(&[]), Err(DecodeError::Truncated("content")));
    }
}
