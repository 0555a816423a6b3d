import { fireEvent } from "@testing-library/svelte";
import { describe, expect, it, vi } from "vitest";
import type { Backend, ErrorView } from "../src/lib/backend";
import { Composer } from "../src/lib/state/composer.svelte";
import { byteLength, isTooLong, maxTextBytes, newMessageId } from "../src/lib/text/bytes";
import { all, one, play, rowOf, settled } from "./play";

function composerWith(send: (text: string) => Promise<ErrorView | null>) {
  const setDraft = vi.fn(async () => {});
  const composer = new Composer({ setDraft } as unknown as Backend, "id", "", send);
  return { composer, setDraft };
}

describe("text limits", () => {
  it("count bytes of UTF-8, as the engine does", () => {
    expect(byteLength("a€🙂")).toBe(8);
    expect(isTooLong("a".repeat(maxTextBytes))).toBe(false);
    expect(isTooLong("a".repeat(maxTextBytes + 1))).toBe(true);
    expect(isTooLong("€".repeat(maxTextBytes / 3))).toBe(false);
    expect(isTooLong("€".repeat(maxTextBytes / 3 + 1))).toBe(true);
  });

  it("give message ids of 32 hexadecimal digits, each its own", () => {
    const made = new Set(Array.from({ length: 100 }, newMessageId));
    expect(made.size).toBe(100);
    for (const id of made) expect(id).toMatch(/^[0-9a-f]{32}$/u);
  });
});

describe("composer", () => {
  it("keeps a text that is too long, and does not send it", async () => {
    const send = vi.fn(async () => null);
    const { composer } = composerWith(send);
    const text = "x".repeat(maxTextBytes + 1);
    composer.type(text);
    await composer.submit();
    expect(send).not.toHaveBeenCalled();
    expect(composer.text).toBe(text);
    expect(composer.error?.code).toBe("tooLong");
    composer.type("short enough");
    expect(composer.error).toBeNull();
  });

  it("stores a draft that is too long to send: nothing typed is lost", async () => {
    const { composer, setDraft } = composerWith(async () => null);
    const text = "x".repeat(maxTextBytes + 1);
    composer.type(text);
    await composer.save();
    expect(setDraft.mock.calls).toEqual([["id", text]]);
  });

  it("gives the text back when it was not taken, before what was typed meanwhile", async () => {
    let refuse: (error: ErrorView) => void = () => {};
    const { composer } = composerWith(() => new Promise((resolve) => (refuse = resolve)));
    composer.type("first");
    const sending = composer.submit();
    expect(composer.text).toBe("");
    composer.type("second");
    refuse({ code: "diskFull", detail: "" });
    await sending;
    expect(composer.text).toBe("first\nsecond");
    expect(composer.error?.code).toBe("diskFull");
  });

  it("leaves the stored draft alone until the message was taken", async () => {
    let take: (error: null) => void = () => {};
    const { composer, setDraft } = composerWith(() => new Promise((resolve) => (take = resolve)));
    composer.type("hello");
    await composer.save();
    expect(setDraft).toHaveBeenLastCalledWith("id", "hello");
    const sending = composer.submit();
    await composer.save();
    expect(setDraft).toHaveBeenCalledTimes(1);
    take(null);
    await sending;
    expect(setDraft).toHaveBeenLastCalledWith("id", "");
  });

  it("stores a draft after a pause, once", async () => {
    vi.useFakeTimers();
    const { composer, setDraft } = composerWith(async () => null);
    composer.type("a");
    composer.type("ab");
    await vi.advanceTimersByTimeAsync(1000);
    vi.useRealTimers();
    expect(setDraft.mock.calls).toEqual([["id", "ab"]]);
  });
});

describe("the field", () => {
  async function openAda() {
    const played = await play({ phraseConfirmed: true });
    await fireEvent.click(rowOf("Ada Okafor"));
    await settled();
    return { ...played, field: one("composer") as HTMLTextAreaElement };
  }

  const sends = (calls: { name: string; input: unknown[] }[]) => calls.filter(({ name }) => name === "send").map(({ input }) => input[2]);

  it("sends with Enter and empties itself", async () => {
    const { backend, field } = await openAda();
    await fireEvent.input(field, { target: { value: "Hello <b>Ada</b>" } });
    await fireEvent.keyDown(field, { key: "Enter" });
    await settled();
    expect(sends(backend.calls)).toEqual(["Hello <b>Ada</b>"]);
    expect(field.value).toBe("");
    expect(all("message").at(-1)?.getAttribute("aria-label")).toContain("You: Hello <b>Ada</b>");
  });

  it("does not send with Shift+Enter, nor with the Enter that ends a composition", async () => {
    const { backend, field } = await openAda();
    await fireEvent.input(field, { target: { value: "こんにちは" } });
    await fireEvent.keyDown(field, { key: "Enter", shiftKey: true });
    await fireEvent.keyDown(field, { key: "Enter", isComposing: true });
    await fireEvent.keyDown(field, { key: "Enter", keyCode: 229 });
    await settled();
    expect(sends(backend.calls)).toEqual([]);
    expect(field.value).toBe("こんにちは");
  });

  it("says why a message was not taken, keeps it, and shows no row for it", async () => {
    const { backend, field } = await openAda();
    backend.scenario.failing.send = "diskFull";
    await fireEvent.input(field, { target: { value: "important" } });
    await fireEvent.click(one("send"));
    await settled();
    expect(one("composer-error").textContent).toContain("no space left");
    expect(field.value).toBe("important");
    expect(all("message").filter(({ textContent }) => textContent.includes("important"))).toEqual([]);
  });

  it("keeps each conversation's own text", async () => {
    const { field } = await openAda();
    await fireEvent.input(field, { target: { value: "for Ada" } });
    await fireEvent.click(rowOf("Jonas Brandt"));
    await settled();
    expect((one("composer") as HTMLTextAreaElement).value).toBe("About the boat: ");
    expect(rowOf("Ada Okafor").textContent).toContain("for Ada");
    await fireEvent.click(rowOf("Ada Okafor"));
    await settled();
    expect((one("composer") as HTMLTextAreaElement).value).toBe("for Ada");
  });
});
