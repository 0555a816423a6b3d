/**
 * The backend of `npm run dev` and of the unit tests: everything in memory, with delays and errors like the real one's.
 *
 * In the browser the address chooses what it plays, for example `?phase=firstRun`, `?problem=keychainLocked`,
 * `?connection=offline`, `?keychain=keychainAbsent`, `?registration=invite`, `?empty`, `?many` (a hundred contacts).
 */
import type { Backend, StopListening } from "./backend";
import { BackendError } from "./backend";
import { fakeGroupLink, fakeInvite, fakeLog, fakeProfile, fakeQr, fakeWords, fakeWorld, unplaced } from "./fake-data";
import { FakeBlocked } from "./fake-blocked";
import { FakeSafety } from "./fake-safety";
import { ada, changed, checkName, fakeContacts, groupOf, manyContacts, meAs, trustOf } from "./fake-groups";
import {
  checkedPhrase,
  fakeHistory,
  fakeKeyLog,
  fakeKeys,
  gotOn,
  judgePhrase,
  recovered,
  rotated,
  withAccountKey,
  withSchedule,
} from "./fake-keys";
import type {
  AppState,
  Connection,
  ContactView,
  ConversationView,
  EngineEvent,
  ErrorCode,
  ErrorView,
  GroupView,
  KeyHistoryItem,
  KeysView,
  LogView,
  MessagePage,
  MessageView,
  Notice,
  ProfileView,
  Role,
  RotationSchedule,
  Safety,
} from "./types";

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

const version = "0.1.0";

/** The one that the fake relay takes. */
export const fakeInvitation = "AAECAwQFBgcICQoLDA0ODw";

function fault(code: ErrorCode, detail = ""): BackendError {
  return new BackendError({ code, detail });
}

export class FakeBackend implements Backend {
  readonly copied: string[] = [];
  readonly opened: string[] = [];
  readonly calls: { name: string; input: unknown[] }[] = [];
  readonly scenario: Scenario;
  #profile: ProfileView;
  #keys: KeysView;
  /** The relay's transparency log, for tests to change. */
  log: LogView;
  /** Those of other relays, likewise. */
  otherLogs: LogView[] = [];
  /** What has happened to the keys of everybody else, likewise. */
  peerHistory: KeyHistoryItem[];
  #conversations: ConversationView[];
  #messages: MessageView[];
  readonly #groups = new Map<string, GroupView>();
  readonly #contacts: ContactView[];
  readonly #safety: FakeSafety;
  readonly #blocked: FakeBlocked;
  #connection: Connection;
  #phase: AppState["type"];
  #order = 1_000_000;
  #links = 0;
  readonly #listeners = new Set<(event: EngineEvent) => void>();
  readonly #stateListeners = new Set<(state: AppState) => void>();

  constructor(scenario: Partial<Scenario> = {}) {
    this.scenario = { ...plainScenario, ...scenario };
    const { now, empty, phraseConfirmed } = this.scenario;
    const world = empty ? { conversations: [], messages: [], groups: [] } : fakeWorld(now);
    this.#conversations = world.conversations;
    this.#messages = world.messages;
    for (const group of world.groups) this.#groups.set(group.conversation, group);
    this.#safety = new FakeSafety(now);
    this.#blocked = new FakeBlocked(this.#conversations);
    for (const conversation of this.#conversations) conversation.safety = this.#safetyIn(conversation);
    this.#contacts = empty ? [] : this.scenario.many ? manyContacts() : fakeContacts;
    this.#profile = { ...fakeProfile, phraseConfirmed };
    this.#keys = { ...fakeKeys(now), phraseConfirmed };
    this.log = fakeLog(now);
    this.peerHistory = fakeHistory(now);
    this.#phase = this.scenario.phase;
    this.#connection = this.#connectionOf(this.scenario.connection);
  }

  /** Plays an event, as the engine would. */
  emit(event: EngineEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  async #answer<T>(name: keyof Backend, input: unknown[], answer: () => T): Promise<T> {
    this.calls.push({ name, input });
    if (this.scenario.latency > 0) await new Promise((done) => setTimeout(done, this.scenario.latency));
    const code = this.scenario.failing[name];
    if (code) throw fault(code, `fake fault of ${name}`);
    return answer();
  }

  #connectionOf(type: Connection["type"]): Connection {
    if (type === "connecting") return { type };
    if (type === "online") return { type, notice: null };
    const reason: ErrorView = { code: this.scenario.offlineReason, detail: "connection refused (os error 111)" };
    return { type, reason, retryAt: Date.now() + 20_000 };
  }

  #state(): AppState {
    const { localRelay, problem } = this.scenario;
    switch (this.#phase) {
      case "starting":
        return { type: "starting" };
      case "firstRun":
        return { type: "firstRun", localRelay, version, build: "demo" };
      case "locked":
        return { type: "locked", error: null, version };
      case "problem":
        return { type: "problem", error: { code: problem, detail: `fake problem ${problem}` }, version };
      case "ready":
        return { type: "ready", profile: this.#profile, connection: this.#connection, version, localRelay };
    }
  }

  appState = () => this.#answer("appState", [], () => this.#state());

  retryStart = () =>
    this.#answer("retryStart", [], () => {
      this.#phase = "ready";
      return this.#state();
    });

  unlock = (passphrase: string) =>
    this.#answer("unlock", [passphrase], () => {
      if (passphrase !== "waxwing waxwing") throw fault("wrongPassphrase");
      this.#phase = "ready";
      return this.#state();
    });

  checkRelay = (address: string) =>
    this.#answer("checkRelay", [address], () => {
      if (!/^[\w.[\]:-]+$/u.test(address)) throw fault("invalidAddress", address);
      if (address.startsWith("down")) throw fault("relayDown", "dns error: no such host");
      return { address, version, loopback: address.startsWith("127.") };
    });

  recover = (address: string, phrase: string, passphrase: string | null) =>
    this.#answer("recover", [address, phrase, passphrase], () => {
      judgePhrase(phrase);
      if (address === "somebody@relay.example.org") throw fault("phraseOfAnother");
      if (this.scenario.keychainFault && passphrase === null) throw fault(this.scenario.keychainFault, "fake keychain");
      this.#profile = {
        ...fakeProfile,
        address,
        phraseConfirmed: true,
        keystore: passphrase === null ? "keychain" : "passphrase",
      };
      this.#conversations = [];
      this.#messages = [];
      this.#phase = "ready";
      for (const listener of this.#stateListeners) listener(this.#state());
      return this.#profile;
    });

  register = (
    username: string,
    displayName: string,
    relay: string,
    passphrase: string | null,
    invitation: string | null,
  ) =>
    this.#answer("register", [username, displayName, relay, passphrase, invitation], () => {
      const token = invitation?.trim() ?? "";
      if (token !== "" && !/^[\w-]{22}$/u.test(token)) throw fault("invalidInvitation");
      if (this.scenario.keychainFault && passphrase === null) throw fault(this.scenario.keychainFault, "fake keychain");
      if (passphrase !== null && passphrase.length < 8) throw fault("weakPassphrase");
      if (this.scenario.registration === "closed") throw fault("registrationClosed");
      if (this.scenario.registration === "invite" && token !== fakeInvitation) {
        throw fault(token === "" ? "invitationNeeded" : "invitationRefused");
      }
      if (username === "taken") throw fault("nameTaken");
      this.#profile = {
        ...fakeProfile,
        displayName,
        relay,
        address: `${username}@${relay}`,
        phraseConfirmed: false,
        keystore: passphrase === null ? "keychain" : "passphrase",
      };
      this.#conversations = [];
      this.#messages = [];
      this.#phase = "ready";
      for (const listener of this.#stateListeners) listener(this.#state());
      return this.#profile;
    });

  phraseWords = () => this.#answer("phraseWords", [], () => ({ words: [...fakeWords] }));
  phraseChallenge = () => this.#answer("phraseChallenge", [], () => ({ first: 7, second: 19 }));

  phraseConfirm = (firstWord: string, secondWord: string) =>
    this.#answer("phraseConfirm", [firstWord, secondWord], () => {
      if (firstWord !== fakeWords[6] || secondWord !== fakeWords[18]) throw fault("wrongWords");
      this.#profile = { ...this.#profile, phraseConfirmed: true };
      this.#keys = { ...this.#keys, phraseConfirmed: true };
      this.emit({ type: "profile", profile: this.#profile });
      return this.#profile;
    });

  conversations = () => this.#answer("conversations", [], () => structuredClone(this.#conversations));

  messages = (conversation: string, before: number | null, limit: number) =>
    this.#answer("messages", [conversation, before, limit], (): MessagePage => {
      const older = this.#messages
        .filter((message) => message.conversation === conversation && (before === null || message.order < before))
        .sort((left, right) => left.order - right.order);
      return { messages: structuredClone(older.slice(-limit)), more: older.length > limit };
    });

  send = (conversation: string, id: string, text: string) =>
    this.#answer("send", [conversation, id, text], () => {
      if (text.trim() === "") throw fault("empty");
      this.#mayWrite(conversation);
      const message: MessageView = {
        id,
        conversation,
        order: unplaced + ++this.#order,
        sender: this.#profile.accountId,
        senderName: this.#profile.displayName,
        mine: true,
        at: Date.now(),
        clockOff: false,
        text,
        notice: null,
        state: "sending",
        error: null,
      };
      this.#store(message);
      if (this.#connection.type === "online") {
        setTimeout(() => this.#placed(message), this.scenario.latency * 3);
      }
      return message;
    });

  retryMessage = (id: string) =>
    this.#answer("retryMessage", [id], () => {
      const message = this.#find(id);
      const sending: MessageView = { ...message, state: "sending", error: null };
      this.#store(sending);
      setTimeout(() => this.#placed(sending), this.scenario.latency * 3);
      return sending;
    });

  deleteMessage = (id: string) =>
    this.#answer("deleteMessage", [id], () => {
      const { conversation } = this.#find(id);
      this.#messages = this.#messages.filter((message) => message.id !== id);
      this.emit({ type: "messageDeleted", conversation, id });
    });

  setDraft = (conversation: string, text: string) =>
    this.#answer("setDraft", [conversation, text], () => {
      this.#change(conversation, { draft: text });
    });

  markRead = (conversation: string, order: number) =>
    this.#answer("markRead", [conversation, order], () =>
      this.#change(conversation, order < unplaced ? { unread: 0, readOrder: order } : {}),
    );

  acceptRequest = (conversation: string) =>
    this.#answer("acceptRequest", [conversation], () => this.#change(conversation, { standing: "member" }));

  setBlocked = (conversation: string, blocked: boolean) =>
    this.#answer("setBlocked", [conversation, blocked], () => {
      const found = this.#conversation(conversation);
      this.#blocked.set(found, this.#groups.get(conversation), blocked ? Date.now() : undefined);
      return this.#change(conversation, found.kind === "group" && blocked ? { blocked, standing: "left" } : { blocked });
    });

  blocked = () => this.#answer("blocked", [], () => this.#blocked.list());

  unblock = (account: string) =>
    this.#answer("unblock", [account], () => {
      const person = this.#blocked.free(account);
      for (const one of this.#conversations) {
        if (this.#blocked.concerns(one, this.#groups.get(one.id), account)) this.#change(one.id, { blocked: false });
      }
      return person;
    });

  deleteConversation = (conversation: string) =>
    this.#answer("deleteConversation", [conversation], () => {
      this.#conversations = this.#conversations.filter(({ id }) => id !== conversation);
      this.#messages = this.#messages.filter((message) => message.conversation !== conversation);
      this.#groups.delete(conversation);
      this.emit({ type: "conversationDeleted", conversation });
    });

  contacts = () => this.#answer("contacts", [], () => structuredClone(this.#contacts));

  addContact = (input: string) =>
    this.#answer("addContact", [input], () => {
      const name = /^([a-z0-9._-]+)@([\w.:-]+)$/u.exec(input.trim());
      const link = input.startsWith("https://");
      if (!name && !link) throw fault("invalidLink");
      if (name?.[1] === "nobody") throw fault("unknownUser");
      if (input === fakeInvite) throw fault("ownLink");
      if (input === fakeGroupLink) throw fault("groupLink");
      return this.#start({
        title: name?.[1] ?? "Grete Holm",
        address: link ? "grete@post.example.org" : input.trim(),
        kind: "direct",
        trust: link ? "invite" : "firstUse",
      });
    });

  noteToSelf = () =>
    this.#answer(
      "noteToSelf",
      [],
      () =>
        this.#conversations.find(({ kind }) => kind === "noteToSelf") ??
        this.#start({ title: "Note to self", address: null, kind: "noteToSelf", trust: "own" }),
    );

  myInvite = () => this.#answer("myInvite", [], () => ({ link: fakeInvite, address: this.#profile.address }));
  renewInvite = () =>
    this.#answer("renewInvite", [], () => ({ link: `${fakeInvite.slice(0, -4)}NEWw`, address: this.#profile.address }));
  inviteQr = () => this.#answer("inviteQr", [], () => ({ size: 49, modules: fakeQr(49) }));

  createGroup = (name: string, people: string[]) =>
    this.#answer("createGroup", [name, people], () => {
      checkName(name);
      const conversation = this.#start({ title: name.trim(), address: null, kind: "group", trust: "own" });
      const alone = groupOf(conversation.id, name.trim(), meAs(this.#profile, "admin"), []);
      this.#groups.set(conversation.id, alone);
      try {
        this.#changeGroup(changed.added(alone, this.#contacts, people), this.#addedNotice(people));
      } catch (thrown) {
        this.#conversations = this.#conversations.filter(({ id }) => id !== conversation.id);
        this.emit({ type: "conversationDeleted", conversation: conversation.id });
        throw thrown;
      }
      return this.#conversation(conversation.id);
    });

  safetyNumber = (account: string) => this.#answer("safetyNumber", [account], () => this.#number(account));
  safetyNumberQr = (payload: string) => this.#answer("safetyNumberQr", [payload], () => ({ size: 37, modules: fakeQr(37) }));

  compareSafetyNumber = (account: string, shown: string) =>
    this.#answer("compareSafetyNumber", [account, shown], () => this.#safety.compare(account, shown));

  verify = (account: string, digits: string) =>
    this.#answer("verify", [account, digits], () => {
      this.#safety.verify(account, digits);
      this.#tellSafety(account);
      return this.#number(account);
    });

  unverify = (account: string) =>
    this.#answer("unverify", [account], () => {
      if (this.#safety.of(account) !== "broken") this.#safety.set(account, "notVerified");
      this.#tellSafety(account);
      return this.#number(account);
    });

  /** Plays that something happens to somebody's keys, as the engine would tell it. */
  playSafety(account: string, safety: Safety): void {
    if (safety === "ask") this.#safety.turn(account);
    this.#safety.set(account, safety);
    this.#tellSafety(account);
  }

  /** What somebody's own app shows as its QR code. */
  theirCode(account: string): string {
    return this.#safety.payload(account, "theirs");
  }

  #number(account: string) {
    const people = [...this.#contacts, ...[...this.#groups.values()].flatMap(({ members }) => members)];
    const direct = this.#conversations.find(({ kind, accountId }) => kind === "direct" && accountId === account);
    const known = people.find(({ accountId }) => accountId === account) ?? (direct && { name: direct.title, address: direct.address ?? "" });
    if (!known) throw fault("notFound", account);
    return this.#safety.view(account, known.name, known.address);
  }

  #safetyIn({ kind, id, accountId }: ConversationView): Safety {
    const group = this.#groups.get(id);
    if (kind === "direct") return this.#safety.of(accountId);
    return kind === "group" && group ? this.#safety.ofGroup(group) : "notVerified";
  }

  #tellSafety(account: string): void {
    for (const conversation of this.#conversations) {
      const safety = this.#safetyIn(conversation);
      const member = this.#groups.get(conversation.id)?.members.some(({ accountId }) => accountId === account) ?? false;
      if (conversation.accountId !== account && !member) continue;
      const code = safety === "ask" ? "verifyAgain" : safety === "broken" ? "keysInDoubt" : null;
      this.#change(conversation.id, { safety, problem: code && { code, detail: "fake doubt" } });
      if (member) this.emit({ type: "group", group: this.#group(conversation.id) });
    }
  }

  group = (conversation: string) => this.#answer("group", [conversation], () => this.#group(conversation));

  addMembers = (conversation: string, people: string[]) =>
    this.#answer("addMembers", [conversation, people], () =>
      this.#changeGroup(changed.added(this.#group(conversation), this.#contacts, people), this.#addedNotice(people)),
    );

  removeMember = (conversation: string, account: string) =>
    this.#answer("removeMember", [conversation, account], () => {
      const group = this.#group(conversation);
      const name = group.members.find(({ accountId }) => accountId === account)?.name ?? "";
      return this.#changeGroup(changed.removed(group, account), { type: "removed", ...this.#byMe(), name, me: false });
    });

  setRole = (conversation: string, account: string, role: Role) =>
    this.#answer("setRole", [conversation, account, role], () => {
      const group = this.#group(conversation);
      const name = group.members.find(({ accountId }) => accountId === account)?.name ?? "";
      const notice: Notice = { type: "roleChanged", ...this.#byMe(), name, me: false, role };
      return this.#changeGroup(changed.withRole(group, account, role), notice);
    });

  renameGroup = (conversation: string, name: string) =>
    this.#answer("renameGroup", [conversation, name], () => {
      const notice: Notice = { type: "renamed", ...this.#byMe(), title: name.trim() };
      return this.#changeGroup(changed.renamed(this.#group(conversation), name), notice);
    });

  leaveGroup = (conversation: string) =>
    this.#answer("leaveGroup", [conversation], () => {
      const { accountId, displayName } = this.#profile;
      const rest = { ...changed.without(this.#group(conversation), accountId), admin: false };
      this.#change(conversation, { standing: "left" });
      this.#changeGroup(rest, { type: "left", name: displayName, mine: true });
      return this.#conversation(conversation);
    });

  #linkOf(conversation: string) {
    return this.#group(conversation).hasLink ? { conversation, link: `${fakeInvite}${this.#links}` } : null;
  }

  groupLink = (conversation: string) => this.#answer("groupLink", [conversation], () => this.#linkOf(conversation));

  groupLinkQr = (conversation: string) =>
    this.#answer("groupLinkQr", [conversation], () => (this.#linkOf(conversation) ? { size: 49, modules: fakeQr(49) } : null));

  makeGroupLink = (conversation: string) =>
    this.#answer("makeGroupLink", [conversation], () => {
      this.#links += 1;
      this.#setLink(conversation, true);
      return { conversation, link: `${fakeInvite}${this.#links}` };
    });

  endGroupLink = (conversation: string) => this.#answer("endGroupLink", [conversation], () => this.#setLink(conversation, false));

  #setLink(conversation: string, hasLink: boolean): GroupView {
    const group = { ...this.#group(conversation), hasLink };
    if (!group.admin) throw fault("notAdmin");
    this.#groups.set(conversation, group);
    this.emit({ type: "group", group: structuredClone(group) });
    return structuredClone(group);
  }

  lookAtLink = (text: string) =>
    this.#answer("lookAtLink", [text], () => {
      if (text !== fakeGroupLink) return null;
      if (this.#conversations.some(({ title, standing }) => title === "Night walks" && standing === "member")) throw fault("alreadyMember");
      return { conversation: "e".repeat(64), title: "Night walks", inviter: ada.name, address: ada.address };
    });

  joinGroup = (link: string) =>
    this.#answer("joinGroup", [link], () => {
      if (link !== fakeGroupLink) throw fault("invalidLink");
      const asked = this.#start({ title: "Night walks", address: null, kind: "group", trust: "invite" });
      this.#groups.set(asked.id, { conversation: asked.id, name: asked.title, admin: false, members: [], pending: 0, hasLink: false });
      return this.#change(asked.id, { standing: "asked", inviter: ada.name });
    });

  keys = () => this.#answer("keys", [], () => structuredClone(this.#keys));

  transparencyLog = () => this.#answer("transparencyLog", [], () => structuredClone(this.log));

  logOf = (account: string) => this.#answer("logOf", [account], () => structuredClone(this.log));

  contradictedLogs = () =>
    this.#answer("contradictedLogs", [], () => structuredClone([this.log, ...this.otherLogs].filter((log) => log.contradictions.length > 0)));

  peerLog = (conversation: string) => this.#answer("peerLog", [conversation], () => structuredClone(this.log));

  registerAgain = (invitation: string) =>
    this.#answer("registerAgain", [invitation], () => {
      if (this.log.restoredProblem?.code === "invitationNeeded" && invitation.trim() !== fakeInvitation) throw fault("invitationRefused");
      this.log = { ...this.log, restoredProblem: null };
      this.emit({ type: "log", log: this.log });
      return structuredClone(this.log);
    });

  settleLog = (origin: string) =>
    this.#answer("settleLog", [origin], () => {
      const contradictions = this.log.contradictions.map((one) => ({ ...one, settled: true }));
      this.log = { ...this.log, origin, contradictions };
      this.emit({ type: "log", log: this.log });
      return structuredClone(this.log);
    });

  replaceAccountKey = () =>
    this.#answer("replaceAccountKey", [], () => this.#spreads(withAccountKey(this.#keys, this.#conversations, false, Date.now())));

  shutOthersOut = () =>
    this.#answer("shutOthersOut", [], () => {
      const keys = withAccountKey(this.#keys, this.#conversations, true, Date.now());
      return this.#spreads(rotated(keys, this.#conversations, Date.now()));
    });

  recoverHere = (phrase: string) =>
    this.#answer("recoverHere", [phrase], () => {
      judgePhrase(phrase);
      this.log = { ...this.log, alarms: [] };
      this.emit({ type: "log", log: this.log });
      return structuredClone(this.#setKeys(recovered(this.#keys, Date.now())));
    });

  closeAccount = () =>
    this.#answer("closeAccount", [], () => {
      this.#conversations = [];
      this.#messages = [];
      this.#phase = "firstRun";
      return this.#state();
    });

  rotateKeys = () => this.#answer("rotateKeys", [], () => this.#spreads(rotated(this.#keys, this.#conversations, Date.now())));

  setRotationSchedule = (schedule: RotationSchedule) =>
    this.#answer("setRotationSchedule", [schedule], () => structuredClone(this.#setKeys(withSchedule(this.#keys, schedule))));

  keyHistory = (account: string) =>
    this.#answer("keyHistory", [account], () => (account === this.#profile.accountId ? this.#keys.history : structuredClone(this.peerHistory)));

  exportKeyLog = () => this.#answer("exportKeyLog", [], () => fakeKeyLog(this.#keys));

  // The words are kept nowhere, not even among the calls.
  checkPhrase = (words: string) => this.#answer("checkPhrase", [], () => checkedPhrase(words));

  /** These keys; one conversation after the other learns of them. */
  #spreads(keys: KeysView): KeysView {
    this.#setKeys(keys);
    const turns = Math.max(keys.outcome?.waiting.length ?? 0, keys.accountOutcome?.waiting.length ?? 0);
    for (let turn = 1; turn <= turns; turn += 1) setTimeout(() => this.#setKeys(gotOn(this.#keys)), this.scenario.latency * 2 * turn);
    return structuredClone(this.#keys);
  }

  #setKeys(keys: KeysView): KeysView {
    this.#keys = keys;
    this.emit({ type: "keys", keys: structuredClone(keys) });
    return keys;
  }

  setDisplayName = (name: string) =>
    this.#answer("setDisplayName", [name], () => {
      if (name.trim() === "") throw fault("invalidDisplayName");
      this.#profile = { ...this.#profile, displayName: name };
      this.emit({ type: "profile", profile: this.#profile });
      return this.#profile;
    });

  copyText = (text: string) =>
    this.#answer("copyText", [text], () => {
      this.copied.push(text);
    });

  openLink = (url: string) =>
    this.#answer("openLink", [url], () => {
      this.opened.push(url);
    });

  connection = () => this.#answer("connection", [], () => this.#connection);

  tryNow = () =>
    this.#answer("tryNow", [], () => {
      this.#connection = { type: "connecting" };
      this.emit({ type: "connection", connection: this.#connection });
      setTimeout(() => {
        this.#connection = { type: "online", notice: null };
        this.emit({ type: "connection", connection: this.#connection });
      }, this.scenario.latency * 6);
    });

  async onEvent(listener: (event: EngineEvent) => void): Promise<StopListening> {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The app comes into another state by itself. */
  tellState(state: AppState): void {
    for (const listener of this.#stateListeners) listener(state);
  }

  async onStateChanged(listener: (state: AppState) => void): Promise<StopListening> {
    this.#stateListeners.add(listener);
    return () => this.#stateListeners.delete(listener);
  }

  #find(id: string): MessageView {
    const message = this.#messages.find((candidate) => candidate.id === id);
    if (!message) throw fault("notFound", id);
    return message;
  }

  #conversation(id: string): ConversationView {
    const conversation = this.#conversations.find((candidate) => candidate.id === id);
    if (!conversation) throw fault("notFound", id);
    return { ...conversation };
  }

  #mayWrite(id: string): void {
    const { standing, blocked, safety } = this.#conversation(id);
    if (blocked) throw fault("blocked");
    if (standing === "left" || standing === "removed" || standing === "asked") throw fault("notMember");
    if (safety === "ask") throw fault("verifyAgain");
    if (safety === "broken") throw fault("keysInDoubt");
  }

  #byMe(): { by: string; mine: true } {
    return { by: this.#profile.displayName, mine: true };
  }

  #addedNotice(people: readonly string[]): Notice {
    const names = this.#contacts.filter(({ accountId }) => people.includes(accountId)).map(({ name }) => name);
    return { type: "added", ...this.#byMe(), names, me: false };
  }

  #group(id: string): GroupView {
    const { kind, title, accountId, address, trust } = this.#conversation(id);
    const group = this.#groups.get(id);
    if (group) {
      const known = structuredClone(group);
      for (const member of known.members) member.safety = this.#safety.of(member.accountId);
      return known;
    }
    if (kind === "noteToSelf") return groupOf(id, title, meAs(this.#profile, "member"), []);
    return groupOf(id, title, meAs(this.#profile, "member"), [[{ accountId, name: title, address: address ?? "", trust }, "member"]]);
  }

  /** Shown at once as on its way; once the relay has it, the timeline says so. */
  #changeGroup(group: GroupView, notice: Notice): GroupView {
    const { conversation } = group;
    const waiting = { ...group, pending: group.pending + 1 };
    this.#groups.set(conversation, waiting);
    this.emit({ type: "group", group: structuredClone(waiting) });
    this.#change(conversation, { title: group.name, people: group.members.length, trust: trustOf(group) });
    if (this.#connection.type === "online") setTimeout(() => this.#groupChanged(conversation, notice), this.scenario.latency * 5);
    return structuredClone(waiting);
  }

  #groupChanged(conversation: string, notice: Notice): void {
    const group = this.#groups.get(conversation);
    if (!group) return;
    const settled = { ...group, pending: group.pending - 1 };
    this.#groups.set(conversation, settled);
    this.emit({ type: "group", group: structuredClone(settled) });
    const order = ++this.#order;
    this.#store({
      id: order.toString(16).padStart(32, "b"),
      conversation,
      order,
      sender: this.#profile.accountId,
      senderName: this.#profile.displayName,
      mine: true,
      at: Date.now(),
      clockOff: false,
      text: "",
      notice,
      state: "sent",
      error: null,
    });
  }

  /** The log took it and gave it its place. */
  #placed(message: MessageView): void {
    this.#store({ ...message, state: "sent", order: ++this.#order }, false);
  }

  #store(message: MessageView, newest = true): void {
    this.#messages = [...this.#messages.filter(({ id }) => id !== message.id), message];
    this.emit({ type: "message", message, arrived: false });
    const { text, notice, at, mine, state } = message;
    this.#change(message.conversation, { last: { text, notice, at, mine, state }, ...(newest ? { activeAt: at } : {}) });
  }

  #change(id: string, change: Partial<ConversationView>): ConversationView {
    const conversation = this.#conversations.find((candidate) => candidate.id === id);
    if (!conversation) throw fault("notFound", id);
    Object.assign(conversation, change);
    this.emit({ type: "conversation", conversation: { ...conversation } });
    return { ...conversation };
  }

  #start(parts: Pick<ConversationView, "title" | "address" | "kind" | "trust">): ConversationView {
    const conversation: ConversationView = {
      ...parts,
      id: (this.#conversations.length + 100).toString(16).padStart(64, "d"),
      accountId: parts.kind === "noteToSelf" ? this.#profile.accountId : parts.title.padStart(32, "7"),
      safety: "notVerified",
      standing: "member",
      inviter: null,
      people: parts.kind === "direct" ? 2 : 1,
      blocked: false,
      last: null,
      unread: 0,
      readOrder: 0,
      draft: "",
      problem: null,
      activeAt: Date.now(),
    };
    this.#conversations.push(conversation);
    this.emit({ type: "conversation", conversation: { ...conversation } });
    return { ...conversation };
  }
}
