//! How configuration file, environment and flags go together: flags win over the environment, the environment over the file.
//!
//! A key of the file is a flag without its dashes, so there is one table of keys: [`Settings`]. What the file says and no flag or variable
//! does is appended to the command line, and read like the rest of it.

use std::error::Error as _;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args as _, Command};
use toml::{Table, Value};

use super::settings::Settings;

/// What every variable's name begins with.
const PREFIX: &str = "WAXWING_RELAY_";
/// Kubernetes gives such variables to every container for a service named `waxwing-relay`. They are not the operator's words.
const OF_KUBERNETES: [&str; 3] = ["SERVICE_HOST", "SERVICE_PORT", "PORT"];

/// The configuration keeps the relay from starting.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadConfig {
    /// The file cannot be read.
    #[error("the configuration {} cannot be read: {why}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        why: std::io::Error,
    },
    /// It is no TOML.
    #[error("the configuration {} cannot be read: {why}", path.display())]
    Syntax { path: PathBuf, why: String },
    /// There is no such key.
    #[error("the configuration {} has an unknown key `{key}`; `waxwing-relay example` prints all there are", path.display())]
    UnknownKey { path: PathBuf, key: String },
    /// The key's value cannot be used.
    #[error("the configuration {} has a bad value for `{key}`: {why}", path.display())]
    Value { path: PathBuf, key: String, why: String },
    /// No setting has that variable.
    #[error("the environment variable {0} is none of this program's; `waxwing-relay serve --help` names all there are")]
    UnknownVariable(String),
}

/// The settings as a command of their own.
pub(super) fn table_of_keys() -> Command {
    Settings::augment_args(Command::new("waxwing-relay").no_binary_name(true).disable_help_flag(true))
}

/// The same flag, also given by its environment variable.
pub(super) fn with_variable(arg: Arg) -> Arg {
    match arg.get_long().map(variable) {
        Some(variable) => arg.env(variable),
        None => arg,
    }
}

/// The variable of a key.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('-', "_").to_ascii_uppercase())
}

/// The command for a first look, before the file is known: nothing is missing yet.
pub(super) fn lenient(command: Command) -> Command {
    command.mut_subcommand("serve", |serve| serve.mut_args(|arg| arg.required(false)))
}

/// Refuses variables that look like this program's and are not: a misspelt one would be passed over in silence.
pub(super) fn check_variables(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<(), BadConfig> {
    let keys = table_of_keys();
    let known: Vec<_> = keys.get_arguments().filter_map(Arg::get_long).chain(["config"]).map(variable).collect();
    let secret = super::database::SECRET;
    for (name, _) in variables {
        let Some(name) = name.to_str() else { continue };
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        let injected = OF_KUBERNETES.iter().any(|start| rest.starts_with(start));
        if !injected && !secret.contains(&name) && !known.iter().any(|known| known == name) {
            return Err(BadConfig::UnknownVariable(name.to_owned()));
        }
    }
    Ok(())
}

/// A configuration file whose keys are known and whose values can be used.
pub(super) struct Loaded {
    keys: Vec<(String, Vec<String>)>,
}

impl Loaded {
    /// Reads and checks the file.
    pub(super) fn read(path: &Path) -> Result<Self, BadConfig> {
        let text = std::fs::read_to_string(path).map_err(|why| BadConfig::Io { path: path.to_owned(), why })?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, BadConfig> {
        let path = || path.to_owned();
        let table: Table = text.parse().map_err(|error: toml::de::Error| BadConfig::Syntax {
            path: path(),
            why: error.to_string().trim_end().to_owned(),
        })?;
        let known = table_of_keys();
        let mut keys = Vec::new();
        for (key, value) in table {
            let Some(arg) = known.get_arguments().find(|arg| arg.get_long() == Some(&key)) else {
                return Err(BadConfig::UnknownKey { path: path(), key });
            };
            let flags =
                flags(arg, &key, &value).map_err(|why| BadConfig::Value { path: path(), key: key.clone(), why })?;
            keys.push((key, flags));
        }
        Ok(Self { keys })
    }

    /// What to append to the command line of which `given` is a first look.
    pub(super) fn arguments(&self, given: &ArgMatches) -> Vec<OsString> {
        let elsewhere = |key: &str| {
            let source = given.value_source(&key.replace('-', "_"));
            matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
        };
        let flags = self.keys.iter().filter(|(key, _)| !elsewhere(key)).flat_map(|(_, flags)| flags);
        flags.map(OsString::from).collect()
    }

    /// The one value of `key`, as it would stand on the command line.
    pub(super) fn value(&self, key: &str) -> Option<&str> {
        let (_, flags) = self.keys.iter().find(|(found, _)| found == key)?;
        flags.first()?.split_once('=').map(|(_, value)| value)
    }
}

/// The flags that say the same as the file's key.
fn flags(arg: &Arg, key: &str, value: &Value) -> Result<Vec<String>, String> {
    let many = matches!(arg.get_action(), clap::ArgAction::Append);
    let values = match value {
        Value::Array(values) if many => values.iter().map(scalar).collect::<Result<_, _>>()?,
        one => vec![scalar(one)?],
    };
    let flags: Vec<_> = values.iter().map(|value| format!("--{key}={value}")).collect();
    // By itself, so that the complaint is about the file and not about a flag that nobody gave.
    let check = table_of_keys().mut_args(|arg| arg.required(false)).try_get_matches_from(&flags);
    match check {
        Ok(_) => Ok(flags),
        Err(error) => Err(reason(&error)),
    }
}

fn scalar(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        other => Err(format!("a {} is not what is asked for there", other.type_str())),
    }
}

/// Why clap refuses a value, without its talk of flags.
fn reason(error: &clap::Error) -> String {
    if let Some(source) = error.source() {
        return source.to_string();
    }
    let text = error.to_string();
    let lines: Vec<_> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    lines.join(" ").trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Loaded, BadConfig> {
        Loaded::parse(Path::new("relay.toml"), text)
    }

    #[test]
    fn an_unknown_key_or_a_bad_value_is_named_with_its_reason() {
        for (text, key, why) in [
            ("rate-tokens = 7", "`rate-tokens`", "unknown key"),
            ("[rate-token]\nburst = 7", "`rate-token`", "a table is not what"),
            ("rate-token = \"0\"", "`rate-token`", "numbers from 1 to 1000000"),
            ("rate-token = 1.5", "`rate-token`", "a float is not what"),
            ("registration = \"maybe\"", "`registration`", "possible values: open, invite, closed"),
            ("listen = \"localhost\"", "`listen`", "invalid socket address"),
            ("max-connections = -1", "`max-connections`", "invalid digit"),
            ("trusted-proxies = [\"10.0.0.0/8\", \"x\"]", "`trusted-proxies`", "an address or a network"),
            ("listen = ", "relay.toml", "line 1"),
            ("tls = \"off\"\ntls = \"off\"", "relay.toml", "duplicate key"),
        ] {
            let error = load(text).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(key) && error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn misspelt_variables_are_refused_and_kubernetes_is_not() {
        let check = |name: &str| check_variables([(OsString::from(name), OsString::new())].into_iter());
        for known in ["WAXWING_RELAY_RATE_TOKEN", "WAXWING_RELAY_CONFIG", "PATH", "WAXWING_RELAY_PORT_443_TCP_ADDR"] {
            assert!(check(known).is_ok(), "{known}");
        }
        assert!(matches!(check("WAXWING_RELAY_RATE_TOKENS"), Err(BadConfig::UnknownVariable(_))));
    }
}
