/** Words about relays' transparency logs. */
import type { ContradictionKind, ContradictionView, ErrorCode, KeyAlarmView, LogView, RestorationView } from "../backend";
import { exactTime } from "./time";

export const contradictionWords: Record<ContradictionKind, string> = {
  twoHistories: "The relay has signed two different logs of the same length: it shows different people different keys.",
  unproved: "The relay has signed two logs and cannot prove that the later one continues the earlier one.",
  wentBack: "The relay has signed a log that is shorter than one it had signed before: entries were taken back.",
  diverged: "The relay has signed two logs, and the longer one does not continue the shorter one: it shows different people different keys.",
};

/** What an entry says that no own device has made: in the log, or in a conversation alone. */
export function alarmSentence(alarm: KeyAlarmView): string {
  if (alarm.seq === null) return `Entry ${alarm.index} gives your name to another account.`;
  if (alarm.index !== null) return `Entry ${alarm.index} changes your keys, and no device of yours has made it.`;
  return [
    `An entry of your account (number ${alarm.seq} of your key chain) that none of your devices made was shown in a conversation.`,
    "It was not found in your relay's log so far.",
  ].join(" ");
}

/** What follows where there are more of them than are kept. */
export const moreAlarms = "There are more such entries. Waxwing keeps the first ones, which are shown here.";

/** What follows where somebody has made an entry in the own chain. */
export const keyAlarmAction =
  "If that was not you, somebody has your account's keys. Your 24 words take the account back on this device and shut out whoever did this.";

/** What follows where the relay has given the own name to somebody else: nothing that any key could undo. */
export const nameAlarmAction = [
  "Your keys and your conversations are as they were, and your 24 words change nothing about this: the relay has done it.",
  "Whoever adds you by your name alone is refused or reaches that account instead. Ask them to add you with an invite link, or to compare",
  "the safety number with you before they write. If you did not expect this, do not trust this relay with new contacts.",
  "The log keeps the entry for good, so this warning stays.",
].join(" ");

/** What has happened to a relay that was restored from a backup. */
export function restoredSentence(restoration: RestorationView): string {
  return `The relay was restored from a backup of ${exactTime(restoration.backup)}, and says so in its log. Noticed ${exactTime(restoration.found)}.`;
}

/** What that means for oneself. */
export const restoredAction = [
  "What came to the relay after that backup is lost there. This device keeps its messages and keys, tells the relay again what belongs to you,",
  "and where a conversation has lost something, it begins anew by itself. If the operator knows nothing of a restoration, do not trust this relay.",
].join(" ");

/** What that means for somebody else's keys. */
export const restoredKeys = "The keys that you know of them stay in force.";

/** Why the own account is not as it was at a restored relay. */
export function restoredProblem(code: ErrorCode): string {
  switch (code) {
    case "invitationNeeded":
      return "The relay has lost your account, and takes people by invitation. Ask whoever runs it for one: your account is then as it was.";
    case "invitationRefused":
    case "invalidInvitation":
      return "The relay does not take this invitation. Ask whoever runs it for another.";
    case "registrationClosed":
      return "The relay has lost your account, and takes nobody at present. Ask whoever runs it to let you in again.";
    case "nameTaken":
      return "The relay has lost your account, and somebody else has taken your name there since. Ask whoever runs it.";
    case "ownKeysChanged":
      return "The relay has another entry in the place of one of yours. If that was not you, recover your account with your 24 words.";
    default:
      return "The relay does not take again what it has lost of your account. Waxwing goes on trying.";
  }
}

/**
 * Whether all that speaks against a log is a proof that was not given. The relay has not signed that: whoever stands between may have spoilt
 * it, so the log of before counts again once it is shown again.
 */
export function isMerelyUnproved({ contradictions }: LogView): boolean {
  const open = contradictions.filter(({ settled }) => !settled);
  return open.length > 0 && open.every(({ kind }) => kind === "unproved");
}

/**
 * How much of a log was read here, and since when all of it has gone together. Of one that has contradicted itself that is over; when it began nobody
 * knows, and when it was found stands with the evidence.
 */
export function readSentence(log: LogView): string {
  const { since, size, contradictions } = log;
  const [entries, checked] = [size.toLocaleString(), `last checked ${exactTime(log.provedAt)}`];
  if (contradictions.every(({ settled }) => settled)) {
    const consistent = since > 0 ? `Consistent since ${exactTime(since)}: ` : "";
    return `${consistent}${entries} entries, all read on this device, ${checked}.`;
  }
  const end = isMerelyUnproved(log) ? "the relay showed one that it could not prove" : "it contradicted itself";
  const consistent = since > 0 ? `It was consistent from ${exactTime(since)} until ${end}. ` : "";
  return `${consistent}${entries} entries of it were read on this device, ${checked}.`;
}

/** What a contradiction stops, and whom to ask. */
export function settleAction(log: LogView): string {
  const stopped = isMerelyUnproved(log)
    ? [
        "No keys are used from the log that could not be proved. As long as the relay shows that one, nobody there can be added, and nobody's",
        "newer keys reach you; once it shows one again that continues what was read here, they do.",
      ]
    : ["Until this is settled no new keys from this relay are used: nobody there can be added, and nobody's newer keys reach you."];
  return [...stopped, "Your conversations go on. Ask whoever runs the relay what has happened."].join(" ");
}

/** The same of somebody else's relay, in one line. */
export function contradictedLine(log: LogView): string {
  return isMerelyUnproved(log)
    ? "Their relay has shown a log of keys that it could not prove, so no keys from that one are used. Compare safety numbers."
    : "Their relay's log of keys contradicts itself, so no new keys from it are used. Compare safety numbers.";
}

/** What going on with such a log means. */
export const settleEffect = [
  "Waxwing reads the whole log anew and uses new keys from it again. The keys that you know of people stay in force: where the log shows others,",
  "sending to them stops. The evidence stays here. Do this only if the operator can tell you why, as after a backup that was put back by hand.",
  "If they cannot, the relay may be showing you somebody else's keys.",
].join(" ");

/** Both signed notes, for anybody to check. */
export function evidenceText(origin: string, contradiction: ContradictionView): string {
  return [
    `Two checkpoints that ${origin} has signed and that do not go together.`,
    contradictionWords[contradiction.kind],
    "",
    contradiction.first,
    contradiction.second,
  ].join("\n");
}
