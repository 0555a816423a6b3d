/** One conversation's messages as far as they are loaded. */
import { tick } from "svelte";
import type { Backend, ErrorView, MessageView } from "../backend";
import { errorOf } from "../backend";
import { isPending, isPlaced, pendingOrder, withMessage, withoutMessage, withPage } from "./merge";

const pageSize = 60;
const longestFirstPage = 400;

export class Timeline {
  messages = $state.raw<MessageView[]>([]);
  /** Whether the store has older ones. */
  more = $state(false);
  loaded = $state(false);
  /** True for the one change that puts a page before what is shown, so that the view keeps its place. */
  prepending = $state(false);
  problem = $state.raw<ErrorView | null>(null);
  /** Order of the last message that was seen when the conversation was opened; the mark stands after it. */
  unreadAfter = $state<number | null>(null);

  #loading = false;
  /** Where the next older page ends. Events put single messages before the loaded part; pages alone leave no gap. */
  #reached: number | null = null;
  readonly #changedMeanwhile = new Set<string>();

  constructor(
    private readonly backend: Backend,
    readonly conversation: string,
  ) {}

  /** Loads the newest page, long enough to reach back to the first unread message. */
  load(unread: number): Promise<void> {
    return this.#read(null, Math.min(Math.max(pageSize, unread + 20), longestFirstPage));
  }

  async loadOlder(): Promise<void> {
    if (!this.more || this.#reached === null) return;
    await this.#read(this.#reached, pageSize);
  }

  async #read(before: number | null, limit: number): Promise<void> {
    if (this.#loading) return;
    this.#loading = true;
    this.#changedMeanwhile.clear();
    try {
      const page = await this.backend.messages(this.conversation, before, limit);
      this.prepending = before !== null;
      this.messages = withPage(this.messages, page.messages, this.#changedMeanwhile);
      this.more = page.more;
      this.#reached = page.messages[0]?.order ?? this.#reached;
      this.problem = null;
      this.loaded = true;
      await tick();
    } catch (thrown) {
      this.problem = errorOf(thrown);
    } finally {
      this.prepending = false;
      this.#loading = false;
    }
  }

  /** A message is new or changed. */
  apply(message: MessageView): void {
    this.#changedMeanwhile.add(message.id);
    const known = this.messages.some(({ id }) => id === message.id);
    const oldest = this.messages.find(isPlaced);
    // Unknown and older than everything placed that is shown, with a gap between: it comes with its page.
    if (this.more && !known && oldest && message.order < oldest.order) return;
    this.messages = withMessage(this.messages, message);
  }

  remove(id: string): void {
    this.#changedMeanwhile.add(id);
    this.messages = withoutMessage(this.messages, id);
  }

  /** Shows an own message before the engine has stored it. */
  addPending(message: Omit<MessageView, "order" | "conversation">): void {
    this.messages = withMessage(this.messages, { ...message, order: pendingOrder, conversation: this.conversation });
  }

  /** The engine's answer to `send`. An event may have told more already; then the answer is old news. */
  settle(stored: MessageView): void {
    const shown = this.messages.find(({ id }) => id === stored.id);
    if (shown && isPending(shown)) this.apply(stored);
  }

  /** The engine did not take it. */
  dropPending(id: string): void {
    const shown = this.messages.find((message) => message.id === id);
    if (shown && isPending(shown)) this.messages = withoutMessage(this.messages, id);
  }
}
