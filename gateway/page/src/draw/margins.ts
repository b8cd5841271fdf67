/** Bars of totals along the picture: per column above it, per key range beside it. */
import type { Matrix } from "../data/matrix";
import type { Viewport } from "../data/viewport";
import { binsOf, type Bins } from "./fold";

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
  const totals = peaks(matrix.columnTotals, bins);
  const most = totals.reduce((top, total) => Math.max(top, total), 0);
  const perColumn = width / (port.x1 - port.x0);
  const size = (bins.to - bins.from) / bins.count;
  totals.forEach((total, bin) => {
    if (total === 0) return;
    const left = Math.round((bins.from + bin * size - port.x0) * perColumn);
    const right = Math.round((bins.from + (bin + 1) * size - port.x0) * perColumn);
    const tall = Math.max(1, Math.round((total / most) * height));
    const holders = matrix.columnNodes[bins.edges[bin] as number] ?? 0;
    context.fillStyle = holders > 0 && holders < nodes ? colours.partial : colours.bar;
    context.fillRect(left, height - tall, Math.max(1, right - left - (right - left > 4 ? 1 : 0)), tall);
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
  const totals = peaks(matrix.rowTotals, bins);
  const most = totals.reduce((top, total) => Math.max(top, total), 0);
  const perRow = height / (port.y1 - port.y0);
  const size = (bins.to - bins.from) / bins.count;
  context.fillStyle = colours.bar;
  totals.forEach((total, bin) => {
    if (total === 0) return;
    const top = Math.round((bins.from + bin * size - port.y0) * perRow);
    const bottom = Math.round((bins.from + (bin + 1) * size - port.y0) * perRow);
    const long = Math.max(1, Math.round((total / most) * width));
    context.fillRect(0, top, long, Math.max(1, bottom - top - (bottom - top > 4 ? 1 : 0)));
  });
}
