// @vitest-environment node
import { describe, expect, it } from "vitest";
import { firstUnplaced, matches, newestOrder, pendingOrder, sectionsOf, sortedConversations, withMessage, withoutMessage, withPage } from "../src/lib/state/merge";
import { conversation, ids, message } from "./make";

describe("messages", () => {
  it("keeps the engine's order whatever order events come in", () => {
    const list = [5, 1, 4, 2, 3].reduce((all, order) => withMessage(all, message(`m${order}`, order)), [] as ReturnType<typeof message>[]);
    expect(ids(list)).toEqual(["m1", "m2", "m3", "m4", "m5"]);
  });

  it("replaces by id and never shows a message twice", () => {
    const before = [message("a", 1), message("b", 2)];
    const after = withMessage(before, message("a", 1, { text: "changed" }));
    expect(ids(after)).toEqual(["a", "b"]);
    expect(after[0]?.text).toBe("changed");
    expect(before[0]?.text).toBe("text a");
  });

  it("moves a message whose place changed", () => {
    const list = [message("mine", 2, { mine: true }), message("b", 3)];
    expect(ids(withMessage(list, message("mine", 4, { mine: true, state: "sent" })))).toEqual(["b", "mine"]);
  });

  it("keeps what is being sent after everything else", () => {
    const list = withMessage([message("pending", pendingOrder)], message("arrived", 900));
    expect(ids(list)).toEqual(["arrived", "pending"]);
    expect(newestOrder(list)).toBe(900);
    expect(newestOrder([message("pending", pendingOrder)])).toBe(0);
  });

  it("counts no own message as the newest place that the log has not placed", () => {
    expect(newestOrder([message("a", 5), message("failed", firstUnplaced + 1, { mine: true, state: "failed" })])).toBe(5);
  });

  it("removes by id", () => {
    expect(ids(withoutMessage([message("a", 1), message("b", 2)], "a"))).toEqual(["b"]);
  });

  it("takes from a page only what no event has changed since", () => {
    const shown = [message("c", 3, { state: "sent" })];
    const page = [message("a", 1), message("b", 2), message("c", 3, { state: "sending" })];
    const merged = withPage(shown, page, new Set(["b"]));
    expect(ids(merged)).toEqual(["a", "c"]);
    expect(merged[1]?.state).toBe("sent");
  });
});

describe("conversations", () => {
  it("come newest first, and steadily when equal", () => {
    const list = [conversation("b", { activeAt: 1 }), conversation("c", { activeAt: 2 }), conversation("a", { activeAt: 1 })];
    expect(ids(sortedConversations(list))).toEqual(["c", "a", "b"]);
  });

  it("stand apart while they wait for a decision, and when somebody is blocked", () => {
    const list = [
      conversation("request", { standing: "request" }),
      conversation("usual"),
      conversation("blocked-request", { standing: "request", blocked: true }),
      conversation("left", { kind: "group", standing: "left" }),
      conversation("blocked", { blocked: true }),
    ];
    const { requests, usual, blocked } = sectionsOf(list);
    expect([ids(requests), ids(usual), ids(blocked)]).toEqual([["request"], ["usual", "left"], ["blocked-request", "blocked"]]);
  });

  it("are found by every word of a search, in name, address or newest line", () => {
    const ada = conversation("a", {
      title: "Ada Okafor",
      last: { text: "See you Saturday", notice: null, at: 1, mine: false, state: "received" },
    });
    expect(matches(ada, "")).toBe(true);
    expect(matches(ada, "OKA saturday")).toBe(true);
    expect(matches(ada, "relay.example")).toBe(true);
    expect(matches(ada, "okafor sunday")).toBe(false);
  });
});
