import { effect, signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Stage } from "../draw/stage";
import { hovered, matrix, theme, view, viewport } from "../state";
import { cellAt, describe } from "./pointing";

/** The heatmap. Draws at most once a frame, whatever changes. */
export function Picture() {
  const frame = useRef<HTMLDivElement>(null);
  const heatmap = useRef<HTMLCanvasElement>(null);
  const above = useRef<HTMLCanvasElement>(null);
  const beside = useRef<HTMLCanvasElement>(null);
  const axes = useRef<SVGSVGElement>(null);
  const stage = useRef<Stage | null>(null);

  useEffect(() => {
    const on = [frame.current, heatmap.current, above.current, beside.current, axes.current] as const;
    if (on.some((part) => part === null)) return undefined;
    const [holder, cells, top, side, svg] = on as [HTMLDivElement, HTMLCanvasElement, HTMLCanvasElement, HTMLCanvasElement, SVGSVGElement];
    const own = new Stage({ frame: holder, heatmap: cells, above: top, beside: side, axes: svg });
    stage.current = own;
    let asked = 0;
    const size = signal(0);
    const watch = new ResizeObserver(() => (size.value += 1));
    watch.observe(holder);
    const stop = effect(() => {
      const [shown, port] = [matrix.value, viewport.value];
      const { scale, brightness, utc } = view.value;
      void [theme.value, size.value];
      cancelAnimationFrame(asked);
      if (shown === null || port === null) return;
      holder.dataset["pending"] = "";
      asked = requestAnimationFrame(() => {
        own.draw({ matrix: shown, port, utc, shading: { scale, brightness, top: shown.top } });
        holder.dataset["port"] = [port.x0, port.x1, port.y0, port.y1].join();
        delete holder.dataset["pending"];
      });
    });
    return () => {
      stop();
      watch.disconnect();
      cancelAnimationFrame(asked);
    };
  }, []);

  const point = (event: PointerEvent) => {
    const [shown, port, own] = [matrix.peek(), viewport.peek(), stage.current];
    if (shown === null || port === null || own === null) return;
    hovered.value = cellAt(event.offsetX, event.offsetY, own.layout.plot, shown, port);
    pointer.value = { x: event.clientX, y: event.clientY };
  };
  return (
    <div id="frame" ref={frame}>
      <canvas ref={above} class="above" aria-hidden="true" />
      <canvas ref={beside} class="beside" aria-hidden="true" />
      <canvas
        id="heatmap"
        data-testid="heatmap"
        ref={heatmap}
        tabIndex={0}
        role="img"
        aria-label="Heatmap: key ranges down, time across, brightness is traffic"
        onPointerMove={point}
        onPointerLeave={() => (hovered.value = null)}
      />
      <svg id="axes" ref={axes} aria-hidden="true" />
    </div>
  );
}

const pointer = signal({ x: 0, y: 0 });

/** What the cell under the pointer is and holds. */
export function Tooltip() {
  const [shown, cell] = [matrix.value, hovered.value];
  const text = shown === null || cell === null ? "" : describe(cell, shown, view.value.utc);
  const holder = useRef<HTMLDivElement>(null);
  const { x, y } = pointer.value;
  useEffect(() => {
    const own = holder.current;
    if (own === null || text === "") return;
    own.style.left = `${Math.max(0, Math.min(x + 14, window.innerWidth - own.offsetWidth - 8))}px`;
    own.style.top = `${Math.max(0, Math.min(y + 14, window.innerHeight - own.offsetHeight - 8))}px`;
  });
  return (
    <div id="tooltip" data-testid="tooltip" role="tooltip" ref={holder} hidden={text === ""}>
      {text}
    </div>
  );
}
