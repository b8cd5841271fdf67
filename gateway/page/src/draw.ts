import { axisBottom, axisLeft } from "d3-axis";
import { scaleLinear, scaleTime } from "d3-scale";
import { select } from "d3-selection";
import { painter, type ScaleName } from "./colour";
import { bandOf, type TimeGrid } from "./grid";
import { bytesOf, elided, readable } from "./keys";
import type { Matrix } from "./wire";

export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export const MARGIN = { left: 150, right: 12, top: 6, bottom: 24 };

export function plotBox(frame: HTMLElement): Box {
  const left = frame.clientWidth < 560 ? 84 : MARGIN.left;
  return {
    left,
    top: MARGIN.top,
    width: Math.max(50, frame.clientWidth - left - MARGIN.right),
    height: Math.max(50, frame.clientHeight - MARGIN.top - MARGIN.bottom),
  };
}

export function hottest(matrix: Matrix): number {
  let top = 0;
  for (const row of matrix.rows) for (const value of row.values) if (value > top) top = value;
  return top;
}

/** Paints every cell: one source pixel a column and a row, or a band of rows folded by maximum when there are many. */
export function drawCells(canvas: HTMLCanvasElement, matrix: Matrix, grid: TimeGrid, box: Box, scale: ScaleName): void {
  const ratio = window.devicePixelRatio || 1;
  const width = Math.round(box.width * ratio);
  const height = Math.round(box.height * ratio);
  place(canvas, box, width, height);
  const context = canvas.getContext("2d");
  const columns = grid.columns.length;
  const bands = Math.min(matrix.rows.length, height);
  if (context === null || columns === 0 || bands === 0) return;
  const image = new ImageData(columns, bands);
  const pixels = new Uint32Array(image.data.buffer);
  const paint = painter(scale, hottest(matrix));
  for (let band = 0; band < bands; band += 1) {
    const [first, last] = bandOf(band, bands, matrix.rows.length);
    for (let at = 0; at < columns; at += 1) {
      const column = grid.columns[at] ?? -1;
      if (column < 0) continue;
      let value = 0;
      for (let row = first; row < last; row += 1) value = Math.max(value, matrix.rows[row]?.values[column] ?? 0);
      pixels[band * columns + at] = paint(value);
    }
  }
  blit(context, image, width, height);
  hatch(context, matrix, grid, width, height);
}

function place(canvas: HTMLCanvasElement, box: Box, width: number, height: number): void {
  canvas.width = width;
  canvas.height = height;
  Object.assign(canvas.style, {
    left: `${box.left}px`,
    top: `${box.top}px`,
    width: `${box.width}px`,
    height: `${box.height}px`,
    background: "repeating-linear-gradient(45deg, var(--unknown) 0 4px, transparent 4px 8px)",
  });
}

function blit(context: CanvasRenderingContext2D, image: ImageData, width: number, height: number): void {
  const small = new OffscreenCanvas(image.width, image.height);
  small.getContext("2d")?.putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, width, height);
}

/** Strokes over the cells on which nodes disagree; the whole row where a server marks rows only. */
function hatch(context: CanvasRenderingContext2D, matrix: Matrix, grid: TimeGrid, width: number, height: number): void {
  const cellWidth = width / grid.columns.length;
  const cellHeight = height / matrix.rows.length;
  context.strokeStyle = "#7fd4ff";
  context.lineWidth = 1;
  matrix.rows.forEach((row, number) => {
    if (!row.conflict) return;
    grid.columns.forEach((column, at) => {
      if (column < 0 || (row.conflicts !== undefined && row.conflicts[column] !== true)) return;
      const [x, y] = [at * cellWidth, number * cellHeight];
      context.beginPath();
      context.moveTo(x, y + cellHeight);
      context.lineTo(x + cellWidth, y);
      context.stroke();
    });
  });
}

export function drawAxes(svg: SVGSVGElement, matrix: Matrix, grid: TimeGrid, box: Box): void {
  const from = new Date(grid.first - grid.step);
  const to = new Date(grid.first + (grid.columns.length - 1) * grid.step);
  const time = scaleTime([from, to], [0, box.width]);
  const rows = scaleLinear([0, matrix.rows.length], [0, box.height]);
  const ticks = keyTicks(matrix.rows.length, box.height);
  const root = select(svg);
  root.selectAll("*").remove();
  root
    .append("g")
    .attr("transform", `translate(${box.left},${box.top + box.height})`)
    .call(axisBottom(time).ticks(Math.max(2, box.width / 110)));
  root
    .append("g")
    .attr("transform", `translate(${box.left},${box.top})`)
    .call(axisLeft(rows).tickValues(ticks).tickFormat((row) => keyLabel(matrix, Number(row), box.left)));
}

function keyTicks(rows: number, height: number): number[] {
  const every = Math.max(1, Math.ceil(rows / Math.max(1, height / 18)));
  return Array.from({ length: Math.ceil(rows / every) }, (_, index) => index * every);
}

const ruler = document.createElement("canvas").getContext("2d");

function widthOf(text: string): number {
  if (ruler === null) return text.length * 7;
  ruler.font = `11px system-ui, "DejaVu Sans", sans-serif`;
  return ruler.measureText(text).width;
}

function keyLabel(matrix: Matrix, number: number, width: number): string {
  const row = matrix.rows[number];
  if (row === undefined) return "";
  const start = row.start === "" ? "(first key)" : readable(bytesOf(row.start));
  const text = row.label === undefined ? start : `${start} · ${row.label}`;
  return elided(text, width - 14, widthOf);
}

export function drawLegend(holder: HTMLElement, top: number, scale: ScaleName, unit: string, stepMs: number): void {
  const canvas = document.createElement("canvas");
  canvas.width = 220;
  canvas.height = 1;
  const context = canvas.getContext("2d");
  const image = new ImageData(canvas.width, 1);
  const pixels = new Uint32Array(image.data.buffer);
  const paint = painter(scale, top);
  const value = (share: number) => (scale === "log" ? Math.expm1(share * Math.log1p(top)) : share * top);
  pixels.forEach((_, at) => (pixels[at] = paint(value(at / (canvas.width - 1)))));
  context?.putImageData(image, 0, 0);
  const perSecond = stepMs > 0 ? (top * 1000) / stepMs : 0;
  holder.replaceChildren(
    "0",
    canvas,
    `${amount(perSecond)} ${unit}/s (${amount(top)} a window)`,
    "   hatched ground: no data   ╱ nodes disagree",
  );
}

export function amount(value: number): string {
  return new Intl.NumberFormat(undefined, { maximumSignificantDigits: 4, notation: "compact" }).format(value);
}
