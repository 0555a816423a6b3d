//! Conversation ids (design section 6).

use waxwing_wire::{AccountId, hash, label};

/// Id of the 1:1 conversation of two accounts, the same from both sides: `H(label("conversation 1:1") || min || max)`.
///
/// With the same account twice it is note-to-self.
#[must_use]
pub fn conversation_id(a: AccountId, b: AccountId) -> [u8; 32] {
    hash(&[&label("conversation 1:1"), a.min(b).as_bytes(), a.max(b).as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_same_from_both_sides_and_for_nobody_else() {
        let [a, b, c] = [1, 2, 3].map(|byte| AccountId::from_bytes([byte; 16]));
        assert_eq!(conversation_id(a, b), conversation_id(b, a));
        assert_ne!(conversation_id(a, b), conversation_id(a, c));
        assert_ne!(conversation_id(a, b), conversation_id(a, a));
    }
}
