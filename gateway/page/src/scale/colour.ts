import { interpolateInferno } from "d3-scale-chromatic";
import { codeOf, logOf, UNKNOWN, valueOf, ZERO } from "../data/codes";
import type { Scale } from "../data/view";

export const SHADES = 256;
// Of the library's five even scales this one spans the most in CIELAB to common eyes and to all three kinds of dichromats.
// The darkest shade stays apart from the ground, so that zero does not look like no data.
const DARKEST = 0.06;

/** sRGB of each shade, 0 = no traffic to 255 = the hottest cell. */
export const PALETTE: readonly (readonly [number, number, number])[] = Array.from({ length: SHADES }, (_, shade) =>
  channels(interpolateInferno(DARKEST + ((1 - DARKEST) * shade) / (SHADES - 1))),
);

function channels(colour: string): readonly [number, number, number] {
  if (colour.startsWith("#")) {
    const packed = parseInt(colour.slice(1), 16);
    return [packed >> 16, (packed >> 8) & 0xff, packed & 0xff];
  }
  const [red = 0, green = 0, blue = 0] = (colour.match(/\d+/g) ?? []).map(Number);
  return [red, green, blue];
}

const packed = Uint32Array.from(PALETTE, ([red, green, blue]) => ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0);

export interface Shading {
  readonly scale: Scale;
  /** Above 1 weak traffic is brighter, below 1 only the hottest stands out. */
  readonly brightness: number;
  /** The value of the brightest shade. */
  readonly top: number;
}

/** 0 to 255. Only no traffic at all has shade 0. */
export function shadeOf(value: number, shading: Shading): number {
  return shaded(Math.log1p(Math.max(0, value)), value, shading);
}

/** logarithm: of 1 + value. */
function shaded(logarithm: number, value: number, { scale, brightness, top }: Shading): number {
  if (value <= 0) return 0;
  const most = Math.max(1, top);
  const part = Math.min(1, scale === "log" ? logarithm / Math.log1p(most) : value / most);
  return Math.max(1, Math.round((brightness === 1 ? part : part ** (1 / brightness)) * (SHADES - 1)));
}

/** The smallest value of a part (0 to 1) of the palette: what a legend writes there. */
export function valueAt(part: number, { scale, brightness, top }: Shading): number {
  const most = Math.max(1, top);
  const plain = part ** brightness;
  return scale === "log" ? Math.expm1(plain * Math.log1p(most)) : plain * most;
}

/**
 * From a code to a pixel (ABGR, as a little-endian Uint32Array over ImageData has it); unknown is transparent. The same
 * object while nothing changes, so that painters know what they can keep.
 */
export function tableOf(shading: Shading): Uint32Array {
  const key = `${shading.scale} ${shading.brightness} ${shading.top}`;
  if (latest === null || latest.key !== key) latest = { key, table: made(shading) };
  return latest.table;
}

let latest: { readonly key: string; readonly table: Uint32Array } | null = null;

function made(shading: Shading): Uint32Array {
  const table = new Uint32Array(codeOf(Math.max(1, shading.top)) + 1);
  table[UNKNOWN] = 0;
  for (let code = ZERO; code < table.length; code += 1) {
    table[code] = packed[shaded(logOf(code), valueOf(code), shading)] as number;
  }
  return table;
}
