/** The fake backend's calls about groups and the links into them. */
import { fakeGroupLink, fakeInvite, fakeQr } from "./fake-data";
import { type FakeEngine, fault } from "./fake-engine";
import { ada, changed, checkName, groupOf, meAs, trustOf } from "./fake-groups";
import type { GroupView, Notice, Role } from "./types";

export class FakeGroupCalls {
  #links = 0;

  constructor(protected readonly engine: FakeEngine) {}

  createGroup = (name: string, people: string[]) =>
    this.engine.answer("createGroup", [name, people], () => {
      checkName(name);
      const conversation = this.engine.start({ title: name.trim(), address: null, kind: "group", trust: "own" });
      const alone = groupOf(conversation.id, name.trim(), meAs(this.engine.profile, "admin"), []);
      this.engine.groups.set(conversation.id, alone);
      try {
        this.#changeGroup(changed.added(alone, this.engine.contacts, people), this.#addedNotice(people));
      } catch (thrown) {
        this.engine.conversations = this.engine.conversations.filter(({ id }) => id !== conversation.id);
        this.engine.emit({ type: "conversationDeleted", conversation: conversation.id });
        throw thrown;
      }
      return this.engine.conversation(conversation.id);
    });

  group = (conversation: string) => this.engine.answer("group", [conversation], () => this.engine.group(conversation));

  addMembers = (conversation: string, people: string[]) =>
    this.engine.answer("addMembers", [conversation, people], () =>
      this.#changeGroup(changed.added(this.engine.group(conversation), this.engine.contacts, people), this.#addedNotice(people)),
    );

  removeMember = (conversation: string, account: string) =>
    this.engine.answer("removeMember", [conversation, account], () => {
      const group = this.engine.group(conversation);
      const name = group.members.find(({ accountId }) => accountId === account)?.name ?? "";
      return this.#changeGroup(changed.removed(group, account), { type: "removed", ...this.engine.byMe(), name, me: false });
    });

  setRole = (conversation: string, account: string, role: Role) =>
    this.engine.answer("setRole", [conversation, account, role], () => {
      const group = this.engine.group(conversation);
      const name = group.members.find(({ accountId }) => accountId === account)?.name ?? "";
      const notice: Notice = { type: "roleChanged", ...this.engine.byMe(), name, me: false, role };
      return this.#changeGroup(changed.withRole(group, account, role), notice);
    });

  renameGroup = (conversation: string, name: string) =>
    this.engine.answer("renameGroup", [conversation, name], () => {
      const notice: Notice = { type: "renamed", ...this.engine.byMe(), title: name.trim() };
      return this.#changeGroup(changed.renamed(this.engine.group(conversation), name), notice);
    });

  leaveGroup = (conversation: string) =>
    this.engine.answer("leaveGroup", [conversation], () => {
      const { accountId, displayName } = this.engine.profile;
      const rest = { ...changed.without(this.engine.group(conversation), accountId), admin: false };
      this.engine.change(conversation, { standing: "left" });
      this.#changeGroup(rest, { type: "left", name: displayName, mine: true });
      return this.engine.conversation(conversation);
    });

  #linkOf(conversation: string) {
    return this.engine.group(conversation).hasLink ? { conversation, link: `${fakeInvite}${this.#links}` } : null;
  }

  groupLink = (conversation: string) => this.engine.answer("groupLink", [conversation], () => this.#linkOf(conversation));

  groupLinkQr = (conversation: string) =>
    this.engine.answer("groupLinkQr", [conversation], () => (this.#linkOf(conversation) ? { size: 49, modules: fakeQr(49) } : null));

  makeGroupLink = (conversation: string) =>
    this.engine.answer("makeGroupLink", [conversation], () => {
      this.#links += 1;
      this.#setLink(conversation, true);
      return { conversation, link: `${fakeInvite}${this.#links}` };
    });

  endGroupLink = (conversation: string) => this.engine.answer("endGroupLink", [conversation], () => this.#setLink(conversation, false));

  #setLink(conversation: string, hasLink: boolean): GroupView {
    const group = { ...this.engine.group(conversation), hasLink };
    if (!group.admin) throw fault("notAdmin");
    this.engine.groups.set(conversation, group);
    this.engine.emit({ type: "group", group: structuredClone(group) });
    return structuredClone(group);
  }

  lookAtLink = (text: string) =>
    this.engine.answer("lookAtLink", [text], () => {
      if (text !== fakeGroupLink) return null;
      if (this.engine.conversations.some(({ title, standing }) => title === "Night walks" && standing === "member")) throw fault("alreadyMember");
      return { conversation: "e".repeat(64), title: "Night walks", inviter: ada.name, address: ada.address };
    });

  joinGroup = (link: string) =>
    this.engine.answer("joinGroup", [link], () => {
      if (link !== fakeGroupLink) throw fault("invalidLink");
      const asked = this.engine.start({ title: "Night walks", address: null, kind: "group", trust: "invite" });
      this.engine.groups.set(asked.id, { conversation: asked.id, name: asked.title, admin: false, members: [], pending: 0, hasLink: false });
      return this.engine.change(asked.id, { standing: "asked", inviter: ada.name });
    });

  #addedNotice(people: readonly string[]): Notice {
    const names = this.engine.contacts.filter(({ accountId }) => people.includes(accountId)).map(({ name }) => name);
    return { type: "added", ...this.engine.byMe(), names, me: false };
  }

  /** Shown at once as on its way; once the relay has it, the timeline says so. */
  #changeGroup(group: GroupView, notice: Notice): GroupView {
    const { conversation } = group;
    const waiting = { ...group, pending: group.pending + 1 };
    this.engine.groups.set(conversation, waiting);
    this.engine.emit({ type: "group", group: structuredClone(waiting) });
    this.engine.change(conversation, { title: group.name, people: group.members.length, trust: trustOf(group) });
    if (this.engine.connection.type === "online") setTimeout(() => this.#groupChanged(conversation, notice), this.engine.scenario.latency * 5);
    return structuredClone(waiting);
  }

  #groupChanged(conversation: string, notice: Notice): void {
    const group = this.engine.groups.get(conversation);
    if (!group) return;
    const settled = { ...group, pending: group.pending - 1 };
    this.engine.groups.set(conversation, settled);
    this.engine.emit({ type: "group", group: structuredClone(settled) });
    const order = ++this.engine.order;
    this.engine.store({
      id: order.toString(16).padStart(32, "b"),
      conversation,
      order,
      sender: this.engine.profile.accountId,
      senderName: this.engine.profile.displayName,
      mine: true,
      at: Date.now(),
      clockOff: false,
      text: "",
      notice,
      state: "sent",
      error: null,
    });
  }
}
