/** The JSON that the gateway sends, as far as the page reads it. */
export const SERIES = ["writes", "reads", "write_bytes", "read_bytes"] as const;
export type Series = (typeof SERIES)[number];

export interface WireRow {
  readonly bucket_id: string;
  readonly label?: string;
  /** Both in base64; an empty end is unbounded. */
  readonly start: string;
  readonly end: string;
  readonly aggregate: boolean;
  readonly route_ids?: readonly number[];
  readonly route_ids_truncated?: boolean;
  readonly route_count: number;
  readonly values: readonly number[];
  readonly conflict: boolean;
  readonly conflicts?: readonly boolean[];
  readonly soft?: readonly boolean[];
  readonly raft_group_ids?: readonly number[];
  readonly leader_terms?: readonly number[];
}

export interface NodeWarning {
  readonly code: string;
  readonly bucket_id: string;
  readonly detail: string;
}

export interface NodeOutcome {
  readonly node: string;
  readonly ok: boolean;
  readonly error: string;
  readonly kind: string;
  readonly node_id: string;
  readonly latency_ms?: number;
  readonly generated_at?: string;
  readonly warnings: readonly NodeWarning[];
}

export interface Fanout {
  readonly nodes: readonly NodeOutcome[];
  readonly responded: number;
  readonly expected: number;
}

export interface WireMatrix {
  readonly column_unix_ms: readonly number[];
  readonly step_ms?: number;
  readonly rows: readonly WireRow[];
  readonly series: Series;
  readonly generated_at?: string;
  readonly column_nodes?: readonly number[];
  readonly fanout?: Fanout;
}

/** Why a request gave nothing: the server's own words, or code `unreachable` when there was no answer at all. */
export interface Refused {
  readonly kind: "refused";
  /** 0 when there was no answer. */
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly fanout?: Fanout;
}
