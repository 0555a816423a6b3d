/** What is being written in one conversation. The text is kept until the engine has taken it. */
import type { Backend, ErrorView } from "../backend";
import { errorOf } from "../backend";
import { isTooLong } from "../text/bytes";

const savePause = 400;

/** Hands a text to the engine; answers why it was not taken, if so. */
export type Send = (text: string) => Promise<ErrorView | null>;

export class Composer {
  text = $state("");
  error = $state.raw<ErrorView | null>(null);

  #saved: string;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #onItsWay = 0;

  constructor(
    private readonly backend: Backend,
    private readonly conversation: string,
    draft: string,
    private readonly send: Send,
  ) {
    this.text = draft;
    this.#saved = draft;
  }

  type(text: string): void {
    this.text = text;
    if (this.error?.code !== "tooLong" || !isTooLong(text)) this.error = null;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.save(), savePause);
  }

  /** Stores the draft now, however long: on leaving the field, the conversation or the window. */
  async save(): Promise<void> {
    clearTimeout(this.#timer);
    // While a message is on its way its text is the draft: if the program ends now, nothing is lost.
    if (this.#onItsWay > 0 || this.text === this.#saved) return;
    const text = this.text;
    try {
      await this.backend.setDraft(this.conversation, text);
      this.#saved = text;
    } catch (thrown) {
      // The text itself stays in the field, so only a full disk or the like is worth a word.
      this.error = errorOf(thrown);
    }
  }

  /** The conversation is gone; nothing typed is stored any more. */
  discard(): void {
    clearTimeout(this.#timer);
    this.text = "";
    this.#saved = "";
  }

  async submit(): Promise<void> {
    const text = this.text;
    if (text.trim() === "") return;
    if (isTooLong(text)) {
      this.error = { code: "tooLong", detail: "" };
      return;
    }
    clearTimeout(this.#timer);
    this.text = "";
    this.error = null;
    this.#onItsWay += 1;
    const error = await this.send(text);
    this.#onItsWay -= 1;
    if (error) {
      this.text = this.text === "" ? text : `${text}\n${this.text}`;
      this.error = error;
    }
    await this.save();
  }
}
