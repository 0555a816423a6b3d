//! The rules once more, from docs/protocol.md alone and by comparing the group before with the group after: what `judge` is held against.

use super::*;

/// A leaf after the commit.
struct After {
    account: AccountId,
    device: DeviceId,
    stays: bool,
}

pub(super) fn allows(before: &GroupFacts, commit: &CommitFacts) -> bool {
    let Some(committer) = before.leaves.iter().find(|leaf| leaf.index == commit.committer) else { return false };
    let gone: Vec<_> = before.leaves.iter().filter(|leaf| commit.removed.contains(&leaf.index)).collect();
    if commit.anything_else || commit.unusable_key || gone.len() != commit.removed.len() {
        return false;
    }
    let kept = before.leaves.iter().filter(|leaf| !commit.removed.contains(&leaf.index));
    let after: Vec<_> = kept
        .map(|leaf| After { account: leaf.identity.account, device: leaf.identity.device, stays: true })
        .chain(commit.added.iter().map(|new| After {
            account: new.identity.account,
            device: new.identity.device,
            stays: false,
        }))
        .collect();
    let me = committer.identity.account;
    let admin = is_admin(before, me);
    let answered = |leaf: &LeafIdentity| resync_of(before, commit, &gone, leaf);
    let left = |account| commit.data.leaves.iter().any(|proof| proof.account == account);

    let proofs_hold = commit.data.leaves.iter().all(|proof| leave_holds(before, commit, &after, proof))
        && commit.data.resyncs.iter().all(|proof| {
            let leaf =
                gone.iter().find(|leaf| (leaf.identity.account, leaf.identity.device) == (proof.account, proof.device));
            leaf.is_some_and(|leaf| answered(&leaf.identity))
        });
    let removals = gone
        .iter()
        .all(|leaf| admin || leaf.identity.account == me || left(leaf.identity.account) || answered(&leaf.identity));
    let additions = commit.added.iter().all(|new| {
        let old = gone.iter().find(|leaf| leaf.identity.device == new.identity.device);
        admin
            || new.identity.account == me
            || old.is_some_and(|leaf| leaf.identity.account == new.identity.account && answered(&leaf.identity))
    });
    let crowded = |who| after.iter().filter(|leaf| leaf.account == who).count() > 16;
    let fits = after.len() <= 128
        && !after.iter().any(|leaf| !leaf.stays && crowded(leaf.account))
        && after.iter().all(|leaf| after.iter().filter(|other| other.device == leaf.device).count() == 1)
        && after.iter().all(|leaf| commit.roster.line(leaf.account).is_some())
        && (1..=64).contains(&commit.roster.lines.len());
    let update = commit.added.is_empty() && gone.is_empty() && commit.roster == before.roster;
    let rekey = update
        || !gone.is_empty()
        || commit.path.is_some_and(|path| path.0.key_version > committer.identity.key_version);
    proofs_hold
        && removals
        && additions
        && fits
        && path_holds(committer, commit)
        && roster_holds(before, commit, admin, left)
        && commit.data.rekey == rekey
}

fn is_admin(before: &GroupFacts, account: AccountId) -> bool {
    let there = |who: AccountId| before.leaves.iter().any(|leaf| leaf.identity.account == who);
    let is = |line: &RosterLine| line.role == RosterRole::Admin && there(line.account);
    before.roster.line(account).is_some_and(is) || !before.roster.lines.iter().any(is)
}

fn leave_holds(before: &GroupFacts, commit: &CommitFacts, after: &[After], proof: &LeaveProof) -> bool {
    let by = |leaf: &&Leaf| (leaf.identity.account, leaf.identity.device) == (proof.account, proof.device);
    before.roster.kind == GroupKind::Group
        && before.leaves.iter().find(by).is_some_and(|leaf| proof.holds(&leaf.mls_key, &leaf.encryption_key, before.id))
        && !after.iter().any(|leaf| leaf.stays && leaf.account == proof.account)
        && commit.roster.line(proof.account).is_none()
}

/// Whether the removal of this leaf answers exactly one proof, in full.
fn resync_of(before: &GroupFacts, commit: &CommitFacts, gone: &[&Leaf], leaf: &LeafIdentity) -> bool {
    let who = (leaf.account, leaf.device);
    let proofs: Vec<_> = commit.data.resyncs.iter().filter(|proof| (proof.account, proof.device) == who).collect();
    let again: Vec<_> = commit.added.iter().filter(|new| (new.identity.account, new.identity.device) == who).collect();
    let key = gone.iter().find(|gone| gone.identity == *leaf).map(|gone| gone.mls_key);
    match (&proofs[..], &again[..], key) {
        ([proof], [new], Some(key)) => proof.holds(&key, before.id) && proof.key_package == new.key_package,
        _ => false,
    }
}

fn path_holds(committer: &Leaf, commit: &CommitFacts) -> bool {
    let old = committer.identity;
    commit.path.is_some_and(|(new, mls_key)| {
        (new.account, new.device) == (old.account, old.device)
            && (new.key_version > old.key_version || (new, mls_key) == (old, committer.mls_key))
    })
}

fn roster_holds(before: &GroupFacts, commit: &CommitFacts, admin: bool, left: impl Fn(AccountId) -> bool) -> bool {
    let (old, new) = (&before.roster, &commit.roster);
    if old == new {
        return true;
    }
    let same = (old.kind, old.conversation, old.generation) == (new.kind, new.conversation, new.generation);
    let keys_stay = new.lines.iter().all(|line| {
        old.line(line.account).is_none_or(|known| RosterLine { role: known.role, ..line.clone() } == *known)
    });
    let fallen =
        Roster { lines: old.lines.iter().filter(|line| !left(line.account)).cloned().collect(), ..old.clone() };
    old.kind == GroupKind::Group && same && keys_stay && (admin || *new == fallen)
}
