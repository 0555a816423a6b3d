import { fireEvent } from "@testing-library/svelte";
import { describe, expect, it, vi } from "vitest";
import { fakeLog } from "../src/lib/backend/fake-data";
import { parseLook } from "../src/lib/state/preferences.svelte";
import { avatarColour, initials } from "../src/lib/text/avatar";
import { qrPath } from "../src/lib/text/qr";
import { age, dayKey, dayName, exactTime, shortWhen, timeOfDay, untilThen } from "../src/lib/words/time";
import { all, one, play, settled } from "./play";

describe("settings", () => {
  it("change the theme and keep it, and keep nothing else", async () => {
    const { app } = await play();
    app.openSettings("appearance");
    await settled();
    await fireEvent.click(one("theme-dark"));
    expect(document.documentElement.dataset.theme).toBe("dark");
    expect(Object.keys(localStorage)).toEqual(["waxwing.look"]);
    expect(JSON.parse(localStorage.getItem("waxwing.look") ?? "")).toEqual({
      theme: "dark",
      textSize: 100,
      listWidth: 304,
      detailsWidth: 296,
    });
  });

  it("say what the relay knows as the threat model does", async () => {
    const { app } = await play();
    app.openSettings("about");
    await settled();
    const text = one("settings").textContent.replace(/\s+/gu, " ");
    for (const words of [
      "which inbox is yours",
      "which conversations one connection follows",
      "for how many devices",
      "Who begins a conversation",
      "Refuse, delay or delete",
      "another account under a name",
      "public log of keys",
      "messages that disappear",
    ]) {
      expect(text).toContain(words);
    }
  });

  it("change the display name", async () => {
    const { app } = await play();
    app.openSettings("profile");
    await settled();
    await fireEvent.input(one("profile-name"), { target: { value: "Maya L." } });
    await fireEvent.click(one("profile-save"));
    await settled();
    expect(app.profile?.displayName).toBe("Maya L.");
  });
});

describe("a part that cannot be shown", () => {
  it("takes no other with it, and can be tried again", async () => {
    const said = vi.spyOn(console, "error").mockImplementation(() => undefined);
    const broken = { ...fakeLog(Date.now()), restorations: null as never };
    const { app, backend } = await play({}, (fake) => (fake.log = broken));
    app.openSettings("keys");
    await settled();
    expect(one("part-broken").textContent).toContain("This part cannot be shown");
    expect(said).toHaveBeenCalled();
    said.mockRestore();
    app.openSettings("profile");
    await settled();
    expect(all("part-broken")).toHaveLength(0);
    expect(all("profile-name")).toHaveLength(1);
    app.openSettings("keys");
    await settled();
    backend.log = fakeLog(Date.now());
    backend.emit({ type: "log", log: backend.log });
    await fireEvent.click(one("part-again"));
    await settled();
    expect(all("part-broken")).toHaveLength(0);
    expect(one("log-card").dataset.state).toBe("consistent");
  });
});

describe("what was kept of the look", () => {
  it("is read with care", () => {
    const usual = { theme: "system", textSize: 100, listWidth: 304, detailsWidth: 296 };
    expect(parseLook(null)).toEqual(usual);
    expect(parseLook("not json")).toEqual(usual);
    expect(parseLook("null")).toEqual(usual);
    expect(parseLook('{"theme":"pink","textSize":9000,"listWidth":"wide"}')).toEqual(usual);
    expect(parseLook('{"theme":"light","textSize":150,"listWidth":400}')).toEqual({ ...usual, theme: "light", textSize: 150, listWidth: 400 });
  });
});

describe("small drawings", () => {
  it("initials take the first and last word, in any script", () => {
    expect(initials("Ada Okafor")).toBe("AO");
    expect(initials("ada")).toBe("A");
    expect(initials("Jean-Luc de la Tour")).toBe("JT");
    expect(initials("李小龍")).toBe("李");
    expect(initials("🦜 Polly")).toBe("🦜P");
    expect(initials("\u202e")).toBe("?");
  });

  it("an account keeps its colour, and accounts spread over all of them", () => {
    const ids = Array.from({ length: 200 }, (_, index) => index.toString(16).padStart(32, "0"));
    expect(avatarColour(ids[7] ?? "")).toBe(avatarColour(ids[7] ?? ""));
    expect(new Set(ids.map(avatarColour))).toEqual(new Set([0, 1, 2, 3, 4, 5, 6, 7]));
  });

  it("a QR code covers exactly its dark modules", () => {
    expect(qrPath({ size: 3, modules: "110000101" })).toBe("M0 0h2v1h-2zM0 2h1v1h-1zM2 2h1v1h-1z");
  });

  it("times are said as people say them", () => {
    const now = Date.UTC(2026, 10, 20, 12);
    const hour = 3_600_000;
    expect(shortWhen(now - 1000, now)).toBe("now");
    expect(shortWhen(now - 24 * hour, now)).toBe("Yesterday");
    expect(dayName(now - hour, now)).toBe("Today");
    expect(dayName(now - 13 * hour, now)).toBe("Yesterday");
    expect(dayName(now - 400 * 24 * hour, now)).toContain("2025");
    expect(age(now - 9 * 24 * hour, now)).toBe("for 9 days");
  });

  it.each([2 ** 63, 8.64e15 + 1, Infinity, -Infinity, NaN, -1])("a time that no calendar has is said all the same: %s", (at) => {
    const now = Date.UTC(2026, 10, 20, 12);
    const words = [timeOfDay(at), exactTime(at), dayKey(at), dayName(at, now), shortWhen(at, now), untilThen(at, now), age(at, now)];
    for (const said of words) expect(said).not.toMatch(/NaN|Infinity|Invalid|^$/u);
    // As the last of all days, or the first: and never as one of now.
    expect(exactTime(at)).toBe(exactTime(at > 0 ? Date.UTC(9999, 11, 31, 23, 59, 59) : 0));
  });
});
