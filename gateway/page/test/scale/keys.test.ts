import { describe, expect, test } from "vitest";
import { elided, range, readable } from "../../src/scale/keys";

const bytes = (text: string) => new TextEncoder().encode(text);

describe("keys", () => {
  test("text stays text and everything else is hexadecimal", () => {
    expect(readable(bytes("user/42"))).toBe("user/42");
    expect(readable(new Uint8Array([0, 255]))).toBe("0x00ff");
  });
  test("marks that turn text around are never shown as text", () => {
    expect(readable(bytes("a\u202eb"))).toMatch(/^0x/);
  });
  test("nor are marks that are not seen, or that decoding would take away", () => {
    for (const mark of ["\ufeff", "\u3164", "\u034f", "\ufe0f"]) expect(readable(bytes(`${mark}a`))).toMatch(/^0x/);
  });
  test("a long label keeps its beginning and its end", () => {
    const characters = (text: string) => text.length;
    expect(elided("0x0069647800003fffee00", 12, characters)).toBe("0x0069…fee00");
    expect(elided("short", 12, characters)).toBe("short");
  });
  test("unbounded ends are said in words", () => {
    expect(range("", "")).toBe("(first key) … (last key)");
  });
});
