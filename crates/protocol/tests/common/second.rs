//! A second implementation of the wrap (HPKE base mode) and the envelope, written from docs/protocol.md on x25519-dalek,
//! x-wing, hkdf and chacha20poly1305. It shares no code with `src/` and is the differential test's oracle. Being a test's, it
//! can also make what an honest sender never would ([`Forge`]).

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use hkdf::Hkdf;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::Rng as _;
use sha2::{Digest as _, Sha256};
use x_wing::{Decapsulate as _, TryKeyInit as _};
use x25519_dalek::{PublicKey, StaticSecret};

pub const SUITE_X25519: u8 = 1;
pub const SUITE_XWING: u8 = 2;

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    Sha256::digest(parts.concat()).into()
}

fn label(text: &str) -> Vec<u8> {
    format!("waxwing/1 {text}").into_bytes()
}

fn hkdf_expand<const N: usize>(prk: &[u8], info: &[&[u8]]) -> [u8; N] {
    let mut okm = [0; N];
    Hkdf::<Sha256>::from_prk(prk).unwrap().expand(&info.concat(), &mut okm).unwrap();
    okm
}

pub fn seal_aead(key: &[u8; 32], nonce: &[u8; 12], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    ChaCha20Poly1305::new(key.into()).encrypt(nonce.into(), Payload { msg: plaintext, aad }).unwrap()
}

fn open_aead(key: &[u8; 32], nonce: &[u8; 12], aad: &[u8], ciphertext: &[u8]) -> Option<Vec<u8>> {
    ChaCha20Poly1305::new(key.into()).decrypt(nonce.into(), Payload { msg: ciphertext, aad }).ok()
}

/// RFC 9180: base mode, HKDF-SHA256 (1), ChaCha20-Poly1305 (3), single-shot.
pub mod hpke_oracle {
    use super::*;

    fn labeled_extract(salt: &[u8], suite_id: &[u8], name: &str, ikm: &[u8]) -> Vec<u8> {
        let labeled = [b"HPKE-v1", suite_id, name.as_bytes(), ikm].concat();
        Hkdf::<Sha256>::extract(Some(salt), &labeled).0.to_vec()
    }

    fn labeled_expand<const N: usize>(prk: &[u8], suite_id: &[u8], name: &str, info: &[u8]) -> [u8; N] {
        let length = u16::try_from(N).unwrap().to_be_bytes();
        hkdf_expand(prk, &[&length, b"HPKE-v1", suite_id, name.as_bytes(), info])
    }

    /// Section 4.1, `ExtractAndExpand` of DHKEM(X25519, HKDF-SHA256). None if the shared point is the neutral one (7.1.4).
    pub fn x25519_shared(dh: &[u8; 32], enc: &[u8], recipient: &[u8]) -> Option<[u8; 32]> {
        if dh == &[0; 32] {
            return None;
        }
        let suite_id = [b"KEM".as_slice(), &0x0020_u16.to_be_bytes()].concat();
        let prk = labeled_extract(b"", &suite_id, "eae_prk", dh);
        Some(labeled_expand(&prk, &suite_id, "shared_secret", &[enc, recipient].concat()))
    }

    /// Section 5.1, `KeySchedule` in mode base: key and base nonce.
    pub fn key_schedule(kem_id: u16, shared: &[u8; 32], info: &[u8]) -> ([u8; 32], [u8; 12]) {
        let ids = [kem_id.to_be_bytes(), 1_u16.to_be_bytes(), 3_u16.to_be_bytes()].concat();
        let suite_id = [b"HPKE".as_slice(), &ids].concat();
        let psk_id_hash = labeled_extract(b"", &suite_id, "psk_id_hash", b"");
        let info_hash = labeled_extract(b"", &suite_id, "info_hash", info);
        let context = [[0].as_slice(), &psk_id_hash, &info_hash].concat();
        let secret = labeled_extract(shared, &suite_id, "secret", b"");
        (
            labeled_expand(&secret, &suite_id, "key", &context),
            labeled_expand(&secret, &suite_id, "base_nonce", &context),
        )
    }

    fn kem_id(suite: u8) -> u16 {
        if suite == SUITE_X25519 { 0x0020 } else { 0x647a }
    }

    fn encapsulate(suite: u8, public: &[u8], rng: &mut ChaCha20Rng) -> Option<(Vec<u8>, [u8; 32])> {
        if suite == SUITE_X25519 {
            let mut seed = [0; 32];
            rng.fill_bytes(&mut seed);
            let ephemeral = StaticSecret::from(seed);
            let enc = PublicKey::from(&ephemeral).to_bytes();
            let public: [u8; 32] = public.try_into().ok()?;
            let dh = ephemeral.diffie_hellman(&PublicKey::from(public)).to_bytes();
            Some((enc.to_vec(), x25519_shared(&dh, &enc, &public)?))
        } else {
            let mut seed = [0; 64];
            rng.fill_bytes(&mut seed);
            let public = x_wing::EncapsulationKey::new(public.try_into().ok()?).ok()?;
            let (enc, shared) = public.encapsulate_deterministic(&seed.into());
            Some((enc.to_vec(), shared.into()))
        }
    }

    fn decapsulate(suite: u8, private: &[u8; 32], enc: &[u8]) -> Option<[u8; 32]> {
        if suite == SUITE_X25519 {
            let private = StaticSecret::from(*private);
            let public: [u8; 32] = enc.try_into().ok()?;
            let dh = private.diffie_hellman(&PublicKey::from(public)).to_bytes();
            x25519_shared(&dh, enc, PublicKey::from(&private).as_bytes())
        } else {
            let enc = x_wing::Ciphertext::try_from(enc).ok()?;
            Some(x_wing::DecapsulationKey::from(*private).decapsulate(&enc).into())
        }
    }

    /// `enc | ct`.
    pub fn seal(
        suite: u8,
        public: &[u8],
        info: &[u8],
        aad: &[u8],
        plaintext: &[u8],
        rng: &mut ChaCha20Rng,
    ) -> Option<Vec<u8>> {
        let (enc, shared) = encapsulate(suite, public, rng)?;
        let (key, nonce) = key_schedule(kem_id(suite), &shared, info);
        Some([enc, seal_aead(&key, &nonce, aad, plaintext)].concat())
    }

    pub fn open(suite: u8, private: &[u8; 32], enc: &[u8], info: &[u8], aad: &[u8], ct: &[u8]) -> Option<Vec<u8>> {
        let (key, nonce) = key_schedule(kem_id(suite), &decapsulate(suite, private, enc)?, info);
        open_aead(&key, &nonce, aad, ct)
    }
}

fn enc_len(suite: u8) -> usize {
    if suite == SUITE_X25519 { 32 } else { 1120 }
}

fn wrap_info(suite: u8, account: &[u8], device: &[u8], key_version: u32, id: &[u8], com: &[u8]) -> Vec<u8> {
    [&label("wrap"), [suite].as_slice(), account, device, &key_version.to_be_bytes(), id, com].concat()
}

pub fn tag(tag_key: &[u8; 32], id: &[u8; 16], device: &[u8; 16], key_version: u32) -> [u8; 8] {
    hkdf_expand(tag_key, &[id, device, &key_version.to_be_bytes()])
}

/// PADME: keeps the top bits of a length, as many as the length's own logarithm has.
fn padme(len: usize) -> usize {
    let exponent = len.ilog2();
    let bits = exponent.ilog2() + 1;
    let unit = 1 << (exponent - bits);
    len.div_ceil(unit) * unit
}

fn bucket(len: usize) -> usize {
    if len <= 512 { 512 } else { padme(len) }
}

/// A receiver's key version.
#[derive(Clone)]
pub struct Version {
    pub key_version: u32,
    pub x25519: [u8; 32],
    pub xwing: [u8; 32],
}

/// The receiver and where the envelope came from.
#[derive(Clone)]
pub struct Receiver {
    pub account: [u8; 16],
    pub device: [u8; 16],
    pub versions: Vec<Version>,
    pub erased: Vec<u32>,
    pub envelope_id: [u8; 16],
    pub kind: u8,
    pub log: [u8; 16],
    pub tag_key: Option<[u8; 32]>,
}

/// What the signature is checked with.
pub enum Signer {
    /// In a log: the credential of the claimed device's leaf.
    Leaf([u8; 68]),
    /// In an inbox: the signing key of the claimed device and version, from the claimed account's chain.
    Chain([u8; 32]),
}

/// What came out.
#[derive(Debug, PartialEq, Eq)]
pub struct Received {
    pub account: [u8; 16],
    pub device: [u8; 16],
    pub key_version: u32,
    pub sent_ms: u64,
    pub counter: u64,
    pub after: u64,
    pub mls_epoch: u64,
    pub mls_authenticator: [u8; 32],
    pub running_hash: [u8; 32],
    /// Zeros: none.
    pub checkpoint: Vec<u8>,
    pub opened_with: u32,
    pub content: Vec<u8>,
}

/// Takes `len` bytes off the front.
fn take<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], &'static str> {
    let (head, tail) = rest.split_at_checked(len).ok_or("Malformed")?;
    *rest = tail;
    Ok(head)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Opens and verifies. Errors are the names of `OpenError`'s variants.
pub fn open(envelope: &[u8], me: &Receiver, signer: &Signer) -> Result<Received, &'static str> {
    if envelope.len() > 512 * 1024 {
        return Err("Malformed");
    }
    let mut rest = envelope;
    let header = take(&mut rest, 62)?;
    if &header[..2] != b"WX" {
        return Err("Malformed");
    }
    let (suite, kind) = (header[3], header[4]);
    if header[2] != 1 || ![1, 2].contains(&suite) || !(1..=5).contains(&kind) || header[5] != 0 {
        return Err("Unsupported");
    }
    let (id, com) = (&header[6..22], &header[22..54]);
    let n_wraps = number(&header[54..56]) as usize;
    let (sender_len, body_len) = (number(&header[56..58]) as usize, number(&header[58..62]) as usize);
    if n_wraps > 256 || sender_len != 484 || body_len < 528 || bucket(body_len - 16) != body_len - 16 {
        return Err("Malformed");
    }
    let in_log = kind <= 2;
    if !in_log && n_wraps != 1 {
        return Err("WrapCount");
    }
    if suite == SUITE_X25519 && kind != 1 {
        return Err("SuiteNotAllowed");
    }
    let wrap_len = 8 + enc_len(suite) + 48;
    let wraps = take(&mut rest, n_wraps * wrap_len)?;
    let sender_box = take(&mut rest, sender_len)?;
    let body_box = take(&mut rest, body_len)?;
    if !rest.is_empty() {
        return Err("Malformed");
    }
    if id != me.envelope_id {
        return Err("WrongId");
    }
    if kind != me.kind || in_log != me.tag_key.is_some() {
        return Err("WrongKind");
    }

    let header_hash = sha256(&[header]);
    let public_hash = sha256(&[header, wraps]);
    let unwrap = |wrap: &[u8], version: &Version| {
        let info = wrap_info(suite, &me.account, &me.device, version.key_version, id, com);
        let private = if suite == SUITE_X25519 { &version.x25519 } else { &version.xwing };
        let (enc, ct) = wrap[8..].split_at(enc_len(suite));
        hpke_oracle::open(suite, private, enc, &info, &header_hash, ct)
    };
    let find = |tag_key: &[u8; 32], key_version| {
        let tag = tag(tag_key, &me.envelope_id, &me.device, key_version);
        wraps.chunks(wrap_len).find(|wrap| wrap[..8] == tag)
    };
    let (m, opened_with) = match &me.tag_key {
        Some(tag_key) => {
            let found = me.versions.iter().find_map(|version| Some((find(tag_key, version.key_version)?, version)));
            match found {
                Some((wrap, version)) => (unwrap(wrap, version).ok_or("Cryptographic")?, version.key_version),
                None if me.erased.iter().any(|old| find(tag_key, *old).is_some()) => return Err("SealedToErasedKey"),
                None => return Err("NotForMe"),
            }
        }
        None if wraps[..8] != [0; 8] => return Err("Malformed"),
        None => {
            let opened = me.versions.iter().find_map(|version| Some((unwrap(wraps, version)?, version.key_version)));
            opened.ok_or("Cryptographic")?
        }
    };
    let prk = Hkdf::<Sha256>::extract(Some(&label("env")), &m).0;
    if m.len() != 32 || hkdf_expand::<32>(&prk, &[b"com"]) != com {
        return Err("Cryptographic");
    }
    let decrypt = |name: &[u8], ciphertext| {
        let key = hkdf_expand(&prk, &[name, &header_hash]);
        open_aead(&key, &[0; 12], &public_hash, ciphertext).ok_or("Cryptographic")
    };
    let sender = decrypt(b"sender", sender_box)?;
    if sender[260..404] != [0; 144] {
        return Err("Malformed");
    }
    if sender[52..68] != me.log {
        return Err("WrongLog");
    }
    if !in_log && sender[76..116] != [0; 40] {
        return Err("Malformed");
    }
    let padded = decrypt(b"body", body_box)?;

    let (fields, signature) = sender.split_at(404);
    let message = [&label("envelope"), [0].as_slice(), &public_hash, &sha256(&[body_box]), fields].concat();
    let signature = Signature::from_bytes(signature.try_into().unwrap());
    // A credential begins as a sender box does: account, device, key version.
    let signing: &[u8] = match signer {
        Signer::Leaf(credential) if credential[..36] != fields[..36] => return Err("WrongSender"),
        Signer::Leaf(credential) => &credential[36..],
        Signer::Chain(signing) => signing,
    };
    let key = VerifyingKey::from_bytes(signing.try_into().unwrap()).map_err(|_| "BadSignature")?;
    key.verify_strict(&message, &signature).map_err(|_| "BadSignature")?;

    let content_len = number(&padded[..4]) as usize;
    let content = padded.get(4..4 + content_len).ok_or("Malformed")?;
    if padded[4 + content_len..].iter().any(|byte| *byte != 0) || bucket(4 + content_len) != padded.len() {
        return Err("Malformed");
    }
    Ok(Received {
        account: fields[..16].try_into().unwrap(),
        device: fields[16..32].try_into().unwrap(),
        key_version: number(&fields[32..36]) as u32,
        sent_ms: number(&fields[36..44]),
        counter: number(&fields[44..52]),
        after: number(&fields[68..76]),
        mls_epoch: number(&fields[76..84]),
        mls_authenticator: fields[84..116].try_into().unwrap(),
        running_hash: fields[116..148].try_into().unwrap(),
        checkpoint: fields[148..260].to_vec(),
        opened_with,
        content: content.to_vec(),
    })
}

/// One wrap of a [`Forge`].
#[derive(Clone)]
pub struct ForgedWrap {
    pub account: [u8; 16],
    pub device: [u8; 16],
    pub key_version: u32,
    pub public: Vec<u8>,
    pub tag: [u8; 8],
    /// The message key in this wrap.
    pub m: [u8; 32],
}

/// An envelope of which every part can be wrong.
#[derive(Clone)]
pub struct Forge {
    pub magic: [u8; 2],
    pub version: u8,
    pub suite: u8,
    pub kind: u8,
    pub flags: u8,
    pub id: [u8; 16],
    /// The message key that the boxes are under and `com` commits to.
    pub m: [u8; 32],
    pub com: Option<[u8; 32]>,
    pub wraps: Vec<ForgedWrap>,
    /// 404 bytes before the signature.
    pub fields: Vec<u8>,
    pub padded: Vec<u8>,
    pub signing: SigningKey,
    pub context: &'static str,
}

/// The 404 bytes before the signature; in a log of epoch 4, in an inbox (a log of zeros) of none.
pub fn fields(account: [u8; 16], device: [u8; 16], key_version: u32, log: [u8; 16]) -> Vec<u8> {
    let (sent_ms, counter, after) = (1_u64, 2_u64, 3_u64);
    let (mls_epoch, mls_authenticator) = if log == [0; 16] { (0_u64, [0; 32]) } else { (4, [8; 32]) };
    [
        account.as_slice(),
        &device,
        &key_version.to_be_bytes(),
        &sent_ms.to_be_bytes(),
        &counter.to_be_bytes(),
        &log,
        &after.to_be_bytes(),
        &mls_epoch.to_be_bytes(),
        &mls_authenticator,
        &[9; 32],
        &[0; 256],
    ]
    .concat()
}

pub fn pad(content: &[u8]) -> Vec<u8> {
    let mut padded = [&u32::try_from(content.len()).unwrap().to_be_bytes(), content].concat();
    padded.resize(bucket(padded.len()), 0);
    padded
}

impl Forge {
    pub fn build(&self, rng: &mut ChaCha20Rng) -> Vec<u8> {
        let prk = Hkdf::<Sha256>::extract(Some(&label("env")), &self.m).0;
        let com = self.com.unwrap_or_else(|| hkdf_expand(&prk, &[b"com"]));
        let header = [
            self.magic.as_slice(),
            &[self.version, self.suite, self.kind, self.flags],
            &self.id,
            &com,
            &u16::try_from(self.wraps.len()).unwrap().to_be_bytes(),
            &484_u16.to_be_bytes(),
            &u32::try_from(self.padded.len() + 16).unwrap().to_be_bytes(),
        ]
        .concat();
        let header_hash = sha256(&[&header]);
        let mut wraps = Vec::new();
        for wrap in &self.wraps {
            let info = wrap_info(self.suite, &wrap.account, &wrap.device, wrap.key_version, &self.id, &com);
            wraps.extend(wrap.tag);
            wraps.extend(hpke_oracle::seal(self.suite, &wrap.public, &info, &header_hash, &wrap.m, rng).unwrap());
        }
        let public_hash = sha256(&[&header, &wraps]);
        let seal_box = |name: &[u8], plaintext: &[u8]| {
            seal_aead(&hkdf_expand(&prk, &[name, &header_hash]), &[0; 12], &public_hash, plaintext)
        };
        let body_box = seal_box(b"body", &self.padded);
        let message =
            [&label(self.context), [0].as_slice(), &public_hash, &sha256(&[&body_box]), &self.fields].concat();
        let signature = self.signing.sign(&message).to_bytes();
        let sender_box = seal_box(b"sender", &[self.fields.as_slice(), &signature].concat());
        [header, wraps, sender_box, body_box].concat()
    }
}
