import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { hovered, matrix, view, viewport } from "../state";
import { byKey } from "./cross";
import { describe, placeOfCell } from "./pointing";

/** Where the pointer is, in CSS pixels of the window. */
export const pointer = signal({ x: 0, y: 0 });

const GAP = 14;
const EDGE = 8;

/** What the cell under the pointer or the cross is and holds; read out when the cross moves. */
export function Tooltip() {
  const [shown, cell] = [matrix.value, hovered.value];
  const pinned = view.value.cell;
  // The panel beside the picture says all of it already; whoever moves by key still hears it.
  const told = !byKey.value && pinned?.bucket === cell?.bucket && pinned?.columnMs === cell?.columnMs;
  const text = shown === null || cell === null || told ? "" : describe(cell, shown, view.value.utc);
  const holder = useRef<HTMLDivElement>(null);
  const { x, y } = byKey.value ? crossPlace() : pointer.value;
  useEffect(() => {
    const own = holder.current;
    if (own === null || text === "") return;
    own.style.left = `${placed(x, own.offsetWidth, window.innerWidth)}px`;
    own.style.top = `${placed(y, own.offsetHeight, window.innerHeight)}px`;
  });
  return (
    <>
      <div id="tooltip" data-testid="tooltip" role="tooltip" ref={holder} hidden={text === ""} dir="auto">
        {text}
      </div>
      <div class="unseen" aria-live="polite" data-testid="spoken">
        {byKey.value ? text.replaceAll("\n", ", ") : ""}
      </div>
    </>
  );
}

/** After the place, or before it where there is no room. */
function placed(at: number, size: number, room: number): number {
  const after = at + GAP;
  return after + size + EDGE <= room ? after : Math.max(EDGE, at - GAP - size);
}

function crossPlace(): { readonly x: number; readonly y: number } {
  const [shown, port, cell] = [matrix.value, viewport.value, hovered.value];
  const place = shown === null || cell === null ? undefined : placeOfCell(shown, cell);
  const area = document.querySelector("#heatmap")?.getBoundingClientRect();
  if (port === null || place === undefined || area === undefined) return { x: 0, y: 0 };
  return {
    x: area.left + ((place.column + 0.5 - port.x0) / (port.x1 - port.x0)) * area.width,
    y: area.top + ((place.row + 0.5 - port.y0) / (port.y1 - port.y0)) * area.height,
  };
}
