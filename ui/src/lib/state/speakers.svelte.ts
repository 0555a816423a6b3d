/** Who said the newest line of each group. The list's views carry the line and not its speaker; the messages do. */
import { SvelteMap } from "svelte/reactivity";
import type { Backend, ConversationView, MessageView } from "../backend";

export class Speakers {
  readonly #heard = new SvelteMap<string, { at: number; name: string }>();

  constructor(private readonly backend: Backend) {}

  /** The name before a group's newest line; none where nobody else said it, or while it is not known. */
  of({ id, kind, last }: ConversationView): string | null {
    if (kind !== "group" || !last || last.mine || last.notice) return null;
    const heard = this.#heard.get(id);
    return heard?.at === last.at ? heard.name : null;
  }

  hear(message: MessageView): void {
    if (message.mine || message.notice) return;
    const heard = this.#heard.get(message.conversation);
    if (!heard || message.at >= heard.at) this.#heard.set(message.conversation, { at: message.at, name: message.senderName });
  }

  /** Reads the newest message of a group whose speaker has not been heard. */
  async ask(conversation: ConversationView): Promise<void> {
    const { id, kind, last } = conversation;
    if (kind !== "group" || !last || last.mine || last.notice || this.of(conversation) !== null) return;
    try {
      const page = await this.backend.messages(id, null, 1);
      for (const { at, senderName, mine, notice } of page.messages) {
        if (!mine && !notice) this.#heard.set(id, { at, name: senderName });
      }
    } catch {
      // The line stands without its speaker; opening the conversation tells what is wrong.
    }
  }
}
