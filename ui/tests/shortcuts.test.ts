import { describe, expect, it } from "vitest";
import { isComposing, shortcutOf, shortcutSheet } from "../src/lib/keyboard/shortcuts";

function press(key: string, how: KeyboardEventInit & { keyCode?: number } = {}): KeyboardEvent {
  return new KeyboardEvent("keydown", { key, ...how });
}

const name = (event: KeyboardEvent, mac = false) => shortcutOf(event, mac)?.name;

describe("shortcuts", () => {
  it("are recognised", () => {
    expect(name(press("k", { ctrlKey: true }))).toBe("palette");
    expect(name(press("K", { ctrlKey: true }))).toBe("palette");
    expect(name(press("n", { ctrlKey: true }))).toBe("newConversation");
    expect(name(press("f", { ctrlKey: true }))).toBe("search");
    expect(name(press(",", { ctrlKey: true }))).toBe("settings");
    expect(name(press("/", { ctrlKey: true }))).toBe("shortcuts");
    expect(name(press("/", { ctrlKey: true, shiftKey: true }))).toBe("shortcuts");
    expect(name(press("ArrowUp", { altKey: true }))).toBe("previous");
    expect(name(press("ArrowDown", { altKey: true }))).toBe("next");
    expect(shortcutOf(press("&", { ctrlKey: true, code: "Digit1" }), false)).toEqual({ name: "conversation", place: 1 });
  });

  it("are Cmd on macOS and nothing else there", () => {
    expect(name(press("k", { metaKey: true }), true)).toBe("palette");
    expect(name(press("k", { ctrlKey: true }), true)).toBeUndefined();
    expect(name(press("k", { metaKey: true }), false)).toBeUndefined();
  });

  it("leave AltGr alone, which types characters", () => {
    expect(name(press("n", { ctrlKey: true, altKey: true }))).toBeUndefined();
    expect(name(press("k", { ctrlKey: true, modifierAltGraph: true }))).toBeUndefined();
  });

  it("leave an input method alone while it composes", () => {
    expect(name(press("k", { ctrlKey: true, isComposing: true }))).toBeUndefined();
    expect(name(press("k", { ctrlKey: true, keyCode: 229 }))).toBeUndefined();
    expect(isComposing(press("Enter", { keyCode: 229 }))).toBe(true);
    expect(isComposing(press("Enter"))).toBe(false);
  });

  it("are plain typing without their modifier", () => {
    expect(name(press("k"))).toBeUndefined();
    expect(name(press("ArrowUp"))).toBeUndefined();
    expect(name(press("z", { ctrlKey: true }))).toBeUndefined();
    expect(name(press("k", { ctrlKey: true, shiftKey: true }))).toBeUndefined();
  });

  it("are listed for the system at hand", () => {
    expect(shortcutSheet(true)[0]?.keys).toEqual(["⌘", "K"]);
    expect(shortcutSheet(false)[0]?.keys).toEqual(["Ctrl", "K"]);
  });
});
