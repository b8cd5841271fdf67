/** From cells to the pixels of a picture of them. Without a canvas, so that the worker can do it too. */
import { anchoredBins, foldByMaximum, type Bins } from "../data/fold";
import type { Matrix } from "../data/matrix";
import type { View } from "../data/view";
import { viewportOf, type Viewport } from "../data/viewport";
import { tableOf, type Shading } from "../scale/colour";
import { stampMarks, stampPeriod } from "./marks";
import type { Pixels } from "./pixels";

const LARGEST_SIDE = 8192;

/** How cells are shown: two pictures of the same cells in one manner are the same pixels. */
export interface Manner {
  readonly shading: Shading;
  /** Cells a device pixel, 1 where there are pixels enough for each cell. */
  readonly perX: number;
  readonly perY: number;
  /** Bins from one mark to the next where marks are part of the picture; 0 = they are drawn over it. */
  readonly stamp: number;
}

/** Which cells a picture holds: a pixel for each bin. */
export interface Held {
  readonly across: Bins;
  readonly down: Bins;
}

/** Device pixels; ratio: of them to a CSS pixel. */
export interface Surface {
  readonly width: number;
  readonly height: number;
  readonly ratio: number;
}

/** undefined where nothing is in view. */
export function mannerOf(matrix: Matrix, port: Viewport, { width, height, ratio }: Surface, shading: Shading): Manner | undefined {
  const [wide, high] = [port.x1 - port.x0, port.y1 - port.y0];
  if (!(wide > 0 && high > 0)) return undefined;
  const bin = Math.max(1, width / wide, height / high);
  const stamp = matrix.conflicts === null && matrix.soft === null ? 0 : stampPeriod(bin, ratio);
  return { shading, stamp, perX: Math.max(1, wide / width), perY: Math.max(1, high / height) };
}

export function alike(one: Manner, other: Manner): boolean {
  const near = (left: number, right: number) => Math.abs(left - right) < 1e-9 * right;
  return sameShading(one.shading, other.shading) && one.stamp === other.stamp && near(one.perX, other.perX) && near(one.perY, other.perY);
}

export const sameShading = (one: Shading, other: Shading): boolean =>
  one.scale === other.scale && one.brightness === other.brightness && one.top === other.top;

/** spare: of what is in view, held on each side too. A picture of single cells holds all of them: it serves every zoom. */
export function heldFor(matrix: Matrix, port: Viewport, { perX, perY }: Manner, spare: number): Held {
  const [columns, rows] = [matrix.columns, matrix.rows.length];
  const single = perX === 1 && perY === 1 && Math.max(columns, rows) <= LARGEST_SIDE;
  const [x, y] = single ? [columns, rows] : [spare * (port.x1 - port.x0), spare * (port.y1 - port.y0)];
  return { across: anchoredBins(port.x0, port.x1, columns, perX, x), down: anchoredBins(port.y0, port.y1, rows, perY, y) };
}

export function covers(matrix: Matrix, { across, down }: Held, port: Viewport): boolean {
  return (
    across.from <= port.x0 &&
    Math.min(across.to, matrix.columns) >= port.x1 &&
    down.from <= port.y0 &&
    Math.min(down.to, matrix.rows.length) >= port.y1
  );
}

/** scratch: at least as many numbers as bins, for whoever colours often. */
export function colour({ pixels, width }: Pixels, matrix: Matrix, held: Held, manner: Manner, scratch?: Uint16Array): void {
  const folded = foldByMaximum(matrix, held.across, held.down, scratch);
  const { codes } = folded;
  const table = tableOf(manner.shading);
  for (let row = 0; row < folded.height; row += 1) {
    const [from, to] = [row * folded.width, row * width];
    for (let at = 0; at < folded.width; at += 1) pixels[to + at] = table[codes[from + at] as number] as number;
  }
  if (manner.stamp > 0) stampMarks({ pixels, width }, matrix, held.across, held.down, manner.stamp);
}

/** What the page shows while it asks. starts: as viewportOf, of the buckets of the zoom. */
export interface Look extends Pick<View, "zoom" | "live" | "scale" | "brightness"> {
  readonly surface: Surface;
  readonly starts: readonly (readonly [string, string])[];
}

/** A picture of the cells that a look shows, one pixel a bin. */
export interface Prepared extends Held {
  readonly manner: Manner;
  readonly pixels: Uint32Array<ArrayBuffer>;
}

export function prepare(matrix: Matrix, look: Look): Prepared | null {
  const port = viewportOf(matrix, look, new Map(look.starts));
  const manner = mannerOf(matrix, port, look.surface, { scale: look.scale, brightness: look.brightness, top: matrix.top });
  if (manner === undefined) return null;
  const held = heldFor(matrix, port, manner, 0);
  const pixels = new Uint32Array(held.across.count * held.down.count);
  colour({ pixels, width: held.across.count }, matrix, held, manner);
  return { ...held, manner, pixels };
}
