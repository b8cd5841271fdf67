/** The hottest ranges as a table: what a screen reader reads in place of the picture, and what people quote. */
import { keyForms, shownKey } from "./keyforms";
import { totalOf, type Shown, type ShownRow } from "./shown";
import { compactly, shareOf } from "./units";

export interface HotRow {
  readonly bucketId: string;
  readonly range: string;
  readonly routes: number;
  readonly total: number;
  readonly share: string;
  readonly perSecond: number;
  /** The stamp of its busiest window and the rate in it. */
  readonly peakMs: number;
  readonly peakPerSecond: number;
  readonly conflicts: number;
}

export function rangeText(row: { readonly start: string; readonly end: string }, longest = 40): string {
  const first = row.start === "" ? "(first key)" : shownKey(keyForms(row.start), longest);
  return `${first} … ${row.end === "" ? "(last key)" : shownKey(keyForms(row.end), longest)}`;
}

/** everything: what shares are of, where `shown` does not have all rows. rangeOf: how the keys of a row read. */
export interface HotOptions {
  readonly everything?: number;
  readonly rangeOf?: (row: ShownRow) => string;
}

/** The rows with the largest totals, hottest first; equal ones in key order, those without traffic left out. */
export function hottestRows(shown: Shown, most: number, { everything, rangeOf = rangeText }: HotOptions = {}): readonly HotRow[] {
  const totals = shown.rows.map(totalOf);
  const all = everything ?? totals.reduce((sum, total) => sum + total, 0);
  return totals
    .map((total, number) => ({ total, number }))
    .filter(({ total }) => total > 0)
    .sort((left, right) => right.total - left.total || left.number - right.number)
    .slice(0, most)
    .map(({ total, number }) => {
      const row = shown.rows[number] as ShownRow;
      return { ...hotRow(shown, row, total, all), range: rangeOf(row) };
    });
}

function hotRow(shown: Shown, row: ShownRow, total: number, all: number): Omit<HotRow, "range"> {
  const known = row.values.filter((value) => value !== undefined).length;
  let peak = 0;
  row.values.forEach((value, at) => {
    if ((value ?? 0) > (row.values[peak] ?? 0)) peak = at;
  });
  const rate = (count: number, windows: number) => (shown.stepMs > 0 && windows > 0 ? (count * 1000) / (shown.stepMs * windows) : 0);
  return {
    bucketId: row.bucketId,
    routes: row.routeCount,
    total,
    share: shareOf(total, all),
    perSecond: rate(total, known),
    peakMs: shown.stamps[peak] ?? 0,
    peakPerSecond: rate(row.values[peak] ?? 0, 1),
    conflicts: row.conflicts.filter(Boolean).length,
  };
}

/** One sentence that answers "is something hot, where, since when" for somebody who does not see the picture. */
export function summary(rows: readonly HotRow[], unit: string, clock: (ms: number) => string): string {
  const [first, second] = rows;
  if (first === undefined) return "No traffic in what is shown.";
  const one = (row: HotRow) =>
    `${row.bucketId}, ${row.range}, with ${row.share} of ${unit} and a peak of ${compactly(row.peakPerSecond)} ${unit} per second at ${clock(row.peakMs)}`;
  return `Hottest: ${one(first)}.${second === undefined ? "" : ` Then ${one(second)}.`}`;
}
