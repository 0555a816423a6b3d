/** Who knows whom in the fake backend: contacts, and the people of its groups. Only lists; `fake-group-calls.ts` tells of changes. */
import { BackendError } from "./backend";
import type { ContactView, GroupView, MemberView, ProfileView, Role, Trust } from "./types";

const most = 64;

function person(name: string, address: string, accountId: string, trust: Trust): ContactView {
  return { accountId, name, address, trust };
}

export const ada = person("Ada Okafor", "ada@post.example.org", "a1b2c3d4e5f60718293a4b5c6d7e8f90", "invite");
export const jonas = person("Jonas Brandt", "jonas@post.example.org", "77d0e3c51b86f40a92ce6d139f2c41ab", "firstUse");
export const xiaolong = person("李小龍", "xiaolong@post.example.org", "0455bd9ac2e6b718fd4c90a25530d8be", "firstUse");
export const bea = person("Bea Holm", "bea@post.example.org", "31c9d87e60f2b45a8d17e3f0924b6ca5", "invite");
export const cem = person("Cem Yıldız", "cem@relay.neighbourhood.example.net:8443", "c4e80b6f1d23957ae46f08b19d7c5a3e", "firstUse");
/** Her devices have left no key to be added with. */
export const noor = person("Noor", "noor@post.example.org", "f00dfacecafe0123456789abcdef0042", "firstUse");

export const fakeContacts: ContactView[] = [ada, bea, cem, jonas, noor, xiaolong];

/** More than a group holds. */
export function manyContacts(): ContactView[] {
  const invented = Array.from({ length: 94 }, (_, index) => {
    const number = String(index + 1).padStart(2, "0");
    return person(`Neighbour ${number}`, `neighbour${number}@post.example.org`, number.padStart(32, "e"), index % 3 === 0 ? "firstUse" : "invite");
  });
  return [...fakeContacts, ...invented];
}

function memberOf(contact: ContactView, role: Role): MemberView {
  return { ...contact, role, me: false, devices: 1, safety: "notVerified" };
}

export function meAs(profile: ProfileView, role: Role): MemberView {
  const { accountId, displayName, address } = profile;
  return { accountId, name: displayName, address, role, me: true, trust: "own", devices: 1, safety: "notVerified" };
}

export function groupOf(conversation: string, name: string, me: MemberView, others: readonly [ContactView, Role][]): GroupView {
  const members = others.map(([contact, role]) => memberOf(contact, role)).sort((left, right) => (left.name < right.name ? -1 : 1));
  return { conversation, name, admin: me.role === "admin", members: [me, ...members], pending: 0, hasLink: false };
}

function fault(code: ConstructorParameters<typeof BackendError>[0]["code"]): BackendError {
  return new BackendError({ code, detail: "fake group" });
}

function asAdmin(group: GroupView): void {
  if (!group.admin) throw fault("notAdmin");
}

export function checkName(name: string): void {
  const { length } = [...name.trim()];
  if (length < 1 || length > most) throw fault("invalidGroupName");
}

function contactOf(contacts: readonly ContactView[], account: string): ContactView {
  if (account === noor.accountId) throw fault("noKeyPackage");
  const contact = contacts.find(({ accountId }) => accountId === account);
  if (!contact) throw fault("notFound");
  return contact;
}

/** The changes, each giving a whole new group. */
export const changed = {
  added(group: GroupView, contacts: readonly ContactView[], people: readonly string[]): GroupView {
    asAdmin(group);
    if (group.members.length + people.length > most) throw fault("groupFull");
    const fresh = people.map((account) => [contactOf(contacts, account), "member"] as [ContactView, Role]);
    const [me, ...others] = group.members;
    if (!me) throw fault("notMember");
    const known = others.map((member) => [member, member.role] as [ContactView, Role]);
    return groupOf(group.conversation, group.name, me, [...known, ...fresh]);
  },
  without(group: GroupView, account: string): GroupView {
    return { ...group, members: group.members.filter(({ accountId }) => accountId !== account) };
  },
  removed(group: GroupView, account: string): GroupView {
    asAdmin(group);
    return changed.without(group, account);
  },
  withRole(group: GroupView, account: string, role: Role): GroupView {
    asAdmin(group);
    return { ...group, members: group.members.map((member) => (member.accountId === account ? { ...member, role } : member)) };
  },
  renamed(group: GroupView, name: string): GroupView {
    asAdmin(group);
    checkName(name);
    return { ...group, name: name.trim() };
  },
};

/** How the first contact's keys were found that is least known. */
export function trustOf(group: GroupView): Trust {
  return group.members.some(({ trust }) => trust === "firstUse") ? "firstUse" : "invite";
}
