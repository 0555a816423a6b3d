/** Who is blocked in the fake backend: kept apart from conversations, which may be deleted. */
import { BackendError } from "./backend";
import type { BlockedView, ContactView, ConversationView, GroupView } from "./types";

type Person = Pick<ContactView, "accountId" | "name" | "address">;

/** Whom blocking a conversation blocks: the other person, or whoever has added one to the group. */
function personOf({ kind, accountId, title, address }: ConversationView, group: GroupView | undefined): Person | undefined {
  if (kind === "direct") return { accountId, name: title, address: address ?? "" };
  return group?.members.find(({ me, role }) => !me && role === "admin");
}

export class FakeBlocked {
  #people: BlockedView[] = [];

  constructor(conversations: readonly ConversationView[]) {
    // As by an earlier version, which did not note when.
    for (const conversation of conversations) if (conversation.blocked) this.set(conversation, undefined, null);
  }

  /** Since when is `undefined` where somebody is taken in again. */
  set(conversation: ConversationView, group: GroupView | undefined, since: number | null | undefined): void {
    const person = personOf(conversation, group);
    if (!person) return;
    const { accountId, name, address } = person;
    this.#people = this.#people.filter((one) => one.accountId !== accountId);
    if (since !== undefined) this.#people.push({ accountId, name, address, since });
  }

  list(): BlockedView[] {
    return structuredClone(this.#people).sort((left, right) => (left.name < right.name ? -1 : 1));
  }

  /** Gives the one who is free again. */
  free(account: string): ContactView {
    const person = this.#people.find(({ accountId }) => accountId === account);
    if (!person) throw new BackendError({ code: "notFound", detail: account });
    this.#people = this.#people.filter((one) => one !== person);
    const { accountId, name, address } = person;
    return { accountId, name, address, trust: "firstUse" };
  }

  /** Whether a conversation says that this person is blocked. */
  concerns(conversation: ConversationView, group: GroupView | undefined, account: string): boolean {
    return conversation.blocked && personOf(conversation, group)?.accountId === account;
  }
}
