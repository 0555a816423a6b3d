//! Random groups and commits. `judge` and the other implementation must agree on each, and what it lets a member do is checked once
//! more for itself.

use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{TestCaseResult, TestRunner};

use super::*;

/// People that there are; some of them outside.
const PEOPLE: u8 = 5;
/// Devices of each.
const DEVICES: u8 = 3;

/// A change to the roster.
#[derive(Debug, Clone)]
enum Edit {
    Remove(u8),
    Set(u8, bool),
    Rename,
    Key(Index),
    Kind,
    Generation,
}

/// A proof, and whether the commit does what it asks for.
#[derive(Debug, Clone)]
struct Wish {
    leave: bool,
    leaf: Index,
    flaw: Option<Flaw>,
    answered: bool,
}

/// What of a proof is another's.
#[derive(Debug, Clone, Copy)]
enum Flaw {
    Key,
    Group,
    Package,
    Nonce,
}

#[derive(Debug, Clone, Copy)]
enum Path {
    None,
    Same,
    Rotated,
    Back,
    Somebody,
    OtherKey,
}

/// None, one or two, as often as the weights say.
fn few<S: Strategy>(element: impl Fn() -> S, [none, one, two]: [u32; 3]) -> impl Strategy<Value = Vec<S::Value>> {
    prop_oneof![none => vec(element(), 0), one => vec(element(), 1), two => vec(element(), 2)]
}

fn person() -> impl Strategy<Value = u8> {
    1..=PEOPLE
}

fn some_device() -> impl Strategy<Value = (u8, u8)> {
    (person(), 1..=DEVICES)
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        4 => person().prop_map(Edit::Remove),
        4 => (person(), any::<bool>()).prop_map(|(person, admin)| Edit::Set(person, admin)),
        2 => Just(Edit::Rename),
        1 => any::<Index>().prop_map(Edit::Key),
        1 => Just(Edit::Kind),
        1 => Just(Edit::Generation),
    ]
}

fn wish() -> impl Strategy<Value = Wish> {
    let flaw = prop_oneof![
        8 => Just(None),
        1 => Just(Some(Flaw::Key)),
        1 => Just(Some(Flaw::Group)),
        1 => Just(Some(Flaw::Package)),
        1 => Just(Some(Flaw::Nonce)),
    ];
    (any::<bool>(), any::<Index>(), flaw, prop::bool::weighted(0.85)).prop_map(|(leave, leaf, flaw, answered)| Wish {
        leave,
        leaf,
        flaw,
        answered,
    })
}

fn path() -> impl Strategy<Value = Path> {
    prop_oneof![
        12 => Just(Path::Same),
        1 => Just(Path::None),
        3 => Just(Path::Rotated),
        1 => Just(Path::Back),
        1 => Just(Path::Somebody),
        1 => Just(Path::OtherKey),
    ]
}

prop_compose! {
    /// A group with leaves of version 2, each of whose people is on the roster; some have no leaf.
    fn groups()(
        kind in prop_oneof![8 => Just(GroupKind::Group), 1 => Just(GroupKind::Direct), 1 => Just(GroupKind::NoteToSelf)],
        on in vec((prop::bool::weighted(0.8), prop::bool::weighted(0.3)), PEOPLE as usize),
        devices in proptest::sample::subsequence((1..=PEOPLE * DEVICES).collect::<Vec<_>>(), 1..=8),
        gap in 1..4_u32,
    ) -> GroupFacts {
        let (mut people, mut leaves) = (Vec::new(), Vec::new());
        for number in devices {
            let (person, number) = ((number - 1) / DEVICES + 1, (number - 1) % DEVICES + 1);
            let index = u32::try_from(leaves.len()).unwrap() * gap;
            let identity = identity(person, number, 2);
            let mls_key = key(person, number, 2).verifying_key().to_bytes();
            leaves.push(Leaf { index, identity, mls_key, encryption_key: encryption(person, number) });
            people.push(person);
        }
        people.extend((1..=PEOPLE).zip(&on).filter(|(_, (on, _))| *on).map(|(person, _)| person));
        let mut lines = roster(kind, []);
        for person in people {
            let role = if on[usize::from(person) - 1].1 { RosterRole::Admin } else { RosterRole::Member };
            lines.set(line(person, role));
        }
        GroupFacts { id: GROUP, roster: lines, leaves }
    }
}

prop_compose! {
    fn commits()(before in groups())(
        committer in any::<Index>(),
        // Mostly nothing is wrong but one thing.
        removed in few(any::<Index>, [6, 3, 1]),
        own_removed in prop::bool::weighted(0.2),
        added in few(some_device, [6, 2, 1]),
        own_added in proptest::option::weighted(0.3, 1..=DEVICES),
        edits in few(edit, [8, 3, 1]),
        wishes in few(wish, [4, 4, 2]),
        path in path(),
        rekey_as_due in prop::bool::weighted(0.95),
        anything_else in prop::bool::weighted(0.02),
        before in Just(before),
    ) -> (GroupFacts, CommitFacts) {
        let committer = *committer.get(&before.leaves);
        let me = committer.identity.account.as_bytes()[0];
        let mut commit = update(&before, committer.index);
        commit.anything_else = anything_else;
        commit.removed.extend(removed.iter().map(|index| index.get(&before.leaves).index));
        let another = |leaf: &&Leaf| leaf.identity.account == committer.identity.account && leaf.index != committer.index;
        if own_removed && let Some(own) = before.leaves.iter().find(another) {
            commit.removed.push(own.index);
        }
        commit.added.extend(added.into_iter().map(|(person, number)| new(person, number)));
        commit.added.extend(own_added.map(|number| new(me, number)));
        for wish in wishes {
            grant(&before, &mut commit, &wish);
        }
        for change in edits {
            apply(&mut commit.roster, &change);
        }
        // MLS takes each leaf out once, and never the committer's.
        commit.removed.sort_unstable();
        commit.removed.dedup();
        commit.removed.retain(|index| *index != committer.index);
        commit.path = new_leaf(&committer, path);
        let nothing_else = commit.added.is_empty() && commit.roster == before.roster;
        let due = !commit.removed.is_empty() || nothing_else || matches!(path, Path::Rotated);
        commit.data.rekey = due == rekey_as_due;
        (before, commit)
    }
}

fn apply(roster: &mut Roster, edit: &Edit) {
    match edit {
        Edit::Remove(person) => roster.remove(account(*person)),
        Edit::Set(person, true) => roster.set(line(*person, RosterRole::Admin)),
        Edit::Set(person, false) => roster.set(line(*person, RosterRole::Member)),
        Edit::Rename => roster.name.push('s'),
        Edit::Key(at) if !roster.lines.is_empty() => {
            let at = at.index(roster.lines.len());
            roster.lines[at].account_key = [0; 32];
        }
        Edit::Key(_) => {}
        Edit::Kind => roster.kind = if roster.kind == GroupKind::Group { GroupKind::Direct } else { GroupKind::Group },
        Edit::Generation => roster.generation += 1,
    }
}

fn grant(before: &GroupFacts, commit: &mut CommitFacts, wish: &Wish) {
    let leaf = wish.leaf.get(&before.leaves);
    let (who, device) = (leaf.identity.account, leaf.identity.device);
    let (person, number) = (who.as_bytes()[0], device.as_bytes()[15] - 100);
    let signer = if matches!(wish.flaw, Some(Flaw::Key)) { key(person, number, 1) } else { key(person, number, 2) };
    let place = if matches!(wish.flaw, Some(Flaw::Group)) { ELSEWHERE } else { GROUP };
    let again = new(person, number);
    if wish.leave {
        let mut proof = LeaveProof::sign(&signer, place, who, device, &encryption(person, number), [5; 16]);
        if matches!(wish.flaw, Some(Flaw::Nonce)) {
            proof.nonce = [1; 16];
        }
        commit.data.leaves.push(proof);
        if wish.answered {
            let theirs = before.leaves.iter().filter(|leaf| leaf.identity.account == who);
            commit.removed.extend(theirs.map(|leaf| leaf.index));
            commit.roster.remove(who);
        }
    } else {
        let named = if matches!(wish.flaw, Some(Flaw::Package)) { [1; 32] } else { again.key_package };
        let mut proof = ResyncProof::sign(&signer, place, who, device, [6; 16], named);
        if matches!(wish.flaw, Some(Flaw::Nonce)) {
            proof.nonce = [1; 16];
        }
        commit.data.resyncs.push(proof);
        if wish.answered {
            commit.removed.push(leaf.index);
            commit.added.push(again);
        }
    }
}

fn new_leaf(committer: &Leaf, path: Path) -> Option<(LeafIdentity, [u8; 32])> {
    let Leaf { identity: own, mls_key, .. } = *committer;
    match path {
        Path::None => None,
        Path::Same => Some((own, mls_key)),
        Path::Rotated => Some((LeafIdentity { key_version: 3, signing: [3; 32], ..own }, [3; 32])),
        Path::Back => Some((LeafIdentity { key_version: 1, ..own }, mls_key)),
        Path::Somebody => Some((LeafIdentity { account: account(99), ..own }, mls_key)),
        Path::OtherKey => Some((own, [3; 32])),
    }
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() })
}

/// What a commit that was accepted changed, by somebody who is no admin.
fn only_what_a_member_may(before: &GroupFacts, commit: &CommitFacts, me: AccountId) -> TestCaseResult {
    let data = &commit.data;
    let keys = |who: AccountId, device: DeviceId| {
        let leaf = before.leaves.iter().find(|leaf| (leaf.identity.account, leaf.identity.device) == (who, device));
        leaf.map(|leaf| (leaf.mls_key, leaf.encryption_key)).unwrap_or_default()
    };
    let signer = |who: AccountId, device: DeviceId| keys(who, device).0;
    let wants_to_leave = |who| {
        data.leaves.iter().any(|proof| {
            let (key, leaf) = keys(who, proof.device);
            proof.account == who && proof.holds(&key, &leaf, before.id)
        })
    };
    let wants_a_resync = |leaf: &LeafIdentity, package: Option<[u8; 32]>| {
        data.resyncs.iter().any(|proof| {
            (proof.account, proof.device) == (leaf.account, leaf.device)
                && proof.holds(&signer(leaf.account, leaf.device), before.id)
                && package.is_none_or(|package| package == proof.key_package)
        })
    };
    for leaf in before.leaves.iter().filter(|leaf| commit.removed.contains(&leaf.index)) {
        let who = leaf.identity.account;
        prop_assert!(who == me || wants_to_leave(who) || wants_a_resync(&leaf.identity, None));
    }
    for added in &commit.added {
        prop_assert!(added.identity.account == me || wants_a_resync(&added.identity, Some(added.key_package)));
    }
    prop_assert_eq!(commit.path.map(|(own, _)| own.account), Some(me));
    let mut roster = before.roster.clone();
    roster.lines.retain(|line| !wants_to_leave(line.account));
    prop_assert_eq!(&commit.roster, &roster);
    Ok(())
}

#[test]
fn both_implementations_agree() {
    let (accepted, refused) = (Cell::new(0), Cell::new(0));
    let outcome = runner(6000).run(&commits(), |(before, commit)| {
        let judged = judge(&before, &commit);
        prop_assert_eq!(judged.is_ok(), oracle::allows(&before, &commit), "{:?}", judged);
        let count = if judged.is_ok() { &accepted } else { &refused };
        count.set(count.get() + 1);
        Ok(())
    });
    outcome.unwrap();
    // Neither is rare, else the test would say little.
    assert!(accepted.get() > 800 && refused.get() > 800, "{} accepted, {} refused", accepted.get(), refused.get());
}

#[test]
fn a_member_changes_the_own_account_or_has_a_proof() {
    let (accepted, by_proof) = (Cell::new(0), Cell::new(0));
    let outcome = runner(6000).run(&commits(), |(before, commit)| {
        let committer = before.leaves.iter().find(|leaf| leaf.index == commit.committer).unwrap();
        let me = committer.identity.account;
        if admins(&before.roster, &before.leaves).contains(&me) || judge(&before, &commit).is_err() {
            return Ok(());
        }
        accepted.set(accepted.get() + 1);
        let others = |index: &u32| before.leaves.iter().any(|leaf| leaf.index == *index && leaf.identity.account != me);
        by_proof.set(by_proof.get() + u32::from(commit.removed.iter().any(others)));
        only_what_a_member_may(&before, &commit, me)
    });
    outcome.unwrap();
    assert!(accepted.get() > 200 && by_proof.get() > 40, "{} accepted, {} by proof", accepted.get(), by_proof.get());
}

#[test]
fn the_order_of_things_does_not_matter() {
    let cases = (commits(), any::<u64>());
    let outcome = runner(1500).run(&cases, |((before, commit), turn)| {
        let judged = judge(&before, &commit);
        prop_assert_eq!(judge(&before.clone(), &commit.clone()), judged);
        let (mut turned, mut other) = (before, commit);
        let by = |len: usize| usize::try_from(turn).unwrap_or(1) % len.max(1);
        let leaves = by(turned.leaves.len());
        turned.leaves.rotate_left(leaves);
        turned.leaves.reverse();
        let (removed, added) = (by(other.removed.len()), by(other.added.len()));
        other.removed.rotate_left(removed);
        other.added.rotate_left(added);
        other.data.leaves.reverse();
        other.data.resyncs.reverse();
        prop_assert_eq!(judge(&turned, &other).is_ok(), judged.is_ok());
        Ok(())
    });
    outcome.unwrap();
}

fn line_of(roster: &mut Roster, account: AccountId) -> &mut RosterLine {
    roster.lines.iter_mut().find(|line| line.account == account).unwrap()
}

/// One thing done to a commit that makes any valid one invalid.
fn spoilt(before: &GroupFacts, commit: &CommitFacts) -> Vec<CommitFacts> {
    let but = |change: &dyn Fn(&mut CommitFacts)| {
        let mut commit = commit.clone();
        change(&mut commit);
        commit
    };
    let stays = before.leaves.iter().find(|leaf| !commit.removed.contains(&leaf.index)).map(|leaf| leaf.identity);
    let again = stays.map(|identity| AddedLeaf { identity, mls_key: [0; 32], key_package: [0; 32] });
    let committer = before.leaves.iter().find(|leaf| leaf.index == commit.committer).unwrap().identity.account;
    let mut all = vec![
        but(&|commit| commit.anything_else = true),
        but(&|commit| commit.data.rekey ^= true),
        but(&|commit| commit.committer = 9999),
        but(&|commit| commit.removed.push(9999)),
        but(&|commit| commit.added.extend(again)),
        but(&|commit| commit.added.push(new(77, 1))),
        but(&|commit| commit.roster.generation += 1),
        but(&|commit| commit.roster.conversation[31] ^= 1),
        but(&|commit| commit.roster.lines.clear()),
        but(&|commit| line_of(&mut commit.roster, committer).account_key[0] ^= 1),
        but(&|commit| line_of(&mut commit.roster, committer).recovery_key[31] ^= 1),
        // By keys that no leaf here has.
        but(&|commit| commit.data.leaves.push(leave_proof(1, 1))),
        but(&|commit| commit.data.resyncs.push(resync_proof(1, 1))),
    ];
    all.push(but(&|commit| commit.path = None));
    all.push(but(&|commit| {
        commit.path = commit.path.map(|(own, key)| (LeafIdentity { account: account(88), ..own }, key))
    }));
    all.push(but(&|commit| {
        commit.path = commit.path.map(|(own, key)| (LeafIdentity { device: device(88, 1), ..own }, key))
    }));
    all.push(but(&|commit| commit.path = commit.path.map(|(own, key)| (LeafIdentity { key_version: 0, ..own }, key))));
    for at in 0..commit.data.leaves.len() {
        all.push(but(&|commit| commit.data.leaves[at].nonce[0] ^= 1));
        let forged: LeaveProof = altered(&commit.data.leaves[at], LeaveProof::SIGNATURE, |bytes| bytes[32] ^= 1);
        all.push(but(&|commit| commit.data.leaves[at] = forged.clone()));
    }
    for at in 0..commit.data.resyncs.len() {
        all.push(but(&|commit| commit.data.resyncs[at].nonce[0] ^= 1));
        all.push(but(&|commit| commit.data.resyncs[at].key_package[0] ^= 1));
    }
    all
}

#[test]
fn one_wrong_thing_is_enough() {
    let spoiled = Cell::new(0);
    let outcome = runner(1500).run(&commits(), |(before, commit)| {
        if judge(&before, &commit).is_err() {
            return Ok(());
        }
        for (number, wrong) in spoilt(&before, &commit).iter().enumerate() {
            prop_assert!(judge(&before, wrong).is_err(), "number {}: {:?}", number, wrong);
            spoiled.set(spoiled.get() + 1);
        }
        Ok(())
    });
    outcome.unwrap();
    assert!(spoiled.get() > 2000, "{}", spoiled.get());
}
