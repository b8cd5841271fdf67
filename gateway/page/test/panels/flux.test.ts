import { expect, test } from "vitest";
import { ingest } from "../../src/data/ingest";
import { fluxRound } from "../../src/panels/flux";
import { wire, wireRow } from "../matrices";

const STEP = 60_000;
const END = 1_777_290_300_000;
const at = (ms: number) => new Date(ms).toISOString();
/** Three windows, of which the last ends at END; answered so much later. */
const picture = (laterMs: number, stepMs = STEP) =>
  ingest(wire([END - 2 * stepMs, END - stepMs, END], [wireRow("route:1", [1, 1, 1])], { step_ms: stepMs, generated_at: at(END + laterMs) }), "");

test("the newest window is asked for anew with every answer about the picture, whether a column came or not", () => {
  const rounds = [1000, 2000, 59_000].map((later) => fluxRound(picture(later), END));
  expect(new Set(rounds).size).toBe(3);
});

test("so is the one before it; then it has settled, and one more question is the last", () => {
  expect(fluxRound(picture(1000), END - STEP)).not.toBe(fluxRound(picture(2000), END - STEP));
  expect(fluxRound(picture(1000), END - 2 * STEP)).toBe(fluxRound(picture(2000), END - 2 * STEP));
});

test("a picture to which no window comes any more is not asked about for ever", () => {
  expect(fluxRound(picture(2 * STEP + 1), END)).toBe(fluxRound(picture(3 * STEP), END));
});

test("short windows take as long as nodes may be late", () => {
  expect(fluxRound(picture(1000, 1000), END - 2000)).not.toBe(fluxRound(picture(2000, 1000), END - 2000));
  expect(fluxRound(picture(15_001, 1000), END)).toBe(fluxRound(picture(16_000, 1000), END));
});
