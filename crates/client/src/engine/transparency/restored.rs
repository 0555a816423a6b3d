//! A relay that was restored from a backup: its log goes on under another origin, from where the backup ended. Signed notes say so, and the
//! leaves that were read here say whether that is true.
//!
//! Not here: what else the relay has lost, and what of it is told again (`engine::restored`).

use std::collections::HashSet;

use waxwing_wire::RelayAddress;
use waxwing_wire::transparency::{Frontier, Leaf, NoteKey, Restored, SignedCheckpoint};

use super::super::Engine;
use super::{MOST_LEAVES, load, unavailable};
use crate::error::Error;
use crate::relay::RelayApi;
use crate::store::restorations::{self, Restoration};
use crate::store::transparency::{self as stored, Against, TransparencyLog, relay_of};

/// Most restorations that a relay can have gone through: those that were followed here, and those that are still to be.
const MOST_NOTES: usize = restorations::MOST as usize;

/// The origin that a checkpoint's note names, if it is one of this relay's; else the relay's own.
pub(super) fn origin_of<'a>(note: &'a str, relay: &'a RelayAddress) -> std::borrow::Cow<'a, str> {
    match note.split('\n').next() {
        Some(origin) if relay_of(origin) == relay.authority() => origin.into(),
        _ => relay.authority().into(),
    }
}

/// Whether a checkpoint's note names another origin of the same relay than the pinned one.
pub(super) fn other_origin(note: &str, pinned: &NoteKey) -> bool {
    let origin = note.split('\n').next().unwrap_or_default();
    origin != pinned.name() && relay_of(origin) == relay_of(pinned.name())
}

/// The notes that lead from an origin that is known here to the log's own.
#[derive(Debug)]
struct Way {
    /// The oldest first; never empty.
    notes: Vec<(Restored, String)>,
    /// So many of the leaves that were read here can be the log's, by the notes.
    kept: u64,
    /// Whether they begin at the pinned origin itself, so that its own leaves are judge of them.
    from_pinned: bool,
}

/// Finds it. The notes are a relay's words: each must be signed by the pinned key, name this relay, and go on from the one before.
fn way(pinned: &NoteKey, known: &[Restoration], notes: &[String]) -> Result<Way, &'static str> {
    let relay = relay_of(pinned.name());
    if notes.is_empty() || notes.len() > MOST_NOTES {
        return Err("no note, or more of them than there can be");
    }
    let (mut read, mut origins): (Vec<(Restored, String)>, HashSet<String>) = (Vec::new(), HashSet::new());
    for note in notes {
        let one =
            Restored::verify(note.as_bytes(), pinned.public()).map_err(|_| "a note that the log's key did not sign")?;
        let named = one.origin.strip_prefix(relay).is_some_and(|rest| rest.len() > 1 && rest.starts_with('/'));
        if !named || relay_of(&one.previous) != relay {
            return Err("a note of another relay");
        }
        if let Some((before, _)) = read.last()
            && (before.origin != one.previous || before.size > one.size)
        {
            return Err("notes that do not go on from each other");
        }
        if one.previous == one.origin || !origins.insert(one.origin.clone()) {
            return Err("notes that go in a circle");
        }
        read.push((one, note.clone()));
    }
    // Under each origin that is known here: how many of its leaves were the first of what is read here now.
    let upto = |origin: &str| {
        if origin == pinned.name() {
            return Some(u64::MAX);
        }
        let from = known.iter().position(|one| one.previous == origin)?;
        known.iter().skip(from).map(|one| one.size).min()
    };
    let from = read.iter().rposition(|(one, _)| upto(&one.previous).is_some());
    // A backup of before the origin that was met here first: its last note must hold by the leaves alone.
    let way = read.split_off(from.unwrap_or(read.len() - 1));
    if way.iter().any(|(one, _)| upto(&one.origin).is_some()) {
        return Err("a note that leads to an origin of before");
    }
    if known.len() + way.len() > MOST_NOTES {
        return Err("more restorations than there can be");
    }
    let Some((first, _)) = way.first() else { return Err("no note") };
    let kept = upto(&first.previous).unwrap_or(u64::MAX).min(first.size);
    let from_pinned = first.previous == pinned.name();
    Ok(Way { kept, from_pinned, notes: way })
}

impl Engine {
    /// The log goes by another origin than the pinned one: follows the notes that say why, if they are true, and gives the key under its new
    /// name. `newest`: the checkpoint that it shows now. Nothing has changed where they are not.
    pub(super) async fn follow_restored(
        &self,
        relay: &RelayAddress,
        api: &RelayApi,
        newest: &str,
    ) -> Result<NoteKey, Error> {
        let authority = relay.authority();
        let stored = self.store.run(move |tx| Ok((load(tx, &authority)?, restorations::of(tx, &authority)?)));
        let (log, known) = stored.await?;
        let notes = api.log_restorations().await?;
        let way = way(&log.key, &known, &notes).map_err(|why| unavailable(format!("the relay's log has {why}")))?;
        let Some((last, _)) = way.notes.last() else { return Err(unavailable("no note")) };
        let key = NoteKey::new(&last.origin, log.key.public()).map_err(|error| unavailable(error.to_string()))?;
        let newest =
            SignedCheckpoint::verify(newest.as_bytes(), &key).map_err(|error| unavailable(error.to_string()))?;
        if newest.checkpoint().size < last.size || last.size > MOST_LEAVES {
            return Err(unavailable("the relay's log ends before the backup that it says it was restored from"));
        }
        let kept = self.own_edge(&log.relay, way.kept.min(log.size())).await?;
        self.hold_against_leaves(api, &log, &way, kept.clone()).await?;
        let now = self.now_ms();
        let proved = log.proved.as_ref().map(|proved| proved.note().to_owned());
        let mut previous = log.key.name().to_owned();
        let mut restored = Vec::with_capacity(way.notes.len());
        for (n, (one, note)) in way.notes.into_iter().enumerate() {
            restored.push(Restoration {
                previous: std::mem::replace(&mut previous, one.origin.clone()),
                origin: one.origin,
                // Of a log that the user goes on with nothing is held against another any more.
                size: if n > 0 {
                    one.size
                } else if proved.is_some() {
                    way.kept
                } else {
                    kept.size()
                },
                // The relay's word; no backup is of after it was put back.
                time_ms: one.time_ms.min(now),
                found_ms: now,
                note,
                proved: proved.clone().filter(|_| n == 0),
            });
        }
        tracing::warn!(origin = key.name(), kept = kept.size(), "a relay was restored from a backup");
        let relay = log.relay.clone();
        self.store.run(move |tx| restorations::follow(tx, &log, &restored, &kept)).await?;
        self.tell_log(&relay).await;
        // Conversations there may have gone back with it.
        self.logs_changed.send_modify(|count| *count += 1);
        Ok(key)
    }

    /// The tree of the leaves that were read here must have each note's root at its size; where fewer were read, it is read on, and thrown away.
    async fn hold_against_leaves(
        &self,
        api: &RelayApi,
        log: &TransparencyLog,
        way: &Way,
        mut edge: Frontier,
    ) -> Result<(), Error> {
        let own = edge.clone();
        for (n, (note, text)) in way.notes.iter().enumerate() {
            read_on(api, &mut edge, note.size, |_| ()).await?;
            if edge.size() == note.size && edge.root() == note.root {
                continue;
            }
            // Leaves of the relay's are not signed. Those that were proved here before are as good as its signature.
            if let Some(proved) = log.proved.as_ref().filter(|_| n == 0 && own.size() > 0) {
                let known = self.is_evidence(&log.relay, proved.note(), text).await?;
                let alone = way.from_pinned && own.size() == note.size;
                if known || alone || self.parts_from(api, &own, note).await? {
                    return Err(self.against_notes(Against::Diverged, &log.relay, proved.note(), text).await);
                }
            }
            return Err(unavailable("the relay's log was not restored from what was read of it"));
        }
        Ok(())
    }

    /// Whether a log's leaves of now, read from the first one on, have the note's root, and these first leaves of one's own are not theirs. So it
    /// is where a backup was restored by mistake, one came to know the relay then, and another backup was restored after it: no note leads on from
    /// what one has read, and nobody but the user can end that.
    async fn parts_from(&self, api: &RelayApi, own: &Frontier, note: &Restored) -> Result<bool, Error> {
        let (mut edge, mut parted) = (Frontier::new(), false);
        while edge.size() < note.size {
            let next = if edge.size() < own.size() { own.size().min(note.size) } else { note.size };
            read_on(api, &mut edge, next, |_| ()).await?;
            parted |= edge.size() == own.size() && edge.root() != own.root();
        }
        Ok(parted && edge.root() == note.root)
    }

    /// Whether these two are kept as evidence that the user has not settled.
    async fn is_evidence(&self, relay: &str, first: &str, second: &str) -> Result<bool, Error> {
        let relay = relay.to_owned();
        let evidence = self.store.run(move |tx| stored::unsettled(tx, &relay)).await?;
        Ok(evidence.iter().any(|one| one.first == first && one.second == second))
    }
}

/// Reads leaves of a log as it is now into a tree, up to this size, and shows each on the way.
pub(in crate::engine) async fn read_on(
    api: &RelayApi,
    edge: &mut Frontier,
    size: u64,
    mut look: impl FnMut(&Leaf) + Send,
) -> Result<(), Error> {
    while edge.size() < size {
        let from = edge.size();
        let mut leaves = api.log_leaves(from).await?;
        leaves.truncate(usize::try_from(size - from).unwrap_or(usize::MAX));
        if leaves.is_empty() {
            return Err(unavailable("the relay's log has fewer leaves than it says"));
        }
        for leaf in &leaves {
            edge.append(leaf.hash()).map_err(|error| unavailable(error.to_string()))?;
            look(leaf);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;

    const RELAY: &str = "relay.example";

    fn log_key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    fn pinned(origin: &str) -> NoteKey {
        NoteKey::new(origin, log_key().verifying_key().as_bytes()).unwrap()
    }

    fn note(previous: &str, origin: &str, size: u64) -> String {
        let (origin, previous) = (origin.to_owned(), previous.to_owned());
        Restored { origin, previous, size, root: [1; 32], time_ms: 5 }.sign(&log_key()).unwrap()
    }

    fn followed(previous: &str, origin: &str, size: u64) -> Restoration {
        let (origin, previous) = (origin.to_owned(), previous.to_owned());
        Restoration { origin, previous, size, time_ms: 5, found_ms: 6, note: String::new(), proved: None }
    }

    fn names(way: &Way) -> Vec<&str> {
        way.notes.iter().map(|(one, _)| one.origin.as_str()).collect()
    }

    #[test]
    fn d14_the_way_goes_on_from_what_is_known() {
        let (a, b, c) = ("relay.example/aa", "relay.example/bb", "relay.example/cc");
        let two = [note(RELAY, a, 10), note(a, b, 15)];
        // Twice since, once since, and an origin that no backup holds.
        let whole = way(&pinned(RELAY), &[], &two).unwrap();
        assert_eq!((names(&whole), whole.kept, whole.from_pinned), (vec![a, b], 10, true));
        let one = way(&pinned(a), &[followed(RELAY, a, 10)], &two).unwrap();
        assert_eq!((names(&one), one.kept), (vec![b], 15));
        // One backup restored twice: the one before was under an origin that nobody has now.
        let again = way(&pinned(a), &[followed(RELAY, a, 10)], &[note(RELAY, c, 10)]).unwrap();
        assert_eq!((names(&again), again.kept, again.from_pinned), (vec![c], 10, false));
        // The one before was from an older backup: what was read behind that is another history.
        let later = way(&pinned(a), &[followed(RELAY, a, 10)], &[note(RELAY, c, 12)]).unwrap();
        assert_eq!((names(&later), later.kept), (vec![c], 10));
        // Met here first under an origin that is gone: the last note is judged by the leaves alone.
        let met = way(&pinned(b), &[], &[note(RELAY, a, 9), note(a, c, 11)]).unwrap();
        assert_eq!((names(&met), met.kept, met.from_pinned), (vec![c], 11, false));
    }

    #[test]
    fn p17_notes_that_lead_nowhere_are_refused() {
        let (a, b) = ("relay.example/aa", "relay.example/bb");
        let other_key = {
            let (origin, previous) = (a.to_owned(), RELAY.to_owned());
            Restored { origin, previous, size: 1, root: [1; 32], time_ms: 5 }
                .sign(&SigningKey::from_bytes(&[8; 32]))
                .unwrap()
        };
        let refused = |pin: &str, known: &[Restoration], notes: &[String]| way(&pinned(pin), known, notes).unwrap_err();
        refused(RELAY, &[], &[]);
        assert_eq!(refused(RELAY, &[], &[other_key]), "a note that the log's key did not sign");
        for origin in ["other.example/aa", "relay.example.org/aa", "relay.example/", "relay.examplex"] {
            assert_eq!(refused(RELAY, &[], &[note(RELAY, origin, 1)]), "a note of another relay", "{origin}");
        }
        assert_eq!(refused(RELAY, &[], &[note("other.example", a, 1)]), "a note of another relay");
        assert_eq!(refused(RELAY, &[], &[note(RELAY, a, 5), note(a, b, 4)]), "notes that do not go on from each other");
        assert_eq!(
            refused(RELAY, &[], &[note(RELAY, a, 5), note(RELAY, b, 6)]),
            "notes that do not go on from each other"
        );
        assert_eq!(refused(RELAY, &[], &[note(a, a, 5)]), "notes that go in a circle");
        let circle = [note(RELAY, a, 5), note(a, b, 5), note(b, a, 5)];
        assert_eq!(refused(RELAY, &[], &circle), "notes that go in a circle");
        // Back to an origin that was left, and to the one that is pinned.
        let known = [followed(RELAY, a, 5), followed(a, b, 6)];
        assert_eq!(refused(b, &known, &[note(RELAY, a, 5)]), "a note that leads to an origin of before");
        assert_eq!(refused(a, &known[..1], &[note(RELAY, a, 5)]), "a note that leads to an origin of before");
        refused(RELAY, &[], &vec![note(RELAY, a, 1); MOST_NOTES + 1]);
    }

    /// Each is shown for good, so a relay cannot go on with it for ever: few at a time are none the better.
    #[test]
    fn p17_no_more_restorations_of_a_relay_are_followed_than_there_can_be() {
        let origin = |n: usize| if n == 0 { RELAY.to_owned() } else { format!("{RELAY}/{n:x}") };
        let known: Vec<_> = (0..MOST_NOTES).map(|n| followed(&origin(n), &origin(n + 1), 5)).collect();
        let go_on = |known: &[Restoration], more: usize| {
            let from = known.len();
            let notes: Vec<_> = (from..from + more).map(|n| note(&origin(n), &origin(n + 1), 5)).collect();
            way(&pinned(&origin(from)), known, &notes).map(|way| way.notes.len())
        };
        let refused = Err("more restorations than there can be");
        assert_eq!(go_on(&known[..MOST_NOTES - 2], 2), Ok(2));
        assert_eq!(go_on(&known[..MOST_NOTES - 2], 3), refused);
        assert_eq!(go_on(&known[..MOST_NOTES - 1], 1), Ok(1));
        assert_eq!(go_on(&known, 1), refused);
    }
}
