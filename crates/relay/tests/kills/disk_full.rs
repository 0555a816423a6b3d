//! No space left, on a file system of a few MiB in a mount namespace of the test's own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Method, Response, StatusCode};
use tempfile::TempDir;
use waxwing_wire::api::base64url;
use waxwing_wire::frame::{Append, InboxSend};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::problem::ProblemCode;
use waxwing_wire::{EnvelopeId, api::Stored};

use crate::kit::{Account, Http, Log, app, code, problem, random};
use crate::program::{AUDIENCE, Program, arguments, built, url};
use crate::world::{Pass, World};

/// For the relay to notice that there is space again: it looks with each write.
const PATIENCE: Duration = Duration::from_secs(20);
/// Left for the relay, so that it is what fills the disk.
const LEFT: u64 = 256 * 1024;
/// More entries of 1 KiB than ever fit.
const MANY: usize = 40_000;

/// Mounts, says so, and ends with its input: that is when the test does. The file system goes with it.
const KEEPER: &str = r#"mount -t tmpfs -o "size=$1,mode=0700" waxwing "$2" && echo mounted && exec cat"#;

/// A small disk that nobody else sees.
struct Disk {
    keeper: Child,
    // Held: its end is the keeper's.
    _input: ChildStdin,
    mounted: TempDir,
    namespaces: &'static Namespaces,
}

/// How they are made and entered.
struct Namespaces {
    made: &'static [&'static str],
    entered: &'static [&'static str],
}

/// As root; and as anybody, where the system lets them.
const NAMESPACES: &[Namespaces] = &[
    Namespaces { made: &["--mount"], entered: &["--mount"] },
    Namespaces {
        made: &["--mount", "--user", "--map-root-user"],
        entered: &["--mount", "--user", "--preserve-credentials"],
    },
];

impl Disk {
    /// None, and a line that says why, where this user may not mount anything.
    fn of(bytes: u64) -> Option<Self> {
        let mounted = tempfile::tempdir().unwrap();
        let Some((mut keeper, namespaces)) = NAMESPACES.iter().find_map(|namespaces| {
            let mut command = Command::new("unshare");
            command.args(namespaces.made).args(["--propagation", "private", "sh", "-c", KEEPER, "sh"]);
            command.arg(bytes.to_string()).arg(mounted.path());
            let mut keeper = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
            let mut said = String::new();
            BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut said).unwrap();
            if said != "mounted\n" {
                let _ = keeper.wait();
                return None;
            }
            Some((keeper, namespaces))
        }) else {
            println!(
                "SKIPPED: no mount namespace can be made here: it takes root or user namespaces, and unshare (util-linux)"
            );
            return None;
        };
        let input = keeper.stdin.take().unwrap();
        let disk = Self { keeper, _input: input, mounted, namespaces };
        // Not for the relay to take up: it is what there is again after `free`.
        std::fs::write(disk.seen("filler"), vec![0; usize::try_from(bytes / 3).unwrap()]).unwrap();
        Some(disk)
    }

    /// `waxwing-relay serve` on it.
    fn relay(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(self.namespaces.entered).args(["--target", &self.keeper.id().to_string(), "--"]).arg(built());
        // After all others, so that its address is the second line.
        command.args(arguments(&self.mounted.path().join("data"))).arg("--operator-listen=0");
        command
    }

    /// The disk, as seen from outside of its namespace.
    fn seen(&self, name: &str) -> PathBuf {
        let inside = self.mounted.path().join(name);
        Path::new(&format!("/proc/{}/root", self.keeper.id())).join(inside.strip_prefix("/").unwrap())
    }

    /// Takes up all but `left` bytes.
    fn fill(&self, name: &str, left: u64) {
        let mut filler = std::fs::File::options().append(true).create(true).open(self.seen(name)).unwrap();
        let error = std::iter::repeat_with(|| filler.write_all(&[0; 4096])).find_map(Result::err).unwrap();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        filler.set_len(filler.metadata().unwrap().len().saturating_sub(left)).unwrap();
    }

    fn free(&self, name: &str) {
        std::fs::remove_file(self.seen(name)).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

/// A relay on a disk, somebody who writes there, and what they were told.
struct Scene {
    relay: Program,
    http: Http,
    operator: Http,
    alice: Account,
    key: [u8; 16],
    log: Log,
    told: Vec<(EnvelopeId, u64)>,
}

impl Scene {
    async fn set(disk: &Disk) -> Self {
        let (relay, http, operator) = start(disk).unwrap();
        let World { inboxes: [inbox, _], .. } = {
            let world = World::new();
            world.found(&http).await;
            world
        };
        let log = Log::new();
        let pass = Pass::of(&http, &inbox.owner).await.unwrap();
        let create = pass.request(&http, &inbox.owner, Method::POST, "/v1/logs").body(log.create().encode());
        assert_eq!(create.send().await.unwrap().status(), StatusCode::CREATED);
        Self { relay, http, operator, alice: inbox.owner, key: inbox.key, log, told: Vec::new() }
    }

    /// One entry of 1 KiB; false if there was no space for it. Nothing else is an answer.
    async fn append(&mut self, append: &Append) -> bool {
        let answer = self.http.append(self.log.id, &self.log.write, append).await;
        if answer.status() == StatusCode::CREATED {
            self.told.push((append.entry_id, answer.json::<Stored>().await.unwrap().seq));
            return true;
        }
        assert_eq!(answer.status(), StatusCode::INSUFFICIENT_STORAGE);
        assert_eq!(code(answer).await, ProblemCode::InsufficientStorage);
        false
    }

    /// Appends until the disk is full; gives the first entry that was refused.
    async fn append_until_full(&mut self) -> Append {
        for _ in 0..MANY {
            let append = entry();
            if !self.append(&append).await {
                return append;
            }
        }
        panic!("{MANY} entries found space");
    }

    /// Everything that was told is there once, at its place; and nothing else.
    async fn check(&self) {
        let (mut after, mut found) = (0, Vec::new());
        loop {
            let page = self.http.page(&self.log, after).await;
            if page.entries.is_empty() {
                assert_eq!(page.head, after);
                break;
            }
            found.extend(page.entries.iter().map(|entry| (entry.entry_id, entry.seq)));
            after = found.last().unwrap().1;
        }
        assert!(found == self.told, "{} entries were told, and {} are there", self.told.len(), found.len());
    }

    /// Every other kind of write comes to its 507, too: a small one may at first fit where the last large one did not.
    async fn other_writes_until_full(&self) {
        let pass = Pass::of(&self.http, &self.alice).await.unwrap();
        for kind in ["an inbox send", "a new log", "a registration"] {
            let mut refused = None;
            for n in 0..50 {
                let answer = match kind {
                    "an inbox send" => self.send().await,
                    "a new log" => {
                        let request = pass.request(&self.http, &self.alice, Method::POST, "/v1/logs");
                        request.body(Log::new().create().encode()).send().await.unwrap()
                    }
                    _ => self.http.register(&Account::new(&format!("carol-{n}"), AUDIENCE)).await,
                };
                if answer.status() != StatusCode::CREATED {
                    refused = Some(problem(answer).await);
                    break;
                }
            }
            let refused = refused.unwrap_or_else(|| panic!("{kind} always found space"));
            assert_eq!((refused.status, refused.code), (507, ProblemCode::InsufficientStorage), "{kind}");
        }
    }

    async fn send(&self) -> Response {
        let entry_id = EnvelopeId::from_bytes(random());
        let send = InboxSend { entry_id, kind: EnvelopeKind::Welcome, blob: vec![7; 1024] };
        let request = self.http.request(Method::POST, &format!("/v1/inboxes/{}", self.alice.device));
        let request = request.header("waxwing-access-key", base64url::encode(&self.key));
        request.body(send.encode()).send().await.unwrap()
    }

    async fn ready(&self) -> StatusCode {
        self.operator.get("/readyz").await.status()
    }

    async fn ready_in_time(&self, expected: StatusCode) {
        let until = Instant::now() + PATIENCE;
        while self.ready().await != expected {
            assert!(Instant::now() < until, "/readyz does not get to {expected}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn start(disk: &Disk) -> Result<(Program, Http, Http), String> {
    let (relay, lines) = Program::start(&mut disk.relay(), 2)?;
    Ok((relay, Http::new(url(&lines[0])), Http::new(url(&lines[1]))))
}

fn entry() -> Append {
    app(0, &random::<1024>())
}

/// What is killed on a full disk starts again there or says why not, and has everything once there is space.
async fn killed_while_full(mut scene: Scene, disk: &Disk) {
    disk.fill("filler", LEFT);
    scene.append_until_full().await;
    scene.relay.kill();
    match start(disk) {
        Ok((relay, ..)) => relay.kill(),
        Err(errors) => assert!(errors.contains("full"), "{errors}"),
    }
    disk.free("filler");
    let (relay, http, operator) = start(disk).unwrap();
    scene = Scene { relay, http, operator, ..scene };
    scene.ready_in_time(StatusCode::OK).await;
    scene.check().await;
    assert!(scene.append(&entry()).await);
    println!("{} entries were told, and are there", scene.told.len());
}

/// D7: with a full disk every write is answered 507 and stored nowhere, reading goes on, and all is well by itself once there is space.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d7_disk_full_sqlite_is_507_and_recovers() {
    // So small that there is never a checkpoint: what is written while it is full has to go to the end of the write-ahead log.
    let Some(disk) = Disk::of(3 * 1024 * 1024) else { return };
    let mut scene = Scene::set(&disk).await;
    for _ in 0..2 {
        assert_eq!(scene.ready().await, StatusCode::OK);
        disk.fill("filler", LEFT);
        let refused = scene.append_until_full().await;
        // Whatever comes now.
        disk.fill("rest", 0);
        for _ in 0..20 {
            assert!(!scene.append(&refused).await);
        }
        scene.other_writes_until_full().await;
        scene.ready_in_time(StatusCode::SERVICE_UNAVAILABLE).await;
        scene.check().await;
        // What was refused is taken when it is sent again.
        disk.free("rest");
        disk.free("filler");
        scene.ready_in_time(StatusCode::OK).await;
        assert!(scene.append(&refused).await);
        assert!(scene.append(&entry()).await);
        scene.check().await;
    }
    killed_while_full(scene, &disk).await;
}

/// D7: the same where the write-ahead log begins anew within its file, and where checkpoints find no space themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d7_disk_full_sqlite_is_507_and_recovers_with_checkpoints() {
    let Some(disk) = Disk::of(24 * 1024 * 1024) else { return };
    let mut scene = Scene::set(&disk).await;
    let size = |name: &str| std::fs::metadata(disk.seen(name)).unwrap().len();
    let until = Instant::now() + PATIENCE;
    // The database grows by checkpoints alone, from 4 MiB of log on: no more than that, or the log itself would leave it no space.
    while size("data/relay.db") < 256 * 1024 {
        assert!(Instant::now() < until, "there is no checkpoint; the log has {} bytes", size("data/relay.db-wal"));
        if size("data/relay.db-wal") < 5 * 1024 * 1024 {
            assert!(scene.append(&entry()).await);
        } else {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    for _ in 0..50 {
        assert!(scene.append(&entry()).await);
    }
    disk.fill("filler", LEFT);
    let mut refused = Vec::new();
    for _ in 0..40 {
        refused.push(scene.append_until_full().await);
    }
    scene.check().await;
    disk.free("filler");
    scene.ready_in_time(StatusCode::OK).await;
    for refused in &refused {
        assert!(scene.append(refused).await);
    }
    scene.check().await;
    killed_while_full(scene, &disk).await;
}
