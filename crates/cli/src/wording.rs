//! The words for every error. Rust classifies, this file words; a new code does not compile until it has its sentences.
//!
//! `sentence` says the cause and what follows from it, `action` the one thing to do.

use std::borrow::Cow;

use waxwing_client::{ErrorCode, ErrorView, SafetyComparison};

use crate::failure::Failure;
use crate::key_lines;
use crate::secret_file::SecretFileError;

/// One sentence or two, and one action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words<S> {
    /// The cause, and what follows from it.
    pub(crate) sentence: S,
    /// What to do.
    pub(crate) action: S,
}

/// The code as JSON views spell it.
pub(crate) fn code(code: ErrorCode) -> String {
    match serde_json::to_value(code) {
        Ok(serde_json::Value::String(text)) => text,
        // A code is a plain enum; it is always a string.
        _ => format!("{code:?}"),
    }
}

/// What a command that failed says.
pub(crate) fn failure(failure: &Failure) -> Words<Cow<'static, str>> {
    match failure {
        Failure::StillSending { seconds } => owned(
            format!(
                "The relay has not accepted the message within {seconds} s. It is stored here and will be sent later."
            ),
            "Run `waxwing-cli sync` when the relay can be reached; do not send it again.",
        ),
        Failure::StillRotating(_) => plain(Words {
            sentence: "The relay has not accepted the new keys yet. The rotation is stored here and will be completed later.",
            action: "Run `waxwing-cli sync` when the relay can be reached.",
        }),
        Failure::StillSyncing { seconds } => owned(
            format!("The relay has not handed over everything within {seconds} s. There may be newer messages."),
            "Check the network, then try again.",
        ),
        Failure::NoConversation(who) => owned(
            format!("There is no conversation with {who}."),
            "Start one with `waxwing-cli add`, or look at `waxwing-cli list`.",
        ),
        Failure::StillChanging(why) => still_changing(why.as_ref()),
        Failure::NoGroup(group) => {
            owned(format!("There is no group {group} here."), "Look at `waxwing-cli group list`.")
        }
        Failure::NoContact(person) => owned(
            format!("{person} is none of your contacts, so they cannot be added. Nothing was done."),
            "Add them with `waxwing-cli add`, or accept their request, first.",
        ),
        Failure::NotLetIn(group) => owned(
            format!("You asked to join {group}, and were not let in yet. Nothing was done."),
            "Wait until whoever made the link is connected; `waxwing-cli delete` takes your wish back.",
        ),
        Failure::NoMember(person) => owned(
            format!("Nobody in this group is {person}. Nothing was done."),
            "Look at `waxwing-cli group list GROUP`.",
        ),
        Failure::NoPerson(person) => owned(
            format!("Nobody whom you know is {person}. Nothing was done."),
            "Look at `waxwing-cli list` and `waxwing-cli group list GROUP`.",
        ),
        Failure::NotTheSame { who, came } => not_the_same(who, *came),
        Failure::NotCompared(who) => owned(
            format!("{who} is not marked as verified, since you have not said that the digits are the same."),
            "Compare them in person or on a call, then try again.",
        ),
        Failure::Ambiguous { word, those } => owned(
            format!("{word} may mean {}. Nothing was done.", those.join(" or ")),
            "Write the whole address, or the id (`waxwing-cli --json list` shows all of it).",
        ),
        Failure::NoRequest(who) => {
            owned(format!("{who} is not a request, so there is nothing to accept."), "Look at `waxwing-cli requests`.")
        }
        Failure::NotAccepted(who) => owned(
            format!("{who} is a request that you have not accepted, so nothing is sent there."),
            "Accept it first with `waxwing-cli accept`.",
        ),
        Failure::Blocked(who) => owned(
            format!("You have blocked {who}, so they cannot be added. Nothing was done."),
            "Unblock them first with `waxwing-cli unblock`.",
        ),
        Failure::NotOnePerson(who) => owned(
            format!("{who} is not a conversation with one other person, and only a person can be blocked."),
            "Leave a group with `waxwing-cli group leave`.",
        ),
        Failure::RemovesOneself => plain(Words {
            sentence: "This would remove yourself from the group, which only the others can do. Nothing was done.",
            action: "To go, use `waxwing-cli group leave`.",
        }),
        Failure::NoDevice(_)
        | Failure::RevokesThis
        | Failure::NotRevoked(_)
        | Failure::NobodyAsked
        | Failure::FingerprintDiffers
        | Failure::FingerprintNotCompared
        | Failure::StillLinking { .. } => devices(failure),
        Failure::PhraseErased => plain(Words {
            sentence: "The recovery phrase was confirmed, and its words were erased from this computer.",
            action: "Look at the copy that was written down.",
        }),
        Failure::NotThePhrase(check) => {
            owned(key_lines::phrase(*check), "Look at what was written down, and type all 24 words again.")
        }
        Failure::Unreadable { file, .. } => owned(
            format!("The file {} cannot be read as text. Nothing was checked.", file.display()),
            "Check that it exists and is yours.",
        ),
        Failure::Unwritable { file, .. } => owned(
            format!("The file {} cannot be written, or is there already. It was not changed.", file.display()),
            "Name another file.",
        ),
        Failure::PassphraseNeeded => plain(Words {
            sentence: "This profile's keys are sealed under a passphrase.",
            action: "Name the file that holds it with --passphrase-file.",
        }),
        Failure::PassphraseFile(error) => passphrase_file(error),
        Failure::InvitationFile(error) => invitation_file(error),
        Failure::NoCertificate(relay) => owned(
            format!("There is no certificate for {relay} in this profile. Nothing was removed."),
            "Look at `waxwing-cli certificate list`.",
        ),
        Failure::NoDataFolder => plain(Words {
            sentence: "This user has no folder for data, so there is no place for a profile.",
            action: "Name one with --profile.",
        }),
        Failure::Input(_) => plain(Words {
            sentence: "Standard input could not be read as text. Nothing was done.",
            action: "Give it as UTF-8.",
        }),
        Failure::Output(_) => plain(Words {
            sentence: "The result could not be written to standard output.",
            action: "Check where the output goes, then try again.",
        }),
        Failure::Engine(_)
        | Failure::NotSent(_)
        | Failure::NotChanged(_)
        | Failure::NotRegistered(_)
        | Failure::Runtime(_) => plain(words(failure.view().code)),
    }
}

/// What has kept a device from being let in, or from being removed.
fn devices(failure: &Failure) -> Words<Cow<'static, str>> {
    match failure {
        Failure::NoDevice(id) => owned(
            format!("Your account has no device {id}. Nothing was done."),
            "Look at `waxwing-cli devices list`, and write the id, or its first 8 digits or more.",
        ),
        Failure::RevokesThis => plain(Words {
            sentence: "This is the device that you are on, and a device does not remove itself. Nothing was done.",
            action: "Remove it with `waxwing-cli devices revoke`, or with the app, on another of your devices.",
        }),
        Failure::NotRevoked(id) => owned(
            format!("Device {id} was not removed, since you have not said yes. Nothing was done."),
            "Try again and answer with yes, or give --yes.",
        ),
        Failure::FingerprintDiffers => plain(Words {
            sentence: "The fingerprint given is not that of the device that asked. That was not linked, and the code is not valid any more.",
            action: "If the new device shows another fingerprint, somebody else has used the code; make a new one where nobody sees it.",
        }),
        Failure::FingerprintNotCompared => plain(Words {
            sentence: "The device that asked was not linked, since you have not said that its fingerprint is the one that the new device shows. The code is not valid any more.",
            action: "If the new device shows another fingerprint, somebody else has used the code; make a new one where nobody sees it.",
        }),
        Failure::StillLinking { seconds } => owned(
            format!("The device that you confirmed is not in the account within {seconds} s. It may still get there."),
            "Look at `waxwing-cli devices list` when the relay can be reached; if it is not there, link it again.",
        ),
        // Nobody has asked in time, and nothing else comes here.
        _ => plain(words(failure.view().code)),
    }
}

/// What a safety number that is not the same means.
fn not_the_same(who: &str, came: SafetyComparison) -> Words<Cow<'static, str>> {
    match came {
        SafetyComparison::NotForThisConversation => owned(
            format!(
                "This is your own code, or that of somebody else whom you know, and not what {who} shows you. Nothing was changed."
            ),
            "Take it from the safety number of your conversation in their app.",
        ),
        SafetyComparison::Damaged => owned(
            format!(
                "This is neither 60 digits nor the text of a QR code, so it says nothing about {who}. Nothing was changed."
            ),
            "Copy it again, as a whole.",
        ),
        // A match is no failure.
        SafetyComparison::Match | SafetyComparison::Mismatch => owned(
            format!(
                "The safety number with {who} is not the one given. Somebody may be reading along. Nothing was changed."
            ),
            "Send nothing that matters, and compare again in person.",
        ),
    }
}

/// A change that waits, and what it waits for where that is more than the relay.
fn still_changing(why: Option<&ErrorView>) -> Words<Cow<'static, str>> {
    let waits = "The change has not reached the relay yet. It is stored here and will be made later.";
    match why {
        Some(why) if why.code != ErrorCode::RelayDown => {
            let why = words(why.code);
            owned(format!("{waits} {}", why.sentence), why.action)
        }
        _ => plain(Words { sentence: waits, action: "Run `waxwing-cli sync` when the relay can be reached." }),
    }
}

fn passphrase_file(error: &SecretFileError) -> Words<Cow<'static, str>> {
    match error {
        SecretFileError::Unreadable { file, .. } => owned(
            format!("The passphrase file {} cannot be read.", file.display()),
            "Check that it exists and is yours.",
        ),
        SecretFileError::OpenToOthers { file, .. } => owned(
            format!("Other users of this computer may read or change the passphrase file {}.", file.display()),
            "Take that away with chmod 600, and choose a new passphrase if somebody may have read it.",
        ),
        SecretFileError::Empty(file) => owned(
            format!("The first line of the passphrase file {} is empty.", file.display()),
            "Write the passphrase into its first line.",
        ),
        SecretFileError::NotText(file) => owned(
            format!("The first line of the passphrase file {} is too long, or no UTF-8 text.", file.display()),
            "Write the passphrase, and nothing else, into its first line.",
        ),
    }
}

fn invitation_file(error: &SecretFileError) -> Words<Cow<'static, str>> {
    match error {
        SecretFileError::Unreadable { file, .. } => owned(
            format!("The invitation file {} cannot be read. Nothing was sent.", file.display()),
            "Check that it exists and is yours.",
        ),
        SecretFileError::OpenToOthers { file, .. } => owned(
            format!(
                "Other users of this computer may read or change the invitation file {}. Nothing was sent.",
                file.display()
            ),
            "Take that away with chmod 600, then try again.",
        ),
        SecretFileError::Empty(file) | SecretFileError::NotText(file) => owned(
            format!("The first line of the invitation file {} is no invitation. Nothing was sent.", file.display()),
            "Write the invitation's 22 characters, and nothing else, into its first line.",
        ),
    }
}

fn plain(words: Words<&'static str>) -> Words<Cow<'static, str>> {
    Words { sentence: Cow::Borrowed(words.sentence), action: Cow::Borrowed(words.action) }
}

fn owned(sentence: String, action: &'static str) -> Words<Cow<'static, str>> {
    Words { sentence: Cow::Owned(sentence), action: Cow::Borrowed(action) }
}

/// The words for a code.
pub(crate) fn words(code: ErrorCode) -> Words<&'static str> {
    let (sentence, action) = match code {
        ErrorCode::InvalidName => (
            "This name cannot be used: a name has 3 to 32 characters, a to z, 0 to 9, and single . _ - between them.",
            "Choose another name.",
        ),
        ErrorCode::NameTaken => ("Somebody on this relay already has this name.", "Choose another name."),
        ErrorCode::InvitationNeeded => (
            "This relay makes accounts by invitation of whoever runs it, and none was given. No account was made.",
            "Ask them for an invitation, and name its file with --invitation-file.",
        ),
        ErrorCode::InvitationRefused => (
            "The relay does not take this invitation: it is not one of this relay's, is used up, or too old. No account was made.",
            "Check it for typing mistakes, or ask whoever runs the relay for another.",
        ),
        ErrorCode::InvalidInvitation => (
            "This is no invitation: one has 22 characters, which are a to z, A to Z, 0 to 9, - and _. Nothing was sent.",
            "Copy it again, as a whole.",
        ),
        ErrorCode::RegistrationClosed => (
            "This relay takes nobody new, with or without an invitation. No account was made.",
            "Choose another relay, or ask whoever runs this one.",
        ),
        ErrorCode::InvalidDisplayName => {
            ("The display name is empty, too long, or holds control characters.", "Choose another with --display-name.")
        }
        ErrorCode::InvalidAddress => (
            "This is not a relay's address; one looks like relay.example.org or 127.0.0.1:4000.",
            "Check it for typing mistakes.",
        ),
        ErrorCode::InvalidLink => (
            "This is neither an invite link nor an address like ada@relay.example.org.",
            "Copy the whole link again, or ask for a new one.",
        ),
        ErrorCode::LinkTooNew => {
            ("This invite link was made by a newer Waxwing than this one.", "Update Waxwing, then add the link again.")
        }
        ErrorCode::OwnLink => {
            ("This link or address is your own; others use it to reach you.", "To write to yourself, send to `me`.")
        }
        ErrorCode::GroupLink => {
            ("This link goes into a group, not to a person. Nothing was done.", "Use it with `waxwing-cli group join`.")
        }
        ErrorCode::PersonLink => {
            ("This link goes to a person, not into a group. Nothing was done.", "Use it with `waxwing-cli add`.")
        }
        ErrorCode::LinkOff => (
            "This link lets nobody in any more: it was turned off, or another one took its place.",
            "Ask for a new link, and use that with `waxwing-cli group join`.",
        ),
        ErrorCode::DeviceCode => (
            "This is a code that lets a new device into an account, and not an invite link. Nothing was done.",
            "Use it on the new device, with `waxwing-cli link`, and show it to nobody.",
        ),
        ErrorCode::NotADeviceCode => (
            "This is no code for linking a device, or not a whole one. Nothing was done.",
            "Copy it again, as a whole, from the device that shows it.",
        ),
        ErrorCode::LinkExpired => (
            "The code for linking a device is not valid any more, or nobody has confirmed in time. No device was linked.",
            "Make a new one with `waxwing-cli devices link` on a device of the account.",
        ),
        ErrorCode::LinkOvertaken => (
            "The account's keys changed while the device was being linked, so it was not.",
            "Make a new code with `waxwing-cli devices link` on a device of the account.",
        ),
        ErrorCode::DeviceRevoked => (
            "This device was removed from the account. Nothing new reaches it, and nothing goes out from it; what is here can be read.",
            "If that was not you, take the account back with your 24 words: `waxwing-cli keys recover`.",
        ),
        ErrorCode::TooManyDevices => (
            "An account has at most 16 devices, and this one has as many. No device was linked.",
            "Remove one first with `waxwing-cli devices revoke`.",
        ),
        ErrorCode::AlreadyMember => {
            ("You are in this group already. Nothing was done.", "Look at `waxwing-cli group list`.")
        }
        ErrorCode::UnknownUser => {
            ("Your relay knows nobody by this name.", "Check the spelling, or ask for an invite link.")
        }
        ErrorCode::OtherRelay => (
            "This person is on another relay; people there can be added by invite link only.",
            "Ask for their invite link and add that.",
        ),
        ErrorCode::TooLong => {
            ("A message holds at most 64 KiB of text. Nothing was sent.", "Shorten it, or send it in parts.")
        }
        ErrorCode::Empty => ("The message is empty. Nothing was sent.", "Write something first."),
        ErrorCode::RelayDown => (
            "The relay does not answer. What was written before is kept here and will be sent later.",
            "Check the network and the relay, then try again.",
        ),
        ErrorCode::NotARelay => (
            "Something answers at this address, and it is not a Waxwing relay.",
            "Check the address with whoever runs the relay.",
        ),
        ErrorCode::WrongCertificate => (
            "The relay's certificate is not the expected one. Somebody may be standing between; nothing is sent.",
            "Try another network, or ask whoever runs the relay.",
        ),
        ErrorCode::CertificateTime => (
            "By this computer's clock the relay's certificate has expired or is not valid yet. Nothing is sent until this is settled; what is written is kept here.",
            "Check this computer's date and time first; if they are right, whoever runs the relay must renew the certificate, or somebody stands in between: then try another network.",
        ),
        ErrorCode::CertificateNeeded => (
            "The relay serves only those who show it a certificate, and this profile has none for it. Nothing goes through it; what is written is kept here.",
            "Ask whoever runs the relay for one, then `waxwing-cli certificate add FILE --relay HOST:PORT`.",
        ),
        ErrorCode::CertificateRefused => (
            "The relay does not take the certificate that it was shown: it may have expired, been withdrawn, or be for another relay. What is written is kept here.",
            "Ask whoever runs the relay for another, then `waxwing-cli certificate add FILE --relay HOST:PORT`.",
        ),
        ErrorCode::CertificateUnusable => (
            "The file with a certificate for a relay cannot be used, so it is shown to nobody, and nothing goes through a relay that asks for it.",
            "See to what the detail says, then `waxwing-cli certificate add FILE --relay HOST:PORT`.",
        ),
        ErrorCode::UpdateNeeded => (
            "The relay wants a newer Waxwing. What is here can be read, and what is written waits.",
            "Please update Waxwing.",
        ),
        ErrorCode::RelayBusy => {
            ("The relay asks for patience: too many requests, or a quota is used up.", "Wait a little, then try again.")
        }
        ErrorCode::RelayFull => {
            ("The relay has no room to store more. What is written waits here.", "Tell whoever runs the relay.")
        }
        ErrorCode::Refused => {
            ("The relay does not accept this device's keys, so nothing goes through it.", "Ask whoever runs the relay.")
        }
        ErrorCode::AccountDisabled => (
            "Whoever runs the relay has disabled this account. What is written is kept here, and sent once they enable it again.",
            "Ask whoever runs the relay.",
        ),
        ErrorCode::RelayMisbehaved => (
            "The relay answered something it must not. It was ignored; nothing of yours is lost.",
            "Report it together with the detail.",
        ),
        ErrorCode::RelayWentBack => (
            "The relay no longer has messages that it had accepted. Sending is stopped there; the history here is safe.",
            "Ask whoever runs the relay whether it was restored from a backup.",
        ),
        ErrorCode::LostPlace => (
            "This device has lost its place there and has asked to be let back in. What is written is kept until then.",
            "If that takes days, ask a member to remove you and add you again.",
        ),
        ErrorCode::LogFull => (
            "Very much was sent there, and the relay takes no more for now. What is written is kept here, and goes out once older messages have expired there.",
            "If somebody floods it, an admin should remove them.",
        ),
        ErrorCode::ChainBroken => (
            "The relay shows keys for this person that do not follow from those known here. Sending to them is stopped.",
            "Ask the person for a fresh invite link, in person if you can.",
        ),
        ErrorCode::LogUnavailable => (
            "The relay's transparency log cannot be read up to now, so its newest keys prove nothing. Nobody new is added meanwhile.",
            "Try again later. If it stays so, ask whoever runs the relay.",
        ),
        ErrorCode::NotInLog => (
            "The relay shows keys that are not in its public log, where everybody could see them. They are not used.",
            "Try again later. If it stays so, ask the person for a fresh invite link, in person if you can.",
        ),
        ErrorCode::NewerKeysHeldBack => (
            "The relay's public log has newer keys of this account than the relay shows. Those that it shows may not be in force any more, and are not used.",
            "Try again later. If it stays so, ask whoever runs the relay.",
        ),
        ErrorCode::NameOfAnother => (
            "By the relay's public log this name does not belong to the account that the relay shows for it. Nobody was added.",
            "Ask the person for an invite link, in person if you can, and add that.",
        ),
        ErrorCode::OwnKeysChanged => (
            "Somebody else has changed your account's keys; nothing was changed here.",
            "Take the account back with your 24 words: waxwing-cli keys recover.",
        ),
        ErrorCode::KeysHeldBack => (
            "The relay's public log has newer entries of your account than the relay shows, and what came behind older ones would part you from your contacts. Nothing was changed.",
            "Try again later. If it stays so, ask whoever runs the relay.",
        ),
        ErrorCode::KeysNotLogged => (
            "The relay has taken your new keys and does not show them in its public log. Other people's apps refuse them or never learn of them, so whoever has the old keys may still pass for you.",
            "Tell the people you write to in another way, and ask whoever runs the relay.",
        ),
        ErrorCode::ClosingUnderWay => (
            "The account is being closed; whether the relay has done it is not known yet.",
            "Leave it: the next command that reaches the relay goes on with it.",
        ),
        ErrorCode::KeysLeft => (
            "The account that was here is closed, and its keys could not be erased from this computer yet.",
            "Unlock the keychain (it may be asking in a window), then try again.",
        ),
        ErrorCode::LogContradicts => (
            "The relay's public log of keys contradicts itself: it shows different people different keys. New keys are not used.",
            "Compare safety numbers with the people you write to, and show them the evidence (`keys log`).",
        ),
        ErrorCode::VerifyAgain => (
            "Somebody there whom you had verified has begun anew with other devices, or somebody else has under their name. Nothing was sent.",
            "Compare again with `waxwing-cli keys verify`; to write without, use `waxwing-cli keys verify PERSON --undo`.",
        ),
        ErrorCode::KeysInDoubt => (
            "The relay shows keys of somebody there that do not follow from those known here, or keeps back newer ones that its log has. Nothing is sent until it shows the right ones.",
            "Ask the person another way whether they know of it; `waxwing-cli sync` looks again.",
        ),
        ErrorCode::SafetyNumberDiffers => (
            "The safety number is another one than the one compared. Nothing was confirmed.",
            "Look at it with `waxwing-cli keys number`, and compare again.",
        ),
        ErrorCode::ClockWrong => {
            ("This computer's clock differs from the relay's by more than 10 minutes.", "Set the date and time.")
        }
        ErrorCode::KeychainLocked => (
            "The keychain that holds this profile's keys is locked.",
            "Unlock it (it may be asking in a window), then try again.",
        ),
        ErrorCode::KeychainAbsent => (
            "No keychain answers, and this profile's keys belong into one.",
            "Start the keychain service, or make a new profile with --passphrase-file.",
        ),
        ErrorCode::KeychainChanged => (
            "The keychain no longer holds this profile's key. The messages are still on this disk, closed without it.",
            "Restore the keychain, or log in as the user who registered. Delete nothing.",
        ),
        ErrorCode::KeychainWrong => (
            "The stored key does not open this profile's messages. They are untouched on this disk.",
            "Restore keychain and profile from the same backup, so that both belong together.",
        ),
        ErrorCode::WrongPassphrase => (
            "The passphrase does not open this profile. Nothing was changed.",
            "Check the first line of the passphrase file.",
        ),
        ErrorCode::WeakPassphrase => (
            "The passphrase is too short: it needs at least 8 characters.",
            "Choose a longer one; four or five random words are good.",
        ),
        ErrorCode::AlreadyRunning => (
            "Another Waxwing has this profile open; two at once would damage it.",
            "Wait for the other to end, or end it first.",
        ),
        ErrorCode::DatabaseDamaged => (
            "The file with the messages cannot be read as a whole. It was not changed.",
            "Make a copy of the profile folder and check the disk, then try again.",
        ),
        ErrorCode::DatabaseTooNew => (
            "A newer Waxwing has used this profile. This older one does not touch it.",
            "Run the newer Waxwing, or update this one.",
        ),
        ErrorCode::DiskFull => {
            ("The disk is full, so nothing can be stored safely.", "Free some space, then try again.")
        }
        ErrorCode::ProfileUnusable => (
            "The profile folder cannot be read or written.",
            "Check that the folder is yours, or name another with --profile.",
        ),
        ErrorCode::WrongWords => (
            "At least one of the two words is not the one at that place in the phrase.",
            "Look at the numbers and type the words again.",
        ),
        ErrorCode::UnknownWord => {
            ("One of these is not among the words that recovery phrases are made of.", "Check it for typing mistakes.")
        }
        ErrorCode::NotAKeyLog => (
            "This is no exported history of keys, or not a whole one, so there is nothing to check.",
            "Export it again with `waxwing-cli keys export`, and change nothing in it.",
        ),
        ErrorCode::KeyLogWrong => (
            "This history does not agree with the keys that are known here, or is not signed by them. Do not rely on it.",
            "Ask whoever it is from, in person if you can, and compare it there.",
        ),
        ErrorCode::KeyLogUnknown => (
            "This history is of somebody whose keys are not known here, so it cannot be checked.",
            "Add them first with `waxwing-cli add`.",
        ),
        ErrorCode::NotAPhrase => (
            "These words are no recovery phrase: it has 24, and one of these is wrong, missing or in another place. Nothing was changed.",
            "Compare them with what you have written down, one by one.",
        ),
        ErrorCode::PhraseOfAnother => (
            "This is a recovery phrase, and not the one of this account. Nothing was changed.",
            "Check the address, or look for the phrase that belongs to it.",
        ),
        ErrorCode::NotFound => ("There is no such conversation or message here.", "Look at `waxwing-cli list`."),
        ErrorCode::InvalidGroupName => (
            "A group's name has 1 to 64 characters, and none that control or turn what stands around it.",
            "Choose another name.",
        ),
        ErrorCode::NotAdmin => (
            "Only an admin of a group may change its name, its people and their roles. Nothing was changed.",
            "Ask one of its admins; `waxwing-cli group list GROUP` shows them.",
        ),
        ErrorCode::GroupFull => (
            "A group holds at most 64 people and 128 of their devices. Nobody was added.",
            "Add fewer people, or make another group.",
        ),
        ErrorCode::NotMember => (
            "You left this conversation or were removed from it. What was said can be read, and nothing is sent there.",
            "Ask somebody in it to add you again.",
        ),
        ErrorCode::LeafKeysErased => (
            "That request waited for so long that the keys it was made for were erased. What others write can be read, and nothing can be sent there.",
            "Ask an admin to remove you and add you again.",
        ),
        ErrorCode::ChangeImpossible => (
            "Somebody in that group, or to be added to it, has keys that cannot be used. Nothing was changed; messages still go out.",
            "Add people one by one. If nothing can be changed, an admin can remove whoever last changed something there.",
        ),
        ErrorCode::NoKeyPackage => (
            "Somebody's devices have left no keys at their relay to be added with, so they are not in yet.",
            "Ask them to start Waxwing, then run `waxwing-cli sync`.",
        ),
        ErrorCode::Blocked => (
            "You have blocked this person: nothing goes to them, and nothing of theirs is taken in.",
            "Unblock them first with `waxwing-cli unblock`.",
        ),
        ErrorCode::AlreadyRegistered => {
            ("This profile already has an account.", "Use it, or name another profile with --profile.")
        }
        ErrorCode::NotRegistered => {
            ("There is no account in this profile yet.", "Make one with `waxwing-cli register NAME --relay HOST:PORT`.")
        }
        ErrorCode::Stopped => ("The program is shutting down. What was stored is kept.", "Run the command again."),
        ErrorCode::Internal => (
            "This is a fault of the program, not yours. The messages on this disk are not affected.",
            "Try again; if it comes back, report it together with the detail.",
        ),
    };
    Words { sentence, action }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// All codes, read from where they are defined: the list cannot fall behind.
    fn all() -> Vec<ErrorCode> {
        let source = include_str!("../../client/src/error.rs");
        let body = source.split_once("pub enum ErrorCode {").unwrap().1.split_once("\n}").unwrap().0;
        let names = body.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
        names
            .map(|line| {
                let name = line.trim_end_matches(',');
                let camel = format!("\"{}{}\"", name[..1].to_lowercase(), &name[1..]);
                serde_json::from_str(&camel).unwrap()
            })
            .collect()
    }

    #[test]
    fn every_code_has_its_own_sentence_and_an_action() {
        let all = all();
        assert!(all.len() >= 40, "{}", all.len());
        let mut sentences = HashSet::new();
        for code in all {
            let Words { sentence, action } = words(code);
            for text in [sentence, action] {
                assert!(text.ends_with('.') && text.len() > 10 && !text.contains('\n'), "{code:?}: {text}");
            }
            assert!(sentences.insert(sentence), "{code:?} has another's sentence");
        }
    }

    #[test]
    fn codes_are_spelled_as_in_json() {
        assert_eq!(code(ErrorCode::NotARelay), "notARelay");
        assert_eq!(code(ErrorCode::RelayDown), "relayDown");
    }

    /// What is in the log is not said to be missing there.
    #[test]
    fn keys_that_are_held_back_and_names_of_others_are_told_from_keys_that_are_not_in_the_log() {
        let missing = words(ErrorCode::NotInLog);
        assert!(missing.sentence.contains("keys that are not in its public log"), "{}", missing.sentence);
        let newer = words(ErrorCode::NewerKeysHeldBack);
        assert!(newer.sentence.contains("newer keys of this account than the relay shows"), "{}", newer.sentence);
        assert!(newer.sentence.contains("not used") && newer.action.contains("whoever runs the relay"));
        let name = words(ErrorCode::NameOfAnother);
        let says = "this name does not belong to the account that the relay shows for it. Nobody was added.";
        assert!(name.sentence.contains(says) && name.action.contains("invite link"), "{}", name.sentence);
        for Words { sentence, .. } in [newer, name] {
            assert!(!sentence.contains("not in its public log"), "{sentence}");
        }
    }

    #[test]
    fn d8_a_certificate_that_is_not_valid_by_this_computers_clock_has_its_own_words() {
        let Words { sentence, action } = words(ErrorCode::CertificateTime);
        let says = "By this computer's clock the relay's certificate has expired or is not valid yet. Nothing is sent";
        assert!(sentence.starts_with(says) && sentence.contains("kept here"), "{sentence}");
        assert!(
            action.starts_with("Check this computer's date and time first;") && action.contains("renew"),
            "{action}"
        );
        for other in ["Somebody may be standing between", "10 minutes"] {
            assert!(!sentence.contains(other), "{sentence}");
        }
    }

    #[test]
    fn changes_that_wait_say_what_for() {
        let why = |code| failure(&Failure::StillChanging(Some(ErrorView { code, detail: String::new() })));
        assert_eq!(why(ErrorCode::RelayDown), failure(&Failure::StillChanging(None)));
        let keys = why(ErrorCode::NoKeyPackage);
        assert!(keys.sentence.contains("stored here") && keys.sentence.contains("left no keys"), "{}", keys.sentence);
        assert_eq!(keys.action, words(ErrorCode::NoKeyPackage).action);
    }

    #[test]
    fn words_that_mean_nobody_or_several() {
        let those = vec!["bob@relay (0b0b0b0b)".to_owned(), "bob@other (0c0c0c0c)".to_owned()];
        let several = failure(&Failure::Ambiguous { word: "bob".to_owned(), those });
        assert!(several.sentence.starts_with("bob may mean bob@relay (0b0b0b0b) or bob@other (0c0c0c0c)."));
        for (missed, action) in [
            (Failure::NoGroup("club".to_owned()), "group list"),
            (Failure::NoContact("bob".to_owned()), "waxwing-cli add"),
            (Failure::NoMember("bob".to_owned()), "group list GROUP"),
            (Failure::NoRequest("bob@relay".to_owned()), "requests"),
            (Failure::NotAccepted("bob@relay".to_owned()), "accept"),
            (Failure::Blocked("bob@relay".to_owned()), "unblock"),
            (Failure::NotOnePerson("me".to_owned()), "group leave"),
            (Failure::RemovesOneself, "group leave"),
            (Failure::NoPerson("bob".to_owned()), "waxwing-cli list"),
            (Failure::NoCertificate("h:1".to_owned()), "certificate list"),
            (Failure::NotCompared("bob@relay".to_owned()), "Compare"),
            (Failure::NoDevice("0d0d".to_owned()), "devices list"),
            (Failure::RevokesThis, "another of your devices"),
            (Failure::NotRevoked("0d0d".to_owned()), "--yes"),
            (Failure::NobodyAsked, "devices link"),
            (Failure::FingerprintDiffers, "somebody else has used the code"),
            (Failure::FingerprintNotCompared, "somebody else has used the code"),
            (Failure::StillLinking { seconds: 120 }, "devices list"),
        ] {
            let Words { sentence, action: told } = failure(&missed);
            assert!(told.contains(action) && told.ends_with('.') && sentence.ends_with('.'), "{sentence} {told}");
        }
    }

    #[test]
    fn numbers_that_differ_are_an_alarm_and_nothing_else_is() {
        let told = |came| failure(&Failure::NotTheSame { who: "bob@relay".to_owned(), came }).sentence;
        assert!(told(SafetyComparison::Mismatch).contains("reading along"));
        for came in [SafetyComparison::NotForThisConversation, SafetyComparison::Damaged] {
            assert!(!told(came).contains("reading along") && told(came).contains("Nothing was changed"));
        }
    }

    #[test]
    fn what_only_a_terminal_knows() {
        let late = failure(&Failure::StillSending { seconds: 30 });
        assert!(late.sentence.contains("stored here and will be sent later"));
        let open = SecretFileError::OpenToOthers { file: "secret".into(), mode: 0o644 };
        assert!(failure(&Failure::PassphraseFile(open)).action.contains("chmod 600"));
    }
}
