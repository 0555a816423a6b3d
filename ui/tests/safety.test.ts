import { fireEvent } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import { describe, expect, it } from "vitest";
import { ada, bea, cem, jonas } from "../src/lib/backend/fake-groups";
import type { FakeBackend, Scenario } from "../src/lib/backend/fake";
import { comparisonWords, doubtWords, isUnsure, safetyWords, standingLine, standingNote } from "../src/lib/words/safety";
import { groupSafetyWords, underTitle } from "../src/lib/words/conversations";
import { noticeLine } from "../src/lib/words/notices";
import { all, one, play, rowOf, settled } from "./play";
import { conversation } from "./make";

async function press(testid: string) {
  one(testid).focus();
  await fireEvent.click(one(testid));
  await settled();
}

async function type(testid: string, value: string) {
  await fireEvent.input(one(testid), { target: { value } });
}

const sent = (backend: FakeBackend, name: string) => backend.calls.filter((call) => call.name === name).map(({ input }) => input);

async function open(title: string, scenario: Partial<Scenario> = {}) {
  const played = await play({ phraseConfirmed: true, ...scenario });
  await fireEvent.click(rowOf(title));
  await settled();
  return played;
}

async function details(title: string, scenario: Partial<Scenario> = {}) {
  const played = await open(title, scenario);
  await press("open-details");
  return played;
}

const digits = () => one("safety-digits").textContent?.replace(/\s+/gu, "") ?? "";

describe("a safety number", () => {
  it("stands in the details: twelve groups of five digits, a code, and how things are", async () => {
    await details("Jonas Brandt");
    expect([...one("safety-digits").querySelectorAll("li")].map(({ textContent }) => textContent?.length)).toEqual(Array(12).fill(5));
    expect(one("safety-digits").classList).toContain("mono");
    expect(one("safety-qr").getAttribute("aria-label")).toBe("QR code of this safety number");
    expect(one("safety").dataset.state).toBe("notVerified");
    expect(one("safety").textContent).toContain("Compare these digits with Jonas Brandt");
    expect(all("safety-unverify")).toHaveLength(0);
  });

  it("stands above what is known of their relay: that it was restored, and what that means", async () => {
    const { backend } = await details("Jonas Brandt");
    expect(one("log-line").dataset.state).toBe("consistent");
    expect(all("log-restored")).toHaveLength(0);
    const now = Date.now();
    backend.emit({ type: "log", log: { ...backend.log, restorations: [{ backup: now - 3_600_000, size: 9, found: now }] } });
    await settled();
    expect(one("log-restored").textContent).toContain("was restored from a backup of");
    expect(one("log-restored").textContent).toContain("The keys that you know of them stay in force.");
    // Several can be found at once.
    const restorations = [2, 1].map((hours) => ({ backup: now - hours * 3_600_000, size: 9, found: now }));
    backend.emit({ type: "log", log: { ...backend.log, restorations } });
    await settled();
    expect(all("part-broken")).toHaveLength(0);
    expect(all("log-restored")).toHaveLength(2);
  });

  it("has its code as text, too, which is copied whole and is what the other app's field takes", async () => {
    const { backend } = await details("Jonas Brandt");
    const { payload } = await backend.safetyNumber(jonas.accountId);
    expect((one("safety-code") as HTMLInputElement).value).toBe(payload);
    expect((one("safety-code") as HTMLInputElement).readOnly).toBe(true);
    await press("safety-copy");
    expect(sent(backend, "copyText")).toEqual([[payload]]);
    expect(one("safety-copy").dataset.state).toBe("copied");
    await type("safety-input", payload);
    await press("safety-compare");
    expect(one("safety-outcome").dataset.state).toBe("notForThisConversation");
  });

  it("is not there where there is nobody to compare with", async () => {
    await details("Note to self");
    expect(all("safety")).toHaveLength(0);
  });

  it("is confirmed by its digits, marks the person everywhere, and can be taken back", async () => {
    const { backend } = await details("Jonas Brandt");
    const before = digits();
    await press("safety-verify");
    expect(sent(backend, "verify")).toEqual([[jonas.accountId, before]]);
    expect(one("safety").dataset.state).toBe("verified");
    for (const place of [rowOf("Jonas Brandt"), one("details"), document.querySelector("main header")]) {
      expect(place?.querySelector('[data-testid="verified-mark"]')?.getAttribute("aria-label")).toBe("Verified");
    }
    expect(all("safety-verify")).toHaveLength(0);
    await press("safety-unverify");
    expect(sent(backend, "unverify")).toEqual([[jonas.accountId]]);
    expect(one("safety").dataset.state).toBe("notVerified");
    expect(rowOf("Jonas Brandt").querySelector('[data-testid="verified-mark"]')).toBeNull();
  });

  it("is compared with what is pasted, with a clear outcome, and confirms nothing by that", async () => {
    const { backend } = await details("Jonas Brandt");
    expect((one("safety-compare") as HTMLButtonElement).disabled).toBe(true);
    const cases: [string, string][] = [
      [backend.theirCode(jonas.accountId), "match"],
      [digits(), "match"],
      ["12345 ".repeat(12), "mismatch"],
      [backend.theirCode(jonas.accountId).replace("theirs", "own"), "notForThisConversation"],
      ["hello", "damaged"],
    ];
    for (const [text, state] of cases) {
      await type("safety-input", text);
      expect(all("safety-outcome")).toHaveLength(0);
      await press("safety-compare");
      expect(one("safety-outcome").dataset.state, text).toBe(state);
      expect(one("safety-outcome").closest('[role="status"]')).toBeTruthy();
      // Nobody marks somebody as verified right under the word that it is not the same.
      expect((one("safety-verify") as HTMLButtonElement).disabled, text).toBe(state !== "match");
    }
    expect(one("safety").dataset.state).toBe("notVerified");
    expect(sent(backend, "verify")).toEqual([]);
  });

  it("that changed while it was shown is refused, shown anew, and said to be another one", async () => {
    const { backend } = await details("Jonas Brandt");
    const before = digits();
    // Nobody tells the window of it.
    const verify = backend.verify;
    backend.verify = async (account, shown) => {
      backend.verify = verify;
      backend.playSafety(jonas.accountId, "ask");
      return verify(account, shown);
    };
    await press("safety-verify");
    expect(one("safety-error").dataset.code).toBe("safetyNumberDiffers");
    expect(digits()).not.toBe(before);
    expect(one("safety-changed").getAttribute("role")).toBe("alert");
    expect(one("safety").dataset.state).toBe("ask");
    await press("safety-verify");
    expect(one("safety").dataset.state).toBe("verified");
    expect(all("safety-changed")).toHaveLength(0);
  });

  it("is shown anew when an event tells that something has happened", async () => {
    const { backend } = await details("Ada Okafor");
    expect(one("safety").dataset.state).toBe("verified");
    backend.playSafety(ada.accountId, "ask");
    await settled();
    expect(one("safety").dataset.state).toBe("ask");
    expect(one("safety-changed")).toBeTruthy();
    backend.playSafety(ada.accountId, "broken");
    await settled();
    expect(one("safety").dataset.state).toBe("broken");
    for (const testid of ["safety-verify", "safety-compare"]) expect(all(testid)).toHaveLength(0);
  });

  it("says why it cannot be shown", async () => {
    await details("Jonas Brandt", { failing: { safetyNumber: "notFound" } });
    expect(one("safety-error").dataset.code).toBe("notFound");
  });

  it("of a member is opened from the group's list, and gives the focus back", async () => {
    const { backend } = await details("Bird walk on Sundays");
    const user = userEvent.setup({ pointerEventsCheck: 0 });
    const row = () => all("member").find(({ dataset }) => dataset.id === bea.accountId);
    const menu = () => row()?.querySelector('[data-testid="member-menu"]') as HTMLElement;
    await user.click(menu());
    await settled();
    await user.click(one("member-number"));
    await settled();
    expect(one("safety-dialog").textContent).toContain("Safety number with Bea Holm");
    await press("safety-verify");
    expect(one("safety").dataset.state).toBe("verified");
    expect(sent(backend, "verify")[0]?.[0]).toBe(bea.accountId);
    // What has happened to their keys stands below, asked for when it is opened.
    expect(one("safety-dialog").contains(one("log-line"))).toBe(true);
    expect(one("log-line").textContent).toContain("Their relay's log of keys has been consistent since");
    expect(sent(backend, "logOf")).toEqual([[bea.accountId]]);
    expect(sent(backend, "keyHistory")).toEqual([]);
    await press("peer-keys-toggle");
    expect(one("safety-dialog").contains(one("peer-keys"))).toBe(true);
    expect(one("peer-keys").dataset.state).toBe("loaded");
    expect(one("peer-keys").textContent).toContain("What Bea Holm has signed");
    expect(sent(backend, "keyHistory")).toEqual([[bea.accountId]]);
    await fireEvent.keyDown(one("safety-dialog"), { key: "Escape" });
    await settled();
    expect(all("safety-dialog")).toHaveLength(0);
    expect(document.activeElement).toBe(menu());
    expect(row()?.querySelector('[data-testid="verified-mark"]')).toBeTruthy();
  });
});

describe("words to keys in doubt", () => {
  async function write(backend: FakeBackend, account: string, safety: "ask" | "broken") {
    backend.playSafety(account, safety);
    await type("composer", "for you alone");
    await press("send");
  }
  const field = () => one("composer") as HTMLTextAreaElement;

  it("are held back by a dialog, and kept", async () => {
    const { backend } = await open("Ada Okafor");
    await write(backend, ada.accountId, "ask");
    expect(one("doubt").dataset.kind).toBe("verifyAgain");
    expect(one("doubt").textContent).toContain("Verify Ada Okafor again");
    expect(one("doubt-kept").textContent).toContain("your text is kept");
    // Enter must not answer by accident.
    expect(document.activeElement).toBe(one("doubt-close"));
    await press("doubt-close");
    expect(field().value).toBe("for you alone");
    expect(all("message").filter(({ textContent }) => textContent.includes("for you alone"))).toEqual([]);
    expect(one("banner").dataset.kind).toBe("conversation");
    expect(all("composer-error")).toEqual([]);
    // It is over by itself: nothing says otherwise.
    backend.playSafety(ada.accountId, "verified");
    await settled();
    expect([...all("banner"), ...all("composer-error")]).toEqual([]);
    expect(field().value).toBe("for you alone");
  });

  it("go out when the user takes the verification back, and not before", async () => {
    const { backend } = await open("Ada Okafor");
    await write(backend, ada.accountId, "ask");
    expect(sent(backend, "unverify")).toEqual([]);
    await press("doubt-anyway");
    expect(sent(backend, "unverify")).toEqual([[ada.accountId]]);
    expect(all("doubt")).toHaveLength(0);
    expect(field().value).toBe("");
    expect(all("message").at(-1)?.textContent).toContain("for you alone");
    expect(rowOf("Ada Okafor").querySelector('[data-testid="verified-mark"]')).toBeNull();
  });

  it("lead to the number, where comparing again lets them out", async () => {
    const { backend } = await open("Ada Okafor");
    await write(backend, ada.accountId, "ask");
    await press("doubt-compare");
    expect(all("doubt")).toHaveLength(0);
    expect(one("safety-dialog").textContent).toContain("Safety number with Ada Okafor");
    await press("safety-verify");
    await fireEvent.keyDown(one("safety-dialog"), { key: "Escape" });
    await settled();
    expect(field().value).toBe("for you alone");
    await press("send");
    expect(all("doubt")).toHaveLength(0);
    expect(all("message").at(-1)?.textContent).toContain("for you alone");
    expect(all("banner")).toHaveLength(0);
  });

  it("have no way around a broken chain", async () => {
    const { backend } = await open("Jonas Brandt");
    await write(backend, jonas.accountId, "broken");
    expect(one("doubt").dataset.kind).toBe("keysInDoubt");
    expect(all("doubt-anyway")).toHaveLength(0);
    // There is a number to look at, and nothing to compare.
    expect(one("doubt-compare").textContent?.trim()).toBe("Show safety number");
    await press("doubt-compare");
    expect(one("safety").dataset.state).toBe("broken");
    expect(all("safety-compare")).toEqual([]);
    expect(field().value).toBe("for you alone");
  });

  it("name everybody in a group whom it is about, and nobody else", async () => {
    const { backend } = await open("Bird walk on Sundays");
    backend.playSafety(cem.accountId, "ask");
    await write(backend, ada.accountId, "ask");
    expect(one("doubt").textContent).toContain("Ada Okafor and Cem Yıldız");
    expect(all("doubt-compare").map(({ dataset }) => dataset.id)).toEqual([ada.accountId, cem.accountId]);
    await press("doubt-anyway");
    expect(sent(backend, "unverify")).toEqual([[ada.accountId], [cem.accountId]]);
    expect(all("message").at(-1)?.textContent).toContain("for you alone");
  });

  it("stay where they are when the verification cannot be taken back", async () => {
    const { backend } = await open("Ada Okafor", { failing: { unverify: "diskFull" } });
    await write(backend, ada.accountId, "ask");
    await press("doubt-anyway");
    expect(one("doubt-error").dataset.code).toBe("diskFull");
    expect(field().value).toBe("for you alone");
  });

  it("are explained from the banner, too", async () => {
    const { backend } = await open("Ada Okafor");
    backend.playSafety(ada.accountId, "ask");
    await settled();
    await press("banner-action");
    expect(one("doubt").dataset.kind).toBe("verifyAgain");
    expect(one("doubt-anyway").textContent?.trim()).toBe("Go on unverified");
    await press("doubt-anyway");
    expect(sent(backend, "send")).toEqual([]);
    expect(all("banner")).toHaveLength(0);
  });
});

describe("the words", () => {
  const number = { accountId: "a", name: "Ada", address: "", groups: [], payload: "", brokenAt: null };

  it("say how somebody stands", () => {
    expect(standingLine({ ...number, safety: "verified", verifiedAt: 0 })).toMatch(/^Verified on /u);
    expect(standingLine({ ...number, safety: "notVerified", verifiedAt: null })).toBe("Not verified");
    expect(standingLine({ ...number, safety: "ask", verifiedAt: 0 })).toBe("Verify again");
    expect(standingNote({ ...number, safety: "broken", verifiedAt: null })).toContain("Nothing is sent");
    expect(underTitle(conversation("a", { safety: "verified" }))).toBe("Verified");
    expect(underTitle(conversation("a", { safety: "broken" }))).toBe("Keys in doubt");
    expect(underTitle(conversation("a", { kind: "group", people: 3, safety: "verified" }))).toBe("3 people, all verified");
    expect(isUnsure({ safety: "verified", trust: "firstUse" })).toBe(false);
    expect(isUnsure({ safety: "notVerified", trust: "invite" })).toBe(false);
    expect(isUnsure({ safety: "notVerified", trust: "firstUse" })).toBe(true);
    expect(isUnsure({ safety: "ask", trust: "invite" })).toBe(true);
  });

  it("are whole sentences, and no comfort where there is none", () => {
    for (const { short, long } of [...Object.values(safetyWords), ...Object.values(groupSafetyWords)]) {
      expect(short).toMatch(/^[A-Z].*[^.]$/u);
      expect(long).toMatch(/^[A-Z].*\.$/u);
    }
    for (const { text } of Object.values(comparisonWords)) expect(text).toMatch(/^[A-Z].*\.$/u);
    for (const came of ["mismatch", "notForThisConversation"] as const) expect(comparisonWords[came].text).toContain("send nothing that matters".slice(5));
    const doubted = [{ accountId: "a", name: "Ada", safety: "ask" as const }];
    for (const code of ["verifyAgain", "keysInDoubt"] as const) {
      for (const people of [[], doubted, [...doubted, ...doubted]]) {
        const { title, cause, consequence, anyway } = doubtWords(code, people, true);
        expect(title).toMatch(/^[A-Z].*[^.]$/u);
        expect(cause).toMatch(/^[A-Z].*\.$/u);
        expect(consequence).toMatch(/^[A-Z].*\.$/u);
        expect(anyway).toBe(code === "verifyAgain" ? "Send anyway" : null);
      }
    }
  });

  it("say of whoever began anew that they are not let back in until one decides, and of a wrong relay nothing of the kind", () => {
    const people = [{ accountId: "a", name: "Ada", safety: "ask" as const }];
    const asked = "Let them back in? Until you decide, Waxwing does not let their new device into your conversations.";
    for (const hasText of [true, false]) {
      expect(doubtWords("verifyAgain", people, hasText).consequence).toContain(asked);
      expect(doubtWords("keysInDoubt", people, hasText).consequence).not.toContain("Let them back in?");
    }
  });

  it("say in the timeline what has happened", () => {
    expect(noticeLine({ type: "verifyAgain", name: "Ada" })).toContain("Ada began anew");
    expect(noticeLine({ type: "keysInDoubt", name: "Ada" })).toContain("keys of Ada");
    expect(noticeLine({ type: "keysGivenUp", name: "Ada" })).toContain("Keys of Ada that came in a conversation");
  });
});
