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
  MessageView,
  ProfileView,
} from "../backend";
import { errorOf } from "../backend";
import { newMessageId } from "../text/bytes";
import { Composer } from "./composer.svelte";
import { matches, sortedConversations } from "./merge";
import { Preferences } from "./preferences.svelte";
import { Timeline } from "./timeline.svelte";

export type Dialog = "newConversation" | "settings" | "palette" | "shortcuts" | "phrase";
export type SettingsSection = "profile" | "keys" | "appearance" | "network" | "about";

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
  settingsSection = $state<SettingsSection>("profile");
  showDetails = $state(false);
  /** The address that a dialog shows before it is opened outside. */
  link = $state<string | null>(null);
  /** What a screen reader is told about a message that just arrived. */
  announcement = $state("");
  /** A fault of something that has no place of its own to say so (opening a link, copying). */
  trouble = $state.raw<ErrorView | null>(null);

  readonly #conversations = new SvelteMap<string, ConversationView>();
  readonly #composers = new Map<string, Composer>();
  /** Changed while the list was on its way; those are newer than the list. */
  #changedMeanwhile: Set<string> | null = null;
  #underPhrase: Dialog | null = null;

  readonly conversations = $derived(sortedConversations(this.#conversations.values()));
  readonly found = $derived(this.conversations.filter((conversation) => matches(conversation, this.search)));
  readonly open = $derived(this.openId === null ? null : (this.#conversations.get(this.openId) ?? null));
  readonly unread = $derived(this.conversations.reduce((sum, { unread }) => sum + unread, 0));

  constructor(readonly backend: Backend) {}

  async start(): Promise<void> {
    // Listening comes first, so that nothing falls between the first answer and the first event.
    await this.backend.onEvent((event) => this.apply(event));
    await this.backend.onStateChanged((state) => this.enter(state));
    try {
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
    this.state = state;
    if (state.type === "firstRun") this.firstRun = true;
    if (state.type !== "ready") return;
    this.profile = state.profile;
    this.connection = state.connection;
    void this.loadConversations();
  }

  /** The first run is over: the account exists, and the phrase was confirmed or put off. */
  async finishFirstRun(profile: ProfileView): Promise<void> {
    this.profile = profile;
    if (this.state.type !== "ready") this.enter(await this.backend.appState());
    this.firstRun = false;
  }

  async loadConversations(): Promise<void> {
    this.#changedMeanwhile = new Set();
    try {
      const list = await this.backend.conversations();
      for (const conversation of list) {
        if (!this.#changedMeanwhile.has(conversation.id)) this.#conversations.set(conversation.id, conversation);
      }
      this.loaded = true;
    } catch (thrown) {
      this.trouble = errorOf(thrown);
    } finally {
      this.#changedMeanwhile = null;
    }
  }

  apply(event: EngineEvent): void {
    switch (event.type) {
      case "message":
        if (event.message.conversation === this.openId) this.timeline?.apply(event.message);
        if (event.arrived) this.#announce(event.message);
        break;
      case "messageDeleted":
        if (event.conversation === this.openId) this.timeline?.remove(event.id);
        break;
      case "conversation":
        this.#show(event.conversation);
        break;
      case "profile":
        this.profile = event.profile;
        break;
      case "keys":
        this.keys = event.keys;
        break;
      case "connection":
        this.connection = event.connection;
        break;
      case "lagged":
        void this.#reload();
        break;
    }
  }

  #show(conversation: ConversationView): void {
    this.#changedMeanwhile?.add(conversation.id);
    this.#conversations.set(conversation.id, conversation);
  }

  #announce(message: MessageView): void {
    if (message.notice) return;
    this.announcement =
      message.conversation === this.openId
        ? `${message.senderName}: ${message.text}`
        : `New message from ${message.senderName}`;
  }

  async #reload(): Promise<void> {
    await this.loadConversations();
    if (this.openId !== null) await this.#openTimeline(this.openId);
    if (this.keys) await this.loadKeys();
    try {
      this.connection = await this.backend.connection();
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
      return errorOf(thrown);
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

  async loadKeys(): Promise<void> {
    this.keys = await this.backend.keys();
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

  openSettings(section: SettingsSection): void {
    this.settingsSection = section;
    this.dialog = "settings";
  }
}
