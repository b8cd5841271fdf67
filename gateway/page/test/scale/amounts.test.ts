import { expect, test } from "vitest";
import { describe as told } from "../../src/interact/pointing";
import { several } from "../../src/scale/amounts";
import { matrixOf } from "../matrices";

test("one is one and many are many", () => {
  expect([0, 1, 2, 1234].map((count) => several(count, "row"))).toEqual(["0 rows", "1 row", "2 rows", "1,234 rows"]);
  expect([1, 2].map((count) => several(count, "byte read", "bytes read"))).toEqual(["1 byte read", "2 bytes read"]);
});

test("the tooltip counts so too", () => {
  const matrix = matrixOf(["a", "b"]);
  matrix.values.set([1, 2]);
  const text = (columnMs: number) => told({ bucket: "route:0", columnMs }, matrix, true);
  expect(text(1000)).toContain("(1 op in the window)");
  expect(text(2000)).toContain("(2 ops in the window)");
});
