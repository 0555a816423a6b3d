//! Secrets of a fixed number of bytes: boxed, wiped when dropped, compared in constant time, printed as `***`.

/// Defines such a secret.
macro_rules! secret {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(Box<zeroize::Zeroizing<[u8; $len]>>);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// The secret of these bytes. The caller wipes its own copy.
            #[must_use]
            pub fn from_bytes(bytes: &[u8; $len]) -> Self {
                let mut secret = Box::new(zeroize::Zeroizing::new([0; $len]));
                secret.copy_from_slice(bytes);
                Self(secret)
            }

            /// Its bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl zeroize::ZeroizeOnDrop for $name {}

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                subtle::ConstantTimeEq::ct_eq(self.as_bytes().as_slice(), other.as_bytes().as_slice()).into()
            }
        }

        impl Eq for $name {}

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(***)"))
            }
        }
    };
}

/// Gives such a secret a constructor from randomness.
macro_rules! generate {
    ($name:ident, $len:literal) => {
        impl $name {
            /// A fresh one from `rng`.
            #[must_use]
            pub fn generate(rng: &mut impl rand_core::CryptoRng) -> Self {
                let mut secret = Box::new(zeroize::Zeroizing::new([0; $len]));
                rng.fill_bytes(secret.as_mut_slice());
                Self(secret)
            }
        }
    };
}

pub(crate) use {generate, secret};
