/** A rectangle drawn over the plot becomes what is in view. */
import { brush, type D3BrushEvent } from "d3-brush";
import { select } from "d3-selection";
import type { Box } from "../draw/layout";
import { viewport } from "../state";
import { LEAST, look } from "./moves";
import { selecting } from "./tool";

const FEWEST_PIXELS = 4;

export interface Brushing {
  /** The plot has moved or has another size. */
  place(plot: Box): void;
}

/** svg: covers the frame; styles let it take the pointer only while a rectangle is to be drawn. */
export function brushing(svg: SVGSVGElement): Brushing {
  let plot: Box = { left: 0, top: 0, width: 1, height: 1 };
  const behaviour = brush<unknown>().keyModifiers(false).on("end", ended);
  const layer = select(svg).append("g").attr("class", "brush");

  function ended(event: D3BrushEvent<unknown>): void {
    const { selection } = event;
    if (selection === null || event.sourceEvent == null) return;
    layer.call((group) => behaviour.move(group, null));
    selecting.value = false;
    const [[left, top], [right, bottom]] = selection as [[number, number], [number, number]];
    const port = viewport.peek();
    if (port === null || right - left < FEWEST_PIXELS || bottom - top < FEWEST_PIXELS) return;
    const [perColumn, perRow] = [(port.x1 - port.x0) / plot.width, (port.y1 - port.y0) / plot.height];
    const [x0, x1] = atLeast(port.x0 + left * perColumn, port.x0 + right * perColumn, LEAST.columns);
    const [y0, y1] = atLeast(port.y0 + top * perRow, port.y0 + bottom * perRow, LEAST.rows);
    look({ x0, x1, y0, y1 });
  }

  return {
    place(box) {
      if (box.left === plot.left && box.top === plot.top && box.width === plot.width && box.height === plot.height) return;
      plot = box;
      layer.attr("transform", `translate(${box.left},${box.top})`);
      behaviour.extent([[0, 0], [box.width, box.height]]);
      layer.call(behaviour);
      layer.selectAll(".handle").remove();
    },
  };
}

function atLeast(from: number, to: number, least: number): readonly [number, number] {
  const middle = (from + to) / 2;
  return to - from >= least ? [from, to] : [middle - least / 2, middle + least / 2];
}
