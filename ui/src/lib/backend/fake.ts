/**
 * The backend of `npm run dev` and of the unit tests: everything in memory, with delays and errors like the real one's.
 * Its calls about groups, keys and devices are in files of their own.
 *
 * In the browser the address chooses what it plays, for example `?phase=firstRun`, `?problem=keychainLocked`,
 * `?connection=offline`, `?keychain=keychainAbsent`, `?registration=invite`, `?empty`, `?many` (a hundred contacts).
 */
import type { Backend, StopListening } from "./backend";
import { fakeGroupLink, fakeInvitation, fakeInvite, fakeProfile, fakeQr, fakeWords, unplaced } from "./fake-data";
import { FakeDeviceCalls } from "./fake-device-calls";
import { FakeEngine, fault, version } from "./fake-engine";
import { judgePhrase } from "./fake-keys";
import { plainScenario, type Scenario } from "./fake-scenario";
import type { AppState, EngineEvent, MessagePage, MessageView, Safety } from "./types";

export { fakeInvitation } from "./fake-data";
export { type Scenario, scenarioFrom } from "./fake-scenario";

export class FakeBackend extends FakeDeviceCalls implements Backend {
  readonly copied: string[] = [];
  readonly opened: string[] = [];

  constructor(scenario: Partial<Scenario> = {}) {
    super(new FakeEngine({ ...plainScenario, ...scenario }));
  }

  get scenario(): Scenario {
    return this.engine.scenario;
  }

  get calls(): { name: string; input: unknown[] }[] {
    return this.engine.calls;
  }

  /** Plays an event, as the engine would. */
  emit(event: EngineEvent): void {
    this.engine.emit(event);
  }

  appState = () => this.engine.answer("appState", [], () => this.engine.state());

  retryStart = () =>
    this.engine.answer("retryStart", [], () => {
      this.engine.phase = "ready";
      return this.engine.state();
    });

  unlock = (passphrase: string) =>
    this.engine.answer("unlock", [passphrase], () => {
      if (passphrase !== "waxwing waxwing") throw fault("wrongPassphrase");
      this.engine.phase = "ready";
      return this.engine.state();
    });

  checkRelay = (address: string) =>
    this.engine.answer("checkRelay", [address], () => {
      if (!/^[\w.[\]:-]+$/u.test(address)) throw fault("invalidAddress", address);
      if (address.startsWith("down")) throw fault("relayDown", "dns error: no such host");
      return { address, version, loopback: address.startsWith("127.") };
    });

  recover = (address: string, phrase: string, passphrase: string | null) =>
    this.engine.answer("recover", [address, phrase, passphrase], () => {
      judgePhrase(phrase);
      if (address === "somebody@relay.example.org") throw fault("phraseOfAnother");
      if (this.engine.scenario.keychainFault && passphrase === null) throw fault(this.engine.scenario.keychainFault, "fake keychain");
      this.engine.profile = {
        ...fakeProfile,
        address,
        phraseConfirmed: true,
        keystore: passphrase === null ? "keychain" : "passphrase",
      };
      this.engine.conversations = [];
      this.engine.messages = [];
      this.engine.phase = "ready";
      this.engine.tellState(this.engine.state());
      return this.engine.profile;
    });

  register = (
    username: string,
    displayName: string,
    relay: string,
    passphrase: string | null,
    invitation: string | null,
  ) =>
    this.engine.answer("register", [username, displayName, relay, passphrase, invitation], () => {
      const token = invitation?.trim() ?? "";
      if (token !== "" && !/^[\w-]{22}$/u.test(token)) throw fault("invalidInvitation");
      if (this.engine.scenario.keychainFault && passphrase === null) throw fault(this.engine.scenario.keychainFault, "fake keychain");
      if (passphrase !== null && passphrase.length < 8) throw fault("weakPassphrase");
      if (this.engine.scenario.registration === "closed") throw fault("registrationClosed");
      if (this.engine.scenario.registration === "invite" && token !== fakeInvitation) {
        throw fault(token === "" ? "invitationNeeded" : "invitationRefused");
      }
      if (username === "taken") throw fault("nameTaken");
      this.engine.profile = {
        ...fakeProfile,
        displayName,
        relay,
        address: `${username}@${relay}`,
        phraseConfirmed: false,
        keystore: passphrase === null ? "keychain" : "passphrase",
      };
      this.engine.conversations = [];
      this.engine.messages = [];
      this.engine.phase = "ready";
      this.engine.tellState(this.engine.state());
      return this.engine.profile;
    });

  closeAccount = () =>
    this.engine.answer("closeAccount", [], () => {
      this.engine.conversations = [];
      this.engine.messages = [];
      this.engine.phase = "firstRun";
      return this.engine.state();
    });

  phraseWords = () => this.engine.answer("phraseWords", [], () => ({ words: [...fakeWords] }));
  phraseChallenge = () => this.engine.answer("phraseChallenge", [], () => ({ first: 7, second: 19 }));

  phraseConfirm = (firstWord: string, secondWord: string) =>
    this.engine.answer("phraseConfirm", [firstWord, secondWord], () => {
      if (firstWord !== fakeWords[6] || secondWord !== fakeWords[18]) throw fault("wrongWords");
      this.engine.profile = { ...this.engine.profile, phraseConfirmed: true };
      this.engine.keys = { ...this.engine.keys, phraseConfirmed: true };
      this.engine.emit({ type: "profile", profile: this.engine.profile });
      return this.engine.profile;
    });

  conversations = () => this.engine.answer("conversations", [], () => structuredClone(this.engine.conversations));

  messages = (conversation: string, before: number | null, limit: number) =>
    this.engine.answer("messages", [conversation, before, limit], (): MessagePage => {
      const older = this.engine.messages
        .filter((message) => message.conversation === conversation && (before === null || message.order < before))
        .sort((left, right) => left.order - right.order);
      return { messages: structuredClone(older.slice(-limit)), more: older.length > limit };
    });

  send = (conversation: string, id: string, text: string) =>
    this.engine.answer("send", [conversation, id, text], () => {
      if (text.trim() === "") throw fault("empty");
      this.engine.mayWrite(conversation);
      const message: MessageView = {
        id,
        conversation,
        order: unplaced + ++this.engine.order,
        sender: this.engine.profile.accountId,
        senderName: this.engine.profile.displayName,
        mine: true,
        at: Date.now(),
        clockOff: false,
        text,
        notice: null,
        state: "sending",
        error: null,
      };
      this.engine.store(message);
      if (this.engine.connection.type === "online") {
        setTimeout(() => this.engine.placed(message), this.engine.scenario.latency * 3);
      }
      return message;
    });

  retryMessage = (id: string) =>
    this.engine.answer("retryMessage", [id], () => {
      const message = this.engine.message(id);
      const sending: MessageView = { ...message, state: "sending", error: null };
      this.engine.store(sending);
      setTimeout(() => this.engine.placed(sending), this.engine.scenario.latency * 3);
      return sending;
    });

  deleteMessage = (id: string) =>
    this.engine.answer("deleteMessage", [id], () => {
      const { conversation } = this.engine.message(id);
      this.engine.messages = this.engine.messages.filter((message) => message.id !== id);
      this.engine.emit({ type: "messageDeleted", conversation, id });
    });

  setDraft = (conversation: string, text: string) =>
    this.engine.answer("setDraft", [conversation, text], () => {
      this.engine.change(conversation, { draft: text });
    });

  markRead = (conversation: string, order: number) =>
    this.engine.answer("markRead", [conversation, order], () =>
      this.engine.change(conversation, order < unplaced ? { unread: 0, readOrder: order } : {}),
    );

  acceptRequest = (conversation: string) =>
    this.engine.answer("acceptRequest", [conversation], () => this.engine.change(conversation, { standing: "member" }));

  setBlocked = (conversation: string, blocked: boolean) =>
    this.engine.answer("setBlocked", [conversation, blocked], () => {
      const found = this.engine.conversation(conversation);
      this.engine.blocked.set(found, this.engine.groups.get(conversation), blocked ? Date.now() : undefined);
      return this.engine.change(conversation, found.kind === "group" && blocked ? { blocked, standing: "left" } : { blocked });
    });

  blocked = () => this.engine.answer("blocked", [], () => this.engine.blocked.list());

  unblock = (account: string) =>
    this.engine.answer("unblock", [account], () => {
      const person = this.engine.blocked.free(account);
      for (const one of this.engine.conversations) {
        if (this.engine.blocked.concerns(one, this.engine.groups.get(one.id), account)) this.engine.change(one.id, { blocked: false });
      }
      return person;
    });

  deleteConversation = (conversation: string) =>
    this.engine.answer("deleteConversation", [conversation], () => {
      this.engine.conversations = this.engine.conversations.filter(({ id }) => id !== conversation);
      this.engine.messages = this.engine.messages.filter((message) => message.conversation !== conversation);
      this.engine.groups.delete(conversation);
      this.engine.emit({ type: "conversationDeleted", conversation });
    });

  contacts = () => this.engine.answer("contacts", [], () => structuredClone(this.engine.contacts));

  addContact = (input: string) =>
    this.engine.answer("addContact", [input], () => {
      const name = /^([a-z0-9._-]+)@([\w.:-]+)$/u.exec(input.trim());
      const link = input.startsWith("https://");
      if (!name && !link) throw fault("invalidLink");
      if (name?.[1] === "nobody") throw fault("unknownUser");
      if (input === fakeInvite) throw fault("ownLink");
      if (input === fakeGroupLink) throw fault("groupLink");
      return this.engine.start({
        title: name?.[1] ?? "Grete Holm",
        address: link ? "grete@post.example.org" : input.trim(),
        kind: "direct",
        trust: link ? "invite" : "firstUse",
      });
    });

  noteToSelf = () =>
    this.engine.answer(
      "noteToSelf",
      [],
      () =>
        this.engine.conversations.find(({ kind }) => kind === "noteToSelf") ??
        this.engine.start({ title: "Note to self", address: null, kind: "noteToSelf", trust: "own" }),
    );

  myInvite = () => this.engine.answer("myInvite", [], () => ({ link: fakeInvite, address: this.engine.profile.address }));
  renewInvite = () =>
    this.engine.answer("renewInvite", [], () => ({ link: `${fakeInvite.slice(0, -4)}NEWw`, address: this.engine.profile.address }));
  inviteQr = () => this.engine.answer("inviteQr", [], () => ({ size: 49, modules: fakeQr(49) }));

  safetyNumber = (account: string) => this.engine.answer("safetyNumber", [account], () => this.#number(account));
  safetyNumberQr = (payload: string) => this.engine.answer("safetyNumberQr", [payload], () => ({ size: 37, modules: fakeQr(37) }));

  compareSafetyNumber = (account: string, shown: string) =>
    this.engine.answer("compareSafetyNumber", [account, shown], () => this.engine.safety.compare(account, shown));

  verify = (account: string, digits: string) =>
    this.engine.answer("verify", [account, digits], () => {
      this.engine.safety.verify(account, digits);
      this.engine.tellSafety(account);
      return this.#number(account);
    });

  unverify = (account: string) =>
    this.engine.answer("unverify", [account], () => {
      if (this.engine.safety.of(account) !== "broken") this.engine.safety.set(account, "notVerified");
      this.engine.tellSafety(account);
      return this.#number(account);
    });

  /** Plays that something happens to somebody's keys, as the engine would tell it. */
  playSafety(account: string, safety: Safety): void {
    if (safety === "ask") this.engine.safety.turn(account);
    this.engine.safety.set(account, safety);
    this.engine.tellSafety(account);
  }

  /** What somebody's own app shows as its QR code. */
  theirCode(account: string): string {
    return this.engine.safety.payload(account, "theirs");
  }

  #number(account: string) {
    const people = [...this.engine.contacts, ...[...this.engine.groups.values()].flatMap(({ members }) => members)];
    const direct = this.engine.conversations.find(({ kind, accountId }) => kind === "direct" && accountId === account);
    const known = people.find(({ accountId }) => accountId === account) ?? (direct && { name: direct.title, address: direct.address ?? "" });
    if (!known) throw fault("notFound", account);
    return this.engine.safety.view(account, known.name, known.address);
  }

  setDisplayName = (name: string) =>
    this.engine.answer("setDisplayName", [name], () => {
      if (name.trim() === "") throw fault("invalidDisplayName");
      this.engine.profile = { ...this.engine.profile, displayName: name };
      this.engine.emit({ type: "profile", profile: this.engine.profile });
      return this.engine.profile;
    });

  copyText = (text: string) =>
    this.engine.answer("copyText", [text], () => {
      this.copied.push(text);
    });

  openLink = (url: string) =>
    this.engine.answer("openLink", [url], () => {
      this.opened.push(url);
    });

  connection = () => this.engine.answer("connection", [], () => this.engine.connection);

  tryNow = () =>
    this.engine.answer("tryNow", [], () => {
      this.engine.connection = { type: "connecting" };
      this.engine.emit({ type: "connection", connection: this.engine.connection });
      setTimeout(() => {
        this.engine.connection = { type: "online", notice: null };
        this.engine.emit({ type: "connection", connection: this.engine.connection });
      }, this.engine.scenario.latency * 6);
    });

  async onEvent(listener: (event: EngineEvent) => void): Promise<StopListening> {
    this.engine.listeners.add(listener);
    return () => this.engine.listeners.delete(listener);
  }

  /** The app comes into another state by itself. */
  tellState(state: AppState): void {
    this.engine.tellState(state);
  }

  async onStateChanged(listener: (state: AppState) => void): Promise<StopListening> {
    this.engine.stateListeners.add(listener);
    return () => this.engine.stateListeners.delete(listener);
  }
}
