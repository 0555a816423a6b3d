/** Words about a recovery phrase that was typed. */
import type { ErrorView } from "../backend";

/** What is wrong with it, as precisely as it is known; null where the error is about something else. */
export function phraseMistake(error: ErrorView): string | null {
  if (error.code === "unknownWord") {
    const place = /\d+/u.exec(error.detail)?.[0];
    return place === undefined
      ? "One of the words is not in the list of words that phrases are made of."
      : `Word ${place} is not in the list of words that phrases are made of.`;
  }
  if (error.code !== "notAPhrase") return null;
  const count = /has (\d+) words/u.exec(error.detail)?.[1];
  return count === undefined
    ? "All words are in the list, but they do not fit together: one is wrong, or their order is."
    : `These are ${count} words; a phrase has 24.`;
}
