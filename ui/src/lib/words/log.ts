/** Words about relays' transparency logs. */
import type { ContradictionKind, ContradictionView } from "../backend";

export const contradictionWords: Record<ContradictionKind, string> = {
  twoHistories: "The relay has signed two different logs of the same length: it shows different people different keys.",
  unproved: "The relay has signed two logs and cannot prove that the later one continues the earlier one.",
  wentBack: "The relay has signed a log that is shorter than one it had signed before: entries were taken back.",
  diverged: "The relay has signed two logs, and the longer one does not continue the shorter one: it shows different people different keys.",
};

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
