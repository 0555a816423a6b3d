/**
 * What the window asks of the engine. Two implementations: `tauri.ts` (the real one) and `fake.ts` (in memory).
 *
 * Every call rejects with a `BackendError`; use `errorOf` to read it.
 */
import type {
  AppState,
  BlockedView,
  Connection,
  ContactView,
  ConversationView,
  DevicesView,
  EngineEvent,
  ErrorView,
  GroupLinkView,
  GroupOfferView,
  GroupView,
  InviteView,
  KeyHistoryItem,
  KeysView,
  LinkWaitView,
  LogView,
  MessagePage,
  MessageView,
  PhraseChallenge,
  PhraseCheck,
  PhraseView,
  ProfileView,
  QrView,
  RelayView,
  Role,
  RotationSchedule,
  SafetyComparison,
  SafetyNumberView,
} from "./types";

export type StopListening = () => void;

export interface Backend {
  appState(): Promise<AppState>;
  retryStart(): Promise<AppState>;
  unlock(passphrase: string): Promise<AppState>;
  checkRelay(address: string): Promise<RelayView>;
  /** The invitation is the operator's, where the relay asks for one. */
  register(
    username: string,
    displayName: string,
    relay: string,
    passphrase: string | null,
    invitation: string | null,
  ): Promise<ProfileView>;
  recover(address: string, phrase: string, passphrase: string | null): Promise<ProfileView>;
  phraseWords(): Promise<PhraseView>;
  phraseChallenge(): Promise<PhraseChallenge>;
  phraseConfirm(firstWord: string, secondWord: string): Promise<ProfileView>;
  conversations(): Promise<ConversationView[]>;
  messages(conversation: string, before: number | null, limit: number): Promise<MessagePage>;
  send(conversation: string, id: string, text: string): Promise<MessageView>;
  retryMessage(id: string): Promise<MessageView>;
  deleteMessage(id: string): Promise<void>;
  setDraft(conversation: string, text: string): Promise<void>;
  markRead(conversation: string, order: number): Promise<ConversationView>;
  acceptRequest(conversation: string): Promise<ConversationView>;
  /** Blocks the other person of a direct conversation, or takes them in again. */
  setBlocked(conversation: string, blocked: boolean): Promise<ConversationView>;
  deleteConversation(conversation: string): Promise<void>;
  contacts(): Promise<ContactView[]>;
  /** Everybody who is blocked, whether or not there is a conversation with them. */
  blocked(): Promise<BlockedView[]>;
  /** Takes somebody in again, by account id. */
  unblock(account: string): Promise<ContactView>;
  addContact(input: string): Promise<ConversationView>;
  noteToSelf(): Promise<ConversationView>;
  myInvite(): Promise<InviteView>;
  renewInvite(): Promise<InviteView>;
  inviteQr(): Promise<QrView>;
  /** People are account ids, here and below. A change is queued; the `group` event tells when the relay has it. */
  createGroup(name: string, people: string[]): Promise<ConversationView>;
  group(conversation: string): Promise<GroupView>;
  addMembers(conversation: string, people: string[]): Promise<GroupView>;
  removeMember(conversation: string, account: string): Promise<GroupView>;
  setRole(conversation: string, account: string, role: Role): Promise<GroupView>;
  renameGroup(conversation: string, name: string): Promise<GroupView>;
  leaveGroup(conversation: string): Promise<ConversationView>;
  /** The own link into a group, if there is one; a new one turns the one before off. */
  groupLink(conversation: string): Promise<GroupLinkView | null>;
  groupLinkQr(conversation: string): Promise<QrView | null>;
  makeGroupLink(conversation: string): Promise<GroupLinkView>;
  endGroupLink(conversation: string): Promise<GroupView>;
  /** What a link into a group says; null where the text is anything else. Nobody is asked. */
  lookAtLink(text: string): Promise<GroupOfferView | null>;
  joinGroup(link: string): Promise<ConversationView>;
  /** Somebody's safety number with oneself, by account id. */
  safetyNumber(account: string): Promise<SafetyNumberView>;
  safetyNumberQr(payload: string): Promise<QrView>;
  /** Compares with what their app shows: digits, or the text of its QR code. Changes nothing. */
  compareSafetyNumber(account: string, shown: string): Promise<SafetyComparison>;
  /** Confirms the number that was shown with these digits, and no other. */
  verify(account: string, digits: string): Promise<SafetyNumberView>;
  unverify(account: string): Promise<SafetyNumberView>;
  keys(): Promise<KeysView>;
  replaceAccountKey(): Promise<KeysView>;
  shutOthersOut(): Promise<KeysView>;
  recoverHere(phrase: string): Promise<KeysView>;
  closeAccount(): Promise<AppState>;
  transparencyLog(): Promise<LogView>;
  /** The log of somebody's relay, by account id. */
  logOf(account: string): Promise<LogView>;
  /** The logs of all relays that have contradicted themselves, the own one or not. */
  contradictedLogs(): Promise<LogView[]>;
  peerLog(conversation: string): Promise<LogView>;
  /** Tells the own relay, which was restored, again what it has lost of the account; the invitation may be blank. */
  registerAgain(invitation: string): Promise<LogView>;
  /** Goes on with a relay's log that has contradicted itself: it is read anew. */
  settleLog(origin: string): Promise<LogView>;
  rotateKeys(): Promise<KeysView>;
  setRotationSchedule(schedule: RotationSchedule): Promise<KeysView>;
  /** What has happened to the keys of an account, newest first. */
  keyHistory(account: string): Promise<KeyHistoryItem[]>;
  /** The own history as a signed text. */
  exportKeyLog(): Promise<string>;
  /** Whether these words are the own recovery phrase; they are looked at and forgotten. */
  checkPhrase(words: string): Promise<PhraseCheck>;
  /** The account's devices, by device id below; the `devices` event tells of all that changes. */
  devices(): Promise<DevicesView>;
  /** A code that links another device; it holds a secret. A new one turns the one before off. */
  offerDeviceLink(): Promise<DevicesView>;
  deviceLinkQr(code: string): Promise<QrView>;
  /** Takes the code back, or refuses the device that asks with it. */
  withdrawDeviceLink(): Promise<DevicesView>;
  acceptDevice(device: string): Promise<DevicesView>;
  revokeDevice(device: string): Promise<DevicesView>;
  /** On a new device: asks to be linked. `finishLink` then waits for the other device; null where it was given up. */
  beginLink(code: string, passphrase: string | null): Promise<LinkWaitView>;
  finishLink(): Promise<ProfileView | null>;
  cancelLink(): Promise<void>;
  setDisplayName(name: string): Promise<ProfileView>;
  copyText(text: string): Promise<void>;
  openLink(url: string): Promise<void>;
  connection(): Promise<Connection>;
  tryNow(): Promise<void>;
  onEvent(listener: (event: EngineEvent) => void): Promise<StopListening>;
  onStateChanged(listener: (state: AppState) => void): Promise<StopListening>;
}

export class BackendError extends Error {
  constructor(readonly view: ErrorView) {
    super(view.code);
  }
}

/** The typed error inside whatever was thrown; a fault of the bridge itself counts as internal. */
export function errorOf(thrown: unknown): ErrorView {
  if (thrown instanceof BackendError) return thrown.view;
  return { code: "internal", detail: thrown instanceof Error ? thrown.message : String(thrown) };
}
