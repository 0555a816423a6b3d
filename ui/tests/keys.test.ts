import { fireEvent } from "@testing-library/svelte";
import axe from "axe-core";
import { describe, expect, it } from "vitest";
import { fakeLog, fakeWords } from "../src/lib/backend/fake-data";
import { ada } from "../src/lib/backend/fake-groups";
import { fakeHistory } from "../src/lib/backend/fake-keys";
import type { KeysView, RotationWaitView } from "../src/lib/backend";
import { accountKeyWords, keyEventWords, logWords, nextWords, outcomeWords, phraseCheckWords, waitWords } from "../src/lib/words/keys";
import { exactTime, untilThen } from "../src/lib/words/time";
import { message } from "./make";
import { all, one, play, rowOf, settled } from "./play";
import type { Scenario } from "../src/lib/backend/fake";

const day = 86_400_000;

async function playKeys(scenario: Partial<Scenario> = {}) {
  const played = await play(scenario);
  played.app.openSettings("keys");
  await settled();
  return played;
}

/** The keys as the window shows them now. */
function shownKeys(keys: KeysView | null): KeysView {
  if (!keys) throw new Error("no keys");
  return keys;
}

describe("the keys", () => {
  it("are rotated, and the outcome tells which conversations have the new ones", async () => {
    const { app } = await playKeys({ latency: 20 });
    await new Promise((done) => setTimeout(done, 60));
    expect(one("keys-version").dataset.version).toBe("3");
    expect(one("rotate-state").dataset.state).toBe("idle");
    await fireEvent.click(one("rotate-now"));
    await new Promise((done) => setTimeout(done, 45));
    await settled();
    expect(one("keys-version").dataset.version).toBe("4");
    expect(one("rotate-state").dataset.state).toBe("done");
    const outcome = one("keys-outcome");
    expect(outcome.dataset.state).toBe("partial");
    expect(all("keys-waiting").length).toBeGreaterThan(0);
    expect(all("keys-waiting")[0]?.dataset.kind).toBe("sending");
    expect(outcome.querySelector("progress")?.getAttribute("aria-label")).toBeTruthy();
    const of = Number(outcome.dataset.conversations);
    await new Promise((done) => setTimeout(done, 40 * of + 100));
    await settled();
    expect(one("keys-outcome").dataset).toMatchObject({ state: "complete", updated: `${of}` });
    expect(all("keys-waiting")).toEqual([]);
    expect(all("keys-history-item").map(({ dataset }) => dataset.version)).toEqual(["4", "3", "2", "1"]);
    expect(shownKeys(app.keys).outcome?.updated).toBe(of);
  });

  it("are shown although an entry says a time that no calendar has", async () => {
    const { app, backend } = await playKeys();
    const keys = shownKeys(app.keys);
    backend.emit({ type: "keys", keys: { ...keys, history: keys.history.map((item) => ({ ...item, at: 2 ** 63 })) } });
    await settled();
    expect(all("part-broken")).toHaveLength(0);
    expect(all("keys-history-item")).toHaveLength(keys.history.length);
    expect(all("keys-history-item")[0]?.textContent).toContain(exactTime(2 ** 63));
    // And so are other people's.
    app.dialog = null;
    await fireEvent.click(rowOf("Ada Okafor"));
    app.showDetails = true;
    backend.peerHistory = backend.peerHistory.map((item) => ({ ...item, at: 2 ** 63 }));
    await settled();
    await fireEvent.click(one("peer-keys-toggle"));
    await settled();
    expect(all("keys-history-item")).toHaveLength(backend.peerHistory.length);
  });

  it("say of the newest entry that it is being looked up, until the log was read that far", async () => {
    const { app, backend } = await playKeys();
    const keys = shownKeys(app.keys);
    const [last, ...before] = keys.history;
    if (!last) throw new Error("no history");
    const read = before.map((item) => ({ ...item, logIndex: item.seq, proved: true }));
    backend.emit({ type: "keys", keys: { ...keys, history: [last, ...read] } });
    await settled();
    expect(all("keys-history-item").map(({ dataset }) => dataset.state)).toEqual(["open", "proved", "proved"]);
    expect(all("keys-history-item")[0]?.textContent).toContain("Statement 2, being looked up in the log");
    // The engine tells the log, and the keys with it.
    backend.emit({ type: "log", log: { ...backend.log, size: 4212, read: 4212 } });
    backend.emit({ type: "keys", keys: { ...keys, history: [{ ...last, logIndex: 4211, proved: true }, ...read] } });
    await settled();
    expect(all("keys-history-item")[0]?.dataset.state).toBe("proved");
    expect(all("keys-history-item")[0]?.textContent).toContain("Statement 2, place 4211 in the log, proved");
  });

  it("are shown as an event tells them, where the answer to a rotation is older", async () => {
    const { app, backend } = await playKeys();
    const keys = shownKeys(app.keys);
    const logged = { ...keys, version: 4, history: keys.history.map((item) => ({ ...item, logIndex: item.seq, proved: true })) };
    backend.rotateKeys = () => {
      backend.emit({ type: "keys", keys: logged });
      return Promise.resolve({ ...keys, version: 4 });
    };
    await fireEvent.click(one("rotate-now"));
    await settled();
    expect(one("rotate-state").dataset.state).toBe("done");
    expect(all("keys-history-item")[0]?.dataset.state).toBe("proved");
  });

  it("say why a rotation does not get through", async () => {
    await playKeys({ failing: { rotateKeys: "relayDown" } });
    await fireEvent.click(one("rotate-now"));
    await settled();
    expect(one("rotate-state").dataset.state).toBe("problem");
    expect(one("settings").textContent).toContain("The relay does not answer");
    expect(one("keys-version").dataset.version).toBe("3");
  });

  it("are rotated by a schedule, which can be chosen", async () => {
    const { app, backend } = await playKeys();
    const select = one("keys-schedule") as HTMLSelectElement;
    expect(select.value).toBe("days30");
    expect(select.labels?.[0]?.textContent).toContain("Rotate by itself");
    expect(one("keys-next").textContent).toContain("in 21 days");
    await fireEvent.change(select, { target: { value: "manual" } });
    await settled();
    expect(backend.calls.at(-1)).toEqual({ name: "setRotationSchedule", input: ["manual"] });
    expect(app.keys?.schedule).toBe("manual");
    expect(one("keys-next").textContent).toBe("They stay until you rotate them.");
    expect(one("settings").textContent).toContain("127 days");
  });

  it("keep the schedule that was, where the new one is not taken", async () => {
    const { app } = await playKeys({ failing: { setRotationSchedule: "diskFull" } });
    await fireEvent.change(one("keys-schedule"), { target: { value: "days7" } });
    await settled();
    expect(app.keys?.schedule).toBe("days30");
    expect((one("keys-schedule") as HTMLSelectElement).value).toBe("days30");
    expect(one("settings").textContent).toContain("There is no space left");
    expect(one("rotate-state").dataset.state).toBe("idle");
  });

  it("are exported as a signed text, to the clipboard", async () => {
    const { backend } = await playKeys();
    await fireEvent.click(one("keys-export"));
    await settled();
    expect(one("keys-export").dataset.state).toBe("copied");
    expect(backend.copied[0]).toContain("BEGIN WAXWING SIGNATURE");
  });

  it("show all of this so that axe finds nothing", async () => {
    await playKeys();
    await fireEvent.click(one("phrase-check-open"));
    await settled();
    const { violations } = await axe.run(one("settings"), { rules: { "color-contrast": { enabled: false } } });
    expect(violations).toEqual([]);
  });
});

describe("the check of the recovery phrase", () => {
  async function check(words: string) {
    await fireEvent.input(one("phrase-check-field"), { target: { value: words } });
    await fireEvent.click(one("phrase-check"));
    await settled();
    return one("phrase-check-result").dataset.state;
  }

  it("says what is wrong, keeps what is to be mended, and forgets what is right", async () => {
    const { backend } = await playKeys();
    await fireEvent.click(one("phrase-check-open"));
    await settled();
    const field = () => one("phrase-check-field") as HTMLTextAreaElement;
    expect(document.activeElement).toBe(field());
    expect((one("phrase-check") as HTMLButtonElement).disabled).toBe(true);
    expect(await check(fakeWords.slice(1).join(" "))).toBe("wordCount");
    expect(await check(fakeWords.with(6, "waxwing").join(" "))).toBe("unknownWord");
    expect(one("phrase-check-result").textContent).toContain("Word 7");
    expect(field().value).toContain("waxwing");
    expect(await check([fakeWords[0], ...fakeWords.slice(1).reverse()].join(" "))).toBe("checksum");
    expect(await check([...fakeWords].reverse().join(" "))).toBe("otherAccount");
    expect(await check(`  ${fakeWords.join("\n").toUpperCase()} `)).toBe("right");
    expect(field().value).toBe("");
    // Not in what the fake remembers of calls, and nowhere that outlives the window.
    expect(JSON.stringify(backend.calls)).not.toContain(fakeWords[3]);
    expect(JSON.stringify(Object.entries(localStorage))).not.toContain(fakeWords[3]);
  });

  it("takes its words along when it is closed", async () => {
    await playKeys();
    await fireEvent.click(one("phrase-check-open"));
    await check("some words");
    const close = [...one("settings").querySelectorAll("form button")].find((button) => button.textContent.trim() === "Close");
    if (!close) throw new Error("no way to close it");
    await fireEvent.click(close);
    await settled();
    expect(document.activeElement).toBe(one("phrase-check-open"));
    await fireEvent.click(one("phrase-check-open"));
    await settled();
    expect((one("phrase-check-field") as HTMLTextAreaElement).value).toBe("");
    expect(one("phrase-check-result").dataset.state).toBe("none");
  });
});

describe("somebody else's keys", () => {
  it("have their history in the details, asked for when it is opened", async () => {
    const { app, backend } = await play();
    await fireEvent.click(rowOf("Ada Okafor"));
    app.showDetails = true;
    await settled();
    expect(one("peer-keys").dataset.state).toBe("closed");
    expect(backend.calls.some(({ name }) => name === "keyHistory")).toBe(false);
    const toggle = one("peer-keys-toggle");
    expect(toggle.getAttribute("aria-expanded")).toBe("false");
    await fireEvent.click(toggle);
    await settled();
    expect(one("peer-keys").dataset.state).toBe("loaded");
    expect(toggle.getAttribute("aria-expanded")).toBe("true");
    const kinds = all("keys-history-item").map(({ dataset }) => dataset.kind);
    expect(kinds).toEqual(["recovered", "closed", "accountKeyRotated", "deviceAdded", "rotated", "created"]);
    expect(one("peer-keys").textContent).toContain("Revoked");
    await fireEvent.click(toggle);
    expect(one("peer-keys").dataset.state).toBe("closed");
  });

  it.each(["details", "dialog"])("show what has come since, while their history is open in the %s", async (where) => {
    const { app, backend } = await play();
    const asked = () => backend.calls.filter(({ name }) => name === "keyHistory").length;
    await fireEvent.click(rowOf("Ada Okafor"));
    if (where === "details") app.showDetails = true;
    else app.compared = { accountId: ada.accountId, name: "Ada Okafor", safety: "verified" };
    await settled();
    await fireEvent.click(one("peer-keys-toggle"));
    await settled();
    expect(all("keys-history-item")).toHaveLength(6);
    expect(all("keys-history-item")[0]?.textContent).toContain("Statement 5, not looked up in the log yet");
    const [last] = backend.peerHistory;
    if (!last) throw new Error("no history");
    backend.peerHistory = [{ ...last, seq: 6, hash: "6".repeat(64), logIndex: 40, proved: true }, ...backend.peerHistory];
    backend.playSafety(ada.accountId, "ask");
    await settled();
    expect(all("keys-history-item")).toHaveLength(7);
    expect(all("keys-history-item")[0]?.textContent).toContain("Statement 6, place 40 in the log, proved");
    // Closed, it asks for nothing.
    await fireEvent.click(one("peer-keys-toggle"));
    const before = asked();
    backend.playSafety(ada.accountId, "notVerified");
    await settled();
    expect(asked()).toBe(before);
  });

  it.each(["details", "dialog"])("show where the log holds them once it was read that far, while their history is open in the %s", async (where) => {
    const { app, backend } = await play();
    const asked = () => backend.calls.filter(({ name }) => name === "keyHistory").length;
    const newest = () => all("keys-history-item")[0];
    const [last, ...before] = backend.peerHistory;
    if (!last) throw new Error("no history");
    const read = before.map((item) => ({ ...item, logIndex: item.seq, proved: true }));
    backend.peerHistory = [last, ...read];
    await fireEvent.click(rowOf("Ada Okafor"));
    if (where === "details") app.showDetails = true;
    else app.compared = { accountId: ada.accountId, name: "Ada Okafor", safety: "verified" };
    await settled();
    await fireEvent.click(one("peer-keys-toggle"));
    await settled();
    expect(newest()?.textContent).toContain("Statement 5, being looked up in the log");
    expect([newest()?.dataset.state, asked()]).toEqual(["open", 1]);
    backend.peerHistory = [{ ...last, logIndex: 4211, proved: true }, ...read];
    // Neither another relay's log is a reason to look, nor the same one that is merely signed anew.
    const { log } = backend;
    backend.emit({ type: "log", log: { ...fakeLog(Date.now()), origin: "far.example.net", size: 9, read: 9 } });
    backend.emit({ type: "log", log: { ...log, provedAt: log.provedAt + 60_000 } });
    await settled();
    expect([newest()?.dataset.state, asked()]).toEqual(["open", 1]);
    backend.emit({ type: "log", log: { ...log, size: 4212, read: 4212 } });
    await settled();
    expect(newest()?.textContent).toContain("Statement 5, place 4211 in the log, proved");
    expect([newest()?.dataset.state, asked()]).toEqual(["proved", 2]);
    // Closed, it asks for nothing.
    await fireEvent.click(one("peer-keys-toggle"));
    backend.emit({ type: "log", log: { ...log, size: 4213, read: 4213 } });
    await settled();
    expect(asked()).toBe(2);
  });

  it.each([
    ["keysRotated", { type: "keysRotated", name: "Ada Okafor", version: 5, mine: false }],
    ["accountKeyReplaced", { type: "accountKeyReplaced", name: "Ada Okafor", mine: false }],
    ["recovered", { type: "recovered", name: "Ada Okafor", mine: false }],
  ] as const)("show what a quiet line tells of, while their history is open: %s", async (_, notice) => {
    const { app, backend } = await play();
    const asked = () => backend.calls.filter(({ name }) => name === "keyHistory").length;
    // In the dialog, since the line may come in another conversation than the one that is open.
    app.compared = { accountId: ada.accountId, name: "Ada Okafor", safety: "verified" };
    await settled();
    await fireEvent.click(one("peer-keys-toggle"));
    await settled();
    expect([all("keys-history-item").length, asked()]).toEqual([6, 1]);
    const [last] = backend.peerHistory;
    if (!last) throw new Error("no history");
    backend.peerHistory = [{ ...last, seq: 6, hash: "6".repeat(64) }, ...backend.peerHistory];
    // Words are no reason to look.
    backend.emit({ type: "message", message: message("a", 7), arrived: true });
    backend.emit({ type: "message", message: message("b", 8, { text: "", notice: { type: "left", name: "Bea", mine: false } }), arrived: false });
    await settled();
    expect([all("keys-history-item").length, asked()]).toEqual([6, 1]);
    backend.emit({ type: "message", message: message("c", 9, { text: "", notice }), arrived: false });
    await settled();
    expect([all("keys-history-item").length, asked()]).toEqual([7, 2]);
    // Nor is a line among those that were missed.
    backend.emit({ type: "lagged" });
    await settled();
    expect(asked()).toBe(3);
  });

  it("say why they cannot be shown", async () => {
    const { app } = await play({ failing: { keyHistory: "notFound" } });
    await fireEvent.click(rowOf("Ada Okafor"));
    app.showDetails = true;
    await settled();
    await fireEvent.click(one("peer-keys-toggle"));
    await settled();
    expect(one("peer-keys").querySelector("[role=alert]")).not.toBeNull();
  });
});

describe("the words of keys", () => {
  const now = Date.UTC(2026, 10, 26, 12);
  const outcome = { version: 4, at: now, scheduled: true, conversations: 3, updated: 1, waiting: [] };
  const wait: RotationWaitView = { conversation: "a", kind: "direct", title: "Ada", why: "later", due: now + 3 * 3_600_000, problem: null };

  it("say how far a rotation has got", () => {
    expect(outcomeWords(outcome)).toBe("1 of 3 conversations has the new keys. The others follow within a day, in random order.");
    expect(outcomeWords({ ...outcome, scheduled: false, updated: 2 })).toBe("2 of 3 conversations have the new keys. The others follow by themselves.");
    expect(outcomeWords({ ...outcome, updated: 3 })).toBe("All 3 conversations have the new keys.");
    expect(outcomeWords({ ...outcome, conversations: 1, updated: 1 })).toBe("Your conversation has the new keys.");
    expect(outcomeWords({ ...outcome, conversations: 0, updated: 0 })).toContain("Version 4");
  });

  it("say how far another account key has got", () => {
    const account = { at: now, shutOut: false, conversations: 3, updated: 1, waiting: [] };
    expect(accountKeyWords(account)).toBe("1 of 3 conversations goes by the new account key. The others follow by themselves.");
    expect(accountKeyWords({ ...account, updated: 3 })).toBe("All 3 conversations go by the new account key.");
    const shutOut = { ...account, shutOut: true };
    expect(accountKeyWords({ ...shutOut, updated: 3 })).toMatch(/ No other device of yours is left in them\.$/u);
    expect(accountKeyWords({ ...shutOut, conversations: 1, updated: 1 })).toMatch(/ No other device of yours is left in it\.$/u);
    expect(accountKeyWords(shutOut)).not.toContain("No other device");
    expect(accountKeyWords({ ...account, conversations: 0, updated: 0 })).toContain("no conversation yet");
  });

  it("say what a conversation waits for", () => {
    expect(waitWords(wait, now)).toBe("its turn comes in 3 hours");
    expect(waitWords({ ...wait, due: null }, now)).toBe("its turn comes within a day");
    expect(waitWords({ ...wait, why: "sending" }, now)).toBe("on its way to the relay");
    expect(waitWords({ ...wait, why: "mending" }, now)).toContain("let back in");
    const problem = { code: "relayWentBack", detail: "" } as const;
    expect(waitWords({ ...wait, why: "stopped", problem }, now)).toMatch(/^stopped: /u);
  });

  it("say when the keys are replaced next", () => {
    expect(nextWords(null, now)).toBe("They stay until you rotate them.");
    expect(nextWords(now - 1, now)).toBe("Next: as soon as the relay is reached.");
    expect(untilThen(now + 60_000, now)).toBe("within the hour");
    expect(untilThen(now + 30 * 3_600_000, now)).toBe("tomorrow");
    expect(untilThen(now + 21 * day, now)).toBe("in 21 days");
  });

  it("name every kind of statement, and its place in the log once that is known", () => {
    const history = fakeHistory(now);
    expect(new Set(history.map(({ what }) => what))).toEqual(new Set(Object.keys(keyEventWords)));
    const [first] = history;
    if (!first) throw new Error("no history");
    expect(logWords(first, false)).toBe("not looked up in the log yet");
    expect(logWords(first, true)).toBe("being looked up in the log");
    expect(logWords({ ...first, logIndex: 12, proved: true }, true)).toBe("place 12 in the log, proved");
    expect(logWords({ ...first, logIndex: 12 }, true)).toBe("place 12 in the log");
    expect(logWords({ ...first, proved: false }, true)).toBe("not in the log, not proved");
  });

  it("tell each outcome of the phrase's check apart", () => {
    const lines = [
      { type: "right" },
      { type: "wordCount", words: 1 },
      { type: "unknownWord", place: 7 },
      { type: "checksum" },
      { type: "otherAccount" },
    ] as const;
    expect(new Set(lines.map(phraseCheckWords)).size).toBe(lines.length);
    expect(phraseCheckWords({ type: "wordCount", words: 1 })).toContain("this is 1.");
  });
});
