// @vitest-environment node
import { describe, expect, it } from "vitest";
import type { ErrorCode } from "../src/lib/backend";
import bindings from "../src/lib/backend/bindings.ts?raw";
import { errorLine, errorReport, errorWords } from "../src/lib/words/errors";

/** The codes as the generated bindings list them. */
function declaredCodes(): string[] {
  const start = bindings.indexOf("export type ErrorCode =");
  const end = bindings.indexOf("export type ErrorView", start);
  // Comments between the codes quote nothing but code names of their own.
  const declaration = bindings.slice(start, end).replace(/\/\*[^]*?\*\//gu, "");
  return [...declaration.matchAll(/"(\w+)"/gu)].map((match) => match[1] ?? "");
}

/** What can stand in the way of the whole window. */
const fullScreen: ErrorCode[] = [
  "keychainLocked",
  "keychainAbsent",
  "keychainChanged",
  "keychainWrong",
  "keysLeft",
  "wrongPassphrase",
  "alreadyRunning",
  "databaseDamaged",
  "databaseTooNew",
  "diskFull",
  "profileUnusable",
  "internal",
];

describe("the words of errors", () => {
  it("cover every code that the engine has, and no other", () => {
    expect(declaredCodes().length).toBeGreaterThan(30);
    expect(Object.keys(errorWords).sort()).toEqual(declaredCodes().sort());
  });

  it("say cause and action in whole, short sentences", () => {
    for (const [code, { title, sentence, action }] of Object.entries(errorWords)) {
      expect(title, code).toMatch(/^[A-Z].*[^.]$/u);
      expect(sentence, code).toMatch(/^[A-Z].*\.$/u);
      expect(action, code).toMatch(/^[A-Z].*\.$/u);
      expect(sentence.length + action.length, code).toBeLessThan(230);
    }
  });

  it("name a button wherever a full screen needs one", () => {
    for (const code of fullScreen) expect(errorWords[code].button, code).toBeTruthy();
  });

  it("make a report that can be copied", () => {
    const error = { code: "diskFull", detail: "os error 28" } as const;
    expect(errorReport(error, "1.2.3")).toBe("Waxwing 1.2.3\nThe disk is full (diskFull)\nos error 28");
    expect(errorLine(error)).toContain("Free some space");
  });
});
