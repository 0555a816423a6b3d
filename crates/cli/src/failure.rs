//! Every way a command can fail, and how it is told. The words are in `wording`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use waxwing_client::{ErrorCode, ErrorView, PhraseCheck, SafetyComparison};

use crate::secret_file::SecretFileError;
use crate::{output, terminal, wording};

/// Why a command failed. The engine's errors, and the few that only a terminal knows.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] waxwing_client::Error),
    /// The message will not be sent without the user.
    #[error("the message failed: {}", .0.detail)]
    NotSent(ErrorView),
    /// The relay has not accepted the message in time; it is in the outbox.
    #[error("not accepted by the relay within {seconds} s")]
    StillSending {
        /// How long was waited.
        seconds: u64,
    },
    /// The relay has not accepted the rotation in time; it goes on.
    #[error("not accepted by the relay in time{}", .0.as_ref().map(|why| format!(": {}", why.detail)).unwrap_or_default())]
    StillRotating(Option<ErrorView>),
    /// The relay did not answer in time while fetching.
    #[error("not in step with the relay within {seconds} s")]
    StillSyncing {
        /// How long was waited.
        seconds: u64,
    },
    /// There is no conversation with this person.
    #[error("no conversation with {0}")]
    NoConversation(String),
    /// There is no group called so.
    #[error("no group {0}")]
    NoGroup(String),
    /// There is no contact called so.
    #[error("no contact {0}")]
    NoContact(String),
    /// Nobody in the group is called so.
    #[error("nobody in the group is {0}")]
    NoMember(String),
    /// Nobody whom one knows is called so.
    #[error("nobody known is {0}")]
    NoPerson(String),
    /// The safety number is not what the other person's app shows.
    #[error("the safety number with {who} is not the one given: {came:?}")]
    NotTheSame {
        /// Whose number.
        who: String,
        /// How the two differ.
        came: SafetyComparison,
    },
    /// The user has not compared the safety number.
    #[error("the safety number with {0} was not compared")]
    NotCompared(String),
    /// Several are called so.
    #[error("{word} may mean {}", those.join(" or "))]
    Ambiguous {
        /// What was written.
        word: String,
        /// What it may mean.
        those: Vec<String>,
    },
    /// The conversation is no request (any more).
    #[error("no request from {0}")]
    NoRequest(String),
    /// One has not accepted their request.
    #[error("the request of {0} is not accepted")]
    NotAccepted(String),
    /// One has asked to be let in, and waits.
    #[error("not let into {0} yet")]
    NotLetIn(String),
    /// They are blocked.
    #[error("{0} is blocked")]
    Blocked(String),
    /// It is not a conversation with one other person.
    #[error("{0} is not one other person")]
    NotOnePerson(String),
    /// One would remove oneself.
    #[error("one does not remove oneself")]
    RemovesOneself,
    /// The account has no such device.
    #[error("no device {0}")]
    NoDevice(String),
    /// One would remove the device that one is on.
    #[error("a device does not remove itself")]
    RevokesThis,
    /// The user has not said that the device is to be removed.
    #[error("removing device {0} was not confirmed")]
    NotRevoked(String),
    /// The code's time is over, and no device has asked with it.
    #[error("no device has asked in time")]
    NobodyAsked,
    /// The fingerprint given is not that of the device that asks.
    #[error("the fingerprint given is not that of the device that asks")]
    FingerprintDiffers,
    /// The user has not compared the fingerprint of the device that asks.
    #[error("the fingerprint of the device that asks was not compared")]
    FingerprintNotCompared,
    /// The device that was confirmed is not in the account in time.
    #[error("not in the account within {seconds} s")]
    StillLinking {
        /// How long was waited.
        seconds: u64,
    },
    /// The change was refused and is dropped.
    #[error("the change was refused: {}", .0.detail)]
    NotChanged(ErrorView),
    /// The change is not at the relay yet; it is in the outbox.
    #[error("not at the relay yet{}", .0.as_ref().map(|why| format!(": {}", why.detail)).unwrap_or_default())]
    StillChanging(Option<ErrorView>),
    /// Nobody has registered here.
    #[error("no account in {0}")]
    NotRegistered(PathBuf),
    /// The phrase was confirmed earlier.
    #[error("the recovery phrase was confirmed, and its words were erased")]
    PhraseErased,
    /// The words are not the recovery phrase of this account.
    #[error("the words are not this account's recovery phrase")]
    NotThePhrase(PhraseCheck),
    /// A file that the command line names cannot be read.
    #[error("{}: {error}", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file that the command line names cannot be written.
    #[error("{}: {error}", file.display())]
    Unwritable {
        /// Which.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The profile is sealed under a passphrase, and none was given.
    #[error("no passphrase file was given")]
    PassphraseNeeded,
    /// The passphrase file cannot be used.
    #[error(transparent)]
    PassphraseFile(SecretFileError),
    /// The invitation file cannot be used.
    #[error(transparent)]
    InvitationFile(SecretFileError),
    /// There is no certificate for this relay.
    #[error("no certificate for {0}")]
    NoCertificate(String),
    /// There is no data folder to put the profile in.
    #[error("this user has no data folder")]
    NoDataFolder,
    /// Standard input cannot be read.
    #[error("standard input: {0}")]
    Input(io::Error),
    /// Standard output cannot be written.
    #[error("standard output: {0}")]
    Output(io::Error),
    /// The runtime or a signal handler could not be set up.
    #[error("runtime: {0}")]
    Runtime(io::Error),
}

impl Failure {
    /// As the engine would hand it over.
    pub(crate) fn view(&self) -> ErrorView {
        let code = match self {
            Self::Engine(error) => return error.view(),
            Self::NotSent(view)
            | Self::NotChanged(view)
            | Self::StillRotating(Some(view))
            | Self::StillChanging(Some(view)) => return view.clone(),
            Self::StillSending { .. }
            | Self::StillRotating(None)
            | Self::StillChanging(None)
            | Self::StillLinking { .. }
            | Self::StillSyncing { .. } => ErrorCode::RelayDown,
            Self::NoConversation(_)
            | Self::NoGroup(_)
            | Self::NoContact(_)
            | Self::NoMember(_)
            | Self::NoPerson(_)
            | Self::Ambiguous { .. }
            | Self::NoRequest(_)
            | Self::NotOnePerson(_)
            | Self::NoCertificate(_)
            | Self::NoDevice(_)
            | Self::PhraseErased => ErrorCode::NotFound,
            Self::NotThePhrase(PhraseCheck::UnknownWord { .. }) => ErrorCode::UnknownWord,
            Self::NotThePhrase(_) => ErrorCode::WrongWords,
            Self::Unreadable { .. } => ErrorCode::NotFound,
            Self::Unwritable { error, .. } if error.kind() == io::ErrorKind::StorageFull => ErrorCode::DiskFull,
            Self::Unwritable { .. } => ErrorCode::ProfileUnusable,
            Self::NotTheSame { .. }
            | Self::NotCompared(_)
            | Self::FingerprintDiffers
            | Self::FingerprintNotCompared => ErrorCode::SafetyNumberDiffers,
            Self::NobodyAsked => ErrorCode::LinkExpired,
            Self::NotAccepted(_) | Self::NotLetIn(_) => ErrorCode::NotMember,
            Self::Blocked(_) => ErrorCode::Blocked,
            Self::RemovesOneself | Self::RevokesThis => ErrorCode::OwnLink,
            Self::NotRegistered(_) => ErrorCode::NotRegistered,
            Self::PassphraseNeeded | Self::PassphraseFile(_) => ErrorCode::WrongPassphrase,
            Self::InvitationFile(_) => ErrorCode::InvalidInvitation,
            Self::NoDataFolder => ErrorCode::ProfileUnusable,
            Self::Input(_) | Self::NotRevoked(_) => ErrorCode::Empty,
            Self::Output(error) if error.kind() == io::ErrorKind::StorageFull => ErrorCode::DiskFull,
            Self::Output(_) | Self::Runtime(_) => ErrorCode::Internal,
        };
        ErrorView { code, detail: self.to_string() }
    }

    /// Whether the sentence says all that the detail does.
    fn is_all_said(&self) -> bool {
        match self {
            Self::StillSending { .. }
            | Self::StillRotating(None)
            | Self::StillChanging(None)
            | Self::StillSyncing { .. }
            | Self::NoConversation(_)
            | Self::NoGroup(_)
            | Self::NoContact(_)
            | Self::NoMember(_)
            | Self::NoPerson(_)
            | Self::NotTheSame { .. }
            | Self::NotCompared(_)
            | Self::Ambiguous { .. }
            | Self::NoRequest(_)
            | Self::NotAccepted(_)
            | Self::NotLetIn(_)
            | Self::Blocked(_)
            | Self::NotOnePerson(_)
            | Self::RemovesOneself
            | Self::NoCertificate(_)
            | Self::NoDevice(_)
            | Self::RevokesThis
            | Self::NotRevoked(_)
            | Self::NobodyAsked
            | Self::FingerprintDiffers
            | Self::FingerprintNotCompared
            | Self::StillLinking { .. }
            | Self::PhraseErased
            | Self::NotThePhrase(_)
            | Self::PassphraseNeeded
            | Self::NoDataFolder => true,
            Self::Engine(_)
            | Self::NotSent(_)
            | Self::NotChanged(_)
            | Self::StillRotating(Some(_))
            | Self::StillChanging(Some(_))
            | Self::NotRegistered(_)
            | Self::PassphraseFile(_)
            | Self::InvitationFile(_)
            | Self::Unreadable { .. }
            | Self::Unwritable { .. }
            | Self::Input(_)
            | Self::Output(_)
            | Self::Runtime(_) => false,
        }
    }

    /// Whoever was reading has gone; there is nobody to tell.
    fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Tells a failure, and gives the exit code.
pub(crate) fn report(failure: &Failure, json: bool, stderr: &mut dyn Write) -> ExitCode {
    if failure.is_broken_pipe() {
        return ExitCode::SUCCESS;
    }
    let text = if json { output::json_line(&failure.view()) } else { Ok(sentences(failure)) };
    // With standard error gone too, the exit code has to do.
    if let Ok(text) = text {
        let _ = writeln!(stderr, "{text}");
    }
    ExitCode::FAILURE
}

/// `error[code]: sentence`, the action, and the technical detail, each on a line.
fn sentences(failure: &Failure) -> String {
    let ErrorView { code, detail } = failure.view();
    let words = wording::failure(failure);
    let mut text = format!("error[{}]: {}\n  {}", wording::code(code), words.sentence, words.action);
    if !detail.is_empty() && !failure.is_all_said() {
        text.push_str("\n  Detail: ");
        text.push_str(&detail);
    }
    // Paths, and what a relay has answered, are not this program's own words.
    text.lines().map(terminal::line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(failure: &Failure, json: bool) -> (ExitCode, String) {
        let mut stderr = Vec::new();
        let code = report(failure, json, &mut stderr);
        (code, String::from_utf8(stderr).unwrap())
    }

    #[test]
    fn words_for_people() {
        let (_, text) = told(&Failure::NoConversation("bob@\u{1b}[2Jhost".to_owned()), false);
        assert!(text.starts_with("error[notFound]: There is no conversation with bob@␛[2Jhost.\n  "), "{text}");
        assert!(text.contains("waxwing-cli add"), "{text}");
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn a_view_for_programs() {
        let (_, text) = told(&Failure::StillSending { seconds: 30 }, true);
        let view: ErrorView = serde_json::from_str(&text).unwrap();
        assert_eq!(view.code, ErrorCode::RelayDown);
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn a_broken_pipe_is_quiet() {
        let (code, text) = told(&Failure::Output(io::ErrorKind::BrokenPipe.into()), false);
        assert_eq!((code, text.as_str()), (ExitCode::SUCCESS, ""));
        let (code, text) = told(&Failure::Output(io::ErrorKind::StorageFull.into()), false);
        assert_eq!(code, ExitCode::FAILURE);
        assert!(text.starts_with("error[diskFull]"), "{text}");
    }
}
