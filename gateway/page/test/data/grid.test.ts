import { describe, expect, test } from "vitest";
import { timeGrid } from "../../src/data/grid";

describe("time grid", () => {
  test("a window without data is unknown, not zero", () => {
    expect([...timeGrid([1000, 2000, 4000], 1000).columns]).toEqual([0, 1, -1, 2]);
  });
  test("stamps off the grid are shown one by one, with a gap between those that are far apart", () => {
    expect([...timeGrid([1000, 2100, 4000], 1000).columns]).toEqual([0, 1, -1, 2]);
    expect([...timeGrid([1000, 2100, 3050], 1000).columns]).toEqual([0, 1, 2]);
  });
  test("a gap that would dwarf the data is one column", () => {
    const grid = timeGrid([1000, 2000, 50_000_000, 50_001_000], 1000);
    expect([...grid.columns]).toEqual([0, 1, -1, 2, 3]);
    expect([...grid.stamps]).toEqual([1000, 2000, 49_999_000, 50_000_000, 50_001_000]);
  });
});
