import { describe, expect, test } from "vitest";
import { bucketOf, siblings } from "../../src/panels/buckets";

describe("bucket ids", () => {
  test.each([
    ["route:42", { kind: "route", routeId: "42", label: "", slice: undefined, parent: "route:42" }],
    ["route:42:hot_tenant", { kind: "route", routeId: "42", label: "hot_tenant", slice: undefined, parent: "route:42:hot_tenant" }],
    ["route:42#3", { kind: "route", routeId: "42", label: "", slice: 3, parent: "route:42" }],
    ["route:42:a-b#0", { kind: "route", routeId: "42", label: "a-b", slice: 0, parent: "route:42:a-b" }],
    ["virtual:99", { kind: "virtual", routeId: "", label: "", slice: undefined, parent: "virtual:99" }],
    ["<b>", { kind: "other", routeId: "", label: "", slice: undefined, parent: "<b>" }],
  ])("%s", (id, expected) => {
    expect(bucketOf(id)).toEqual(expected);
  });
  test("an id larger than a double holds exactly keeps its digits", () => {
    expect(bucketOf("route:18446744073709551615").routeId).toBe("18446744073709551615");
  });
  test("slices are grouped under their route in order, other routes and labels apart", () => {
    const ids = ["route:1#10", "route:1#2", "route:1:x#0", "route:10#1", "route:1"];
    expect(siblings(ids, 0)).toEqual([1, 0]);
    expect(siblings(ids, 4)).toEqual([]);
  });
});
