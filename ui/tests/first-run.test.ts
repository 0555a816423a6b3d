import { fireEvent } from "@testing-library/svelte";
import { describe, expect, it } from "vitest";
import { fakeWords } from "../src/lib/backend/fake-data";
import type { Scenario } from "../src/lib/backend/fake";
import { all, one, play, settled } from "./play";

async function type(testid: string, value: string) {
  await fireEvent.input(one(testid), { target: { value } });
}

async function press(testid: string) {
  await fireEvent.click(one(testid));
  await settled();
}

async function named(scenario: Partial<Scenario>, name = "maya") {
  const played = await play({ phase: "firstRun", ...scenario });
  await type("onboarding-name", name);
  await press("onboarding-next");
  return played;
}

const step = () => one("onboarding").dataset.step;

describe("first run", () => {
  it("goes from a name to an account with a confirmed phrase", async () => {
    const { backend } = await named({});
    expect(step()).toBe("relay");
    await press("onboarding-create");
    expect(backend.calls.find(({ name }) => name === "register")?.input).toEqual(["maya", "maya", "127.0.0.1:41873", null, null]);
    expect(step()).toBe("phrase");
    expect([...one("phrase-words").children].map(({ textContent }) => textContent)).toEqual(fakeWords);
    await press("phrase-continue");
    expect(step()).toBe("confirm");
    await type("phrase-word-first", "wrong");
    await type("phrase-word-second", "words");
    await press("phrase-confirm");
    expect(one("phrase-error").dataset.code).toBe("wrongWords");
    await type("phrase-word-first", "Maple ");
    await type("phrase-word-second", "island");
    await press("phrase-confirm");
    expect(one("app").dataset.state).toBe("ready");
    expect(all("banner")).toHaveLength(0);
    expect(one("empty-card")).toBeTruthy();
  });

  it("leaves a standing reminder when the phrase is put off, which opens it again", async () => {
    await named({});
    await press("onboarding-create");
    await press("phrase-later");
    expect(one("app").dataset.state).toBe("ready");
    expect(one("banner").dataset.kind).toBe("phrase");
    await press("banner-action");
    expect(one("phrase-words").children).toHaveLength(24);
  });

  it("goes back to the name when it is taken, and keeps the rest", async () => {
    await named({}, "taken");
    await press("onboarding-create");
    expect(step()).toBe("name");
    expect(one("onboarding-error").dataset.code).toBe("nameTaken");
    expect((one("onboarding-name") as HTMLInputElement).value).toBe("taken");
  });

  it("refuses a name that breaks the rules before asking anybody", async () => {
    const { backend } = await named({}, "no spaces!");
    expect(step()).toBe("name");
    expect(one("onboarding-error").dataset.code).toBe("invalidName");
    expect(backend.calls.some(({ name }) => name === "register")).toBe(false);
  });

  it("says when the relay cannot be reached, and keeps its address", async () => {
    await named({ localRelay: null });
    expect(all("onboarding-relay-local")).toHaveLength(0);
    await type("onboarding-relay-address", "down.example.org");
    await press("onboarding-create");
    expect(one("onboarding-error").dataset.code).toBe("relayDown");
    expect((one("onboarding-relay-address") as HTMLInputElement).value).toBe("down.example.org");
  });

  it("offers a passphrase where there is no keychain, and only if the user wants it", async () => {
    const { backend } = await named({ keychainFault: "keychainAbsent" });
    await press("onboarding-create");
    expect(one("onboarding-error").dataset.code).toBe("keychainAbsent");
    await press("onboarding-use-passphrase");
    await type("onboarding-passphrase", "rowan berry jelly");
    expect((one("onboarding-create") as HTMLButtonElement).disabled).toBe(true);
    await type("onboarding-passphrase-again", "rowan berry jelly");
    await press("onboarding-create");
    expect(step()).toBe("phrase");
    expect(backend.calls.filter(({ name }) => name === "register").map(({ input }) => input[3])).toEqual([null, "rowan berry jelly"]);
  });

  it("offers both ways on where the keychain is locked: again, or a passphrase", async () => {
    const { backend } = await named({ keychainFault: "keychainLocked" });
    await press("onboarding-create");
    expect(one("onboarding-error").dataset.code).toBe("keychainLocked");
    await press("onboarding-use-passphrase");
    expect(step()).toBe("passphrase");
    expect(one("onboarding").textContent).not.toContain("no keychain");
    await press("onboarding-back");
    await press("onboarding-create");
    backend.scenario.keychainFault = null;
    await press("onboarding-try-again");
    expect(step()).toBe("phrase");
    expect(backend.calls.filter(({ name }) => name === "register").map(({ input }) => input[3])).toEqual([null, null, null]);
  });

  it("says what the phrase is for, and that without it and a device the account is lost", async () => {
    await named({});
    await press("onboarding-create");
    expect(one("onboarding").textContent).toContain("on another computer");
    expect(one("onboarding").textContent.replace(/\s+/gu, " ")).toContain("has lost the account");
  });
});
