/** The cell that the keyboard points at. */
import { signal } from "@preact/signals";
import type { Selection } from "../data/view";
import { change, hovered, matrix, view, viewport } from "../state";
import { look } from "./moves";
import { placeOfCell } from "./pointing";

/** Whether the cell under the cross got there by key; its description is then read out. */
export const byKey = signal(false);

export function moveCross(across: number, down: number): void {
  const [shown, port] = [matrix.peek(), viewport.peek()];
  if (shown === null || port === null || shown.columns === 0 || shown.rows.length === 0) return;
  const from = hovered.peek() ?? view.peek().cell;
  const place = from === null ? undefined : placeOfCell(shown, from);
  const middle = { row: Math.floor((port.y0 + port.y1) / 2), column: Math.ceil(port.x1) - 1 };
  const row = Math.min(shown.rows.length - 1, Math.max(0, (place?.row ?? middle.row) + (place === undefined ? 0 : down)));
  const column = Math.min(shown.columns - 1, Math.max(0, (place?.column ?? middle.column) + (place === undefined ? 0 : across)));
  byKey.value = true;
  hovered.value = { bucket: shown.rows[row]?.bucketId ?? "", columnMs: shown.stamps[column] ?? 0 };
  follow(row, column);
}

// Moves the picture by as much as the cross has left it.
function follow(row: number, column: number): void {
  const port = viewport.peek();
  if (port === null) return;
  const dx = Math.min(0, column - port.x0) + Math.max(0, column + 1 - port.x1);
  const dy = Math.min(0, row - port.y0) + Math.max(0, row + 1 - port.y1);
  if (dx !== 0 || dy !== 0) look({ x0: port.x0 + dx, x1: port.x1 + dx, y0: port.y0 + dy, y1: port.y1 + dy }, "replace");
}

export function pin(cell: Selection): void {
  change({ cell }, "replace");
}

export function pinCross(): void {
  const cell = hovered.peek();
  if (cell !== null) pin(cell);
}

/** Whether there was a cross to drop. */
export function dropCross(): boolean {
  const had = byKey.peek() && hovered.peek() !== null;
  hovered.value = null;
  byKey.value = false;
  return had;
}
