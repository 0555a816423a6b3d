/**
 * Finds https links in message text and cuts it into pieces, each shown as a text node. Strict on purpose: whatever is not
 * plainly an https address stays text.
 */
export type Piece = { kind: "text"; text: string } | { kind: "link"; text: string; href: string };

// Ends at white space, quotes, angle brackets, control characters, and the invisible characters that turn or hide text.
const candidate =
  // eslint-disable-next-line no-control-regex
  /https:\/\/[^\s<>"'`{}|\\^\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]+/giu;

const closing: Record<string, string> = { ")": "(", "]": "[" };

/** Punctuation that ends the sentence and not the address: a bracket counts only if it was not opened inside. */
function withoutTrailingPunctuation(text: string): string {
  let end = text.length;
  while (end > 0) {
    const last = text[end - 1] ?? "";
    const opening = closing[last];
    if (opening !== undefined) {
      const inside = text.slice(0, end);
      if (inside.split(last).length <= inside.split(opening).length) break;
    } else if (!".,;:!?*_~…»”’。、，！？".includes(last)) {
      break;
    }
    end -= 1;
  }
  return text.slice(0, end);
}

/** The address as it will be opened (host in punycode), or nothing if it may not be opened. */
export function openableAddress(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  // A name before the host (https://bank.example@evil.example) only ever serves to mislead.
  if (url.protocol !== "https:" || url.hostname === "" || url.username !== "" || url.password !== "") return undefined;
  return url.href;
}

export function piecesOf(text: string): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  for (const match of text.matchAll(candidate)) {
    const shown = withoutTrailingPunctuation(match[0]);
    const href = openableAddress(shown);
    if (href === undefined) continue;
    if (match.index > at) pieces.push({ kind: "text", text: text.slice(at, match.index) });
    pieces.push({ kind: "link", text: shown, href });
    at = match.index + shown.length;
  }
  if (at < text.length) pieces.push({ kind: "text", text: text.slice(at) });
  return pieces;
}

/** The parts of an address, for a dialog that lets the user look at the host before anything opens. */
export function addressParts(href: string): { before: string; host: string; after: string } {
  const url = new URL(href);
  return { before: "https://", host: url.host, after: href.slice("https://".length + url.host.length) };
}
