import { describe, expect, test } from "vitest";
import { ingest } from "../../src/data/ingest";
import { viewportOf, wholeOf } from "../../src/data/viewport";
import { alike, covers, mannerOf, prepare, type Look } from "../../src/draw/colouring";
import { tableOf } from "../../src/scale/colour";
import { codeOf, ZERO } from "../../src/data/codes";
import { base64, wire, wireRow } from "../matrices";

const stamps = [1000, 2000, 4000];
const rows = [
  wireRow("route:1", [0, 5, 9], { start: base64("a"), end: base64("m") }),
  wireRow("route:2", [9, 0, 1], { start: base64("m"), conflict: true, conflicts: [false, false, true] }),
];
const matrix = ingest(wire(stamps, rows), "");
const look: Look = { surface: { width: 400, height: 200, ratio: 1 }, zoom: null, live: true, scale: "log", brightness: 1, starts: [] };
const shading = { scale: "log", brightness: 1, top: matrix.top } as const;

describe("a picture that is made ahead of its frame", () => {
  test("has a pixel of the right colour for each cell, none where nobody has data", () => {
    const made = prepare(matrix, look);
    const table = tableOf(shading);
    const shade = (value: number) => table[value === 0 ? ZERO : codeOf(value)] as number;
    expect([...(made?.pixels ?? [])]).toEqual([shade(0), shade(5), 0, shade(9), shade(9), shade(0), 0, shade(1)]);
  });
  test("is the one that the frame wants while the look stays", () => {
    const made = prepare(matrix, look);
    const wanted = mannerOf(matrix, wholeOf(matrix), look.surface, shading);
    expect(made !== null && wanted !== undefined && alike(made.manner, wanted) && covers(matrix, made, wholeOf(matrix))).toBe(true);
  });
  test.each([
    ["brightness", { brightness: 2 }],
    ["scale", { scale: "linear" }],
    ["size of the screen", { surface: { width: 2, height: 200, ratio: 1 } }],
  ] as const)("is not once the %s has changed", (_, changed) => {
    const made = prepare(matrix, { ...look, ...changed });
    const wanted = mannerOf(matrix, wholeOf(matrix), look.surface, shading);
    expect(made !== null && wanted !== undefined && alike(made.manner, wanted)).toBe(false);
  });
  test("holds the part that a zoom shows, on rows that are gone too", () => {
    const zoom = { fromMs: 1000, toMs: 2000, top: { bucket: "route:9", part: 0.5 }, bottom: { bucket: "route:2", part: 1 } };
    const starts = [["route:9", base64("b")]] as const;
    const small = { ...look, surface: { width: 1, height: 1, ratio: 1 } };
    const made = prepare(matrix, { ...small, live: false, zoom, starts });
    const port = viewportOf(matrix, { zoom, live: false }, new Map(starts));
    expect(port).toEqual({ x0: 1, x1: 2, y0: 0.5, y1: 2 });
    expect(made !== null && covers(matrix, made, port)).toBe(true);
  });
  test("there is none of an answer without rows or columns", () => {
    expect(prepare(ingest(wire([], []), ""), look)).toBeNull();
  });
});
