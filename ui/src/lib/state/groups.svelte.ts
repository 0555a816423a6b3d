/** Who is in which group, as far as it was asked for or told. */
import { SvelteMap } from "svelte/reactivity";
import type { Backend, GroupView, MemberView } from "../backend";

export class Groups {
  readonly #views = new SvelteMap<string, GroupView>();
  /** When what is shown of each group was asked for or told, in turns. An answer to an earlier question is old news. */
  readonly #asOf = new Map<string, number>();
  #turn = 0;

  constructor(private readonly backend: Backend) {}

  of(conversation: string): GroupView | null {
    return this.#views.get(conversation) ?? null;
  }

  /** Somebody in one of the groups that are known. */
  member(account: string): MemberView | null {
    for (const { members } of this.#views.values()) {
      const found = members.find(({ accountId }) => accountId === account);
      if (found) return found;
    }
    return null;
  }

  load(conversation: string): Promise<void> {
    return this.take(conversation, this.backend.group(conversation));
  }

  /** Shows what a question or a change is answered with. */
  async take(conversation: string, answer: Promise<GroupView>): Promise<void> {
    const asked = ++this.#turn;
    const group = await answer;
    if (asked > (this.#asOf.get(conversation) ?? 0)) this.#show(group, asked);
  }

  /** An event told. */
  apply(group: GroupView): void {
    this.#show(group, ++this.#turn);
  }

  #show(group: GroupView, asOf: number): void {
    this.#asOf.set(group.conversation, asOf);
    this.#views.set(group.conversation, group);
  }

  forget(conversation: string): void {
    this.#views.delete(conversation);
  }

  /** Events were missed: the groups that are known are asked for again. */
  async reload(): Promise<void> {
    await Promise.all([...this.#views.keys()].map((conversation) => this.load(conversation)));
  }
}
