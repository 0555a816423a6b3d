//! The command line. Each command's own arguments are in its file under `command`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::command;

const AFTER: &str = "\
WHO is name@host[:port], a group's name, or `me` for the note to self. GROUP is a group, PERSON a contact or somebody in a group.
The name before the @ will do where nobody else has it, and so will an id, or its first 8 digits or more.

Exit codes: 0 done; 1 not done, with the reason on standard error; 2 a command line that cannot be read.

WAXWING_LOG=waxwing=debug writes a log to standard error; it holds no keys and no message text.";

/// Waxwing on a terminal: end-to-end encrypted messages.
#[derive(Debug, Parser)]
#[command(name = "waxwing-cli", version, after_help = AFTER)]
pub(crate) struct Arguments {
    /// What every command takes.
    #[command(flatten)]
    pub(crate) options: Options,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The profile's folder [default: waxwing/cli in the user's data folder]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) profile: Option<PathBuf>,
    /// Print JSON: one object on each line; on standard error errors too, and logs of keys that something is wrong with
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Keep this profile's secrets under the passphrase in FILE's first line, and not in the keychain
    ///
    /// Decided by `register` for good; every later command of such a profile needs it. Nobody but its owner may be able to
    /// read the file (chmod 600).
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an account on a relay, and its keys on this computer
    Register(command::register::Arguments),
    /// Get an account back with its recovery phrase, on this computer
    Recover(command::recover::Arguments),
    /// Make this computer another device of an account, with a code from one of its devices, read from standard input
    Link,
    /// Show the recovery phrase, or confirm that it is written down
    Phrase(command::phrase::Arguments),
    /// Show the own account
    Whoami,
    /// Print the own invite link
    Invite(command::invite::Arguments),
    /// Start a conversation, from an invite link or an address
    Add(command::add::Arguments),
    /// List the conversations
    List,
    /// Send a message
    Send(command::send::Arguments),
    /// Fetch what is waiting, and print the history
    Read(command::read::Arguments),
    /// Print messages as they arrive, beginning with those that no `read` or `listen` has shown yet
    Listen(command::listen::Arguments),
    /// Fetch what is waiting, and list who asks to be accepted
    Requests(command::requests::Arguments),
    /// Accept a request: from then on you take part, and the others see your name
    Accept(command::accept::Arguments),
    /// Block somebody: nothing of theirs is taken in, and they are not told
    Block(command::block::Arguments),
    /// Let somebody write again
    Unblock(command::block::Arguments),
    /// List who is blocked, also those with whom there is no conversation any more
    Blocked,
    /// Delete a conversation's history on this computer
    Delete(command::delete::Arguments),
    /// Make and change groups
    Group(command::group::Arguments),
    /// Show this device's keys and their history, decide when they are replaced, and compare keys with other people
    Keys(command::keys::Arguments),
    /// List the account's devices, let a new one in, or remove one
    Devices(command::devices::Arguments),
    /// Rotate this device's keys now
    Rotate,
    /// Fetch what is waiting and send what is waiting
    Sync,
    /// Add, list and remove the certificates that relays of closed deployments ask for; needs no account
    Certificate(command::certificate::Arguments),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::change::Waiting;

    fn parse(words: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(std::iter::once("waxwing-cli").chain(words.iter().copied()))
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn options_stand_anywhere() {
        for words in [
            ["--profile", "p", "--json", "--passphrase-file", "f", "whoami"],
            ["whoami", "--json", "--passphrase-file", "f", "--profile", "p"],
        ] {
            let options = parse(&words).unwrap().options;
            assert!(options.json);
            assert_eq!(options.profile, Some("p".into()));
            assert_eq!(options.passphrase_file, Some("f".into()));
        }
    }

    #[test]
    fn send() {
        let Command::Send(send) = parse(&["send", "--no-wait", "bob@host:1", "two", "words"]).unwrap().command else {
            panic!("not a send");
        };
        assert_eq!(
            (send.who.as_str(), send.text, send.waiting.no_wait),
            ("bob@host:1", vec!["two".into(), "words".into()], true)
        );
        let Command::Send(send) = parse(&["send", "me", "-", "--timeout", "5"]).unwrap().command else {
            panic!("not a send");
        };
        assert_eq!((send.text, send.waiting), (vec!["-".into()], Waiting { timeout: 5, no_wait: false }));
        let Command::Send(send) = parse(&["send", "me", "--", "--no-wait"]).unwrap().command else {
            panic!("not a send");
        };
        assert_eq!((send.text, send.waiting), (vec!["--no-wait".into()], Waiting { timeout: 30, no_wait: false }));
    }

    fn group(words: &[&str]) -> command::group::Command {
        let Command::Group(group) = parse(&[&["group"], words].concat()).unwrap().command else {
            panic!("not a group");
        };
        group.command
    }

    #[test]
    fn groups() {
        use command::group::Command;

        let waiting = Waiting { timeout: 30, no_wait: false };
        assert!(matches!(group(&["create", "Book club"]), Command::Create(create)
            if (create.name.as_str(), create.people.len(), create.waiting) == ("Book club", 0, waiting)));
        assert!(matches!(group(&["create", "Book club", "bob@h", "cy", "--no-wait"]), Command::Create(create)
            if create.people == ["bob@h", "cy"] && create.waiting.no_wait));
        assert!(matches!(group(&["add", "Book club", "bob", "cy", "--timeout", "5"]), Command::Add(add)
            if add.group == "Book club" && add.people == ["bob", "cy"] && add.waiting.timeout == 5));
        assert!(matches!(group(&["remove", "club", "bob"]), Command::Remove(remove)
            if (remove.group.as_str(), remove.person.as_str()) == ("club", "bob")));
        assert!(matches!(group(&["role", "club", "bob", "admin"]), Command::Role(role)
            if waxwing_client::Role::from(role.role) == waxwing_client::Role::Admin));
        assert!(matches!(group(&["role", "club", "me", "member"]), Command::Role(role)
            if waxwing_client::Role::from(role.role) == waxwing_client::Role::Member));
        assert!(matches!(group(&["rename", "club", "Film club"]), Command::Rename(rename)
            if (rename.group.as_str(), rename.name.as_str()) == ("club", "Film club")));
        assert!(matches!(group(&["leave", "club"]), Command::Leave(leave) if leave.group == "club"));
        assert!(matches!(group(&["link", "club"]), Command::Link(link)
            if link.group == "club" && !link.off && !link.new));
        assert!(matches!(group(&["link", "club", "--off"]), Command::Link(link) if link.off));
        assert!(matches!(group(&["link", "--new", "club"]), Command::Link(link) if link.new));
        assert!(matches!(group(&["join", "-"]), Command::Join(join) if join.link == "-" && !join.look));
        assert!(matches!(group(&["join", "--look", "waxwing:x"]), Command::Join(join) if join.look));
        assert!(matches!(group(&["list"]), Command::List(list) if list.group.is_none()));
        assert!(matches!(group(&["list", "club"]), Command::List(list) if list.group.as_deref() == Some("club")));
    }

    fn keys(words: &[&str]) -> command::keys::Command {
        let Command::Keys(keys) = parse(&[&["keys"], words].concat()).unwrap().command else {
            panic!("not about keys");
        };
        keys.command
    }

    #[test]
    fn about_keys() {
        use command::keys::Command;
        use waxwing_client::RotationSchedule;

        assert!(matches!(keys(&["show"]), Command::Show));
        assert!(matches!(keys(&["rotate"]), Command::Rotate));
        assert!(matches!(keys(&["schedule"]), Command::Schedule(schedule) if schedule.days.is_none()));
        for (word, schedule) in [
            ("7", RotationSchedule::Days7),
            ("30", RotationSchedule::Days30),
            ("90", RotationSchedule::Days90),
            ("manual", RotationSchedule::Manual),
        ] {
            assert!(matches!(keys(&["schedule", word]), Command::Schedule(chosen)
                if chosen.days.map(RotationSchedule::from) == Some(schedule)));
        }
        assert!(matches!(keys(&["log"]), Command::Log(log) if log.check.is_none()));
        assert!(matches!(keys(&["log", "--check", "f"]), Command::Log(log) if log.check == Some("f".into())));
        assert!(matches!(keys(&["export"]), Command::Export(export) if export.file.is_none()));
        assert!(matches!(keys(&["export", "f"]), Command::Export(export) if export.file == Some("f".into())));
        assert!(
            matches!(parse(&["phrase", "--check"]).unwrap().command, super::Command::Phrase(phrase) if phrase.check)
        );
    }

    fn devices(words: &[&str]) -> command::devices::Command {
        let Command::Devices(devices) = parse(&[&["devices"], words].concat()).unwrap().command else {
            panic!("not about devices");
        };
        devices.command
    }

    #[test]
    fn about_devices() {
        use command::devices::Command;

        assert!(matches!(devices(&["list"]), Command::List(list) if !list.offline));
        assert!(matches!(devices(&["list", "--offline"]), Command::List(list) if list.offline));
        assert!(matches!(devices(&["link"]), Command::Link(link) if link.fingerprint.is_none()));
        assert!(matches!(devices(&["link", "--fingerprint", "1a2b 3c4d"]), Command::Link(link)
            if link.fingerprint.as_deref() == Some("1a2b 3c4d")));
        assert!(matches!(devices(&["revoke", "0d0d0d0d"]), Command::Revoke(revoke)
            if revoke.device == "0d0d0d0d" && !revoke.yes));
        assert!(matches!(devices(&["revoke", "--yes", "0d0d0d0d"]), Command::Revoke(revoke) if revoke.yes));
        assert!(matches!(parse(&["link"]).unwrap().command, super::Command::Link));
    }

    #[test]
    fn requests() {
        assert!(matches!(parse(&["requests"]).unwrap().command, Command::Requests(requests) if !requests.offline));
        assert!(matches!(parse(&["accept", "bob"]).unwrap().command, Command::Accept(accept) if accept.who == "bob"));
        assert!(matches!(parse(&["block", "bob"]).unwrap().command, Command::Block(block) if block.who == "bob"));
        assert!(matches!(parse(&["unblock", "bob"]).unwrap().command, Command::Unblock(block) if block.who == "bob"));
        assert!(matches!(parse(&["blocked"]).unwrap().command, Command::Blocked));
        assert!(matches!(parse(&["delete", "me"]).unwrap().command, Command::Delete(delete) if delete.who == "me"));
    }

    #[test]
    fn keys_of_others() {
        use command::keys::Command;

        assert!(matches!(keys(&["number", "bob@h"]), Command::Number(number) if number.person == "bob@h"));
        assert!(matches!(keys(&["verify", "bob"]), Command::Verify(verify)
            if verify.person == "bob" && verify.number.is_none() && verify.qr.is_none() && !verify.undo));
        assert!(matches!(keys(&["verify", "bob", "--number", "12345 67890"]), Command::Verify(verify)
            if verify.number.as_deref() == Some("12345 67890")));
        assert!(matches!(keys(&["verify", "--qr", "waxwing-safety:x", "bob"]), Command::Verify(verify)
            if verify.qr.as_deref() == Some("waxwing-safety:x")));
        assert!(matches!(keys(&["verify", "bob", "--undo"]), Command::Verify(verify) if verify.undo));
    }

    #[test]
    fn the_others() {
        let Command::Register(register) = parse(&["register", "bob", "--relay", "h:1#00"]).unwrap().command else {
            panic!("not a register");
        };
        assert_eq!((register.name.as_str(), register.relay.as_str(), register.show_phrase), ("bob", "h:1#00", false));
        assert_eq!(register.invitation_file, None);
        for file in ["f", "-"] {
            let words = ["register", "bob", "--relay", "h:1", "--invitation-file", file];
            assert!(matches!(parse(&words).unwrap().command, Command::Register(register)
                if register.invitation_file == Some(file.into())));
        }
        let Command::Read(read) = parse(&["read", "bob@h", "--limit", "7", "--offline"]).unwrap().command else {
            panic!("not a read");
        };
        assert_eq!((read.who.as_deref(), read.limit, read.offline), (Some("bob@h"), Some(7), true));
        let Command::Listen(listen) = parse(&["listen", "--for", "60"]).unwrap().command else {
            panic!("not a listen");
        };
        assert_eq!(listen.seconds, Some(60));
        assert!(matches!(parse(&["add", "-"]).unwrap().command, Command::Add(add) if add.link_or_address == "-"));
        assert!(matches!(parse(&["phrase", "--confirm"]).unwrap().command, Command::Phrase(phrase) if phrase.confirm));
    }

    #[test]
    fn refused() {
        for words in [
            &[][..],
            &["sing"],
            &["register", "bob"],
            &["register", "--relay", "h:1"],
            &["register", "bob", "--relay", "h:1", "--passphrase", "on the command line"],
            &["register", "bob", "--relay", "h:1", "--invitation", "on the command line"],
            &["send", "bob@h"],
            &["send", "--no-wait", "--timeout", "5", "bob@h", "hello"],
            &["read", "--limit", "0"],
            &["read", "--limit", "-1"],
            &["listen", "--for", "ever"],
            &["whoami", "extra"],
            &["group"],
            &["group", "sing"],
            &["group", "create"],
            &["group", "add", "club"],
            &["group", "add", "--no-wait", "--timeout", "5", "club", "bob"],
            &["group", "remove", "club"],
            &["group", "remove", "club", "bob", "cy"],
            &["group", "role", "club", "bob"],
            &["group", "role", "club", "bob", "owner"],
            &["group", "rename", "club"],
            &["group", "leave"],
            &["group", "list", "club", "pub"],
            &["group", "link"],
            &["group", "link", "--off", "--new", "club"],
            &["group", "join"],
            &["keys"],
            &["keys", "schedule", "8"],
            &["keys", "schedule", "7", "30"],
            &["keys", "log", "f"],
            &["keys", "export", "f", "g"],
            &["phrase", "--check", "--confirm"],
            &["phrase", "--check", "abandon"],
            &["keys", "number"],
            &["keys", "verify"],
            &["keys", "verify", "bob", "--number", "1", "--qr", "2"],
            &["keys", "verify", "bob", "--undo", "--qr", "2"],
            &["requests", "bob"],
            &["link", "a code on the command line"],
            &["devices"],
            &["devices", "list", "0d0d0d0d"],
            &["devices", "link", "1a2b"],
            &["devices", "link", "--fingerprint"],
            &["devices", "revoke"],
            &["devices", "revoke", "0d0d0d0d", "0e0e0e0e"],
            &["accept"],
            &["block"],
            &["unblock", "--timeout", "soon", "bob"],
            &["blocked", "bob"],
            &["delete"],
            &["delete", "bob", "cy"],
            &["certificate"],
            &["certificate", "add", "f"],
            &["certificate", "add", "--relay", "h:1"],
            &["certificate", "remove", "h:1"],
            &["certificate", "list", "--relay", "h:1"],
        ] {
            assert_eq!(parse(words).unwrap_err().exit_code(), 2, "{words:?}");
        }
        assert_eq!(parse(&["--version"]).unwrap_err().exit_code(), 0);
    }
}
