import type { Series } from "./wire";

export type Scale = "log" | "linear";
export type Unit = "rate" | "count";

/** What is asked of the server. */
export type Range =
  | { readonly kind: "all" }
  | { readonly kind: "last"; readonly ms: number }
  /** By stamp: from inclusive, to exclusive, unix ms. */
  | { readonly kind: "between"; readonly fromMs: number; readonly toMs: number };

/** Only rows that have a key in it are asked for. Both ends in base64; an empty end is unbounded. */
export interface KeyRange {
  readonly start: string;
  readonly end: string;
}

/** A place between rows that holds while rows come and go: `part` of the way (0 to 1) down the row of a bucket. */
export interface RowMark {
  readonly bucket: string;
  readonly part: number;
}

/** The part of the picture that is looked at. While the view is live, only the length of the time counts. */
export interface Zoom {
  readonly fromMs: number;
  readonly toMs: number;
  readonly top: RowMark;
  readonly bottom: RowMark;
}

/** One cell. columnMs: its stamp. */
export interface Selection {
  readonly bucket: string;
  readonly columnMs: number;
}

/** Everything that a link reproduces. */
export interface View {
  readonly series: Series;
  readonly scale: Scale;
  /** 0.2 to 5: above 1 weak traffic is brighter, below 1 only the hottest stands out. */
  readonly brightness: number;
  readonly unit: Unit;
  readonly range: Range;
  /** Row budget, 1 to 1024. */
  readonly rows: number;
  /** null = all keys. The row budget is for these alone, so what was folded opens up. */
  readonly keys: KeyRange | null;
  /** A node id: that node's own view; "" = merged. */
  readonly node: string;
  /** 0 = as often as the picture changes. */
  readonly refreshMs: number;
  readonly paused: boolean;
  /** Whether the picture follows the newest column. */
  readonly live: boolean;
  /** null = all of it. */
  readonly zoom: Zoom | null;
  readonly cell: Selection | null;
  readonly utc: boolean;
}

export const MOST_ROWS = 1024;

export const DEFAULT_VIEW: View = {
  series: "writes",
  scale: "log",
  brightness: 1,
  unit: "rate",
  range: { kind: "all" },
  rows: MOST_ROWS,
  keys: null,
  node: "",
  refreshMs: 0,
  paused: false,
  live: true,
  zoom: null,
  cell: null,
  utc: false,
};
