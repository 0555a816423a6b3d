//! What the program does with what it cannot use, without any relay: one clear error, and nothing left half done.

// The helpers are tests as well; clippy sees that only of functions marked so.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use waxwing_client::{ErrorCode, ErrorView, Profile};

/// A user of their own: a home folder with nothing in it but a passphrase.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        home.write_passphrase(0o600);
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write_passphrase(&self, mode: u32) {
        fs::write(self.path("passphrase"), "correct horse battery\n").unwrap();
        #[cfg(unix)]
        fs::set_permissions(self.path("passphrase"), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_waxwing-cli"));
        command.args(arguments).current_dir(self.0.path()).stdin(Stdio::null());
        command.env("HOME", self.0.path()).env("XDG_DATA_HOME", self.path("data"));
        // No keychain, no proxy and no log of whoever runs the tests.
        for name in ["DBUS_SESSION_BUS_ADDRESS", "WAXWING_LOG", "http_proxy", "https_proxy", "all_proxy"] {
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        command
    }

    /// Runs it on the profile `p` with a passphrase.
    fn run(&self, arguments: &[&str]) -> Output {
        let common = ["--profile", "p", "--passphrase-file", "passphrase"];
        self.command(&[&common, arguments].concat()).output().unwrap()
    }

    /// Runs it, and expects this error, for people and for programs.
    fn fails(&self, arguments: &[&str], code: ErrorCode) -> String {
        let json = [&["--json"], arguments].concat();
        let told = self.run(&json);
        assert_eq!(told.status.code(), Some(1), "{arguments:?}: {}", stderr(&told));
        assert!(told.stdout.is_empty(), "{arguments:?}");
        let view: ErrorView = serde_json::from_slice(&told.stderr).unwrap();
        assert_eq!(view.code, code, "{arguments:?}: {}", view.detail);

        let told = self.run(arguments);
        assert_eq!(told.status.code(), Some(1), "{arguments:?}");
        assert!(told.stdout.is_empty(), "{arguments:?}");
        let text = stderr(&told);
        let name = serde_json::to_string(&code).unwrap();
        assert!(text.starts_with(&format!("error[{}]: ", name.trim_matches('"'))), "{text}");
        assert!(text.lines().count() >= 2, "no action: {text}");
        text
    }

    /// Whether registering has left nothing that counts as an account.
    fn is_fresh(&self) -> bool {
        let told = self.run(&["--json", "whoami"]);
        serde_json::from_slice::<ErrorView>(&told.stderr).unwrap().code == ErrorCode::NotRegistered
    }
}

fn stderr(told: &Output) -> String {
    String::from_utf8(told.stderr.clone()).unwrap()
}

/// An address at which nobody listens (any more).
fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// A web server that is no relay: it gives the same page to everybody.
fn web_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    address
}

fn answer(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 4096]);
    let page = "<h1>It works!</h1>\u{1b}[2J";
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\n", page.len());
    let _ = write!(stream, "{head}connection: close\r\n\r\n{page}");
}

#[test]
fn command_lines_that_cannot_be_read() {
    let home = Home::new();
    for arguments in [
        &[][..],
        &["sing"],
        &["register", "bob"],
        &["send", "me"],
        &["--json", "list", "extra"],
        &["group"],
        &["group", "create"],
        &["group", "add", "Book club"],
        &["group", "role", "Book club", "bob", "owner"],
        &["accept"],
        &["--json", "block"],
        &["link", "a code that others could see"],
        &["devices"],
        &["devices", "revoke"],
    ] {
        let told = home.command(arguments).output().unwrap();
        assert_eq!(told.status.code(), Some(2), "{arguments:?}");
        assert!(told.stdout.is_empty() && !told.stderr.is_empty());
    }
    let told = home.command(&["--version"]).output().unwrap();
    assert_eq!(told.status.code(), Some(0));
    assert_eq!(told.stdout, format!("waxwing-cli {}\n", env!("CARGO_PKG_VERSION")).into_bytes());
    assert!(!home.path("data").exists(), "a profile was made for nothing");
}

#[test]
fn registrations_that_cannot_be() {
    let home = Home::new();
    let nobody = nobody();
    for name in ["Bob", "bo", "bob smith", "-bob-"] {
        home.fails(&["register", "--relay", &nobody, "--", name], ErrorCode::InvalidName);
    }
    home.fails(&["register", "bob", "--relay", &nobody, "--display-name", "a\u{7}b"], ErrorCode::InvalidDisplayName);
    for relay in ["http://relay", "relay:0", "relay#12", "", "a relay"] {
        home.fails(&["register", "bob", "--relay", relay], ErrorCode::InvalidAddress);
    }
    home.fails(&["register", "bob", "--relay", &nobody], ErrorCode::RelayDown);
    // What is no invitation is said before anybody is asked.
    let file = |name: &str, text: &str, mode| {
        fs::write(home.path(name), text).unwrap();
        #[cfg(unix)]
        fs::set_permissions(home.path(name), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        let _ = mode;
    };
    file("short", "AAECAwQFBgcICQoLDA0OD", 0o600);
    file("empty", "\n", 0o600);
    file("open", "AAECAwQFBgcICQoLDA0ODw\n", 0o644);
    for name in ["short", "empty", "nothing"].into_iter().chain(cfg!(unix).then_some("open")) {
        let with = ["register", "bob", "--relay", &nobody, "--invitation-file", name];
        let text = home.fails(&with, ErrorCode::InvalidInvitation);
        assert!(text.contains("Nothing was sent") && !text.contains("AAECAwQF"), "{text}");
    }
    let text = home.fails(&["register", "bob", "--relay", &web_server()], ErrorCode::NotARelay);
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(home.is_fresh());
}

/// What is no code is said before anybody is asked.
#[test]
fn codes_for_linking_that_cannot_be() {
    let home = Home::new();
    // Standard input has no line at all.
    let told = home.run(&["--json", "link"]);
    assert_eq!((told.status.code(), told.stdout.len()), (Some(1), 0), "{}", stderr(&told));
    assert_eq!(serde_json::from_slice::<ErrorView>(&told.stderr).unwrap().code, ErrorCode::NotADeviceCode);
    for code in ["a code", "waxwing:x", "bob@relay", "\u{1b}[2J"] {
        let words = ["--profile", "p", "--passphrase-file", "passphrase", "link"];
        let mut child =
            home.command(&words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        writeln!(child.stdin.take().unwrap(), "{code}").unwrap();
        let told = child.wait_with_output().unwrap();
        assert_eq!((told.status.code(), told.stdout.len()), (Some(1), 0), "{code:?}");
        let text = stderr(&told);
        assert!(text.contains("\nerror[notADeviceCode]: ") && !text.contains('\u{1b}'), "{text}");
    }
    assert!(home.is_fresh());
}

#[test]
fn nobody_has_registered() {
    let home = Home::new();
    for arguments in [
        &["whoami"][..],
        &["phrase"],
        &["invite"],
        &["add", "bob@relay"],
        &["list"],
        &["send", "me", "hello"],
        &["read", "--offline"],
        &["listen", "--for", "1"],
        &["group", "create", "Book club", "bob@relay"],
        &["group", "create", ""],
        &["group", "create", &"x".repeat(65)],
        &["group", "add", "Book club", "bob"],
        &["group", "remove", "Book club", "bob"],
        &["group", "role", "Book club", "bob", "admin"],
        &["group", "rename", "Book club", "Film club"],
        &["group", "leave", "Book club"],
        &["group", "list"],
        &["group", "list", "Book club"],
        &["requests"],
        &["requests", "--offline"],
        &["accept", "bob"],
        &["block", "bob"],
        &["unblock", "bob"],
        &["blocked"],
        &["delete", "bob"],
        &["devices", "list"],
        &["devices", "list", "--offline"],
        &["devices", "link"],
        &["devices", "revoke", "0d0d0d0d", "--yes"],
        &["rotate"],
        &["sync"],
    ] {
        let text = home.fails(arguments, ErrorCode::NotRegistered);
        assert!(text.contains("waxwing-cli register"), "{text}");
    }
    assert!(!home.path("p").exists(), "a folder was made for nothing");

    // Without --profile it is the data folder's, and nothing is made there either.
    let told = home.command(&["whoami"]).output().unwrap();
    assert_eq!(told.status.code(), Some(1));
    #[cfg(target_os = "linux")]
    assert!(stderr(&told).contains(&home.path("data/waxwing/cli").display().to_string()), "{}", stderr(&told));
    assert!(!home.path("data").exists());
}

#[test]
fn the_profile_is_open_in_another_process() {
    let home = Home::new();
    let profile = Profile::open(&home.path("p")).unwrap();
    home.fails(&["whoami"], ErrorCode::AlreadyRunning);
    home.fails(&["register", "bob", "--relay", &nobody()], ErrorCode::AlreadyRunning);
    drop(profile);
    home.fails(&["whoami"], ErrorCode::NotRegistered);
}

#[test]
fn profile_folders_that_cannot_be() {
    let home = Home::new();
    fs::write(home.path("p"), "a file").unwrap();
    home.fails(&["whoami"], ErrorCode::ProfileUnusable);
    home.fails(&["register", "bob", "--relay", &nobody()], ErrorCode::ProfileUnusable);
    assert_eq!(fs::read(home.path("p")).unwrap(), b"a file");
}

#[cfg(unix)]
#[test]
fn passphrase_files_that_others_may_read() {
    let home = Home::new();
    home.write_passphrase(0o644);
    let text = home.fails(&["register", "bob", "--relay", &nobody()], ErrorCode::WrongPassphrase);
    assert!(text.contains("chmod 600"), "{text}");
    assert!(!text.contains("correct horse"));
    assert!(!home.path("p").exists());
}

#[test]
fn passphrase_files_with_nothing_in_them() {
    let home = Home::new();
    fs::write(home.path("passphrase"), "\n").unwrap();
    home.fails(&["register", "bob", "--relay", &nobody()], ErrorCode::WrongPassphrase);
    fs::remove_file(home.path("passphrase")).unwrap();
    let text = home.fails(&["register", "bob", "--relay", &nobody()], ErrorCode::WrongPassphrase);
    assert!(text.contains("passphrase"), "{text}");
}

#[test]
fn a_log_is_written_only_if_asked_for() {
    let home = Home::new();
    let arguments = ["--profile", "p", "register", "bob", "--relay", &nobody()];
    let quiet = home.command(&arguments).output().unwrap();
    assert!(stderr(&quiet).starts_with("error["), "{}", stderr(&quiet));
    let told = home.command(&arguments).env("WAXWING_LOG", "trace").output().unwrap();
    assert!(stderr(&told).len() > stderr(&quiet).len());
    assert!(told.stdout.is_empty());
}
