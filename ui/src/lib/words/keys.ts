/** The words of the own keys' history. */
import type { KeyHistoryItem, KeysView } from "../backend";

export const keyEventWords: Record<KeyHistoryItem["what"], string> = {
  created: "Account made, with its first device",
  rotated: "Device keys rotated",
};

/** Enough of an id to tell devices apart by eye. */
export function shortId(id: string): string {
  return /^[0-9a-f]{32}$/u.test(id) ? `${id.slice(0, 4)} ${id.slice(4, 8)}` : id;
}

/** The history as plain text, to be kept or compared elsewhere. */
export function historyText(keys: KeysView, address: string): string {
  const lines = keys.history.map((item) =>
    [
      String(item.seq).padStart(3),
      new Date(item.at).toISOString(),
      `version ${item.version}`,
      keyEventWords[item.what],
      `device ${item.deviceId}`,
      item.fingerprint,
    ].join("  "),
  );
  return [`Waxwing keys of ${address}`, `account key  ${keys.accountFingerprint}`, ...lines].join("\n");
}
