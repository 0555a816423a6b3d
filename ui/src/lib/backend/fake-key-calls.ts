/** The fake backend's calls about keys and the logs of them. */
import { fakeInvitation, fakeLog } from "./fake-data";
import { fault } from "./fake-engine";
import { FakeGroupCalls } from "./fake-group-calls";
import { checkedPhrase, fakeHistory, fakeKeyLog, gotOn, judgePhrase, recovered, rotated, withAccountKey, withSchedule } from "./fake-keys";
import type { KeyHistoryItem, KeysView, LogView, RotationSchedule } from "./types";

/** Over the calls about groups for no other reason than that a class has one base. */
export class FakeKeyCalls extends FakeGroupCalls {
  /** The relay's transparency log, for tests to change. */
  log: LogView = fakeLog(this.engine.scenario.now);
  /** Those of other relays, likewise. */
  otherLogs: LogView[] = [];
  /** What has happened to the keys of everybody else, likewise. */
  peerHistory: KeyHistoryItem[] = fakeHistory(this.engine.scenario.now);

  keys = () => this.engine.answer("keys", [], () => structuredClone(this.engine.keys));

  transparencyLog = () => this.engine.answer("transparencyLog", [], () => structuredClone(this.log));

  logOf = (account: string) => this.engine.answer("logOf", [account], () => structuredClone(this.log));

  contradictedLogs = () =>
    this.engine.answer("contradictedLogs", [], () =>
      structuredClone([this.log, ...this.otherLogs].filter((log) => log.contradictions.length > 0)),
    );

  peerLog = (conversation: string) => this.engine.answer("peerLog", [conversation], () => structuredClone(this.log));

  registerAgain = (invitation: string) =>
    this.engine.answer("registerAgain", [invitation], () => {
      if (this.log.restoredProblem?.code === "invitationNeeded" && invitation.trim() !== fakeInvitation) throw fault("invitationRefused");
      this.log = { ...this.log, restoredProblem: null };
      this.engine.emit({ type: "log", log: this.log });
      return structuredClone(this.log);
    });

  settleLog = (origin: string) =>
    this.engine.answer("settleLog", [origin], () => {
      const contradictions = this.log.contradictions.map((one) => ({ ...one, settled: true }));
      this.log = { ...this.log, origin, contradictions };
      this.engine.emit({ type: "log", log: this.log });
      return structuredClone(this.log);
    });

  replaceAccountKey = () =>
    this.engine.answer("replaceAccountKey", [], () =>
      this.#spreads(withAccountKey(this.engine.keys, this.engine.conversations, false, Date.now())),
    );

  shutOthersOut = () =>
    this.engine.answer("shutOthersOut", [], () => {
      const keys = withAccountKey(this.engine.keys, this.engine.conversations, true, Date.now());
      return this.#spreads(rotated(keys, this.engine.conversations, Date.now()));
    });

  recoverHere = (phrase: string) =>
    this.engine.answer("recoverHere", [phrase], () => {
      judgePhrase(phrase);
      this.log = { ...this.log, alarms: [] };
      this.engine.emit({ type: "log", log: this.log });
      return structuredClone(this.#setKeys(recovered(this.engine.keys, Date.now())));
    });

  rotateKeys = () =>
    this.engine.answer("rotateKeys", [], () => this.#spreads(rotated(this.engine.keys, this.engine.conversations, Date.now())));

  setRotationSchedule = (schedule: RotationSchedule) =>
    this.engine.answer("setRotationSchedule", [schedule], () => structuredClone(this.#setKeys(withSchedule(this.engine.keys, schedule))));

  keyHistory = (account: string) =>
    this.engine.answer("keyHistory", [account], () =>
      account === this.engine.profile.accountId ? this.engine.keys.history : structuredClone(this.peerHistory),
    );

  exportKeyLog = () => this.engine.answer("exportKeyLog", [], () => fakeKeyLog(this.engine.keys));

  // The words are kept nowhere, not even among the calls.
  checkPhrase = (words: string) => this.engine.answer("checkPhrase", [], () => checkedPhrase(words));

  /** These keys; one conversation after the other learns of them. */
  #spreads(keys: KeysView): KeysView {
    this.#setKeys(keys);
    const turns = Math.max(keys.outcome?.waiting.length ?? 0, keys.accountOutcome?.waiting.length ?? 0);
    for (let turn = 1; turn <= turns; turn += 1) {
      setTimeout(() => this.#setKeys(gotOn(this.engine.keys)), this.engine.scenario.latency * 2 * turn);
    }
    return structuredClone(this.engine.keys);
  }

  #setKeys(keys: KeysView): KeysView {
    this.engine.keys = keys;
    this.engine.emit({ type: "keys", keys: structuredClone(keys) });
    return keys;
  }
}
