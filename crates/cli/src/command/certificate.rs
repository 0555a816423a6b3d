//! `certificate`: what this profile shows to relays that serve nobody without a certificate. It needs no account, and nothing of the profile's but
//! its folder: it also works beside a Waxwing that runs.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use waxwing_client::{CertificateView, add_certificate, certificates, remove_certificate};

use crate::arguments::Options;
use crate::clock::utc;
use crate::failure::Failure;
use crate::output::Output;
use crate::session;
use crate::terminal::line;

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What to do with certificates.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do with certificates.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Copy a certificate and its key into the profile, to be shown to one relay, and to no other
    Add {
        /// PEM: the certificate, those that lead to its authority, and its key, not under a passphrase
        file: PathBuf,
        /// The relay's address
        #[arg(long, value_name = "HOST:PORT")]
        relay: String,
    },
    /// Take the certificate for a relay out of the profile
    Remove {
        /// The relay's address
        #[arg(long, value_name = "HOST:PORT")]
        relay: String,
    },
    /// List the certificates: the relay, the SHA-256, until when it is valid
    List,
}

/// Does what the command line asks for.
pub(crate) fn run(arguments: &Arguments, options: &Options, output: &mut Output) -> Result<(), Failure> {
    let profile = session::folder(options)?;
    match &arguments.command {
        Command::Add { file, relay } => output.view(&add_certificate(&profile, relay, file)?, words),
        Command::Remove { relay } => {
            if !remove_certificate(&profile, relay)? {
                return Err(Failure::NoCertificate(relay.clone()));
            }
            output.for_people("It is removed.")
        }
        Command::List => {
            let all = certificates(&profile)?;
            if all.is_empty() {
                output.aside("There are no certificates in this profile.");
            }
            all.iter().try_for_each(|one| output.view(one, words))
        }
    }
}

fn words(certificate: &CertificateView) -> String {
    let mut text = line(&certificate.relay);
    if let Some(until) = certificate.valid_until {
        text.push_str(&format!("  (valid until {})", utc(until)));
    }
    if let Some(fingerprint) = &certificate.fingerprint {
        text.push_str(&format!("\n    SHA-256 {fingerprint}"));
    }
    if let Some(problem) = &certificate.problem {
        text.push_str(&format!("\n    Cannot be used: {}", line(&problem.detail)));
    }
    text
}

#[cfg(test)]
mod tests {
    use waxwing_client::{ErrorCode, ErrorView};

    use super::*;

    #[test]
    fn a_certificate_and_one_that_cannot_be_used() {
        let good = CertificateView {
            relay: "relay.example.org:8443".to_owned(),
            fingerprint: Some("0a0b".to_owned()),
            valid_until: Some(1_795_412_760_000.0),
            problem: None,
        };
        assert_eq!(words(&good), "relay.example.org:8443  (valid until 2026-11-23 05:46Z)\n    SHA-256 0a0b");
        let detail = "/a\u{1b}[2J/b.pem: it holds no certificate in PEM".to_owned();
        let problem = Some(ErrorView { code: ErrorCode::CertificateUnusable, detail });
        let bad = CertificateView { fingerprint: None, valid_until: None, problem, ..good };
        assert_eq!(
            words(&bad),
            "relay.example.org:8443\n    Cannot be used: /a␛[2J/b.pem: it holds no certificate in PEM"
        );
    }
}
