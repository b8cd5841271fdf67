/** Every key that does something, with what the help sheet says of it. */
import { change, dialog, matrix, view, viewport } from "../state";
import { SERIES } from "../data/wire";
import { moveCross, pinCross, dropCross } from "./cross";
import { back, goLive, lookAtAll, panBy, zoomBy } from "./moves";
import { selecting } from "./tool";

export interface Shortcut {
  /** As KeyboardEvent.key has them; "Shift+" in front where shift must be held. */
  readonly keys: readonly string[];
  /** As people write them. */
  readonly shown: string;
  readonly does: string;
  readonly group: "Move" | "Look" | "Ask";
  readonly run: () => void;
  /** Whether it works only while the heatmap has the focus: arrows belong to whatever has it. */
  readonly onHeatmap?: true;
}

const PAN = 0.2;

export const SHORTCUTS: readonly Shortcut[] = [
  { keys: ["ArrowLeft"], shown: "←", does: "cross to the window before", group: "Move", onHeatmap: true, run: () => moveCross(-1, 0) },
  { keys: ["ArrowRight"], shown: "→", does: "cross to the window after", group: "Move", onHeatmap: true, run: () => moveCross(1, 0) },
  { keys: ["ArrowUp"], shown: "↑", does: "cross to the row above", group: "Move", onHeatmap: true, run: () => moveCross(0, -1) },
  { keys: ["ArrowDown"], shown: "↓", does: "cross to the row below", group: "Move", onHeatmap: true, run: () => moveCross(0, 1) },
  { keys: ["Shift+ArrowLeft"], shown: "Shift ←", does: "earlier", group: "Move", onHeatmap: true, run: () => panBy(-PAN, 0) },
  { keys: ["Shift+ArrowRight"], shown: "Shift →", does: "later", group: "Move", onHeatmap: true, run: () => panBy(PAN, 0) },
  { keys: ["Shift+ArrowUp"], shown: "Shift ↑", does: "towards the first key", group: "Move", onHeatmap: true, run: () => panBy(0, -PAN) },
  { keys: ["Shift+ArrowDown"], shown: "Shift ↓", does: "towards the last key", group: "Move", onHeatmap: true, run: () => panBy(0, PAN) },
  { keys: ["Enter"], shown: "Enter", does: "pin the cell under the cross", group: "Move", onHeatmap: true, run: pinCross },
  { keys: ["+", "="], shown: "+", does: "zoom in", group: "Move", run: () => zoomBy(1.5) },
  { keys: ["-"], shown: "−", does: "zoom out", group: "Move", run: () => zoomBy(1 / 1.5) },
  { keys: ["0"], shown: "0", does: "all of the picture", group: "Move", run: lookAtAll },
  { keys: ["Backspace"], shown: "Backspace, double click", does: "the view before", group: "Move", run: back },
  { keys: ["b"], shown: "b, shift-drag", does: "select a rectangle", group: "Move", run: () => (selecting.value = !selecting.value) },
  { keys: ["Escape"], shown: "Esc", does: "let go of what is chosen", group: "Move", run: letGo },
  { keys: ["/"], shown: "/", does: "find a key or route", group: "Look", run: () => document.querySelector<HTMLElement>("#search")?.focus() },
  { keys: ["g"], shown: "g", does: "logarithmic or linear scale", group: "Look", run: () => change({ scale: view.peek().scale === "log" ? "linear" : "log" }) },
  { keys: ["c"], shown: "c", does: "a second or a window", group: "Look", run: () => change({ unit: view.peek().unit === "rate" ? "count" : "rate" }) },
  { keys: ["u"], shown: "u", does: "local time or UTC", group: "Look", run: () => change({ utc: !view.peek().utc }) },
  { keys: ["s"], shown: "s", does: "the next series", group: "Ask", run: () => nextSeries() },
  { keys: ["p"], shown: "p", does: "pause or go on", group: "Ask", run: () => change({ paused: !view.peek().paused }, "replace") },
  { keys: ["l"], shown: "l", does: "live: follow the newest window", group: "Ask", run: goLive },
  { keys: ["?"], shown: "?", does: "this sheet", group: "Look", run: () => (dialog.value = "help") },
];

function nextSeries(): void {
  const at = SERIES.indexOf(view.peek().series);
  change({ series: SERIES[(at + 1) % SERIES.length] ?? "writes" });
}

function letGo(): void {
  if (selecting.peek()) selecting.value = false;
  else if (!dropCross() && view.peek().cell !== null) change({ cell: null });
}

/** Where letters are written, or arrows choose, keys are left alone. */
function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest("input, select, textarea, [contenteditable], dialog, [popover]") !== null;
}

export function listenForShortcuts(): void {
  window.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || typing(event.target)) return;
    if (event.key === "Enter" && event.target instanceof HTMLElement && event.target.closest("button, a, summary")) return;
    const named = event.shiftKey && event.key.startsWith("Arrow") ? `Shift+${event.key}` : event.key;
    // The browser closes it; nothing else is let go of by the same press.
    if (event.key === "Escape" && document.querySelector(":popover-open") !== null) return;
    const found = SHORTCUTS.find(({ keys }) => keys.includes(named));
    if (found === undefined || matrix.peek() === null || viewport.peek() === null) {
      if (found?.keys[0] !== "?") return;
    }
    const onHeatmap = event.target instanceof HTMLElement && event.target.id === "heatmap";
    if (found?.onHeatmap === true && !onHeatmap) return;
    event.preventDefault();
    found?.run();
  });
}
