import { describe, expect, test } from "vitest";
import { inside, markAt, momentAt, placeOf, rowOf, viewportOf, wholeOf, zoomOf } from "../../src/data/viewport";
import { matrixOf } from "../matrices";

const KEYS = ["a", "b", "c", "d", "e"];
const NONE = new Map<string, string>();

describe("places and moments", () => {
  const matrix = matrixOf(KEYS, [1000, 2000, 4000]);
  test("are inverse, over a gap too", () => {
    for (const x of [0, 0.25, 1, 1.5, 2.75, 4]) expect(placeOf(matrix, momentAt(matrix, x))).toBeCloseTo(x, 9);
    expect(momentAt(matrix, 0)).toBe(0);
    expect(momentAt(matrix, 4)).toBe(4000);
  });
  test("outside of the picture is its edge", () => {
    expect([placeOf(matrix, -5), placeOf(matrix, 99_999)]).toEqual([0, 4]);
  });
});

describe("a zoom", () => {
  const matrix = matrixOf(KEYS);
  const port = { x0: 0.5, x1: 2.25, y0: 1.25, y1: 3.5 };
  test("shows again what it was made of", () => {
    const zoom = zoomOf(matrix, port);
    expect(viewportOf(matrix, { zoom, live: false }, NONE)).toEqual(port);
  });
  test("of everything is none", () => {
    expect(zoomOf(matrix, wholeOf(matrix))).toBeNull();
  });
  test("follows the newest window while it is live, and stays where it is while it is not", () => {
    const later = matrixOf(KEYS, [1000, 2000, 3000, 4000, 5000, 6000]);
    const zoom = zoomOf(matrix, { ...port, x0: 2, x1: 4 });
    expect(viewportOf(later, { zoom, live: true }, NONE)).toMatchObject({ x0: 4, x1: 6 });
    expect(viewportOf(later, { zoom, live: false }, NONE)).toMatchObject({ x0: 2, x1: 4 });
  });
  test("keeps its rows when others come in above them", () => {
    const zoom = zoomOf(matrix, port);
    const more = matrixOf(["A", "B", ...KEYS]);
    const renamed = { ...more, rows: more.rows.map((row, at) => ({ ...row, bucketId: at < 2 ? `new:${at}` : `route:${at - 2}` })) };
    expect(viewportOf(renamed, { zoom, live: false }, NONE)).toMatchObject({ y0: 3.25, y1: 5.5 });
  });
  test("finds the place of a bucket that is gone by the key that it began with", () => {
    const split = matrixOf(["a", "b", "bm", "c"]);
    const gone = { ...split, rows: split.rows.map((row) => ({ ...row, bucketId: `new:${row.bucketId}` })) };
    expect(rowOf(gone, { bucket: "route:1", part: 0.5 }, new Map([["route:1", matrix.rows[1]?.start ?? ""]]))).toBe(1.5);
    expect(rowOf(gone, { bucket: "route:9", part: 0 }, NONE)).toBeUndefined();
  });
  test("that has no place in the picture shows everything", () => {
    const zoom = { fromMs: 900_000, toMs: 901_000, top: { bucket: "x", part: 0 }, bottom: { bucket: "y", part: 1 } };
    expect(viewportOf(matrix, { zoom, live: false }, NONE)).toEqual(wholeOf(matrix));
  });
  test("moved over an edge stops there with its size kept", () => {
    expect(inside(matrix, { x0: -1, x1: 1, y0: 4, y1: 6 })).toEqual({ x0: 0, x1: 2, y0: 3, y1: 5 });
    expect(inside(matrix, { x0: -9, x1: 9, y0: 0, y1: 1 })).toMatchObject({ x0: 0, x1: 4 });
  });
  test("marks hold on to rows", () => {
    expect(markAt(matrix, 2.5)).toEqual({ bucket: "route:2", part: 0.5 });
  });
});
