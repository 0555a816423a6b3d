/** Words about relays' transparency logs. */
import type { ContradictionKind, ContradictionView, KeyAlarmView } from "../backend";

export const contradictionWords: Record<ContradictionKind, string> = {
  twoHistories: "The relay has signed two different logs of the same length: it shows different people different keys.",
  unproved: "The relay has signed two logs and cannot prove that the later one continues the earlier one.",
  wentBack: "The relay has signed a log that is shorter than one it had signed before: entries were taken back.",
  diverged: "The relay has signed two logs, and the longer one does not continue the shorter one: it shows different people different keys.",
};

/** What an entry in the log says that no own device has made. */
export function alarmSentence(alarm: KeyAlarmView): string {
  return alarm.seq === null
    ? `Entry ${alarm.index} gives your name to another account.`
    : `Entry ${alarm.index} changes your keys, and no device of yours has made it.`;
}

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
