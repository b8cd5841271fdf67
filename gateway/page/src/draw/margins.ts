/** Bars of totals along the picture: per column above it, per key range beside it. */
import type { Matrix } from "../data/matrix";
import type { Viewport } from "../data/viewport";
import { binsOf, type Bins } from "../data/fold";

export interface BarColours {
  readonly bar: string;
  readonly partial: string;
}

/** The largest total of each bin, so that a peak survives folding as it does in the picture. */
export function peaks(totals: Float64Array, bins: Bins): Float64Array {
  const found = new Float64Array(bins.count);
  for (let bin = 0; bin < bins.count; bin += 1) {
    let most = 0;
    for (let at = bins.edges[bin] as number; at < (bins.edges[bin + 1] as number); at += 1) {
      most = Math.max(most, totals[at] as number);
    }
    found[bin] = most;
  }
  return found;
}

/** Wider bars than this stand apart from each other; narrower ones are one shape. */
const APART = 4;

/** nodes: how many should be in every column; bars of columns with fewer are paler. */
export function barsAbove(
  context: CanvasRenderingContext2D,
  matrix: Matrix,
  port: Viewport,
  colours: BarColours,
  nodes: number,
): void {
  const { width, height } = context.canvas;
  const bins = binsOf(port.x0, port.x1, matrix.columns, width);
  const { lengths, edges } = barsOf(matrix.columnTotals, bins, { from: port.x0, to: port.x1, pixels: width, longest: height });
  const bar = (left: number, right: number, tall: number) => context.rect(left, height - tall, right - left, tall);
  context.fillStyle = colours.bar;
  fillBars(context, lengths, edges, bar);
  context.fillStyle = colours.partial;
  const short = (bin: number) => {
    const holders = matrix.columnNodes[bins.edges[bin] as number] as number;
    return holders > 0 && holders < nodes;
  };
  fillBars(context, lengths.map((tall, bin) => (short(bin) ? tall : 0)), edges, (left, right, tall) => {
    context.clearRect(left, height - tall, right - left, tall);
    bar(left, right, tall);
  });
}

export function barsBeside(
  context: CanvasRenderingContext2D,
  matrix: Matrix,
  port: Viewport,
  colours: BarColours,
): void {
  const { width, height } = context.canvas;
  const bins = binsOf(port.y0, port.y1, matrix.rows.length, height);
  const { lengths, edges } = barsOf(matrix.rowTotals, bins, { from: port.y0, to: port.y1, pixels: height, longest: width });
  context.fillStyle = colours.bar;
  fillBars(context, lengths, edges, (top, bottom, long) => context.rect(0, top, long, bottom - top));
}

interface Along {
  readonly from: number;
  readonly to: number;
  readonly pixels: number;
  readonly longest: number;
}

/** Whole pixels: how long the bar of each bin is, and where it begins; one edge more than bars. */
function barsOf(totals: Float64Array, bins: Bins, along: Along): { readonly lengths: Int32Array; readonly edges: Int32Array } {
  const found = peaks(totals, bins);
  const most = found.reduce((top, total) => Math.max(top, total), 0);
  const size = (bins.to - bins.from) / bins.count;
  const perUnit = along.pixels / (along.to - along.from);
  return {
    lengths: Int32Array.from(found, (total) => (total === 0 ? 0 : Math.max(1, Math.round((total / most) * along.longest)))),
    edges: Int32Array.from({ length: bins.count + 1 }, (_, bin) => Math.round((bins.from + bin * size - along.from) * perUnit)),
  };
}

/** Neighbours of one length are one rectangle, and all of them one fill. */
function fillBars(
  context: CanvasRenderingContext2D,
  lengths: Int32Array,
  edges: Int32Array,
  bar: (from: number, to: number, length: number) => void,
): void {
  context.beginPath();
  let first = 0;
  for (let bin = 1; bin <= lengths.length; bin += 1) {
    const [from, to] = [edges[first] as number, edges[bin] as number];
    const wide = to - from > APART && bin - first === 1;
    if (!wide && bin < lengths.length && lengths[bin] === lengths[first]) continue;
    const length = lengths[first] as number;
    if (length > 0) bar(from, Math.max(from + 1, wide ? to - 1 : to), length);
    first = bin;
  }
  context.fill();
}
