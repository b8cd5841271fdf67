/** What the page knows and what it shows. Rooms read signals; the view changes through `change` alone. */
import { batch, computed, effect, signal } from "@preact/signals";
import type { Matrix } from "./data/matrix";
import { decodeView } from "./data/url";
import { chosenTheme } from "./data/taste";
import type { Selection, View } from "./data/view";
import { samePort, viewportOf, type Viewport } from "./data/viewport";
import type { Look, Prepared, Surface } from "./draw/colouring";
import type { Fanout, Refused } from "./data/wire";

/** Who is looking. `open`: nothing asked for a session so far. */
export type Session =
  | { readonly kind: "open" }
  | { readonly kind: "signed-in"; readonly role: string; readonly expiresAt: string }
  | { readonly kind: "needed"; readonly because: string };

const shownView = signal<View>(decodeView(window.location.search));

/** The view as the address says it. */
export const view = computed(() => shownView.value);

/** How a change goes into the browser's history: as a step to come back from, or in place of the current one. */
export type Step = "push" | "replace";

type Listener = (view: View, step: Step) => void;
let address: Listener = () => undefined;

/** The one who writes addresses; see data/history.ts. */
export function onChange(listener: Listener): void {
  address = listener;
}

export function change(part: Partial<View>, step: Step = "push"): void {
  const next = { ...shownView.peek(), ...part };
  shownView.value = next;
  address(next, step);
}

/** The view that an address says, without writing it: for the browser's own steps back and forth. */
export function restore(next: View): void {
  shownView.value = next;
}

/** The latest picture; it stays when a refresh fails. */
export const matrix = signal<Matrix | null>(null);
/** That picture in colours, for the look that there was when it was asked for. */
export const prepared = signal<Prepared | null>(null);
/** What cells are painted on; null before there is a heatmap. */
export const surface = signal<Surface | null>(null);
/** Why the latest refresh gave no picture; null when it did. */
export const refused = signal<Refused | null>(null);
/** Unix ms of the first refresh that failed since the last one that did not; null while all is well. */
export const staleSinceMs = signal<number | null>(null);
/** How each node fared in the latest answer that told, a refusal's too. */
export const fanout = signal<Fanout | null>(null);
/** Whether a refresh is under way. */
export const asking = signal(false);
export const session = signal<Session>({ kind: "open" });
/** Unix ms, once a second, for ages. */
export const nowMs = signal(Date.now());
/** The cell under the pointer or the keyboard's cross. */
export const hovered = signal<Selection | null>(null);
/** Which dialog is open, by name; null = none. */
export const dialog = signal<string | null>(null);

const systemLight = window.matchMedia("(prefers-color-scheme: light)");
const systemTheme = signal<"dark" | "light">(systemLight.matches ? "light" : "dark");
systemLight.addEventListener("change", () => (systemTheme.value = systemLight.matches ? "light" : "dark"));

/** The theme in effect. */
export const theme = computed(() => (chosenTheme.value === "system" ? systemTheme.value : chosenTheme.value));

/** First keys of every bucket that was ever shown, by id. */
const starts = new Map<string, string>();

export function take(next: Matrix, coloured: Prepared | null): void {
  for (const row of next.rows) starts.set(row.bucketId, row.start);
  batch(() => {
    prepared.value = coloured;
    matrix.value = next;
  });
}

/** How a picture that is asked for now will be looked at, as far as that is known; null before there is a heatmap. */
export function lookNow(): Look | null {
  const on = surface.peek();
  if (on === null) return null;
  const { zoom, live, scale, brightness } = view.peek();
  const marks = zoom === null ? [] : [zoom.top.bucket, zoom.bottom.bucket];
  const known = marks.flatMap((bucket) => (starts.has(bucket) ? [[bucket, starts.get(bucket) ?? ""] as const] : []));
  return { surface: on, zoom, live, scale, brightness, starts: known };
}

/** The part of the picture in view; null without one. The same object until another part is. */
export const viewport = computed<Viewport | null>(() => {
  const next = matrix.value === null ? null : viewportOf(matrix.value, view.value, starts);
  if (next === null || inView === null || !samePort(next, inView)) inView = next;
  return inView;
});
let inView: Viewport | null = null;

/** The picture and what of it is in view, once that stands still: for whatever is too slow for every frame of a drag. */
export const settled = signal<{ readonly matrix: Matrix; readonly port: Viewport } | null>(null);

const SETTLE_MS = 120;
let settling = 0;
effect(() => {
  const [shown, port] = [matrix.value, viewport.value];
  window.clearTimeout(settling);
  const settle = () => (settled.value = shown === null || port === null ? null : { matrix: shown, port });
  // In a task of its own after a refresh too: the picture comes first.
  if (settled.peek() !== null && shown !== null) settling = window.setTimeout(settle, SETTLE_MS);
  else settle();
});

/** The unit of the series, in words. */
export const unit = computed(() => (view.value.series.endsWith("bytes") ? "bytes" : "ops"));
