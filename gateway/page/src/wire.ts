/** The JSON that the gateway sends, as far as the page reads it. */
export type Series = "reads" | "writes" | "read_bytes" | "write_bytes";

export interface Row {
  readonly bucket_id: string;
  readonly label?: string;
  readonly start: string;
  readonly end: string;
  readonly aggregate: boolean;
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
  readonly latency_ms: number;
  readonly generated_at: string;
  readonly warnings: readonly NodeWarning[];
}

export interface Fanout {
  readonly nodes: readonly NodeOutcome[];
  readonly responded: number;
  readonly expected: number;
}

export interface Matrix {
  readonly column_unix_ms: readonly number[];
  readonly step_ms: number;
  readonly rows: readonly Row[];
  readonly series: Series;
  readonly generated_at: string;
  readonly fanout?: Fanout;
}

/** What a request came to: a matrix, or why there is none. */
export type Reply =
  | { readonly kind: "matrix"; readonly matrix: Matrix }
  | { readonly kind: "refused"; readonly code: string; readonly message: string; readonly fanout?: Fanout };

export async function fetchMatrix(series: Series, signal: AbortSignal): Promise<Reply> {
  const response = await fetch(`/admin/api/v1/keyviz/matrix?series=${series}`, { signal, cache: "no-store" });
  const body: unknown = await response.json();
  if (response.ok) return { kind: "matrix", matrix: body as Matrix };
  const refused = body as { error?: string; message?: string; fanout?: Fanout };
  return {
    kind: "refused",
    code: refused.error ?? String(response.status),
    message: refused.message ?? response.statusText,
    ...(refused.fanout === undefined ? {} : { fanout: refused.fanout }),
  };
}
