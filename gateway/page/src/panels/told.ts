/** What panels read of the state, in the shape that they need. */
import { computed } from "@preact/signals";
import { several } from "../scale/amounts";
import { fanout, matrix, view, viewport } from "../state";
import { NodeNames } from "./nodes";
import type { Fanout } from "./wire";
import type { Shown, ShownRow } from "./shown";
import type { Matrix } from "../data/matrix";
import type { Viewport } from "../data/viewport";

const names = new NodeNames(keeping());

// Even to name it may be forbidden.
function keeping(): Storage | null {
  try {
    return window.sessionStorage;
  } catch {
    return null;
  }
}

/** How nodes fared, those that are gone by the names that they had. */
export const named = (told: Fanout | null | undefined): Fanout | undefined => (told == null ? undefined : names.fill(told));

export const forgetNames = (): void => names.forget();

/** How each node fared in the latest answer that told. */
export const nodes = computed(() => named(fanout.value));

/** The part of the picture in view, as rows of numbers; undefined without a picture. Costly: for files and tables. */
export function shownNow(): Shown | undefined {
  const [picture, port] = [matrix.peek(), viewport.peek()];
  return picture === null || port === null ? undefined : shownOf(picture, port);
}

/** Every cell of which any part is in view. */
export function shownOf(picture: Matrix, port: Viewport): Shown {
  const { top, bottom } = edgesOf(picture, port);
  return withRows(picture, port, Array.from({ length: bottom - top }, (_, at) => top + at));
}

/** Only the rows with most traffic in what is in view, in key order, and what all rows there have together. */
export function hottestShown(picture: Matrix, port: Viewport, most: number): { readonly shown: Shown; readonly everything: number } {
  const { top, bottom, first, last } = edgesOf(picture, port);
  const whole = first === 0 && last === picture.columns;
  const totals = whole ? picture.rowTotals.subarray(top, bottom) : totalsIn(picture, { top, bottom, first, last });
  const order = Array.from(totals.keys()).sort((left, right) => (totals[right] as number) - (totals[left] as number) || left - right);
  const chosen = order.slice(0, most).sort((left, right) => left - right);
  const everything = totals.reduce((sum, total) => sum + total, 0);
  return { shown: withRows(picture, port, chosen.map((row) => top + row)), everything };
}

function totalsIn(picture: Matrix, { top, bottom, first, last }: ReturnType<typeof edgesOf>): Float64Array {
  const totals = new Float64Array(Math.max(0, bottom - top));
  for (let row = top; row < bottom; row += 1) {
    const offset = row * picture.columns;
    let total = 0;
    for (let at = offset + first; at < offset + last; at += 1) total += picture.values[at] as number;
    totals[row - top] = total;
  }
  return totals;
}

function withRows(picture: Matrix, port: Viewport, numbers: readonly number[]): Shown {
  const { first, last } = edgesOf(picture, port);
  const { series, stepMs, generatedAt, node } = picture;
  const stamps = Array.from(picture.stamps.subarray(first, last));
  return { series, stepMs, generatedAt, node, stamps, rows: numbers.map((row) => rowOf(picture, row, first, last)) };
}

function edgesOf(picture: Matrix, port: Viewport) {
  return {
    first: Math.max(0, Math.floor(port.x0 + NEAR)),
    last: Math.min(picture.columns, Math.ceil(port.x1 - NEAR)),
    top: Math.max(0, Math.floor(port.y0 + NEAR)),
    bottom: Math.min(picture.rows.length, Math.ceil(port.y1 - NEAR)),
  };
}

// A viewport is a result of divisions: an edge that is a hair over a cell does not show it.
const NEAR = 1e-6;

function rowOf(picture: Matrix, row: number, first: number, last: number): ShownRow {
  const head = picture.rows[row];
  if (head === undefined) throw new RangeError(`row ${row} of ${picture.rows.length}`);
  const columns = Array.from({ length: last - first }, (_, at) => first + at);
  const at = (column: number) => row * picture.columns + column;
  return {
    bucketId: head.bucketId,
    label: head.label,
    start: head.start,
    end: head.end,
    aggregate: head.aggregate,
    routeCount: head.routeCount,
    values: columns.map((column) => (picture.known[column] === 1 ? picture.values[at(column)] : undefined)),
    conflicts: columns.map((column) => picture.conflicts?.[at(column)] === 1),
    soft: columns.map((column) => picture.soft?.[at(column)] === 1),
  };
}

/** What the numbers count, for sentences: "writes", "bytes read". */
export const counted = computed(() => COUNTED[view.value.series][1]);
/** "1 write", "1,234 bytes read". */
export function countOf(count: number): string {
  const [one, many] = COUNTED[view.value.series];
  return several(count, one, many);
}

const COUNTED = {
  writes: ["write", "writes"],
  reads: ["read", "reads"],
  write_bytes: ["byte written", "bytes written"],
  read_bytes: ["byte read", "bytes read"],
} as const;
