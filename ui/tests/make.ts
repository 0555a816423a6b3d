import type { ConversationView, GroupView, MemberView, MessageView } from "../src/lib/backend";

/** Views for tests: plausible, and changed only in what a test is about. */
export const conversationId = "c".repeat(64);
export const noon = Date.UTC(2026, 10, 20, 12, 0);

export function message(id: string, order: number, change: Partial<MessageView> = {}): MessageView {
  return {
    id,
    conversation: conversationId,
    order,
    sender: "a".repeat(32),
    senderName: "Ada",
    mine: false,
    at: noon + order * 1000,
    clockOff: false,
    text: `text ${id}`,
    notice: null,
    state: "received",
    error: null,
    ...change,
  };
}

export function conversation(id: string, change: Partial<ConversationView> = {}): ConversationView {
  return {
    id,
    kind: "direct",
    title: "Ada",
    address: "ada@relay.example.org",
    accountId: "a".repeat(32),
    trust: "firstUse",
    safety: "notVerified",
    standing: "member",
    inviter: null,
    people: 2,
    blocked: false,
    last: null,
    unread: 0,
    readOrder: 0,
    draft: "",
    problem: null,
    activeAt: noon,
    ...change,
  };
}

export function member(name: string, change: Partial<MemberView> = {}): MemberView {
  return {
    accountId: name.toLowerCase().padStart(32, "0"),
    name,
    address: `${name.toLowerCase()}@relay.example.org`,
    role: "member",
    me: false,
    trust: "invite",
    devices: 1,
    safety: "notVerified",
    ...change,
  };
}

export function group(change: Partial<GroupView> = {}): GroupView {
  return { conversation: conversationId, name: "Birds", admin: true, members: [member("Maya", { me: true, role: "admin" })], pending: 0, hasLink: false, ...change };
}

export function ids(messages: readonly { id: string }[]): string[] {
  return messages.map(({ id }) => id);
}
