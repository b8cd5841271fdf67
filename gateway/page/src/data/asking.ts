import type { Look } from "../draw/colouring";
import type { RowDetail } from "./matrix";
import type { Asked, Replied, Reply } from "./messages";
import type { View } from "./view";
import type { Refused, Series } from "./wire";

const MATRIX = "/admin/api/v1/keyviz/matrix";

const worker = new Worker(new URL("./ingest.worker.ts", import.meta.url), { type: "module", name: "keyviz-ingest" });
const waiting = new Map<number, (reply: Reply) => void>();
let lastId = 0;

worker.addEventListener("message", (event: MessageEvent<Replied>) => {
  const { id, reply, tookMs } = event.data;
  const end = performance.now();
  if (reply.kind === "matrix") performance.measure("keyviz-ingest", { start: end - tookMs, end });
  waiting.get(id)?.(reply);
  waiting.delete(id);
});

function ask(asked: (id: number) => Asked, signal?: AbortSignal): Promise<Reply> {
  lastId += 1;
  const id = lastId;
  return new Promise((resolve, reject) => {
    waiting.set(id, resolve);
    signal?.addEventListener("abort", () => {
      waiting.delete(id);
      worker.postMessage({ kind: "forget", id } satisfies Asked);
      reject(signal.reason as Error);
    });
    worker.postMessage(asked(id));
  });
}

/** What a view asks of the gateway. nowMs: the moment that "last 5 minutes" ends at. */
export function matrixPath(view: View, nowMs: number, identity = false): string {
  const asked = new URLSearchParams({ series: view.series });
  const { range } = view;
  if (range.kind === "last") asked.set("from_unix_ms", String(Math.max(0, nowMs - range.ms)));
  if (range.kind === "between") {
    asked.set("from_unix_ms", String(range.fromMs));
    asked.set("to_unix_ms", String(range.toMs));
  }
  asked.set("rows", String(view.rows));
  if (view.keys !== null && view.keys.start !== "") asked.set("start", view.keys.start);
  if (view.keys !== null && view.keys.end !== "") asked.set("end", view.keys.end);
  if (view.node !== "") asked.set("node", view.node);
  if (!identity) asked.set("identity", "0");
  return `${MATRIX}?${asked.toString()}`;
}

/** The picture, coloured for a look. Rejects when the signal aborts; whatever else goes wrong is a refusal. */
export async function askMatrix(
  view: View,
  nowMs: number,
  look: Look | null,
  signal?: AbortSignal,
): Promise<Extract<Reply, { readonly kind: "matrix" }> | Refused> {
  const path = matrixPath(view, nowMs);
  const reply = await ask((id) => ({ kind: "matrix", id, path, node: view.node, look }), signal);
  if (reply.kind === "row") throw new Error("the worker answered another question");
  return reply;
}

/** One row of the same view with groups and terms, of any series; null when the answer has no such row. */
export async function askRow(
  view: View,
  bucketId: string,
  series: Series,
  signal?: AbortSignal,
): Promise<{ readonly kind: "row"; readonly detail: RowDetail | null } | Refused> {
  const path = matrixPath({ ...view, series }, Date.now(), true);
  const reply = await ask((id) => ({ kind: "row", id, path, bucketId }), signal);
  if (reply.kind === "matrix") throw new Error("the worker answered another question");
  return reply;
}
