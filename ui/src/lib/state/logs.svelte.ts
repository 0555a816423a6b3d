/** Relays' transparency logs, as far as they were asked for or told. */
import { SvelteMap } from "svelte/reactivity";
import type { Backend, LogView } from "../backend";
import { isMerelyUnproved } from "../words/log";

/** Whether something speaks against a log that the user has not settled. */
export function isContradicted(log: LogView): boolean {
  return log.contradictions.some((one) => !one.settled);
}

export class Logs {
  /** The own relay's. */
  home = $state.raw<LogView | null>(null);
  readonly #views = new SvelteMap<string, LogView>();
  /** The relay of whoever a conversation is with, or of an account. */
  readonly #origins = new SvelteMap<string, string>();

  constructor(private readonly backend: Backend) {}

  async load(): Promise<void> {
    const log = await this.backend.transparencyLog();
    this.home = log;
    this.#views.set(log.origin, log);
    // What was found against other people's relays, in whatever conversation: nothing else would tell it after a start.
    for (const other of await this.backend.contradictedLogs()) {
      if (other.origin !== log.origin) this.#views.set(other.origin, other);
    }
  }

  /** The account is closed: nothing of it is shown any more. */
  forget(): void {
    this.home = null;
    this.#views.clear();
    this.#origins.clear();
  }

  async loadPeer(conversation: string): Promise<void> {
    this.#keep(conversation, await this.backend.peerLog(conversation));
  }

  async loadOf(account: string): Promise<void> {
    this.#keep(account, await this.backend.logOf(account));
  }

  #keep(whose: string, log: LogView): void {
    this.#origins.set(whose, log.origin);
    this.#views.set(log.origin, log);
  }

  /** As it was loaded: by conversation or account. */
  ofPeer(whose: string): LogView | null {
    const origin = this.#origins.get(whose);
    return origin === undefined ? null : (this.#views.get(origin) ?? null);
  }

  /** An event told. */
  apply(log: LogView): void {
    this.#views.set(log.origin, log);
    if (this.home === null || this.home.origin === log.origin) this.home = log;
  }

  /** Entries about the own account that no own device has made. */
  get alarmed(): boolean {
    return (this.home?.alarms.length ?? 0) > 0;
  }

  /** Whether one of them changes the own keys. Others give the own name away, which is another matter. */
  get keysChanged(): boolean {
    return this.home?.alarms.some((alarm) => alarm.seq !== null) ?? false;
  }

  /** Whether the log says so. Otherwise it was shown in a conversation alone. */
  get changedInLog(): boolean {
    return this.home?.alarms.some((alarm) => alarm.seq !== null && alarm.index !== null) ?? false;
  }

  /** Whether the own relay's, as far as it was read, says nothing about today's keys. */
  get behind(): boolean {
    return this.home !== null && this.home.stale && this.home.provedAt > 0;
  }

  /** Other relays' logs that have contradicted themselves. */
  get contradictedElsewhere(): LogView[] {
    return [...this.#views.values()].filter((log) => log.contradictions.length > 0 && log.origin !== this.home?.origin);
  }

  /** Whether a relay has contradicted itself, and the user has not gone on with its log. */
  get contradicted(): boolean {
    return [...this.#views.values()].some(isContradicted);
  }

  /** Whether proofs that were not given are all that speaks against any of them. */
  get unproved(): boolean {
    return [...this.#views.values()].filter(isContradicted).every(isMerelyUnproved);
  }
}
