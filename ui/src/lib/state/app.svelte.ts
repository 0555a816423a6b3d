/** The whole window's state: what the engine told, and what is open. Components read it and call its methods. */
import { SvelteMap } from "svelte/reactivity";
import type {
  AppState,
  Backend,
  Connection,
  ConversationView,
  EngineEvent,
  ErrorView,
  KeysView,
  MemberView,
  MessageView,
  ProfileView,
  Safety,
} from "../backend";
import { errorOf } from "../backend";
import { newMessageId } from "../text/bytes";
import { isDoubt } from "../words/safety";
import { Composer } from "./composer.svelte";
import { Devices } from "./devices.svelte";
import { Groups } from "./groups.svelte";
import { KeyNews } from "./key-news.svelte";
import { Logs } from "./logs.svelte";
import { matches, sectionsOf, sortedConversations } from "./merge";
import { Preferences } from "./preferences.svelte";
import { Speakers } from "./speakers.svelte";
import { Timeline } from "./timeline.svelte";

export type Dialog = "newConversation" | "addPeople" | "settings" | "palette" | "shortcuts" | "phrase";
export type SettingsSection = "profile" | "keys" | "devices" | "privacy" | "appearance" | "network" | "about";

/** Whom a new conversation is to be with. */
export type NewKind = "person" | "group";

/** What is asked before something that cannot be taken back, or that others see. */
export type Question =
  | { kind: "block" | "delete" | "leave"; conversation: ConversationView }
  | { kind: "remove"; conversation: ConversationView; member: MemberView };

export class AppModel {
  readonly preferences = new Preferences();

  state = $state.raw<AppState>({ type: "starting" });
  /** True from the first run until its last step is done, although the account exists before that. */
  firstRun = $state(false);
  profile = $state.raw<ProfileView | null>(null);
  connection = $state.raw<Connection>({ type: "connecting" });
  keys = $state.raw<KeysView | null>(null);
  /** Whether the conversation list has been read. */
  loaded = $state(false);

  openId = $state<string | null>(null);
  timeline = $state.raw<Timeline | null>(null);
  search = $state("");
  dialog = $state<Dialog | null>(null);
  newKind = $state<NewKind>("person");
  question = $state.raw<Question | null>(null);
  /** Whose safety number a dialog shows. */
  compared = $state.raw<{ accountId: string; name: string; safety: Safety } | null>(null);
  /** Where somebody's keys keep words from being sent, while the dialog about it is open. */
  doubt = $state.raw<{ conversation: string; code: "verifyAgain" | "keysInDoubt" } | null>(null);
  settingsSection = $state<SettingsSection>("profile");
  showDetails = $state(false);
  /** Whether the words are asked for that take the account back on this device. */
  recovering = $state(false);
  /** Whether that was done while the settings are open. */
  recovered = $state(false);
  /** The address that a dialog shows before it is opened outside. */
  link = $state<string | null>(null);
  /** What a screen reader is told about a message that just arrived. */
  announcement = $state("");
  /** A fault of something that has no place of its own to say so (opening a link, copying). */
  trouble = $state.raw<ErrorView | null>(null);

  readonly devices: Devices;
  readonly groups: Groups;
  readonly logs: Logs;
  readonly speakers: Speakers;
  readonly keyNews = new KeyNews();
  readonly #conversations = new SvelteMap<string, ConversationView>();
  readonly #composers = new Map<string, Composer>();
  /** For each list on its way: the conversations that changed meanwhile. Those are newer than the list. */
  readonly #listsOnTheirWay = new Set<Set<string>>();
  /** How many events told of the connection: what was asked for before the last of them is older than it. */
  #connectionEvents = 0;
  #underPhrase: Dialog | null = null;

  readonly #sorted = $derived(sortedConversations(this.#conversations.values()));
  /** Apart: what waits for a decision, what is lived in, and who is blocked. */
  readonly sections = $derived(sectionsOf(this.#sorted));
  /** All of them, as the list shows them. */
  readonly conversations = $derived([...this.sections.requests, ...this.sections.usual, ...this.sections.blocked]);
  readonly found = $derived(this.conversations.filter((conversation) => matches(conversation, this.search)));
  readonly open = $derived(this.openId === null ? null : (this.#conversations.get(this.openId) ?? null));
  readonly unread = $derived(this.conversations.reduce((sum, { unread }) => sum + unread, 0));

  constructor(readonly backend: Backend) {
    this.devices = new Devices(backend);
    this.groups = new Groups(backend);
    this.logs = new Logs(backend);
    this.speakers = new Speakers(backend);
  }

  async start(): Promise<void> {
    // Listening comes first, so that nothing falls between the first answer and the first event.
    try {
      await this.backend.onEvent((event) => this.apply(event));
      await this.backend.onStateChanged((state) => this.enter(state));
      const state = await this.backend.appState();
      // An event may have told what came of the start already; then this answer is old news.
      if (state.type !== "starting" || this.state.type === "starting") this.enter(state);
    } catch (thrown) {
      this.enter({ type: "problem", error: errorOf(thrown), version: "" });
    }
  }

  get version(): string {
    return "version" in this.state ? this.state.version : "";
  }

  get localRelay(): string | null {
    return "localRelay" in this.state ? this.state.localRelay : null;
  }

  enter(state: AppState): void {
    // The event and an answer may both tell it. From the first on, events tell all that changes, and the second is older.
    if (state.type === "ready" && this.state.type === "ready") return;
    this.state = state;
    if (state.type === "firstRun") {
      this.firstRun = true;
      this.#forget();
    }
    if (state.type !== "ready") return;
    this.profile = state.profile;
    this.connection = state.connection;
    if (this.loaded) {
      // Another engine: what is open is older than it, too.
      void this.#reload();
      return;
    }
    void this.loadConversations();
    // An alarm that was raised before the start is shown at once.
    void this.attempt(this.logs.load());
    // What came with the state may be older than an event that was faster.
    void this.#loadConnection();
  }

  /** The account is closed: nothing of it is shown any more. */
  #forget(): void {
    this.profile = null;
    this.keys = null;
    this.loaded = false;
    this.openId = null;
    this.timeline = null;
    this.dialog = null;
    this.question = null;
    this.showDetails = false;
    this.devices.forget();
    this.logs.forget();
    this.#conversations.clear();
    this.#composers.clear();
  }

  /** The first run is over: the account exists, and the phrase was confirmed or put off. */
  async finishFirstRun(profile: ProfileView): Promise<void> {
    this.profile = profile;
    if (this.state.type !== "ready") this.enter(await this.backend.appState());
    this.firstRun = false;
  }

  async loadConversations(): Promise<void> {
    const changedMeanwhile = new Set<string>();
    this.#listsOnTheirWay.add(changedMeanwhile);
    try {
      const list = await this.backend.conversations();
      const listed = new Set(list.map(({ id }) => id));
      for (const id of [...this.#conversations.keys()]) {
        if (!listed.has(id) && !changedMeanwhile.has(id)) this.#drop(id);
      }
      for (const conversation of list) {
        if (!changedMeanwhile.has(conversation.id)) this.#put(conversation);
      }
      this.loaded = true;
    } catch (thrown) {
      this.trouble = errorOf(thrown);
    } finally {
      this.#listsOnTheirWay.delete(changedMeanwhile);
    }
  }

  async #loadConnection(): Promise<void> {
    const events = this.#connectionEvents;
    try {
      const connection = await this.backend.connection();
      if (events === this.#connectionEvents) this.connection = connection;
    } catch (thrown) {
      this.trouble = errorOf(thrown);
    }
  }

  #changed(id: string): void {
    for (const changedMeanwhile of this.#listsOnTheirWay) changedMeanwhile.add(id);
  }

  apply(event: EngineEvent): void {
    switch (event.type) {
      case "message":
        this.speakers.hear(event.message);
        this.keyNews.hear(event.message);
        if (event.message.conversation === this.openId) this.timeline?.apply(event.message);
        if (event.arrived) this.#announce(event.message);
        break;
      case "messageDeleted":
        if (event.conversation === this.openId) this.timeline?.remove(event.id);
        break;
      case "conversation":
        this.#show(event.conversation);
        break;
      case "conversationDeleted":
        this.#drop(event.conversation);
        break;
      case "group":
        this.groups.apply(event.group);
        break;
      case "profile":
        this.profile = event.profile;
        break;
      case "keys":
        this.keys = event.keys;
        break;
      case "devices":
        this.devices.apply(event.devices);
        break;
      case "log":
        this.logs.apply(event.log);
        break;
      case "connection":
        this.#connectionEvents += 1;
        this.connection = event.connection;
        break;
      case "lagged":
        this.keyNews.missed();
        void this.#reload();
        break;
    }
  }

  #show(conversation: ConversationView): void {
    this.#changed(conversation.id);
    this.#put(conversation);
  }

  #put(conversation: ConversationView): void {
    this.#conversations.set(conversation.id, conversation);
    void this.speakers.ask(conversation);
  }

  /** It was deleted: nothing of it stays here either, least of all a draft to be stored again. */
  #drop(id: string): void {
    this.#changed(id);
    this.#composers.get(id)?.discard();
    this.#composers.delete(id);
    this.groups.forget(id);
    if (this.openId === id) this.leaveConversation();
    if (this.question?.conversation.id === id) this.question = null;
    if (this.doubt?.conversation === id) this.doubt = null;
    this.#conversations.delete(id);
  }

  #announce(message: MessageView): void {
    if (message.notice) return;
    this.announcement =
      message.conversation === this.openId
        ? `${message.senderName}: ${message.text}`
        : `New message from ${message.senderName}${this.#inGroup(message.conversation)}`;
  }

  #inGroup(id: string): string {
    const conversation = this.#conversations.get(id);
    return conversation?.kind === "group" ? ` in ${conversation.title}` : "";
  }

  async #reload(): Promise<void> {
    await this.loadConversations();
    if (this.openId !== null) await this.#openTimeline(this.openId);
    if (this.keys) await this.loadKeys();
    if (this.devices.view) await this.attempt(this.devices.load());
    await this.#loadConnection();
    await this.attempt(this.logs.load());
    try {
      await this.groups.reload();
    } catch (thrown) {
      this.trouble = errorOf(thrown);
    }
  }

  openConversation(id: string): void {
    this.leaveConversation();
    this.openId = id;
    this.search = "";
    void this.#openTimeline(id);
  }

  async #openTimeline(id: string): Promise<void> {
    const conversation = this.#conversations.get(id);
    const timeline = new Timeline(this.backend, id);
    const unread = conversation?.unread ?? 0;
    if (conversation && unread > 0) timeline.unreadAfter = conversation.readOrder;
    this.timeline = timeline;
    await timeline.load(unread);
  }

  leaveConversation(): void {
    if (this.openId !== null) void this.#composers.get(this.openId)?.save();
    this.openId = null;
    this.timeline = null;
  }

  /** Opens the conversation `step` places further down the list. */
  step(step: number): void {
    const at = this.conversations.findIndex(({ id }) => id === this.openId);
    const next = this.conversations[at === -1 ? (step > 0 ? 0 : -1) : at + step];
    if (next) this.openConversation(next.id);
  }

  /** A conversation that a command answered with: shown and opened at once. */
  showAndOpen(conversation: ConversationView): void {
    // An event about it is newer than the answer.
    if (!this.#conversations.has(conversation.id)) this.#show(conversation);
    this.dialog = null;
    this.openConversation(conversation.id);
  }

  /** A command that answers with the conversation it changed. */
  async take(id: string, answer: Promise<ConversationView>): Promise<void> {
    const before = this.#conversations.get(id);
    const conversation = await answer;
    // An event that came meanwhile is newer.
    if (before && this.#conversations.get(id) === before) this.#show(conversation);
  }

  async deleteConversation(id: string): Promise<void> {
    await this.backend.deleteConversation(id);
    this.#drop(id);
  }

  composer(conversation: ConversationView): Composer {
    let composer = this.#composers.get(conversation.id);
    if (!composer) {
      composer = new Composer(this.backend, conversation.id, conversation.draft, (text) =>
        this.#send(conversation.id, text),
      );
      this.#composers.set(conversation.id, composer);
    }
    return composer;
  }

  /** What is written and not sent: as typed here, or as it was stored when the window opened. */
  draftOf(conversation: ConversationView): string {
    return this.#composers.get(conversation.id)?.text ?? conversation.draft;
  }

  async #send(conversation: string, text: string): Promise<ErrorView | null> {
    const id = newMessageId();
    const timeline = this.timeline?.conversation === conversation ? this.timeline : null;
    timeline?.addPending({
      id,
      sender: this.profile?.accountId ?? "",
      senderName: this.profile?.displayName ?? "",
      mine: true,
      at: Date.now(),
      clockOff: false,
      text,
      notice: null,
      state: "sending",
      error: null,
    });
    try {
      timeline?.settle(await this.backend.send(conversation, id, text));
      return null;
    } catch (thrown) {
      timeline?.dropPending(id);
      const error = errorOf(thrown);
      if (isDoubt(error.code)) this.doubt = { conversation, code: error.code };
      return error;
    }
  }

  /** Runs something whose change comes back as an event; a fault is told in the window's own line. */
  async attempt(action: Promise<unknown>): Promise<boolean> {
    try {
      await action;
      this.trouble = null;
      return true;
    } catch (thrown) {
      this.trouble = errorOf(thrown);
      return false;
    }
  }

  async markRead(conversation: string, order: number): Promise<void> {
    try {
      const answer = await this.backend.markRead(conversation, order);
      const shown = this.#conversations.get(conversation);
      // Taken only if no event has told something newer meanwhile.
      if (shown && answer.readOrder >= shown.readOrder && answer.activeAt >= shown.activeAt) this.#show(answer);
    } catch (thrown) {
      this.trouble = errorOf(thrown);
    }
  }

  /** How somebody stands, as far as it was told: by their own conversation, or by a group that they are in. */
  safetyOf(account: string): Safety {
    const direct = this.conversations.find(({ kind, accountId }) => kind === "direct" && accountId === account);
    return direct?.safety ?? this.groups.member(account)?.safety ?? this.compared?.safety ?? "notVerified";
  }

  async loadKeys(): Promise<void> {
    await this.takeKeys(() => this.backend.keys());
  }

  /** The keys as an answer has them, unless an event has told of them meanwhile: all that changes is told, so that is newer. */
  async takeKeys(ask: () => Promise<KeysView>): Promise<void> {
    const shown = this.keys;
    const keys = await ask();
    if (this.keys === shown) this.keys = keys;
  }

  /** Shows the recovery phrase over whatever dialog is open, and comes back to it. */
  openPhrase(): void {
    this.#underPhrase = this.dialog;
    this.dialog = "phrase";
  }

  closePhrase(): void {
    this.dialog = this.#underPhrase;
    this.#underPhrase = null;
  }

  openNew(kind: NewKind = "person"): void {
    this.newKind = kind;
    this.dialog = "newConversation";
  }

  openSettings(section: SettingsSection): void {
    this.settingsSection = section;
    this.dialog = "settings";
  }
}
