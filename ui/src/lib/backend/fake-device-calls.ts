/** The fake backend's calls about the account's devices, on the one that links another and on the one that is linked. */
import { fakeProfile, fakeQr } from "./fake-data";
import { fault } from "./fake-engine";
import { FakeKeyCalls } from "./fake-key-calls";
import { withAccountKey } from "./fake-keys";
import type { DeviceRequestView, DevicesView, DeviceView, ErrorCode, ProfileView } from "./types";

const minute = 60_000;
const day = 24 * 60 * minute;

/** The code that the fake backend shows, and the one that it takes. */
export const fakeDeviceCode = "waxwing-link-AQEScG9zdC5leGFtcGxlLm9yZ8QgV3h3aW5nLWRldmljZS1kZW1vLWNvZGUtbm90LXJlYWw5f3d7aXJ2c3F1c3R1";

/** What asks to be linked. */
export const fakeRequest: DeviceRequestView = {
  deviceId: "c4d5e6f708192a3b4c5d6e7f8091a2b3",
  fingerprint: "51d0 6ea7 f92c 38b4 0c1e 97da 45f3 820b",
};

const other: Omit<DeviceView, "addedAt" | "keysSince"> = {
  deviceId: "77e1f20a3b4c5d6e8f90a1b2c3d4e5f6",
  this: false,
  version: 2,
  fingerprint: "ab19 44e0 7c5f d21b 938a 06fe 5b72 c1d9",
};

/** Over the calls about keys for no other reason than that a class has one base. */
export class FakeDeviceCalls extends FakeKeyCalls {
  /** The account's devices, for tests to change. */
  account: DevicesView = {
    devices: [
      { ...other, addedAt: this.engine.scenario.now - 40 * day, keysSince: this.engine.scenario.now - 12 * day },
      {
        deviceId: fakeProfile.deviceId,
        this: true,
        addedAt: this.engine.scenario.now - 67 * day,
        version: this.engine.keys.version,
        keysSince: this.engine.keys.since,
        fingerprint: this.engine.keys.fingerprint,
      },
    ],
    offer: null,
  };
  /** Ends the wait of a device that is being linked. */
  #linked: ((profile: ProfileView | null) => void) | null = null;
  #failed: ((error: Error) => void) | null = null;
  #passphrase = false;

  devices = () => this.engine.answer("devices", [], () => structuredClone(this.account));

  offerDeviceLink = () =>
    this.engine.answer("offerDeviceLink", [], () => {
      const { latency } = this.engine.scenario;
      if (latency > 0) setTimeout(() => this.askToBeLinked(), latency * 40);
      return this.setDevices({
        ...this.account,
        offer: { code: fakeDeviceCode, expiresAt: Date.now() + 10 * minute, request: null, adding: false, problem: null },
      });
    });

  deviceLinkQr = (code: string) => this.engine.answer("deviceLinkQr", [code], () => ({ size: 49, modules: fakeQr(49) }));

  withdrawDeviceLink = () => this.engine.answer("withdrawDeviceLink", [], () => this.setDevices({ ...this.account, offer: null }));

  acceptDevice = (device: string) =>
    this.engine.answer("acceptDevice", [device], () => {
      const { offer } = this.account;
      if (offer?.request?.deviceId !== device) throw fault("notFound", device);
      setTimeout(() => this.comeIn(device), this.engine.scenario.latency * 6);
      return this.setDevices({ ...this.account, offer: { ...offer, adding: true } });
    });

  revokeDevice = (device: string) =>
    this.engine.answer("revokeDevice", [device], () => {
      this.engine.keys = withAccountKey(this.engine.keys, this.engine.conversations, false, Date.now());
      this.engine.emit({ type: "keys", keys: structuredClone(this.engine.keys) });
      return this.setDevices({ ...this.account, devices: this.account.devices.filter(({ deviceId }) => deviceId !== device) });
    });

  beginLink = (code: string, passphrase: string | null) =>
    this.engine.answer("beginLink", [code, passphrase], () => {
      if (code.trim() !== fakeDeviceCode) throw fault("notADeviceCode");
      const { keychainFault, latency } = this.engine.scenario;
      if (keychainFault && passphrase === null) throw fault(keychainFault, "fake keychain");
      this.#passphrase = passphrase !== null;
      if (latency > 0) setTimeout(() => this.confirmLink(), latency * 40);
      return { address: fakeProfile.address, fingerprint: fakeRequest.fingerprint };
    });

  finishLink = async (): Promise<ProfileView | null> => {
    await this.engine.answer("finishLink", [], () => undefined);
    return new Promise<ProfileView | null>((linked, failed) => {
      this.#linked = linked;
      this.#failed = failed;
    });
  };

  cancelLink = () => this.engine.answer("cancelLink", [], () => this.#linked?.(null));

  /** Plays that a device asks with the code. */
  askToBeLinked(): void {
    const { offer } = this.account;
    if (offer) this.setDevices({ ...this.account, offer: { ...offer, request: fakeRequest } });
  }

  /** Plays that the device that asks has come into the account. */
  comeIn(deviceId: string): void {
    const now = Date.now();
    const added = { ...fakeRequest, deviceId, this: false, addedAt: now, version: 1, keysSince: now };
    this.setDevices({ devices: [...this.account.devices, added], offer: null });
  }

  /** Plays that another device of the account confirms this one. */
  confirmLink(): void {
    if (!this.#linked) return;
    this.engine.profile = { ...fakeProfile, phraseConfirmed: true, keystore: this.#passphrase ? "passphrase" : "keychain" };
    this.engine.conversations = [];
    this.engine.messages = [];
    this.engine.phase = "ready";
    this.engine.tellState(this.engine.state());
    this.#linked(this.engine.profile);
  }

  /** Plays that none does. */
  failLink(code: ErrorCode): void {
    this.#failed?.(fault(code));
  }

  /** The devices are these from now on, and the window is told. */
  setDevices(devices: DevicesView): DevicesView {
    this.account = devices;
    this.engine.emit({ type: "devices", devices: structuredClone(devices) });
    return structuredClone(devices);
  }
}
