import { describe, expect, test } from "vitest";
import { zoomIdentity } from "d3-zoom";
import { pulled, type Pull } from "../../src/interact/pull";
import { scaled } from "../../src/interact/scaled";

const PULL: Pull = { k: 1, shift: 0, pixels: 100, least: 2, most: 80 };

describe("a gesture in one direction", () => {
  test("without effect changes nothing", () => {
    expect(pulled(10, 30, PULL)).toEqual([10, 30]);
  });
  test("moves by as much as the finger", () => {
    expect(pulled(10, 30, { ...PULL, shift: 50 })).toEqual([0, 20]);
  });
  test("zooms about the place that stays", () => {
    const { k, x } = zoomIdentity.translate(25, 0).scale(2).translate(-25, 0);
    expect(pulled(10, 30, { ...PULL, k, shift: x })).toEqual([12.5, 22.5]);
  });
  test("stops at the smallest part with the place under the finger kept", () => {
    const [from, to] = pulled(10, 30, { ...PULL, k: 1000, shift: 25 * (1 - 1000) });
    expect(to - from).toBeCloseTo(2, 9);
    expect(from + 0.25 * 2).toBeCloseTo(15, 9);
  });
  test("never shows more than there is", () => {
    const [from, to] = pulled(10, 30, { ...PULL, k: 0.001, shift: 50 });
    expect(to - from).toBeCloseTo(80, 9);
  });
});

test("scaling by key keeps the place that it is about", () => {
  expect(scaled(0, 40, { factor: 2, least: 1, most: 40, about: 0.5 })).toEqual([10, 30]);
  expect(scaled(10, 12, { factor: 10, least: 2, most: 40, about: 0 })).toEqual([10, 12]);
});
