/** Asks the gateway and turns its answers into arrays away from the page's own thread. */
import { buffersOf, ingest, rowDetail } from "./ingest";
import type { Asked, Replied } from "./messages";
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
    const body = await bodyOf(asked.path, own.signal);
    if ("kind" in body) {
      send({ id: asked.id, reply: body });
    } else if (asked.kind === "row") {
      send({ id: asked.id, reply: { kind: "row", detail: rowDetail(body, asked.bucketId) } });
    } else {
      const matrix = ingest(body, asked.node);
      send({ id: asked.id, reply: { kind: "matrix", matrix } }, buffersOf(matrix));
    }
  } catch (error) {
    const message = error instanceof Error ? error.message : "no answer";
    send({ id: asked.id, reply: { kind: "refused", status: 0, code: "unreachable", message } });
  } finally {
    underWay.delete(asked.id);
  }
}

async function bodyOf(path: string, signal: AbortSignal): Promise<WireMatrix | Refused> {
  const response = await fetch(path, { signal, cache: "no-store", credentials: "same-origin" });
  const text = await response.text();
  if (response.ok) return JSON.parse(text) as WireMatrix;
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

function send(replied: Replied, transfer: Transferable[] = []): void {
  self.postMessage(replied, { transfer });
}
