/** The keys of the fake backend: a history in which everything has happened, and rotations that take their time. */
import { BackendError } from "./backend";
import { fakeProfile, fakeWords } from "./fake-data";
import type { ConversationView, KeyHistoryItem, KeysView, PhraseCheck, RotationOutcomeView, RotationSchedule } from "./types";

const day = 86_400_000;
const days: Record<RotationSchedule, number> = { days7: 7, days30: 30, days90: 90, manual: 0 };
const prints = ["9f2c 41ab 77d0 e3c5 1b86 f40a 92ce 6d13", "30d8 be71 054f 9ac2 e6b7 18fd 4c90 a255", "e41b 6f0c 8d2a 7793 05ce b1d4 a86e 3f90"] as const;
const accountPrint = "c07e 5519 ab34 f8d2 60e1 937b 2dca 48f6";
const { deviceId } = fakeProfile;

const nothing = { deviceId: null, version: null, fingerprint: null, accountFingerprint: null, revoked: [], newPhrase: false, logIndex: null, proved: null };

function item(seq: number, parts: Partial<KeyHistoryItem> & Pick<KeyHistoryItem, "what" | "at">): KeyHistoryItem {
  return { ...nothing, seq, hash: seq.toString(16).padStart(64, "5a"), ...parts };
}

export function fakeKeys(now: number): KeysView {
  const since = now - 9 * day;
  return {
    version: 3,
    fingerprint: prints[0],
    since,
    accountFingerprint: accountPrint,
    deviceId,
    schedule: "days30",
    nextRotationAt: since + 30 * day,
    rotating: false,
    rotationProblem: null,
    outcome: { version: 3, at: since, scheduled: true, conversations: 6, updated: 6, waiting: [] },
    accountOutcome: null,
    oldVersionsKept: 1,
    oldKeysLiveDays: 67,
    history: [
      item(2, { what: "rotated", deviceId, version: 3, at: since, fingerprint: prints[0] }),
      item(1, { what: "rotated", deviceId, version: 2, at: now - 38 * day, fingerprint: prints[1] }),
      item(0, { what: "created", deviceId, version: 1, at: now - 67 * day, fingerprint: prints[2], accountFingerprint: accountPrint }),
    ],
    phraseConfirmed: fakeProfile.phraseConfirmed,
  };
}

export function withSchedule(keys: KeysView, schedule: RotationSchedule): KeysView {
  const period = days[schedule];
  return {
    ...keys,
    schedule,
    nextRotationAt: period === 0 ? null : keys.since + period * day,
    oldKeysLiveDays: (period === 0 ? 90 : period) + 37,
  };
}

/** What every conversation waits for that one takes part in. */
function allWait(conversations: readonly ConversationView[]) {
  return conversations
    .filter(({ standing }) => standing === "member")
    .map(({ id, kind, title }) => ({ conversation: id, kind, title, why: "sending" as const, due: null, problem: null }));
}

/** Another account key is in force; the conversations have not learnt of it yet. */
export function withAccountKey(keys: KeysView, conversations: readonly ConversationView[], shutOut: boolean, now: number): KeysView {
  const accountFingerprint = "71be 0a4c e59f 2d83 b6c0 184e f7a2 935d";
  const seq = (keys.history[0]?.seq ?? 0) + 1;
  const waiting = allWait(conversations);
  const accountOutcome = { at: now, shutOut, conversations: waiting.length, updated: 0, waiting };
  const history = [item(seq, { what: "accountKeyRotated", at: now, accountFingerprint }), ...keys.history];
  return { ...keys, accountFingerprint, accountOutcome, history };
}

/** New keys are in force; the conversations have not learnt of them yet. */
export function rotated(keys: KeysView, conversations: readonly ConversationView[], now: number): KeysView {
  const version = keys.version + 1;
  const fingerprint = "5ad3 0c7e b918 f642 83e0 4d7f c25b 916a";
  const waiting = allWait(conversations);
  const outcome: RotationOutcomeView = { version, at: now, scheduled: false, conversations: waiting.length, updated: 0, waiting };
  const next = withSchedule({ ...keys, since: now }, keys.schedule);
  const history = [item((keys.history[0]?.seq ?? -1) + 1, { what: "rotated", deviceId: keys.deviceId, version, at: now, fingerprint }), ...keys.history];
  return { ...next, version, fingerprint, outcome, oldVersionsKept: Math.min(5, keys.oldVersionsKept + 1), history };
}

/** One more conversation knows the new keys, and the new account key. */
export function gotOn(keys: KeysView): KeysView {
  return { ...keys, outcome: oneMore(keys.outcome), accountOutcome: oneMore(keys.accountOutcome) };
}

function oneMore<T extends { updated: number; waiting: unknown[] }>(outcome: T | null): T | null {
  if (!outcome || outcome.waiting.length === 0) return outcome;
  return { ...outcome, updated: outcome.updated + 1, waiting: outcome.waiting.slice(1) };
}

/** Somebody else's, in which each kind of statement occurs. */
export function fakeHistory(now: number): KeyHistoryItem[] {
  const [first, second, third] = ["1".repeat(32), "2".repeat(32), "3".repeat(32)];
  return [
    item(5, { what: "recovered", deviceId: third, version: 1, at: now - 2 * day, fingerprint: prints[0], accountFingerprint: accountPrint, newPhrase: true }),
    item(4, { what: "closed", at: now - 3 * day }),
    item(3, { what: "accountKeyRotated", at: now - 9 * day, accountFingerprint: accountPrint, revoked: [second ?? ""] }),
    item(2, { what: "deviceAdded", deviceId: second, version: 1, at: now - 20 * day, fingerprint: prints[1] }),
    item(1, { what: "rotated", deviceId: first, version: 2, at: now - 38 * day, fingerprint: prints[1] }),
    item(0, { what: "created", deviceId: first, version: 1, at: now - 67 * day, fingerprint: prints[2], accountFingerprint: accountPrint }),
  ];
}

export function fakeKeyLog(keys: KeysView): string {
  const lines = keys.history.map(({ seq, what, hash }) => `${seq}  ${what}  entry ${hash}`).reverse();
  return ["Waxwing key log 1", `Account key: ${keys.accountFingerprint}`, ...lines, "-----BEGIN WAXWING SIGNATURE-----", ""].join("\n");
}

/** As the engine would judge it, but for the checksum: any 24 words that are not the fake's own fail by it. */
export function checkedPhrase(text: string): PhraseCheck {
  const words = text.trim().toLowerCase().split(/\s+/u).filter((word) => word !== "");
  if (words.length !== 24) return { type: "wordCount", words: words.length };
  const unknown = words.findIndex((word) => !/^[a-z]{3,8}$/u.test(word) || word === "waxwing");
  if (unknown !== -1) return { type: "unknownWord", place: unknown + 1 };
  if (words.every((word, place) => word === fakeWords[place])) return { type: "right" };
  return words[0] === fakeWords[0] ? { type: "checksum" } : { type: "otherAccount" };
}

/** What is wrong with a phrase, as the engine tells it when an account is recovered. */
export function judgePhrase(phrase: string): void {
  const words = phrase.trim().split(/\s+/u);
  if (words.length !== 24) throw fault("notAPhrase", `the phrase has ${words.length} words, not 24`);
  const unknown = words.findIndex((word) => word === "waxwing");
  if (unknown >= 0) throw fault("unknownWord", `word ${unknown + 1} is not in the list`);
}

function fault(code: ConstructorParameters<typeof BackendError>[0]["code"], detail: string): BackendError {
  return new BackendError({ code, detail });
}

/** The account was taken back: one device with keys of its first version, and another account key. */
export function recovered(keys: KeysView, now: number): KeysView {
  const accountFingerprint = "8e14 d07b 3c95 a6f2 41bd 7e08 c93a 625f";
  const fingerprint = "27c1 9ea4 50bd f386 e97a 14c8 b06d 53f2";
  const seq = (keys.history[0]?.seq ?? 0) + 1;
  const event = item(seq, { what: "recovered", at: now, version: 1, fingerprint, accountFingerprint });
  return { ...keys, version: 1, fingerprint, since: now, accountFingerprint, outcome: null, accountOutcome: null, history: [event, ...keys.history] };
}
