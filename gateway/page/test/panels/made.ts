import type { Fanout, NodeOutcome, NodeWarning } from "../../src/panels/wire";
import type { Shown, ShownRow } from "../../src/panels/shown";

export function node(own: Partial<NodeOutcome>): NodeOutcome {
  return { node: "a:1", ok: true, error: "", kind: "", node_id: "", latency_ms: 1, generated_at: "", warnings: [], ...own };
}

export function fanout(...nodes: NodeOutcome[]): Fanout {
  return { nodes, responded: nodes.filter((one) => one.ok).length, expected: nodes.length };
}

export function warning(code: string, bucket_id = ""): NodeWarning {
  return { code, bucket_id, detail: "" };
}

export function row(bucketId: string, values: (number | undefined)[], own: Partial<ShownRow> = {}): ShownRow {
  const none = values.map(() => false);
  return { bucketId, label: "", start: "YQ==", end: "", aggregate: false, routeCount: 1, values, conflicts: none, soft: none, ...own };
}

export function shown(rows: ShownRow[], own: Partial<Shown> = {}): Shown {
  const stamps = (rows[0]?.values ?? []).map((_, at) => 1_777_290_300_000 + 1000 * at);
  return { series: "writes", stepMs: 1000, generatedAt: "2026-04-27T11:46:00.123Z", stamps, rows, node: "", ...own };
}

export const base64 = (bytes: Iterable<number>): string => btoa(String.fromCharCode(...bytes));
export const base64OfText = (text: string): string => base64(new TextEncoder().encode(text));
