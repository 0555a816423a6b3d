//! User names. Display names carry Unicode; user names do not, so that two of them never look alike.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// 3 to 32 bytes of ASCII lower-case letters and digits, with single `.`, `_` or `-` between them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Username(String);

/// The text is no user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a user name has 3 to 32 characters: a-z, 0-9, and single . _ - between them")]
pub struct InvalidUsername;

impl Username {
    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Username {
    type Err = InvalidUsername;

    fn from_str(text: &str) -> Result<Self, InvalidUsername> {
        let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = text.as_bytes();
        let allowed = bytes.iter().all(|byte| alphanumeric(byte) || b"._-".contains(byte));
        let between = bytes.first().is_some_and(alphanumeric)
            && bytes.last().is_some_and(alphanumeric)
            && bytes.windows(2).all(|pair| alphanumeric(&pair[0]) || alphanumeric(&pair[1]));
        if allowed && between && (3..=32).contains(&bytes.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidUsername)
        }
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Username {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Username {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        for good in ["bob", "a.b", "x_1-2.y", "0ab", &"a".repeat(32)] {
            assert_eq!(good.parse::<Username>().map(|name| name.to_string()), Ok(good.to_owned()));
        }
        for bad in
            ["", "ab", "Bob", "bob ", ".bob", "bob.", "b..b", "b.-b", "böb", "bоb", "a@b", "a/b", &"a".repeat(33)]
        {
            assert_eq!(bad.parse::<Username>(), Err(InvalidUsername), "{bad}");
        }
    }
}
