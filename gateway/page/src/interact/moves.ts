/** Every way to change what is looked at, whatever asks for it: wheel, finger, key or button. */
import { goBack } from "../data/history";
import { inside, wholeOf, zoomOf, type Viewport } from "../data/viewport";
import { scaled } from "./scaled";
import { change, matrix, view, viewport, type Step } from "../state";

/** Nearer than this nothing is gained: two windows, one row. */
export const LEAST = { columns: 2, rows: 1 };

/** This near to the newest column, in parts of what is in view, one means the column itself. */
const EDGE = 0.02;

/** Shows a part of the picture. It is live only if it reaches the newest column. */
export function look(port: Viewport, step: Step = "push"): void {
  const shown = matrix.peek();
  if (shown === null || shown.columns === 0) return;
  const near = shown.columns - port.x1;
  const live = near < EDGE * (port.x1 - port.x0);
  const next = inside(shown, live ? { ...port, x0: port.x0 + near, x1: shown.columns } : port);
  change({ zoom: zoomOf(shown, next), live }, step);
}

export function lookAtAll(): void {
  if (view.peek().zoom !== null) change({ zoom: null, live: true });
}

/** One view back; without one, all of the picture. */
export function back(): void {
  if (!goBack()) lookAtAll();
}

/** Moves to the newest column and stays there. */
export function goLive(): void {
  change({ live: true, paused: false });
}

/** factor above 1: nearer. About the middle, or the places given (0 to 1 across and down). */
export function zoomBy(factor: number, across = 0.5, down = 0.5): void {
  const [shown, port] = [matrix.peek(), viewport.peek()];
  if (shown === null || port === null) return;
  const [x0, x1] = scaled(port.x0, port.x1, { factor, least: LEAST.columns, most: shown.columns, about: across });
  const [y0, y1] = scaled(port.y0, port.y1, { factor, least: LEAST.rows, most: shown.rows.length, about: down });
  look({ x0, x1, y0, y1 });
}

/** Moves by parts of what is in view, down and to the right for positive ones. */
export function panBy(across: number, down: number): void {
  const port = viewport.peek();
  if (port === null) return;
  const [dx, dy] = [across * (port.x1 - port.x0), down * (port.y1 - port.y0)];
  look({ x0: port.x0 + dx, x1: port.x1 + dx, y0: port.y0 + dy, y1: port.y1 + dy });
}

const AROUND_ROWS = 12;

/** Brings a row into view with some rows around it, keeping the time, and pins its newest cell in view. */
export function jumpToRow(row: number): void {
  const [shown, port] = [matrix.peek(), viewport.peek()];
  const head = shown?.rows[row];
  if (shown === null || port === null || head === undefined) return;
  const whole = wholeOf(shown);
  const size = Math.min(whole.y1, 2 * AROUND_ROWS + 1);
  const next = inside(shown, { ...port, y0: row + 0.5 - size / 2, y1: row + 0.5 + size / 2 });
  let column = Math.min(shown.columns, Math.ceil(port.x1)) - 1;
  while (column > port.x0 && shown.known[column] !== 1) column -= 1;
  change({ zoom: zoomOf(shown, next), cell: { bucket: head.bucketId, columnMs: shown.stamps[column] ?? 0 } });
}
