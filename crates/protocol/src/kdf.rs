//! HKDF-SHA256 (RFC 5869) for outputs of at most one block: all that this protocol needs, and it cannot fail.

use hkdf::hmac::Hmac;
use hkdf::{Hkdf, HmacImpl};
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

/// `HKDF-Extract(salt, ikm)` (RFC 5869, section 2.2).
pub(crate) fn extract(salt: &[u8], ikm: &[u8]) -> Zeroizing<[u8; 32]> {
    let (mut output, _) = Hkdf::<Sha256>::extract(Some(salt), ikm);
    let mut prk = Zeroizing::new([0; 32]);
    prk.copy_from_slice(&output);
    output.as_mut_slice().zeroize();
    prk
}

/// `HKDF-Expand(prk, info, N)` for `N` of at most 32 (RFC 5869, section 2.3): the first `N` bytes of
/// `T(1) = HMAC(prk, info || 0x01)`. `info` is the concatenation of the parts.
pub(crate) fn expand<const N: usize>(prk: &[u8; 32], info: &[&[u8]]) -> Zeroizing<[u8; N]> {
    const { assert!(N <= 32, "one block is 32 bytes") };
    let mut hmac = <Hmac<Sha256> as HmacImpl>::new_from_slice(prk);
    for part in info {
        HmacImpl::update(&mut hmac, part);
    }
    HmacImpl::update(&mut hmac, &[1]);
    let mut block = HmacImpl::finalize(hmac);
    let mut okm = Zeroizing::new([0; N]);
    for (to, from) in okm.iter_mut().zip(&block) {
        *to = *from;
    }
    block.as_mut_slice().zeroize();
    okm
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5869, appendix A.1 (first 32 bytes of its OKM).
    #[test]
    fn rfc_5869_case_1() {
        let salt = hex::decode("000102030405060708090a0b0c").unwrap();
        let prk = extract(&salt, &[0x0b; 22]);
        assert_eq!(hex::encode(*prk), "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
        let info = hex::decode("f0f1f2f3f4f5f6f7f8f9").unwrap();
        let (left, right) = info.split_at(3);
        let okm = expand::<32>(&prk, &[left, right]);
        assert_eq!(hex::encode(*okm), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
    }

    #[test]
    fn short_outputs_agree_with_the_hkdf_crate() {
        let prk = [7; 32];
        let mut theirs = [0; 8];
        Hkdf::<Sha256>::from_prk(&prk).unwrap().expand(b"info", &mut theirs).unwrap();
        assert_eq!(*expand::<8>(&prk, &[b"in", b"fo"]), theirs);
    }
}
