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

export function keepAddress(): void {
  onChange((view, step) => {
    if (step === "push" && addressOf(view) !== window.location.pathname + window.location.search) {
      window.history.pushState({ depth: depth() + 1 } satisfies Kept, "", addressOf(view));
    } else {
      window.history.replaceState({ depth: depth() } satisfies Kept, "", addressOf(view));
    }
  });
  window.addEventListener("popstate", () => restore(decodeView(window.location.search)));
}

/** One view back; false when there is none of ours to go back to. */
export function goBack(): boolean {
  if (depth() === 0) return false;
  window.history.back();
  return true;
}
