import { useEffect, useRef } from "preact/hooks";
import type { Box } from "../draw/layout";
import { tableOf } from "../scale/colour";
import { matrix, view, viewport } from "../state";
import { look } from "./moves";

/** All of the picture in a corner of the frame, with what is in view marked; drag in it to move about. */
export function Minimap({ box }: { readonly box: Box | null }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [shown, port] = [matrix.value, viewport.value];
  const { scale, brightness } = view.value;
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (context == null || shown === null || shown.columns === 0) return;
    const { codes, width, height } = shown.small;
    if (codes.length === 0) return;
    const table = tableOf({ scale, brightness, top: shown.top });
    const image = context.createImageData(width, height);
    new Uint32Array(image.data.buffer).set(Uint32Array.from(codes, (code) => table[code] as number));
    context.putImageData(image, 0, 0);
  }, [shown, scale, brightness, box === null]);
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
      <canvas ref={canvas} data-overlay="" width={shown.small.width} height={shown.small.height} />
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
