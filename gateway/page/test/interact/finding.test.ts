import { describe, expect, test } from "vitest";
import { ingest } from "../../src/data/ingest";
import { bytesOfTyped, find } from "../../src/interact/finding";
import { base64, matrixOf, wire, wireRow } from "../matrices";

describe("finding", () => {
  const matrix = matrixOf(["item/000", "order/000", "order/500", "user/000"]);
  const found = (text: string) => find(matrix, text).map(({ bucketId }) => bucketId);
  test("a bucket by its name or number first", () => {
    expect(found("route:2")[0]).toBe("route:2");
    expect(found("3")[0]).toBe("route:3");
  });
  test("the first row of keys that begin so", () => {
    expect(found("order")[0]).toBe("route:1");
  });
  test("the row that holds a key, typed as text or as bytes", () => {
    expect(found("order/4999")[0]).toBe("route:1");
    expect(found("order/501")[0]).toBe("route:2");
    expect(found("0x6f726465722f353031")[0]).toBe("route:2");
    expect(found("zzz")).toEqual(["route:3"]);
  });
  test("slices and labels of a route with it, and labels by themselves", () => {
    const rows = ["route:7", "route:7:login", "route:7#0", "route:70"].map((id) =>
      wireRow(id, [1], { start: base64("k"), end: base64("l"), ...(id.endsWith("login") ? { label: "login" } : {}) }),
    );
    const labelled = ingest(wire([1000], rows), "");
    expect(find(labelled, "7").slice(0, 3).map(({ bucketId }) => bucketId)).toEqual(["route:7", "route:7:login", "route:7#0"]);
    expect(find(labelled, "login")[0]?.bucketId).toBe("route:7:login");
  });
  test("a route by its whole name alone, never another one or a row that holds its letters", () => {
    expect(["route:1", "route 1", "Route: 1", "ROUTE:1"].map(found)).toEqual(Array(4).fill(["route:1"]));
    expect(["route:99", "route 99", "route:1#0"].map(found)).toEqual([[], [], []]);
    const folded = ingest(wire([1000], [wireRow("virtual:1", [1], { aggregate: true, route_ids: [98, 99], route_count: 2 })]), "");
    expect(find(folded, "route:99").map(({ bucketId }) => bucketId)).toEqual(["virtual:1"]);
    const many = matrixOf(Array.from({ length: 12 }, (_, at) => `k/${String(at).padStart(2, "0")}`));
    expect(find(many, "route:1").map(({ bucketId }) => bucketId)).toEqual(["route:1"]);
  });
  test("a key that begins like a route's name is still a key", () => {
    const stops = matrixOf(["route:5/a", "route:5/b"]);
    expect(find(stops, "route:5/b")[0]?.bucketId).toBe("route:1");
  });
  test("bytes that are no bytes are no key", () => {
    const whole = matrixOf(["", "m"]);
    expect(["0xzz", "0x6f7", "0x"].map((text) => find(whole, text))).toEqual([[], [], []]);
    expect(find(whole, "0x6f").map(({ bucketId }) => bucketId)).toEqual(["route:1"]);
  });
  test("nothing for nothing, and for a key before every range", () => {
    expect(found("  ")).toEqual([]);
    expect(found("aaa")).toEqual([]);
  });
  test("bytes compare as bytes, above 127 too", () => {
    expect(bytesOfTyped("0xFF00")).toBe("\u00ff\u0000");
    expect(bytesOfTyped("é")).toBe("\u00c3\u00a9");
    expect(bytesOfTyped("0xfff")).toBe("0xfff");
  });
});
