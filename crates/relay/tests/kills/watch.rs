//! The transparency log, as somebody watches it who keeps its newest checkpoint: each goes on from the one before, and in the end the leaves are what
//! the chains say.

use std::sync::Mutex;

use reqwest::Method;
use waxwing_wire::api::{ChainPage, ConsistencyProof, RelayInfo};
use waxwing_wire::chain::ChainEntry;
use waxwing_wire::transparency::{
    Frontier, Leaf, NoteKey, SignedCheckpoint, Verdict, account_hash, decode_leaves, judge,
};

use crate::fault::{Broken, End, promised};
use crate::kit::Http;
use crate::world::good;

/// The newest checkpoint that was served.
#[derive(Default)]
pub struct Watch(Mutex<Option<SignedCheckpoint>>);

impl Watch {
    /// Fetches the newest checkpoint, which must go on from the one kept, and keeps it. Nothing is written meanwhile.
    pub async fn look(&self, http: &Http) -> Result<SignedCheckpoint, End> {
        let info: RelayInfo = get(http, "/v1/relay").await?.json().await?;
        let key: Option<NoteKey> = info.log_key.and_then(|key| key.parse().ok());
        let key = key.ok_or_else(|| Broken("the relay names no key of its log".to_owned()))?;
        let note = get(http, "/v1/transparency/checkpoint").await?.bytes().await?;
        let newest = SignedCheckpoint::verify(&note, &key);
        let newest = newest.map_err(|error| Broken(format!("a checkpoint that is none: {error}")))?;
        let kept = self.0.lock().unwrap().clone();
        if let Some(kept) = kept {
            let (first, second) = (kept.checkpoint().size, newest.checkpoint().size);
            let path = if (1..second).contains(&first) {
                let path = format!("/v1/transparency/proof?first={first}&second={second}");
                get(http, &path).await?.json::<ConsistencyProof>().await?.path.0
            } else {
                Vec::new()
            };
            goes_on(&kept, &newest, &path)?;
        }
        *self.0.lock().unwrap() = Some(newest.clone());
        Ok(newest)
    }

    /// The same; and the leaves are those of the checkpoint and what `chains` say, which are all that there are.
    pub async fn look_at_all(&self, http: &Http, chains: &[ChainPage]) -> Result<(), End> {
        let newest = self.look(http).await?;
        let mut leaves = Vec::new();
        loop {
            let page = get(http, &format!("/v1/transparency/leaves?from={}", leaves.len())).await?.bytes().await?;
            let page = decode_leaves(&page).map_err(|_| Broken("leaves that cannot be read".to_owned()))?;
            if page.is_empty() {
                break;
            }
            leaves.extend(page);
        }
        let checkpoint = newest.checkpoint();
        promised!((checkpoint.size, checkpoint.root) == tree(&leaves), "other leaves than the checkpoint has");
        let mut said = Vec::new();
        for page in chains {
            said.extend(said_by(page)?);
        }
        Ok(accounted(&leaves, said)?)
    }
}

async fn get(http: &Http, path: &str) -> Result<reqwest::Response, End> {
    good(path, http.request(Method::GET, path).send().await?).await
}

fn goes_on(kept: &SignedCheckpoint, newest: &SignedCheckpoint, path: &[[u8; 32]]) -> Result<(), Broken> {
    let (before, now) = (kept.checkpoint().size, newest.checkpoint().size);
    promised!(now >= before, "the log of keys went back from {before} leaves to {now}");
    match judge(kept, newest, path) {
        Ok(Verdict::Consistent) => Ok(()),
        other => Err(Broken(format!("{now} leaves do not go on from {before}: {other:?}"))),
    }
}

fn tree(leaves: &[Leaf]) -> (u64, [u8; 32]) {
    let mut tree = Frontier::new();
    leaves.iter().for_each(|leaf| tree.append(leaf.hash()).unwrap());
    (tree.size(), tree.root())
}

/// What a leaf says, but for the hash of a name, which takes long.
type Says = (Option<([u8; 32], u32)>, [u8; 32]);

fn says(leaf: &Leaf) -> Says {
    match leaf {
        Leaf::Chain { account_hash, seq, entry_hash } => (Some((*account_hash, *seq)), *entry_hash),
        Leaf::Name { entry_hash, .. } => (None, *entry_hash),
    }
}

/// What a chain says of the log: at which place is what.
fn said_by(page: &ChainPage) -> Result<Vec<(u64, Says)>, Broken> {
    let mut said = Vec::new();
    for (entry, index) in page.entries.iter().zip(&page.indexes) {
        let entry = ChainEntry::decode(entry.as_ref()).map_err(|_| Broken("a chain entry that is none".to_owned()))?;
        let (seq, hash) = (entry.unsigned.seq, entry.hash());
        said.push((*index, (Some((account_hash(&page.account), seq)), hash)));
        if seq == 0 {
            let index = page.name_index.ok_or_else(|| Broken("a name without its place in the log".to_owned()))?;
            said.push((index, (None, hash)));
        }
    }
    Ok(said)
}

/// Each leaf is said by one chain, at its place, and nothing else is.
fn accounted(leaves: &[Leaf], mut said: Vec<(u64, Says)>) -> Result<(), Broken> {
    said.sort_unstable();
    promised!(said.len() == leaves.len(), "{} leaves, and the chains say {}", leaves.len(), said.len());
    for (place, (leaf, said)) in (0..).zip(leaves.iter().zip(said)) {
        promised!(said == (place, says(leaf)), "leaf {place} is not what a chain says");
    }
    Ok(())
}

/// A check that finds nothing must be one that could.
#[test]
fn the_watch_finds_what_is_wrong() {
    use ed25519_dalek::SigningKey;
    use waxwing_wire::transparency::{Checkpoint, Node, consistency_path};
    let leaf = |n: u8| Leaf::Chain { account_hash: [n; 32], seq: 0, entry_hash: [n; 32] };
    let leaves: Vec<Leaf> = (0..5).map(leaf).collect();
    let by = |key: u8, leaves: &[Leaf]| {
        let (size, root) = tree(leaves);
        let checkpoint = Checkpoint { origin: "relay.example".to_owned(), size, root, time_ms: 1 };
        SignedCheckpoint::sign(&checkpoint, &SigningKey::from_bytes(&[key; 32])).unwrap()
    };
    let mut nodes = std::collections::HashMap::new();
    let mut growing = Frontier::new();
    for leaf in &leaves {
        let made = growing.append_nodes(leaf.hash()).unwrap();
        nodes.extend(made.into_iter().map(|Node { level, index, hash }| ((level, index), hash)));
    }
    let path = consistency_path(3, 5, |level, index| nodes.get(&(level, index)).copied().ok_or(())).unwrap();
    let (path, none): (&[_], &[_]) = (&path, &[]);
    let (old, new) = (by(1, &leaves[..3]), by(1, &leaves));
    goes_on(&old, &new, path).unwrap();
    goes_on(&old, &old, none).unwrap();
    let words = |outcome: Result<(), Broken>| outcome.unwrap_err().0;
    assert!(words(goes_on(&new, &old, path)).starts_with("the log of keys went back from 5 leaves to 3"));
    let other = [leaf(0), leaf(7), leaf(2), leaf(3), leaf(4)];
    for (newest, path) in [(by(1, &other), path), (by(2, &leaves), path), (by(1, &leaves), none)] {
        assert!(words(goes_on(&old, &newest, path)).starts_with("5 leaves do not go on from 3"));
    }
    assert!(words(goes_on(&new, &by(1, &other), none)).contains("Contradiction"));

    let said = |leaves: &[Leaf]| (0..).zip(leaves).map(|(place, leaf)| (place, says(leaf))).collect::<Vec<_>>();
    accounted(&leaves, said(&leaves)).unwrap();
    assert!(words(accounted(&leaves, said(&leaves[..4]))).starts_with("5 leaves, and the chains say 4"));
    assert!(words(accounted(&leaves, said(&other))).starts_with("leaf 1 is not"));
    let mut elsewhere = said(&leaves);
    elsewhere[4].0 = 3;
    assert!(words(accounted(&leaves, elsewhere)).starts_with("leaf 4 is not"));
}
