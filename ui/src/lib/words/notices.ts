/** The words of quiet lines and of states, for the timeline, the list and screen readers. */
import type { LastLine, MessageState, Notice, Trust } from "../backend";

export function noticeLine(notice: Notice): string {
  switch (notice.type) {
    case "keysRotated":
      return notice.mine
        ? `You rotated your keys (version ${notice.version})`
        : `${notice.name} rotated their keys (version ${notice.version})`;
    case "started":
      return notice.mine ? "You started this conversation" : `${notice.name} started this conversation`;
  }
}

export const stateWords: Record<MessageState, string> = {
  sending: "sending",
  sent: "sent",
  failed: "not sent",
  received: "received",
};

/** The list's one line for a conversation's newest message. */
export function lastLineText(last: LastLine): string {
  if (last.notice) return noticeLine(last.notice);
  const oneLine = last.text.replace(/\s+/gu, " ").trim();
  return last.mine ? `You: ${oneLine}` : oneLine;
}

export const trustWords: Record<Trust, { short: string; long: string }> = {
  firstUse: {
    short: "Not verified",
    long: "Found by name at the relay, or wrote to you first. Waxwing trusts the keys it saw first and refuses others that do not follow from them, but nobody has compared them. An invite link, handed over by the person, settles it.",
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
