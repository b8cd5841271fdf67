/** Columns on the step grid: which column of the answer stands there, or -1 where there is none (unknown, not zero). */
export interface TimeGrid {
  readonly stepMs: number;
  /** Ends of the windows, ascending; one each for `columns`. */
  readonly stamps: Float64Array;
  readonly columns: Int32Array;
}

const FEWEST_BEFORE_COLLAPSE = 4096;

/** Gaps become columns of their own; when there would be far more gaps than data, each gap becomes one. */
export function timeGrid(stamps: readonly number[], statedStepMs: number): TimeGrid {
  const stepMs = statedStepMs > 0 ? statedStepMs : middleDistance(stamps);
  const first = stamps[0] ?? 0;
  const last = stamps[stamps.length - 1] ?? 0;
  const count = stamps.length === 0 ? 0 : Math.round((last - first) / stepMs) + 1;
  const onGrid = stamps.every((stamp) => (stamp - first) % stepMs === 0);
  if (!onGrid || count > Math.max(FEWEST_BEFORE_COLLAPSE, 4 * stamps.length)) return collapsed(stamps, stepMs);
  const columns = new Int32Array(count).fill(-1);
  stamps.forEach((stamp, index) => (columns[Math.round((stamp - first) / stepMs)] = index));
  return { stepMs, stamps: Float64Array.from(columns, (_, at) => first + at * stepMs), columns };
}

function collapsed(stamps: readonly number[], stepMs: number): TimeGrid {
  const columns: number[] = [];
  const ends: number[] = [];
  stamps.forEach((stamp, index) => {
    const before = stamps[index - 1];
    if (before !== undefined && stamp - before > 1.5 * stepMs) {
      columns.push(-1);
      ends.push(stamp - stepMs);
    }
    columns.push(index);
    ends.push(stamp);
  });
  return { stepMs, stamps: Float64Array.from(ends), columns: Int32Array.from(columns) };
}

function middleDistance(stamps: readonly number[]): number {
  const distances = stamps.slice(1).map((stamp, index) => stamp - (stamps[index] ?? stamp));
  distances.sort((left, right) => left - right);
  return Math.max(1, distances[Math.floor(distances.length / 2)] ?? 1);
}
