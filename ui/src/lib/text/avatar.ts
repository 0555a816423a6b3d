/** Initials and a steady colour for a person, so that two people of one name are told apart at a glance. */
const colours = 8;

/** One of the avatar tokens, 0 to 7, from the account id (hexadecimal). */
export function avatarColour(accountId: string): number {
  let sum = 0;
  for (const digit of accountId) sum = (sum * 31 + digit.charCodeAt(0)) % 65_521;
  return sum % colours;
}

const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });

function firstGrapheme(word: string): string {
  for (const { segment } of graphemes.segment(word)) return segment;
  return "";
}

export function initials(name: string): string {
  const words = name
    .replace(/[\p{Cf}\p{Cc}]/gu, "")
    .split(/[\s._-]+/u)
    .filter((word) => /[\p{L}\p{N}\p{Extended_Pictographic}]/u.test(word));
  const first = words[0];
  if (first === undefined) return "?";
  const last = words.length > 1 ? words[words.length - 1] : undefined;
  return (firstGrapheme(first) + (last === undefined ? "" : firstGrapheme(last))).toLocaleUpperCase();
}
