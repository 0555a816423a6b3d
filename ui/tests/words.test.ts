// @vitest-environment node
import { describe, expect, it } from "vitest";
import type { Notice } from "../src/lib/backend";
import { closedBy, closedLine, isGroupName, isLastAdmin, matchesPerson, questionWords, underTitle } from "../src/lib/words/conversations";
import { lastLineText, noticeLine } from "../src/lib/words/notices";
import { count, namesLine } from "../src/lib/words/people";
import { conversation, group, member } from "./make";

const ada = { by: "Ada", mine: false };
const me = { by: "Maya", mine: true };

describe("notices of a group", () => {
  const lines: [Notice, string][] = [
    [{ type: "unreadable", name: "Bea" }, "A message from Bea could not be read here"],
    [
      { type: "keptBack", name: "Bea", mine: false },
      "A device wrote here that is not among the keys of Bea; its words are kept back until it is. Ask them another way",
    ],
    [
      { type: "keptBack", name: "Maya", mine: true },
      "A device wrote here that is not among your keys; its words are kept back. If you know of none, open Settings, Keys",
    ],
    [{ type: "repaired" }, "This device was let back in; what was written meanwhile is missing here"],
    [{ type: "restarted", name: "Bea", mine: false, spoiler: null }, "Bea started this conversation anew"],
    [
      { type: "restarted", name: "Me", mine: true, spoiler: "Cem" },
      "You started this conversation anew: a change that Cem made had locked the one before",
    ],
    [
      { type: "shutOut", anew: true },
      "Nobody follows you: you were removed or are no admin any more, and started this conversation anew without knowing it. What you wrote since reached nobody. Ask an admin to add you again, and to remove you first where they still see you",
    ],
    [
      { type: "shutOut", anew: false },
      "Nobody has let you back in since you recovered your account a week ago. Ask an admin to remove you and add you again",
    ],
    [{ type: "added", ...me, names: ["Bea", "Cem"], me: false }, "You added Bea and Cem"],
    [{ type: "added", ...ada, names: ["Bea"], me: false }, "Ada added Bea"],
    [{ type: "added", ...ada, names: ["Maya"], me: true }, "Ada added you"],
    [{ type: "added", ...ada, names: ["Bea", "Maya"], me: true }, "Ada added you and 1 other"],
    [{ type: "added", ...ada, names: ["Bea", "Cem", "Maya"], me: true }, "Ada added you and 2 others"],
    [{ type: "removed", ...ada, name: "Maya", me: true }, "Ada removed you"],
    [{ type: "removed", ...me, name: "Cem", me: false }, "You removed Cem"],
    [{ type: "left", name: "Bea", mine: false }, "Bea left"],
    [{ type: "left", name: "Maya", mine: true }, "You left"],
    [{ type: "renamed", ...ada, title: "Sunday birds" }, "Ada renamed the group to Sunday birds"],
    [{ type: "roleChanged", ...ada, name: "Bea", me: false, role: "admin" }, "Ada made Bea an admin"],
    [{ type: "roleChanged", ...me, name: "Bea", me: false, role: "member" }, "You made Bea an ordinary member"],
    [{ type: "roleChanged", ...ada, name: "Maya", me: true, role: "admin" }, "Ada made you an admin"],
    [{ type: "roleChanged", ...me, name: "Maya", me: true, role: "member" }, "You gave up being an admin"],
  ];

  it.each(lines)("%o", (notice, line) => expect(noticeLine(notice)).toBe(line));

  it("stay one quiet line, however many people", () => {
    expect(namesLine(["Bea"])).toBe("Bea");
    expect(namesLine(["Bea", "Cem", "Dan"])).toBe("Bea, Cem and Dan");
    expect(namesLine(["Bea", "Cem", "Dan", "Eva"])).toBe("Bea, Cem and 2 others");
    expect(namesLine(Array.from({ length: 63 }, (_, index) => `N${index}`))).toBe("N0, N1 and 61 others");
    expect(count(1, "person", "people")).toBe("1 person");
  });
});

describe("the list's line", () => {
  const last = { text: "See\nyou", notice: null, at: 1, mine: false, state: "received" } as const;

  it("begins with who speaks, where several people do", () => {
    expect(lastLineText(last)).toBe("See you");
    expect(lastLineText(last, "Bea")).toBe("Bea: See you");
    expect(lastLineText({ ...last, mine: true }, "Bea")).toBe("You: See you");
    expect(lastLineText({ ...last, text: "", notice: { type: "left", name: "Bea", mine: false } }, "Ada")).toBe("Bea left");
  });
});

describe("a conversation as a whole", () => {
  it("says under its title who is in it and how well they are known", () => {
    expect(underTitle(conversation("a"))).toBe("Not verified");
    expect(underTitle(conversation("a", { kind: "group", people: 5 }))).toBe("5 people, not all verified");
    expect(underTitle(conversation("a", { kind: "group", people: 1, trust: "invite" }))).toBe("1 person");
  });

  it("says why nothing can be written", () => {
    expect(closedBy(conversation("a"))).toBeNull();
    expect(closedBy(conversation("a", { standing: "request" }))).toBeNull();
    expect(closedBy(conversation("a", { standing: "request", blocked: true }))).toBe("blocked");
    expect(closedBy(conversation("a", { standing: "removed" }))).toBe("removed");
    for (const closed of ["blocked", "left", "removed"] as const) expect(closedLine(closed, conversation("a"))).toMatch(/^You .*\.$/u);
  });

  it("knows a group's name by its characters, not by its bytes", () => {
    expect(isGroupName("🐦".repeat(64))).toBe(true);
    expect(isGroupName("x".repeat(65))).toBe(false);
    expect(isGroupName("  ")).toBe(false);
  });

  it("finds people by name and address", () => {
    expect(matchesPerson(member("Bea"), "BEA relay")).toBe(true);
    expect(matchesPerson(member("Bea"), "bea ada")).toBe(false);
    expect(matchesPerson(member("Bea"), "")).toBe(true);
  });
});

describe("questions", () => {
  const maya = member("Maya", { me: true, role: "admin" });
  const about = conversation("a", { kind: "group", title: "Birds" });
  const leave = (members: ReturnType<typeof member>[]) => questionWords({ kind: "leave", conversation: about }, group({ members })).text;

  it("tell the last admin that the others become admins", () => {
    expect(isLastAdmin(group({ members: [maya, member("Bea")] }))).toBe(true);
    expect(isLastAdmin(group({ members: [maya, member("Bea", { role: "admin" })] }))).toBe(false);
    expect(isLastAdmin(group({ members: [{ ...maya, role: "member" }, member("Bea", { role: "admin" })] }))).toBe(false);
    expect(isLastAdmin(null)).toBe(false);
    expect(leave([maya, member("Bea")])).toContain("all other members become admins");
    expect(leave([maya, member("Bea", { role: "admin" })])).toContain("Only an admin can add you again");
    expect(leave([maya])).toContain("Nobody else is in this group");
    const asked = { kind: "leave", conversation: { ...about, standing: "request" } } as const;
    expect(questionWords(asked, group({ members: [maya, member("Bea")] })).text).toContain("Nobody is told");
  });

  it("say what follows, in whole sentences", () => {
    const request = conversation("b", { standing: "request", title: "Theo" });
    for (const words of [
      questionWords({ kind: "block", conversation: request }, null),
      questionWords({ kind: "block", conversation: about }, null),
      questionWords({ kind: "delete", conversation: request }, null),
      questionWords({ kind: "delete", conversation: about }, null),
      questionWords({ kind: "delete", conversation: conversation("c") }, null),
      questionWords({ kind: "remove", conversation: about, member: member("Bea") }, null),
    ]) {
      expect(words.title).toMatch(/^[A-Z].*\?$/u);
      expect(words.text).toMatch(/^[A-Z].*\.$/u);
      expect(words.text.length).toBeLessThan(200);
    }
    expect(questionWords({ kind: "delete", conversation: request }, null).text).toContain("can write again");
    expect(questionWords({ kind: "delete", conversation: conversation("d", { blocked: true }) }, null).text).toContain("stays blocked; you can unblock them in Settings");
    const noise = { ...about, standing: "left", blocked: true } as const;
    expect(questionWords({ kind: "delete", conversation: noise }, null).text).toContain("Whoever added you stays blocked; you can unblock them in Settings");
    for (const blocked of [request, about]) {
      expect(questionWords({ kind: "block", conversation: blocked }, null).text).toContain("You can unblock them at any time, here or in Settings.");
    }
    expect(questionWords({ kind: "delete", conversation: about }, null).text).toContain("comes back with the next message");
    expect(questionWords({ kind: "delete", conversation: { ...about, standing: "left" } }, null).text).not.toContain("comes back");
  });
});
