import { fireEvent } from "@testing-library/svelte";
import axe from "axe-core";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { KeyAlarmView, KeysView } from "../src/lib/backend";
import { fakeInvitation, type Scenario } from "../src/lib/backend/fake";
import { fakeLog } from "../src/lib/backend/fake-data";
import { contradictedLine, evidenceText } from "../src/lib/words/log";
import { phraseMistake } from "../src/lib/words/phrase";
import { all, one, play, settled } from "./play";

const words = Array.from({ length: 24 }, () => "abandon").join(" ");

async function type(testid: string, text: string) {
  await fireEvent.input(one(testid), { target: { value: text } });
  await settled();
}

async function recovering() {
  const played = await play({ phase: "firstRun" });
  await fireEvent.click(one("onboarding-recover"));
  await settled();
  return played;
}

describe("recovering an account", () => {
  it("takes address and words, and goes on with the account", async () => {
    const { app } = await recovering();
    expect(one("onboarding").dataset.step).toBe("recover");
    expect(one("recover-now")).toHaveProperty("disabled", true);
    await type("recover-address", "ada@relay.example.org");
    await type("recover-phrase", words);
    expect(one("onboarding").textContent).toContain("24 of 24 words");
    await fireEvent.click(one("recover-now"));
    await settled();
    expect(app.state.type).toBe("ready");
    expect(app.profile?.address).toBe("ada@relay.example.org");
    expect(app.profile?.phraseConfirmed).toBe(true);
  });

  it("says which word is wrong, and keeps what was typed", async () => {
    await recovering();
    await type("recover-address", "ada@relay.example.org");
    const typed = words.split(" ").with(6, "waxwing").join(" ");
    await type("recover-phrase", typed);
    await fireEvent.click(one("recover-now"));
    await settled();
    expect(one("recover-mistake").textContent).toContain("Word 7 is not in the list");
    expect(one("recover-phrase")).toHaveProperty("value", typed);
    await type("recover-phrase", "one two");
    await fireEvent.click(one("recover-now"));
    await settled();
    expect(one("recover-mistake").textContent).toContain("These are 2 words; a phrase has 24.");
  });

  it("says that a phrase is another account's", async () => {
    await recovering();
    await type("recover-address", "somebody@relay.example.org");
    await type("recover-phrase", words);
    await fireEvent.click(one("recover-now"));
    await settled();
    expect(one("onboarding-error").textContent).toContain("not the one of this account");
    expect((await axe.run(one("onboarding"))).violations).toEqual([]);
  });

  it("words each mistake", () => {
    const mistake = (code: "unknownWord" | "notAPhrase" | "relayDown", detail: string) => phraseMistake({ code, detail });
    expect(mistake("unknownWord", "")).toContain("One of the words");
    expect(mistake("notAPhrase", "the words do not fit together: one is wrong, or their order is")).toContain("do not fit together");
    expect(mistake("relayDown", "")).toBeNull();
  });
});

async function keys(scenario: Partial<Scenario> = {}) {
  const played = await play(scenario);
  played.app.openSettings("keys");
  await settled();
  return played;
}

describe("other keys for the account", () => {
  it("are asked about first, then replaced", async () => {
    const { app, backend } = await keys();
    const before = app.keys?.accountFingerprint;
    await fireEvent.click(one("replace-account-key"));
    await settled();
    expect(one("key-emergency").dataset.state).toBe("replace");
    await fireEvent.click(one("emergency-cancel"));
    await settled();
    expect(app.keys?.accountFingerprint).toBe(before);
    expect(backend.calls.some(({ name }) => name === "replaceAccountKey")).toBe(false);
    await fireEvent.click(one("shut-others-out"));
    await settled();
    expect(one("key-emergency").textContent).toContain("signed out for good");
    await fireEvent.click(one("emergency-confirm"));
    await settled();
    expect(app.keys?.accountFingerprint).not.toBe(before);
    expect(one("key-emergency").textContent).toContain("Only this device is in force");
    expect((await axe.run(one("settings"))).violations).toEqual([]);
  });
});

describe("another account key", () => {
  it("comes once it is confirmed, by itself: the device's keys stay", async () => {
    const { app, backend } = await keys();
    const before = shown(app.keys);
    await fireEvent.click(one("replace-account-key"));
    await settled();
    await fireEvent.click(one("emergency-confirm"));
    await settled();
    expect(backend.calls.filter(({ name }) => name === "replaceAccountKey" || name === "shutOthersOut")).toEqual([
      { name: "replaceAccountKey", input: [] },
    ]);
    const after = shown(app.keys);
    expect(after.accountFingerprint).not.toBe(before.accountFingerprint);
    expect([after.version, after.fingerprint]).toEqual([before.version, before.fingerprint]);
    expect(after.history[0]?.what).toBe("accountKeyRotated");
    expect(one("key-emergency").textContent).not.toContain("Only this device is in force");
  });

  it.each([
    ["replace-account-key", "go by the new account key.", false],
    ["shut-others-out", "No other device of yours is left in them.", true],
  ] as const)("tells what %s did in each conversation, as it gets on", async (way, words, shutOut) => {
    const { app } = await keys({ latency: 20 });
    await new Promise((done) => setTimeout(done, 60));
    await settled();
    expect(all("account-outcome")).toEqual([]);
    await fireEvent.click(one(way));
    await settled();
    await fireEvent.click(one("emergency-confirm"));
    await new Promise((done) => setTimeout(done, 45));
    await settled();
    const of = Number(one("account-outcome").dataset.conversations);
    expect(of).toBeGreaterThan(2);
    expect(one("account-outcome").dataset.state).toBe("partial");
    expect(all("account-waiting").length).toBeGreaterThan(0);
    expect(all("account-waiting")[0]?.dataset.kind).toBe("sending");
    expect(one("account-outcome").querySelector("progress")?.getAttribute("aria-label")).toContain("account key");
    await new Promise((done) => setTimeout(done, 40 * of + 100));
    await settled();
    expect(one("account-outcome").dataset).toMatchObject({ state: "complete", updated: `${of}` });
    expect(all("account-waiting")).toEqual([]);
    expect(one("account-outcome").textContent).toContain(words);
    expect(one("account-outcome").textContent.includes("everybody else shut out")).toBe(shutOut);
    expect(shown(app.keys).accountOutcome).toMatchObject({ shutOut, updated: of });
    // Of the device's keys it says something only where they were replaced, too.
    expect(all("keys-outcome").length).toBe(1);
    expect((await axe.run(one("settings"), { rules: { "color-contrast": { enabled: false } } })).violations).toEqual([]);
  });

  function shown(view: KeysView | null): KeysView {
    if (!view) throw new Error("no keys");
    return view;
  }
});

/** The keys in force and the cards of logs, from the top of the section down. */
function order() {
  const cards = document.querySelectorAll<HTMLElement>('[data-testid="keys-version"], [data-testid="log-card"]');
  return [...cards].map(({ dataset }) => dataset.state ?? dataset.testid);
}

describe("the relay's log", () => {
  it("says since when it has been consistent", async () => {
    await keys();
    expect(one("log-card").dataset).toMatchObject({ state: "consistent", size: "4211" });
    expect(one("log-card").textContent).toContain("Consistent since");
    expect(order()).toEqual(["keys-version", "consistent"]);
  });

  it("raises an alarm for an entry that no own device has made", async () => {
    const { app, backend } = await keys();
    const log = { ...fakeLog(Date.now()), alarms: [{ index: 17, seq: 4, at: Date.now() }] };
    backend.emit({ type: "log", log });
    await settled();
    expect(one("log-card").dataset.state).toBe("alarm");
    expect(one("key-alarm").textContent).toContain("Entry 17 changes your keys");
    expect(app.logs.alarmed).toBe(true);
    expect(all("banner").some(({ dataset }) => dataset.kind === "alarm")).toBe(true);
    // And what to do about it: the account is taken back, right here.
    backend.log = log;
    await fireEvent.click(one("alarm-recover"));
    await settled();
    expect(one("recover-here").dataset.state).toBe("asking");
    expect(document.activeElement).toBe(one("recover-here-phrase"));
    const type = async (phrase: string) => {
      await fireEvent.input(one("recover-here-phrase"), { target: { value: phrase } });
      await fireEvent.click(one("recover-here-now"));
      await settled();
    };
    await type("abandon ability able");
    expect(one("recover-here-mistake").textContent).toContain("These are 3 words; a phrase has 24. Nothing was changed.");
    expect(one("log-card").dataset.state).toBe("alarm");
    await type(Array.from({ length: 24 }, () => "abandon").join(" "));
    expect(one("recover-here").dataset.state).toBe("done");
    expect(one("recover-here").textContent).toContain("yours alone again");
    expect(one("log-card").dataset.state).toBe("consistent");
    expect(app.keys?.version).toBe(1);
    expect(app.logs.alarmed).toBe(false);
  });

  it("tells of an entry that was shown in a conversation alone, with the same way out", async () => {
    const { app, backend } = await keys();
    const shown: KeyAlarmView = { index: null, seq: 4, at: Date.now() };
    backend.emit({ type: "log", log: { ...fakeLog(Date.now()), alarms: [shown] } });
    await settled();
    expect(one("log-card").dataset.state).toBe("alarm");
    expect(one("key-alarm").textContent).toContain(
      "An entry of your account (number 4 of your key chain) that none of your devices made was shown in a conversation. It was not found in your relay's log so far.",
    );
    expect(all("alarm-recover")).toHaveLength(1);
    expect(all("name-alarm")).toHaveLength(0);
    const banner = () => all("banner").find(({ dataset }) => dataset.kind === "alarm")?.textContent;
    expect(banner()).toContain("was shown in a conversation");
    expect(app.logs.keysChanged).toBe(true);
    // What the log says comes first.
    backend.emit({ type: "log", log: { ...fakeLog(Date.now()), alarms: [shown, { index: 17, seq: 4, at: Date.now() }] } });
    await settled();
    expect(banner()).toContain("The relay's log holds an entry about your account");
    expect((await axe.run(one("settings"))).violations).toEqual([]);
  });

  it("says what a name that was given to another account means, and offers no phrase for it", async () => {
    const { app, backend } = await keys();
    const given: KeyAlarmView = { index: 19, seq: null, at: Date.now() };
    backend.emit({ type: "log", log: { ...fakeLog(Date.now()), alarms: [given] } });
    await settled();
    expect(one("log-card").dataset.state).toBe("alarm");
    expect(one("key-alarm").textContent).toContain("Entry 19 gives your name to another account");
    expect(one("name-alarm").textContent).toContain("invite link");
    expect(one("log-card").textContent).not.toContain("take the account back");
    expect(all("alarm-recover")).toHaveLength(0);
    const banner = all("banner").find(({ dataset }) => dataset.kind === "alarm");
    expect(banner?.textContent).toContain("Your name was given to another account");
    expect(banner?.textContent).not.toContain("changed your keys");
    // Recovering is still where it always is.
    expect(all("recover-here")).toHaveLength(1);
    // Beside an entry that changes the keys both are said, and the phrase is offered for that one.
    backend.emit({ type: "log", log: { ...fakeLog(Date.now()), alarms: [given, { index: 20, seq: 4, at: Date.now() }] } });
    await settled();
    expect(all("name-alarm")).toHaveLength(1);
    expect(all("alarm-recover")).toHaveLength(1);
    expect(app.logs.keysChanged).toBe(true);
    expect((await axe.run(one("settings"))).violations).toEqual([]);
  });

  it("tells of a relay that was restored, and how a lost account comes back", async () => {
    const { backend } = await keys();
    const now = Date.now();
    const restorations = [{ backup: now - 86_400_000, size: 4000, found: now }];
    backend.log = { ...fakeLog(now), restorations };
    backend.emit({ type: "log", log: backend.log });
    await settled();
    expect(one("log-restored").dataset.count).toBe("1");
    expect(one("log-restored").textContent).toContain("The relay was restored from a backup of");
    expect(all("restored-problem")).toHaveLength(0);
    // It has lost the account, and wants its operator's word.
    backend.log = { ...backend.log, restoredProblem: { code: "invitationNeeded", detail: "" } };
    backend.emit({ type: "log", log: backend.log });
    await settled();
    expect(one("restored-problem").textContent).toContain("takes people by invitation");
    expect((await axe.run(one("settings"))).violations).toEqual([]);
    await type("restored-invitation", "not one");
    await fireEvent.click(one("restored-again"));
    await settled();
    expect(one("restored-problem").textContent).toContain("does not take this invitation");
    await type("restored-invitation", fakeInvitation);
    await fireEvent.click(one("restored-again"));
    await settled();
    expect(all("restored-problem")).toHaveLength(0);
    expect(one("log-restored").dataset.count).toBe("1");
  });

  it("tells of every restoration, also of several that were found at once", async () => {
    const { backend } = await keys();
    const now = Date.now();
    const restorations = [now - 7_200_000, now - 3_600_000].map((backup) => ({ backup, size: 4000, found: now }));
    backend.emit({ type: "log", log: { ...fakeLog(now), restorations } });
    await settled();
    expect(all("part-broken")).toHaveLength(0);
    expect(one("log-restored").dataset.count).toBe("2");
    expect(one("log-restored").textContent?.split("restored from a backup of")).toHaveLength(3);
  });

  it("says that there are more alarms than are shown", async () => {
    const { backend } = await keys();
    const log = { ...fakeLog(Date.now()), alarms: [{ index: 17, seq: 4, at: Date.now() }] };
    backend.emit({ type: "log", log });
    await settled();
    expect(all("more-alarms")).toHaveLength(0);
    backend.emit({ type: "log", log: { ...log, moreAlarms: true } });
    await settled();
    expect(one("more-alarms").textContent).toContain("There are more such entries");
    expect((await axe.run(one("settings"))).violations).toEqual([]);
  });

  it("tells of keys that the relay has taken and does not publish", async () => {
    const { app, backend } = await keys();
    const hidden = { code: "keysNotLogged" as const, detail: "numbers of the chain: [2]" };
    await fireEvent.click(one("shut-others-out"));
    await fireEvent.click(one("emergency-confirm"));
    await settled();
    expect(one("key-emergency").textContent).toContain("Done.");
    backend.emit({ type: "log", log: { ...fakeLog(Date.now()), unloggedProblem: hidden } });
    if (app.keys) backend.emit({ type: "keys", keys: { ...app.keys, rotationProblem: hidden } });
    await settled();
    expect(one("log-unlogged").textContent).toContain("does not show them in its public log");
    expect(one("key-emergency").textContent).toContain("may still pass for you");
    expect(one("key-emergency").textContent).not.toContain("Done.");
    expect((await axe.run(one("settings"))).violations).toEqual([]);
  });

  it("shows evidence that it contradicts itself", async () => {
    const { backend } = await keys();
    const contradiction = { kind: "twoHistories" as const, at: Date.now(), settled: false, first: "first note", second: "second note" };
    backend.emit({ type: "log", log: { ...fakeLog(Date.now()), contradictions: [contradiction] } });
    await settled();
    expect(one("log-card").dataset.state).toBe("contradicts");
    expect(all("log-contradiction")).toHaveLength(1);
    // It is not what it was, and whoever comes here comes for that.
    expect(one("log-card").textContent).not.toContain("Consistent since");
    expect(one("log-card").textContent).toMatch(/It was consistent from .+ until it contradicted itself\. .+ entries of it were read on this device/u);
    expect(order()).toEqual(["contradicts", "keys-version"]);
    expect(evidenceText("relay.example.org", contradiction)).toContain("first note\nsecond note");
    // Another relay's stands beside it, under its own name.
    backend.emit({ type: "log", log: { ...fakeLog(Date.now()), origin: "far.example.net", contradictions: [contradiction] } });
    await settled();
    expect(all("log-card")).toHaveLength(2);
    expect(all("log-card")[1]?.textContent).toContain("The log of keys of far.example.net");
    expect(order()).toEqual(["contradicts", "contradicts", "keys-version"]);
    expect((await axe.run(one("settings"))).violations).toEqual([]);
  });

  it("says of a proof that was not given that it stops less than what the relay has signed", async () => {
    const { backend } = await keys();
    const unproved = { kind: "unproved" as const, at: Date.now(), settled: false, first: "first note", second: "second note" };
    const text = () => one("settle-log").textContent;
    const banner = () => all("banner").find(({ dataset }) => dataset.kind === "log")?.textContent;
    backend.emit({ type: "log", log: { ...fakeLog(Date.now()), contradictions: [unproved] } });
    await settled();
    expect(text()).toContain("once it shows one again that continues what was read here, they do");
    expect(text()).not.toContain("Until this is settled");
    expect(one("log-card").textContent).toContain("until the relay showed one that it could not prove");
    expect(banner()).toContain("uses no new keys from what could not be proved");
    expect(contradictedLine({ ...fakeLog(Date.now()), contradictions: [unproved] })).toContain("could not prove");
    // Whatever it has signed beside that stops them all.
    const both = { ...fakeLog(Date.now()), contradictions: [unproved, { ...unproved, kind: "wentBack" as const }] };
    backend.emit({ type: "log", log: both });
    await settled();
    expect(text()).toContain("Until this is settled no new keys from this relay are used");
    expect(banner()).toContain("uses no new keys from it");
    expect(contradictedLine(both)).toContain("contradicts itself");
  });

  it("goes on with such a log where the user says so, and keeps the evidence", async () => {
    const { backend, app } = await keys();
    const contradiction = { kind: "wentBack" as const, at: Date.now(), settled: false, first: "first note", second: "second note" };
    backend.log = { ...fakeLog(Date.now()), contradictions: [contradiction] };
    backend.emit({ type: "log", log: backend.log });
    await settled();
    expect(app.logs.contradicted).toBe(true);
    await fireEvent.click(one("settle-log-open"));
    await settled();
    expect(one("settle-log").dataset.state).toBe("asking");
    expect(one("settle-log").textContent).toContain("The keys that you know of people stay in force");
    expect(document.activeElement).toBe(one("settle-log-close"));
    expect((await axe.run(one("settings"))).violations).toEqual([]);
    // Nothing happens on the way back.
    await fireEvent.click(one("settle-log-close"));
    await settled();
    expect(app.logs.contradicted).toBe(true);
    await fireEvent.click(one("settle-log-open"));
    await settled();
    await fireEvent.click(one("settle-log-now"));
    await settled();
    expect(app.logs.contradicted).toBe(false);
    expect(one("log-card").dataset.state).toBe("consistent");
    expect(all("log-contradiction")).toHaveLength(0);
    expect(one("log-settled").textContent).toContain("entries were taken back");
    expect(one("log-card").textContent).toContain("Consistent since");
    expect(order()).toEqual(["keys-version", "consistent"]);
    expect((await axe.run(one("settings"))).violations).toEqual([]);
  });
});

describe("evidence against other relays", () => {
  const contradiction = { kind: "diverged" as const, at: Date.now(), settled: false, first: "first note", second: "second note" };
  const far = { ...fakeLog(Date.now()), origin: "far.example.net", contradictions: [contradiction] };
  const banner = () => all("banner").find(({ dataset }) => dataset.kind === "log");

  it("that was found before the start is told at once, and stands among the keys", async () => {
    const { app, backend } = await play({}, (fake) => fake.otherLogs.push(far));
    expect(banner()?.textContent).toContain("A relay's log of keys contradicts itself");
    app.openSettings("keys");
    await settled();
    expect(order()).toEqual(["contradicts", "keys-version", "consistent"]);
    expect(all("log-card")[0]?.textContent).toContain("The log of keys of far.example.net");
    expect(all("log-contradiction")).toHaveLength(1);
    // What the user has gone on after hurries nobody.
    backend.emit({ type: "log", log: { ...far, contradictions: [{ ...contradiction, settled: true }] } });
    await settled();
    expect(order()).toEqual(["keys-version", "consistent", "consistent"]);
  });

  it("goes with the account", async () => {
    const { app, backend } = await play({}, (fake) => fake.otherLogs.push(far));
    expect(app.logs.contradicted).toBe(true);
    app.enter(await backend.closeAccount());
    expect(app.logs.contradicted).toBe(false);
  });
});

describe("a log that is more than a day old", () => {
  afterEach(() => vi.useRealTimers());
  const banner = () => all("banner").find(({ dataset }) => dataset.kind === "log");
  const minute = async () => {
    await vi.advanceTimersByTimeAsync(61_000);
    await settled();
  };

  it("is told of while connected, once it stays so, until it is of now again", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"], shouldAdvanceTime: true });
    const old = { ...fakeLog(Date.now()), stale: true };
    const { backend } = await play({}, (fake) => (fake.log = old));
    expect(banner(), "right after the start it is being read").toBeUndefined();
    await minute();
    expect(banner()?.textContent).toContain("The relay's log of keys is more than a day old");
    const reason = { code: "relayDown", detail: "" } as const;
    backend.emit({ type: "connection", connection: { type: "offline", reason, retryAt: Date.now() } });
    await settled();
    expect(banner(), "offline it is no wonder").toBeUndefined();
    backend.emit({ type: "connection", connection: { type: "online", notice: null } });
    await minute();
    expect(banner()).toBeDefined();
    backend.emit({ type: "log", log: fakeLog(Date.now()) });
    await settled();
    expect(banner()).toBeUndefined();
  });

  it("is noticed although nothing happens", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"], shouldAdvanceTime: true });
    const { backend } = await play();
    backend.log = { ...fakeLog(Date.now()), stale: true };
    await minute();
    expect(banner()).toBeUndefined();
    await vi.advanceTimersByTimeAsync(3_600_000);
    await settled();
    await minute();
    expect(banner()).toBeDefined();
  });

  it("says of a relay that others have seen more of that it does not show it", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"], shouldAdvanceTime: true });
    await play({}, (fake) => (fake.log = { ...fakeLog(Date.now()), stale: true, withheld: true }));
    await minute();
    expect(banner()?.textContent).toContain("does not show all of its log of keys");
  });

  it("is none that belongs to another relay, or that was never read", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"], shouldAdvanceTime: true });
    const { backend } = await play({}, (fake) => (fake.log = { ...fakeLog(Date.now()), provedAt: 0, stale: true }));
    backend.emit({ type: "log", log: { ...fakeLog(Date.now()), origin: "far.example.net", stale: true } });
    await minute();
    expect(banner()).toBeUndefined();
  });
});

describe("closing the account", () => {
  it("wants the name, and shows nothing of the account afterwards", async () => {
    const { app } = await play();
    app.openSettings("profile");
    await settled();
    await fireEvent.click(one("close-account-open"));
    await settled();
    expect(one("close-account-yes")).toHaveProperty("disabled", true);
    await type("close-account-name", app.profile?.address.split("@")[0] ?? "");
    await fireEvent.click(one("close-account-yes"));
    await settled();
    expect(app.state.type).toBe("firstRun");
    expect(app.profile).toBeNull();
    expect(one("onboarding").dataset.step).toBe("name");
  });
});

describe("an engine that has ended by itself", () => {
  const version = "1.2.3";

  it("leaves nothing of an account that is closed in the window", async () => {
    const { app, backend } = await play();
    expect(app.conversations.length).toBeGreaterThan(0);
    backend.tellState({ type: "firstRun", localRelay: null, version, build: "test" });
    await settled();
    expect(one("onboarding").dataset.step).toBe("name");
    expect([app.profile, app.keys, app.conversations.length]).toEqual([null, null, 0]);
  });

  it("says that keys of a closed account are left, and looks again", async () => {
    const { backend } = await play();
    backend.tellState({ type: "problem", error: { code: "keysLeft", detail: "" }, version });
    await settled();
    expect(one("problem-screen").textContent).toContain("Your account is closed, and its keys are still here");
    await fireEvent.click(one("problem-action"));
    expect(backend.calls.map(({ name }) => name)).toContain("retryStart");
  });

  it("is followed by another one, and what is open is asked for anew", async () => {
    const { app, backend } = await play();
    const ready = app.state;
    const [first] = app.conversations;
    if (!first) throw new Error("no conversation");
    app.openConversation(first.id);
    await settled();
    backend.tellState({ type: "starting" });
    backend.calls.length = 0;
    backend.tellState(ready);
    await settled();
    const asked = backend.calls.map(({ name }) => name);
    expect(asked).toContain("conversations");
    expect(asked).toContain("messages");
    expect(app.openId).toBe(first.id);
  });
});
