// @vitest-environment node
import { describe, expect, it } from "vitest";
import type { Backend, MessagePage, MessageView } from "../src/lib/backend";
import { Timeline } from "../src/lib/state/timeline.svelte";
import { firstUnplaced } from "../src/lib/state/merge";
import { conversationId, ids, message } from "./make";

/** A store whose pages arrive when the test lets them. */
function slowStore() {
  let deliver: ((page: MessagePage) => void) | undefined;
  const asked: (number | null)[] = [];
  const backend = {
    messages: (_: string, before: number | null) => {
      asked.push(before);
      return new Promise<MessagePage>((resolve) => (deliver = resolve));
    },
  } as unknown as Backend;
  const timeline = new Timeline(backend, conversationId);
  return {
    timeline,
    /** Before which orders pages were asked for. */
    asked,
    deliver: async (page: MessagePage) => {
      deliver?.(page);
      await new Promise((done) => setTimeout(done));
    },
  };
}

const pending = (id: string): Omit<MessageView, "order" | "conversation"> => message(id, 0, { mine: true, state: "sending" });

describe("timeline", () => {
  it("makes the optimistic row and the stored row one", () => {
    const { timeline } = slowStore();
    timeline.addPending(pending("m"));
    expect(timeline.messages).toHaveLength(1);
    timeline.settle(message("m", 7, { mine: true, state: "sending" }));
    timeline.apply(message("m", 9, { mine: true, state: "sent" }));
    expect(timeline.messages).toHaveLength(1);
    expect(timeline.messages[0]).toMatchObject({ id: "m", order: 9, state: "sent" });
  });

  it("does not let the answer of `send` undo an event that came before it", () => {
    const { timeline } = slowStore();
    timeline.addPending(pending("m"));
    timeline.apply(message("m", 9, { mine: true, state: "sent" }));
    timeline.settle(message("m", 7, { mine: true, state: "sending" }));
    expect(timeline.messages[0]).toMatchObject({ order: 9, state: "sent" });
  });

  it("drops an optimistic row that was refused, and only that", () => {
    const { timeline } = slowStore();
    timeline.apply(message("stored", 1, { mine: true, state: "sent" }));
    timeline.addPending(pending("refused"));
    timeline.dropPending("refused");
    timeline.dropPending("stored");
    expect(ids(timeline.messages)).toEqual(["stored"]);
  });

  it("keeps what arrived while its first page was on the way", async () => {
    const { timeline, deliver } = slowStore();
    const loading = timeline.load(0);
    timeline.apply(message("new", 5));
    timeline.remove("gone");
    await deliver({ messages: [message("old", 1), message("gone", 2)], more: false });
    await loading;
    expect(ids(timeline.messages)).toEqual(["old", "new"]);
    expect(timeline.loaded).toBe(true);
  });

  it("puts older pages before what is shown", async () => {
    const { timeline, deliver } = slowStore();
    void timeline.load(0);
    await deliver({ messages: [message("c", 3)], more: true });
    const older = timeline.loadOlder();
    await deliver({ messages: [message("a", 1), message("b", 2)], more: false });
    await older;
    expect(ids(timeline.messages)).toEqual(["a", "b", "c"]);
    expect(timeline.more).toBe(false);
    expect(timeline.prepending).toBe(false);
  });

  it("leaves a changed message that lies before the loaded part to its page", async () => {
    const { timeline, deliver } = slowStore();
    void timeline.load(0);
    await deliver({ messages: [message("c", 300)], more: true });
    timeline.apply(message("ancient", 2));
    expect(ids(timeline.messages)).toEqual(["c"]);
  });

  it("takes what arrives or is placed although nothing placed is shown, and leaves no gap before it", async () => {
    const { timeline, deliver, asked } = slowStore();
    const waiting = (id: string, n: number) => message(id, firstUnplaced + n, { mine: true, state: "sending" });
    void timeline.load(0);
    await deliver({ messages: [waiting("x", 7), waiting("y", 8)], more: true });
    timeline.apply(message("arrived", 100));
    timeline.apply(message("x", 101, { mine: true, state: "sent" }));
    expect(ids(timeline.messages)).toEqual(["arrived", "x", "y"]);
    const older = timeline.loadOlder();
    await deliver({ messages: [message("old", 99), message("arrived", 100), waiting("w", 6)], more: false });
    await older;
    expect(asked).toEqual([null, firstUnplaced + 7]);
    expect(ids(timeline.messages)).toEqual(["old", "arrived", "x", "w", "y"]);
  });

  it("follows a message that it shows, wherever its place is now", async () => {
    const { timeline, deliver } = slowStore();
    void timeline.load(0);
    await deliver({ messages: [message("a", 50), message("b", 60)], more: true });
    timeline.apply(message("b", 40, { text: "changed" }));
    expect(ids(timeline.messages)).toEqual(["b", "a"]);
    expect(timeline.messages[0]?.text).toBe("changed");
  });
});
