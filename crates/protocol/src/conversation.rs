//! Conversation ids (design section 6).

use waxwing_wire::{AccountId, hash, label};

/// The first bit of the id of a group; that of any other conversation begins with 0. So nobody can make a group under the id that a
/// conversation of two will have.
const GROUP_BIT: u8 = 0x80;

/// Id of the 1:1 conversation of two accounts, the same from both sides: `H(label("conversation 1:1") || min || max)`, with the first
/// bit 0.
///
/// With the same account twice it is note-to-self.
#[must_use]
pub fn conversation_id(a: AccountId, b: AccountId) -> [u8; 32] {
    let mut id = hash(&[&label("conversation 1:1"), a.min(b).as_bytes(), a.max(b).as_bytes()]);
    id[0] &= !GROUP_BIT;
    id
}

/// Id of a group, of 32 random bytes: the first bit is 1.
#[must_use]
pub fn group_conversation_id(mut random: [u8; 32]) -> [u8; 32] {
    random[0] |= GROUP_BIT;
    random
}

/// Whether an id can be that of a group.
#[must_use]
pub fn is_group_conversation(id: &[u8; 32]) -> bool {
    id[0] & GROUP_BIT != 0
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

    #[test]
    fn p2_a_group_never_has_the_id_of_two() {
        for byte in 0..=255 {
            let other = AccountId::from_bytes([byte; 16]);
            assert!(!is_group_conversation(&conversation_id(other, AccountId::from_bytes([7; 16]))));
            assert!(is_group_conversation(&group_conversation_id([byte; 32])));
        }
    }
}
