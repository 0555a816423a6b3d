import { fireEvent } from "@testing-library/svelte";
import { describe, expect, it } from "vitest";
import { fakeInvitation } from "../src/lib/backend/fake";
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

const valueOf = (testid: string) => (one(testid) as HTMLInputElement).value;

/** What the relay was given as invitations, try by try. */
const given = (backend: Awaited<ReturnType<typeof play>>["backend"]) =>
  backend.calls.filter(({ name }) => name === "register").map(({ input }) => input[4]);

describe("a relay that asks for an invitation", () => {
  it("is told by the relay alone: nobody is asked for one before", async () => {
    const { backend } = await named({});
    expect(all("onboarding-invitation")).toHaveLength(0);
    await press("onboarding-create");
    expect(given(backend)).toEqual([null]);
    expect(step()).toBe("phrase");
  });

  it("gets a field where one stands, with its errors beside it, and nothing typed is lost", async () => {
    const { backend } = await named({ registration: "invite", localRelay: null });
    await type("onboarding-relay-address", " relay.example.org");
    await press("onboarding-create");
    expect(step()).toBe("relay");
    expect(one("onboarding-invitation-error").dataset.code).toBe("invitationNeeded");
    expect(all("onboarding-error")).toHaveLength(0);
    expect(one("onboarding-invitation").getAttribute("aria-invalid")).toBe("false");
    expect(one("onboarding").textContent).toContain("Invitation from the operator");

    for (const [typed, code] of [
      ["AAEC", "invalidInvitation"],
      ["BBECAwQFBgcICQoLDA0ODw", "invitationRefused"],
    ] as const) {
      await type("onboarding-invitation", typed);
      expect(all("onboarding-invitation-error")).toHaveLength(0);
      await press("onboarding-create");
      expect(one("onboarding-invitation-error").dataset.code).toBe(code);
      expect(one("onboarding-invitation").getAttribute("aria-invalid")).toBe("true");
      expect(valueOf("onboarding-invitation")).toBe(typed);
      expect(valueOf("onboarding-relay-address").trim()).toBe("relay.example.org");
    }
    await press("onboarding-back");
    expect(valueOf("onboarding-name")).toBe("maya");
    await press("onboarding-next");
    expect(valueOf("onboarding-invitation")).toBe("BBECAwQFBgcICQoLDA0ODw");
    await type("onboarding-invitation", ` ${fakeInvitation}`);
    await press("onboarding-create");
    expect(step()).toBe("phrase");
    expect(given(backend)).toEqual([null, "AAEC", "BBECAwQFBgcICQoLDA0ODw", ` ${fakeInvitation}`]);
  });

  it("is the only one that gets it: another relay gets none before it asks", async () => {
    const { backend } = await named({ registration: "invite", localRelay: null });
    await type("onboarding-relay-address", "relay.example.org");
    await press("onboarding-create");
    await type("onboarding-invitation", "BBECAwQFBgcICQoLDA0ODw");
    await type("onboarding-relay-address", "other.example.org");
    expect(all("onboarding-invitation")).toHaveLength(0);
    await press("onboarding-create");
    expect(given(backend)).toEqual([null, null]);
  });

  it("asks in the passphrase's step, too, and the passphrase stays", async () => {
    const { backend } = await named({ registration: "invite", keychainFault: "keychainAbsent" });
    await press("onboarding-create");
    await press("onboarding-use-passphrase");
    await type("onboarding-passphrase", "rowan berry jelly");
    await type("onboarding-passphrase-again", "rowan berry jelly");
    expect(all("onboarding-invitation")).toHaveLength(0);
    await press("onboarding-create");
    expect(step()).toBe("passphrase");
    expect(one("onboarding-invitation-error").dataset.code).toBe("invitationNeeded");
    await type("onboarding-invitation", fakeInvitation);
    await press("onboarding-create");
    expect(step()).toBe("phrase");
    expect(backend.calls.filter(({ name }) => name === "register").at(-1)?.input.slice(3)).toEqual(["rowan berry jelly", fakeInvitation]);
  });

  it("says when it takes nobody, and asks for nothing then", async () => {
    await named({ registration: "closed" });
    await press("onboarding-create");
    expect(step()).toBe("relay");
    expect(one("onboarding-error").dataset.code).toBe("registrationClosed");
    expect(all("onboarding-invitation")).toHaveLength(0);
  });

  it("asks nobody who has an account", async () => {
    await play({ phase: "firstRun", registration: "invite" });
    await press("onboarding-recover");
    await type("recover-address", "maya@relay.example.org");
    await type("recover-phrase", fakeWords.join(" "));
    expect(all("onboarding-invitation")).toHaveLength(0);
    await press("recover-now");
    expect(one("app").dataset.state).toBe("ready");
  });
});

describe("an account that the operator has disabled", () => {
  it("says whose doing it is, that what is written waits, and what to do", async () => {
    await play({ connection: "offline", offlineReason: "accountDisabled" });
    expect(one("banner").dataset.kind).toBe("relay");
    const said = one("banner").textContent;
    for (const part of ["disabled", "what you write waits", "Ask whoever runs the relay", "Try now"]) expect(said).toContain(part);
  });
});

describe("a relay's certificate that is not valid by this computer's clock", () => {
  const parts = ["By this computer's clock the relay's certificate has expired or is not valid yet", "Check this computer's date and time", "the relay's operator must renew it"];
  const says = (testid: string) => {
    for (const part of parts) expect(one(testid).textContent).toContain(part);
  };

  it("is told of where a relay is chosen, and what was typed stays", async () => {
    const { backend } = await named({ localRelay: null, failing: { checkRelay: "certificateTime" } });
    await type("onboarding-relay-address", "relay.example.org");
    await press("onboarding-create");
    expect(one("onboarding-error").dataset.code).toBe("certificateTime");
    says("onboarding-error");
    expect(valueOf("onboarding-relay-address")).toBe("relay.example.org");
    // The clock is set.
    backend.scenario.failing = {};
    await press("onboarding-create");
    expect(step()).toBe("phrase");
  });

  it("is told of where an account is recovered", async () => {
    await play({ phase: "firstRun", failing: { recover: "certificateTime" } });
    await press("onboarding-recover");
    await type("recover-address", "maya@relay.example.org");
    await type("recover-phrase", fakeWords.join(" "));
    await press("recover-now");
    expect(one("onboarding-error").dataset.code).toBe("certificateTime");
    says("onboarding-error");
    expect(valueOf("recover-phrase")).toBe(fakeWords.join(" "));
  });

  it("is told of above the conversations, where it can be tried again at once", async () => {
    await play({ connection: "offline", offlineReason: "certificateTime" });
    expect(one("banner").dataset.kind).toBe("relay");
    says("banner");
    expect(one("banner-action").textContent).toBe("Try now");
  });
});
