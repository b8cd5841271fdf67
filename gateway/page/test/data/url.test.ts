import { describe, expect, test } from "vitest";
import { decodeView, encodeView, readSpan, writtenSpan } from "../../src/data/url";
import { DEFAULT_VIEW, type View } from "../../src/data/view";

const FULL: View = {
  series: "read_bytes",
  scale: "linear",
  brightness: 2.5,
  unit: "count",
  range: { kind: "between", fromMs: 1_777_290_300_000, toMs: 1_777_290_900_000 },
  rows: 64,
  keys: { start: "YQ+/", end: "" },
  node: "n1:a b&c=d",
  refreshMs: 15_000,
  paused: true,
  live: false,
  zoom: {
    fromMs: 1_777_290_310_000,
    toMs: 1_777_290_320_001,
    top: { bucket: "route:7:lo-gin#3", part: 0.25 },
    bottom: { bucket: "virtual:18446744073709551615", part: 1 },
  },
  cell: { bucket: "route:7@x", columnMs: 1_777_290_360_000 },
  utc: true,
};

describe("a view in a link", () => {
  test("comes back as it was", () => {
    expect(decodeView(encodeView(FULL))).toEqual(FULL);
    for (const range of [{ kind: "all" }, { kind: "last", ms: 300_000 }] as const) {
      expect(decodeView(encodeView({ ...FULL, range })).range).toEqual(range);
    }
  });
  test("the usual view is an empty query, and the other way round", () => {
    expect(encodeView(DEFAULT_VIEW)).toBe("");
    expect(decodeView("")).toEqual(DEFAULT_VIEW);
  });
  test.each([
    "series=gets", "scale=2", "brightness=NaN", "brightness=99", "unit=", "range=5x", "range=9-1", "range=1-99999999999999999",
    "rows=0", "rows=1025", "rows=ten", "keys=~", "keys=%~%", "refresh=-1s", "zoom=1-2", "zoom=1-2&top=0.5@a&bottom=7@b",
    `cell=1@${"x".repeat(300)}`, "cell=@", "theme=light", `node=${"n".repeat(300)}`, "top=1@a", "%E0%A4%A", "a".repeat(5000),
  ])("what makes no sense is left at its default: %s", (query) => {
    expect(decodeView(query)).toEqual(DEFAULT_VIEW);
  });
  test("lengths of time are written in the largest unit that fits, a day as the choice of ranges has it", () => {
    expect([300_000, 900_000, 3_600_000, 86_400_000, 172_800_000, 1_500].map(writtenSpan)).toEqual(["5m", "15m", "1h", "24h", "2d", "1500ms"]);
    for (const ms of [1, 999, 60_000, 86_400_000, 172_800_000]) expect(readSpan(writtenSpan(ms))).toBe(ms);
  });
});
