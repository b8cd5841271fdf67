import { computed, effect, signal, useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { drawFrames, type Framed } from "../draw/cross";
import type { Box, Layout } from "../draw/layout";
import { Stage } from "../draw/stage";
import { hovered, matrix, prepared, surface, theme, view, viewport } from "../state";
import { brushing } from "./brushing";
import { byKey, pin } from "./cross";
import { gestures } from "./gestures";
import { Minimap } from "./minimap";
import { back } from "./moves";
import { cellAt, placeOfCell } from "./pointing";
import { pointer } from "./tooltip";
import { armed } from "./tool";

/** Longer than a double click takes; only waited for where a double click would go back. */
const DOUBLE_CLICK_MS = 260;

/** The heatmap. Draws at most once a frame, whatever changes. */
export function Picture() {
  const corner = useSignal<Box | null>(null);
  const frame = useRef<HTMLDivElement>(null);
  // Before anything is asked, so that what is asked comes back coloured for this frame.
  useLayoutEffect(() => (frame.current === null ? undefined : bring(frame.current, (layout) => (corner.value = layout.corner))), []);
  return (
    <div id="frame" ref={frame} class={armed.value ? "selecting" : ""}>
      <canvas class="above" aria-hidden="true" />
      <canvas class="beside" aria-hidden="true" />
      <canvas
        id="heatmap"
        data-testid="heatmap"
        tabIndex={0}
        role="img"
        aria-label="Heatmap: key ranges down, time across, brightness is traffic. Arrow keys move a cross over its cells; question mark lists all keys."
      />
      <svg id="axes" aria-hidden="true" />
      <Minimap box={corner.value} />
      <svg id="rectangle" aria-hidden="true" />
    </div>
  );
}

/** Brings a frame to life; the result ends it. */
function bring(frame: HTMLDivElement, laidOut: (layout: Layout) => void): () => void {
  const part = <Kind extends Element>(selector: string) => frame.querySelector(selector) as Kind;
  const axes = part<SVGSVGElement>("#axes");
  const heatmap = part<HTMLCanvasElement>("#heatmap");
  const stage = new Stage({ frame, heatmap, above: part(".above"), beside: part(".beside"), axes });
  const rectangle = brushing(part("#rectangle"));
  const size = signal(0);
  const watch = new ResizeObserver(() => (size.value += 1));
  watch.observe(frame);
  const ends = [
    redraws(frame, stage, size, () => {
      rectangle.place(stage.layout.plot);
      laidOut(stage.layout);
    }),
    frames(axes, stage, size),
    gestures(frame, () => stage.layout.plot),
    pointing(frame, heatmap, stage),
    () => watch.disconnect(),
  ];
  return () => ends.forEach((end) => end());
}

function redraws(frame: HTMLElement, stage: Stage, size: { readonly value: number }, drawn: () => void): () => void {
  let asked = 0;
  const fitted = effect(() => {
    void [theme.value, size.value];
    stage.fit();
    surface.value = stage.surface;
    drawn();
  });
  const [scaled, bright, clock] = [computed(() => view.value.scale), computed(() => view.value.brightness), computed(() => view.value.utc)];
  const stop = effect(() => {
    const [shown, port] = [matrix.value, viewport.value];
    const [scale, brightness, utc] = [scaled.value, bright.value, clock.value];
    void [theme.value, size.value];
    cancelAnimationFrame(asked);
    if (shown === null || port === null) {
      delete frame.dataset["port"];
      delete frame.dataset["pending"];
      return;
    }
    frame.dataset["pending"] = "";
    asked = requestAnimationFrame(() => {
      stage.draw({ matrix: shown, port, utc, prepared: prepared.peek(), shading: { scale, brightness, top: shown.top } });
      frame.dataset["port"] = [port.x0, port.x1, port.y0, port.y1].join();
      delete frame.dataset["pending"];
    });
  });
  return () => {
    stop();
    fitted();
    cancelAnimationFrame(asked);
  };
}

function frames(axes: SVGSVGElement, stage: Stage, size: { readonly value: number }): () => void {
  return effect(() => {
    const [shown, port, under, pinned] = [matrix.value, viewport.value, hovered.value, view.value.cell];
    void size.value;
    if (shown === null || port === null) return;
    const framed: Framed[] = [];
    for (const [name, cell] of [["pinned", pinned], ["hovered", under]] as const) {
      const place = cell === null ? undefined : placeOfCell(shown, cell);
      if (place !== undefined) framed.push({ name, ...place });
    }
    // After the picture itself, which may have another layout by then.
    requestAnimationFrame(() => drawFrames(axes, stage.layout.plot, port, framed));
  });
}

function pointing(frame: HTMLElement, heatmap: HTMLElement, stage: Stage): () => void {
  let waiting = 0;
  const under = (event: MouseEvent) => {
    const [shown, port] = [matrix.peek(), viewport.peek()];
    if (shown === null || port === null) return null;
    const area = heatmap.getBoundingClientRect();
    return cellAt(event.clientX - area.left, event.clientY - area.top, stage.layout.plot, shown, port);
  };
  const listeners: readonly (readonly [string, (event: MouseEvent) => void])[] = [
    [
      "pointermove",
      (event) => {
        byKey.value = false;
        hovered.value = under(event);
        pointer.value = { x: event.clientX, y: event.clientY };
      },
    ],
    ["pointerleave", () => (hovered.value = null)],
    [
      "click",
      (event) => {
        const cell = under(event);
        window.clearTimeout(waiting);
        if (cell === null || armed.peek() || event.detail > 1) return;
        waiting = window.setTimeout(() => pin(cell), view.peek().zoom === null ? 0 : DOUBLE_CLICK_MS);
      },
    ],
    [
      "dblclick",
      () => {
        window.clearTimeout(waiting);
        back();
      },
    ],
  ];
  for (const [name, listener] of listeners) frame.addEventListener(name, listener as EventListener);
  return () => listeners.forEach(([name, listener]) => frame.removeEventListener(name, listener as EventListener));
}
