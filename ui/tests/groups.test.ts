import { fireEvent } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import { describe, expect, it } from "vitest";
import { ada, bea, jonas, noor, xiaolong } from "../src/lib/backend/fake-groups";
import type { FakeBackend, Scenario } from "../src/lib/backend/fake";
import { all, one, play, rowOf, settled } from "./play";

/** As a user does: a button that is pressed has the focus. */
async function press(testid: string) {
  one(testid).focus();
  await fireEvent.click(one(testid));
  await settled();
}

async function type(testid: string, value: string) {
  await fireEvent.input(one(testid), { target: { value } });
}

const inputOf = (id: string) => all("person-option").find(({ dataset }) => dataset.id === id)?.querySelector("input");

async function pick(...people: { accountId: string }[]) {
  for (const { accountId } of people) await fireEvent.click(inputOf(accountId) as HTMLElement);
}

const sent = (backend: FakeBackend, name: string) => backend.calls.filter((call) => call.name === name).map(({ input }) => input);

async function newGroup(scenario: Partial<Scenario> = {}) {
  const played = await play(scenario);
  await press("new-conversation");
  await press("new-group");
  return played;
}

describe("a new group", () => {
  it("takes a name and people, and opens", async () => {
    const { app, backend } = await newGroup();
    const create = one("group-create") as HTMLButtonElement;
    expect(all("person-option").map(({ dataset }) => dataset.id)).toContain(bea.accountId);
    expect(create.disabled).toBe(true);
    await type("group-name", "  Sunday birds ");
    expect(create.disabled).toBe(true);
    await pick(ada, bea);
    expect(all("person-chip").map(({ dataset }) => dataset.id)).toEqual([ada.accountId, bea.accountId]);
    await press("group-create");
    expect(sent(backend, "createGroup")).toEqual([["Sunday birds", [ada.accountId, bea.accountId]]]);
    expect(app.open).toMatchObject({ kind: "group", title: "Sunday birds", people: 3 });
    expect(all("new-dialog")).toHaveLength(0);
    expect(document.activeElement).toBe(one("composer"));
    expect(all("notice").at(-1)?.textContent?.trim()).toBe("You added Ada Okafor and Bea Holm");
  });

  it("lets people be found and picked by keyboard, and taken out again", async () => {
    await newGroup();
    const search = one("people-search");
    await type("people-search", "bea");
    expect(all("person-option")).toHaveLength(1);
    await fireEvent.keyDown(search, { key: "Enter" });
    expect(all("person-chip").map(({ dataset }) => dataset.id)).toEqual([bea.accountId]);
    expect((search as HTMLInputElement).value).toBe("");
    await pick(ada);
    await fireEvent.click(all("person-chip")[0] as HTMLElement);
    expect(all("person-chip").map(({ dataset }) => dataset.id)).toEqual([ada.accountId]);
    expect(document.activeElement).toBe(search);
    await fireEvent.keyDown(search, { key: "Backspace" });
    expect(all("person-chip")).toHaveLength(0);
    await type("people-search", "nobody of that name");
    expect(one("new-dialog").textContent).toContain("None of your contacts matches");
    await fireEvent.keyDown(search, { key: "Escape" });
    expect(all("person-option").length).toBeGreaterThan(3);
    expect(one("new-dialog")).toBeTruthy();
  });

  it("takes 63 people and no more", async () => {
    await newGroup({ many: true });
    for (const option of all("person-option").slice(0, 64)) await fireEvent.click(option.querySelector("input") as HTMLElement);
    expect(all("person-chip")).toHaveLength(63);
    const barred = all("person-option").filter(({ dataset }) => dataset.state === "barred");
    expect(barred.length).toBeGreaterThan(30);
    expect(barred[0]?.querySelector("input")?.disabled).toBe(true);
    expect(one("new-dialog").textContent).toContain("64 people are the most");
  });

  it("says what is wrong, and keeps name and people", async () => {
    const { app } = await newGroup();
    await type("group-name", "x".repeat(65));
    await pick(ada, noor);
    await press("group-create");
    expect(one("group-error").dataset.code).toBe("invalidGroupName");
    await type("group-name", "Birds");
    expect(all("group-error")).toHaveLength(0);
    await press("group-create");
    expect(one("group-error").dataset.code).toBe("noKeyPackage");
    expect((one("group-name") as HTMLInputElement).value).toBe("Birds");
    expect(all("person-chip")).toHaveLength(2);
    expect(app.conversations.some(({ title }) => title === "Birds")).toBe(false);
  });

  it("keeps what was entered while the other tab is looked at", async () => {
    await newGroup();
    await type("group-name", "Birds");
    await press("new-person");
    expect(one("new-input")).toBeTruthy();
    await press("new-group");
    expect((one("group-name") as HTMLInputElement).value).toBe("Birds");
  });

  it("leads to the first contact where there is none yet", async () => {
    const { app } = await newGroup({ empty: true });
    expect(all("group-name")).toHaveLength(0);
    await fireEvent.click(one("people-empty").querySelector("button") as HTMLElement);
    expect(app.newKind).toBe("person");
  });
});

describe("a group in the list and in the timeline", () => {
  it("names who spoke", async () => {
    await play();
    expect(rowOf("Bird walk on Sundays").textContent).toContain("Bea: Shall I bring the flask");
    expect(rowOf("Ada Okafor").textContent).not.toContain("Ada: ");
    await fireEvent.click(rowOf("Bird walk on Sundays"));
    await settled();
    const names = [...document.querySelectorAll(".sender .name")].map(({ textContent }) => textContent);
    expect(names).toEqual(["Bea Holm", "Ada Okafor", "Cem Yıldız", "Jonas Brandt", "Bea Holm"]);
    expect(all("notice").map(({ dataset }) => dataset.kind)).toEqual(["started", "added", "roleChanged", "added", "renamed"]);
    expect(one("timeline").getAttribute("aria-label")).toBe("Messages in Bird walk on Sundays");
  });

  it("tells screen readers in which group somebody wrote", async () => {
    const { app, backend } = await play();
    const id = rowOf("Bird walk on Sundays").dataset.id ?? "";
    const { messages } = await backend.messages(id, null, 1);
    const written = messages[0];
    if (!written) throw new Error("no message");
    backend.emit({ type: "message", message: { ...written, id: "a".repeat(32), at: Date.now(), order: 2_000_000 }, arrived: true });
    expect(app.announcement).toBe("New message from Bea Holm in Bird walk on Sundays");
  });
});

async function details(title = "Bird walk on Sundays", scenario: Partial<Scenario> = {}) {
  const played = await play(scenario);
  await fireEvent.click(rowOf(title));
  await settled();
  await press("open-details");
  return { ...played, user: userEvent.setup({ pointerEventsCheck: 0 }), id: rowOf(title).dataset.id ?? "" };
}

const rowOfMember = ({ accountId }: { accountId: string }) => all("member").find(({ dataset }) => dataset.id === accountId);

async function choose(user: ReturnType<typeof userEvent.setup>, whom: { accountId: string }, item: string) {
  await user.click(rowOfMember(whom)?.querySelector('[data-testid="member-menu"]') as HTMLElement);
  await settled();
  await user.click(one(item));
  await settled();
}

describe("a group's details", () => {
  it("list everybody: oneself first, with roles and how they are known", async () => {
    await details();
    expect(one("members").dataset).toMatchObject({ count: "5", state: "loaded" });
    expect(all("member").map(({ dataset }) => [dataset.me, dataset.role])).toEqual([
      ["true", "admin"],
      ["false", "admin"],
      ["false", "member"],
      ["false", "member"],
      ["false", "member"],
    ]);
    expect(rowOfMember(jonas)?.textContent).toContain("Not verified");
    expect(rowOfMember(bea)?.textContent).not.toContain("Not verified");
    expect(all("member")[0]?.querySelector('[data-testid="member-menu"]')).toBeNull();
  });

  it("change roles from the member's menu", async () => {
    const { backend, user, id } = await details();
    await choose(user, bea, "member-promote");
    expect(sent(backend, "setRole")).toEqual([[id, bea.accountId, "admin"]]);
    expect(rowOfMember(bea)?.dataset.role).toBe("admin");
    await choose(user, ada, "member-demote");
    expect(rowOfMember(ada)?.dataset.role).toBe("member");
    expect(all("notice").at(-1)?.textContent?.trim()).toBe("You made Ada Okafor an ordinary member");
  });

  it("remove somebody after a question, whose answer no is the first at hand", async () => {
    const { backend, user, id } = await details();
    await choose(user, bea, "member-remove");
    expect(one("confirm").dataset.kind).toBe("remove");
    expect(document.activeElement).toBe(one("confirm-no"));
    await press("confirm-no");
    expect(sent(backend, "removeMember")).toEqual([]);
    expect(document.activeElement).toBe(rowOfMember(bea)?.querySelector('[data-testid="member-menu"]'));
    await choose(user, bea, "member-remove");
    await press("confirm-yes");
    expect(sent(backend, "removeMember")).toEqual([[id, bea.accountId]]);
    expect(all("confirm")).toHaveLength(0);
    expect(rowOfMember(bea)).toBeUndefined();
    expect(one("details").contains(document.activeElement)).toBe(true);
  });

  it("say in the question why a removal was refused", async () => {
    const { user } = await details("Bird walk on Sundays", { failing: { removeMember: "notAdmin" } });
    await choose(user, bea, "member-remove");
    await press("confirm-yes");
    expect(one("confirm-error").dataset.code).toBe("notAdmin");
    expect(rowOfMember(bea)).toBeTruthy();
  });

  it("add people who are not in it yet", async () => {
    const { backend, id } = await details();
    await press("add-people");
    expect(all("person-option").map(({ dataset }) => dataset.id)).toEqual([noor.accountId, xiaolong.accountId]);
    await pick(xiaolong);
    await press("people-add");
    expect(sent(backend, "addMembers")).toEqual([[id, [xiaolong.accountId]]]);
    expect(all("people-dialog")).toHaveLength(0);
    expect(one("members").dataset.count).toBe("6");
    expect(document.activeElement).toBe(one("add-people"));
  });

  it("say that somebody cannot be added yet, and keep them picked", async () => {
    await details();
    await press("add-people");
    await pick(noor);
    await press("people-add");
    expect(one("people-error").dataset.code).toBe("noKeyPackage");
    expect(all("person-chip")).toHaveLength(1);
  });

  it("rename it, in place", async () => {
    const { app, backend, id } = await details();
    await press("rename-group");
    expect((one("rename-field") as HTMLInputElement).value).toBe("Bird walk on Sundays");
    await type("rename-field", " ");
    await press("rename-save");
    expect(one("rename-error").dataset.code).toBe("invalidGroupName");
    await type("rename-field", "Birds");
    await press("rename-save");
    expect(sent(backend, "renameGroup")).toEqual([[id, "Birds"]]);
    expect(app.open?.title).toBe("Birds");
    expect(document.activeElement).toBe(one("rename-group"));
  });

  it("close the field with Esc and nothing else", async () => {
    const { app } = await details();
    await press("rename-group");
    await fireEvent.keyDown(one("rename-field"), { key: "Escape" });
    await settled();
    expect(all("rename-field")).toHaveLength(0);
    expect(app.showDetails).toBe(true);
  });

  it("show changes on their way until the relay has them", async () => {
    const { backend, user, id } = await details("Bird walk on Sundays", { connection: "offline" });
    expect(all("group-pending")).toHaveLength(0);
    await choose(user, bea, "member-promote");
    await choose(user, ada, "member-demote");
    expect(one("group-pending").dataset.count).toBe("2");
    expect(one("group-pending").textContent.trim()).toBe("2 changes on their way");
    backend.emit({ type: "group", group: { ...(await backend.group(id)), pending: 0 } });
    await settled();
    expect(all("group-pending")).toHaveLength(0);
  });

  it("offer an ordinary member no change", async () => {
    const { backend, user, id } = await details();
    const group = await backend.group(id);
    backend.emit({ type: "group", group: { ...group, admin: false } });
    await settled();
    for (const testid of ["add-people", "rename-group"]) expect(all(testid)).toHaveLength(0);
    // What they may do, and who is in it, is changed by admins alone; to look at somebody's number is nobody's business but one's own.
    for (const [whom, choices] of [[bea, ["member-number"]], [ada, ["member-write", "member-number"]]] as const) {
      await user.click(rowOfMember(whom)?.querySelector('[data-testid="member-menu"]') as HTMLElement);
      await settled();
      expect([...document.querySelectorAll<HTMLElement>('[role="menuitem"]')].map(({ dataset }) => dataset.testid)).toEqual(choices);
      await user.keyboard("{Escape}");
      await settled();
    }
    expect(one("details-leave")).toBeTruthy();
  });

  it("lead to the conversation with one member alone", async () => {
    const { app, user } = await details();
    await choose(user, ada, "member-write");
    expect(app.open?.title).toBe("Ada Okafor");
  });

  it("leave it after a question; the composer gives way to one line", async () => {
    const { backend, id } = await details();
    await press("details-leave");
    expect(one("confirm").textContent).toContain("Only an admin can add you again");
    await press("confirm-yes");
    expect(sent(backend, "leaveGroup")).toEqual([[id]]);
    expect(all("composer")).toHaveLength(0);
    expect(one("closed").dataset.kind).toBe("left");
    expect(all("details-leave")).toHaveLength(0);
    expect(rowOf("Bird walk on Sundays").dataset.state).toBe("left");
    expect(all("add-people")).toHaveLength(0);
  });

  it("say why they cannot be read", async () => {
    await details("Bird walk on Sundays", { failing: { group: "diskFull" } });
    expect(one("details-error").dataset.code).toBe("diskFull");
    expect(one("members").dataset.state).toBe("loading");
  });
});
