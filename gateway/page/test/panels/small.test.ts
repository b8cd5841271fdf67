import { describe, expect, test } from "vitest";
import { stretches } from "../../src/panels/identities";
import { onGrid, sparkOf } from "../../src/panels/sparkline";
import { compactly, exactly, shareOf, span } from "../../src/panels/units";

describe("who led", () => {
  const row = (values: number[], raftGroupIds: number[], leaderTerms: number[]) => ({
    stepMs: 10,
    stamps: values.map((_, at) => 10 * (at + 1)),
    values,
    raftGroupIds,
    leaderTerms,
  });
  test("equal identities make one stretch, over windows without traffic too", () => {
    expect(stretches(row([5, 0, 5, 5], [2, 9, 2, 2], [7, 9, 7, 8]))).toEqual([
      { group: 2, term: 7, fromMs: 0, toMs: 30, windows: 2 },
      { group: 2, term: 8, fromMs: 30, toMs: 40, windows: 1 },
    ]);
  });
  test("a row without identities is not known", () => {
    expect(stretches(row([1, 1], [], []))).toEqual([{ group: 0, term: 0, fromMs: 0, toMs: 20, windows: 2 }]);
  });
});

describe("sparklines", () => {
  test("zero is the ground, unknown is a gap", () => {
    expect(sparkOf([2, 0, undefined, 1], 4, 10).path).toBe("M0 10V0H1V10H2V10ZM3 10V5H4V10Z");
  });
  test("many windows fold by their largest, so that a peak stays", () => {
    const values = Array.from({ length: 1000 }, (_, at) => (at === 777 ? 50 : 1));
    expect(sparkOf(values, 10, 10)).toMatchObject({ peak: 50, latest: 1 });
    expect(sparkOf(values, 10, 10).path).toContain("V0H8");
  });
  test("nothing is drawn of nothing", () => {
    expect(sparkOf([], 10, 10)).toEqual({ path: "", peak: 0, latest: undefined });
  });
  test("a window that is absent leaves its place empty", () => {
    expect(onGrid([10, 20, 40], [1, 2, 3], 10)).toEqual([1, 2, undefined, 3]);
    expect(onGrid([], [], 10)).toEqual([]);
  });
});

describe("numbers", () => {
  test("lengths of time have at most two parts", () => {
    expect([0, 999, 41_000, 3_600_000, 7_500_000, 90_061_000].map(span)).toEqual(["0 s", "1 s", "41 s", "1 h", "2 h 5 min", "1 d 1 h"]);
  });
  test("shares of nothing are no number", () => {
    expect([shareOf(1, 3), shareOf(0, 0)]).toEqual(["33.3%", "–"]);
  });
  test("shares of one list have as many decimals; only nothing is 0% and only all is 100%", () => {
    expect([13, 129, 0, 1000].map((part) => shareOf(part, 1000))).toEqual(["1.3%", "12.9%", "0%", "100%"]);
    expect([shareOf(13, 100), shareOf(1, 100_000), shareOf(99_999, 100_000)]).toEqual(["13.0%", "<0.1%", ">99.9%"]);
  });
  test("counts", () => {
    expect([compactly(1_234_567), exactly(1_234_567)]).toEqual(["1.235M", "1,234,567"]);
  });
});
