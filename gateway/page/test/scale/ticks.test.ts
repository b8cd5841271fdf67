import { describe, expect, test } from "vitest";
import { commonPrefix, keyTicks } from "../../src/scale/labels";
import { fromField, timeTicks, toField } from "../../src/scale/time";
import { wholeOf } from "../../src/data/viewport";
import { matrixOf } from "../matrices";

const widthOf = (text: string) => 7 * text.length;

describe("ticks of time", () => {
  const hour = Date.UTC(2026, 3, 27, 11);
  const minutes = (count: number, stepMs = 60_000) => Array.from({ length: count }, (_, at) => hour + (at + 1) * stepMs);
  test("stand on round moments, where those are", () => {
    const matrix = matrixOf(["a"], minutes(60));
    const ticks = timeTicks(matrix, wholeOf(matrix), 600, true);
    expect(ticks.map(({ text }) => text)).toContain("11:30");
    expect(ticks.find(({ text }) => text === "11:30")?.x).toBeCloseTo(300, 6);
    expect(ticks.length).toBeLessThanOrEqual(10);
  });
  test("are as fine as the zoom: minutes, seconds, days", () => {
    const seconds = matrixOf(["a"], minutes(120, 1000));
    expect(timeTicks(seconds, { ...wholeOf(seconds), x0: 30, x1: 60 }, 600, true)[0]?.text).toMatch(/^11:\d\d:\d\d$/);
    const days = matrixOf(["a"], minutes(1440, 600_000));
    expect(timeTicks(days, wholeOf(days), 600, true).map(({ text }) => text)).toContain("May 1");
  });
  test("tell the day where it changes", () => {
    const night = matrixOf(["a"], Array.from({ length: 240 }, (_, at) => Date.UTC(2026, 3, 27, 22) + at * 60_000));
    expect(timeTicks(night, wholeOf(night), 600, true).map(({ text }) => text)).toContain("Apr 28, 00:00");
  });
  test("a field's text is the moment again, in either clock", () => {
    for (const utc of [true, false]) expect(fromField(toField(hour, utc), utc)).toBe(hour);
    expect(fromField("", true)).toBeNaN();
  });
});

describe("ticks of keys", () => {
  const keys = Array.from({ length: 60 }, (_, at) => `order/2026/${String(at).padStart(4, "0")}`);
  const matrix = matrixOf(keys);
  test("leave out what all in view begin with, and say it once", () => {
    const { prefix, ticks } = keyTicks(matrix, { ...wholeOf(matrix), y0: 10, y1: 20 }, 400, 150, widthOf);
    expect(prefix).toBe("order/2026/001");
    expect(ticks[0]).toEqual({ y: 0, text: "…0" });
    expect(ticks).toHaveLength(10);
  });
  test("never stand closer than text is high", () => {
    const { ticks } = keyTicks(matrix, wholeOf(matrix), 200, 150, widthOf);
    for (let at = 1; at < ticks.length; at += 1) expect((ticks[at]?.y ?? 0) - (ticks[at - 1]?.y ?? 0)).toBeGreaterThanOrEqual(17);
  });
  test("fit their room", () => {
    const long = matrixOf(["a", "b".repeat(300), "c".repeat(300)]);
    for (const { text } of keyTicks(long, wholeOf(long), 400, 100, widthOf).ticks) expect(widthOf(text)).toBeLessThanOrEqual(100);
  });
  test("a prefix leaves every key something of its own", () => {
    expect(commonPrefix(["user/1", "user/12"])).toBe("user/");
    expect(commonPrefix(["same", "same"])).toBe("sam");
    expect(commonPrefix(["ab1", "ab2"])).toBe("");
    expect(commonPrefix(["alone"])).toBe("");
  });
});
