//! A PostgreSQL of the tests' own: started once in a process, stopped and removed when the process ends, however it ends.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use waxwing_relay::storage::{PostgresConfig, PostgresUrl};

/// Starts PostgreSQL, says so, and stops it (`immediate`: without a checkpoint) when standard input ends: that is when the test process does.
const KEEPER: &str = r#"
    set -u
    "$BIN/postgres" -D "$DIR/data" >"$DIR/server.log" 2>&1 &
    server=$!
    echo $server
    while read -r line; do :; done
    kill -QUIT $server 2>/dev/null
    wait $server
    rm -rf "$DIR"
"#;

/// A server with its folder.
pub struct Cluster {
    folder: PathBuf,
    port: u16,
    place: Place,
    // Held: the keeper ends with it.
    _keeper: (Child, ChildStdin),
}

static CLUSTER: OnceLock<Cluster> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

impl Cluster {
    /// The one that this process's tests share.
    pub fn shared() -> &'static Self {
        CLUSTER.get_or_init(|| Self::start(""))
    }

    /// Another one, with further lines in its configuration.
    pub fn start(settings: &str) -> Self {
        Self::start_on(5432, settings, &[])
    }

    /// The same, with another number for its socket, and with further files beside its data.
    pub fn start_on(port: u16, settings: &str, files: &[(&str, &str)]) -> Self {
        Self::start_in(Place::default(), port, settings, files)
    }

    /// The same at another place.
    pub fn start_in(place: Place, port: u16, settings: &str, files: &[(&str, &str)]) -> Self {
        let folder = folder();
        let data = folder.join("data");
        let mut initdb = place.as_server(&binaries().join("initdb"));
        initdb.arg("-D").arg(&data).args(["-U", "relay", "--auth=trust", "--no-locale", "-E", "UTF8", "--no-sync"]);
        if let Some(wal) = &place.wal {
            // The smallest there is: a small disk has room for some.
            initdb.arg("--wal-segsize=1").arg("--waldir").arg(wal);
        }
        run(&mut initdb);
        append(&data.join("postgresql.conf"), "include 'waxwing.conf'\n");
        Self::run(place, folder, port, settings, files)
    }

    /// Starts a server on the data that is in `folder`.
    fn run(place: Place, folder: PathBuf, port: u16, settings: &str, files: &[(&str, &str)]) -> Self {
        let configuration = format!(
            "listen_addresses = ''\nunix_socket_directories = '{}'\nshared_buffers = '32MB'\nmax_connections = 100\nlog_min_messages = warning\n{settings}\n",
            folder.display()
        );
        for (name, content) in [("waxwing.conf", configuration.as_str())].iter().chain(files) {
            let path = folder.join("data").join(name);
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            give_to_server(&path);
        }
        let keeper = keeper(&place, &folder);
        let cluster = Self { folder, port, place, _keeper: keeper };
        cluster.wait();
        cluster
    }

    /// A new, empty database.
    pub fn database(&self) -> PostgresConfig {
        let name = format!("relay_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.config(&name)
    }

    /// A database by its name.
    pub fn config(&self, name: &str) -> PostgresConfig {
        PostgresConfig { connections: 8, ..PostgresConfig::new(PostgresUrl::new(self.url(name))) }
    }

    /// The same, as an operator writes it.
    pub fn url(&self, name: &str) -> String {
        format!("host={} user=relay password=hunter2 dbname={name}", self.folder.display())
    }

    /// Runs a statement beside the relay.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let mut psql = Command::new(binaries().join("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "relay", "-d", database, "-c", sql]);
        psql.arg("-h").arg(&self.folder).arg("-p").arg(self.port.to_string());
        output(&mut psql)
    }

    /// What an operator keeps of a database: all of it in one file, which `put_back` makes another database of.
    pub fn dump(&self, database: &str, file: &Path) {
        let mut dump = Command::new(binaries().join("pg_dump"));
        dump.args(["--format=custom", "-U", "relay", "-d", database, "-f"]).arg(file);
        run(dump.arg("-h").arg(&self.folder).arg("-p").arg(self.port.to_string()));
    }

    /// A database out of such a file, in the place of the one that was.
    pub fn put_back(&self, database: &str, file: &Path) {
        self.sql("postgres", &format!("DROP DATABASE {database}"));
        self.sql("postgres", &format!("CREATE DATABASE {database}"));
        let mut restore = Command::new(binaries().join("pg_restore"));
        restore.args(["--exit-on-error", "-U", "relay", "-d", database]).arg(file);
        run(restore.arg("-h").arg(&self.folder).arg("-p").arg(self.port.to_string()));
    }

    /// All of the server in a folder, taken while it runs, with the WAL that makes it whole.
    pub fn base_backup(&self) -> BaseBackup {
        let backup = BaseBackup(folder());
        let mut basebackup = self.place.as_server(&binaries().join("pg_basebackup"));
        basebackup.args(["--wal-method=stream", "--checkpoint=fast", "--no-sync", "-U", "relay", "-D"]);
        basebackup.arg(backup.0.join("data")).arg("-h").arg(&self.folder).arg("-p").arg(self.port.to_string());
        run(&mut basebackup);
        backup
    }

    /// Ends it as a crash would, and starts it again.
    pub fn crash(&self) {
        self.control(&["restart", "-m", "immediate"]);
    }

    /// Ends it as a crash would.
    pub fn stop(&self) {
        self.control(&["stop", "-m", "immediate"]);
    }

    /// Starts it again.
    pub fn restart(&self) {
        self.control(&["start"]);
    }

    fn control(&self, arguments: &[&str]) {
        let mut control = self.place.as_server(&binaries().join("pg_ctl"));
        control
            .arg("-D")
            .arg(self.folder.join("data"))
            .arg("-s")
            .arg("-w")
            .arg("-l")
            .arg(self.folder.join("again.log"));
        run(control.args(arguments));
    }

    /// Whether it takes connections.
    pub fn is_ready(&self) -> bool {
        let mut ready = Command::new(binaries().join("pg_isready"));
        ready.arg("-q").arg("-h").arg(&self.folder).arg("-p").arg(self.port.to_string());
        ready.status().unwrap().success()
    }

    /// What it wrote to its log, since it was started for the first time.
    pub fn said(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        read("server.log") + &read("again.log")
    }

    /// Whether there is a server at all.
    pub fn is_there(&self) -> bool {
        let mut control = self.place.as_server(&binaries().join("pg_ctl"));
        control.arg("-D").arg(self.folder.join("data")).arg("status").stdout(Stdio::null()).stderr(Stdio::null());
        control.status().unwrap().success()
    }

    fn wait(&self) {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            if self.is_ready() {
                return;
            }
            assert!(Instant::now() < until, "PostgreSQL did not start: {}", self.said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Also one that was started anew by `pg_ctl`, which the keeper does not know. One that is stopped already is no failure.
        let mut control = self.place.as_server(&binaries().join("pg_ctl"));
        control.arg("-D").arg(self.folder.join("data")).args(["-s", "stop", "-m", "immediate"]);
        let _ = control.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// Where a server runs, and keeps what.
#[derive(Default)]
pub struct Place {
    /// What its programs are started behind: in a namespace of the test's own.
    pub behind: Vec<OsString>,
    /// Another folder for its write-ahead log.
    pub wal: Option<PathBuf>,
}

impl Place {
    /// PostgreSQL does not run as root.
    fn as_server(&self, program: &Path) -> Command {
        let mut words = self.behind.clone();
        if root() {
            words.extend(["runuser", "-u", "postgres", "--"].map(OsString::from));
        }
        words.push(program.into());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir("/");
        command
    }
}

/// What [`Cluster::base_backup`] has taken.
pub struct BaseBackup(PathBuf);

impl BaseBackup {
    /// Another server, on what is in it.
    pub fn start(self) -> Cluster {
        Cluster::run(Place::default(), self.0, 5432, "", &[])
    }
}

/// A folder that is the server's.
fn folder() -> PathBuf {
    // Not where TMPDIR says: the server's user must get there, and the socket's path is to be short.
    let private: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    let folder = tempfile::Builder::new().prefix("waxwing-pg-").permissions(private).tempdir_in("/tmp");
    let folder = folder.unwrap().keep();
    give_to_server(&folder);
    folder
}

/// Makes the server the owner of a file or folder.
pub fn give_to_server(path: &Path) {
    if root() {
        run(Command::new("chown").arg("postgres:").arg(path));
    }
}

fn keeper(place: &Place, folder: &Path) -> (Child, ChildStdin) {
    let mut keeper = place.as_server(Path::new("/bin/sh"));
    keeper.arg("-c").arg(KEEPER).env("BIN", binaries()).env("DIR", folder);
    // Nothing of it holds on to the test's own output.
    let mut keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let input = keeper.stdin.take().unwrap();
    let mut said = [0; 1];
    keeper.stdout.take().unwrap().read_exact(&mut said).expect("PostgreSQL's keeper did not start");
    (keeper, input)
}

/// The newest version that the distribution has installed.
pub fn version() -> u32 {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().filter_map(Result::ok);
    let newest = versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).max();
    newest.expect("PostgreSQL is not installed: run script/bootstrap test")
}

/// Its programs, where the distribution puts them.
fn binaries() -> PathBuf {
    PathBuf::from(format!("/usr/lib/postgresql/{}/bin", version()))
}

/// Whether the tests run as root; then PostgreSQL runs as the distribution's user.
pub fn root() -> bool {
    // Who owns it is who runs it.
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0
}

fn append(path: &Path, text: &str) {
    use std::io::Write as _;
    std::fs::OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn run(command: &mut Command) {
    output(command);
}

fn output(command: &mut Command) -> String {
    // pg_ctl leaves a server behind that holds whatever pipes it was given.
    let out = tempfile::NamedTempFile::new().unwrap();
    let err = tempfile::NamedTempFile::new().unwrap();
    let status = command
        .stdin(Stdio::null())
        .stdout(out.reopen().unwrap())
        .stderr(err.reopen().unwrap())
        .status()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {}", std::fs::read_to_string(err.path()).unwrap());
    std::fs::read_to_string(out.path()).unwrap()
}
