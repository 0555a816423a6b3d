/** That something has happened to somebody's keys, as quiet lines tell it. Whoever shows a history of keys looks again then. */
import type { MessageView, Notice } from "../backend";

const aboutKeys: ReadonlySet<Notice["type"]> = new Set(["keysRotated", "accountKeyReplaced", "recovered", "accountClosed"]);

export class KeyNews {
  /** How often. Whose the keys are, no line says but by a name, which is nobody's alone. */
  times = $state(0);

  hear({ notice }: MessageView): void {
    if (notice && aboutKeys.has(notice.type)) this.times += 1;
  }

  /** Lines were missed, and there may have been some among them. */
  missed(): void {
    this.times += 1;
  }
}
