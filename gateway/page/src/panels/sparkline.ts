/** A row's history as a small picture: paths in a box of 0..width, 0..height. */
export interface Spark {
  /** One filled path a stretch without gaps: unknown is a gap, zero is the ground line. */
  readonly path: string;
  readonly peak: number;
  readonly latest: number | undefined;
}

/** Bins of several windows show their largest one. */
export function sparkOf(values: readonly (number | undefined)[], width: number, height: number): Spark {
  const bins = binned(values, Math.max(1, Math.floor(width)));
  const peak = bins.reduce<number>((most, value) => Math.max(most, value ?? 0), 0);
  const each = bins.length === 0 ? 0 : width / bins.length;
  const y = (value: number) => round(height - (peak > 0 ? (value / peak) * height : 0));
  const parts: string[] = [];
  let open = false;
  bins.forEach((value, at) => {
    if (value === undefined) {
      if (open) parts.push(`V${height}Z`);
      open = false;
      return;
    }
    if (!open) parts.push(`M${round(at * each)} ${height}`);
    open = true;
    parts.push(`V${y(value)}H${round((at + 1) * each)}`);
  });
  if (open) parts.push(`V${height}Z`);
  return { path: parts.join(""), peak, latest: [...values].reverse().find((value) => value !== undefined) };
}

function binned(values: readonly (number | undefined)[], most: number): readonly (number | undefined)[] {
  if (values.length <= most) return values;
  return Array.from({ length: most }, (_, bin) => {
    const first = Math.floor((bin * values.length) / most);
    const last = Math.max(first + 1, Math.floor(((bin + 1) * values.length) / most));
    return values.slice(first, last).reduce((top, value) => (value === undefined ? top : Math.max(top ?? 0, value)), undefined);
  });
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

/** Values on a grid of stamps a step apart, undefined where there is no window. */
export function onGrid(stamps: readonly number[], values: readonly number[], stepMs: number): readonly (number | undefined)[] {
  const [first, last] = [stamps[0], stamps[stamps.length - 1]];
  if (first === undefined || last === undefined || stepMs <= 0) return [];
  const count = Math.min(MOST, Math.round((last - first) / stepMs) + 1);
  const placed: (number | undefined)[] = Array.from({ length: count }, () => undefined);
  stamps.forEach((stamp, at) => {
    const place = Math.round((stamp - first) / stepMs);
    if (place < count) placed[place] = values[at] ?? 0;
  });
  return placed;
}

const MOST = 20_000;
