/** The words for several people at once. */

/** `count(2, "person", "people")` is '2 people'. */
export function count(number: number, one: string, many: string): string {
  return `${number} ${number === 1 ? one : many}`;
}

/** The most names that one quiet line spells out. */
const spelledOut = 3;

/** 'Bea', 'Bea and Cem', 'Bea, Cem and Dan', 'Bea, Cem and 4 others'. */
export function namesLine(names: readonly string[]): string {
  const shown = names.length > spelledOut ? names.slice(0, spelledOut - 1) : names;
  const rest = names.length - shown.length;
  const parts = rest > 0 ? [...shown, `${rest} others`] : [...shown];
  const last = parts.pop() ?? "nobody";
  return parts.length === 0 ? last : `${parts.join(", ")} and ${last}`;
}
