/** Turns messages into the rows of a timeline: day rules, the first-unread mark, notices, and runs of one sender. */
import type { MessageView, Notice } from "../backend";
import { dayKey } from "../words/time";

export type Row =
  | { kind: "day"; key: string; at: number }
  | { kind: "unread"; key: string }
  | { kind: "notice"; key: string; message: MessageView; notice: Notice }
  | { kind: "message"; key: string; message: MessageView; opensRun: boolean; closesRun: boolean };

/** A pause this long ends a sender's run. */
const pause = 5 * 60_000;

function continues(earlier: MessageView, later: MessageView): boolean {
  return (
    earlier.notice === null &&
    later.notice === null &&
    earlier.sender === later.sender &&
    dayKey(earlier.at) === dayKey(later.at) &&
    Math.abs(later.at - earlier.at) < pause
  );
}

/** `unreadAfter`: the order after which messages were new when the conversation was opened; none means no mark. */
export function rowsOf(messages: readonly MessageView[], unreadAfter: number | null): Row[] {
  const rows: Row[] = [];
  const firstUnread =
    unreadAfter === null ? undefined : messages.find((message) => !message.mine && message.order > unreadAfter);
  let day = "";
  messages.forEach((message, index) => {
    const earlier = messages[index - 1];
    const later = messages[index + 1];
    const ownDay = dayKey(message.at);
    if (ownDay !== day) {
      day = ownDay;
      // Clocks of several people can make a day come twice; the key stays unique.
      rows.push({ kind: "day", key: `day ${message.id}`, at: message.at });
    }
    if (message === firstUnread) rows.push({ kind: "unread", key: "unread" });
    if (message.notice) {
      rows.push({ kind: "notice", key: message.id, message, notice: message.notice });
      return;
    }
    rows.push({
      kind: "message",
      key: message.id,
      message,
      opensRun: message === firstUnread || !earlier || !continues(earlier, message),
      closesRun: !later || later === firstUnread || !continues(message, later),
    });
  });
  return rows;
}
