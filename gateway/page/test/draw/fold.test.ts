import { describe, expect, test } from "vitest";
import { codeOf, ZERO } from "../../src/data/codes";
import { ingest } from "../../src/data/ingest";
import { anchoredBins, binsOf, foldByMaximum } from "../../src/data/fold";
import { peaks } from "../../src/draw/margins";
import { wire, wireRow } from "../matrices";

test("every cell in view is in exactly one bin, wherever the view begins", () => {
  for (const [from, to, pixels] of [[0, 100, 7], [3.4, 97.9, 13], [0.2, 15, 14], [10, 20, 400], [0, 100, 99], [99.5, 100, 1]] as const) {
    const { edges, count } = binsOf(from, to, 100, pixels);
    expect(edges[0]).toBe(Math.floor(from));
    expect(edges[count]).toBe(Math.min(100, Math.ceil(to)));
    for (let bin = 0; bin < count; bin += 1) expect(edges[bin + 1]).toBeGreaterThan(edges[bin] as number);
  }
});

describe("folding by maximum", () => {
  const size = 50;
  const stamps = Array.from({ length: size }, (_, at) => (at + 1) * 1000);
  const rows = Array.from({ length: size }, (_, row) => wireRow(`r${row}`, stamps.map((_, at) => (row === 31 && at === 17 ? 999 : 0))));
  const matrix = ingest(wire(stamps, rows), "");
  test.each([[7, 7], [50, 7], [7, 50], [1, 1], [49, 3]])("one hot cell of 2500 shows on %i x %i pixels", (width, height) => {
    const [across, down] = [binsOf(0, size, size, width), binsOf(0, size, size, height)];
    const { codes } = foldByMaximum(matrix, across, down);
    expect([...codes].filter((code) => code === codeOf(999))).toHaveLength(1);
    expect([...codes].filter((code) => code === ZERO)).toHaveLength(width * height - 1);
  });
  test("what one call left in the scratch array does not show in the next", () => {
    const scratch = new Uint16Array(100).fill(60_000);
    const { codes } = foldByMaximum(matrix, binsOf(0, 10, size, 10), binsOf(0, 10, size, 10), scratch);
    expect(new Set(codes)).toEqual(new Set([ZERO]));
  });
  test("a bar of many columns is as tall as the tallest of them", () => {
    expect([...peaks(Float64Array.from([1, 9, 2, 3]), binsOf(0, 4, 4, 2))]).toEqual([9, 3]);
  });
});

describe("bins of a picture that moves", () => {
  test("are the same cells wherever the view begins, so that nothing flickers under a drag", () => {
    const edgesOf = (from: number) => {
      const { edges, from: first, count } = anchoredBins(from, from + 700, 1440, 1.7, 0);
      return new Map(Array.from({ length: count }, (_, bin) => [Math.round(first / 1.7) + bin, [edges[bin], edges[bin + 1]]]));
    };
    const [one, other] = [edgesOf(100), edgesOf(133.3)];
    const both = [...one.keys()].filter((bin) => other.has(bin));
    expect(both.length).toBeGreaterThan(300);
    for (const bin of both) expect(other.get(bin)).toEqual(one.get(bin));
  });
  test("hold every cell in view once, and the spare ones too", () => {
    for (const [from, to, size, spare] of [[0, 1440, 1.3, 0], [10.2, 99.7, 1, 5], [700, 1440, 2.5, 300], [0.5, 1.5, 1, 0]] as const) {
      const { edges, count } = anchoredBins(from, to, 1440, size, spare);
      expect(edges[0]).toBeLessThanOrEqual(Math.max(0, from - spare));
      expect(edges[count]).toBeGreaterThanOrEqual(Math.min(1440, to + spare));
      for (let bin = 0; bin < count; bin += 1) expect(edges[bin + 1]).toBeGreaterThanOrEqual(edges[bin] as number);
    }
  });
});
