//! Wrap: the message key, sealed to one device.

use waxwing_wire::{AccountId, DeviceId, EnvelopeId, Writer, label};
use zeroize::Zeroizing;

use super::kem::{self, Context, Failed};
use super::suite::Suite;
use crate::sealing_keys::SealingKeys;

/// What every wrap of an envelope is bound to.
pub(super) struct Binding<'a> {
    pub(super) suite: Suite,
    pub(super) envelope_id: EnvelopeId,
    pub(super) com: &'a [u8; 32],
    pub(super) header_hash: &'a [u8; 32],
}

/// Whom a wrap is for.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub(super) account: AccountId,
    pub(super) device: DeviceId,
    pub(super) key_version: u32,
}

/// A wrap cut into its parts.
#[derive(Clone, Copy)]
pub(super) struct Wrap<'a> {
    pub(super) tag: &'a [u8; 8],
    enc: &'a [u8],
    ct: &'a [u8],
}

impl Binding<'_> {
    /// `label("wrap") | suite 1 | account 16 | device 16 | key_version u32 | envelope_id 16 | com 32`.
    fn info(&self, target: Target) -> Vec<u8> {
        Writer::new()
            .bytes(&label("wrap"))
            .u8(self.suite as u8)
            .bytes(target.account.as_bytes())
            .bytes(target.device.as_bytes())
            .u32(target.key_version)
            .bytes(self.envelope_id.as_bytes())
            .bytes(self.com)
            .finish()
    }

    /// `tag 8 | enc | ct 48` for one device.
    pub(super) fn seal(
        &self,
        m: &[u8; 32],
        target: Target,
        public: &[u8],
        tag: [u8; 8],
        rng: &mut impl rand_core::CryptoRng,
    ) -> Result<Vec<u8>, Failed> {
        let context = Context { info: &self.info(target), aad: self.header_hash };
        let sealed = kem::seal(self.suite, public, context, m, rng)?;
        Ok([tag.as_slice(), &sealed].concat())
    }

    /// A wrap that nobody can open and nobody can tell from a real one.
    pub(super) fn dummy(&self, m: &[u8; 32], rng: &mut impl rand_core::CryptoRng) -> Result<Vec<u8>, Failed> {
        let mut random = [0; 16 + 16 + 8];
        rng.fill_bytes(&mut random);
        let context = Context { info: &random, aad: self.header_hash };
        let sealed = kem::seal_to_nobody(self.suite, context, m, rng)?;
        let [.., t0, t1, t2, t3, t4, t5, t6, t7] = random;
        Ok([[t0, t1, t2, t3, t4, t5, t6, t7].as_slice(), &sealed].concat())
    }

    /// The message key, if the wrap is for these keys of `account`.
    pub(super) fn open(
        &self,
        wrap: Wrap<'_>,
        account: AccountId,
        keys: &SealingKeys,
    ) -> Result<Zeroizing<[u8; 32]>, Failed> {
        let target = Target { account, device: keys.device(), key_version: keys.key_version() };
        let context = Context { info: &self.info(target), aad: self.header_hash };
        let opened = kem::open(self.suite, keys, context, wrap.enc, wrap.ct)?;
        let mut m = Zeroizing::new([0; 32]);
        if opened.len() != m.len() {
            return Err(Failed);
        }
        m.copy_from_slice(&opened);
        Ok(m)
    }
}

impl<'a> Wrap<'a> {
    /// Cuts the wraps of an envelope apart.
    pub(super) fn each(suite: Suite, wraps: &'a [u8]) -> impl Iterator<Item = Self> + Clone {
        wraps.chunks_exact(suite.wrap_len()).filter_map(move |wrap| {
            let (tag, sealed) = wrap.split_first_chunk::<8>()?;
            let (enc, ct) = sealed.split_at_checked(suite.enc_len())?;
            Some(Self { tag, enc, ct })
        })
    }
}
