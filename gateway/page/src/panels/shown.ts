/** The part of a matrix that is in view, as tables and files need it: rows of numbers with their heads. */
export interface ShownRow {
  readonly bucketId: string;
  readonly label: string;
  /** Both in base64; an empty end is unbounded. */
  readonly start: string;
  readonly end: string;
  readonly aggregate: boolean;
  readonly routeCount: number;
  /** One a column of `stamps`; undefined = nobody has data for it, which is not zero. */
  readonly values: readonly (number | undefined)[];
  readonly conflicts: readonly boolean[];
  readonly soft: readonly boolean[];
}

/** stamps: ends of the windows in unix milliseconds, ascending; every row has one value for each. */
export interface Shown {
  readonly series: string;
  readonly stepMs: number;
  readonly generatedAt: string;
  readonly stamps: readonly number[];
  readonly rows: readonly ShownRow[];
  /** The node whose own view it is, "" = merged. */
  readonly node: string;
}

export function totalOf(row: ShownRow): number {
  return row.values.reduce<number>((sum, value) => sum + (value ?? 0), 0);
}
