import { describe, expect, test } from "vitest";
import { keyForms, shownKey } from "../../src/panels/keyforms";
import { base64, base64OfText } from "./made";

describe("a key in three forms", () => {
  test("text, hexadecimal and base64 of the same bytes", () => {
    expect(keyForms("dXNlci80Mg==")).toEqual({ text: "user/42", hex: "757365722f3432", base64: "dXNlci80Mg==", bytes: 7 });
  });
  test.each([
    ["a NUL", [97, 0, 98]],
    ["a broken encoding", [0xff, 0xfe]],
    ["an escape", [27, 91, 51]],
    ["a right-to-left override", [...new TextEncoder().encode("a\u202eb")]],
    ["a zero-width joiner", [...new TextEncoder().encode("a\u200db")]],
    ["a byte order mark", [0xef, 0xbb, 0xbf, 97]],
    ["a filler that looks like nothing", [...new TextEncoder().encode("a\u3164")]],
    ["space at an end", [97, 32]],
    ["a surrogate", [0xed, 0xa0, 0x80]],
  ])("%s is never shown as text", (_, bytes) => {
    const forms = keyForms(base64(bytes));
    expect(forms.text).toBeUndefined();
    expect(shownKey(forms)).toMatch(/^0x[0-9a-f]+$/);
  });
  test("markup and emoji are text like any other", () => {
    expect(keyForms(base64OfText("<img src=x onerror=alert(1)>")).text).toBe("<img src=x onerror=alert(1)>");
    expect(keyForms(base64OfText("🔥/日本")).text).toBe("🔥/日本");
  });
  test("a key of 4 kB is cut in the middle, between characters, and says its length", () => {
    const said = shownKey(keyForms(base64OfText("🔥".repeat(1024))), 11);
    expect(said).toBe(`${"🔥".repeat(5)}…${"🔥".repeat(5)} (4096 bytes)`);
  });
  test("the empty key has a name", () => {
    expect(shownKey(keyForms(""))).toBe("(empty key)");
  });
});
