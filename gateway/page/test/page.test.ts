import { describe, expect, test } from "vitest";
import { bandOf, timeGrid } from "../src/grid";
import { elided, range, readable } from "../src/keys";
import { bannerText, NodeNames } from "../src/status";
import type { Fanout, Matrix, NodeOutcome } from "../src/wire";

const bytes = (text: string) => new TextEncoder().encode(text);
const matrix = (stamps: number[], step: number): Matrix => ({
  column_unix_ms: stamps,
  step_ms: step,
  rows: [],
  series: "writes",
  generated_at: "",
});
const node = (own: Partial<NodeOutcome>): NodeOutcome => ({
  node: "a:1",
  ok: true,
  error: "",
  kind: "",
  node_id: "",
  latency_ms: 1,
  generated_at: "",
  warnings: [],
  ...own,
});

describe("keys", () => {
  test("text stays text and everything else is hexadecimal", () => {
    expect(readable(bytes("user/42"))).toBe("user/42");
    expect(readable(new Uint8Array([0, 255]))).toBe("0x00ff");
  });
  test("marks that turn text around are never shown as text", () => {
    expect(readable(bytes("a\u202eb"))).toMatch(/^0x/);
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

describe("time grid", () => {
  test("a window without data is unknown, not zero", () => {
    expect([...timeGrid(matrix([1000, 2000, 4000], 1000)).columns]).toEqual([0, 1, -1, 2]);
  });
  test("stamps off the grid are shown one by one", () => {
    expect([...timeGrid(matrix([1000, 2100, 4000], 1000)).columns]).toEqual([0, 1, 2]);
  });
});

test("every row falls into some band when rows outnumber pixels", () => {
  const rows = new Set<number>();
  for (let pixel = 0; pixel < 7; pixel += 1) {
    const [first, last] = bandOf(pixel, 7, 100);
    for (let row = first; row < last; row += 1) rows.add(row);
  }
  expect(rows.size).toBe(100);
});

test("the banner names a node that is gone by the id that it had", () => {
  const names = new NodeNames();
  const before: Fanout = { nodes: [node({ node_id: "n2" })], responded: 1, expected: 1 };
  const after: Fanout = { nodes: [node({ ok: false, kind: "unreachable", error: "refused" })], responded: 0, expected: 1 };
  names.fill(before);
  expect(bannerText(names.fill(after), "writes")).toContain("n2 a:1 (refused)");
});
