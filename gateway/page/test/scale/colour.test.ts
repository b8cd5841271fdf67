import { lab, rgb } from "d3-color";
import { describe, expect, test } from "vitest";
import { CODES, codeOf, UNKNOWN, valueOf, ZERO } from "../../src/data/codes";
import { PALETTE, SHADES, shadeOf, tableOf, valueAt, type Shading } from "../../src/scale/colour";

type Colour = readonly [number, number, number];
type Seen = readonly [Colour, Colour, Colour];

/** How dichromats see linear RGB: the matrices of Machado, Oliveira and Fernandes (2009) at full severity. */
const EYES: Record<string, Seen> = {
  common: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  protanopia: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
  deuteranopia: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
  tritanopia: [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
};

const linear = (part: number) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
const encoded = (part: number) => (part <= 0.0031308 ? part * 12.92 : 1.055 * part ** (1 / 2.4) - 0.055);

function seenBy(eyes: Seen, colour: Colour): Colour {
  const light = colour.map((channel) => linear(channel / 255));
  return eyes.map((row) =>
    255 * encoded(Math.min(1, Math.max(0, row.reduce((sum, factor, at) => sum + factor * (light[at] as number), 0)))),
  ) as unknown as Colour;
}

/** CIE 1976 difference, in which 2.3 is just noticeable side by side. */
function distance(left: Colour, right: Colour): number {
  const [a, b] = [left, right].map((colour) => lab(rgb(...colour)));
  return a === undefined || b === undefined ? 0 : Math.hypot(a.l - b.l, a.a - b.a, a.b - b.b);
}

describe.each(Object.entries(EYES))("the palette as seen with %s", (_, eyes) => {
  const seen = PALETTE.map((colour) => seenBy(eyes, colour));
  test("grows lighter with every eight shades, so brightness alone can be read", () => {
    const lightness = seen.map((colour) => lab(rgb(...colour)).l);
    for (let shade = 8; shade < SHADES; shade += 1) {
      expect(lightness[shade]).toBeGreaterThan(lightness[shade - 8] as number);
    }
  });
  test("tells apart any two shades that are a sixteenth of it away from each other", () => {
    for (let left = 0; left < SHADES; left += 1) {
      for (let right = left + 16; right < SHADES; right += 1) {
        expect(distance(seen[left] as Colour, seen[right] as Colour)).toBeGreaterThan(4);
      }
    }
  });
  test("steps evenly: no sixteenth is much shorter or longer than the others", () => {
    const steps = Array.from({ length: 15 }, (_, at) => distance(seen[at * 16] as Colour, seen[at * 16 + 16] as Colour));
    expect(Math.max(...steps) / Math.min(...steps)).toBeLessThan(5);
    expect(steps.reduce((sum, step) => sum + step)).toBeGreaterThan(180);
  });
  test("has a shade for no traffic that is neither ground of the page nor the stripes of no data", () => {
    const dark: readonly Colour[] = [[0x2c, 0x31, 0x3f]];
    const light: readonly Colour[] = [[0xfa, 0xfa, 0xfc], [0xd5, 0xda, 0xe5]];
    for (const ground of [...dark, ...light]) {
      expect(distance(seen[0] as Colour, seenBy(eyes, ground))).toBeGreaterThan(10);
    }
  });
  test("lets the strokes of a conflict show on every shade, by one of their two colours", () => {
    const strokes: readonly Colour[] = [[0x06, 0x13, 0x1d], [0x8f, 0xe3, 0xff]];
    for (const shade of seen) {
      expect(Math.max(...strokes.map((stroke) => distance(shade, seenBy(eyes, stroke))))).toBeGreaterThan(40);
    }
  });
});

describe("shades", () => {
  const log: Shading = { scale: "log", brightness: 1, top: 1000 };
  test("only no traffic has the darkest, however little there is of it", () => {
    expect(shadeOf(0, log)).toBe(0);
    expect(shadeOf(1, { scale: "linear", brightness: 0.2, top: 2 ** 60 })).toBe(1);
  });
  test("the hottest cell has the brightest on every scale", () => {
    for (const scale of ["log", "linear"] as const) expect(shadeOf(1000, { ...log, scale })).toBe(SHADES - 1);
  });
  test("a legend's number has the shade that it stands at", () => {
    for (const scale of ["log", "linear"] as const) {
      for (const brightness of [0.5, 1, 3]) {
        const shading = { scale, brightness, top: 1_000_000 };
        for (const part of [0.25, 0.5, 0.75, 1]) {
          expect(shadeOf(valueAt(part, shading), shading)).toBeCloseTo(part * (SHADES - 1), -0.5);
        }
      }
    }
  });
  test("the table paints a code as its value, and unknown not at all", () => {
    const table = tableOf(log);
    const [red, green, blue] = PALETTE[shadeOf(10, log)] as Colour;
    expect(table[codeOf(10)]).toBe(((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0);
    expect(table[UNKNOWN]).toBe(0);
    expect(table[ZERO]).not.toBe(0);
  });
});

describe("codes", () => {
  test("order is kept and half a permille is the most that is lost, up to the largest count of the wire", () => {
    let before = ZERO;
    for (let value = 1; value < 2 ** 64; value *= 1.7) {
      const code = codeOf(Math.ceil(value));
      expect(code).toBeGreaterThan(before);
      expect(code).toBeLessThan(CODES);
      expect(Math.abs(valueOf(code) / Math.ceil(value) - 1)).toBeLessThan(0.001);
      before = code;
    }
  });
});
