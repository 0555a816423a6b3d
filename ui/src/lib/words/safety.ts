/** The words about safety numbers: how somebody stands, what came of comparing, and what is asked before words go to keys in doubt. */
import type { ErrorCode, Safety, SafetyComparison, SafetyNumberView, Trust } from "../backend";
import { namesLine } from "./people";
import { exactTime } from "./time";

export const safetyWords: Record<Exclude<Safety, "notVerified">, { short: string; long: string }> = {
  verified: {
    short: "Verified",
    long: "You have compared the safety number. Every change of their keys since then is proved by the keys that you compared.",
  },
  ask: {
    short: "Verify again",
    long: "You had verified this person. Since then they have begun anew with their recovery phrase, or with other devices. Nothing is sent until you compare again.",
  },
  broken: {
    short: "Keys in doubt",
    long: "The relay shows keys that do not follow from those known, or keeps back newer ones that its log has. Nothing is sent until it shows the right ones.",
  },
};

/** Whether something is to be looked into: nobody has compared anything, or what was compared stands no more. */
export function isUnsure({ safety, trust }: { safety: Safety; trust: Trust }): boolean {
  return safety === "ask" || safety === "broken" || (safety === "notVerified" && trust === "firstUse");
}

/** How somebody stands, beside their number. */
export function standingLine({ safety, verifiedAt }: SafetyNumberView): string {
  switch (safety) {
    case "verified":
      return verifiedAt === null ? "Verified" : `Verified on ${exactTime(verifiedAt)}`;
    case "notVerified":
      return "Not verified";
    default:
      return safetyWords[safety].short;
  }
}

/** What is said under it. */
export function standingNote({ safety, name }: SafetyNumberView): string {
  if (safety !== "notVerified") return safetyWords[safety].long;
  return `Compare these digits with ${name}, in person or on a call. If both of you see the same, nobody stands between you.`;
}

export const comparisonWords: Record<SafetyComparison, { title: string; text: string }> = {
  match: {
    title: "It is the same",
    text: "Both apps have the same keys. You can mark this person as verified.",
  },
  mismatch: {
    title: "It is not the same",
    text: "Somebody may be reading along, or one of you has not seen the newest keys. Send nothing that matters, and compare again in person.",
  },
  notForThisConversation: {
    title: "This is not theirs",
    text: "It is your own code, or that of somebody else whom you know. If it comes from this person's app, send nothing that matters.",
  },
  damaged: {
    title: "This cannot be read",
    text: "It is neither 60 digits nor the text of a code. Copy it again, as a whole.",
  },
};

/** Somebody whose keys keep words from being sent. */
export interface Doubted {
  accountId: string;
  name: string;
  safety: Safety;
}

/** Whether an error says that somebody's keys are in doubt. */
export function isDoubt(code: ErrorCode): code is "verifyAgain" | "keysInDoubt" {
  return code === "verifyAgain" || code === "keysInDoubt";
}

/** The dialog before words to keys in doubt: cause, consequence, and what can be done. */
export function doubtWords(code: "verifyAgain" | "keysInDoubt", people: readonly Doubted[], hasText: boolean) {
  const names = people.length > 0 ? namesLine(people.map(({ name }) => name)) : "Somebody here";
  const verb = people.length > 1 ? "have" : "has";
  const kept = hasText ? "Nothing was sent; your text is kept." : "Nothing is sent.";
  if (code === "keysInDoubt") {
    return {
      title: `The keys of ${people.length > 0 ? names : "somebody here"} are in doubt`,
      cause: "The relay shows keys that do not follow from those you know, or keeps back newer ones that its log has. The relay may be at fault, or somebody tries to stand between you.",
      consequence: `${kept} It can be sent as soon as the relay shows the right keys; Waxwing keeps looking.`,
      look: "Show safety number",
      anyway: null,
    };
  }
  return {
    title: `Verify ${people.length > 0 ? names : "somebody"} again`,
    cause: `${names} ${verb} begun anew with other devices since you verified them. That is what a new computer looks like, and also what somebody else looks like who has their recovery phrase.`,
    consequence: `${kept} Let them back in? Until you decide, Waxwing does not let their new device into your conversations. Compare the safety number first, or go on as with somebody you have not verified.`,
    look: "Compare safety number",
    anyway: hasText ? "Send anyway" : "Go on unverified",
  };
}
