//! Who follows what, by its id and by what stands for it on the bus.

use std::collections::HashMap;
use std::hash::Hash;

use crate::bus::Tag;

/// Followers of each of many things. Without any it takes no room.
pub(super) struct Followers<K, F> {
    rows: HashMap<K, Row<F>>,
    tags: HashMap<Tag, K>,
}

struct Row<F> {
    tag: Option<Tag>,
    followers: Vec<F>,
}

impl<K, F> Default for Followers<K, F> {
    fn default() -> Self {
        Self { rows: HashMap::new(), tags: HashMap::new() }
    }
}

impl<K: Copy + Hash + Eq, F> Followers<K, F> {
    /// Adds a follower of `key`.
    pub(super) fn add(&mut self, key: K, tag: Option<Tag>, follower: F) {
        // Most have one follower here, and there may be millions: a vector that grows by itself begins with room for four.
        let row = || Row { tag, followers: Vec::with_capacity(1) };
        self.rows.entry(key).or_insert_with(row).followers.push(follower);
        if let Some(tag) = tag {
            self.tags.insert(tag, key);
        }
    }

    /// Looks at each follower of `key`; keeps those for which `keep` says so.
    pub(super) fn retain(&mut self, key: &K, keep: impl FnMut(&mut F) -> bool) {
        let Some(row) = self.rows.get_mut(key) else { return };
        row.followers.retain_mut(keep);
        if row.followers.is_empty() {
            self.take(key);
        }
    }

    /// All followers of `key`, who follow it no longer.
    pub(super) fn take(&mut self, key: &K) -> Vec<F> {
        let Some(row) = self.rows.remove(key) else { return Vec::new() };
        if let Some(tag) = row.tag {
            self.tags.remove(&tag);
        }
        row.followers
    }

    /// Who follows `key`.
    pub(super) fn of(&self, key: &K) -> &[F] {
        self.rows.get(key).map_or(&[], |row| &row.followers)
    }

    /// What a tag stands for, if anybody here follows that.
    pub(super) fn tagged(&self, tag: &Tag) -> Option<K> {
        self.tags.get(tag).copied()
    }

    /// Everything that is followed.
    pub(super) fn all(&self) -> impl Iterator<Item = (&K, &[F])> {
        self.rows.iter().map(|(key, row)| (key, row.followers.as_slice()))
    }

    /// Whether nothing is followed.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.tags.is_empty()
    }
}
