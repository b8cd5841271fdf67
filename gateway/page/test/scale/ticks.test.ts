import { describe, expect, test } from "vitest";
import { commonPrefix, keyTicks } from "../../src/scale/labels";
import { fromField, stretch, timeTicks, toField } from "../../src/scale/time";
import { wholeOf } from "../../src/data/viewport";
import { ingest } from "../../src/data/ingest";
import { rangeIn } from "../../src/scale/slices";
import { base64, matrixOf, wire, wireRow } from "../matrices";

const widthOf = (text: string) => 7 * text.length;

describe("ticks of time", () => {
  const hour = Date.UTC(2026, 3, 27, 11);
  const minutes = (count: number, stepMs = 60_000) => Array.from({ length: count }, (_, at) => hour + (at + 1) * stepMs);
  test("stand on round moments, where those are", () => {
    const matrix = matrixOf(["a"], minutes(60));
    const ticks = timeTicks(matrix, wholeOf(matrix), 600, { utc: true, widthOf });
    expect(ticks.map(({ text }) => text)).toContain("11:30");
    expect(ticks.find(({ text }) => text === "11:30")?.x).toBeCloseTo(300, 6);
    expect(ticks.length).toBeLessThanOrEqual(10);
  });
  test("are as fine as the zoom: minutes, seconds, days", () => {
    const seconds = matrixOf(["a"], minutes(120, 1000));
    expect(timeTicks(seconds, { ...wholeOf(seconds), x0: 30, x1: 60 }, 600, { utc: true, widthOf })[0]?.text).toMatch(/^11:\d\d:\d\d$/);
    const days = matrixOf(["a"], minutes(1440, 600_000));
    expect(timeTicks(days, wholeOf(days), 600, { utc: true, widthOf }).map(({ text }) => text)).toContain("May 1");
  });
  test("tell the day where it changes", () => {
    const night = matrixOf(["a"], Array.from({ length: 240 }, (_, at) => Date.UTC(2026, 3, 27, 22) + at * 60_000));
    expect(timeTicks(night, wholeOf(night), 600, { utc: true, widthOf }).map(({ text }) => text)).toContain("Apr 28, 00:00");
  });
  test("never touch each other, and the one with a date stays", () => {
    const wide = (text: string) => 11 * text.length;
    const night = matrixOf(["a"], Array.from({ length: 300 }, (_, at) => Date.UTC(2026, 3, 27, 22, 30) + at * 60_000));
    for (const width of [300, 420, 600, 900]) {
      const ticks = timeTicks(night, wholeOf(night), width, { utc: true, widthOf: wide });
      const begins = (tick: (typeof ticks)[number]) => tick.x - { start: 0, middle: 0.5, end: 1 }[tick.anchor] * wide(tick.text);
      const written = ticks.filter(({ text }) => text !== "");
      written.slice(1).forEach((tick, at) => {
        const before = written[at] as (typeof ticks)[number];
        expect(begins(tick)).toBeGreaterThanOrEqual(begins(before) + wide(before.text) + 10);
      });
      expect(written.map(({ text }) => text)).toContain("Apr 28, 00:00");
      for (const tick of written) expect(begins(tick)).toBeGreaterThanOrEqual(0);
    }
  });
  test("a stretch of time tells its day once, and both where there are two", () => {
    const options = { utc: true, short: false, nowMs: hour + 5 * 86_400_000 };
    expect(stretch(hour, hour + 90_000, options)).toBe("27 Apr 11:00:00 – 11:01:30");
    expect(stretch(hour, hour + 86_400_000, options)).toBe("27 Apr 11:00 – 28 Apr 11:00");
    expect(stretch(hour, hour + 90_000, { ...options, nowMs: hour })).toBe("11:00:00 – 11:01:30");
    expect(stretch(1000, 2000, options)).toBe("1 Jan 1970 00:00:01 – 00:00:02");
    expect(stretch(1000, hour, options)).toBe("1 Jan 1970 00:00 – 27 Apr 11:00");
    expect(stretch(hour, hour + 3_600_000, options)).toBe("27 Apr 11:00 – 12:00");
    expect(stretch(hour, hour + 90_000, { ...options, short: true })).toBe("11:00–11:01");
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
  test("read alike for the slices of one route, whatever bytes they are cut at", () => {
    const cut = (hex: string) => btoa("k/5" + String.fromCharCode(...(hex.match(/../g) ?? []).map((pair) => parseInt(pair, 16))));
    const starts = [base64("k/5"), cut("40"), cut("80"), base64("k/6")];
    const ids = ["route:5#0", "route:5#1", "route:5#2", "route:6"];
    const cells = ids.map((id, at) => wireRow(id, [1], { start: starts[at] as string, end: starts[at + 1] ?? "" }));
    const sliced = ingest(wire([1000], cells), "");
    expect(keyTicks(sliced, wholeOf(sliced), 400, 150, widthOf).ticks.map(({ text }) => text)).toEqual(["k/5", "k/5 + 0x40", "k/5 + 0x80", "k/6"]);
    expect(sliced.rows.map((head) => rangeIn(sliced, head))).toEqual([
      ...["k/5 … k/5 + 0x40", "k/5 + 0x40 … k/5 + 0x80", "k/5 + 0x80 … k/6", "k/6 … (last key)"],
    ]);
  });
  test("stay text where all slices are cut at text", () => {
    const cells = [wireRow("route:5#0", [1], { start: base64("a") }), wireRow("route:5#1", [1], { start: base64("ab") })];
    const sliced = ingest(wire([1000], cells), "");
    expect(keyTicks(sliced, wholeOf(sliced), 400, 150, widthOf).ticks.map(({ text }) => text)).toEqual(["a", "ab"]);
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
