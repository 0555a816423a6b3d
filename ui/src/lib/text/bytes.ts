/** The length limit of a message, counted as the engine counts it: bytes of UTF-8. */
export const maxTextBytes = 64 * 1024;

const encoder = new TextEncoder();

export function byteLength(text: string): number {
  return encoder.encode(text).length;
}

export function isTooLong(text: string): boolean {
  // No UTF-16 unit takes more than three bytes, so most texts need no counting.
  return text.length * 3 > maxTextBytes && byteLength(text) > maxTextBytes;
}

/** 16 random bytes as 32 hexadecimal digits: the id of a new message. */
export function newMessageId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
