import { ingest } from "../src/data/ingest";
import type { Matrix } from "../src/data/matrix";
import type { WireMatrix, WireRow } from "../src/data/wire";

export const base64 = (text: string) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

export function wireRow(bucketId: string, values: readonly number[], own: Partial<WireRow> = {}): WireRow {
  return { bucket_id: bucketId, start: "", end: "", aggregate: false, route_count: 1, values, conflict: false, ...own };
}

export function wire(stamps: readonly number[], rows: readonly WireRow[], own: Partial<WireMatrix> = {}): WireMatrix {
  return { column_unix_ms: stamps, step_ms: 1000, rows, series: "writes", generated_at: "", ...own };
}

/** Rows named route:0, route:1, … that begin with the keys given; ten times their number of traffic in every window. */
export function matrixOf(keys: readonly string[], stamps: readonly number[] = [1000, 2000, 3000, 4000]): Matrix {
  const rows = keys.map((key, at) =>
    wireRow(`route:${at}`, stamps.map(() => 10 * at), { start: base64(key), end: base64(keys[at + 1] ?? "") }),
  );
  return ingest(wire(stamps, rows, { step_ms: Math.min(...stamps.slice(1).map((stamp, at) => stamp - (stamps[at] ?? 0)), 3_600_000) }), "");
}
