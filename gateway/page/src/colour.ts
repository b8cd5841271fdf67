import { scaleLinear, scaleSymlog } from "d3-scale";
import { interpolateInferno } from "d3-scale-chromatic";

export type ScaleName = "log" | "linear";

const SHADES = 256;
// The darkest shade stays apart from the ground, so that zero does not look like no data.
const table = Array.from({ length: SHADES }, (_, shade) => parse(interpolateInferno(0.06 + (0.94 * shade) / (SHADES - 1))));

function parse(colour: string): number {
  const hex = colour.startsWith("#") ? parseInt(colour.slice(1), 16) : fromRgb(colour);
  return ((255 << 24) | ((hex & 0xff) << 16) | (hex & 0xff00) | (hex >> 16)) >>> 0;
}

function fromRgb(colour: string): number {
  const [red = 0, green = 0, blue = 0] = (colour.match(/\d+/g) ?? []).map(Number);
  return (red << 16) | (green << 8) | blue;
}

/** From a count to a pixel (ABGR, as a little-endian Uint32Array over ImageData has it). */
export function painter(name: ScaleName, top: number): (value: number) => number {
  const scale = name === "log" ? scaleSymlog() : scaleLinear();
  scale.domain([0, Math.max(1, top)]).range([0, SHADES - 1]).clamp(true);
  return (value) => table[Math.round(scale(value))] ?? 0;
}
