/** Something that the user has asked for in one place: whether it is under way, and why it failed. Not here: what is shown of it. */
import type { ErrorView } from "../backend";
import { errorOf } from "../backend";

export class Attempt {
  working = $state(false);
  error = $state.raw<ErrorView | null>(null);

  async run(action: () => Promise<void>): Promise<void> {
    this.working = true;
    this.error = null;
    try {
      await action();
    } catch (thrown) {
      this.error = errorOf(thrown);
    } finally {
      this.working = false;
    }
  }
}
