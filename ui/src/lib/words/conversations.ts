/** The words about a conversation as a whole: who is in it, how one stands in it, and what is asked before it changes. */
import type { ContactView, ConversationView, GroupView, Trust } from "../backend";
import type { Question } from "../state/app.svelte";
import { trustWords } from "./notices";
import { count } from "./people";
import { safetyWords } from "./safety";

/** The most people in a group, oneself among them. */
export const mostPeople = 64;
export const mostNameCharacters = 64;

export function peopleWords(people: number): string {
  return count(people, "person", "people");
}

/** The same as `trustWords`, for all the people of a group together. */
export const groupTrustWords: Record<Trust, { short: string; long: string }> = {
  firstUse: {
    short: "Not all verified",
    long: "Nobody has compared the keys of those marked above. Waxwing trusts the keys it saw first and refuses others that do not follow from them.",
  },
  invite: {
    short: "All from invite links",
    long: "You have an invite link of everybody here, and it names their keys. It is as good as the way it reached you.",
  },
  own: {
    short: "Only you",
    long: "Nobody else is in this group.",
  },
};

/** The same as `safetyWords`, for all the people of a group together. */
export const groupSafetyWords: typeof safetyWords = {
  verified: {
    short: "All verified",
    long: "You have compared the safety number of everybody here. Every change of their keys since then is proved by the keys that you compared.",
  },
  ask: {
    short: "Somebody to verify again",
    long: "Somebody here whom you had verified has begun anew with other devices. Nothing is sent until you compare again, or take the verification back.",
  },
  broken: {
    short: "Somebody's keys in doubt",
    long: "The relay shows keys of somebody here that do not follow from those known, or keeps back newer ones that its log has. Nothing is sent until it shows the right ones.",
  },
};

/** Of a group that one has asked to be let into. */
export const waitingWords = "Waiting to be let in";

/** The line under a conversation's title. */
export function underTitle({ kind, people, trust, standing, safety }: ConversationView): string {
  if (standing === "asked") return waitingWords;
  if (kind !== "group") return safety === "notVerified" ? trustWords[trust].short : safetyWords[safety].short;
  if (safety !== "notVerified") return `${peopleWords(people)}, ${groupSafetyWords[safety].short.toLocaleLowerCase()}`;
  return trust === "firstUse" ? `${peopleWords(people)}, not all verified` : peopleWords(people);
}

/** Why nothing can be written here, in one quiet line; none where one can write. */
export type Closed = "blocked" | "left" | "removed" | "asked";

export function closedBy({ blocked, standing }: ConversationView): Closed | null {
  if (blocked) return "blocked";
  return standing === "left" || standing === "removed" || standing === "asked" ? standing : null;
}

export function closedLine(closed: Closed, { kind, title, inviter }: ConversationView): string {
  switch (closed) {
    case "blocked":
      if (kind === "group") return `You left ${title} and blocked whoever added you to it.`;
      return `You blocked ${title}. Nothing of theirs reaches you.`;
    case "left":
      return "You left this group. What was said stays readable.";
    case "removed":
      return "You were removed from this group. What was said stays readable.";
    case "asked":
      return `You asked to join. ${inviter ?? "The person"}'s app lets you in when it is next online.`;
  }
}

/** Whether everybody else becomes an admin if one leaves, because no other admin is left. */
export function isLastAdmin(group: GroupView | null): boolean {
  const admins = group?.members.filter(({ role }) => role === "admin") ?? [];
  return admins.length === 1 && admins[0]?.me === true && (group?.members.length ?? 0) > 1;
}

export interface QuestionWords {
  title: string;
  text: string;
  button: string;
}

export function questionWords(question: Question, group: GroupView | null): QuestionWords {
  const { title } = question.conversation;
  switch (question.kind) {
    case "block":
      if (question.conversation.kind === "group") {
        return {
          title: "Block whoever added you?",
          text: `You leave ${title}, and nothing that they send reaches you: they cannot add you to another group either. They are not told. You can unblock them at any time, here or in Settings.`,
          button: "Block",
        };
      }
      return {
        title: `Block ${title}?`,
        text: "Nothing that they send reaches you while they are blocked, and you cannot write to them. They are not told. You can unblock them at any time, here or in Settings.",
        button: "Block",
      };
    case "delete":
      return {
        title: deleteTitle(question.conversation),
        text: deleteText(question.conversation),
        button: question.conversation.standing === "asked" ? "Stop waiting" : "Delete",
      };
    case "leave":
      return {
        title: `Leave ${title}?`,
        text: leaveText(question.conversation, group),
        button: "Leave",
      };
    case "remove":
      return {
        title: `Remove ${question.member.name}?`,
        text: "They get nothing that is written from then on, and keep what they have. Everybody in the group sees that you removed them.",
        button: "Remove",
      };
  }
}

function leaveText({ standing }: ConversationView, group: GroupView | null): string {
  if (standing === "request") return "You get nothing that is written from then on. Nobody is told, and what was said stays readable here.";
  if (group?.members.length === 1) return "Nobody else is in this group. What was said stays readable here.";
  const then = isLastAdmin(group) ? "You are the last admin: all other members become admins." : "Only an admin can add you again.";
  return `The others see that you left, and you get nothing that is written from then on. What was said stays readable here. ${then}`;
}

function deleteTitle({ kind, standing, title }: ConversationView): string {
  if (standing === "request") return "Delete this request?";
  if (standing === "asked") return `Stop waiting for ${title}?`;
  return kind === "group" ? `Delete ${title}?` : `Delete the conversation with ${title}?`;
}

function deleteText({ kind, standing, blocked }: ConversationView): string {
  if (standing === "asked") {
    return "The group goes from your list. If your wish has arrived already and you are let in, that comes to you as a request, unless you know the person.";
  }
  const here = "All its messages are deleted from this computer, for good.";
  if (kind === "group") {
    if (blocked) return `${here} Whoever added you stays blocked; you can unblock them in Settings.`;
    if (standing === "left" || standing === "removed") return `${here} The others keep theirs.`;
    return `${here} Nobody is told, and the group comes back with the next message in it. Leave it if you do not want that.`;
  }
  if (blocked) return `${here} The other person is not told, and stays blocked; you can unblock them in Settings.`;
  if (standing === "request") return `${here} They are not told, and can write again. Block them if you do not want that.`;
  return `${here} The other person keeps theirs and is not told, and can write again.`;
}

/** Whether a contact answers a search: every word is in the name or the address. */
export function matchesPerson({ name, address }: ContactView, search: string): boolean {
  const text = `${name}\n${address}`.toLocaleLowerCase();
  return search
    .toLocaleLowerCase()
    .split(/\s+/u)
    .every((word) => text.includes(word));
}

/** As the engine counts: 1 to 64 characters, whatever their bytes. */
export function isGroupName(name: string): boolean {
  const characters = [...name.trim()].length;
  return characters >= 1 && characters <= mostNameCharacters;
}
