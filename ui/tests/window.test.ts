import { fireEvent } from "@testing-library/svelte";
import { describe, expect, it } from "vitest";
import { FakeBackend } from "../src/lib/backend/fake";
import type { AppState } from "../src/lib/backend";
import { AppModel } from "../src/lib/state/app.svelte";
import { firstUnplaced } from "../src/lib/state/merge";
import { all, one, play, rowOf, settled } from "./play";
import { message } from "./make";

describe("the window", () => {
  it("shows each phase", async () => {
    await play({ phase: "starting" });
    expect(one("app").dataset.state).toBe("starting");
  });

  it("does not go back to starting when that answer comes after the event that it is over", async () => {
    const backend = new FakeBackend({ phase: "ready" });
    const ready = await backend.appState();
    let tell: (state: AppState) => void = () => {};
    backend.onStateChanged = async (listener) => {
      tell = listener;
      return () => {};
    };
    backend.appState = async () => {
      tell(ready);
      return { type: "starting" };
    };
    const app = new AppModel(backend);
    await app.start();
    expect(app.state.type).toBe("ready");
  });

  it("shows a problem with its cause, one action, and text to copy", async () => {
    const { backend } = await play({ phase: "problem", problem: "keychainLocked" });
    expect(one("app").dataset.state).toBe("problem");
    expect(one("problem-screen").dataset.code).toBe("keychainLocked");
    await fireEvent.click(one("problem-copy"));
    await settled();
    expect(backend.copied[0]).toContain("keychainLocked");
    await fireEvent.click(one("problem-action"));
    await settled();
    expect(one("app").dataset.state).toBe("ready");
  });

  it("unlocks with the passphrase, and says when it is wrong", async () => {
    await play({ phase: "locked" });
    await fireEvent.input(one("unlock-passphrase"), { target: { value: "wrong" } });
    await fireEvent.click(one("unlock"));
    await settled();
    expect(one("unlock-error").dataset.code).toBe("wrongPassphrase");
    await fireEvent.input(one("unlock-passphrase"), { target: { value: "waxwing waxwing" } });
    await fireEvent.click(one("unlock"));
    await settled();
    expect(one("app").dataset.state).toBe("ready");
  });

  it("shows an arriving message once, and tells screen readers", async () => {
    const { app, backend } = await play();
    app.openConversation(app.conversations[1]?.id ?? "");
    await settled();
    const arrived = message("f".repeat(32), 900_000, { conversation: app.openId ?? "", text: "just now" });
    backend.emit({ type: "message", message: arrived, arrived: true });
    backend.emit({ type: "message", message: arrived, arrived: false });
    await settled();
    expect(all("message").filter(({ dataset }) => dataset.id === arrived.id)).toHaveLength(1);
    expect(document.querySelector('[aria-live="polite"].visually-hidden')?.textContent).toBe("Ada: just now");
  });

  it("follows the engine: newest conversation first, deleted messages go", async () => {
    const { app, backend } = await play();
    const second = app.conversations[1];
    if (!second) throw new Error("no second conversation");
    backend.emit({ type: "conversation", conversation: { ...second, activeAt: Date.now() + 1000, unread: 3 } });
    await settled();
    expect(all("conversation")[0]?.dataset).toMatchObject({ id: second.id, unread: "3" });
    app.openConversation(second.id);
    await settled();
    const last = all("message").at(-1)?.dataset.id ?? "";
    backend.emit({ type: "messageDeleted", conversation: second.id, id: last });
    await settled();
    expect(all("message").map(({ dataset }) => dataset.id)).not.toContain(last);
  });

  it("loads everything again after events were missed", async () => {
    const { backend } = await play();
    const before = backend.calls.filter(({ name }) => name === "conversations").length;
    backend.emit({ type: "lagged" });
    await settled();
    expect(backend.calls.filter(({ name }) => name === "conversations")).toHaveLength(before + 1);
  });

  it("marks what was seen as read", async () => {
    const { backend } = await play();
    const ada = all("conversation").find(({ textContent }) => textContent.includes("Ada"));
    expect(ada?.dataset.unread).toBe("2");
    await fireEvent.click(ada as HTMLElement);
    await new Promise((done) => setTimeout(done, 50));
    expect(backend.calls.some(({ name }) => name === "markRead")).toBe(true);
    expect(ada?.dataset.unread).toBe("0");
  });

  it("marks what arrived as read although an own message without a place is the newest row", async () => {
    const { app, backend } = await play();
    const jonas = app.conversations.find(({ title }) => title === "Jonas Brandt");
    if (!jonas) throw new Error("no Jonas");
    app.openConversation(jonas.id);
    await new Promise((done) => setTimeout(done, 50));
    expect(app.timeline?.messages.at(-1)?.order).toBeGreaterThan(firstUnplaced);
    // As the engine may tell it: the count first, the message after it.
    const order = jonas.readOrder + 1;
    backend.emit({ type: "conversation", conversation: { ...jonas, unread: 1 } });
    await settled();
    expect(backend.calls.filter(({ name }) => name === "markRead")).toEqual([]);
    backend.emit({ type: "message", message: message("8".repeat(32), order, { conversation: jonas.id }), arrived: true });
    await new Promise((done) => setTimeout(done, 50));
    expect(backend.calls.filter(({ name }) => name === "markRead").map(({ input }) => input)).toEqual([[jonas.id, order]]);
    expect(app.open?.unread).toBe(0);
  });

  it("says calmly that it is offline, and tries at once when asked", async () => {
    const { backend } = await play({ connection: "offline" });
    expect(one("connection").dataset.state).toBe("offline");
    expect(one("banner").dataset.kind).toBe("offline");
    await fireEvent.click(one("banner-action"));
    await settled();
    expect(backend.calls.some(({ name }) => name === "tryNow")).toBe(true);
    expect(one("connection").dataset.state).toBe("online");
    expect(all("banner")).toHaveLength(0);
  });

  it("says that the clock is wrong although all works", async () => {
    const { backend } = await play();
    backend.emit({ type: "connection", connection: { type: "online", notice: { code: "clockWrong", detail: "" } } });
    await settled();
    expect(one("connection").dataset.state).toBe("online");
    expect(one("banner").dataset.kind).toBe("clock");
    expect(all("banner-action")).toHaveLength(0);
  });

  it("offers Retry, Copy and Delete for a message that failed", async () => {
    const { backend } = await play();
    await fireEvent.click(rowOf("Jonas Brandt"));
    await settled();
    const failed = all("message").find(({ dataset }) => dataset.state === "failed");
    expect(failed?.textContent).toContain("Not sent.");
    await fireEvent.click(one("message-copy"));
    await fireEvent.click(one("message-retry"));
    await settled();
    expect(backend.copied).toEqual(["Come and see. The kettle works, the rest is boxes."]);
    expect(all("message").find(({ dataset }) => dataset.id === failed?.dataset.id)?.dataset.state).toBe("sent");
  });

  it("moves between conversations by keyboard, but not while composing", async () => {
    const { app } = await play();
    await fireEvent.keyDown(window, { key: "ArrowDown", altKey: true });
    expect(app.openId).toBe(app.conversations[0]?.id);
    await fireEvent.keyDown(window, { key: "ArrowDown", altKey: true, isComposing: true });
    expect(app.openId).toBe(app.conversations[0]?.id);
    await fireEvent.keyDown(window, { key: "3", code: "Digit3", ctrlKey: true });
    expect(app.openId).toBe(app.sections.usual[2]?.id);
    await fireEvent.keyDown(window, { key: "n", ctrlKey: true });
    await settled();
    expect(one("new-input")).toBeTruthy();
    expect((one("invite-link") as HTMLInputElement).value).toMatch(/^https:/u);
    const before = (one("invite-link") as HTMLInputElement).value;
    await fireEvent.click(one("invite-renew"));
    await settled();
    await fireEvent.click(one("invite-renew-yes"));
    await settled();
    expect((one("invite-link") as HTMLInputElement).value).not.toBe(before);
    expect(one("invite-renew")).toBeTruthy();
    expect(one("invite-qr").querySelector("path")?.getAttribute("d")).toMatch(/^M0 0h7v1h-7z/u);
  });

  it("moves through the timeline one message an arrow press", async () => {
    await play();
    await fireEvent.click(rowOf("Jonas Brandt"));
    await settled();
    const rows = all("message");
    rows.at(-1)?.focus();
    await fireEvent.keyDown(rows.at(-1) as HTMLElement, { key: "ArrowUp" });
    await settled();
    expect(document.activeElement).toBe(rows.at(-2));
    expect(one("timeline").getAttribute("role")).toBe("list");
    expect(rows.at(-2)?.getAttribute("role")).toBe("listitem");
  });
});

describe("new conversation", () => {
  it("says in one sentence what is wrong, keeps the text, and opens what it found", async () => {
    const { app } = await play({ empty: true });
    expect(one("empty-card").dataset.state).toBe("ready");
    await fireEvent.click(one("empty-paste"));
    await settled();
    await fireEvent.input(one("new-input"), { target: { value: "nobody@relay.example.org" } });
    await fireEvent.click(one("new-add"));
    await settled();
    expect(one("new-error").dataset.code).toBe("unknownUser");
    expect((one("new-input") as HTMLInputElement).value).toBe("nobody@relay.example.org");
    await fireEvent.input(one("new-input"), { target: { value: "grete@relay.example.org" } });
    expect(all("new-error")).toHaveLength(0);
    await fireEvent.click(one("new-add"));
    await settled();
    expect(app.open?.title).toBe("grete");
    expect(one("composer")).toBeTruthy();
  });
});
