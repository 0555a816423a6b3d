//! Somebody who watches the transparency log over HTTP, as a client does: pins its key, reads every leaf, keeps every checkpoint.

use reqwest::StatusCode;
use waxwing_wire::api::{ChainPage, ConsistencyProof, InclusionProof, RelayInfo};
use waxwing_wire::chain::ChainEntry;
use waxwing_wire::transparency::{
    Frontier, Leaf, NoteKey, SignedCheckpoint, Verdict, account_hash, decode_leaves, judge, name_hash, verify_inclusion,
};

use crate::kit::Http;

/// The key, and every checkpoint that was served.
pub struct Auditor {
    pub key: NoteKey,
    pub served: Vec<SignedCheckpoint>,
}

impl Auditor {
    /// Pins the key that the relay names.
    pub async fn new(http: &Http) -> Self {
        Self { key: log_key(http).await, served: Vec::new() }
    }

    pub fn verify(&self, note: &str) -> SignedCheckpoint {
        SignedCheckpoint::verify(note.as_bytes(), &self.key).unwrap()
    }

    /// The newest checkpoint; kept.
    pub async fn checkpoint(&mut self, http: &Http) -> SignedCheckpoint {
        let answer = http.get("/v1/transparency/checkpoint").await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
        let signed = self.verify(&answer.text().await.unwrap());
        self.served.push(signed.clone());
        signed
    }

    /// Checks that the log is one: its leaves are those of its newest checkpoint, every checkpoint that was ever served is a beginning of it,
    /// no entry and no name has two leaves. Gives the leaves.
    pub async fn check(&mut self, http: &Http) -> Vec<Leaf> {
        let newest = self.checkpoint(http).await;
        let mut all = scan(http).await;
        all.truncate(usize::try_from(newest.checkpoint().size).unwrap());
        let (mut tree, mut roots) = (Frontier::new(), vec![Frontier::new().root()]);
        for leaf in &all {
            tree.append(leaf.hash()).unwrap();
            roots.push(tree.root());
        }
        for old in &self.served {
            let (size, newest_size) = (old.checkpoint().size, newest.checkpoint().size);
            assert_eq!(old.checkpoint().root, roots[usize::try_from(size).unwrap()]);
            let path = match size {
                0 => Vec::new(),
                _ => consistency(http, size, newest_size).await,
            };
            assert_eq!(judge(old, &newest, &path), Ok(Verdict::Consistent));
        }
        let mut subjects: Vec<_> = all
            .iter()
            .map(|leaf| match leaf {
                Leaf::Chain { account_hash, seq, .. } => (*account_hash, Some(*seq)),
                Leaf::Name { name_hash, .. } => (*name_hash, None),
            })
            .collect();
        subjects.sort_unstable();
        subjects.dedup();
        assert_eq!(subjects.len(), all.len(), "two leaves say one thing");
        all
    }

    /// Checks that a chain is in the log, where the relay says that it is: each entry, and the name. Gives the page.
    pub async fn chain(&mut self, http: &Http, who: &str, leaves: &[Leaf]) -> ChainPage {
        let page: ChainPage = http.get(&format!("/v1/accounts/{who}/chain")).await.json().await.unwrap();
        let covered = self.verify(page.checkpoint.as_ref().unwrap());
        self.served.push(covered.clone());
        let (size, root) = (covered.checkpoint().size, covered.checkpoint().root);
        assert_eq!(page.indexes.len(), page.entries.len());
        let mut expected = Vec::new();
        for (entry, index) in page.entries.iter().zip(&page.indexes) {
            let entry = ChainEntry::decode(entry.as_ref()).unwrap();
            let (account_hash, seq) = (account_hash(&page.account), entry.unsigned.seq);
            expected.push((*index, Leaf::Chain { account_hash, seq, entry_hash: entry.hash() }));
            if let (0, Some(name)) = (seq, &page.name) {
                let name_hash = name_hash(name, self.key.name()).unwrap();
                expected.push((page.name_index.unwrap(), Leaf::Name { name_hash, entry_hash: entry.hash() }));
            }
        }
        for (index, leaf) in expected {
            assert_eq!(leaves[usize::try_from(index).unwrap()], leaf);
            let proof = inclusion(http, index, size).await;
            assert_eq!(proof.leaf, leaf);
            assert_eq!(verify_inclusion(&leaf.hash(), index, size, proof.path.as_ref(), &root), Ok(()));
        }
        page
    }
}

pub async fn log_key(http: &Http) -> NoteKey {
    let info: RelayInfo = http.get("/v1/relay").await.json().await.unwrap();
    let key: NoteKey = info.log_key.unwrap().parse().unwrap();
    // A relay that was restored from a backup has something behind it.
    assert_eq!(key.name().split('/').next(), Some(info.audience.as_str()));
    key
}

/// All leaves.
pub async fn scan(http: &Http) -> Vec<Leaf> {
    let mut all = Vec::new();
    loop {
        let answer = http.get(&format!("/v1/transparency/leaves?from={}", all.len())).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "application/octet-stream");
        let page = decode_leaves(&answer.bytes().await.unwrap()).unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

pub async fn consistency(http: &Http, first: u64, second: u64) -> Vec<[u8; 32]> {
    let answer = http.get(&format!("/v1/transparency/proof?first={first}&second={second}")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    answer.json::<ConsistencyProof>().await.unwrap().path.0
}

pub async fn inclusion(http: &Http, index: u64, size: u64) -> InclusionProof {
    let answer = http.get(&format!("/v1/transparency/proof?index={index}&size={size}")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    answer.json().await.unwrap()
}
