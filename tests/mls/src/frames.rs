//! Public and private messages of RFC 9420, section 6, from a member, on the primitives of a provider alone.

use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::types::AeadType;

use crate::codec::{Reader, var};
use crate::labels::{NH, NK, NN, derive_tree_secret, expand_with_label, mac, sign_with_label, verify_with_label};

const MLS10: [u8; 2] = 1_u16.to_be_bytes();
const PUBLIC: [u8; 2] = 1_u16.to_be_bytes();
const PRIVATE: [u8; 2] = 2_u16.to_be_bytes();
const MEMBER: u8 = 1;
const AEAD: AeadType = AeadType::ChaCha20Poly1305;

/// What a message carries (section 6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The application's bytes.
    Application(Vec<u8>),
    /// An encoded `Proposal`.
    Proposal(Vec<u8>),
    /// An encoded `Commit`.
    Commit(Vec<u8>),
}

impl Content {
    /// `ContentType`.
    #[must_use]
    pub fn number(&self) -> u8 {
        match self {
            Self::Application(_) => 1,
            Self::Proposal(_) => 2,
            Self::Commit(_) => 3,
        }
    }

    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Application(data) => var(data),
            Self::Proposal(encoded) | Self::Commit(encoded) => encoded.clone(),
        }
    }

    /// Which secret ratchet of the leaf encrypts it (section 9).
    fn ratchet(&self) -> &'static str {
        match self {
            Self::Application(_) => "application",
            Self::Proposal(_) | Self::Commit(_) => "handshake",
        }
    }
}

/// The sender's authentication: `FramedContentAuthData` (section 6.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// Over `FramedContentTBS`.
    pub signature: Vec<u8>,
    /// Of a commit, and of nothing else.
    pub confirmation_tag: Option<Vec<u8>>,
}

impl Auth {
    fn encode(&self) -> Vec<u8> {
        [var(&self.signature), self.confirmation_tag.as_deref().map(var).unwrap_or_default()].concat()
    }

    fn read(reader: &mut Reader<'_>, content: &Content) -> Self {
        let signature = reader.var().to_vec();
        let confirmation_tag = matches!(content, Content::Commit(_)).then(|| reader.var().to_vec());
        Self { signature, confirmation_tag }
    }
}

/// What a private message says beside its content; with the same choices, the same bytes come out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choices {
    /// Of the sender's ratchet.
    pub generation: u32,
    /// Mixed into the nonce (section 6.3.1).
    pub reuse_guard: [u8; 4],
    /// Zero bytes after the content.
    pub padding: usize,
}

/// The two members' epoch that the messages belong to, and its sender, leaf 1.
#[derive(Debug)]
pub struct Epoch<'a, C> {
    /// The primitives.
    pub crypto: &'a C,
    /// The group's id.
    pub group_id: &'a [u8],
    /// The epoch's number.
    pub epoch: u64,
    /// The encoded `GroupContext`.
    pub context: &'a [u8],
    /// Authenticates public messages.
    pub membership_key: &'a [u8],
    /// Root of the secret tree.
    pub encryption_secret: &'a [u8],
    /// Encrypts who sent.
    pub sender_data_secret: &'a [u8],
    /// The sender's signing key.
    pub private: &'a [u8],
    /// The sender's verifying key.
    pub public: &'a [u8],
}

/// Leaf of the sender.
const LEAF: u32 = 1;

impl<C: OpenMlsCrypto> Epoch<'_, C> {
    fn place(&self) -> Vec<u8> {
        [var(self.group_id), self.epoch.to_be_bytes().to_vec()].concat()
    }

    /// `FramedContent` (section 6).
    fn framed(&self, aad: &[u8], content: &Content) -> Vec<u8> {
        [self.place(), vec![MEMBER], LEAF.to_be_bytes().to_vec(), var(aad), vec![content.number()], content.encode()]
            .concat()
    }

    /// `FramedContentTBS` (section 6.1).
    fn tbs(&self, wire_format: [u8; 2], aad: &[u8], content: &Content) -> Vec<u8> {
        [MLS10.as_slice(), &wire_format, &self.framed(aad, content), self.context].concat()
    }

    fn sign(&self, wire_format: [u8; 2], aad: &[u8], content: &Content) -> Vec<u8> {
        sign_with_label(self.crypto, self.private, "FramedContentTBS", &self.tbs(wire_format, aad, content))
    }

    fn verify(&self, wire_format: [u8; 2], aad: &[u8], content: &Content, auth: &Auth) -> bool {
        let tbs = self.tbs(wire_format, aad, content);
        verify_with_label(self.crypto, self.public, "FramedContentTBS", &tbs, &auth.signature).is_ok()
    }

    /// `membership_tag` (section 6.2).
    fn membership_tag(&self, aad: &[u8], content: &Content, auth: &Auth) -> Vec<u8> {
        let tbm = [self.tbs(PUBLIC, aad, content), auth.encode()].concat();
        mac(self.crypto, self.membership_key, &tbm)
    }

    /// Protects as a `PublicMessage` (section 6.2).
    pub fn protect_public(&self, aad: &[u8], content: &Content, confirmation_tag: Option<Vec<u8>>) -> Vec<u8> {
        let auth = Auth { signature: self.sign(PUBLIC, aad, content), confirmation_tag };
        let tag = self.membership_tag(aad, content, &auth);
        [MLS10.as_slice(), &PUBLIC, &self.framed(aad, content), &auth.encode(), &var(&tag)].concat()
    }

    /// Opens a `PublicMessage` that must carry `content` (section 6.2): its authenticated data and its authentication.
    ///
    /// # Panics
    ///
    /// If it is another message, or its membership tag or signature does not hold.
    pub fn open_public(&self, message: &[u8], content: &Content) -> (Vec<u8>, Auth) {
        let mut reader = Reader(message);
        reader.expect(&[MLS10, PUBLIC].concat());
        reader.expect(&self.place());
        reader.expect(&[MEMBER]);
        reader.expect(&LEAF.to_be_bytes());
        let aad = reader.var().to_vec();
        reader.expect(&[content.number()]);
        reader.expect(&content.encode());
        let auth = Auth::read(&mut reader, content);
        assert_eq!(reader.var(), self.membership_tag(&aad, content, &auth), "membership tag");
        reader.end();
        assert!(self.verify(PUBLIC, &aad, content, &auth), "signature");
        (aad, auth)
    }

    /// Key and nonce of the sender's ratchet at a generation (section 9).
    fn content_key(&self, content: &Content, choices: Choices) -> (Vec<u8>, Vec<u8>) {
        // Two leaves: the sender's is the root's right child (section 9.1).
        let leaf = expand_with_label(self.crypto, self.encryption_secret, "tree", b"right", NH);
        let mut secret = expand_with_label(self.crypto, &leaf, content.ratchet(), b"", NH);
        for generation in 0..choices.generation {
            secret = derive_tree_secret(self.crypto, &secret, "secret", generation, NH);
        }
        let key = derive_tree_secret(self.crypto, &secret, "key", choices.generation, NK);
        let mut nonce = derive_tree_secret(self.crypto, &secret, "nonce", choices.generation, NN);
        // Section 6.3.1.
        for (byte, guard) in nonce.iter_mut().zip(choices.reuse_guard) {
            *byte ^= guard;
        }
        (key, nonce)
    }

    /// Key and nonce of the sender data (section 6.3.2).
    fn sender_key(&self, ciphertext: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let sample = &ciphertext[..ciphertext.len().min(NH)];
        let expand = |label, length| expand_with_label(self.crypto, self.sender_data_secret, label, sample, length);
        (expand("key", NK), expand("nonce", NN))
    }

    /// `SenderDataAAD` (section 6.3.2).
    fn sender_aad(&self, content: &Content) -> Vec<u8> {
        [self.place(), vec![content.number()]].concat()
    }

    /// `PrivateContentAAD` (section 6.3.1).
    fn content_aad(&self, aad: &[u8], content: &Content) -> Vec<u8> {
        [self.sender_aad(content), var(aad)].concat()
    }

    /// Protects as a `PrivateMessage` (section 6.3).
    ///
    /// # Panics
    ///
    /// If the provider cannot.
    pub fn protect_private(
        &self,
        aad: &[u8],
        content: &Content,
        confirmation_tag: Option<Vec<u8>>,
        choices: Choices,
    ) -> Vec<u8> {
        let auth = Auth { signature: self.sign(PRIVATE, aad, content), confirmation_tag };
        let plaintext = [content.encode(), auth.encode(), vec![0; choices.padding]].concat();
        let (key, nonce) = self.content_key(content, choices);
        let ciphertext =
            self.crypto.aead_encrypt(AEAD, &key, &plaintext, &nonce, &self.content_aad(aad, content)).unwrap();
        let sender = [LEAF.to_be_bytes(), choices.generation.to_be_bytes(), choices.reuse_guard].concat();
        let (key, nonce) = self.sender_key(&ciphertext);
        let sender = self.crypto.aead_encrypt(AEAD, &key, &sender, &nonce, &self.sender_aad(content)).unwrap();
        let head = [self.place(), vec![content.number()], var(aad)].concat();
        [MLS10.as_slice(), &PRIVATE, &head, &var(&sender), &var(&ciphertext)].concat()
    }

    /// Opens a `PrivateMessage` that must carry `content` (section 6.3): its authenticated data, its authentication and the
    /// sender's choices.
    ///
    /// # Panics
    ///
    /// If it is another message, does not decrypt, or its signature does not hold.
    pub fn open_private(&self, message: &[u8], content: &Content) -> (Vec<u8>, Auth, Choices) {
        let mut reader = Reader(message);
        reader.expect(&[MLS10, PRIVATE].concat());
        reader.expect(&self.place());
        reader.expect(&[content.number()]);
        let aad = reader.var().to_vec();
        let (sender, ciphertext) = (reader.var(), reader.var());
        reader.end();

        let (key, nonce) = self.sender_key(ciphertext);
        let sender = self.crypto.aead_decrypt(AEAD, &key, sender, &nonce, &self.sender_aad(content)).unwrap();
        let mut reader = Reader(&sender);
        reader.expect(&LEAF.to_be_bytes());
        let mut choices =
            Choices { generation: u32::from_be_bytes(reader.array()), reuse_guard: reader.array(), padding: 0 };
        reader.end();

        let (key, nonce) = self.content_key(content, choices);
        let content_aad = self.content_aad(&aad, content);
        let plaintext = self.crypto.aead_decrypt(AEAD, &key, ciphertext, &nonce, &content_aad).unwrap();
        let mut reader = Reader(&plaintext);
        reader.expect(&content.encode());
        let auth = Auth::read(&mut reader, content);
        choices.padding = reader.0.len();
        reader.expect(&vec![0; choices.padding]);
        assert!(self.verify(PRIVATE, &aad, content, &auth), "signature");
        (aad, auth, choices)
    }
}
