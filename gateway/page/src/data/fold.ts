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
  const codes = scratch !== undefined && scratch.length >= size ? scratch.subarray(0, size) : new Uint16Array(size);
  const [first, last] = [columns[0] as number, columns[width] as number];
  const plain = last === first + width;
  // One cell more than there are: a last bin may be empty, and begins there.
  const band = new Uint16Array(last - first + 1);
  const further = plain ? null : furtherCells(columns, width);
  for (let line = 0; line < height; line += 1) {
    const [into, offset] = plain ? [codes, line * width] : [band, 0];
    hotter(matrix, { first, last, top: rows[line] as number, bottom: rows[line + 1] as number }, into, offset);
    if (further !== null) narrowed(band, further, codes, line * width);
  }
  return { codes, width, height };
}

interface Part {
  readonly first: number;
  readonly last: number;
  readonly top: number;
  readonly bottom: number;
}

/** The hottest of some rows, a cell for each column. */
function hotter({ codes, columns }: Pick<Matrix, "codes" | "columns">, { first, last, top, bottom }: Part, into: Uint16Array, offset: number): void {
  const count = last - first;
  if (top >= bottom) into.fill(0, offset, offset + count);
  for (let row = top; row < bottom; row += 1) {
    const from = row * columns + first;
    if (row === top) for (let at = 0; at < count; at += 1) into[offset + at] = codes[from + at] as number;
    else
      for (let at = 0; at < count; at += 1) {
        const code = codes[from + at] as number;
        if (code > (into[offset + at] as number)) into[offset + at] = code;
      }
  }
}

/** First cells of bins, and the cells after the first with their bins: a bin has seldom more than two. From the first bin's first cell on. */
interface Further {
  readonly starts: Int32Array;
  readonly cells: Int32Array;
  readonly bins: Int32Array;
}

function furtherCells(edges: Int32Array, count: number): Further {
  const first = edges[0] as number;
  const cells = new Int32Array(Math.max(0, (edges[count] as number) - first));
  const bins = new Int32Array(cells.length);
  let found = 0;
  for (let bin = 0; bin < count; bin += 1) {
    for (let cell = (edges[bin] as number) + 1; cell < (edges[bin + 1] as number); cell += 1) {
      cells[found] = cell - first;
      bins[found] = bin;
      found += 1;
    }
  }
  const starts = edges.subarray(0, count).map((edge) => edge - first);
  return { starts, cells: cells.subarray(0, found), bins: bins.subarray(0, found) };
}

function narrowed(band: Uint16Array, { starts, cells, bins }: Further, codes: Uint16Array, offset: number): void {
  for (let bin = 0; bin < starts.length; bin += 1) codes[offset + bin] = band[starts[bin] as number] as number;
  for (let at = 0; at < cells.length; at += 1) {
    const code = band[cells[at] as number] as number;
    const bin = offset + (bins[at] as number);
    if (code > (codes[bin] as number)) codes[bin] = code;
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
