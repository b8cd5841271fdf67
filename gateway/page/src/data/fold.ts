import type { Matrix } from "./matrix";
import type { Viewport } from "./viewport";

/** Where the cells of one direction go: bin i holds cells edges[i] to edges[i + 1]. */
export interface Bins {
  readonly edges: Int32Array;
  readonly count: number;
  /** The cells covered, as a range of fractions that `count` bins of equal size fill. */
  readonly from: number;
  readonly to: number;
}

/** One bin a cell while there are pixels enough, otherwise one a pixel; every cell in view is in exactly one bin. */
export function binsOf(from: number, to: number, cells: number, pixels: number): Bins {
  const first = Math.max(0, Math.floor(from));
  const last = Math.min(cells, Math.ceil(to));
  if (to - from <= pixels) {
    const edges = Int32Array.from({ length: last - first + 1 }, (_, index) => first + index);
    return { edges, count: last - first, from: first, to: last };
  }
  const edges = new Int32Array(pixels + 1);
  // Multiplied first: a cell that begins exactly on a pixel must not slip into the one before by a rounding error.
  for (let pixel = 1; pixel < pixels; pixel += 1) edges[pixel] = Math.ceil(from + (pixel * (to - from)) / pixels);
  edges[0] = first;
  edges[pixels] = last;
  return { edges, count: pixels, from, to };
}

/**
 * As binsOf, for a picture that moves: bins of one size begin at multiples of it, wherever the view begins, so that a
 * cell keeps its neighbours in a bin under a drag. From `from` to `to` and `spare` more on each side, as far as there
 * are cells. size: cells a pixel.
 */
export function anchoredBins(from: number, to: number, cells: number, size: number, spare: number): Bins {
  const step = Math.max(1, size);
  const first = Math.max(0, Math.floor((from - spare) / step));
  const last = Math.min(Math.ceil(cells / step), Math.ceil((to + spare) / step));
  const edges = Int32Array.from({ length: last - first + 1 }, (_, bin) => Math.min(cells, Math.ceil((first + bin) * step)));
  return { edges, count: last - first, from: first * step, to: last * step };
}

/** codes[row * width + column]: the hottest cell of each bin, so that a hot row never vanishes. */
export interface Folded {
  readonly codes: Uint16Array;
  readonly width: number;
  readonly height: number;
}

export function foldByMaximum(matrix: Pick<Matrix, "codes" | "columns">, across: Bins, down: Bins, scratch?: Uint16Array): Folded {
  const { count: width, edges: columns } = across;
  const { count: height, edges: rows } = down;
  const size = width * height;
  const codes = scratch !== undefined && scratch.length >= size ? scratch.subarray(0, size).fill(0) : new Uint16Array(size);
  const plain = columns[width] === (columns[0] as number) + width;
  for (let band = 0; band < height; band += 1) {
    const line = codes.subarray(band * width, (band + 1) * width);
    for (let row = rows[band] as number; row < (rows[band + 1] as number); row += 1) {
      const source = matrix.codes.subarray(row * matrix.columns, (row + 1) * matrix.columns);
      if (plain) hotter(line, source, columns[0] as number);
      else hottest(line, source, columns);
    }
  }
  return { codes, width, height };
}

function hotter(line: Uint16Array, source: Uint16Array, first: number): void {
  for (let at = 0; at < line.length; at += 1) {
    const code = source[first + at] as number;
    if (code > (line[at] as number)) line[at] = code;
  }
}

function hottest(line: Uint16Array, source: Uint16Array, edges: Int32Array): void {
  for (let bin = 0; bin < line.length; bin += 1) {
    let most = line[bin] as number;
    const end = edges[bin + 1] as number;
    for (let at = edges[bin] as number; at < end; at += 1) {
      const code = source[at] as number;
      if (code > most) most = code;
    }
    line[bin] = most;
  }
}

export const binsFor = (matrix: Matrix, port: Viewport, width: number, height: number): readonly [Bins, Bins] => [
  binsOf(port.x0, port.x1, matrix.columns, width),
  binsOf(port.y0, port.y1, matrix.rows.length, height),
];

/** Calls `act` with the bin (across, down) of every marked cell; with one bin as often as it holds marked cells. */
export function forMarkedBins(
  columns: number,
  marks: Uint8Array,
  across: Bins,
  down: Bins,
  act: (x: number, y: number) => void,
): void {
  const bin = new Uint16Array(columns);
  for (let at = 0; at < across.count; at += 1) {
    bin.fill(at, across.edges[at] as number, across.edges[at + 1] as number);
  }
  const [first, last] = [across.edges[0] as number, across.edges[across.count] as number];
  for (let band = 0; band < down.count; band += 1) {
    for (let row = down.edges[band] as number; row < (down.edges[band + 1] as number); row += 1) {
      const offset = row * columns;
      // indexOf skips unmarked stretches faster than a loop over them.
      for (let at = marks.indexOf(1, offset + first); at >= 0 && at < offset + last; at = marks.indexOf(1, at + 1)) {
        act(bin[at - offset] as number, band);
      }
    }
  }
}
