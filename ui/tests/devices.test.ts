import { fireEvent } from "@testing-library/svelte";
import axe from "axe-core";
import { describe, expect, it } from "vitest";
import { fakeDeviceCode, fakeRequest } from "../src/lib/backend/fake-device-calls";
import type { DeviceOfferView } from "../src/lib/backend";
import type { FakeBackend, Scenario } from "../src/lib/backend/fake";
import { inOrder, linkProblem, linkStage } from "../src/lib/state/devices.svelte";
import { validWords } from "../src/lib/words/devices";
import { noon } from "./make";
import { all, one, play, settled } from "./play";

async function press(testid: string, of: ParentNode = document) {
  const button = of.querySelector<HTMLElement>(`[data-testid="${testid}"]`);
  if (!button) throw new Error(`no ${testid}`);
  button.focus();
  await fireEvent.click(button);
  await settled();
}

async function type(testid: string, value: string) {
  await fireEvent.input(one(testid), { target: { value } });
}

const valueOf = (testid: string) => (one(testid) as HTMLInputElement).value;
const text = (testid: string) => one(testid).textContent.replace(/\s+/gu, " ").trim();
const inputs = (backend: FakeBackend, call: string) => backend.calls.filter(({ name }) => name === call).map(({ input }) => input);
const faults = async (testid: string) => (await axe.run(one(testid), { rules: { "color-contrast": { enabled: false } } })).violations;

async function playDevices(scenario: Partial<Scenario> = {}) {
  const played = await play(scenario);
  played.app.openSettings("devices");
  await settled();
  return played;
}

const offer: DeviceOfferView = { code: "code", expiresAt: noon + 600_000, request: null, adding: false, problem: null };

describe("the account's devices", () => {
  it("are listed, this one first, and only the others can be removed", async () => {
    const { backend } = await playDevices();
    expect(one("devices").dataset).toMatchObject({ state: "loaded", count: "2" });
    const [mine, other] = all("device");
    expect(mine?.dataset.this).toBe("true");
    expect(mine?.textContent).toContain("This device");
    expect(mine?.textContent).toContain("0a1b 2c3d");
    expect(mine?.querySelector('[data-testid="device-remove"]')).toBeNull();
    expect(other?.dataset.this).toBe("false");
    expect(other?.textContent).not.toContain("This device");
    expect(other?.textContent.replace(/\s+/gu, " ")).toContain("Keys: version 2, in force for 12 days");
    expect(all("device-fingerprint").map(({ textContent }) => textContent)).toEqual(
      inOrder(backend.account.devices).map(({ fingerprint }) => fingerprint),
    );
    expect(await faults("settings")).toEqual([]);
  });

  it("are shown as they change", async () => {
    const { backend } = await playDevices();
    backend.setDevices({ ...backend.account, devices: backend.account.devices.filter((device) => device.this) });
    await settled();
    expect(all("device")).toHaveLength(1);
  });

  it("say why where they cannot be read", async () => {
    await playDevices({ failing: { devices: "stopped" } });
    expect(one("devices").dataset.state).toBe("loading");
    expect(one("devices-error").dataset.code).toBe("stopped");
  });

  it("lose one only after a question that says what follows", async () => {
    const { app, backend } = await playDevices();
    const other = () => all("device")[1] as HTMLElement;
    const id = other().dataset.id;
    await press("device-remove", other());
    expect(other().dataset.state).toBe("asking");
    expect(document.activeElement).toBe(one("device-remove-no"));
    const said = other().textContent.replace(/\s+/gu, " ");
    for (const part of ["read and send nothing new", "account key is replaced", "already has stay there"]) expect(said).toContain(part);
    expect(await faults("settings")).toEqual([]);
    await press("device-remove-no");
    expect(other().dataset.state).toBe("idle");
    expect(inputs(backend, "revokeDevice")).toEqual([]);
    expect(document.activeElement).toBe(one("device-remove"));

    await press("device-remove", other());
    await press("device-remove-yes");
    expect(inputs(backend, "revokeDevice")).toEqual([[id]]);
    expect(all("device")).toHaveLength(1);
    expect(text("devices-done")).toContain("The device is removed");
    expect(app.devices.view?.devices).toHaveLength(1);
  });

  it("keep the one whose removal fails, and say why in the question", async () => {
    const { backend } = await playDevices({ failing: { revokeDevice: "relayDown" } });
    await press("device-remove");
    await press("device-remove-yes");
    expect(one("device-remove-error").dataset.code).toBe("relayDown");
    expect(all("device")).toHaveLength(2);
    backend.scenario.failing = {};
    await press("device-remove-yes");
    expect(all("device")).toHaveLength(1);
  });
});

describe("linking another device", () => {
  it("shows the code with its steps, and takes it back", async () => {
    const { backend } = await playDevices();
    expect(one("device-link").dataset.state).toBe("off");
    expect(text("device-link")).toContain("What was said before is not copied");
    await press("device-link-make");
    expect(one("device-link").dataset.state).toBe("code");
    expect(valueOf("device-link-code")).toBe(fakeDeviceCode);
    expect(inputs(backend, "deviceLinkQr")).toEqual([[fakeDeviceCode]]);
    expect(one("device-link-qr")).toBeTruthy();
    expect(text("device-link")).toContain("choose 'Link to an account you have' and paste this code");
    expect(text("device-link-valid")).toMatch(/^Valid for (9|10) more minutes\./u);
    expect(await faults("settings")).toEqual([]);
    await press("device-link-copy");
    expect(backend.copied).toEqual([fakeDeviceCode]);
    await press("device-link-off");
    expect(one("device-link").dataset.state).toBe("off");
    expect(backend.account.offer).toBeNull();
  });

  it("shows whom the code has brought, and links it once the digits are confirmed", async () => {
    const { backend } = await playDevices();
    await press("device-link-make");
    backend.askToBeLinked();
    await settled();
    expect(one("device-link").dataset.state).toBe("request");
    expect(text("device-link-stage")).toContain("A device asks to be linked");
    expect(text("device-request-fingerprint")).toBe(fakeRequest.fingerprint);
    // The code is used, and is not shown any more.
    expect(all("device-link-code")).toHaveLength(0);
    expect(document.activeElement).not.toBe(one("device-request-yes"));
    expect(await faults("settings")).toEqual([]);

    const comeIn = backend.comeIn.bind(backend);
    backend.comeIn = () => undefined;
    await press("device-request-yes");
    expect(inputs(backend, "acceptDevice")).toEqual([[fakeRequest.deviceId]]);
    expect(one("device-link").dataset.state).toBe("adding");
    expect(text("device-link-stage")).toContain("Linking");
    expect(all("device-request-yes")).toHaveLength(0);
    // What stands in the way is said, and it goes on.
    const { offer } = backend.account;
    if (!offer) throw new Error("no offer");
    backend.setDevices({ ...backend.account, offer: { ...offer, problem: { code: "relayDown", detail: "" } } });
    await settled();
    expect(one("device-link-problem").dataset.code).toBe("relayDown");
    expect(one("device-link").dataset.state).toBe("adding");

    comeIn(fakeRequest.deviceId);
    await settled();
    expect(one("device-link").dataset.state).toBe("off");
    expect(one("device-link-stage").dataset.state).toBe("linked");
    expect(all("device").map(({ dataset }) => dataset.id)).toContain(fakeRequest.deviceId);
  });

  it("refuses a device whose digits differ", async () => {
    const { backend } = await playDevices();
    await press("device-link-make");
    backend.askToBeLinked();
    await settled();
    await press("device-request-no");
    expect(inputs(backend, "withdrawDeviceLink")).toHaveLength(1);
    expect(inputs(backend, "acceptDevice")).toEqual([]);
    expect(one("device-link-stage").dataset.state).toBe("off");
    expect(all("device")).toHaveLength(2);
  });

  it("says when there is no room, and when the code or the keys are no longer those", async () => {
    const { backend } = await playDevices({ failing: { offerDeviceLink: "tooManyDevices" } });
    await press("device-link-make");
    expect(one("device-link-error").dataset.code).toBe("tooManyDevices");
    backend.scenario.failing = {};
    await press("device-link-make");
    const { offer } = backend.account;
    if (!offer) throw new Error("no offer");
    backend.setDevices({ ...backend.account, offer: { ...offer, request: fakeRequest, problem: { code: "linkOvertaken", detail: "" } } });
    await settled();
    expect(one("device-link").dataset.state).toBe("over");
    expect(one("device-link-problem").dataset.code).toBe("linkOvertaken");
    await press("device-link-new");
    expect(one("device-link").dataset.state).toBe("code");
    backend.setDevices({ ...backend.account, offer: { ...offer, expiresAt: 0 } });
    await settled();
    expect(one("device-link-problem").dataset.code).toBe("linkExpired");
  });

  it("is told of above the conversations, too, and leads there", async () => {
    const { app, backend } = await playDevices();
    await press("device-link-make");
    app.dialog = null;
    await settled();
    backend.askToBeLinked();
    await settled();
    expect(one("banner").dataset.kind).toBe("device");
    await press("banner-action");
    expect(one("device-request").dataset.id).toBe(fakeRequest.deviceId);
  });

  it("goes by what the engine says, and by the time", () => {
    expect(linkStage(null, noon)).toBe("off");
    expect(linkStage(offer, noon)).toBe("code");
    expect(linkStage(offer, offer.expiresAt)).toBe("over");
    // Nobody can be linked by it any more, whether somebody asks or not.
    expect(linkStage({ ...offer, request: fakeRequest }, noon)).toBe("request");
    expect(linkStage({ ...offer, request: fakeRequest }, offer.expiresAt)).toBe("over");
    expect(linkStage({ ...offer, request: fakeRequest, adding: true }, offer.expiresAt)).toBe("adding");
    expect(linkStage({ ...offer, adding: true, problem: { code: "relayDown", detail: "" } }, noon)).toBe("adding");
    expect(linkStage({ ...offer, adding: true, problem: { code: "linkOvertaken", detail: "" } }, noon)).toBe("over");
    const away = { ...offer, problem: { code: "relayDown", detail: "" } } as const;
    expect(linkProblem(away, "code")?.code).toBe("relayDown");
    expect(linkProblem(away, "over")?.code).toBe("linkExpired");
    expect(validWords(offer.expiresAt, noon)).toBe("Valid for 10 more minutes.");
    expect(validWords(noon + 61_000, noon)).toBe("Valid for 1 more minute.");
    expect(validWords(noon + 5_000, noon)).toBe("Valid for less than a minute.");
  });
});

describe("a new device", () => {
  const step = () => one("onboarding").dataset.step;

  async function asks(scenario: Partial<Scenario> = {}, code = ` ${fakeDeviceCode}\n`) {
    const played = await play({ phase: "firstRun", ...scenario });
    await press("onboarding-link");
    expect(step()).toBe("link");
    expect(document.activeElement).toBe(one("linking-code"));
    await type("linking-code", code);
    await press("linking-now");
    return played;
  }

  it("is linked once the other device has confirmed", async () => {
    const { app, backend } = await asks();
    expect(inputs(backend, "beginLink")).toEqual([[` ${fakeDeviceCode}\n`, null]]);
    expect(step()).toBe("linkWait");
    expect(text("linking-account")).toBe("maya@post.example.org");
    expect(text("linking-fingerprint")).toBe(fakeRequest.fingerprint);
    for (const part of ["Confirm on your other device", "Compare these digits first", "What was said before is not copied"]) {
      expect(text("onboarding")).toContain(part);
    }
    expect(document.activeElement?.textContent).toBe("Confirm on your other device");
    expect(await faults("onboarding")).toEqual([]);
    backend.confirmLink();
    await settled();
    expect(one("app").dataset.state).toBe("ready");
    expect(app.profile?.address).toBe("maya@post.example.org");
    // The words are with the account's first device, or on paper.
    expect(all("banner")).toHaveLength(0);
  });

  it("is told when what was pasted is no such code, and it stays to be mended", async () => {
    await asks({}, "https://post.example.org/i#nothing");
    expect(step()).toBe("link");
    expect(one("onboarding-error").dataset.code).toBe("notADeviceCode");
    expect(valueOf("linking-code")).toBe("https://post.example.org/i#nothing");
    expect(one("linking-code").getAttribute("aria-invalid")).toBe("true");
    expect(await faults("onboarding")).toEqual([]);
    await type("linking-code", fakeDeviceCode);
    expect(all("onboarding-error")).toHaveLength(0);
    await press("linking-now");
    expect(step()).toBe("linkWait");
  });

  it("is told when nobody has confirmed, and asks again with another code", async () => {
    const { backend } = await asks();
    backend.failLink("linkExpired");
    await settled();
    expect(step()).toBe("link");
    expect(one("onboarding-error").dataset.code).toBe("linkExpired");
    await press("linking-now");
    expect(step()).toBe("linkWait");
    backend.confirmLink();
    await settled();
    expect(one("app").dataset.state).toBe("ready");
  });

  it("gives up, and can make an account or begin again", async () => {
    const { backend } = await asks();
    await press("linking-cancel");
    expect(inputs(backend, "cancelLink")).toHaveLength(1);
    expect(step()).toBe("link");
    expect(all("onboarding-error")).toHaveLength(0);
    await press("linking-now");
    expect(step()).toBe("linkWait");
    await press("linking-cancel");
    await press("onboarding-back");
    expect(step()).toBe("name");
  });

  it("chooses a passphrase where there is no keychain", async () => {
    const { backend } = await asks({ keychainFault: "keychainAbsent" });
    expect(one("onboarding-error").dataset.code).toBe("keychainAbsent");
    await press("onboarding-use-passphrase");
    expect(step()).toBe("linkPassphrase");
    await type("onboarding-passphrase", "rowan berry jelly");
    await type("onboarding-passphrase-again", "rowan berry jelly");
    expect(text("onboarding-create")).toBe("Link this computer");
    await press("onboarding-create");
    expect(step()).toBe("linkWait");
    expect(inputs(backend, "beginLink").map(([, passphrase]) => passphrase)).toEqual([null, "rowan berry jelly"]);
  });
});
