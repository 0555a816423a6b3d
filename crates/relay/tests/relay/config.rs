//! The program's configuration: which layer wins, what is refused, and what `init` writes.

use std::path::Path;
use std::process::{Command, Output};

use reqwest::StatusCode;
use waxwing_wire::api::RelayInfo;

use crate::kit::Http;
use crate::process::{PROGRAM, Running, run, url};

fn write(folder: &Path, text: &str) -> String {
    let file = folder.join("relay.toml");
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

fn refusal(output: &Output) -> String {
    assert!(!output.status.success() && output.stdout.is_empty());
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Flags win over the environment, the environment over the file.
#[tokio::test]
async fn flags_win_over_the_environment_and_that_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let file = write(
        folder.path(),
        &format!(
            "listen = \"127.0.0.1:0\"\ndata = {:?}\naudience = \"localhost:1\"\nlog = \"warn\"\n",
            data.to_str().unwrap()
        ),
    );
    for (variable, flag, audience) in [
        (None, None, "localhost:1"),
        (Some("localhost:2"), None, "localhost:2"),
        (Some("localhost:2"), Some("localhost:3"), "localhost:3"),
    ] {
        // The log is bound to its first name, so each has a folder of its own.
        let own = tempfile::tempdir().unwrap();
        let mut command = Command::new(PROGRAM);
        command.args(["serve", "--config", &file, "--data"]).arg(own.path());
        if let Some(variable) = variable {
            command.env("WAXWING_RELAY_AUDIENCE", variable);
        }
        if let Some(flag) = flag {
            command.args(["--audience", flag]);
        }
        let (_relay, lines) = Running::of(command, 1);
        let info: RelayInfo = Http::new(&url(&lines)).get("/v1/relay").await.json().await.unwrap();
        assert_eq!(info.audience, audience);
    }
    assert!(!data.exists(), "the flag for the folder wins, too");
}

#[test]
fn it_does_not_start_on_what_it_does_not_know() {
    let folder = tempfile::tempdir().unwrap();
    let serve = |text: &str, variable: Option<(&str, &str)>| {
        let file = write(folder.path(), text);
        let mut command = Command::new(PROGRAM);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(folder.path().join("data"));
        command.args(["--config", &file]).envs(variable);
        refusal(&run(&mut command))
    };
    let text = serve("registratoin = \"open\"", None);
    assert!(text.contains("unknown key `registratoin`") && text.contains("relay.toml"), "{text}");
    let text = serve("quota-log = \"much\"", None);
    assert!(text.contains("`quota-log`") && text.contains("invalid digit"), "{text}");
    let text = serve("", Some(("WAXWING_RELAY_REGISTRATOIN", "open")));
    assert!(text.contains("WAXWING_RELAY_REGISTRATOIN"), "{text}");
    let text = serve("", Some(("WAXWING_RELAY_REGISTRATION", "")));
    assert!(text.contains("--registration"), "{text}");
    let text = serve("tls-cert = \"/a\"", None);
    assert!(text.contains("tls-key") && text.lines().count() == 1, "{text}");
    assert!(!folder.path().join("data").exists(), "it refused before it made anything");
}

/// Every key of the example is in the help text, with its variable.
#[test]
fn help_tells_every_key() {
    let help = String::from_utf8(run(Command::new(PROGRAM).args(["serve", "--help"])).stdout).unwrap();
    let example = String::from_utf8(run(Command::new(PROGRAM).arg("example")).stdout).unwrap();
    let keys: Vec<_> = example
        .lines()
        .filter_map(|line| line.strip_prefix('#')?.split_once(" = "))
        .map(|(key, _)| key)
        .filter(|key| !key.contains(' '))
        .collect();
    assert!(keys.len() > 30, "{keys:?}");
    for key in keys {
        assert!(help.contains(&format!("--{key} <")), "{key}");
        let variable = format!("WAXWING_RELAY_{}", key.replace('-', "_").to_uppercase());
        assert!(help.contains(&variable), "{variable}");
    }
}

#[tokio::test]
async fn what_init_writes_works() {
    let folder = tempfile::tempdir().unwrap();
    let init = |more: &[&str]| {
        let mut command = Command::new(PROGRAM);
        run(command.current_dir(folder.path()).args(["init", "--domain", "relay.example:8443"]).args(more))
    };
    let told = init(&["--listen", "127.0.0.1:0"]);
    assert!(told.status.success(), "{told:?}");
    let told = String::from_utf8(told.stdout).unwrap();
    let file = folder.path().join("waxwing-relay.toml");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    for made in ["token-key.json", "log-key.json", "tls-key.der"] {
        assert!(folder.path().join("waxwing-relay-data").join(made).exists(), "{made}");
    }
    let log_key = std::fs::read(folder.path().join("waxwing-relay-data/log-key.json")).unwrap();

    let mut command = Command::new(PROGRAM);
    command.args(["serve", "--config"]).arg(&file);
    let (_relay, lines) = Running::of(command, 2);
    let pin = lines[1].strip_prefix("certificate sha256 ").unwrap();
    assert!(told.contains(&format!("relay.example:8443#{pin}")), "{told}");
    let client = reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true).build().unwrap();
    let http = Http::by(client, &url(&lines));
    let answer = http.get("/v1/relay").await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.json::<RelayInfo>().await.unwrap().audience, "relay.example:8443");

    // A second time it changes nothing.
    let before = std::fs::read(&file).unwrap();
    let text = refusal(&init(&[]));
    assert!(text.contains("exists"), "{text}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
    assert_eq!(std::fs::read(folder.path().join("waxwing-relay-data/log-key.json")).unwrap(), log_key);
}
