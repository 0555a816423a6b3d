/** The words of keys: their history, their rotation, and the check of the recovery phrase. */
import type {
  AccountKeyOutcomeView,
  KeyEvent,
  KeyHistoryItem,
  PhraseCheck,
  RotationOutcomeView,
  RotationSchedule,
  RotationWaitView,
} from "../backend";
import { errorWords } from "./errors";
import { exactTime, untilThen } from "./time";

export const keyEventWords: Record<KeyEvent, string> = {
  created: "Account made, with its first device",
  deviceAdded: "Device added",
  rotated: "Device keys rotated",
  accountKeyRotated: "Account key replaced",
  recovered: "Account recovered with the phrase",
  closed: "Account closed",
};

export const scheduleWords: Record<RotationSchedule, string> = {
  days7: "Every 7 days",
  days30: "Every 30 days",
  days90: "Every 90 days",
  manual: "Only when I say so",
};

/** In the order in which they are offered. */
export const schedules = ["days7", "days30", "days90", "manual"] as const satisfies readonly RotationSchedule[];

/** When the keys are replaced by themselves. */
export function nextWords(at: number | null, now: number): string {
  if (at === null) return "They stay until you rotate them.";
  if (at <= now) return "Next: as soon as the relay is reached.";
  return `Next: ${untilThen(at, now)}, ${exactTime(at)}.`;
}

/** What a rotation has come to, in one sentence. */
export function outcomeWords({ conversations, updated, scheduled, version }: RotationOutcomeView): string {
  if (conversations === 0) return `Version ${version} is in force. There is no conversation yet that has to learn of it.`;
  if (updated === conversations) {
    return conversations === 1 ? "Your conversation has the new keys." : `All ${conversations} conversations have the new keys.`;
  }
  const rest = scheduled ? "The others follow within a day, in random order." : "The others follow by themselves.";
  return `${updated} of ${conversations} conversations ${updated === 1 ? "has" : "have"} the new keys. ${rest}`;
}

/** What another account key has come to, in one sentence. */
export function accountKeyWords({ conversations, updated, shutOut }: AccountKeyOutcomeView): string {
  if (conversations === 0) return "There is no conversation yet that has to learn of it.";
  const gone = shutOut ? " No other device of yours is left in " : "";
  if (updated === conversations) {
    return conversations === 1
      ? `Your conversation goes by the new account key.${gone && `${gone}it.`}`
      : `All ${conversations} conversations go by the new account key.${gone && `${gone}them.`}`;
  }
  return `${updated} of ${conversations} conversations ${updated === 1 ? "goes" : "go"} by the new account key. The others follow by themselves.`;
}

/** Why a conversation does not have the new keys yet. */
export function waitWords({ why, due, problem }: RotationWaitView, now: number): string {
  switch (why) {
    case "later":
      return due === null ? "its turn comes within a day" : `its turn comes ${untilThen(due, now)}`;
    case "sending":
      return "on its way to the relay";
    case "mending":
      return "waits until this device is let back in";
    case "stopped":
      return problem ? `stopped: ${errorWords[problem.code].title}` : "nothing can be sent there now";
  }
}

/** What came of the check of a phrase. */
export function phraseCheckWords(check: PhraseCheck): string {
  switch (check.type) {
    case "right":
      return "Right: these are the 24 words of your account.";
    case "wordCount":
      return `A recovery phrase has 24 words, and ${check.words === 1 ? "this is 1" : `these are ${check.words}`}.`;
    case "unknownWord":
      return `Word ${check.place} is not among the words that recovery phrases are made of.`;
    case "checksum":
      return "Each word could be right, and together they are not: one is wrong, or their order is.";
    case "otherAccount":
      return "This is a recovery phrase, and not the one of your account.";
  }
}

/**
 * Whether a statement is proved in the public log of keys, or was not looked for there yet. `read`: whether the log was read for others of the same
 * history, so that this one is newer than what was read.
 */
export function logWords({ logIndex, proved }: KeyHistoryItem, read: boolean): string {
  if (logIndex === null && proved === null) return read ? "being looked up in the log" : "not looked up in the log yet";
  const place = logIndex === null ? "not in the log" : `place ${logIndex} in the log`;
  return proved === null ? place : `${place}, ${proved ? "proved" : "not proved"}`;
}

/** Enough of an id to tell devices apart by eye. */
export function shortId(id: string): string {
  return /^[0-9a-f]{32}$/u.test(id) ? `${id.slice(0, 4)} ${id.slice(4, 8)}` : id;
}
