//! Whether a commit is valid beyond what MLS demands (design section 6; docs/protocol.md "Judging commits"). Pure, and fed by facts of
//! the group alone: every member comes to the same judgement, whatever its clock, its relay or its address book say.

use std::collections::{HashMap, HashSet};

use waxwing_protocol::LeafIdentity;
use waxwing_protocol::group::{CommitData, Followed, GroupKind, Roster, RosterLine, RosterRole, follow};
use waxwing_wire::limits::{MAX_DEVICES, MAX_GROUP_DEVICES, MAX_GROUP_PEOPLE};
use waxwing_wire::{AccountId, LogId};

/// A leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub(crate) index: u32,
    pub(crate) identity: LeafIdentity,
    /// Its MLS signature key.
    pub(crate) mls_key: [u8; 32],
    /// Its encryption key: another one with each replacement of the leaf.
    pub(crate) encryption_key: [u8; 32],
}

/// A group before a commit.
#[derive(Debug, Clone)]
pub(crate) struct GroupFacts {
    pub(crate) id: LogId,
    pub(crate) roster: Roster,
    pub(crate) leaves: Vec<Leaf>,
}

/// A leaf that a commit adds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AddedLeaf {
    pub(crate) identity: LeafIdentity,
    /// Its MLS signature key.
    pub(crate) mls_key: [u8; 32],
    /// SHA-256 of the key package (as `MLSMessage`).
    pub(crate) key_package: [u8; 32],
}

/// What a commit does.
#[derive(Debug, Clone)]
pub(crate) struct CommitFacts {
    /// Index of the committer's leaf.
    pub(crate) committer: u32,
    pub(crate) added: Vec<AddedLeaf>,
    /// Indices of removed leaves.
    pub(crate) removed: Vec<u32>,
    /// The committer's new leaf; every commit must have one.
    pub(crate) path: Option<(LeafIdentity, [u8; 32])>,
    /// The roster after it.
    pub(crate) roster: Roster,
    /// Whether it does anything that is not named here.
    pub(crate) anything_else: bool,
    /// Whether it sets an encryption key that nobody can seal to: of an added leaf, of the committer's new one, or of a node above them.
    pub(crate) unusable_key: bool,
    pub(crate) data: CommitData,
}

/// Why a commit is invalid. Says nothing to the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Invalid(pub(crate) &'static str);

/// Accounts that may change the group: the admins with a leaf, or everybody where there is none.
pub(crate) fn admins(roster: &Roster, leaves: &[Leaf]) -> HashSet<AccountId> {
    let with_leaf = |line: &&RosterLine| leaves.iter().any(|leaf| leaf.identity.account == line.account);
    let present = || roster.lines.iter().filter(with_leaf);
    let admins: HashSet<_> = present().filter(|line| line.role == RosterRole::Admin).map(|line| line.account).collect();
    if admins.is_empty() { present().map(|line| line.account).collect() } else { admins }
}

/// Whether a commit sets a new channel secret, whatever its committer's keys are: whoever is removed must not keep the old one, and a
/// self-update, which changes nothing else, is there to lock out whoever may have stolen it.
pub(crate) fn replaces_secret<T>(before: &GroupFacts, added: &[T], removed: &[u32], roster: &Roster) -> bool {
    !removed.is_empty() || (added.is_empty() && *roster == before.roster)
}

/// Judges a commit.
pub(crate) fn judge(before: &GroupFacts, commit: &CommitFacts) -> Result<(), Invalid> {
    if commit.anything_else {
        return Err(Invalid("it does something that no commit does here"));
    }
    if commit.unusable_key {
        return Err(Invalid("it sets a key that nobody can seal to"));
    }
    let leaf = |index: u32| before.leaves.iter().find(|leaf| leaf.index == index);
    let committer = leaf(commit.committer).ok_or(Invalid("its committer has no leaf"))?;
    let account = committer.identity.account;
    let admin = admins(&before.roster, &before.leaves).contains(&account);
    let removed = commit
        .removed
        .iter()
        .map(|index| leaf(*index).ok_or(Invalid("it removes a leaf that is not there")))
        .collect::<Result<Vec<_>, _>>()?;
    let left = leaving(before, commit)?;
    let resynced = resyncing(before, commit, &removed)?;
    let proved = following(before, commit, (account, admin))?;

    for gone in &removed {
        let allowed = admin
            || proved.get(&gone.identity.account).is_some_and(|proof| proof.removes(gone.identity.device))
            || gone.identity.account == account
            || left.contains(&gone.identity.account)
            || resynced.contains(&(gone.identity.account, gone.identity.device));
        if !allowed {
            return Err(Invalid("it removes somebody without the right to"));
        }
    }
    let mut devices: HashSet<_> = before
        .leaves
        .iter()
        .filter(|leaf| !commit.removed.contains(&leaf.index))
        .map(|leaf| leaf.identity.device)
        .collect();
    for new in &commit.added {
        let identity = new.identity;
        let allowed = admin
            || identity.account == account
            || resynced.contains(&(identity.account, identity.device))
            || proved.get(&identity.account).is_some_and(|proof| proof.states(&identity, &new.mls_key));
        if !allowed {
            return Err(Invalid("it adds somebody without the right to"));
        }
        if commit.roster.line(identity.account).is_none() {
            return Err(Invalid("it adds a device of somebody who is not on the roster"));
        }
        if !devices.insert(identity.device) {
            return Err(Invalid("it adds a device twice"));
        }
    }
    if devices.len() > MAX_GROUP_DEVICES {
        return Err(Invalid("it makes the group too large"));
    }
    // Only whom it adds to: what is there already must not keep everybody from everything else.
    let kept = |account| {
        let stay = before.leaves.iter().filter(|leaf| !commit.removed.contains(&leaf.index));
        stay.filter(|leaf| leaf.identity.account == account).count()
    };
    let more = |account| commit.added.iter().filter(|new| new.identity.account == account).count();
    let too_many = |account| kept(account) + more(account) > MAX_DEVICES;
    if commit.added.iter().any(|new| too_many(new.identity.account)) {
        return Err(Invalid("it gives somebody more leaves than an account has devices"));
    }
    let rotated = judge_path(committer, commit)?;
    if commit.data.rekey != (rotated || replaces_secret(before, &commit.added, &commit.removed, &commit.roster)) {
        return Err(Invalid("it sets a channel secret where none is due, or none where one is"));
    }
    judge_roster(before, commit, admin, &left, &proved)
}

/// Accounts whose proved wish to leave it answers: all their leaves and their line must go.
fn leaving(before: &GroupFacts, commit: &CommitFacts) -> Result<HashSet<AccountId>, Invalid> {
    let mut left = HashSet::new();
    for proof in &commit.data.leaves {
        let leaf = before
            .leaves
            .iter()
            .find(|leaf| (leaf.identity.account, leaf.identity.device) == (proof.account, proof.device))
            .ok_or(Invalid("it answers a wish to leave of somebody who is not there"))?;
        if before.roster.kind != GroupKind::Group || !proof.holds(&leaf.mls_key, &leaf.encryption_key, before.id) {
            return Err(Invalid("a proof of a wish to leave does not hold"));
        }
        let of_account = |leaf: &&Leaf| leaf.identity.account == proof.account;
        let all_gone = before.leaves.iter().filter(of_account).all(|leaf| commit.removed.contains(&leaf.index));
        if !all_gone || commit.roster.line(proof.account).is_some() {
            return Err(Invalid("it answers a wish to leave by halves"));
        }
        // Two devices of one account may both have asked.
        left.insert(proof.account);
    }
    Ok(left)
}

/// Devices whose proved wish for a resync it answers: removed and added again, with the key package that they named.
fn resyncing(
    before: &GroupFacts,
    commit: &CommitFacts,
    removed: &[&Leaf],
) -> Result<HashSet<(AccountId, waxwing_wire::DeviceId)>, Invalid> {
    let mut resynced = HashSet::new();
    for proof in &commit.data.resyncs {
        let who = (proof.account, proof.device);
        let leaf = removed
            .iter()
            .find(|leaf| (leaf.identity.account, leaf.identity.device) == who)
            .ok_or(Invalid("it answers a wish for a resync without removing the leaf"))?;
        if !proof.holds(&leaf.mls_key, before.id) {
            return Err(Invalid("a proof of a wish for a resync does not hold"));
        }
        let mut again = commit.added.iter().filter(|new| (new.identity.account, new.identity.device) == who);
        match (again.next(), again.next()) {
            (Some(new), None) if new.key_package == proof.key_package => {}
            _ => return Err(Invalid("it answers a wish for a resync with another key package")),
        }
        if !resynced.insert(who) {
            return Err(Invalid("it answers a wish for a resync twice"));
        }
    }
    Ok(resynced)
}

/// Accounts whose line a commit moves on along their chain. What the chain has ended must go with it: whoever was revoked does not stay.
fn following(
    before: &GroupFacts,
    commit: &CommitFacts,
    (committer, admin): (AccountId, bool),
) -> Result<HashMap<AccountId, Followed>, Invalid> {
    let mut proved = HashMap::new();
    for part in &commit.data.chains {
        let Some(line) = before.roster.line(part.account) else { continue };
        let Some(followed) = follow(line, part) else { continue };
        let new = commit.roster.line(part.account);
        let closed = followed.is_closed() && new.is_none();
        // A part that merely travels along moves nothing.
        if !closed && new.map(facts_of) != Some(facts_of(&followed.line)) {
            continue;
        }
        let stays = before.leaves.iter().any(|leaf| {
            leaf.identity.account == part.account
                && followed.removes(leaf.identity.device)
                && !commit.removed.contains(&leaf.index)
        });
        // The line moves on, so nobody could bring them back later.
        let back = || commit.added.iter().any(|new| followed.states(&new.identity, &new.mls_key));
        let left_out =
            followed.is_recovered() && !followed.is_closed() && !admin && committer != part.account && !back();
        if stays || left_out {
            return Err(Invalid("it follows a chain by halves"));
        }
        if proved.insert(part.account, followed).is_some() {
            return Err(Invalid("it follows a chain twice"));
        }
    }
    Ok(proved)
}

/// All of a line but the role.
fn facts_of(line: &RosterLine) -> ([u8; 32], [u8; 32], u32, [u8; 32], String) {
    (line.account_key, line.recovery_key, line.chain_seq, line.chain_head, line.home.to_string())
}

/// The committer stays who they are. True if their device keys were rotated.
fn judge_path(committer: &Leaf, commit: &CommitFacts) -> Result<bool, Invalid> {
    // MLS demands none of a commit that merely adds. Here all have one, so that each gives the group fresh secrets, and no client takes what
    // another refuses.
    let Some((identity, mls_key)) = commit.path else { return Err(Invalid("it has no path")) };
    let (old, new) = (&committer.identity, &identity);
    if (old.account, old.device) != (new.account, new.device) {
        return Err(Invalid("its committer becomes somebody else"));
    }
    match new.key_version.cmp(&old.key_version) {
        std::cmp::Ordering::Less => Err(Invalid("its committer goes back to older keys")),
        std::cmp::Ordering::Equal if old.signing != new.signing || committer.mls_key != mls_key => {
            Err(Invalid("its committer changes keys within a version"))
        }
        std::cmp::Ordering::Equal => Ok(false),
        std::cmp::Ordering::Greater => Ok(true),
    }
}

fn judge_roster(
    before: &GroupFacts,
    commit: &CommitFacts,
    admin: bool,
    left: &HashSet<AccountId>,
    proved: &HashMap<AccountId, Followed>,
) -> Result<(), Invalid> {
    let (old, new) = (&before.roster, &commit.roster);
    if (old.kind, old.conversation, old.generation) != (new.kind, new.conversation, new.generation) {
        return Err(Invalid("it makes another conversation of the group"));
    }
    if new.lines.is_empty() || new.lines.len() > MAX_GROUP_PEOPLE {
        return Err(Invalid("it leaves too few or too many people"));
    }
    for line in &new.lines {
        if let Some(known) = old.line(line.account)
            && facts_of(known) != facts_of(line)
            && !proved.contains_key(&line.account)
        {
            return Err(Invalid("it changes somebody's keys without proof"));
        }
    }
    // What is left of the leaves must all be on the roster.
    let strayed = before
        .leaves
        .iter()
        .filter(|leaf| !commit.removed.contains(&leaf.index))
        .any(|leaf| new.line(leaf.identity.account).is_none());
    if strayed {
        return Err(Invalid("it takes somebody off the roster whose device stays"));
    }
    if old == new {
        return Ok(());
    }
    let mut expected = old.clone();
    for (account, followed) in proved {
        match new.line(*account) {
            Some(_) => expected.set(followed.line.clone()),
            None => expected.remove(*account),
        }
    }
    if old.kind != GroupKind::Group {
        let whole = expected == *new && expected.lines.len() == old.lines.len();
        return if whole { Ok(()) } else { Err(Invalid("the roster of this conversation is fixed")) };
    }
    if admin {
        return Ok(());
    }
    for account in left {
        expected.remove(*account);
    }
    if expected == *new { Ok(()) } else { Err(Invalid("it changes the roster without the right to")) }
}

#[cfg(test)]
mod tests;
