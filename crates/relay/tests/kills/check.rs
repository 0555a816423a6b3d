//! Reading everything back, and comparing it with the ledger.

use reqwest::{Method, StatusCode};
use waxwing_wire::api::{Ack, ChainPage, base64url};
use waxwing_wire::frame::{InboxPage, LogEntry, LogPage};
use waxwing_wire::log::running_hash;

use crate::accounts::chain_page;
use crate::fault::{Broken, End, promised};
use crate::kit::{Account, Http, Log};
use crate::world::{INBOXES, LOGS, Pass, World, good};

/// What came since the last look, and that nothing of what was told is missing.
pub async fn news(http: &Http, world: &World, acknowledge: bool) -> Result<(), Broken> {
    not_gone(look(http, world, acknowledge).await)
}

/// Everything from the beginning.
pub async fn everything(http: &Http, world: &World) -> Result<(), Broken> {
    not_gone(read_all(http, world).await)
}

/// Nobody kills the relay while it is looked at.
fn not_gone(looked: Result<(), End>) -> Result<(), Broken> {
    looked.map_err(|end| match end {
        End::Broken(broken) => broken,
        End::Gone => Broken("the relay did not answer".to_owned()),
        End::Away => Broken("503, where the database is there".to_owned()),
    })
}

async fn look(http: &Http, world: &World, acknowledge: bool) -> Result<(), End> {
    for n in 0..LOGS {
        read_log(http, world, n).await?;
    }
    for n in 0..INBOXES {
        read_inbox(http, world, n, acknowledge).await?;
    }
    let mut names = std::mem::take(&mut world.ledger.open().fresh_chains);
    names.dedup();
    for name in names {
        same_chain(http, world, &name).await?;
    }
    world.watch.look(http).await?;
    world.ledger.open().look()?;
    Ok(())
}

/// What a log has after `after`.
pub async fn page(http: &Http, log: &Log, after: u64) -> Result<LogPage, End> {
    let request = http.request(Method::GET, &format!("/v1/logs/{}/entries?after={after}", log.id));
    let answer = request.bearer_auth(base64url::encode(&log.read)).send().await?;
    let answer = good("reading a log that is there", answer).await?;
    LogPage::decode(&answer.bytes().await?).map_err(|_| Broken("a page that cannot be read".to_owned()).into())
}

/// Reads on where the last look ended: the running hash there covers all that came before.
async fn read_log(http: &Http, world: &World, n: usize) -> Result<(), End> {
    loop {
        let log = world.log(n).log.clone();
        let (head, running) = at(world, n);
        let page = page(http, &log, head).await?;
        promised!(page.head >= head, "the log went back from {head} to {}", page.head);
        promised!(page.running == running, "another running hash at {head} than before");
        for entry in &page.entries {
            let mut book = world.ledger.open();
            book.places[n].running = after(&book.places[n].running, book.places[n].head, entry)?;
            book.read(n, entry.seq, entry.entry_id, &entry.blob)?;
        }
        if !page.entries.is_empty() {
            continue;
        }
        promised!(page.head == head, "the log's head is {}, and nothing comes after {head}", page.head);
        let mut shared = world.log(n);
        shared.after = shared.after.max(page.last_handshake);
        if !page.retired {
            return Ok(());
        }
        // Its sender has not heard so yet.
        let next = shared.next.take().ok_or_else(|| Broken("tokens were replaced by nobody".to_owned()))?;
        shared.log = next;
    }
}

fn at(world: &World, n: usize) -> (u64, [u8; 32]) {
    let book = world.ledger.open();
    (book.places[n].head, book.places[n].running)
}

/// The running hash after the next entry. A log has no gaps.
pub fn after(running: &[u8; 32], head: u64, entry: &LogEntry) -> Result<[u8; 32], Broken> {
    promised!(entry.seq == head + 1, "{} comes after {head}", entry.seq);
    Ok(running_hash(running, entry.seq, entry.entry_id, entry.kind, &entry.blob))
}

/// What the inbox of `owner` has after `after`.
pub async fn inbox_page(http: &Http, owner: &Account, pass: &Pass, after: u64) -> Result<InboxPage, End> {
    let request = pass.request(http, owner, Method::GET, &format!("/v1/inboxes/{}?after={after}", owner.device));
    let answer = good("reading an inbox", request.send().await?).await?;
    InboxPage::decode(&answer.bytes().await?).map_err(|_| Broken("an inbox's page".to_owned()).into())
}

async fn read_inbox(http: &Http, world: &World, n: usize, acknowledge: bool) -> Result<(), End> {
    let owner = &world.inboxes[n].owner;
    let pass = Pass::of(http, owner).await?;
    let place = LOGS + n;
    loop {
        let (head, _) = at(world, place);
        let page = inbox_page(http, owner, &pass, head).await?;
        promised!(page.head >= head, "the inbox went back from {head} to {}", page.head);
        if page.entries.is_empty() {
            break;
        }
        for entry in &page.entries {
            world.ledger.open().read(place, entry.seq, entry.entry_id, &entry.blob)?;
        }
    }
    // What was acknowledged does not come again; all else is still there.
    let page = inbox_page(http, owner, &pass, 0).await?;
    let (head, _) = at(world, place);
    let acknowledged = world.ledger.open().places[place].acknowledged;
    promised!(page.entries.iter().all(|entry| entry.seq > acknowledged), "what was acknowledged came again");
    let waiting = !page.entries.is_empty();
    promised!(waiting == (head > acknowledged), "{head} entries came, {acknowledged} were acknowledged, and {waiting}");
    if acknowledge {
        let path = format!("/v1/inboxes/{}/ack", owner.device);
        let request = pass.request(http, owner, Method::POST, &path).json(&Ack { up_to: head });
        let answer = request.send().await?;
        promised!(answer.status() == StatusCode::NO_CONTENT, "an acknowledgement: {}", answer.status());
        world.ledger.open().places[place].acknowledged = head;
    }
    Ok(())
}

/// The chain begins with what was told, and has at most one more entry: one whose answer was lost.
async fn same_chain(http: &Http, world: &World, name: &str) -> Result<ChainPage, End> {
    let told = world.ledger.open().chains[name].clone();
    let page = chain_page(http, name).await?;
    let stored = &page.entries;
    let same = stored.iter().zip(&told).take_while(|(stored, told)| stored.0 == **told).count();
    promised!(same == told.len(), "of {} chain entries that were answered 201 there are {same}", told.len());
    promised!(stored.len() <= told.len() + 1, "more chain entries than were sent");
    Ok(page)
}

async fn read_all(http: &Http, world: &World) -> Result<(), End> {
    look(http, world, false).await?;
    for n in 0..LOGS {
        let log = world.log(n).log.clone();
        let (head, running) = at(world, n);
        let (mut seq, mut hash) = (0, [0; 32]);
        while seq < head {
            let page = page(http, &log, seq).await?;
            promised!(!page.entries.is_empty(), "nothing comes after {seq}, and {head} was told");
            for entry in &page.entries {
                hash = after(&hash, seq, entry)?;
                seq = entry.seq;
                let book = world.ledger.open();
                promised!(book.places[n].seq(entry.entry_id) == Some(seq), "another place than before");
                book.matches(n, seq, entry.entry_id, &entry.blob)?;
            }
        }
        promised!((seq, hash) == (head, running), "another log than was read before");
    }
    let names: Vec<String> = world.ledger.open().chains.keys().cloned().collect();
    let mut chains = Vec::new();
    for name in names {
        chains.push(same_chain(http, world, &name).await?);
    }
    for inbox in &world.inboxes {
        chains.push(chain_page(http, &inbox.owner.id.to_string()).await?);
    }
    world.watch.look_at_all(http, &chains).await?;
    world.ledger.open().look_at_all()?;
    Ok(())
}

#[test]
fn a_log_that_has_a_gap_is_found() {
    use waxwing_wire::EnvelopeId;
    use waxwing_wire::log::EnvelopeKind;
    let (entry_id, kind) = (EnvelopeId::from_bytes([1; 16]), EnvelopeKind::App);
    let next = |seq| after(&[0; 32], 1, &LogEntry { seq, entry_id, kind, blob: b"blob".to_vec() });
    for seq in [0, 1, 3] {
        assert!(next(seq).unwrap_err().0.starts_with(&format!("{seq} comes after 1")));
    }
    assert_ne!(next(2).unwrap(), [0; 32]);
}
