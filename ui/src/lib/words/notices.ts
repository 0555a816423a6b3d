/** The words of quiet lines and of states, for the timeline, the list and screen readers. */
import type { LastLine, MessageState, Notice, Trust } from "../backend";
import { count, namesLine } from "./people";

export function noticeLine(notice: Notice): string {
  switch (notice.type) {
    case "keysRotated":
      return notice.mine
        ? `You rotated your keys (version ${notice.version})`
        : `${notice.name} rotated their keys (version ${notice.version})`;
    case "recovered":
      return notice.mine
        ? "You recovered your account and are back in this conversation"
        : `${notice.name} recovered their account with their phrase and is here on a new device`;
    case "accountKeyReplaced":
      return notice.mine ? "You replaced your account key" : `${notice.name} replaced their account key`;
    case "accountClosed":
      return `${notice.name} has closed their account`;
    case "started":
      return notice.mine ? "You started this conversation" : `${notice.name} started this conversation`;
    case "unreadable":
      return `A message from ${notice.name} could not be read here`;
    case "forked":
      return `The relay showed ${notice.name} another version of this conversation; messages may be missing. Ask them another way`;
    case "keptBack":
      return notice.mine
        ? "A device wrote here that is not among your keys; its words are kept back. If you know of none, open Settings, Keys"
        : `A device wrote here that is not among the keys of ${notice.name}; its words are kept back until it is. Ask them another way`;
    case "repaired":
      return "This device was let back in; what was written meanwhile is missing here";
    case "restarted":
      return `${notice.mine ? "You" : notice.name} started this conversation anew${notice.spoiler === null ? "" : `: a change that ${notice.spoiler} made had locked the one before`}`;
    case "shutOut":
      return notice.anew
        ? "Nobody follows you: you were removed or are no admin any more, and started this conversation anew without knowing it. What you wrote since reached nobody. Ask an admin to add you again, and to remove you first where they still see you"
        : "Nobody has let you back in since you recovered your account a week ago. Ask an admin to remove you and add you again";
    case "verifyAgain":
      return `${notice.name} began anew with other devices. Compare the safety number again before you write`;
    case "keysInDoubt":
      return `The relay shows keys of ${notice.name} that do not follow from those you know, or keeps back newer ones. Sending is stopped`;
    case "keysGivenUp":
      return `Keys of ${notice.name} that came in a conversation are not in the relay's log. Those that are there count from now on; somebody may have stolen keys of theirs`;
    case "nameGivenAgain":
      return `The relay gives the name of ${notice.name} to another account, too. This conversation is not affected; whoever adds them by name may reach somebody else`;
    case "added":
      return `${doer(notice)} added ${addedLine(notice.names, notice.me)}`;
    case "gone":
      return `Not here any more: ${namesLine(notice.names)}`;
    case "joinedByLink":
      return `${notice.me ? "You" : notice.name} joined by ${notice.mine ? "your" : `${notice.by}'s`} link`;
    case "removed":
      return `${doer(notice)} removed ${notice.me ? "you" : notice.name}`;
    case "left":
      return notice.mine ? "You left" : `${notice.name} left`;
    case "renamed":
      return `${doer(notice)} renamed the group to ${notice.title}`;
    case "roleChanged":
      return roleLine(notice);
  }
}

function doer(notice: { by: string; mine: boolean }): string {
  return notice.mine ? "You" : notice.by;
}

/** The own name is one of the names, and nothing says which; so beside 'you' the others are only counted. */
function addedLine(names: readonly string[], me: boolean): string {
  if (!me) return namesLine(names);
  const others = names.length - 1;
  return others > 0 ? `you and ${count(others, "other", "others")}` : "you";
}

function roleLine(notice: Extract<Notice, { type: "roleChanged" }>): string {
  const whom = notice.me ? "you" : notice.name;
  if (notice.role === "admin") return `${doer(notice)} made ${whom} an admin`;
  if (notice.mine && notice.me) return "You gave up being an admin";
  return `${doer(notice)} made ${whom} an ordinary member`;
}

export const stateWords: Record<MessageState, string> = {
  sending: "sending",
  sent: "sent",
  failed: "not sent",
  received: "received",
};

/** The list's one line for a conversation's newest message; with the speaker's name where several people speak. */
export function lastLineText(last: LastLine, speaker: string | null = null): string {
  if (last.notice) return noticeLine(last.notice);
  const oneLine = last.text.replace(/\s+/gu, " ").trim();
  if (last.mine) return `You: ${oneLine}`;
  return speaker === null ? oneLine : `${speaker}: ${oneLine}`;
}

export const trustWords: Record<Trust, { short: string; long: string }> = {
  firstUse: {
    short: "Not verified",
    long: "Found by name at the relay, or wrote to you first. Waxwing trusts the keys it saw first and refuses others that do not follow from them, but nobody has compared them. An invite link, handed over by the person, or a comparison of the safety number settles it.",
  },
  invite: {
    short: "From an invite link",
    long: "The link that this person handed over names their keys, so a relay cannot slip in others. It is as good as the way the link reached you.",
  },
  own: {
    short: "Yourself",
    long: "Only you can read this. It is encrypted like every other conversation.",
  },
};
