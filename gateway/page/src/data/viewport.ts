/** Between places in the picture (fractions of columns and rows) and what they mean (moments and buckets). */
import type { Matrix } from "./matrix";
import type { RowMark, View, Zoom } from "./view";

/** The part of a matrix in view: columns x0 to x1, rows y0 to y1, as fractions; 0 <= x0 < x1 <= columns, rows alike. */
export interface Viewport {
  readonly x0: number;
  readonly x1: number;
  readonly y0: number;
  readonly y1: number;
}

export const samePort = (one: Viewport, other: Viewport): boolean =>
  one.x0 === other.x0 && one.x1 === other.x1 && one.y0 === other.y0 && one.y1 === other.y1;

/** Where remembered buckets begin, so that a mark on one that is gone still finds its place. */
export type Starts = ReadonlyMap<string, string>;

export const wholeOf = (matrix: Matrix): Viewport => ({ x0: 0, x1: matrix.columns, y0: 0, y1: matrix.rows.length });

/** The moment at a place between columns: column i lasts from the end of the one before to its own end. */
export function momentAt(matrix: Matrix, x: number): number {
  const { stamps, columns } = matrix;
  if (columns === 0) return 0;
  const column = Math.min(columns - 1, Math.max(0, Math.floor(x)));
  const end = stamps[column] as number;
  const begin = column > 0 ? (stamps[column - 1] as number) : end - matrix.stepMs;
  return begin + (x - column) * (end - begin);
}

/** The inverse of momentAt, clamped to the picture. */
export function placeOf(matrix: Matrix, unixMs: number): number {
  const { stamps, columns } = matrix;
  let [low, high] = [0, columns];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((stamps[middle] as number) < unixMs) low = middle + 1;
    else high = middle;
  }
  if (low === columns) return columns;
  const end = stamps[low] as number;
  const begin = low > 0 ? (stamps[low - 1] as number) : end - matrix.stepMs;
  return low + Math.min(1, Math.max(0, (unixMs - begin) / (end - begin)));
}

export function markAt(matrix: Matrix, y: number): RowMark {
  const last = matrix.rows.length - 1;
  const row = Math.min(last, Math.max(0, Math.floor(y)));
  return { bucket: matrix.rows[row]?.bucketId ?? "", part: Math.min(1, Math.max(0, y - row)) };
}

/** undefined when neither the bucket nor anything that is known of it tells the place. */
export function rowOf(matrix: Matrix, mark: RowMark, starts: Starts): number | undefined {
  const row = matrix.rows.findIndex((head) => head.bucketId === mark.bucket);
  if (row >= 0) return row + mark.part;
  const start = starts.get(mark.bucket);
  if (start === undefined) return undefined;
  const wanted = atob(start);
  // Bytes as Latin-1 characters compare as the bytes do.
  const after = matrix.rows.findIndex((head) => atob(head.start) > wanted);
  return after < 0 ? matrix.rows.length : Math.max(0, after - 1) + mark.part;
}

/** What a view shows of a matrix: everything without a zoom, or with one that has no place in it. */
export function viewportOf(matrix: Matrix, view: Pick<View, "zoom" | "live">, starts: Starts): Viewport {
  const whole = wholeOf(matrix);
  const { zoom } = view;
  if (zoom === null) return whole;
  const shiftMs = view.live ? (matrix.stamps[matrix.columns - 1] ?? 0) - zoom.toMs : 0;
  const x0 = placeOf(matrix, zoom.fromMs + shiftMs);
  const x1 = placeOf(matrix, zoom.toMs + shiftMs);
  const y0 = rowOf(matrix, zoom.top, starts) ?? 0;
  const y1 = rowOf(matrix, zoom.bottom, starts) ?? whole.y1;
  return {
    ...(x1 - x0 > 1e-6 ? { x0, x1 } : { x0: whole.x0, x1: whole.x1 }),
    ...(y1 - y0 > 1e-6 ? { y0, y1 } : { y0: whole.y0, y1: whole.y1 }),
  };
}

/** The zoom that shows a viewport again, null for all of it. */
export function zoomOf(matrix: Matrix, port: Viewport): Zoom | null {
  const whole = wholeOf(matrix);
  const all = port.x0 <= whole.x0 && port.x1 >= whole.x1 && port.y0 <= whole.y0 && port.y1 >= whole.y1;
  if (all || matrix.columns === 0 || matrix.rows.length === 0) return null;
  return {
    fromMs: Math.round(momentAt(matrix, port.x0)),
    toMs: Math.round(momentAt(matrix, port.x1)),
    top: markAt(matrix, port.y0),
    bottom: bottomMark(matrix, port.y1),
  };
}

// The lower end of a row rather than the beginning of the next one, so that it goes where its row goes.
function bottomMark(matrix: Matrix, y: number): RowMark {
  const row = Math.min(matrix.rows.length, Math.max(1, Math.ceil(y))) - 1;
  return { bucket: matrix.rows[row]?.bucketId ?? "", part: y - row };
}

/** A window of the same size, moved so that it is inside; one that is too large becomes everything. */
export function inside(matrix: Matrix, port: Viewport): Viewport {
  const [x0, x1] = clamped(port.x0, port.x1, matrix.columns);
  const [y0, y1] = clamped(port.y0, port.y1, matrix.rows.length);
  return { x0, x1, y0, y1 };
}

function clamped(from: number, to: number, most: number): readonly [number, number] {
  const size = to - from;
  if (size >= most) return [0, most];
  const first = Math.min(Math.max(0, from), most - size);
  return [first, first + size];
}
