import { axisBottom, axisLeft } from "d3-axis";
import { scaleIdentity } from "d3-scale";
import { select } from "d3-selection";
import type { KeyTicks } from "../scale/labels";
import type { TimeTick } from "../scale/time";
import type { Layout } from "./layout";

/** Redraws both axes into an SVG that covers the stage. */
export function drawAxes(svg: SVGSVGElement, layout: Layout, keys: KeyTicks, times: readonly TimeTick[]): void {
  const { plot } = layout;
  const across = scaleIdentity([0, plot.width]);
  const down = scaleIdentity([0, plot.height]);
  group(svg, "time", plot.left, plot.top + plot.height).call(
    axisBottom(across)
      .tickValues(times.map(({ x }) => x))
      .tickFormat((_, number) => times[number]?.text ?? "")
      .tickSizeOuter(0),
  );
  group(svg, "keys", plot.left, plot.top).call(
    axisLeft(down)
      .tickValues(keys.ticks.map(({ y }) => y))
      .tickFormat((_, number) => keys.ticks[number]?.text ?? "")
      .tickSizeOuter(0),
  );
  const prefix = group(svg, "prefix", plot.left - 9, plot.top - 10).selectAll("text").data([keys.prefix]).join("text");
  prefix.attr("text-anchor", "end").text((text) => (text === "" ? "" : `${text}…`));
}

function group(svg: SVGSVGElement, name: string, left: number, top: number) {
  return select<SVGSVGElement, unknown>(svg)
    .selectAll<SVGGElement, string>(`g.${name}`)
    .data([name])
    .join("g")
    .attr("class", name)
    .attr("transform", `translate(${left},${top})`);
}
