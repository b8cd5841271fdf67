import { expect, test } from "vitest";
import { binsOf } from "../../src/draw/fold";

test("every cell in view is in exactly one bin, wherever the view begins", () => {
  for (const [from, to, pixels] of [[0, 100, 7], [3.4, 97.9, 13], [0.2, 15, 14], [10, 20, 400]] as const) {
    const { edges, count } = binsOf(from, to, 100, pixels);
    expect(edges[0]).toBe(Math.floor(from));
    expect(edges[count]).toBe(Math.min(100, Math.ceil(to)));
    for (let bin = 0; bin < count; bin += 1) expect(edges[bin + 1]).toBeGreaterThan(edges[bin] as number);
  }
});
