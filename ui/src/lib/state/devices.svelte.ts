/** The account's devices, and another one while it is being linked, as far as they were asked for or told. */
import type { Backend, DeviceOfferView, DevicesView, DeviceView, ErrorCode, ErrorView } from "../backend";

/** How far linking another device has got: there is no code, there is one, a device asks with it, it comes in, or the code links nothing any more. */
export type LinkStage = "off" | "code" | "request" | "adding" | "over";

const ends: ReadonlySet<ErrorCode> = new Set(["linkExpired", "linkOvertaken"]);

export function linkStage(offer: DeviceOfferView | null, now: number): LinkStage {
  if (offer === null) return "off";
  if (offer.problem && ends.has(offer.problem.code)) return "over";
  if (offer.adding) return "adding";
  if (offer.expiresAt <= now) return "over";
  return offer.request ? "request" : "code";
}

/** What stands in the way. A code whose time is over says so, whatever was in its way before. */
export function linkProblem(offer: DeviceOfferView | null, stage: LinkStage): ErrorView | null {
  const told = offer?.problem ?? null;
  if (stage !== "over" || (told && ends.has(told.code))) return told;
  return { code: "linkExpired", detail: "" };
}

/** This one first, then as they came. */
export function inOrder(devices: readonly DeviceView[]): DeviceView[] {
  return [...devices].sort((left, right) => Number(right.this) - Number(left.this) || left.addedAt - right.addedAt);
}

export class Devices {
  view = $state.raw<DevicesView | null>(null);

  constructor(private readonly backend: Backend) {}

  async load(): Promise<void> {
    await this.take(() => this.backend.devices());
  }

  /** As an answer has them, unless an event has told of them meanwhile: all that changes is told, so that is newer. */
  async take(ask: () => Promise<DevicesView>): Promise<void> {
    const shown = this.view;
    const view = await ask();
    if (this.view === shown) this.view = view;
  }

  /** An event told. */
  apply(view: DevicesView): void {
    this.view = view;
  }

  /** The account is closed: nothing of it is shown any more. */
  forget(): void {
    this.view = null;
  }
}
