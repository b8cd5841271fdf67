import { useEffect, useRef } from "preact/hooks";
import { momentAt } from "../data/viewport";
import type { Box } from "../draw/layout";
import { drawMinimap } from "../draw/minimap";
import { tableOf } from "../scale/colour";
import { clock } from "../scale/time";
import { matrix, view, viewport } from "../state";
import { back, look, lookAtAll } from "./moves";
import { selecting } from "./tool";

/** Where one is: what is in view in words, and the ways back. */
export function Whereabouts() {
  const [shown, port] = [matrix.value, viewport.value];
  const { zoom, utc } = view.value;
  if (shown === null || port === null || shown.columns === 0) return <div class="whereabouts" />;
  const rows = { first: Math.floor(port.y0) + 1, last: Math.min(shown.rows.length, Math.ceil(port.y1)) };
  const ends = [momentAt(shown, port.x0), momentAt(shown, port.x1)].map((ms) => rounded(ms, shown.stepMs));
  const times = ends.map((ms) => clock(ms, utc)).join(" – ");
  return (
    <nav class="whereabouts" aria-label="Where you are" data-testid="whereabouts">
      <button
        type="button"
        data-testid="select-tool"
        aria-pressed={selecting.value}
        title="Draw a rectangle to look at (b, or drag with shift)"
        onClick={() => (selecting.value = !selecting.value)}
      >
        Select
      </button>
      <button type="button" data-testid="whole" disabled={zoom === null} title="All of the picture (0)" onClick={lookAtAll}>
        Everything
      </button>
      <button type="button" data-testid="back" disabled={zoom === null} title="The view before (Backspace)" onClick={back}>
        Back
      </button>
      <span data-testid="in-view">
        <span>{times}</span>
        <span>{zoom === null ? `${shown.rows.length} rows` : `rows ${rows.first}–${rows.last} of ${shown.rows.length}`}</span>
      </span>
    </nav>
  );
}

function rounded(unixMs: number, stepMs: number): number {
  const to = stepMs >= 1000 ? 1000 : 1;
  return Math.round(unixMs / to) * to;
}

/** All of the picture in a corner of the frame, with what is in view marked; drag it to move about. */
export function Minimap({ box }: { readonly box: Box | null }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [shown, port] = [matrix.value, viewport.value];
  const { scale, brightness } = view.value;
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (context == null || shown === null || port === null) return undefined;
    const asked = requestAnimationFrame(() =>
      drawMinimap(context, shown, port, tableOf({ scale, brightness, top: shown.top })),
    );
    return () => cancelAnimationFrame(asked);
  }, [shown, port, scale, brightness, box?.width, box?.height]);
  const move = (event: PointerEvent) => {
    if (event.buttons !== 1 || shown === null || port === null) return;
    const area = (event.currentTarget as Element).getBoundingClientRect();
    const [x, y] = [
      ((event.clientX - area.left) / area.width) * shown.columns,
      ((event.clientY - area.top) / area.height) * shown.rows.length,
    ];
    const [width, height] = [port.x1 - port.x0, port.y1 - port.y0];
    look({ x0: x - width / 2, x1: x + width / 2, y0: y - height / 2, y1: y + height / 2 }, event.type === "pointerdown" ? "push" : "replace");
  };
  if (box === null) return null;
  const ratio = window.devicePixelRatio || 1;
  return (
    <canvas
      ref={canvas}
      class="minimap"
      data-testid="minimap"
      width={Math.round(box.width * ratio)}
      height={Math.round(box.height * ratio)}
      style={{ width: `${box.width}px`, height: `${box.height}px` }}
      aria-hidden="true"
      onClick={(event) => event.stopPropagation()}
      onDblClick={(event) => event.stopPropagation()}
      onMouseDown={(event) => event.stopPropagation()}
      onTouchStart={(event) => event.stopPropagation()}
      onPointerDown={(event) => {
        event.stopPropagation();
        event.currentTarget.setPointerCapture(event.pointerId);
        move(event);
      }}
      onPointerMove={move}
    />
  );
}
