/** Times as people say them. Formats follow the system's language. */
const minute = 60_000;
const dayMillis = 24 * 60 * minute;

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "long" });
const shortWeekday = new Intl.DateTimeFormat(undefined, { weekday: "short" });
const dayAndMonth = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const longDay = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const fullDay = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" });
const shortDate = new Intl.DateTimeFormat(undefined, { day: "2-digit", month: "2-digit", year: "numeric" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "long", timeStyle: "short" });

/** The end of the year 9999, as the engine has it. */
const latest = 253_402_300_799_000;

/**
 * Others say when they have signed something, and may say anything. A calendar throws at most of that, so whatever is beyond its days is of the
 * last one, or of the first.
 */
function possible(at: number): number {
  return at > 0 ? Math.min(at, latest) : 0;
}

/** Names a local day; equal for two times of the same day. */
export function dayKey(at: number): string {
  const date = new Date(possible(at));
  return `${date.getFullYear()}-${date.getMonth() + 1}-${date.getDate()}`;
}

function startOfDay(at: number): number {
  const date = new Date(possible(at));
  return new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
}

// Rounded, because a day has 23 or 25 hours when the clocks change.
function daysBetween(earlier: number, later: number): number {
  return Math.round((startOfDay(later) - startOfDay(earlier)) / dayMillis);
}

export function timeOfDay(at: number): string {
  return clock.format(possible(at));
}

export function exactTime(at: number): string {
  return exact.format(possible(at));
}

/** For a day rule in a timeline. */
export function dayName(when: number, now: number): string {
  const at = possible(when);
  const days = daysBetween(at, now);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  if (days > 1 && days < 7) return weekday.format(at);
  return new Date(at).getFullYear() === new Date(now).getFullYear() ? longDay.format(at) : fullDay.format(at);
}

/** For the conversation list: short, and less exact the older it is. */
export function shortWhen(when: number, now: number): string {
  const at = possible(when);
  if (now - at >= 0 && now - at < minute) return "now";
  const days = daysBetween(at, now);
  if (days <= 0) return timeOfDay(at);
  if (days === 1) return "Yesterday";
  if (days < 7) return shortWeekday.format(at);
  return new Date(at).getFullYear() === new Date(now).getFullYear() ? dayAndMonth.format(at) : shortDate.format(at);
}

/** When something is to come, in the largest sensible unit. */
export function untilThen(when: number, now: number): string {
  const at = possible(when);
  const hours = Math.round((at - now) / (60 * minute));
  const days = daysBetween(now, at);
  if (hours < 1) return "within the hour";
  if (hours < 24) return hours === 1 ? "in an hour" : `in ${hours} hours`;
  return days <= 1 ? "tomorrow" : `in ${days} days`;
}

/** How old something is, in the largest sensible unit. */
export function age(at: number, now: number): string {
  const days = daysBetween(at, now);
  if (days <= 0) return "today";
  if (days === 1) return "since yesterday";
  if (days < 60) return `for ${days} days`;
  return `for ${Math.round(days / 30)} months`;
}
