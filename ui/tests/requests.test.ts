import { fireEvent } from "@testing-library/svelte";
import { describe, expect, it } from "vitest";
import type { Scenario } from "../src/lib/backend/fake";
import { all, one, play, rowOf, settled } from "./play";

/** As a user does: a button that is pressed has the focus. */
async function press(testid: string) {
  one(testid).focus();
  await fireEvent.click(one(testid));
  await settled();
}

async function opened(title: string, scenario: Partial<Scenario> = {}) {
  const played = await play(scenario);
  if (title === "Great Offers Daily") await unfold("blocked");
  await fireEvent.click(rowOf(title));
  await settled();
  return { ...played, id: rowOf(title).dataset.id ?? "" };
}

const section = (kind: string) => all("section").find(({ dataset }) => dataset.kind === kind);

async function unfold(kind: string) {
  await fireEvent.click(section(kind)?.querySelector('[data-testid="section-toggle"]') as HTMLElement);
  await settled();
}

describe("requests in the list", () => {
  it("stand under their own heading, which folds", async () => {
    await play();
    expect(section("requests")?.dataset).toMatchObject({ count: "2", state: "open" });
    expect(section("requests")?.textContent).toContain("Requests (2)");
    expect(rowOf("Theo Vance").dataset).toMatchObject({ state: "request", unread: "2" });
    await unfold("requests");
    expect(() => rowOf("Theo Vance")).toThrow();
    await unfold("requests");
    expect(section("requests")?.contains(rowOf("Theo Vance"))).toBe(true);
    expect(section("requests")?.contains(rowOf("Ada Okafor"))).toBe(false);
  });

  it("do not take the place of conversations under Ctrl+1", async () => {
    const { app } = await play();
    await fireEvent.keyDown(window, { key: "1", code: "Digit1", ctrlKey: true });
    expect(app.open?.title).toBe("Jonas Brandt");
  });

  it("are found by a search like the others, and so is who is blocked", async () => {
    const { app } = await play();
    expect(section("blocked")?.dataset).toMatchObject({ count: "1", state: "closed" });
    app.search = "dinghy";
    await settled();
    expect(all("conversation")).toHaveLength(0);
    app.search = "great offers";
    await settled();
    expect(all("conversation")).toHaveLength(1);
    expect(all("section")).toHaveLength(0);
  });

  it("show the one that is open although they are folded", async () => {
    const { app } = await play();
    await unfold("requests");
    app.openConversation(app.sections.requests[0]?.id ?? "");
    await settled();
    expect(rowOf("Theo Vance").dataset.open).toBe("true");
  });
});

describe("a request", () => {
  it("says who wrote and what accepting does, and has no composer", async () => {
    const { backend } = await opened("Theo Vance");
    expect(all("composer")).toHaveLength(0);
    const card = one("request-card");
    expect(card.dataset.kind).toBe("direct");
    for (const words of ["Theo Vance", "theo@post.example.org", "Not verified", "nothing is sent"]) expect(card.textContent).toContain(words);
    expect(backend.calls.some(({ name }) => name === "acceptRequest" || name === "send")).toBe(false);
  });

  it("becomes a conversation when it is accepted, and the composer is ready", async () => {
    const { backend, id } = await opened("Theo Vance");
    await press("request-accept");
    expect(backend.calls.filter(({ name }) => name === "acceptRequest").map(({ input }) => input)).toEqual([[id]]);
    expect(all("request-card")).toHaveLength(0);
    expect(document.activeElement).toBe(one("composer"));
    expect(rowOf("Theo Vance").dataset.state).toBe("member");
    expect(section("requests")?.dataset.count).toBe("1");
  });

  it("says why it could not be accepted, and stays", async () => {
    await opened("Theo Vance", { failing: { acceptRequest: "relayDown" } });
    await press("request-accept");
    expect(one("request-error").dataset.code).toBe("relayDown");
    expect((one("request-accept") as HTMLButtonElement).disabled).toBe(false);
  });

  it("is blocked after a question, and taken in again", async () => {
    const { backend, id } = await opened("Theo Vance");
    await press("request-block");
    expect(one("confirm").dataset.kind).toBe("block");
    await press("confirm-no");
    expect(document.activeElement).toBe(one("request-block"));
    await press("request-block");
    await press("confirm-yes");
    expect(one("closed").dataset.kind).toBe("blocked");
    expect(document.activeElement).toBe(one("closed"));
    expect(rowOf("Theo Vance").dataset.state).toBe("blocked");
    expect(section("blocked")?.dataset).toMatchObject({ count: "2", state: "open" });
    await press("closed-unblock");
    expect(backend.calls.filter(({ name }) => name === "setBlocked").map(({ input }) => input)).toEqual([
      [id, true],
      [id, false],
    ]);
    // Enter must not accept by accident.
    expect(document.activeElement).toBe(one("request-card"));
  });

  it("is deleted after a question, with all that was open of it", async () => {
    const { app, backend, id } = await opened("Theo Vance");
    await press("request-delete");
    expect(one("confirm").textContent).toContain("Delete this request?");
    await press("confirm-yes");
    expect(backend.calls.filter(({ name }) => name === "deleteConversation").map(({ input }) => input)).toEqual([[id]]);
    expect(app.openId).toBeNull();
    expect(app.conversations.some((conversation) => conversation.id === id)).toBe(false);
    expect(all("confirm")).toHaveLength(0);
    expect(document.activeElement).toBe(one("new-conversation"));
  });

  it("to a group can be left, and nobody is told", async () => {
    const { backend, id } = await opened("Harbour news");
    await press("request-leave");
    expect(one("confirm").textContent).toContain("Nobody is told");
    await press("confirm-yes");
    expect(backend.calls.filter(({ name }) => name === "leaveGroup").map(({ input }) => input)).toEqual([[id]]);
    expect(one("closed").dataset.kind).toBe("left");
  });

  it("to a group can be left with whoever added one blocked", async () => {
    const { backend, id } = await opened("Harbour news");
    expect(one("request-block-adder").textContent).toContain("Block Cem");
    await press("request-block-adder");
    expect(one("confirm").textContent).toContain("they cannot add you to another group either");
    await press("confirm-yes");
    expect(backend.calls.filter(({ name }) => name === "setBlocked").map(({ input }) => input)).toEqual([[id, true]]);
    expect(one("closed").dataset.kind).toBe("blocked");
    expect(one("closed").textContent).toContain("blocked whoever added you");
  });

  it("to a group says who added one", async () => {
    await opened("Harbour news");
    expect(one("request-card").textContent).toContain("Cem Yıldız added you to this group");
    expect(one("request-card").textContent).toContain("3 people");
    expect(all("request-block")).toHaveLength(0);
    await press("request-accept");
    expect(one("composer")).toBeTruthy();
  });
});

describe("where nothing can be written", () => {
  it.each([
    ["Allotment 14", "left"],
    ["Choir, second voices", "removed"],
  ])("%s: one quiet line, and a way to delete it", async (title, kind) => {
    const { app } = await opened(title);
    expect(all("composer")).toHaveLength(0);
    expect(one("closed").dataset.kind).toBe(kind);
    await press("closed-delete");
    await press("confirm-yes");
    expect(app.conversations.some((conversation) => conversation.title === title)).toBe(false);
  });

  it("a blocked person's conversation says so and can be opened again", async () => {
    await opened("Great Offers Daily");
    expect(one("closed").textContent).toContain("You blocked Great Offers Daily");
  });

  it("the details block, unblock and delete", async () => {
    const { backend, id } = await opened("Ada Okafor");
    await press("open-details");
    await press("details-block");
    await press("confirm-yes");
    expect(one("closed").dataset.kind).toBe("blocked");
    await press("details-unblock");
    expect(one("composer")).toBeTruthy();
    await press("details-delete");
    await press("confirm-yes");
    expect(backend.calls.filter(({ name }) => name === "deleteConversation").map(({ input }) => input)).toEqual([[id]]);
    expect(all("details")).toHaveLength(0);
  });

  it("a note to self has neither block nor delete", async () => {
    await opened("Note to self");
    await press("open-details");
    for (const testid of ["details-block", "details-delete", "details-leave"]) expect(all(testid)).toHaveLength(0);
  });
});

describe("deleted elsewhere", () => {
  it("closes what was open, and a question about it", async () => {
    const { app, backend, id } = await opened("Ada Okafor");
    app.question = { kind: "delete", conversation: app.open ?? (undefined as never) };
    await settled();
    backend.emit({ type: "conversationDeleted", conversation: id });
    await settled();
    expect(app.openId).toBeNull();
    expect(app.question).toBeNull();
    expect(all("confirm")).toHaveLength(0);
  });

  it("takes an unsent draft along: nothing of it is stored again", async () => {
    const { backend, id } = await opened("Ada Okafor");
    await fireEvent.input(one("composer"), { target: { value: "half a thought" } });
    backend.emit({ type: "conversationDeleted", conversation: id });
    await new Promise((done) => setTimeout(done, 500));
    expect(backend.calls.some(({ name }) => name === "setDraft")).toBe(false);
  });

  it("is noticed when the list is read again after events were missed", async () => {
    const { app, backend } = await play();
    const list = await backend.conversations();
    const gone = rowOf("Ada Okafor").dataset.id;
    backend.conversations = async () => list.filter(({ id }) => id !== gone);
    backend.emit({ type: "lagged" });
    await settled();
    expect(app.conversations.some(({ id }) => id === gone)).toBe(false);
    expect(app.conversations).toHaveLength(list.length - 1);
  });
});
