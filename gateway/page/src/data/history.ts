/** The browser's address and history: the only place that reads or writes them after the start. */
import { onChange, restore } from "../state";
import { decodeView, encodeView } from "./url";
import type { View } from "./view";

interface Kept {
  /** How many steps of our own lie behind this one. */
  readonly depth: number;
}

const depth = () => (window.history.state as Kept | null)?.depth ?? 0;

export function addressOf(view: View): string {
  const query = encodeView(view);
  return window.location.pathname + (query === "" ? "" : `?${query}`);
}

/** A link to a view that works on another machine. */
export const linkTo = (view: View) => window.location.origin + addressOf(view);

/** Browsers refuse more than some tens of changes a few seconds; a gesture makes that many. */
const SETTLE_MS = 250;

export function keepAddress(): void {
  let waiting = 0;
  let replace: (() => void) | null = null;
  const settle = () => {
    window.clearTimeout(waiting);
    replace?.();
    replace = null;
  };
  onChange((view, step) => {
    if (step === "push") {
      settle();
      if (addressOf(view) === window.location.pathname + window.location.search) return;
      window.history.pushState({ depth: depth() + 1 } satisfies Kept, "", addressOf(view));
      return;
    }
    replace = () => window.history.replaceState({ depth: depth() } satisfies Kept, "", addressOf(view));
    window.clearTimeout(waiting);
    waiting = window.setTimeout(settle, SETTLE_MS);
  });
  window.addEventListener("pagehide", settle);
  window.addEventListener("popstate", () => {
    window.clearTimeout(waiting);
    replace = null;
    restore(decodeView(window.location.search));
  });
}

/** One view back; false when there is none of ours to go back to. */
export function goBack(): boolean {
  if (depth() === 0) return false;
  window.history.back();
  return true;
}
