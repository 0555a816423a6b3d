/** The real backend: the desktop shell's commands and events. The only user of the generated bindings' functions. */
import type { Backend } from "./backend";
import { BackendError } from "./backend";
import { commands, events } from "./bindings";
import type { AppState, EngineEvent, ErrorView } from "./types";

type Answer<T> = { status: "ok"; data: T } | { status: "error"; error: ErrorView };

// `Out` is `In` with whole numbers where specta says `number | null` (see types.ts); the value is the same.
async function ask<Out>(answer: Promise<Answer<unknown>>): Promise<Out> {
  const result = await answer;
  if (result.status === "error") throw new BackendError(result.error);
  return result.data as Out;
}

export const tauriBackend: Backend = {
  appState: () => ask(commands.appState()),
  retryStart: () => ask(commands.retryStart()),
  unlock: (passphrase) => ask(commands.unlock(passphrase)),
  checkRelay: (address) => ask(commands.checkRelay(address)),
  register: (username, displayName, relay, passphrase) =>
    ask(commands.register(username, displayName, relay, passphrase)),
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
  addContact: (input) => ask(commands.addContact(input)),
  noteToSelf: () => ask(commands.noteToSelf()),
  myInvite: () => ask(commands.myInvite()),
  inviteQr: () => ask(commands.inviteQr()),
  keys: () => ask(commands.keys()),
  rotateKeys: () => ask(commands.rotateKeys()),
  setDisplayName: (name) => ask(commands.setDisplayName(name)),
  copyText: (text) => ask(commands.copyText(text)),
  openLink: (url) => ask(commands.openLink(url)),
  connection: () => ask(commands.connection()),
  tryNow: () => ask(commands.tryNow()),
  onEvent: (listener) => events.engineEvent.listen((event) => listener(event.payload as EngineEvent)),
  onStateChanged: (listener) => events.stateChanged.listen((event) => listener(event.payload as AppState)),
};
