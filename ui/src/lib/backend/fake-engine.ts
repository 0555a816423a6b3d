/** What the calls of the fake backend work on: an account in memory, and how the window is told of its changes. Not here: the calls. */
import type { Backend } from "./backend";
import { BackendError } from "./backend";
import { FakeBlocked } from "./fake-blocked";
import { fakeProfile, fakeWorld } from "./fake-data";
import { fakeContacts, groupOf, manyContacts, meAs } from "./fake-groups";
import { fakeKeys } from "./fake-keys";
import { FakeSafety } from "./fake-safety";
import type { Scenario } from "./fake-scenario";
import type {
  AppState,
  Connection,
  ContactView,
  ConversationView,
  EngineEvent,
  ErrorCode,
  ErrorView,
  GroupView,
  KeysView,
  MessageView,
  ProfileView,
  Safety,
} from "./types";

export const version = "0.1.0";

export function fault(code: ErrorCode, detail = ""): BackendError {
  return new BackendError({ code, detail });
}

export class FakeEngine {
  readonly calls: { name: string; input: unknown[] }[] = [];
  profile: ProfileView;
  keys: KeysView;
  conversations: ConversationView[];
  messages: MessageView[];
  readonly groups = new Map<string, GroupView>();
  readonly contacts: ContactView[];
  readonly safety: FakeSafety;
  readonly blocked: FakeBlocked;
  connection: Connection;
  phase: AppState["type"];
  order = 1_000_000;
  readonly listeners = new Set<(event: EngineEvent) => void>();
  readonly stateListeners = new Set<(state: AppState) => void>();

  constructor(readonly scenario: Scenario) {
    const { now, empty, phraseConfirmed } = scenario;
    const world = empty ? { conversations: [], messages: [], groups: [] } : fakeWorld(now);
    this.conversations = world.conversations;
    this.messages = world.messages;
    for (const group of world.groups) this.groups.set(group.conversation, group);
    this.safety = new FakeSafety(now);
    this.blocked = new FakeBlocked(this.conversations);
    for (const conversation of this.conversations) conversation.safety = this.#safetyIn(conversation);
    this.contacts = empty ? [] : scenario.many ? manyContacts() : fakeContacts;
    this.profile = { ...fakeProfile, phraseConfirmed };
    this.keys = { ...fakeKeys(now), phraseConfirmed };
    this.phase = scenario.phase;
    this.connection = this.#connectionOf(scenario.connection);
  }

  emit(event: EngineEvent): void {
    for (const listener of this.listeners) listener(event);
  }

  /** The app comes into another state by itself. */
  tellState(state: AppState): void {
    for (const listener of this.stateListeners) listener(state);
  }

  async answer<T>(name: keyof Backend, input: unknown[], answer: () => T): Promise<T> {
    this.calls.push({ name, input });
    if (this.scenario.latency > 0) await new Promise((done) => setTimeout(done, this.scenario.latency));
    const code = this.scenario.failing[name];
    if (code) throw fault(code, `fake fault of ${name}`);
    return answer();
  }

  state(): AppState {
    const { localRelay, problem } = this.scenario;
    switch (this.phase) {
      case "starting":
        return { type: "starting" };
      case "firstRun":
        return { type: "firstRun", localRelay, version, build: "demo" };
      case "locked":
        return { type: "locked", error: null, version };
      case "problem":
        return { type: "problem", error: { code: problem, detail: `fake problem ${problem}` }, version };
      case "ready":
        return { type: "ready", profile: this.profile, connection: this.connection, version, localRelay };
    }
  }

  conversation(id: string): ConversationView {
    const conversation = this.conversations.find((candidate) => candidate.id === id);
    if (!conversation) throw fault("notFound", id);
    return { ...conversation };
  }

  message(id: string): MessageView {
    const message = this.messages.find((candidate) => candidate.id === id);
    if (!message) throw fault("notFound", id);
    return message;
  }

  group(id: string): GroupView {
    const { kind, title, accountId, address, trust } = this.conversation(id);
    const group = this.groups.get(id);
    if (group) {
      const known = structuredClone(group);
      for (const member of known.members) member.safety = this.safety.of(member.accountId);
      return known;
    }
    if (kind === "noteToSelf") return groupOf(id, title, meAs(this.profile, "member"), []);
    return groupOf(id, title, meAs(this.profile, "member"), [[{ accountId, name: title, address: address ?? "", trust }, "member"]]);
  }

  mayWrite(id: string): void {
    const { standing, blocked, safety } = this.conversation(id);
    if (blocked) throw fault("blocked");
    if (standing === "left" || standing === "removed" || standing === "asked") throw fault("notMember");
    if (safety === "ask") throw fault("verifyAgain");
    if (safety === "broken") throw fault("keysInDoubt");
  }

  byMe(): { by: string; mine: true } {
    return { by: this.profile.displayName, mine: true };
  }

  start(parts: Pick<ConversationView, "title" | "address" | "kind" | "trust">): ConversationView {
    const conversation: ConversationView = {
      ...parts,
      id: (this.conversations.length + 100).toString(16).padStart(64, "d"),
      accountId: parts.kind === "noteToSelf" ? this.profile.accountId : parts.title.padStart(32, "7"),
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
    this.conversations.push(conversation);
    this.emit({ type: "conversation", conversation: { ...conversation } });
    return { ...conversation };
  }

  change(id: string, change: Partial<ConversationView>): ConversationView {
    const conversation = this.conversations.find((candidate) => candidate.id === id);
    if (!conversation) throw fault("notFound", id);
    Object.assign(conversation, change);
    this.emit({ type: "conversation", conversation: { ...conversation } });
    return { ...conversation };
  }

  store(message: MessageView, newest = true): void {
    this.messages = [...this.messages.filter(({ id }) => id !== message.id), message];
    this.emit({ type: "message", message, arrived: false });
    const { text, notice, at, mine, state } = message;
    this.change(message.conversation, { last: { text, notice, at, mine, state }, ...(newest ? { activeAt: at } : {}) });
  }

  /** The log took it and gave it its place. */
  placed(message: MessageView): void {
    this.store({ ...message, state: "sent", order: ++this.order }, false);
  }

  tellSafety(account: string): void {
    for (const conversation of this.conversations) {
      const safety = this.#safetyIn(conversation);
      const member = this.groups.get(conversation.id)?.members.some(({ accountId }) => accountId === account) ?? false;
      if (conversation.accountId !== account && !member) continue;
      const code = safety === "ask" ? "verifyAgain" : safety === "broken" ? "keysInDoubt" : null;
      this.change(conversation.id, { safety, problem: code && { code, detail: "fake doubt" } });
      if (member) this.emit({ type: "group", group: this.group(conversation.id) });
    }
  }

  #safetyIn({ kind, id, accountId }: ConversationView): Safety {
    const group = this.groups.get(id);
    if (kind === "direct") return this.safety.of(accountId);
    return kind === "group" && group ? this.safety.ofGroup(group) : "notVerified";
  }

  #connectionOf(type: Connection["type"]): Connection {
    if (type === "connecting") return { type };
    if (type === "online") return { type, notice: null };
    const reason: ErrorView = { code: this.scenario.offlineReason, detail: "connection refused (os error 111)" };
    return { type, reason, retryAt: Date.now() + 20_000 };
  }
}
