//! Somebody at a computer of their own: home folder, screen, session bus, unlocked gnome-keyring, and a tauri-driver that opens
//! the app there. Nothing of the user who runs the tests is read or written.

use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::iter;
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

use crate::group::{self, Group};
use crate::wait;
use crate::window::Window;
use crate::{Fault, Outcome, place};

/// Started inside the session: tells the bus's address, then runs what follows.
const TELL_BUS: &str = r#"printf %s "$DBUS_SESSION_BUS_ADDRESS" >"$XDG_RUNTIME_DIR/bus-address"; exec "$@""#;

/// A session bus that starts nothing by itself; the usual one would start a keychain for whoever asks.
const BUS_WITHOUT_SERVICES: &str = r#"<busconfig>
  <type>session</type>
  <listen>unix:tmpdir=/tmp</listen>
  <auth>EXTERNAL</auth>
  <policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>
</busconfig>
"#;

/// The desktop's opener of this person: notes what it is asked to open, one line each.
const OPENER: &str = "#!/bin/sh\nprintf '%s\\n' \"$*\" >>\"$XDG_RUNTIME_DIR/opened\"\n";

/// What the app's items in a keychain are called by.
const KEYCHAIN_SERVICE: &str = "app.waxwing.desktop";

/// Which keychain a session has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keychain {
    /// gnome-keyring, unlocked.
    Unlocked,
    /// None, and nothing on the bus that could be started as one.
    Absent,
}

/// Somebody with a computer. The folders live as long as this; what runs is ended with it.
#[derive(Debug)]
pub struct Person {
    folders: Arc<TempDir>,
    /// Which session of this home it is; two sessions share the files and nothing else.
    session_dir: PathBuf,
    port: u16,
    keychain: Keychain,
    local_relay: Option<String>,
    // In the order in which they end.
    session: Option<Group>,
    screen: Option<Group>,
}

impl Person {
    /// With an empty home. `local_relay` is offered as 'This computer'.
    pub async fn new(local_relay: Option<&str>) -> Outcome<Self> {
        let folders = TempDir::with_prefix("waxwing-person.").map_err(Fault::io("a home folder"))?;
        Self::at(Arc::new(folders), "session", Keychain::Unlocked, local_relay).await
    }

    /// With an empty home, on a computer without a keychain.
    pub async fn without_keychain(local_relay: Option<&str>) -> Outcome<Self> {
        let folders = TempDir::with_prefix("waxwing-person.").map_err(Fault::io("a home folder"))?;
        Self::at(Arc::new(folders), "session", Keychain::Absent, local_relay).await
    }

    /// The same home, seen from another session (another log-in): a bus, a screen and a driver of its own.
    pub async fn in_another_session(&self) -> Outcome<Self> {
        Self::at(Arc::clone(&self.folders), "other-session", self.keychain, self.local_relay.as_deref()).await
    }

    /// Logs out and in again, with this keychain.
    pub async fn log_in_again(&mut self, keychain: Keychain) -> Outcome<()> {
        self.session = None;
        self.keychain = keychain;
        self.log_in().await
    }

    async fn at(folders: Arc<TempDir>, session: &str, keychain: Keychain, local_relay: Option<&str>) -> Outcome<Self> {
        let session_dir = folders.path().join(session);
        for dir in ["home", "bin", session, &format!("{session}/run"), "tmp"] {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(0o700).create(folders.path().join(dir)).map_err(Fault::io("a folder"))?;
        }
        let opener = folders.path().join("bin/xdg-open");
        fs::write(&opener, OPENER).map_err(Fault::io("the opener"))?;
        fs::set_permissions(&opener, Permissions::from_mode(0o700)).map_err(Fault::io("the opener"))?;
        let local_relay = local_relay.map(str::to_owned);
        let mut person = Self { folders, session_dir, port: 0, keychain, local_relay, session: None, screen: None };
        person.log_in().await?;
        Ok(person)
    }

    /// All that this person's programs write: home, XDG folders, temporary files, logs.
    #[must_use]
    pub fn folders(&self) -> &Path {
        self.folders.path()
    }

    /// The home folder; the XDG folders are below it, in their usual places.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.folders.path().join("home")
    }

    /// Where the app keeps its profile if it is told nothing.
    #[must_use]
    pub fn profile_dir(&self) -> PathBuf {
        self.home().join(".local/share/waxwing/profile")
    }

    /// Opens the app.
    pub async fn open_app(&self) -> Outcome<Window> {
        let screen = fs::read_to_string(self.session_dir.join("display")).map_err(Fault::io("the display"))?;
        Window::open(&format!("http://127.0.0.1:{}", self.port), &place::binary("waxwing")?, screen).await
    }

    /// Kills the app as a crash would, and starts session and driver anew: a driver does not get over it.
    pub async fn kill_app(&mut self, window: Window) -> Outcome<()> {
        window.forget();
        let pid = self.app_pid()?;
        group::kill(pid);
        wait::until("the app to be gone", async || Ok(self.app_pids()?.is_empty().then_some(()))).await?;
        self.session = None;
        self.log_in().await
    }

    /// The app's process.
    pub fn app_pid(&self) -> Outcome<u32> {
        match self.app_pids()?.as_slice() {
            [pid] => Ok(*pid),
            other => Err(Fault::Unexpected(format!("{} apps run where one should", other.len()))),
        }
    }

    fn app_pids(&self) -> Outcome<Vec<u32>> {
        group::processes_of(&place::binary("waxwing")?, &format!("XDG_RUNTIME_DIR={}", self.run_dir().display()))
    }

    /// A command in this person's session, on its bus and its screen.
    pub fn command(&self, program: &Path) -> Outcome<Command> {
        let bus = fs::read_to_string(self.run_dir().join("bus-address")).map_err(Fault::io("the bus's address"))?;
        let mut command = Command::new(program);
        self.environment(&mut command);
        command.env("DBUS_SESSION_BUS_ADDRESS", bus);
        Ok(command)
    }

    /// What the app asked the desktop to open, one line each.
    #[must_use]
    pub fn opened(&self) -> Vec<String> {
        let lines = fs::read_to_string(self.run_dir().join("opened")).unwrap_or_default();
        lines.lines().map(str::to_owned).collect()
    }

    /// The secret that the keychain holds for the profile.
    pub fn keychain_secret(&self) -> Outcome<String> {
        let facts = fs::read_to_string(self.profile_dir().join("profile.json")).map_err(Fault::io("profile.json"))?;
        let facts: serde_json::Value =
            serde_json::from_str(&facts).map_err(|error| Fault::Unexpected(format!("profile.json: {error}")))?;
        let id = facts["id"].as_str().ok_or_else(|| Fault::Unexpected("profile.json has no id".into()))?;
        let secret = self.secret_tool(&["lookup", "service", KEYCHAIN_SERVICE, "username", id], "")?;
        if secret.is_empty() {
            return Err(Fault::Unexpected(format!("the keychain has no item for profile {id}")));
        }
        Ok(secret)
    }

    /// Everything that the keychain holds for the app: each item with its secret.
    pub fn keychain_items(&self) -> Outcome<String> {
        self.secret_tool(&["search", "--all", "--unlock", "service", KEYCHAIN_SERVICE], "")
    }

    /// Puts an item of the app's into the keychain, beside the profile's.
    pub fn plant_in_keychain(&self, name: &str, secret: &str) -> Outcome<()> {
        let words = ["store", "--label", name, "service", KEYCHAIN_SERVICE, "username", name];
        self.secret_tool(&words, secret).map(drop)
    }

    /// Takes it out again.
    pub fn clear_from_keychain(&self, name: &str) -> Outcome<()> {
        self.secret_tool(&["clear", "service", KEYCHAIN_SERVICE, "username", name], "").map(drop)
    }

    fn secret_tool(&self, words: &[&str], input: &str) -> Outcome<String> {
        let mut command = self.command(&place::tool("secret-tool")?)?;
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(Fault::io("secret-tool"))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).map_err(Fault::io("secret-tool"))?;
        }
        let output = child.wait_with_output().map_err(Fault::io("secret-tool"))?;
        if !output.status.success() {
            return Err(Fault::Unexpected(format!("secret-tool {} ended with {}", words[0], output.status)));
        }
        String::from_utf8(output.stdout).map_err(|_| Fault::Unexpected("the keychain's item is no text".into()))
    }

    async fn log_in(&mut self) -> Outcome<()> {
        if self.screen.is_none() {
            self.start_screen()?;
        }
        let log = self.session_dir.join("log");
        let log = File::options().create(true).append(true).open(log).map_err(Fault::io("the session's log"))?;
        let [port, native_port] = free_ports()?;
        let mut command = Command::new(place::tool("dbus-run-session")?);
        self.environment(&mut command);
        if self.keychain == Keychain::Absent {
            let config = self.session_dir.join("bus.conf");
            fs::write(&config, BUS_WITHOUT_SERVICES).map_err(Fault::io("the bus's configuration"))?;
            command.arg("--config-file").arg(config);
        }
        command.args(["--", "sh", "-c", TELL_BUS, "sh"]);
        if self.keychain == Keychain::Unlocked {
            command.arg(place::root().join("script/with-keyring"));
        }
        command.arg(place::tool("tauri-driver")?).args([
            "--port",
            &port.to_string(),
            "--native-port",
            &native_port.to_string(),
        ]);
        let same_log = log.try_clone().map_err(Fault::io("the session's log"))?;
        let mut session = Group::start(&command, log.into(), same_log.into())?;
        let status = format!("http://127.0.0.1:{port}/status");
        wait::until("the driver to answer", async || {
            if let Some(status) = session.ended()? {
                return Err(Fault::Unexpected(format!("the session ended with {status}")));
            }
            Ok(reqwest::get(&status).await.ok().filter(|answer| answer.status().is_success()))
        })
        .await?;
        self.port = port;
        self.session = Some(session);
        Ok(())
    }

    fn start_screen(&mut self) -> Outcome<()> {
        let mut command = Command::new(place::tool("Xvfb")?);
        command.args(["-displayfd", "1", "-screen", "0", "1400x900x24", "-nolisten", "tcp"]);
        let mut screen = Group::start(&command, Stdio::piped(), Stdio::null())?;
        let mut number = String::new();
        BufReader::new(screen.stdout()?).read_line(&mut number).map_err(Fault::io("the screen's number"))?;
        fs::write(self.session_dir.join("display"), format!(":{}", number.trim())).map_err(Fault::io("the display"))?;
        self.screen = Some(screen);
        Ok(())
    }

    fn run_dir(&self) -> PathBuf {
        self.session_dir.join("run")
    }

    fn environment(&self, command: &mut Command) {
        let home = self.home();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = iter::once(self.folders.path().join("bin")).chain(std::env::split_paths(&path));
        let display = fs::read_to_string(self.session_dir.join("display")).unwrap_or_default();
        command
            .env_remove("WAYLAND_DISPLAY")
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .env_remove("WAXWING_LOCAL_RELAY")
            .env("PATH", std::env::join_paths(path).unwrap_or_default())
            .env("HOME", &home)
            .env("XDG_DATA_HOME", home.join(".local/share"))
            .env("XDG_STATE_HOME", home.join(".local/state"))
            .env("XDG_CONFIG_HOME", home.join(".config"))
            .env("XDG_CACHE_HOME", home.join(".cache"))
            .env("XDG_RUNTIME_DIR", self.run_dir())
            .env("TMPDIR", self.folders.path().join("tmp"))
            .env("DISPLAY", display)
            .env("GDK_BACKEND", "x11")
            // No settings of a desktop, and no accessibility bus: neither is there, and looking for them takes seconds.
            .env("GSETTINGS_BACKEND", "memory")
            .env("NO_AT_BRIDGE", "1")
            .env("WAXWING_LOG", "info");
        if let Some(relay) = &self.local_relay {
            command.env("WAXWING_LOCAL_RELAY", relay);
        }
    }
}

/// Two ports that are free now. Both are held until both are known, so they differ.
fn free_ports() -> Outcome<[u16; 2]> {
    let held = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0"));
    let mut ports = [0; 2];
    for (port, listener) in ports.iter_mut().zip(held) {
        let address = listener.and_then(|listener| listener.local_addr()).map_err(Fault::io("a free port"))?;
        *port = address.port();
    }
    Ok(ports)
}
