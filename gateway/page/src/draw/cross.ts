/** Frames around the cell under the pointer and the pinned one, in the SVG over the picture. */
import { select } from "d3-selection";
import type { Viewport } from "../data/viewport";
import type { Box } from "./layout";

export interface Framed {
  readonly name: "hovered" | "pinned";
  readonly row: number;
  readonly column: number;
}

/** So that the smallest cell can be seen, and the pinned one be found. */
const LEAST_SIDE = { hovered: 5, pinned: 9 };

/** Places outside of the viewport are left out. The row and column of each are marked along the axes too. */
export function drawFrames(svg: SVGSVGElement, plot: Box, port: Viewport, framed: readonly Framed[]): void {
  const [perColumn, perRow] = [plot.width / (port.x1 - port.x0), plot.height / (port.y1 - port.y0)];
  const shown = framed
    .filter(({ row, column }) => row + 1 > port.y0 && row < port.y1 && column + 1 > port.x0 && column < port.x1)
    .map(({ name, row, column }) => {
      const [width, height] = [Math.max(LEAST_SIDE[name], perColumn), Math.max(LEAST_SIDE[name], perRow)];
      const x = plot.left + (column + 0.5 - port.x0) * perColumn - width / 2;
      const y = plot.top + (row + 0.5 - port.y0) * perRow - height / 2;
      return { name, x, y, width, height };
    });
  const groups = select(svg)
    .selectAll<SVGGElement, (typeof shown)[number]>("g.framed")
    .data(shown, (one) => one.name)
    .join((enter) => {
      const made = enter.append("g");
      made.append("rect").attr("class", "halo");
      made.append("rect").attr("class", "line");
      made.append("path");
      return made;
    })
    .attr("class", (one) => `framed ${one.name}`);
  groups
    .selectAll<SVGRectElement, (typeof shown)[number]>("rect")
    .data((one) => [one, one])
    .attr("x", (one) => one.x - 0.5)
    .attr("y", (one) => one.y - 0.5)
    .attr("width", (one) => one.width + 1)
    .attr("height", (one) => one.height + 1);
  groups.select("path").attr("d", (one) => {
    const [middle, across] = [one.x + one.width / 2, one.y + one.height / 2];
    return `M${plot.left - 6},${across}h6M${middle},${plot.top + plot.height}v6`;
  });
}
