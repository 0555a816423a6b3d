/** What the fake backend plays. */
import type { Backend } from "./backend";
import type { AppState, Connection, ErrorCode } from "./types";

export interface Scenario {
  phase: AppState["type"];
  problem: ErrorCode;
  connection: Connection["type"];
  offlineReason: ErrorCode;
  localRelay: string | null;
  /** Who may make an account on the relay that is chosen. */
  registration: "open" | "invite" | "closed";
  /** Why the keychain cannot be used, if so. */
  keychainFault: ErrorCode | null;
  phraseConfirmed: boolean;
  empty: boolean;
  /** Whether there are more contacts than a group holds. */
  many: boolean;
  /** How long each answer takes. */
  latency: number;
  /** Calls that fail, by name. */
  failing: Partial<Record<keyof Backend, ErrorCode>>;
  now: number;
}

export const plainScenario: Scenario = {
  phase: "ready",
  problem: "keychainLocked",
  connection: "online",
  offlineReason: "relayDown",
  localRelay: "127.0.0.1:41873",
  registration: "open",
  keychainFault: null,
  phraseConfirmed: true,
  empty: false,
  many: false,
  latency: 0,
  failing: {},
  now: Date.now(),
};

export function scenarioFrom(query: URLSearchParams): Scenario {
  const problem = query.get("problem");
  return {
    ...plainScenario,
    phase: problem === null ? ((query.get("phase") ?? "ready") as AppState["type"]) : "problem",
    problem: (problem ?? "keychainLocked") as ErrorCode,
    connection: (query.get("connection") ?? "online") as Connection["type"],
    offlineReason: (query.get("reason") ?? "relayDown") as ErrorCode,
    localRelay: query.has("noLocalRelay") ? null : plainScenario.localRelay,
    registration: (query.get("registration") ?? "open") as Scenario["registration"],
    keychainFault: query.get("keychain") as ErrorCode | null,
    phraseConfirmed: !query.has("phraseOpen"),
    empty: query.has("empty"),
    many: query.has("many"),
    latency: Number(query.get("latency") ?? 180),
    failing: query.has("rotateFails") ? { rotateKeys: "relayDown" } : {},
    now: Date.now(),
  };
}
