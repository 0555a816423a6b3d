import { fireEvent } from "@testing-library/svelte";
import { ESLint } from "eslint";
import { describe, expect, it } from "vitest";
import type { Notice } from "../src/lib/backend";
import { all, one, play, rowOf, settled } from "./play";
import { message } from "./make";

/** What an attacker would write in a message, a name or a draft. */
const hostile = [
  "<script>window.hacked = true</script>",
  "<img src=x onerror=\"window.hacked = true\">",
  "<svg/onload=window.hacked=true>",
  "<iframe srcdoc='<script>parent.hacked=true</script>'></iframe>",
  "<a href=\"javascript:window.hacked=true\">click</a>",
  "{@html '<b>x</b>'} ${window.hacked=true}",
  "\"><style>body{display:none}</style>",
];

function expectNoMarkup() {
  const window_ = window as unknown as { hacked?: boolean };
  expect(window_.hacked).toBeUndefined();
  for (const selector of ["script", "iframe", "[data-testid=app] img", "[onerror]", "[onload]", "[data-testid=app] a", "[data-testid=app] b"]) {
    expect(document.body.querySelectorAll(selector), selector).toHaveLength(0);
  }
}

describe("strings from others", () => {
  it("are text in the timeline, to the letter", async () => {
    const { app, backend } = await play();
    app.openConversation(app.sections.usual[0]?.id ?? "");
    await settled();
    hostile.forEach((text, index) => {
      const sent = message(`${index}`.padStart(32, "e"), 500_000 + index, { conversation: app.openId ?? "", text, senderName: text });
      backend.emit({ type: "message", message: sent, arrived: true });
    });
    await settled();
    const rows = all("message").filter(({ dataset }) => dataset.id?.startsWith("eee"));
    const texts = rows.map((row) => row.querySelector(".text")?.textContent);
    expect(texts).toEqual(hostile);
    expectNoMarkup();
  });

  it("are text in notices, in the list, in the header and in the details", async () => {
    const { app, backend } = await play();
    for (const [index, text] of hostile.entries()) {
      const target = app.sections.usual[0];
      if (!target) throw new Error("no conversation");
      const changed = {
        ...target,
        title: text,
        draft: text,
        address: text,
        last: { text, notice: null, at: Date.now(), mine: false, state: "received" as const },
      };
      backend.emit({ type: "conversation", conversation: changed });
      if (index === 0) {
        app.openConversation(target.id);
        app.showDetails = true;
      }
      const notice = { type: "keysRotated", name: text, version: 2, mine: false } as const;
      const line = message(`${index}`.padStart(32, "f"), 600_000 + index, { conversation: target.id, text: "", notice });
      backend.emit({ type: "message", message: line, arrived: false });
      await settled();
      expect(rowOf(text).textContent).toContain(text.replace(/\s+/gu, " "));
      expect(one("details").querySelector("h3")?.textContent).toBe(text);
      expect(all("notice").at(-1)?.textContent?.trim()).toBe(`${text} rotated their keys (version 2)`);
      expectNoMarkup();
    }
  });

  it("are text in a group: its name, its people, its notices, and the dialogs about them", async () => {
    const { app, backend } = await play();
    const target = app.sections.usual.find(({ kind }) => kind === "group");
    if (!target) throw new Error("no group");
    app.openConversation(target.id);
    app.showDetails = true;
    await new Promise((done) => setTimeout(done, 50));
    const group = await backend.group(target.id);
    for (const [index, text] of hostile.entries()) {
      const members = group.members.map((member) => (member.me ? member : { ...member, name: text, address: text }));
      backend.emit({ type: "conversation", conversation: { ...target, unread: 0, title: text } });
      backend.emit({ type: "group", group: { ...group, name: text, members } });
      const notice: Notice = { type: "added", by: text, mine: false, names: [text, text], me: false };
      const line = message(`${index}`.padStart(32, "d"), 800_000 + index, { conversation: target.id, text: "", notice });
      backend.emit({ type: "message", message: line, arrived: false });
      const said = message(`${index}`.padStart(32, "9"), 810_000 + index, { conversation: target.id, text, sender: `${index}`, senderName: text });
      backend.emit({ type: "message", message: said, arrived: true });
      app.question = { kind: "leave", conversation: { ...target, title: text } };
      await settled();
      expect(one("details").querySelector("h3")?.textContent).toBe(text);
      expect(all("member").at(-1)?.querySelector(".called")?.textContent).toBe(text);
      expect(all("notice").at(-1)?.textContent?.trim()).toBe(`${text} added ${text} and ${text}`);
      expect([...document.querySelectorAll(".sender .name")].at(-1)?.textContent).toBe(text);
      expect(one("confirm").textContent).toContain(`Leave ${text}?`);
      expectNoMarkup();
    }
  });

  it("are text in a request, and among the people to pick", async () => {
    const { app, backend } = await play();
    const target = app.sections.requests.find(({ kind }) => kind === "direct");
    const contact = (await backend.contacts())[0];
    if (!target || !contact) throw new Error("no request");
    app.openConversation(target.id);
    await new Promise((done) => setTimeout(done, 50));
    for (const text of hostile) {
      backend.emit({ type: "conversation", conversation: { ...target, unread: 0, title: text, address: text } });
      await settled();
      expect(one("request-card").querySelector("h3")?.textContent).toBe(`${text} wants to write to you`);
      backend.contacts = async () => [{ ...contact, name: text, address: text }];
      app.openNew("group");
      await settled();
      await fireEvent.click(one("person-option").querySelector("input") as HTMLElement);
      expect(one("person-chip").textContent?.trim()).toBe(text);
      expectNoMarkup();
      app.dialog = null;
      await settled();
    }
  });

  it("open a link only after a look at its real address", async () => {
    const { app, backend } = await play();
    app.openConversation(app.sections.usual[0]?.id ?? "");
    await settled();
    const text = "Log in at https://\u0430pple.example/login now";
    backend.emit({ type: "message", message: message("9".repeat(32), 700_000, { conversation: app.openId ?? "", text }), arrived: true });
    await settled();
    await fireEvent.click(one("message-link"));
    await settled();
    expect(one("link-address").textContent).toBe("https://xn--pple-43d.example/login");
    expect(backend.opened).toEqual([]);
    await fireEvent.click(one("link-open"));
    await settled();
    expect(backend.opened).toEqual(["https://xn--pple-43d.example/login"]);
  });
});

describe("the lint rules", () => {
  const rulesFor = async (code: string, filePath: string) => {
    const [result] = await new ESLint().lintText(code, { filePath });
    return (result?.messages ?? []).map(({ ruleId }) => ruleId);
  };

  it("refuse every way from a string to markup, and Tauri outside the backend", async () => {
    expect(await rulesFor("{@html 'x'}", "src/A.svelte")).toContain("svelte/no-at-html-tags");
    expect(await rulesFor("<iframe title='x' srcdoc='y'></iframe>", "src/A.svelte")).toContain("no-restricted-syntax");
    for (const sink of ["document.body.innerHTML = 'x'", "document.body['outerHTML'] = 'x'", "document.body.insertAdjacentHTML('beforeend', 'x')"]) {
      expect(await rulesFor(`${sink};\n`, "src/a.ts"), sink).toContain("no-restricted-syntax");
    }
    const tauri = 'import "@tauri-apps/api/core";\n';
    expect(await rulesFor(tauri, "src/lib/state/a.ts")).toContain("no-restricted-imports");
    expect(await rulesFor(tauri, "src/lib/backend/a.ts")).not.toContain("no-restricted-imports");
  }, 60_000);
});
