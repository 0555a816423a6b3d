/** Whose safety number was compared in the fake backend, and what each number is. Only lists; `fake-engine.ts` tells of changes. */
import { BackendError } from "./backend";
import { ada, xiaolong } from "./fake-groups";
import type { GroupView, Safety, SafetyComparison, SafetyNumberView } from "./types";

const scheme = "waxwing-safety:";
const day = 86_400_000;

/** Digits that depend on the account and on how often its keys were changed, and look like nothing. */
function groupsOf(account: string, turn: number): string[] {
  let state = [...`${account}${turn}`].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 2_147_483_647, 7);
  return Array.from({ length: 12 }, () => {
    state = (state * 48_271) % 2_147_483_647;
    return String(state % 100_000).padStart(5, "0");
  });
}

export class FakeSafety {
  readonly #known = new Map<string, Safety>([[ada.accountId, "verified"]]);
  readonly #since = new Map<string, number>();
  readonly #turns = new Map<string, number>();

  constructor(now: number) {
    this.#since.set(ada.accountId, now - 20 * day);
  }

  of(account: string): Safety {
    return this.#known.get(account) ?? "notVerified";
  }

  set(account: string, safety: Safety): void {
    this.#known.set(account, safety);
    if (safety === "verified") this.#since.set(account, Date.now());
  }

  /** Their keys change, and the number with them. */
  turn(account: string): void {
    this.#turns.set(account, (this.#turns.get(account) ?? 0) + 1);
  }

  groups(account: string): string[] {
    return groupsOf(account, this.#turns.get(account) ?? 0);
  }

  /** What this app shows as a QR code, and what theirs does. */
  payload(account: string, whose: "own" | "theirs"): string {
    return `${scheme}${whose}${this.groups(account).join("")}`;
  }

  view(account: string, name: string, address: string): SafetyNumberView {
    const safety = this.of(account);
    return {
      accountId: account,
      name,
      address,
      groups: this.groups(account),
      payload: this.payload(account, "own"),
      safety,
      verifiedAt: safety === "notVerified" ? null : (this.#since.get(account) ?? null),
      brokenAt: safety === "broken" ? Date.now() - day : null,
    };
  }

  compare(account: string, shown: string): SafetyComparison {
    const text = shown.replace(/\s/gu, "");
    if (text.startsWith(scheme)) {
      if (text === this.payload(account, "theirs")) return "match";
      if (text === this.payload(account, "own") || text === this.payload(xiaolong.accountId, "theirs")) return "notForThisConversation";
      return text.length === this.payload(account, "theirs").length ? "mismatch" : "damaged";
    }
    if (!/^\d{60}$/u.test(text)) return "damaged";
    return text === this.groups(account).join("") ? "match" : "mismatch";
  }

  verify(account: string, digits: string): void {
    if (this.of(account) === "broken") throw new BackendError({ code: "keysInDoubt", detail: "fake doubt" });
    if (digits !== this.groups(account).join("")) throw new BackendError({ code: "safetyNumberDiffers", detail: "fake change" });
    this.set(account, "verified");
  }

  /** All the people of a group but oneself: the worst that there is. */
  ofGroup(group: GroupView): Safety {
    const all = group.members.filter(({ me }) => !me).map(({ accountId }) => this.of(accountId));
    for (const worst of ["broken", "ask"] as const) if (all.includes(worst)) return worst;
    return all.length > 0 && all.every((one) => one === "verified") ? "verified" : "notVerified";
  }
}
