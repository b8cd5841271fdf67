import type { Matrix } from "./wire";

/** Columns on the step grid: index of the column in the matrix, or -1 where there is no data (unknown, not zero). */
export interface TimeGrid {
  readonly first: number;
  readonly step: number;
  readonly columns: Int32Array;
}

const MOST_COLUMNS = 20_000;

export function timeGrid(matrix: Matrix): TimeGrid {
  const stamps = matrix.column_unix_ms;
  const first = stamps[0] ?? 0;
  const last = stamps[stamps.length - 1] ?? 0;
  const step = matrix.step_ms > 0 ? matrix.step_ms : commonest(stamps);
  const count = stamps.length === 0 ? 0 : Math.round((last - first) / step) + 1;
  if (count > MOST_COLUMNS || stamps.some((stamp) => (stamp - first) % step !== 0)) {
    return { first, step, columns: Int32Array.from(stamps.keys()) };
  }
  const columns = new Int32Array(count).fill(-1);
  stamps.forEach((stamp, index) => (columns[Math.round((stamp - first) / step)] = index));
  return { first, step, columns };
}

function commonest(stamps: readonly number[]): number {
  const distances = stamps.slice(1).map((stamp, index) => stamp - (stamps[index] ?? stamp));
  distances.sort((left, right) => left - right);
  return Math.max(1, distances[Math.floor(distances.length / 2)] ?? 1);
}

/** When folding many rows into one pixel row, the hottest one shows, so that a hot row never vanishes. */
export function bandOf(pixel: number, pixels: number, rows: number): readonly [number, number] {
  const first = Math.floor((pixel * rows) / pixels);
  return [first, Math.max(first + 1, Math.floor(((pixel + 1) * rows) / pixels))];
}
