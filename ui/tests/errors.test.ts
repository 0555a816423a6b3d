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

  it("tell newer keys that are held back, and names of others, from keys that are not in the log", () => {
    const missing = "keys that are not in its public log";
    expect(errorWords.notInLog.sentence).toContain(missing);
    const newer = errorLine({ code: "newerKeysHeldBack", detail: "" });
    expect(newer).toContain("newer keys of this account than the relay shows");
    expect(newer).toContain("Waxwing does not use them. Try again later.");
    const name = errorLine({ code: "nameOfAnother", detail: "" });
    expect(name).toContain("this name does not belong to the account that the relay shows for it, so nobody was added.");
    expect(name).toContain("Ask the person for an invite link");
    for (const line of [newer, name]) expect(line).not.toContain(missing);
  });

  it("name the clock first where a certificate is not valid by it, and speak of no time that the relay has told", () => {
    const line = errorLine({ code: "certificateTime", detail: "" });
    expect(line).toMatch(/^By this computer's clock the relay's certificate has expired or is not valid yet\. Nothing is sent/u);
    expect(line).toContain("Check this computer's date and time. If they are right, the relay's operator must renew it, or somebody stands in between.");
    for (const other of ["10 minutes", "the relay's time"]) expect(line).not.toContain(other);
  });

  it("make a report that can be copied", () => {
    const error = { code: "diskFull", detail: "os error 28" } as const;
    expect(errorReport(error, "1.2.3")).toBe("Waxwing 1.2.3\nThe disk is full (diskFull)\nos error 28");
    expect(errorLine(error)).toContain("Free some space");
  });
});
