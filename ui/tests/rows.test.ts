// @vitest-environment node
import { describe, expect, it } from "vitest";
import { rowsOf } from "../src/lib/state/rows";
import { message, noon } from "./make";

const kinds = (rows: ReturnType<typeof rowsOf>) => rows.map(({ kind }) => kind);

describe("rows of a timeline", () => {
  it("begins each day with its rule", () => {
    const day = 24 * 3_600_000;
    const rows = rowsOf([message("a", 1), message("b", 2, { at: noon + day }), message("c", 3, { at: noon + day + 1 })], null);
    expect(kinds(rows)).toEqual(["day", "message", "day", "message", "message"]);
  });

  it("joins one sender's messages into a run, and ends it for a pause or another sender", () => {
    const rows = rowsOf(
      [
        message("a", 1),
        message("b", 2),
        message("c", 3, { at: noon + 20 * 60_000 }),
        message("d", 4, { at: noon + 20 * 60_000 + 1, sender: "b".repeat(32) }),
      ],
      null,
    ).filter((row) => row.kind === "message");
    expect(rows.map(({ opensRun, closesRun }) => [opensRun, closesRun])).toEqual([
      [true, false],
      [false, true],
      [true, true],
      [true, true],
    ]);
  });

  it("marks the first unread message, once, and never an own one", () => {
    const list = [message("a", 1), message("mine", 2, { mine: true }), message("b", 3), message("c", 4)];
    const rows = rowsOf(list, 1);
    expect(kinds(rows)).toEqual(["day", "message", "message", "unread", "message", "message"]);
    expect(kinds(rowsOf(list, null))).not.toContain("unread");
    expect(kinds(rowsOf(list, 4))).not.toContain("unread");
  });

  it("shows a notice as a line of its own that ends runs", () => {
    const notice = { type: "keysRotated", name: "Ada", version: 2, mine: false } as const;
    const rows = rowsOf([message("a", 1), message("n", 2, { notice, text: "" }), message("b", 3)], null);
    expect(kinds(rows)).toEqual(["day", "message", "notice", "message"]);
    expect(rows[3]).toMatchObject({ opensRun: true });
  });

  it("gives every row its own key, even where clocks make a day come twice", () => {
    const day = 24 * 3_600_000;
    const rows = rowsOf([message("a", 1, { at: noon }), message("b", 2, { at: noon + day }), message("c", 3, { at: noon })], null);
    const keys = rows.map(({ key }) => key);
    expect(kinds(rows).filter((kind) => kind === "day")).toHaveLength(3);
    expect(new Set(keys).size).toBe(keys.length);
  });
});
