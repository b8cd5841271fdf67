import { describe, expect, test } from "vitest";
import { hottestRows, summary } from "../../src/panels/hottest";
import { row, shown } from "./made";

const MATRIX = shown([row("route:1", [1, 1, undefined]), row("route:2", [0, 6, 0]), row("route:3", [0, 0, 0])], { stepMs: 2000 });

describe("the hottest rows", () => {
  test("by total over what is shown, rows without traffic left out", () => {
    expect(hottestRows(MATRIX, 10).map((one) => [one.bucketId, one.total, one.share])).toEqual([
      ["route:2", 6, "75.0%"],
      ["route:1", 2, "25.0%"],
    ]);
  });
  test("rates are per second of known time; the peak is the busiest window", () => {
    const [first, second] = hottestRows(MATRIX, 10);
    expect(first).toMatchObject({ perSecond: 1, peakPerSecond: 3, peakMs: 1_777_290_301_000 });
    expect(second?.perSecond).toBe(0.5);
  });
  test("equal totals stay in key order, and no more are given than asked for", () => {
    const even = shown(["a", "b", "c"].map((id) => row(id, [1])));
    expect(hottestRows(even, 2).map((one) => one.bucketId)).toEqual(["a", "b"]);
  });
  test("the sentence names range, share and moment", () => {
    const text = summary(hottestRows(MATRIX, 10), "writes", () => "11:45");
    expect(text).toBe(
      "Hottest: route:2, a … (last key), with 75.0% of writes and a peak of 3 writes per second at 11:45." +
        " Then route:1, a … (last key), with 25.0% of writes and a peak of 0.5 writes per second at 11:45.",
    );
  });
  test("silence is said", () => {
    expect(summary([], "reads", String)).toBe("No traffic in what is shown.");
  });
});
