import { fireEvent } from "@testing-library/svelte";
import { describe, expect, it } from "vitest";
import type { FakeBackend, Scenario } from "../src/lib/backend/fake";
import { fakeGroupLink } from "../src/lib/backend/fake-data";
import { all, one, play, rowOf, settled } from "./play";

/** As a user does: a button that is pressed has the focus. */
async function press(testid: string) {
  one(testid).focus();
  await fireEvent.click(one(testid));
  await settled();
}

const sent = (backend: FakeBackend, name: string) => backend.calls.filter((call) => call.name === name).map(({ input }) => input);

async function paste(text: string) {
  await fireEvent.input(one("new-input"), { target: { value: text } });
  await press("new-add");
}

async function withLink(scenario: Partial<Scenario> = {}) {
  const played = await play(scenario);
  await press("new-conversation");
  await paste(fakeGroupLink);
  return played;
}

const shownLink = () => (one("group-link-text") as HTMLInputElement).value;

describe("somebody's link into a group", () => {
  it("says which group and who lets in, and asks only then", async () => {
    const { app, backend } = await withLink();
    expect(one("offer").textContent).toMatch(/Join Night walks\?/u);
    expect(one("offer").textContent).toContain("Ada Okafor");
    expect(one("offer").textContent).toContain("ada@post.example.org");
    expect(document.activeElement).toBe(one("offer"));
    expect([...sent(backend, "joinGroup"), ...sent(backend, "addContact")]).toEqual([]);
    await press("offer-join");
    expect(sent(backend, "joinGroup")).toEqual([[fakeGroupLink]]);
    expect(app.open).toMatchObject({ title: "Night walks", standing: "asked" });
    expect(all("new-dialog")).toHaveLength(0);
    expect(one("closed").dataset.kind).toBe("asked");
    expect(one("closed").textContent).toContain("You asked to join. Ada Okafor's app lets you in when it is next online.");
    expect(all("composer")).toHaveLength(0);
    expect(rowOf("Night walks").dataset.state).toBe("asked");
    expect(rowOf("Night walks").textContent).toContain("Waiting to be let in");
  });

  it("can be left alone", async () => {
    const { backend } = await withLink();
    await press("offer-cancel");
    expect(all("offer")).toHaveLength(0);
    expect(document.activeElement).toBe(one("new-input"));
    // Another text is another matter.
    await press("new-add");
    expect(all("offer")).toHaveLength(1);
    await fireEvent.input(one("new-input"), { target: { value: "ada@post.example.org" } });
    expect(all("offer")).toHaveLength(0);
    expect(sent(backend, "joinGroup")).toEqual([]);
  });

  it("that is no use says why", async () => {
    await withLink({ failing: { lookAtLink: "ownLink" } });
    expect(one("new-error").dataset.code).toBe("ownLink");
    expect(all("offer")).toHaveLength(0);
  });

  it("that cannot be asked with keeps the question", async () => {
    await withLink({ failing: { joinGroup: "relayDown" } });
    await press("offer-join");
    expect(one("new-error").dataset.code).toBe("relayDown");
    expect(all("offer")).toHaveLength(1);
  });

  it("leaves other links and addresses to the way they have always gone", async () => {
    const { app, backend } = await play();
    await press("new-conversation");
    await paste("grete@post.example.org");
    expect(sent(backend, "addContact")).toEqual([["grete@post.example.org"]]);
    expect(app.open).toMatchObject({ kind: "direct", title: "grete" });
  });

  it("is waited for no longer on request, and opens the conversation once it is answered", async () => {
    const { app, backend } = await withLink();
    await press("offer-join");
    const id = app.openId ?? "";
    const asked = app.open;
    if (!asked) throw new Error("nothing is open");
    backend.emit({ type: "conversation", conversation: { ...asked, standing: "member", inviter: null, people: 3 } });
    await settled();
    expect(all("closed")).toHaveLength(0);
    expect(one("composer")).toBeTruthy();
    backend.emit({ type: "conversation", conversation: asked });
    await settled();
    await press("closed-delete");
    expect(one("confirm").textContent).toContain("Stop waiting for Night walks?");
    await press("confirm-yes");
    expect(sent(backend, "deleteConversation")).toEqual([[id]]);
    expect(() => rowOf("Night walks")).toThrow();
  });

  it("that was turned off says so in its conversation", async () => {
    const { app, backend } = await withLink();
    await press("offer-join");
    if (!app.open) throw new Error("nothing is open");
    backend.emit({ type: "conversation", conversation: { ...app.open, problem: { code: "linkOff", detail: "" } } });
    await settled();
    const banner = all("banner").find(({ dataset }) => dataset.kind === "conversation");
    expect(banner?.textContent).toContain("This link lets nobody in any more");
  });
});

describe("the own link into a group", () => {
  async function details(title: string) {
    const played = await play();
    await fireEvent.click(rowOf(title));
    await settled();
    await press("open-details");
    return { ...played, id: rowOf(title).dataset.id ?? "" };
  }

  it("is made, shown, copied, replaced and turned off by an admin", async () => {
    const { backend, id } = await details("Bird walk on Sundays");
    expect(one("group-link").dataset.state).toBe("off");
    await press("group-link-make");
    expect(one("group-link").dataset.state).toBe("on");
    const first = shownLink();
    expect(first).toMatch(/^https:/u);
    expect(one("group-link-qr")).toBeTruthy();
    await press("group-link-copy");
    expect(backend.copied).toEqual([first]);
    await press("group-link-new");
    expect(shownLink()).not.toBe(first);
    expect(sent(backend, "makeGroupLink")).toEqual([[id], [id]]);
    await press("group-link-off");
    expect(sent(backend, "endGroupLink")).toEqual([[id]]);
    expect(one("group-link").dataset.state).toBe("off");
    expect(all("group-link-text")).toHaveLength(0);
    expect(document.activeElement).toBe(one("group-link-make"));
  });

  it("is nothing for others", async () => {
    await details("Allotment 14");
    expect(all("group-link")).toHaveLength(0);
  });

  it("says why it cannot be made", async () => {
    const played = await play({ failing: { makeGroupLink: "relayDown" } });
    await fireEvent.click(rowOf("Bird walk on Sundays"));
    await settled();
    await press("open-details");
    await press("group-link-make");
    expect(one("group-link-error").dataset.code).toBe("relayDown");
    expect(one("group-link").dataset.state).toBe("off");
    expect(played.app.open?.title).toBe("Bird walk on Sundays");
  });
});
