// @vitest-environment node
import { describe, expect, it } from "vitest";
import { addressParts, openableAddress, piecesOf } from "../src/lib/text/links";

const links = (text: string) => piecesOf(text).filter((piece) => piece.kind === "link").map((piece) => piece.text);

describe("links in text", () => {
  it("loses no character, whatever the text", () => {
    const texts = [
      "plain",
      "",
      "see https://example.org/a?b=c#d, and (https://example.org/x_(y)).",
      "https://example.org",
      "<a href=https://example.org>https://</a>",
      "line\nhttps://example.org\nline",
    ];
    for (const text of texts) expect(piecesOf(text).map((piece) => piece.text).join("")).toBe(text);
  });

  it("finds https addresses and leaves the sentence's own punctuation out", () => {
    expect(links("Look: https://example.org/a. Or https://example.org/b?c=d, maybe (https://example.org/e)!")).toEqual([
      "https://example.org/a",
      "https://example.org/b?c=d",
      "https://example.org/e",
    ]);
    expect(links("https://example.org/wiki/Wing_(bird)")).toEqual(["https://example.org/wiki/Wing_(bird)"]);
  });

  it("takes nothing but https", () => {
    for (const text of [
      "http://example.org",
      "javascript:alert(1)",
      "data:text/html,x",
      "file:///etc/passwd",
      "https://",
      "https://user:secret@example.org/",
      "https://bank.example@evil.example/",
      "ftp://example.org",
    ]) {
      expect(links(text), text).toEqual([]);
    }
  });

  it("shows the real address of a name in another script", () => {
    // A Cyrillic 'а' in place of the Latin one.
    const [piece] = piecesOf("https://\u0430pple.example/login");
    expect(piece).toMatchObject({ kind: "link", href: "https://xn--pple-43d.example/login" });
    expect(addressParts("https://xn--pple-43d.example/login")).toEqual({
      before: "https://",
      host: "xn--pple-43d.example",
      after: "/login",
    });
  });

  it("ends at characters that turn or hide text", () => {
    expect(links("https://example.org/\u202egnp.exe")).toEqual(["https://example.org/"]);
    expect(links("https://example.org/a\u200bb")).toEqual(["https://example.org/a"]);
    expect(openableAddress("https://example.org:8443/x")).toBe("https://example.org:8443/x");
  });
});
