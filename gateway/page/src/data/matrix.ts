import type { Fanout, Series } from "./wire";

/** One row without its numbers. */
export interface RowHead {
  readonly bucketId: string;
  /** "" = none. */
  readonly label: string;
  /** Both in base64; an empty end is unbounded. */
  readonly start: string;
  readonly end: string;
  readonly aggregate: boolean;
  readonly routeIds: readonly number[];
  readonly routeIdsTruncated: boolean;
  readonly routeCount: number;
  readonly conflict: boolean;
}

/** The whole picture for a corner of the page: codes[row * width + column], each the hottest of the cells it stands for. */
export interface Small {
  readonly codes: Uint16Array;
  readonly width: number;
  readonly height: number;
}

/**
 * Cells on the grid of time: cell (row, column) is at row * columns + column of every array of cells, and
 * stamps.length == known.length == columns. A column that nobody has data for is there too, with known = 0, value 0
 * and code UNKNOWN, so that distance on the grid is distance in time (save for very long gaps, which are one column).
 */
export interface Matrix {
  readonly series: Series;
  /** The node whose own view it is, "" = merged. */
  readonly node: string;
  readonly stepMs: number;
  readonly generatedAt: string;
  readonly rows: readonly RowHead[];
  readonly columns: number;
  /** Ends of the windows in unix ms, ascending. */
  readonly stamps: Float64Array;
  readonly known: Uint8Array;
  /** How many nodes hold any of each column, 0 = not told. */
  readonly columnNodes: Uint16Array;
  readonly values: Float64Array;
  /** Logarithms of the values as 16 bits, see codes.ts. */
  readonly codes: Uint16Array;
  /** 1 where nodes disagree; null where they never do. A server that only marks rows has all known cells of them marked. */
  readonly conflicts: Uint8Array | null;
  /** 1 where the value is an estimate; null where none is. */
  readonly soft: Uint8Array | null;
  readonly columnTotals: Float64Array;
  readonly rowTotals: Float64Array;
  /** The largest value of any cell. */
  readonly top: number;
  readonly small: Small;
  readonly fanout: Fanout | null;
}

/** One row with what the picture leaves out. Arrays are on the columns that the answer had. */
export interface RowDetail {
  readonly bucketId: string;
  readonly series: Series;
  readonly stepMs: number;
  readonly stamps: readonly number[];
  readonly values: readonly number[];
  /** Empty where no identity is known. */
  readonly raftGroupIds: readonly number[];
  readonly leaderTerms: readonly number[];
}
