//! Blobs through power cuts: of what was answered nothing is missing, and nothing is other than it was.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use waxwing_wire::BlobId;
use waxwing_wire::api::BlobReceived;
use waxwing_wire::limits::MIN_BLOB_PART;

use crate::backend::{Backend as _, Sqlite};
use crate::campaign::Outage as _;
use crate::fault::{Broken, End, promised};
use crate::kill::rounds;
use crate::kit::{Account, Http, random};
use crate::power::Power;
use crate::program::{AUDIENCE, Program, built, serve, url};
use crate::way::Way;
use crate::world::{Pass, unexpected};

const PART: usize = MIN_BLOB_PART as usize;

/// A blob of which something was answered.
struct Blob {
    id: BlobId,
    bytes: Vec<u8>,
    /// That all of it is there, or that so many bytes are.
    told: usize,
}

impl Blob {
    fn new(size: usize) -> Self {
        let bytes: Vec<u8> = random::<64>().into_iter().cycle().take(size).collect();
        Self { id: BlobId::of(&bytes), bytes, told: 0 }
    }

    fn path(&self) -> String {
        format!("/v1/blobs/{}", self.id)
    }
}

/// Who puts blobs up at one start of the relay.
struct Session<'a> {
    http: &'a Http,
    owner: &'a Account,
    pass: Pass,
}

impl Session<'_> {
    /// Puts blobs up, whole and in two parts, until the relay is gone.
    async fn load(&self, blobs: &mut Vec<Blob>) -> Result<(), Broken> {
        for turn in 0.. {
            let in_parts = turn % 3 == 2;
            blobs.push(Blob::new(if in_parts { 2 * PART } else { 1 + 30_000 * (turn % 5) }));
            let Some(blob) = blobs.last_mut() else { break };
            let ends = if in_parts { vec![PART, 2 * PART] } else { vec![blob.bytes.len()] };
            for end in ends {
                match self.put(blob, end).await {
                    Ok(()) => blob.told = end,
                    Err(End::Broken(broken)) => return Err(broken),
                    Err(End::Gone | End::Away) => return Ok(()),
                }
            }
        }
        Ok(())
    }

    /// Puts up what comes after that which is there, up to `end`.
    async fn put(&self, blob: &Blob, end: usize) -> Result<(), End> {
        let request = self.pass.request(self.http, self.owner, Method::PUT, &blob.path());
        let request = match blob.bytes.len() {
            size if blob.told == 0 && end == size => request,
            size => request.header("content-range", format!("bytes {}-{}/{size}", blob.told, end - 1)),
        };
        let answer = request.body(blob.bytes[blob.told..end].to_vec()).send().await?;
        let whole = end == blob.bytes.len();
        match answer.status() {
            StatusCode::CREATED if whole => Ok(()),
            StatusCode::ACCEPTED if !whole => Ok(()),
            _ => Err(unexpected("a blob", answer).await),
        }
    }

    /// Looks whether all is there that was answered.
    async fn look(&self, blobs: &[Blob]) -> Result<(), End> {
        for blob in blobs.iter().filter(|blob| blob.told > 0) {
            let size = blob.bytes.len();
            if blob.told == size {
                let answer = self.http.request(Method::GET, &blob.path()).send().await?;
                promised!(answer.status() == StatusCode::OK, "a blob of {size} bytes is not kept: {}", answer.status());
                promised!(answer.bytes().await? == blob.bytes, "a blob of {size} bytes has others now");
                continue;
            }
            let request = self.pass.request(self.http, self.owner, Method::PUT, &blob.path());
            let answer = request.header("content-range", format!("bytes */{size}")).send().await?;
            promised!(answer.status().is_success(), "how much there is of a blob: {}", answer.status());
            let received = answer.json::<BlobReceived>().await?.received;
            promised!(received >= blob.told as u64, "of {} bytes of a part there are {received}", blob.told);
        }
        Ok(())
    }
}

/// Cuts the power so many times while blobs are put up; gives how many of them, or of their parts, were answered.
async fn run(folder: &Sqlite, power: &Power, cuts: u64) -> Result<usize, Broken> {
    let owner = Account::new("alice", AUDIENCE);
    let mut blobs = Vec::new();
    for round in 0..=cuts {
        let mut command = serve(&built(), folder);
        power.prepare(&mut command);
        let (running, lines) = Program::start(&mut command, 1)
            .map_err(|errors| Broken(format!("it does not start any more: {errors}")))?;
        let http = Http::new(url(&lines[0]));
        if round == 0 {
            assert_eq!(http.register(&owner).await.status(), StatusCode::CREATED);
        }
        let looked = async {
            let session = Session { http: &http, owner: &owner, pass: Pass::of(&http, &owner).await? };
            session.look(&blobs).await.map(|()| session)
        };
        let session = looked.await.map_err(|end| match end {
            End::Broken(broken) => broken,
            End::Gone | End::Away => Broken("the relay did not answer".to_owned()),
        })?;
        if round == cuts {
            break;
        }
        let way = Way::new(http.clone());
        let killed = way.clone();
        let killing = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(300 + round * 37 % 150)).await;
            running.kill();
            killed.ends();
        });
        let load = async { session.load(&mut blobs).await.map_err(End::Broken) };
        if let Err(End::Broken(broken)) = way.while_it_lives(load).await {
            return Err(broken);
        }
        killing.await.unwrap();
        power.after(round);
    }
    Ok(blobs.iter().filter(|blob| blob.told > 0).count())
}

/// D3: a blob, or a part of one, that was answered is there after a power cut, with its name and its bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d3_power_loss_keeps_every_blob_that_was_answered() {
    let backend = Sqlite::new();
    let power = Power::over(backend.folder());
    let cuts = rounds(18) / 3;
    let told = run(&backend, &power, cuts).await.unwrap_or_else(|broken| panic!("{broken}"));
    println!("{cuts} power cuts: {told} blobs");
    assert!(told as u64 > 2 * cuts, "hardly any load: {told}");
}

/// D3, the other half: the same test finds what is lost where files or their names are not synced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d3_power_loss_without_sync_loses_blobs_that_were_answered() {
    for what in ["files", "folders"] {
        let backend = Sqlite::new();
        let power = Power::deaf(backend.folder(), what);
        let broken = run(&backend, &power, 6).await.expect_err(&format!("nothing was lost without syncing {what}"));
        println!("{what}: {broken}");
    }
}

/// What happens at one start of the relay, which is then killed.
async fn at_one_start(
    folder: &Sqlite,
    power: &Power,
    owner: &Account,
    what: impl AsyncFnOnce(Session<'_>) -> Result<(), End>,
) {
    let mut command = serve(&built(), folder);
    power.prepare(&mut command);
    let (running, lines) = Program::start(&mut command, 1).unwrap();
    let http = Http::new(url(&lines[0]));
    let pass = match Pass::of(&http, owner).await {
        Ok(pass) => pass,
        Err(_) => {
            assert_eq!(http.register(owner).await.status(), StatusCode::CREATED);
            Pass::of(&http, owner).await.unwrap_or_else(|_| panic!("no pass"))
        }
    };
    let done = what(Session { http: &http, owner, pass }).await;
    if let Err(End::Broken(broken)) = &done {
        panic!("{broken}");
    }
    assert!(done.is_ok(), "the relay is gone");
    running.kill();
}

/// D3: the names that a killed process had not synced are there as long as the power is. What the next one says of them holds after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d3_power_loss_keeps_what_was_answered_of_what_a_killed_process_had_not_synced() {
    let backend = Sqlite::new();
    let owner = Account::new("alice", AUDIENCE);
    let (mut begun, mut more, mut whole) = (Blob::new(2 * PART), Blob::new(2 * PART), Blob::new(30_000));
    let power = Power::deaf(backend.folder(), "folders");
    at_one_start(&backend, &power, &owner, async |session| {
        session.put(&begun, PART).await?;
        session.put(&more, PART).await?;
        session.put(&whole, 30_000).await
    })
    .await;
    let power = power.hears();
    at_one_start(&backend, &power, &owner, async |session| {
        // Asked for, gone on with, and put up once more.
        begun.told = PART;
        session.look(std::slice::from_ref(&begun)).await?;
        more.told = PART;
        session.put(&more, 2 * PART).await?;
        more.told = 2 * PART;
        session.put(&whole, 30_000).await?;
        whole.told = 30_000;
        Ok(())
    })
    .await;
    power.after(0);
    at_one_start(&backend, &power, &owner, async |session| session.look(&[begun, more, whole]).await).await;
}
