import { select } from "d3-selection";
import type { KeyTicks } from "../scale/labels";
import type { TimeTick } from "../scale/time";
import type { Layout } from "./layout";

const TICK = 5;
const GAP = 3;

/**
 * Redraws both axes into an SVG that covers the stage. Ticks are reused by their order: an axis that moves a little with
 * every frame, as one does under a finger, makes no elements.
 */
export function drawAxes(svg: SVGSVGElement, layout: Layout, keys: KeyTicks, times: readonly TimeTick[]): void {
  const { plot } = layout;
  const below = axis(svg, "time", { left: plot.left, top: plot.top + plot.height, path: `M0,0H${plot.width}` });
  ticks(below, times, { x: 0, y: TICK })
    .attr("transform", ({ x }) => `translate(${halved(x)},0)`)
    .select("text")
    .attr("y", TICK + GAP)
    .attr("dy", "0.71em")
    .attr("text-anchor", ({ anchor }) => anchor)
    .text(({ text }) => text);
  const beside = axis(svg, "keys", { left: plot.left, top: plot.top, path: `M0,0V${plot.height}` });
  ticks(beside, keys.ticks, { x: -TICK, y: 0 })
    .attr("transform", ({ y }) => `translate(0,${halved(y)})`)
    .select("text")
    .attr("x", -TICK - GAP)
    .attr("dy", "0.32em")
    .attr("text-anchor", "end")
    .text(({ text }) => text);
  const prefix = axis(svg, "prefix", { left: plot.left - TICK - GAP, top: plot.top - 6, path: "" });
  prefix
    .selectAll("text")
    .data([keys.prefix])
    .join("text")
    .attr("text-anchor", "end")
    .text((text) => (text === "" ? "" : `${text}…`));
}

/** Lines of one pixel are sharp between pixels. */
const halved = (place: number) => Math.round(place) + 0.5;

interface Placed {
  readonly left: number;
  readonly top: number;
  readonly path: string;
}

function axis(svg: SVGSVGElement, name: string, { left, top, path }: Placed) {
  const group = select<SVGSVGElement, unknown>(svg)
    .selectAll<SVGGElement, string>(`g.${name}`)
    .data([name])
    .join((enter) => enter.append("g").attr("class", name))
    .attr("transform", `translate(${left},${top})`);
  group.selectAll("path.domain").data([path]).join("path").attr("class", "domain").attr("d", path);
  return group;
}

function ticks<Tick>(group: ReturnType<typeof axis>, shown: readonly Tick[], end: { readonly x: number; readonly y: number }) {
  return group
    .selectAll<SVGGElement, Tick>("g.tick")
    .data(shown)
    .join((enter) => {
      const made = enter.append("g").attr("class", "tick");
      made.append("line").attr("x2", end.x).attr("y2", end.y);
      made.append("text");
      return made;
    });
}
