import { fireEvent } from "@testing-library/svelte";
import { describe, expect, it } from "vitest";
import type { Scenario } from "../src/lib/backend/fake";
import { exactTime } from "../src/lib/words/time";
import { all, one, play, rowOf, settled } from "./play";

/** As a user does: a button that is pressed has the focus. */
async function press(testid: string) {
  one(testid).focus();
  await fireEvent.click(one(testid));
  await settled();
}

async function listed(scenario: Partial<Scenario> = {}) {
  const played = await play(scenario);
  played.app.openSettings("privacy");
  await settled();
  return played;
}

const people = () => all("blocked-person").map(({ textContent }) => textContent ?? "");
const dataset = () => one("blocked-people").dataset;

describe("blocked people in the settings", () => {
  it("are told by name and address, and since when where it is known", async () => {
    const { app, backend } = await listed();
    expect(dataset()).toMatchObject({ state: "loaded", count: "1" });
    expect(people()[0]).toContain("Great Offers Daily");
    expect(people()[0]).toContain("offers@post.example.org");
    expect(people()[0]).not.toContain("since");
    const id = rowOf("Jonas Brandt").dataset.id ?? "";
    const before = Date.now();
    await backend.setBlocked(id, true);
    app.dialog = null;
    await settled();
    app.openSettings("privacy");
    await settled();
    expect(dataset().count).toBe("2");
    expect(people()[1]).toContain("Jonas Brandt");
    expect([exactTime(before), exactTime(Date.now())].some((time) => people()[1]?.includes(`Blocked since ${time}`))).toBe(true);
  });

  it("are nobody at first, and how to block is said", async () => {
    await listed({ empty: true });
    expect(dataset()).toMatchObject({ state: "loaded", count: "0" });
    expect(one("blocked-nobody").textContent).toContain("in the details of your conversation");
  });

  it("are found although the conversation was deleted, and taken in again after what follows was said", async () => {
    const { app, backend } = await play();
    await fireEvent.click(rowOf("Theo Vance"));
    await settled();
    await press("request-block");
    await press("confirm-yes");
    await press("open-details");
    await press("details-delete");
    await press("confirm-yes");
    expect(app.conversations.some(({ title }) => title === "Theo Vance")).toBe(false);

    app.openSettings("privacy");
    await settled();
    const theo = () => all("blocked-person").find(({ textContent }) => textContent?.includes("Theo Vance"));
    const button = theo()?.querySelector<HTMLElement>('[data-testid="unblock"]');
    expect(button?.getAttribute("aria-label")).toBe("Unblock Theo Vance");
    await fireEvent.click(button as HTMLElement);
    await settled();
    expect(theo()?.dataset.state).toBe("asking");
    expect(theo()?.textContent).toContain("They can write to you again");
    expect(document.activeElement).toBe(one("unblock-no"));
    await press("unblock-no");
    expect(theo()?.dataset.state).toBe("idle");
    expect(document.activeElement).toBe(theo()?.querySelector('[data-testid="unblock"]'));
    expect(backend.calls.some(({ name }) => name === "unblock")).toBe(false);

    await fireEvent.click(theo()?.querySelector('[data-testid="unblock"]') as HTMLElement);
    await settled();
    await press("unblock-yes");
    expect(backend.calls.filter(({ name }) => name === "unblock").map(({ input }) => input)).toEqual([["9a3e5f0172cc48d1b6e0a9d35f7718c2"]]);
    expect(theo()).toBeUndefined();
    expect(dataset().count).toBe("1");
    expect(one("blocked-done").textContent).toBe("Theo Vance is not blocked any more.");
    expect(document.activeElement?.textContent).toBe("Blocked people");
    // The list is read from the engine, and not kept here.
    expect((await backend.blocked()).map(({ name }) => name)).toEqual(["Great Offers Daily"]);
  });

  it("are free in the list of conversations, too", async () => {
    const { app } = await listed();
    expect(app.sections.blocked).toHaveLength(1);
    await press("unblock");
    await press("unblock-yes");
    expect(app.sections.blocked).toHaveLength(0);
    expect(one("blocked-nobody")).toBeTruthy();
  });

  it("stay when unblocking fails, and it is said why", async () => {
    await listed({ failing: { unblock: "diskFull" } });
    await press("unblock");
    await press("unblock-yes");
    expect(one("blocked-error").dataset.code).toBe("diskFull");
    expect(one("blocked-person").dataset.state).toBe("asking");
    expect((one("unblock-yes") as HTMLButtonElement).disabled).toBe(false);
  });

  it("cannot always be read, and it is said why", async () => {
    await listed({ failing: { blocked: "diskFull" } });
    expect(one("blocked-error").dataset.code).toBe("diskFull");
    expect(dataset().state).toBe("loading");
  });
});
