/** Asks the gateway and turns its answers into arrays away from the page's own thread. */
import { prepare } from "../draw/colouring";
import { buffersOf, ingest, rowDetail } from "./ingest";
import type { Asked, Replied, Reply } from "./messages";
import type { Fanout, Refused, WireMatrix } from "./wire";

const underWay = new Map<number, AbortController>();

self.addEventListener("message", (event: MessageEvent<Asked>) => {
  const asked = event.data;
  if (asked.kind === "forget") underWay.get(asked.id)?.abort();
  else void answer(asked);
});

async function answer(asked: Exclude<Asked, { kind: "forget" }>): Promise<void> {
  const own = new AbortController();
  underWay.set(asked.id, own);
  try {
    const response = await fetch(asked.path, { signal: own.signal, cache: "no-store", credentials: "same-origin" });
    const text = await response.text();
    const began = performance.now();
    const reply = response.ok ? replyOf(asked, JSON.parse(text) as WireMatrix) : refusedBy(response, text);
    const tookMs = performance.now() - began;
    send({ id: asked.id, tookMs, reply }, transfersOf(reply));
  } catch (error) {
    const message = error instanceof Error ? error.message : "no answer";
    send({ id: asked.id, tookMs: 0, reply: { kind: "refused", status: 0, code: "unreachable", message } });
  } finally {
    underWay.delete(asked.id);
  }
}

function replyOf(asked: Exclude<Asked, { kind: "forget" }>, body: WireMatrix): Reply {
  if (asked.kind === "row") return { kind: "row", detail: rowDetail(body, asked.bucketId) };
  const matrix = ingest(body, asked.node);
  return { kind: "matrix", matrix, prepared: asked.look === null ? null : prepare(matrix, asked.look) };
}

function transfersOf(reply: Reply): Transferable[] {
  if (reply.kind !== "matrix") return [];
  return [...buffersOf(reply.matrix), ...(reply.prepared === null ? [] : [reply.prepared.pixels.buffer])];
}

function refusedBy(response: Response, text: string): Refused {
  const said = errorOf(text);
  return {
    kind: "refused",
    status: response.status,
    code: said.error ?? String(response.status),
    message: said.message ?? response.statusText,
    ...(said.fanout === undefined ? {} : { fanout: said.fanout }),
  };
}

function errorOf(text: string): { error?: string; message?: string; fanout?: Fanout } {
  try {
    return JSON.parse(text) as { error?: string; message?: string; fanout?: Fanout };
  } catch {
    return {}; // a proxy's own page, say
  }
}

function send(replied: Replied, transfer: readonly Transferable[] = []): void {
  self.postMessage(replied, { transfer: [...transfer] });
}
