//! The quiet lines that tell people what a commit has changed. Not here: the change itself (`handshake`).

use waxwing_protocol::group::{GroupKind, Roster, RosterRole};
use waxwing_wire::AccountId;
use waxwing_wire::chain::What;

use super::entries::Reading;
use super::handshake::Committer;
use crate::error::Error;
use crate::mls::rules::{CommitFacts, GroupFacts};
use crate::store::account::Account;
use crate::store::people;
use crate::views::{Notice, Role};

/// One quiet line for each thing that people should know.
pub(super) fn notices(
    reading: &Reading<'_>,
    me: &Account,
    before: &GroupFacts,
    after: &GroupFacts,
    commit: &CommitFacts,
    committer: &Committer,
) -> Result<Vec<Notice>, Error> {
    let tx = reading.tx;
    let (Committer::Member(leaf) | Committer::Me(leaf)) = committer;
    let by_account = leaf.identity.account;
    let mine = by_account == me.account;
    let by = people::name(tx, me, by_account)?;
    let mut notices = Vec::new();
    if let Some((identity, _)) = commit.path
        && identity.key_version > leaf.identity.key_version
    {
        notices.push(Notice::KeysRotated { name: by.clone(), version: identity.key_version, mine });
    }
    let (old, new): (&Roster, &Roster) = (&before.roster, &after.roster);
    for line in &old.lines {
        let moved = new.line(line.account).is_none_or(|now| now.account_key != line.account_key);
        let Some(chain) = reading.chain_of(line.account)?.filter(|_| moved) else { continue };
        let later = chain.events().iter().rev().take_while(|event| event.place.seq > line.chain_seq);
        let (name, mine) = (people::name(tx, me, line.account)?, line.account == me.account);
        match later.map(|event| &event.what).find(|what| !matches!(what, What::DeviceKeysRotated(..))) {
            Some(What::Recovered { .. }) => notices.push(Notice::Recovered { name, mine }),
            Some(What::AccountKeyRotated(_)) => notices.push(Notice::AccountKeyReplaced { name, mine }),
            Some(What::Closed) if new.line(line.account).is_none() => notices.push(Notice::AccountClosed { name }),
            _ => {}
        }
    }
    if new.kind != GroupKind::Group {
        return Ok(notices);
    }
    let (admitted, added): (Vec<_>, Vec<_>) = new
        .lines
        .iter()
        .filter(|line| old.line(line.account).is_none())
        .partition(|line| reading.admitted == Some(line.account));
    for line in admitted {
        let name = people::name(tx, me, line.account)?;
        notices.push(Notice::JoinedByLink { by: by.clone(), mine, name, me: false });
    }
    if !added.is_empty() {
        let names = added.iter().map(|line| people::name(tx, me, line.account)).collect::<Result<_, _>>()?;
        let me_too = added.iter().any(|line| line.account == me.account);
        notices.push(Notice::Added { by: by.clone(), mine, names, me: me_too });
    }
    for line in old.lines.iter().filter(|line| new.line(line.account).is_none()) {
        let name = people::name(tx, me, line.account)?;
        if reading.answered == Some(line.account) || wanted_to_leave(reading, before, commit, line.account)? {
            notices.push(Notice::Left { name, mine: line.account == me.account });
        } else {
            notices.push(Notice::Removed { by: by.clone(), mine, name, me: line.account == me.account });
        }
    }
    if old.name != new.name {
        notices.push(Notice::Renamed { by: by.clone(), mine, title: new.name.clone() });
    }
    for line in &new.lines {
        if old.line(line.account).is_some_and(|known| known.role != line.role) {
            let name = people::name(tx, me, line.account)?;
            let role = if line.role == RosterRole::Admin { Role::Admin } else { Role::Member };
            let me_too = line.account == me.account;
            notices.push(Notice::RoleChanged { by: by.clone(), mine, name, me: me_too, role });
        }
    }
    Ok(notices)
}

/// Whether a commit that takes somebody out has their own proof that they want to go: not that of a leaf which somebody else has made in their name.
pub(super) fn wanted_to_leave(
    reading: &Reading<'_>,
    before: &GroupFacts,
    commit: &CommitFacts,
    account: AccountId,
) -> Result<bool, Error> {
    for proof in commit.data.leaves.iter().filter(|proof| proof.account == account) {
        let leaf = before
            .leaves
            .iter()
            .find(|leaf| (leaf.identity.account, leaf.identity.device) == (proof.account, proof.device));
        if let Some(leaf) = leaf
            && reading.stated(leaf)? != Some(false)
        {
            return Ok(true);
        }
    }
    Ok(false)
}
