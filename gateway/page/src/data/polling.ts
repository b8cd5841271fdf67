/** Keeps the picture fresh: one question at a time, none while nobody looks. */
import { computed, effect } from "@preact/signals";
import { asking, fanout, lookNow, matrix, nowMs, refused, session, staleSinceMs, take, view } from "../state";
import { askMatrix } from "./asking";
import type { View } from "./view";

const FASTEST_MS = 1_000;
const SLOWEST_MS = 15_000;

/** Never slower than the picture changes within reason, never faster than once a second, or as the view says. */
export function intervalMs(view: Pick<View, "refreshMs">, stepMs: number): number {
  return view.refreshMs > 0 ? view.refreshMs : Math.min(SLOWEST_MS, Math.max(FASTEST_MS, stepMs));
}

let own: AbortController | null = null;
let timer = 0;

/** Asks now, in place of whatever was asked before. */
export async function refresh(): Promise<void> {
  window.clearTimeout(timer);
  own?.abort();
  const mine = new AbortController();
  own = mine;
  asking.value = true;
  try {
    settle(await askMatrix(view.peek(), Date.now(), lookNow(), mine.signal));
  } catch (error) {
    if (mine.signal.aborted) return;
    settle({ kind: "refused", status: 0, code: "unreachable", message: error instanceof Error ? error.message : "" });
  }
  own = null;
  asking.value = false;
  plan();
}

function settle(reply: Awaited<ReturnType<typeof askMatrix>>): void {
  if (reply.kind === "matrix") {
    refused.value = null;
    staleSinceMs.value = null;
    fanout.value = reply.matrix.fanout;
    take(reply.matrix, reply.prepared);
    return;
  }
  refused.value = reply;
  staleSinceMs.value ??= Date.now();
  if (reply.fanout !== undefined) fanout.value = reply.fanout;
  if (reply.status === 401) session.value = { kind: "needed", because: reply.message };
}

function plan(): void {
  window.clearTimeout(timer);
  // Without a session every question would be refused, and audited: signing in asks again.
  if (session.peek().kind === "needed") return;
  if (!view.peek().paused) timer = window.setTimeout(tick, intervalMs(view.peek(), matrix.peek()?.stepMs ?? 0));
}

// A tab that nobody sees does not ask; it asks at once when it is seen again.
function tick(): void {
  if (!document.hidden && own === null && session.peek().kind !== "needed") void refresh();
}

/** Starts asking, and asks anew whenever the view wants another answer. */
export function keepFresh(): void {
  let before = "";
  effect(() => {
    const { series, range, rows, keys, node } = view.value;
    const wanted = JSON.stringify([series, range, rows, keys, node]);
    if (wanted === before) return;
    before = wanted;
    void refresh();
  });
  let wasPaused = view.peek().paused;
  const pace = computed(() => ({ paused: view.value.paused, refreshMs: view.value.refreshMs }));
  effect(() => {
    const { paused } = pace.value;
    if (own === null) {
      if (wasPaused && !paused) tick();
      else plan();
    }
    wasPaused = paused;
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && !view.peek().paused) tick();
  });
  window.setInterval(() => (nowMs.value = Date.now()), 1000);
}
