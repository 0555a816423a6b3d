/** How events change lists: pure functions, so that replacing, ordering and doubling are settled in one place. */
import type { ConversationView, MessageView } from "../backend";

/** The place of a message that the engine has not stored yet: after everything. */
export const pendingOrder = Number.MAX_SAFE_INTEGER;

export function isPending(message: MessageView): boolean {
  return message.order === pendingOrder;
}

/** Orders from here on are of own messages that the log has not placed yet; the engine shows them after all others. */
export const firstUnplaced = 2 ** 40;

export function isPlaced(message: MessageView): boolean {
  return message.order < firstUnplaced;
}

function byOrder(left: MessageView, right: MessageView): number {
  return left.order - right.order || left.at - right.at;
}

/** Puts in a message or replaces the one with its id; the list stays in order. */
export function withMessage(messages: readonly MessageView[], message: MessageView): MessageView[] {
  const others = messages.filter(({ id }) => id !== message.id);
  const after = others.findIndex((other) => byOrder(other, message) > 0);
  if (after === -1) others.push(message);
  else others.splice(after, 0, message);
  return others;
}

export function withoutMessage(messages: readonly MessageView[], id: string): MessageView[] {
  return messages.filter((message) => message.id !== id);
}

/**
 * Adds a page that was read from the store. What is here already stays, and what changed or went while the page was on
 * its way is not taken from it: an event is newer than a page that was asked for before it.
 */
export function withPage(
  messages: readonly MessageView[],
  page: readonly MessageView[],
  changedMeanwhile: ReadonlySet<string>,
): MessageView[] {
  const known = new Set(messages.map(({ id }) => id));
  const fresh = page.filter(({ id }) => !known.has(id) && !changedMeanwhile.has(id));
  return [...fresh, ...messages].sort(byOrder);
}

/** The newest place that the log gave; own messages on their way, or failed on it, do not count. */
export function newestOrder(messages: readonly MessageView[]): number {
  return messages.findLast(isPlaced)?.order ?? 0;
}

/** Newest first, and steady for equal times. */
export function sortedConversations(conversations: Iterable<ConversationView>): ConversationView[] {
  return [...conversations].sort((left, right) => right.activeAt - left.activeAt || (left.id < right.id ? -1 : 1));
}

export interface Sections {
  requests: ConversationView[];
  usual: ConversationView[];
  blocked: ConversationView[];
}

/** The list's parts; the order within each stays. */
export function sectionsOf(conversations: readonly ConversationView[]): Sections {
  const sections: Sections = { requests: [], usual: [], blocked: [] };
  for (const conversation of conversations) {
    const section = conversation.blocked ? "blocked" : conversation.standing === "request" ? "requests" : "usual";
    sections[section].push(conversation);
  }
  return sections;
}

/** Whether a conversation answers a search: every word is in its title, address or newest line. */
export function matches(conversation: ConversationView, search: string): boolean {
  const words = search.toLocaleLowerCase().split(/\s+/u).filter(Boolean);
  const text = [conversation.title, conversation.address ?? "", conversation.last?.text ?? ""].join("\n").toLocaleLowerCase();
  return words.every((word) => text.includes(word));
}
