/** Small questions of panels to the gateway: one answer for what is open now, none for what was. */
import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Refused } from "../data/wire";
import { session } from "../state";

export type Told<Body> = { readonly kind: "told"; readonly body: Body } | Refused;

/** A 401 anywhere is the end of the session everywhere. Rejects only when the signal aborts. */
export async function askSmall<Body>(path: string, signal: AbortSignal): Promise<Told<Body>> {
  try {
    const response = await fetch(path, { signal, cache: "no-store", credentials: "same-origin" });
    const body: unknown = await response.json().catch(() => ({}));
    if (response.ok) return { kind: "told", body: body as Body };
    const said = body as { error?: string; message?: string };
    if (response.status === 401) session.value = { kind: "needed", because: said.message ?? "" };
    return { kind: "refused", status: response.status, code: said.error ?? String(response.status), message: said.message ?? "" };
  } catch (error) {
    if (signal.aborted) throw error;
    return { kind: "refused", status: 0, code: "unreachable", message: "the gateway does not answer" };
  }
}

/** Counts up after each sign-in, so that panels which were refused ask again. */
export const signedInTimes = signal(0);

/**
 * The latest result for a key: undefined until there is one. A new key forgets the old result and its question;
 * the same key with another `round` asks again, once the question under way is answered, and keeps the old result until
 * the new one is there. "" asks nothing.
 */
export function useTold<Result>(
  key: string,
  round: number | string,
  ask: (signal: AbortSignal) => Promise<Result>,
): Result | undefined {
  const [held, hold] = useState<{ readonly key: string; readonly result: Result } | undefined>(undefined);
  const latest = useRef({ ask, round });
  latest.current = { ask, round };
  const again = useRef<() => void>(() => undefined);
  const times = signedInTimes.value;
  useEffect(() => {
    if (key === "") return undefined;
    const own = new AbortController();
    let [asking, asked] = [false, undefined as number | string | undefined];
    const start = () => {
      if (asking || own.signal.aborted || asked === latest.current.round) return;
      [asking, asked] = [true, latest.current.round];
      latest.current
        .ask(own.signal)
        .then(
          (result) => own.signal.aborted || hold({ key, result }),
          () => undefined,
        )
        .finally(() => {
          asking = false;
          start();
        });
    };
    again.current = start;
    start();
    return () => own.abort();
  }, [key, times]);
  useEffect(() => again.current(), [round]);
  return held?.key === key ? held.result : undefined;
}
