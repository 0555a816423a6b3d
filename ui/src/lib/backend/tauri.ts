/** The real backend: the desktop shell's commands and events. The only user of the generated bindings' functions. */
import type { Backend } from "./backend";
import { BackendError } from "./backend";
import { commands, events } from "./bindings";
import type { AppState, EngineEvent, ErrorView } from "./types";

type Answer<T> = { status: "ok"; data: T } | { status: "error"; error: ErrorView };

// `Out` is `In` with whole numbers where specta says `number | null` (see types.ts); the value is the same.
async function ask<Out>(answer: Promise<Answer<unknown>>): Promise<Out> {
  const result = await answer;
  if (result.status === "ok") return result.data as Out;
  // A refusal of the bridge itself is a text, and no error of the engine.
  throw typeof result.error === "string" ? new Error(result.error) : new BackendError(result.error);
}

export const tauriBackend: Backend = {
  appState: () => ask(commands.appState()),
  retryStart: () => ask(commands.retryStart()),
  unlock: (passphrase) => ask(commands.unlock(passphrase)),
  checkRelay: (address) => ask(commands.checkRelay(address)),
  recover: (address, phrase, passphrase) => ask(commands.recover(address, phrase, passphrase)),
  register: (username, displayName, relay, passphrase, invitation) =>
    ask(commands.register(username, displayName, relay, passphrase, invitation)),
  phraseWords: () => ask(commands.phraseWords()),
  phraseChallenge: () => ask(commands.phraseChallenge()),
  phraseConfirm: (firstWord, secondWord) => ask(commands.phraseConfirm(firstWord, secondWord)),
  conversations: () => ask(commands.conversations()),
  messages: (conversation, before, limit) => ask(commands.messages(conversation, before, limit)),
  send: (conversation, id, text) => ask(commands.send(conversation, id, text)),
  retryMessage: (id) => ask(commands.retryMessage(id)),
  deleteMessage: (id) => ask(commands.deleteMessage(id)),
  setDraft: (conversation, text) => ask(commands.setDraft(conversation, text)),
  markRead: (conversation, order) => ask(commands.markRead(conversation, order)),
  acceptRequest: (conversation) => ask(commands.acceptRequest(conversation)),
  setBlocked: (conversation, blocked) => ask(commands.setBlocked(conversation, blocked)),
  deleteConversation: (conversation) => ask(commands.deleteConversation(conversation)),
  contacts: () => ask(commands.contacts()),
  blocked: () => ask(commands.blocked()),
  unblock: (account) => ask(commands.unblock(account)),
  addContact: (input) => ask(commands.addContact(input)),
  noteToSelf: () => ask(commands.noteToSelf()),
  myInvite: () => ask(commands.myInvite()),
  renewInvite: () => ask(commands.renewInvite()),
  inviteQr: () => ask(commands.inviteQr()),
  createGroup: (name, people) => ask(commands.createGroup(name, people)),
  group: (conversation) => ask(commands.group(conversation)),
  addMembers: (conversation, people) => ask(commands.addMembers(conversation, people)),
  removeMember: (conversation, account) => ask(commands.removeMember(conversation, account)),
  setRole: (conversation, account, role) => ask(commands.setRole(conversation, account, role)),
  renameGroup: (conversation, name) => ask(commands.renameGroup(conversation, name)),
  leaveGroup: (conversation) => ask(commands.leaveGroup(conversation)),
  groupLink: (conversation) => ask(commands.groupLink(conversation)),
  groupLinkQr: (conversation) => ask(commands.groupLinkQr(conversation)),
  makeGroupLink: (conversation) => ask(commands.makeGroupLink(conversation)),
  endGroupLink: (conversation) => ask(commands.endGroupLink(conversation)),
  lookAtLink: (text) => ask(commands.lookAtLink(text)),
  joinGroup: (link) => ask(commands.joinGroup(link)),
  safetyNumber: (account) => ask(commands.safetyNumber(account)),
  safetyNumberQr: (payload) => ask(commands.safetyNumberQr(payload)),
  compareSafetyNumber: (account, shown) => ask(commands.compareSafetyNumber(account, shown)),
  verify: (account, digits) => ask(commands.verify(account, digits)),
  unverify: (account) => ask(commands.unverify(account)),
  keys: () => ask(commands.keys()),
  replaceAccountKey: () => ask(commands.replaceAccountKey()),
  shutOthersOut: () => ask(commands.shutOthersOut()),
  recoverHere: (phrase) => ask(commands.recoverHere(phrase)),
  closeAccount: () => ask(commands.closeAccount()),
  transparencyLog: () => ask(commands.transparencyLog()),
  logOf: (account) => ask(commands.logOf(account)),
  contradictedLogs: () => ask(commands.contradictedLogs()),
  peerLog: (conversation) => ask(commands.peerLog(conversation)),
  registerAgain: (invitation) => ask(commands.registerAgain(invitation)),
  settleLog: (origin) => ask(commands.settleLog(origin)),
  rotateKeys: () => ask(commands.rotateKeys()),
  setRotationSchedule: (schedule) => ask(commands.setRotationSchedule(schedule)),
  keyHistory: (account) => ask(commands.keyHistory(account)),
  exportKeyLog: () => ask(commands.exportKeyLog()),
  checkPhrase: (words) => ask(commands.checkPhrase(words)),
  devices: () => ask(commands.devices()),
  offerDeviceLink: () => ask(commands.offerDeviceLink()),
  deviceLinkQr: (code) => ask(commands.deviceLinkQr(code)),
  withdrawDeviceLink: () => ask(commands.withdrawDeviceLink()),
  acceptDevice: (device) => ask(commands.acceptDevice(device)),
  revokeDevice: (device) => ask(commands.revokeDevice(device)),
  beginLink: (code, passphrase) => ask(commands.beginLink(code, passphrase)),
  finishLink: () => ask(commands.finishLink()),
  cancelLink: () => ask(commands.cancelLink()),
  setDisplayName: (name) => ask(commands.setDisplayName(name)),
  copyText: (text) => ask(commands.copyText(text)),
  openLink: (url) => ask(commands.openLink(url)),
  connection: () => ask(commands.connection()),
  tryNow: () => ask(commands.tryNow()),
  onEvent: (listener) => events.engineEvent.listen((event) => listener(event.payload as EngineEvent)),
  onStateChanged: (listener) => events.stateChanged.listen((event) => listener(event.payload as AppState)),
};
