/** Which key press means what, everywhere in the window. */
type Plain = "palette" | "newConversation" | "search" | "settings" | "shortcuts" | "previous" | "next";

export type Shortcut =
  | { [Name in Plain]: { name: Name } }[Plain]
  | { name: "conversation"; place: number };

/** Whether a key press belongs to an input method that is composing text. */
export function isComposing(event: KeyboardEvent): boolean {
  // WebKit ends the composition before the Enter that confirmed it arrives; that Enter still carries code 229.
  return event.isComposing || event.keyCode === 229;
}

export function isMac(): boolean {
  return /Mac/u.test(navigator.platform);
}

export function shortcutOf(event: KeyboardEvent, mac = isMac()): Shortcut | undefined {
  // AltGr types characters; Windows reports it as Ctrl+Alt.
  if (isComposing(event) || event.getModifierState("AltGraph")) return undefined;
  const command = mac ? event.metaKey && !event.ctrlKey : event.ctrlKey && !event.metaKey;

  if (event.altKey) {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return undefined;
    if (event.key === "ArrowUp") return { name: "previous" };
    if (event.key === "ArrowDown") return { name: "next" };
    return undefined;
  }
  if (!command) return undefined;
  // On many layouts '/' needs Shift, so the sheet alone ignores it.
  if (event.key === "/") return { name: "shortcuts" };
  if (event.shiftKey) return undefined;
  // By the key's place: on some layouts the digits of that row need Shift.
  const digit = /^Digit([1-9])$/u.exec(event.code)?.[1];
  if (digit !== undefined) return { name: "conversation", place: Number(digit) };
  switch (event.key.toLowerCase()) {
    case "k":
      return { name: "palette" };
    case "n":
      return { name: "newConversation" };
    case "f":
      return { name: "search" };
    case ",":
      return { name: "settings" };
    default:
      return undefined;
  }
}

/** For the shortcut sheet. */
export function shortcutSheet(mac = isMac()): { keys: string[]; does: string }[] {
  const command = mac ? "⌘" : "Ctrl";
  const alt = mac ? "⌥" : "Alt";
  return [
    { keys: [command, "K"], does: "Find a conversation or an action" },
    { keys: [command, "N"], does: "New conversation" },
    { keys: [command, "F"], does: "Search the conversations" },
    { keys: [alt, "↑"], does: "Previous conversation" },
    { keys: [alt, "↓"], does: "Next conversation" },
    { keys: [command, "1 … 9"], does: "The first to ninth conversation" },
    { keys: [command, ","], does: "Settings" },
    { keys: [command, "/"], does: "This sheet" },
    { keys: ["Enter"], does: "Send" },
    { keys: ["Shift", "Enter"], does: "New line" },
    { keys: ["↑", "↓"], does: "One message up or down, in the timeline" },
    { keys: ["Shift", "F10"], does: "What can be done with a message" },
    { keys: ["Esc"], does: "Close the innermost thing" },
  ];
}
