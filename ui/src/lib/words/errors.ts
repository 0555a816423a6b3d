/**
 * The words for every error. Rust classifies, this file words; a new code does not compile until it has its sentences.
 *
 * `title` heads a full screen or a banner; `sentence` says the cause and what follows from it; `action` says what to do;
 * `button` names the one button of a full screen, which always means 'look again'.
 */
import type { ErrorCode, ErrorView } from "../backend";

export interface ErrorWords {
  title: string;
  sentence: string;
  action: string;
  button?: string;
}

export const errorWords: Record<ErrorCode, ErrorWords> = {
  invalidName: {
    title: "This name cannot be used",
    sentence: "A name has 3 to 32 characters: a to z, 0 to 9, and dots, underscores or hyphens between them.",
    action: "Choose another name.",
  },
  nameTaken: {
    title: "This name is taken",
    sentence: "Somebody on this relay already has this name.",
    action: "Choose another name.",
  },
  invitationNeeded: {
    title: "This relay asks for an invitation",
    sentence: "It takes new people by invitation of whoever runs it. No account was made, and what you typed is kept.",
    action: "Ask them for one, and type it here.",
  },
  invitationRefused: {
    title: "The relay does not take this invitation",
    sentence: "It is not one of this relay's, is used up, or too old. No account was made.",
    action: "Check it for typing mistakes, or ask whoever runs the relay for another.",
  },
  invalidInvitation: {
    title: "This is no invitation",
    sentence: "An invitation has 22 characters: letters, digits, hyphens and underscores. Nothing was sent.",
    action: "Copy it again, as a whole.",
  },
  registrationClosed: {
    title: "This relay takes nobody new",
    sentence: "It makes no accounts at present, with or without an invitation. No account was made.",
    action: "Choose another relay, or ask whoever runs this one.",
  },
  invalidDisplayName: {
    title: "This display name cannot be used",
    sentence: "The display name is empty or too long.",
    action: "Choose a shorter one.",
  },
  invalidAddress: {
    title: "This is not a relay address",
    sentence: "A relay address looks like relay.example.org, with a port after a colon where it needs one.",
    action: "Check it for typing mistakes.",
  },
  invalidLink: {
    title: "This is not an invite",
    sentence: "This is neither an invite link nor an address like ada@relay.example.org.",
    action: "Copy the whole link again, or ask for a new one.",
  },
  linkTooNew: {
    title: "This link is too new",
    sentence: "This invite link was made by a newer Waxwing than this one.",
    action: "Update Waxwing, then paste the link again.",
  },
  ownLink: {
    title: "This is your own invite",
    sentence: "This link or address is yours. Others use it to reach you.",
    action: "To write to yourself, use the note to self.",
  },
  groupLink: {
    title: "This link goes into a group",
    sentence: "It is no invite link of a person. Nothing was done.",
    action: "Paste it again to ask to join the group.",
  },
  personLink: {
    title: "This link goes to a person",
    sentence: "It does not lead into a group. Nothing was done.",
    action: "Paste it under New conversation to write to them.",
  },
  linkOff: {
    title: "This link lets nobody in any more",
    sentence: "It was turned off, or another one took its place. You were not let in.",
    action: "Ask for a new link, and paste that.",
  },
  deviceCode: {
    title: "This is a code for linking a device",
    sentence: "It is no invite link: it links a new device to the account that made it. Nothing was done.",
    action: "Paste it on a new computer of your own, and show it to nobody.",
  },
  notADeviceCode: {
    title: "This is no code for linking a device",
    sentence: "It is something else, or not the whole code. Nothing was sent.",
    action: "Copy it again, as a whole, from Settings, Devices on your other device.",
  },
  linkExpired: {
    title: "This code is no longer valid",
    sentence: "It is too old, was used or taken back, or nobody confirmed in time. Nothing was linked.",
    action: "Make a new code on the device that has the account.",
  },
  linkOvertaken: {
    title: "Your account's keys have changed",
    sentence: "They changed while the device was being linked, so it was not linked.",
    action: "Make a new code on the device that has the account, and use that.",
  },
  deviceRevoked: {
    title: "This device was removed from your account",
    sentence: "Nothing new comes in or goes out here. What is here stays readable.",
    action: "If it was not you who removed it, get the account back with your recovery phrase at once.",
    button: "Look again",
  },
  tooManyDevices: {
    title: "Your account has no room for another device",
    sentence: "An account has at most 16 devices. Nothing was linked.",
    action: "Remove one that you no longer use, then try again.",
  },
  alreadyMember: {
    title: "You are in this group already",
    sentence: "Nothing was done; the group is in your list, or comes back with the next message.",
    action: "Look for it there.",
  },
  unknownUser: {
    title: "Nobody here by that name",
    sentence: "Your relay knows nobody by this name.",
    action: "Check the spelling, or ask for an invite link.",
  },
  otherRelay: {
    title: "This person is on another relay",
    sentence: "People on other relays can be added by invite link only.",
    action: "Ask for their invite link and paste it here.",
  },
  tooLong: {
    title: "This message is too long",
    sentence: "A message holds at most 64 KiB of text. Nothing was sent and your text is kept.",
    action: "Shorten it, or send it in parts.",
  },
  empty: {
    title: "Nothing to send",
    sentence: "The message is empty.",
    action: "Write something first.",
  },
  relayDown: {
    title: "The relay is out of reach",
    sentence: "The relay does not answer.",
    action: "Check the network, or try again later.",
    button: "Try again",
  },
  notARelay: {
    title: "This is not a Waxwing relay",
    sentence: "Something answers at this address, and it is not a Waxwing relay.",
    action: "Check the address with whoever runs the relay.",
    button: "Try again",
  },
  wrongCertificate: {
    title: "The relay's certificate is not the expected one",
    sentence: "Somebody may be standing between this computer and the relay. Nothing is sent until this is settled.",
    action: "Try another network, or ask whoever runs the relay.",
    button: "Try again",
  },
  certificateTime: {
    title: "The relay's certificate is not valid now",
    sentence: "By this computer's clock the relay's certificate has expired or is not valid yet. Nothing is sent.",
    action: "Check this computer's date and time. If they are right, the relay's operator must renew it, or somebody stands in between.",
    button: "Try again",
  },
  certificateNeeded: {
    title: "The relay asks for a certificate",
    sentence: "It serves only those who show it one, and this profile has none for it. Nothing goes through it, and what you write is kept.",
    action: "Ask whoever runs the relay for one, and how to install it.",
    button: "Try again",
  },
  certificateRefused: {
    title: "The relay does not take your certificate",
    sentence: "It may have expired, been withdrawn, or be for another relay. Nothing goes through, and what you write is kept.",
    action: "Ask whoever runs the relay for another.",
    button: "Try again",
  },
  certificateUnusable: {
    title: "Your certificate for the relay cannot be used",
    sentence: "Its file is damaged, lacks the right key, or can be read by others. It is not shown, and nothing goes through.",
    action: "Install it again, as whoever runs the relay says.",
    button: "Try again",
  },
  updateNeeded: {
    title: "This Waxwing is too old",
    sentence: "The relay wants a newer Waxwing. You can read here, and what you write waits.",
    action: "Please update Waxwing.",
    button: "Try again",
  },
  relayBusy: {
    title: "The relay is busy",
    sentence: "The relay asks for patience: too many requests, or a quota is used up.",
    action: "Wait a little, then try again.",
    button: "Try again",
  },
  relayFull: {
    title: "The relay is full",
    sentence: "The relay has no room to store more. What you write waits here.",
    action: "Tell whoever runs the relay.",
    button: "Try again",
  },
  refused: {
    title: "The relay refused this device",
    sentence: "The relay does not accept this device's keys. Nothing can be sent or received.",
    action: "Ask whoever runs the relay.",
    button: "Try again",
  },
  accountDisabled: {
    title: "Your account is disabled",
    sentence: "Whoever runs the relay has disabled it. You can read here, and what you write waits until they enable it again.",
    action: "Ask whoever runs the relay.",
    button: "Try again",
  },
  relayMisbehaved: {
    title: "The relay gave a wrong answer",
    sentence: "The relay answered something it must not. Waxwing ignored it; nothing of yours is lost.",
    action: "Copy the details and report them.",
    button: "Try again",
  },
  relayWentBack: {
    title: "The relay lost messages",
    sentence: "The relay no longer has messages that it had accepted. What you write is kept. After an hour, this conversation begins anew.",
    action: "Ask whoever runs the relay whether it was restored from a backup.",
    button: "Try again",
  },
  lostPlace: {
    title: "This device has lost its place here",
    sentence: "It has asked to be let back in. What you write is kept, and sent as soon as another member's app has answered.",
    action: "If that takes days, ask a member to remove you and add you again.",
    button: "Try again",
  },
  logFull: {
    title: "This conversation is full at the relay",
    sentence: "Very much was sent here, and the relay takes no more for now. What you write is kept, and goes out once older messages have expired there.",
    action: "If somebody floods it, an admin should remove them.",
    button: "Try again",
  },
  logUnavailable: {
    title: "The relay's log of keys cannot be read",
    sentence: "Without it, new keys from this relay prove nothing. Nobody new is added until it can be read again.",
    action: "Try again later. If it stays so, ask whoever runs the relay.",
    button: "Try again",
  },
  notInLog: {
    title: "These keys are not in the relay's log",
    sentence: "The relay shows keys that are not in its public log, where everybody could see them. Waxwing does not use them.",
    action: "Try again later. If it stays so, ask the person for a fresh invite link, in person if you can.",
    button: "Try again",
  },
  newerKeysHeldBack: {
    title: "The relay holds back newer keys",
    sentence:
      "The relay's public log has newer keys of this account than the relay shows. Those that it shows may not be in force any more, so Waxwing does not use them.",
    action: "Try again later. If it stays so, ask whoever runs the relay.",
    button: "Try again",
  },
  nameOfAnother: {
    title: "The relay shows another account by this name",
    sentence: "By the relay's public log this name does not belong to the account that the relay shows for it, so nobody was added.",
    action: "Ask the person for an invite link, in person if you can.",
    button: "Try again",
  },
  ownKeysChanged: {
    title: "Somebody has changed your keys",
    sentence: "The relay holds an entry about your account that no device of yours has made. Nothing was changed here.",
    action: "Recover your account with your 24 words: that shuts out whoever did this.",
    button: "Try again",
  },
  keysHeldBack: {
    title: "The relay holds back keys of yours",
    sentence: "The relay's public log has newer entries of your account than the relay shows. Going on from older ones would part you from your contacts. Nothing was changed.",
    action: "Try again later. If it stays so, ask whoever runs the relay.",
    button: "Try again",
  },
  keysNotLogged: {
    title: "The relay does not publish your new keys",
    sentence:
      "It has taken them and does not show them in its public log. Other people's apps refuse them or never learn of them, so whoever has your old keys may still pass for you.",
    action: "Tell them in another way, and ask whoever runs the relay.",
    button: "Try again",
  },
  closingUnderWay: {
    title: "Your account is being closed",
    sentence: "The relay has not answered, so whether it is closed is not known yet. This goes on by itself as soon as the relay answers.",
    action: "Leave Waxwing open, or start it again later.",
    button: "Try again",
  },
  keysLeft: {
    title: "Your account is closed, and its keys are still here",
    sentence: "The relay has closed it and its history here is deleted. Its keys could not be erased from this computer.",
    action: "Unlock the keychain (it may be asking in another window), then try again.",
    button: "Try again",
  },
  logContradicts: {
    title: "The relay's log contradicts itself",
    sentence: "The relay has shown different people different keys, and signed both. Waxwing keeps the evidence and uses no new keys.",
    action: "Open Settings, Keys to see the evidence, and compare safety numbers with the people you write to.",
    button: "Try again",
  },
  chainBroken: {
    title: "These keys do not fit together",
    sentence: "The relay shows keys that do not fit those you know or the link names. Waxwing does not use them.",
    action: "Ask the person for a fresh invite link, in person if you can.",
    button: "Try again",
  },
  verifyAgain: {
    title: "Somebody is to be verified again",
    sentence: "Somebody here whom you had verified has begun anew with other devices. Nothing is sent until you decide.",
    action: "Compare the safety number again, or go on without.",
    button: "Try again",
  },
  keysInDoubt: {
    title: "Somebody's keys are in doubt",
    sentence: "The relay shows keys of somebody here that do not follow from those you know, or keeps back newer ones that its log has. Nothing is sent meanwhile.",
    action: "Ask the person another way whether they know of it.",
    button: "Try again",
  },
  safetyNumberDiffers: {
    title: "The safety number is another one",
    sentence: "It is not the number that you compared any more, so nothing was confirmed.",
    action: "Compare the one that is shown now.",
  },
  clockWrong: {
    title: "This computer's clock is wrong",
    sentence: "It differs from the relay's by more than 10 minutes. What is sent carries the relay's time all the same.",
    action: "Set the date and time.",
    button: "Try again",
  },
  keychainLocked: {
    title: "The keychain is locked",
    sentence: "Waxwing keeps your keys in this computer's keychain, and it is locked.",
    action: "Unlock the keychain (it may be asking in another window), then try again.",
    button: "I have unlocked it",
  },
  keychainAbsent: {
    title: "No keychain found",
    sentence: "Waxwing keeps your keys in this computer's keychain, and no keychain answers.",
    action: "Start the keychain service (GNOME Keyring or KWallet), then try again.",
    button: "Try again",
  },
  keychainChanged: {
    title: "The key to your messages is missing",
    sentence:
      "The keychain no longer holds this profile's key. Your messages are still on this disk, and stay closed without it.",
    action: "Restore the keychain, or log in as the user who set up Waxwing. Delete nothing.",
    button: "Try again",
  },
  keychainWrong: {
    title: "The keychain holds another key",
    sentence: "The key in the keychain does not open this profile's messages. They are untouched on this disk.",
    action: "Restore the keychain or the profile from the same backup, so that both belong together.",
    button: "Try again",
  },
  wrongPassphrase: {
    title: "That is not the passphrase",
    sentence: "The passphrase does not open this profile. Nothing was changed.",
    action: "Look at the keyboard layout and Caps Lock, and type it again.",
    button: "Unlock",
  },
  weakPassphrase: {
    title: "This passphrase is too short",
    sentence: "A passphrase needs at least 8 characters.",
    action: "Choose a longer one; four or five random words are good.",
  },
  alreadyRunning: {
    title: "Waxwing is already open",
    sentence: "Another Waxwing has this profile open. Two at once would damage your messages.",
    action: "Use the other window, or close it first.",
    button: "I have closed it",
  },
  databaseDamaged: {
    title: "Your history file is damaged",
    sentence: "The file with your messages cannot be read as a whole. Waxwing has not changed or deleted it.",
    action: "Make a copy of the profile folder, check the disk, then try again.",
    button: "Try again",
  },
  databaseTooNew: {
    title: "Your history is from a newer Waxwing",
    sentence: "A newer Waxwing has used this profile. This older one does not touch it.",
    action: "Start the newer Waxwing, or update this one.",
    button: "Try again",
  },
  diskFull: {
    title: "The disk is full",
    sentence: "There is no space left to store anything safely, so nothing is sent or received.",
    action: "Free some space, then try again.",
    button: "I have freed some space",
  },
  profileUnusable: {
    title: "The profile folder cannot be used",
    sentence: "Waxwing may not read or write the folder that holds your profile.",
    action: "Check that the folder exists and is yours, then try again.",
    button: "Try again",
  },
  wrongWords: {
    title: "These are not the words",
    sentence: "At least one of the two words is not the one at that place in your phrase.",
    action: "Look at the numbers and type them again.",
  },
  unknownWord: {
    title: "Not a word of the list",
    sentence: "One of these is not among the words that recovery phrases are made of.",
    action: "Check it for typing mistakes.",
  },
  notAKeyLog: {
    title: "This is no history of keys",
    sentence: "The text is no exported history of keys, or not a whole one, so there is nothing to check.",
    action: "Export it again, and change nothing in it.",
  },
  keyLogWrong: {
    title: "This history does not hold",
    sentence: "It does not agree with the keys that are known here, or is not signed by them. Do not rely on it.",
    action: "Ask whoever it is from, in person if you can.",
  },
  keyLogUnknown: {
    title: "Nobody here has this history",
    sentence: "It is of somebody whose keys are not known here, so it cannot be checked.",
    action: "Add this person first.",
  },
  notAPhrase: {
    title: "These words are no recovery phrase",
    sentence: "A phrase has 24 words. One of these is wrong, missing or in another place. Nothing was changed.",
    action: "Compare them with what you have written down, one by one.",
  },
  phraseOfAnother: {
    title: "This phrase is not this account's",
    sentence: "The words are a recovery phrase, and not the one of this account. Nothing was changed.",
    action: "Check the address, or look for the phrase that belongs to it.",
  },
  notFound: {
    title: "It is gone",
    sentence: "This conversation or message is no longer here.",
    action: "Go back to the list.",
  },
  invalidGroupName: {
    title: "This group name cannot be used",
    sentence: "A group's name has 1 to 64 characters, none of them invisible.",
    action: "Choose another name.",
  },
  notAdmin: {
    title: "Only admins can do this",
    sentence: "Only an admin of this group can change its name, its people and their roles. Nothing was changed.",
    action: "Ask one of its admins.",
  },
  groupFull: {
    title: "The group is full",
    sentence: "A group holds 64 people and 128 of their devices, and this would be more. Nobody was added.",
    action: "Add fewer people, or begin another group.",
  },
  notMember: {
    title: "You are not in this conversation any more",
    sentence: "You left it or were removed. You can read what was said before, and send nothing.",
    action: "Ask somebody in it to add you again.",
  },
  leafKeysErased: {
    title: "You can read here, and not write",
    sentence: "This request waited for so long that the keys it was made for were erased. You read what the others write; nothing of yours can be sent.",
    action: "Ask an admin to remove you and add you again.",
  },
  changeImpossible: {
    title: "The group could not be changed",
    sentence: "Somebody in this group, or to be added to it, has keys that cannot be used. Nothing was changed; messages still go out.",
    action: "Add others one by one. If nothing can be changed, an admin can remove whoever last changed something here.",
  },
  noKeyPackage: {
    title: "Somebody cannot be added yet",
    sentence: "Their devices have left no fresh keys at their relay, and nobody can be added without.",
    action: "Try again once they have opened Waxwing.",
  },
  blocked: {
    title: "This person is blocked",
    sentence: "You blocked this person, so nothing goes to them or comes from them.",
    action: "Unblock them in the details of your conversation first.",
  },
  alreadyRegistered: {
    title: "There is an account here already",
    sentence: "This profile already has an account.",
    action: "Restart Waxwing to use it.",
  },
  notRegistered: {
    title: "There is no account here yet",
    sentence: "This profile has no account yet.",
    action: "Restart Waxwing to make one.",
    button: "Start again",
  },
  stopped: {
    title: "Waxwing is closing",
    sentence: "The program is shutting down. What you wrote is kept.",
    action: "Start it again.",
    button: "Start again",
  },
  internal: {
    title: "Something went wrong in Waxwing",
    sentence: "This is a fault of the program, not yours. Your messages on this disk are not affected.",
    action: "Try again. If it comes back, copy the details and report them.",
    button: "Try again",
  },
};

/** One line for an error beside the thing it is about. */
export function errorLine(error: ErrorView): string {
  const words = errorWords[error.code];
  return `${words.sentence} ${words.action}`;
}

/** What a user copies into a report; holds no secret and no message text. */
export function errorReport(error: ErrorView, version: string): string {
  const words = errorWords[error.code];
  return [`Waxwing ${version}`, `${words.title} (${error.code})`, error.detail].filter(Boolean).join("\n");
}
