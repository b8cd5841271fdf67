import { drawAxes, drawCells, drawLegend, hottest, plotBox } from "./draw";
import { timeGrid } from "./grid";
import { bannerText, emptyText, NodeNames } from "./status";
import { cellAt, describe } from "./tooltip";
import { fetchMatrix, type Fanout, type Matrix, type Reply, type Series } from "./wire";
import type { ScaleName } from "./colour";

function element<Kind extends Element>(id: string): Kind {
  const found = document.querySelector<Kind>(`#${id}`);
  if (found === null) throw new Error(`the page has no element ${id}`);
  return found;
}

const view = {
  series: element<HTMLSelectElement>("series"),
  scale: element<HTMLSelectElement>("scale"),
  pause: element<HTMLButtonElement>("pause"),
  counter: element<HTMLElement>("counter"),
  age: element<HTMLElement>("age"),
  banner: element<HTMLElement>("banner"),
  frame: element<HTMLElement>("frame"),
  heatmap: element<HTMLCanvasElement>("heatmap"),
  axes: element<SVGSVGElement>("axes"),
  empty: element<HTMLElement>("empty"),
  legend: element<HTMLElement>("legend"),
  tooltip: element<HTMLElement>("tooltip"),
};

const names = new NodeNames();
let shown: Matrix | undefined;
let stale = "";
let asking: AbortController | undefined;
let timer = 0;

const series = () => view.series.value as Series;
const unit = () => (series().endsWith("bytes") ? "bytes" : "ops");

/** Never slower than the picture changes, never faster than once a second. */
function interval(): number {
  return Math.min(15_000, Math.max(1_000, shown?.step_ms ?? 1_000));
}

async function refresh(): Promise<void> {
  window.clearTimeout(timer);
  asking?.abort();
  const own = new AbortController();
  asking = own;
  try {
    show(await fetchMatrix(series(), own.signal));
  } catch (error) {
    if (own.signal.aborted) return;
    stale = `the gateway cannot be reached (${error instanceof Error ? error.message : "no answer"})`;
    tellAge();
  }
  if (view.pause.getAttribute("aria-pressed") !== "true") timer = window.setTimeout(tick, interval());
}

// A tab that nobody sees does not ask; it asks at once when it is seen again.
function tick(): void {
  if (!document.hidden) void refresh();
}

function show(reply: Reply): void {
  const fanout = names.fill(reply.kind === "matrix" ? reply.matrix.fanout : reply.fanout);
  tellFanout(fanout);
  if (reply.kind === "matrix") {
    shown = reply.matrix;
    stale = "";
  } else {
    stale = reply.code;
  }
  const nothing = reply.kind !== "matrix" ? shown === undefined : reply.matrix.column_unix_ms.length === 0;
  view.empty.hidden = !nothing;
  view.empty.textContent = nothing ? emptyText(reply) : "";
  tellAge();
  draw();
}

function tellFanout(fanout: Fanout | undefined): void {
  const degraded = fanout !== undefined && fanout.responded < fanout.expected;
  view.counter.textContent = fanout === undefined ? "" : `${fanout.responded}/${fanout.expected} nodes`;
  view.counter.classList.toggle("degraded", degraded);
  const text = bannerText(fanout, series());
  view.banner.textContent = text;
  view.banner.hidden = text === "";
}

function tellAge(): void {
  if (shown === undefined) {
    view.age.textContent = stale;
    return;
  }
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(shown.generated_at)) / 1000));
  view.age.textContent = stale === "" ? `${seconds} s old` : `stale since ${seconds} s: ${stale}`;
}

function draw(): void {
  if (shown === undefined) return;
  const began = performance.now();
  const grid = timeGrid(shown);
  const box = plotBox(view.frame);
  const scale = view.scale.value as ScaleName;
  drawCells(view.heatmap, shown, grid, box, scale);
  drawAxes(view.axes, shown, grid, box);
  drawLegend(view.legend, hottest(shown), scale, unit(), grid.step);
  performance.measure("keyviz-draw", { start: began, end: performance.now() });
}

function point(event: PointerEvent): void {
  if (shown === undefined) return;
  const area = view.heatmap.getBoundingClientRect();
  const grid = timeGrid(shown);
  const cell = cellAt(event.clientX - area.left, event.clientY - area.top, shown, grid, plotBox(view.frame));
  view.tooltip.hidden = cell === undefined;
  if (cell === undefined) return;
  view.tooltip.textContent = describe(cell, shown, grid, unit());
  const left = Math.min(event.clientX + 14, window.innerWidth - view.tooltip.offsetWidth - 8);
  const top = Math.min(event.clientY + 14, window.innerHeight - view.tooltip.offsetHeight - 8);
  Object.assign(view.tooltip.style, { left: `${Math.max(0, left)}px`, top: `${Math.max(0, top)}px` });
}

view.series.addEventListener("change", () => void refresh());
view.scale.addEventListener("change", draw);
view.pause.addEventListener("click", () => {
  const paused = view.pause.getAttribute("aria-pressed") !== "true";
  view.pause.setAttribute("aria-pressed", String(paused));
  view.pause.textContent = paused ? "Resume" : "Pause";
  if (paused) window.clearTimeout(timer);
  else void refresh();
});
view.heatmap.addEventListener("pointermove", point);
view.heatmap.addEventListener("pointerleave", () => (view.tooltip.hidden = true));
document.addEventListener("visibilitychange", tick);
new ResizeObserver(draw).observe(view.frame);
window.setInterval(tellAge, 1000);
void refresh();
