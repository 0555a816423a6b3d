import { fireEvent } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import axe from "axe-core";
import { describe, expect, it } from "vitest";
import type { Scenario } from "../src/lib/backend/fake";
import { fakeLog } from "../src/lib/backend/fake-data";
import type { SettingsSection } from "../src/lib/state/app.svelte";
import { all, one, play, rowOf, settled } from "./play";

/** As a user does: a button that is pressed has the focus. */
async function press(button: HTMLElement) {
  button.focus();
  await fireEvent.click(button);
  await settled();
}

async function key(name: string, more: KeyboardEventInit = {}) {
  await fireEvent.keyDown(document.activeElement as HTMLElement, { key: name, ...more });
  await settled();
}

async function settings(section: SettingsSection, scenario: Partial<Scenario> = {}) {
  const played = await play(scenario);
  played.app.openSettings(section);
  await settled();
  return played;
}

const cancel = () => [...document.querySelectorAll("button")].find(({ textContent }) => textContent?.trim() === "Cancel") as HTMLElement;

interface Asked {
  name: string;
  section: SettingsSection;
  opener: string;
  /** What says that it is asked, and how. */
  state: string;
  asking: string;
  /** Where one begins: on the way back, or in what has to be typed. */
  first: string;
  role: "group" | "form";
  call: string;
}

const questions: Asked[] = [
  { name: "Unblock Great Offers Daily", section: "privacy", opener: "unblock", state: "blocked-person", asking: "asking", first: "unblock-no", role: "group", call: "unblock" },
  { name: "Replace my account key", section: "keys", opener: "replace-account-key", state: "key-emergency", asking: "replace", first: "emergency-cancel", role: "group", call: "replaceAccountKey" },
  { name: "I think I was compromised", section: "keys", opener: "shut-others-out", state: "key-emergency", asking: "shutOut", first: "emergency-cancel", role: "group", call: "shutOthersOut" },
  { name: "Close my account", section: "profile", opener: "close-account-open", state: "close-account", asking: "asking", first: "close-account-name", role: "form", call: "closeAccount" },
  { name: "Recover my account", section: "keys", opener: "recover-here-open", state: "recover-here", asking: "asking", first: "recover-here-phrase", role: "form", call: "recoverHere" },
];

describe.each(questions)("the question '$name'", ({ name, section, opener, state, asking, first, role, call }) => {
  it("has a name, and the focus where nothing can go wrong", async () => {
    const { backend } = await settings(section);
    await press(one(opener));
    expect(one(state).dataset.state).toBe(asking);
    expect(document.activeElement).toBe(one(first));
    const card = document.activeElement?.closest(role === "form" ? "form" : '[role="group"]');
    expect(card?.getAttribute("aria-label")).toBe(name);
    expect(card?.contains(cancel())).toBe(true);
    expect(backend.calls.some((one) => one.name === call)).toBe(false);
    expect((await axe.run(one("settings"), { rules: { "color-contrast": { enabled: false } } })).violations).toEqual([]);
  });

  it("is left by Cancel and by Escape, which give the focus back and do nothing", async () => {
    const { app, backend } = await settings(section);
    for (const leave of [() => press(cancel()), () => key("Escape")]) {
      await press(one(opener));
      await leave();
      expect(one(state).dataset.state).toBe("idle");
      expect(document.activeElement).toBe(one(opener));
      expect(app.dialog).toBe("settings");
    }
    expect(backend.calls.some((one) => one.name === call)).toBe(false);
    // The next one closes what is around it.
    await key("Escape");
    expect(app.dialog).toBeNull();
  });

  it("does not take an Escape that ends an input method's word", async () => {
    const { app } = await settings(section);
    await press(one(opener));
    await key("Escape", { isComposing: true });
    expect(one(state).dataset.state).toBe(asking);
    expect(app.dialog).toBe("settings");
  });
});

describe("a question that is answered", () => {
  it("gives the focus to what has opened it", async () => {
    await settings("keys");
    for (const opener of ["replace-account-key", "shut-others-out"]) {
      await press(one(opener));
      await press(one("emergency-confirm"));
      expect(one("key-emergency").dataset.state).toBe("done");
      expect(document.activeElement).toBe(one(opener));
    }
    await press(one("recover-here-open"));
    const phrase = Array.from({ length: 24 }, () => "abandon").join(" ");
    await fireEvent.input(one("recover-here-phrase"), { target: { value: phrase } });
    await press(one("recover-here-now"));
    expect(one("recover-here").dataset.state).toBe("done");
    expect(document.activeElement).toBe(one("recover-here-open"));
  });

  it("is sent by Enter where something is typed, once all of it is there", async () => {
    const { app, backend } = await settings("profile");
    const closed = () => backend.calls.filter(({ name }) => name === "closeAccount").length;
    const name = app.profile?.address.split("@")[0] ?? "";
    await press(one("close-account-open"));
    await userEvent.keyboard(`${name.slice(0, -1)}{Enter}`);
    expect(closed()).toBe(0);
    await userEvent.keyboard(`${name.slice(-1)}{Enter}`);
    await settled();
    expect(closed()).toBe(1);
    expect(app.state.type).toBe("firstRun");
  });

  it("stays when it fails, says why in its place, and forgets that when it is left", async () => {
    await settings("keys", { failing: { replaceAccountKey: "relayDown" } });
    await press(one("replace-account-key"));
    await press(one("emergency-confirm"));
    expect(one("key-emergency").dataset.state).toBe("replace");
    expect(one("key-emergency").querySelector('[role="group"] [data-code="relayDown"]')).not.toBeNull();
    await press(one("emergency-cancel"));
    expect(one("key-emergency").dataset.state).toBe("idle");
    await press(one("replace-account-key"));
    expect(one("key-emergency").querySelector("[data-code]")).toBeNull();
  });

  it("cannot be left while it is carried out", async () => {
    const { app } = await settings("keys", { latency: 40 });
    await new Promise((done) => setTimeout(done, 100));
    await press(one("replace-account-key"));
    await press(one("emergency-confirm"));
    expect(one("key-emergency").dataset.state).toBe("running");
    expect(one("emergency-cancel")).toHaveProperty("disabled", true);
    // That closes the settings, as everywhere; what was confirmed goes on.
    const before = app.keys?.accountFingerprint;
    await fireEvent.keyDown(one("emergency-confirm"), { key: "Escape" });
    await new Promise((done) => setTimeout(done, 100));
    expect(app.dialog).toBeNull();
    expect(app.keys?.accountFingerprint).not.toBe(before);
  });
});

describe("two questions about people who are blocked", () => {
  it.each([
    [0, 1],
    [1, 0],
  ])("are one at a time, from row %i to row %i", async (from, to) => {
    const { app, backend } = await play();
    await backend.setBlocked(rowOf("Jonas Brandt").dataset.id ?? "", true);
    app.openSettings("privacy");
    await settled();
    const row = (index: number) => all("blocked-person")[index] as HTMLElement;
    await press(row(from).querySelector('[data-testid="unblock"]') as HTMLElement);
    await press(row(to).querySelector('[data-testid="unblock"]') as HTMLElement);
    expect([row(from).dataset.state, row(to).dataset.state]).toEqual(["idle", "asking"]);
    expect(row(to).contains(document.activeElement)).toBe(true);
    expect(document.activeElement).toBe(one("unblock-no"));
  });
});

describe("recovering from an alarm", () => {
  it("is left to the button in the alarm", async () => {
    const { backend } = await settings("keys");
    backend.emit({ type: "log", log: { ...fakeLog(Date.now()), alarms: [{ index: 17, seq: 4, at: Date.now() }] } });
    await settled();
    await press(one("alarm-recover"));
    expect(document.activeElement).toBe(one("recover-here-phrase"));
    await key("Escape");
    expect(document.activeElement).toBe(one("alarm-recover"));
  });
});
