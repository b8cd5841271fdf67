/** Wheel, pinch and drag, recognised by d3-zoom and turned into moves of the picture. */
import { select } from "d3-selection";
import { zoom, zoomIdentity, type D3ZoomEvent, type ZoomTransform } from "d3-zoom";
import type { Viewport } from "../data/viewport";
import type { Box } from "../draw/layout";
import { matrix, viewport } from "../state";
import { LEAST, look } from "./moves";
import { pulled } from "./pull";
import { armed } from "./tool";

interface Begun {
  readonly port: Viewport;
  readonly transform: ZoomTransform;
  readonly across: boolean;
  readonly down: boolean;
}

/** Over the plot both directions move; over an axis its own alone. plot: where the plot is in the frame right now. */
export function gestures(frame: HTMLElement, plot: () => Box): () => void {
  let begun: Begun | null = null;
  let moved = false;

  const start = (event: D3ZoomEvent<HTMLElement, unknown>) => {
    const port = viewport.peek();
    if (port === null || event.sourceEvent === null) return;
    moved = false;
    begun = { port, transform: event.transform, ...directions(event.sourceEvent as Event, frame, plot()) };
  };
  const during = (event: D3ZoomEvent<HTMLElement, unknown>) => {
    const shown = matrix.peek();
    if (begun === null || shown === null) return;
    look(portOf(begun, event.transform, plot(), shown.columns, shown.rows.length), moved ? "replace" : "push");
    moved = true;
  };
  const behaviour = zoom<HTMLElement, unknown>()
    .filter((event: MouseEvent) => !armed.peek() && (event.type === "wheel" || (!event.button && !event.ctrlKey)))
    .wheelDelta((event) => -event.deltaY * (event.deltaMode === 1 ? 0.05 : event.deltaMode === 2 ? 1 : 0.002) * (event.ctrlKey ? 8 : 1))
    .clickDistance(4)
    .on("start", start)
    .on("zoom", during)
    .on("end", () => (begun = null));
  const target = select(frame).call(behaviour).on("dblclick.zoom", null);
  return () => target.on(".zoom", null).property("__zoom", zoomIdentity);
}

function directions(event: Event, frame: HTMLElement, plot: Box): { readonly across: boolean; readonly down: boolean } {
  const at = "touches" in event ? (event as TouchEvent).touches[0] : (event as MouseEvent);
  if (at === undefined) return { across: true, down: true };
  const area = frame.getBoundingClientRect();
  const [x, y] = [at.clientX - area.left - plot.left, at.clientY - area.top - plot.top];
  const beside = x < 0 || x > plot.width;
  const above = y < 0 || y > plot.height;
  return { across: !beside || above, down: !above || beside };
}

function portOf(begun: Begun, now: ZoomTransform, plot: Box, columns: number, rows: number): Viewport {
  const { port, transform } = begun;
  const k = now.k / transform.k;
  // From the frame's coordinates to the plot's, which begin at its left and top.
  const [tx, ty] = [now.x - k * transform.x + plot.left * (k - 1), now.y - k * transform.y + plot.top * (k - 1)];
  const [x0, x1] = begun.across
    ? pulled(port.x0, port.x1, { k, shift: tx, pixels: plot.width, least: LEAST.columns, most: columns })
    : [port.x0, port.x1];
  const [y0, y1] = begun.down
    ? pulled(port.y0, port.y1, { k, shift: ty, pixels: plot.height, least: LEAST.rows, most: rows })
    : [port.y0, port.y1];
  return { x0, x1, y0, y1 };
}
