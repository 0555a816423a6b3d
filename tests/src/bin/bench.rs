//! `waxwing-bench`: how long things take, beside what they are made of. `script/bench` builds it optimised and runs it.
//!
//! Figures of two runs are not comparable on a machine that others use; those of one run are, so each part measures its own yardsticks.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

#[path = "../bench/mod.rs"]
mod bench;

use bench::relay::Backend;

const USAGE: &str = "Usage: waxwing-bench PART [--backend BACKEND] [--json FILE]

Parts:
  crypto           Envelopes, messages and commits, beside the primitives they are made of
  keys             The relay's transparency log at a million leaves: a registration, a proof, all leaves
  relay            The relay as a process under load: accepts, delivery, idle connections, restart

      --backend B  What the relay stores in: sqlite (unless said otherwise) or postgres, from the distribution
      --json FILE  Also write the figures to FILE, as one flat object
      --version    Print the version
  -h, --help       Print this";

fn main() -> ExitCode {
    // What a part starts as processes of their own.
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((first, _)) if first == "bare-http" => {
            bench::relay::serve_bare();
            return ExitCode::SUCCESS;
        }
        Some((first, rest)) if first == "hold" => {
            bench::relay::hold(rest);
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let (part, json) = match parse(std::env::args_os().skip(1)) {
        Ok(Asked::Measure { part, json }) => (part, json),
        Ok(Asked::Say(text)) => {
            println!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprintln!("waxwing-bench: {problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if cfg!(debug_assertions) {
        eprintln!(
            "waxwing-bench: built without optimisation, so the figures say nothing; script/bench builds it right"
        );
    }
    let report = match part {
        Part::Crypto => bench::crypto::run(),
        Part::Keys => bench::keys::run(),
        Part::Relay(backend) => bench::relay::run(backend),
    };
    println!("{report}");
    if let Some((Err(error), file)) = json.map(|file| (std::fs::write(&file, report.json()), file)) {
        eprintln!("waxwing-bench: {}: {error}", file.display());
        return ExitCode::FAILURE;
    }
    report.failures().iter().for_each(|failure| eprintln!("waxwing-bench: FAILED: {failure}"));
    if report.failures().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

enum Asked {
    Measure { part: Part, json: Option<PathBuf> },
    Say(String),
}

#[derive(Clone, Copy)]
enum Part {
    Crypto,
    Keys,
    Relay(Backend),
}

fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Asked, String> {
    let (mut part, mut backend, mut json) = (None, None, None);
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("-h" | "--help") => return Ok(Asked::Say(USAGE.to_owned())),
            Some("-V" | "--version") => return Ok(Asked::Say(format!("waxwing-bench {}", env!("CARGO_PKG_VERSION")))),
            Some("--json") => json = Some(PathBuf::from(arguments.next().ok_or("--json needs a file")?)),
            Some("--backend") => match arguments.next().as_deref().and_then(|name| name.to_str()) {
                Some("sqlite") => backend = Some(Backend::Sqlite),
                Some("postgres") => backend = Some(Backend::Postgres),
                _ => return Err("--backend is sqlite or postgres".to_owned()),
            },
            Some("crypto") if part.is_none() => part = Some(Part::Crypto),
            Some("keys") if part.is_none() => part = Some(Part::Keys),
            Some("relay") if part.is_none() => part = Some(Part::Relay(Backend::default())),
            _ => return Err(format!("unknown argument {}", argument.display())),
        }
    }
    match (part, backend) {
        (Some(Part::Relay(_)), Some(backend)) => Ok(Asked::Measure { part: Part::Relay(backend), json }),
        (Some(Part::Crypto | Part::Keys), Some(_)) => Err("--backend is for the part relay".to_owned()),
        (Some(part), None) => Ok(Asked::Measure { part, json }),
        (None, _) => Err("which part?".to_owned()),
    }
}
