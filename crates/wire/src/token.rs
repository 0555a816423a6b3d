//! Tokens of the HTTP API: the assertion (RFC 7523), the access token (RFC 7519) and the DPoP proof (RFC 9449).
//!
//! All are EdDSA (RFC 8037). Times are relay time in whole seconds and are arguments; nothing here reads a clock.
//! Not here: replay windows and revocation (the relay's), obtaining tokens (the client's).

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::jwk::{
    AlgorithmParameters, CommonParameters, EllipticCurve, Jwk, OctetKeyPairParameters, OctetKeyPairType,
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use signature::{Error as SignatureError, Signer, Verifier};

use crate::api::base64url;
use crate::ids::{AccountId, DeviceId};
use crate::label::hash;
use crate::limits::{ASSERTION_SECONDS, MAX_DPOP_NONCE};

/// The token cannot be read, is not signed by the expected key, or its time has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token is not valid")]
pub struct InvalidToken;

/// A device's request for an access token. Signed with its relay-auth key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assertion {
    /// The device.
    pub iss: DeviceId,
    /// Its account.
    pub sub: AccountId,
    /// [`crate::api::RelayInfo::audience`].
    pub aud: String,
    /// Made at.
    pub iat: u64,
    /// Good until; at most [`ASSERTION_SECONDS`] after `iat`.
    pub exp: u64,
    /// Random; each is accepted once.
    pub jti: String,
}

/// What a device presents with every authenticated request. Signed with the relay's token key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessToken {
    /// The relay.
    pub iss: String,
    /// The device.
    pub sub: DeviceId,
    /// Its account.
    pub account: AccountId,
    /// The relay-auth key that signed the [`Assertion`]. Once the device has another one, the token is good no longer.
    #[serde(with = "public_key_text")]
    pub relay_auth: [u8; 32],
    /// Made at.
    pub iat: u64,
    /// Good until.
    pub exp: u64,
    /// The key that must sign each request's DPoP proof.
    pub cnf: Confirmation,
}

/// A public key in a claim: base64url.
mod public_key_text {
    use serde::{Deserializer, Serializer, de};

    use crate::api::base64url;

    pub(super) fn serialize<S: Serializer>(key: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        base64url::serialize(key, serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let bytes = base64url::deserialize(deserializer)?;
        bytes.try_into().map_err(|_| de::Error::custom("not a key of 32 bytes"))
    }
}

/// RFC 9449, section 6.1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// JWK thumbprint (RFC 7638) of the DPoP key.
    pub jkt: String,
}

/// A proof of possession for one request (RFC 9449, section 4.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DpopProof {
    /// Random; each is accepted once.
    pub jti: String,
    /// HTTP method.
    pub htm: String,
    /// URL without query and fragment.
    pub htu: String,
    /// Made at.
    pub iat: u64,
    /// Base64url SHA-256 of the access token; absent at the token endpoint.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ath: Option<String>,
    /// The relay's newest nonce that the client knows of ([`crate::api::DPOP_NONCE_HEADER`]); absent where it knows none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub nonce: Option<String>,
}

impl Assertion {
    /// Signs it as a compact JWT.
    pub fn sign(&self, relay_auth: &SigningKey) -> Result<String, InvalidToken> {
        encode(&Header::new(Algorithm::EdDSA), self, relay_auth)
    }

    /// Reads the claims WITHOUT checking the signature: to learn which device's key to check with.
    pub fn peek(token: &str) -> Result<Self, InvalidToken> {
        jsonwebtoken::dangerous::insecure_decode(token).map(|data| data.claims).map_err(|_| InvalidToken)
    }

    /// Checks signature, audience and time (`now`: relay time in seconds; a request from the near future is let pass).
    pub fn verify(token: &str, relay_auth: &[u8; 32], audience: &str, now: u64) -> Result<Self, InvalidToken> {
        let (header, claims): (_, Self) = decode(token, relay_auth)?;
        // RFC 8725, section 3.11: the three types of token are told apart by `typ`, whoever signed them.
        if header.typ.as_deref() != Some("JWT") {
            return Err(InvalidToken);
        }
        let life = claims.exp.checked_sub(claims.iat).ok_or(InvalidToken)?;
        let fresh = claims.exp >= now && claims.iat <= now.saturating_add(ASSERTION_SECONDS);
        if claims.aud == audience && life <= ASSERTION_SECONDS && fresh && sane(&claims.jti) {
            Ok(claims)
        } else {
            Err(InvalidToken)
        }
    }
}

impl AccessToken {
    /// Signs it as a compact JWT; `kid` names the relay's token key.
    pub fn sign(&self, kid: &str, token_key: &SigningKey) -> Result<String, InvalidToken> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(kid.to_owned());
        encode(&header, self, token_key)
    }

    /// The `kid` of a token, unverified.
    pub fn kid(token: &str) -> Result<String, InvalidToken> {
        jsonwebtoken::decode_header(token).ok().and_then(|header| header.kid).ok_or(InvalidToken)
    }

    /// Checks type, signature, issuer and time.
    pub fn verify(token: &str, token_key: &[u8; 32], issuer: &str, now: u64) -> Result<Self, InvalidToken> {
        let (header, claims): (_, Self) = decode(token, token_key)?;
        let good = header.typ.as_deref() == Some("at+jwt") && claims.iss == issuer && claims.exp > now;
        if good { Ok(claims) } else { Err(InvalidToken) }
    }

    /// `ath` of a proof for this token.
    #[must_use]
    pub fn ath(token: &str) -> String {
        base64url::encode(&hash(&[token.as_bytes()]))
    }
}

impl DpopProof {
    /// Signs it as a compact JWT that carries the public key.
    pub fn sign(&self, key: &SigningKey) -> Result<String, InvalidToken> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some("dpop+jwt".to_owned());
        header.jwk = Some(jwk(&key.verifying_key().to_bytes()));
        encode(&header, self, key)
    }

    /// Checks the proof against the key that it carries, the request and the time; gives the key's thumbprint.
    ///
    /// `ath`: [`AccessToken::ath`] of the token presented, none at the token endpoint. RFC 9449, section 4.3. The nonce is the relay's to check.
    pub fn verify(
        token: &str,
        htm: &str,
        htu: &str,
        ath: Option<&str>,
        now: u64,
    ) -> Result<(Self, String), InvalidToken> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| InvalidToken)?;
        let key = public_key(header.jwk.as_ref().ok_or(InvalidToken)?).ok_or(InvalidToken)?;
        let (header, claims): (_, Self) = decode(token, &key)?;
        let good = header.typ.as_deref() == Some("dpop+jwt")
            && claims.htm == htm
            && claims.htu == htu
            && claims.ath.as_deref() == ath
            && claims.iat.abs_diff(now) <= ASSERTION_SECONDS
            && sane(&claims.jti);
        if good { Ok((claims, thumbprint(&key))) } else { Err(InvalidToken) }
    }
}

/// Whether `text` can be a nonce: printable ASCII but for `"` and `\` (RFC 9449, section 8.1), and no longer than a client keeps for a relay.
#[must_use]
pub fn is_nonce(text: &str) -> bool {
    let nqchar = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    (1..=MAX_DPOP_NONCE).contains(&text.len()) && text.bytes().all(nqchar)
}

/// JWK thumbprint of an Ed25519 key: SHA-256 of its canonical JSON (RFC 7638; RFC 8037, appendix A.3), base64url.
#[must_use]
pub fn thumbprint(public: &[u8; 32]) -> String {
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, base64url::encode(public));
    base64url::encode(&hash(&[canonical.as_bytes()]))
}

/// An Ed25519 public key as JWK (RFC 8037).
#[must_use]
pub fn jwk(public: &[u8; 32]) -> Jwk {
    Jwk {
        common: CommonParameters::default(),
        algorithm: AlgorithmParameters::OctetKeyPair(OctetKeyPairParameters {
            key_type: OctetKeyPairType::OctetKeyPair,
            curve: EllipticCurve::Ed25519,
            x: base64url::encode(public),
        }),
    }
}

fn public_key(jwk: &Jwk) -> Option<[u8; 32]> {
    match &jwk.algorithm {
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            base64url::decode(&pair.x)?.try_into().ok()
        }
        _ => None,
    }
}

/// Identifiers that go into a replay window stay small.
fn sane(jti: &str) -> bool {
    (16..=64).contains(&jti.len())
}

fn encode<T: Serialize>(header: &Header, claims: &T, key: &SigningKey) -> Result<String, InvalidToken> {
    install();
    jsonwebtoken::encode(header, claims, &EncodingKey::from_ed_der(key.as_bytes())).map_err(|_| InvalidToken)
}

fn decode<T: DeserializeOwned + Clone>(token: &str, key: &[u8; 32]) -> Result<(Header, T), InvalidToken> {
    install();
    let mut validation = Validation::new(Algorithm::EdDSA);
    // Times are checked by the callers against relay time; the library would read this machine's clock.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let data = jsonwebtoken::decode(token, &DecodingKey::from_ed_der(key), &validation).map_err(|_| InvalidToken)?;
    // RFC 7515, section 4.1.11: an extension that is not understood must not be passed over; none is understood here.
    if data.header.crit.is_some() {
        return Err(InvalidToken);
    }
    Ok((data.header, data.claims))
}

/// Puts Ed25519 on ed25519-dalek behind `jsonwebtoken`, once a process; its own features would bring an older dalek.
fn install() {
    static ED25519: CryptoProvider = CryptoProvider {
        signer_factory: |algorithm, key| match algorithm {
            Algorithm::EdDSA => Ok(Box::new(DalekSigner(SigningKey::from_bytes(&key_bytes(key.as_bytes())?)))),
            _ => Err(unsupported()),
        },
        verifier_factory: |algorithm, key| match algorithm {
            Algorithm::EdDSA => {
                let key = VerifyingKey::from_bytes(&key_bytes(key.try_get_as_bytes()?)?).map_err(|_| unsupported())?;
                Ok(Box::new(DalekVerifier(key)))
            }
            _ => Err(unsupported()),
        },
        key_utils: KeyUtils::new_unimplemented(),
    };
    // An error means that it is installed already.
    let _ = ED25519.install_default();
}

fn key_bytes(bytes: &[u8]) -> Result<[u8; 32], jsonwebtoken::errors::Error> {
    bytes.try_into().map_err(|_| unsupported())
}

fn unsupported() -> jsonwebtoken::errors::Error {
    jsonwebtoken::errors::ErrorKind::InvalidAlgorithm.into()
}

struct DalekSigner(SigningKey);

impl Signer<Vec<u8>> for DalekSigner {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        Ok(self.0.sign(message).to_bytes().to_vec())
    }
}

impl JwtSigner for DalekSigner {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

struct DalekVerifier(VerifyingKey);

impl Verifier<Vec<u8>> for DalekVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        let signature = Signature::from_slice(signature).map_err(|_| SignatureError::new())?;
        self.0.verify_strict(message, &signature).map_err(|_| SignatureError::new())
    }
}

impl JwtVerifier for DalekVerifier {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}
