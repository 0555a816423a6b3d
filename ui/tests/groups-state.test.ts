// @vitest-environment node
import { describe, expect, it } from "vitest";
import type { Backend, GroupView } from "../src/lib/backend";
import { Groups } from "../src/lib/state/groups.svelte";
import { Speakers } from "../src/lib/state/speakers.svelte";
import { conversation, conversationId, group, message } from "./make";

/** An engine whose answers come when the test lets them. */
function slow() {
  const waiting: ((group: GroupView) => void)[] = [];
  const ask = () => new Promise<GroupView>((resolve) => waiting.push(resolve));
  const groups = new Groups({ group: ask } as unknown as Backend);
  return { groups, ask, answer: (index: number, name: string) => waiting[index]?.(group({ name })) };
}

const name = (groups: Groups) => groups.of(conversationId)?.name;

describe("groups", () => {
  it("show what was asked for", async () => {
    const { groups, answer } = slow();
    const loading = groups.load(conversationId);
    answer(0, "Birds");
    await loading;
    expect(name(groups)).toBe("Birds");
  });

  it("do not let an answer undo an event that came after its question", async () => {
    const { groups, answer } = slow();
    const loading = groups.load(conversationId);
    groups.apply(group({ name: "renamed" }));
    answer(0, "Birds");
    await loading;
    expect(name(groups)).toBe("renamed");
  });

  it("do not let an earlier answer undo a later one, in whatever order they come", async () => {
    const { groups, ask, answer } = slow();
    const loading = groups.load(conversationId);
    const changing = groups.take(conversationId, ask());
    answer(1, "renamed");
    await changing;
    answer(0, "Birds");
    await loading;
    expect(name(groups)).toBe("renamed");
  });

  it("are asked for again when events were missed, those that are known", async () => {
    const { groups, answer } = slow();
    groups.apply(group({ name: "old" }));
    const reloading = groups.reload();
    answer(0, "new");
    await reloading;
    expect(name(groups)).toBe("new");
    groups.forget(conversationId);
    expect(groups.of(conversationId)).toBeNull();
  });
});

describe("who spoke last", () => {
  const last = { text: "hello", notice: null, at: 5, mine: false, state: "received" } as const;
  const birds = conversation(conversationId, { kind: "group", last });

  it("is heard from the messages, and said only of the line that it is about", () => {
    const speakers = new Speakers({} as Backend);
    speakers.hear(message("a", 1, { at: 5, senderName: "Bea" }));
    speakers.hear(message("b", 2, { at: 3, senderName: "Cem" }));
    speakers.hear(message("c", 3, { at: 9, senderName: "Maya", mine: true }));
    expect(speakers.of(birds)).toBe("Bea");
    expect(speakers.of({ ...birds, last: { ...last, at: 6 } })).toBeNull();
    expect(speakers.of({ ...birds, kind: "direct" })).toBeNull();
    expect(speakers.of({ ...birds, last: { ...last, mine: true } })).toBeNull();
  });

  it("is asked for once where it was not heard", async () => {
    let asked = 0;
    const messages = async () => {
      asked += 1;
      return { messages: [message("a", 1, { at: 5, senderName: "Bea" })], more: true };
    };
    const speakers = new Speakers({ messages } as unknown as Backend);
    await speakers.ask(conversation("direct", { last }));
    await speakers.ask({ ...birds, last: null });
    await speakers.ask({ ...birds, last: { ...last, notice: { type: "left", name: "Bea", mine: false } } });
    expect(asked).toBe(0);
    await speakers.ask(birds);
    await speakers.ask(birds);
    expect([asked, speakers.of(birds)]).toEqual([1, "Bea"]);
  });
});
