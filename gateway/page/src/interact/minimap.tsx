import { useEffect, useRef } from "preact/hooks";
import { wholeOf } from "../data/viewport";
import { CellPainter } from "../draw/cells";
import type { Box } from "../draw/layout";
import { tableOf } from "../scale/colour";
import { matrix, view, viewport } from "../state";
import { look } from "./moves";

/** The picture itself comes first. */
const LATER_MS = 50;

/** All of the picture in a corner of the frame, with what is in view marked; drag in it to move about. */
export function Minimap({ box }: { readonly box: Box | null }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [shown, port] = [matrix.value, viewport.value];
  const { scale, brightness } = view.value;
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (context == null || shown === null || shown.columns === 0) return undefined;
    const paint = () => {
      context.clearRect(0, 0, context.canvas.width, context.canvas.height);
      new CellPainter().paint(context, shown, wholeOf(shown), tableOf({ scale, brightness, top: shown.top }), null);
    };
    const later = window.setTimeout(paint, LATER_MS);
    return () => window.clearTimeout(later);
  }, [shown, scale, brightness, box?.width, box?.height]);
  if (box === null || shown === null || port === null || shown.columns === 0) return null;

  const move = (event: PointerEvent) => {
    if (event.buttons !== 1) return;
    const area = (event.currentTarget as Element).getBoundingClientRect();
    const [x, y] = [
      ((event.clientX - area.left) / area.width) * shown.columns,
      ((event.clientY - area.top) / area.height) * shown.rows.length,
    ];
    const [width, height] = [port.x1 - port.x0, port.y1 - port.y0];
    const step = event.type === "pointerdown" ? "push" : "replace";
    look({ x0: x - width / 2, x1: x + width / 2, y0: y - height / 2, y1: y + height / 2 }, step);
  };
  const keep = (event: Event) => event.stopPropagation();
  const part = (of: number, all: number) => `${(100 * of) / all}%`;
  const ratio = window.devicePixelRatio || 1;
  return (
    <div
      class="minimap"
      data-testid="minimap"
      aria-hidden="true"
      style={{ width: `${box.width}px`, height: `${box.height}px` }}
      onClick={keep}
      onDblClick={keep}
      onMouseDown={keep}
      onTouchStart={keep}
      onPointerDown={(event) => {
        keep(event);
        event.currentTarget.setPointerCapture(event.pointerId);
        move(event);
      }}
      onPointerMove={move}
    >
      <canvas ref={canvas} data-overlay="" width={Math.round(box.width * ratio)} height={Math.round(box.height * ratio)} />
      <div
        class="in-view"
        style={{
          left: part(port.x0, shown.columns),
          width: part(port.x1 - port.x0, shown.columns),
          top: part(port.y0, shown.rows.length),
          height: part(port.y1 - port.y0, shown.rows.length),
        }}
      />
    </div>
  );
}
