/** What is drawn over cells: strokes where nodes disagree, dots where a value is an estimate. */
import type { Matrix } from "../data/matrix";
import type { Viewport } from "../data/viewport";
import { binsFor, forMarkedBins, type Bins } from "../data/fold";
import type { Pixels } from "./pixels";

const DARK = "#06131d";
const STROKE = "#8fe3ff";
const DOT = "#ffffff";
const SPACING = 6;
/** More boxes than these are drawn by mask and pattern, at a cost that their number does not change. */
const FEW = 1500;

interface Cell {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Strokes over each cell on which nodes disagree, dark beside light so that they show on every shade. */
export function hatchConflicts(context: CanvasRenderingContext2D, matrix: Matrix, port: Viewport, ratio: number): void {
  if (matrix.conflicts !== null) fillMarked(context, matrix, port, { marks: matrix.conflicts, tile: strokesTile(ratio) });
}

/** A dot in the middle of each cell that is an estimate; dots all over them where there are very many. */
export function dotSoft(context: CanvasRenderingContext2D, matrix: Matrix, port: Viewport, ratio: number): void {
  const { soft } = matrix;
  if (soft === null) return;
  const cells = runsOf(matrix, port, soft, { on: context.canvas, longest: 1 });
  if (cells === null) {
    patternOver(context, matrix, port, soft, dotsTile(ratio));
    return;
  }
  const size = Math.max(1, Math.round(1.5 * ratio));
  for (const { x, y, width, height } of cells) {
    const [left, top] = [Math.round(x + width / 2 - size / 2), Math.round(y + height / 2 - size / 2)];
    context.fillStyle = DARK;
    context.fillRect(left - 1, top - 1, size + 2, size + 2);
    context.fillStyle = DOT;
    context.fillRect(left, top, size, size);
  }
}

interface Marked {
  readonly marks: Uint8Array;
  readonly tile: OffscreenCanvas;
}

function fillMarked(context: CanvasRenderingContext2D, matrix: Matrix, port: Viewport, { marks, tile }: Marked): void {
  const runs = runsOf(matrix, port, marks, { on: context.canvas, longest: matrix.columns });
  if (runs === null) {
    patternOver(context, matrix, port, marks, tile);
    return;
  }
  context.fillStyle = context.createPattern(tile, "repeat") ?? STROKE;
  for (const { x, y, width, height } of runs) context.fillRect(x, y, width, height);
}

/** Marked neighbours in view as one box in pixels of the canvas, at least one of them large; null when there are many. */
function runsOf(
  matrix: Matrix,
  port: Viewport,
  marks: Uint8Array,
  { on, longest }: { readonly on: HTMLCanvasElement; readonly longest: number },
): readonly Cell[] | null {
  const perColumn = on.width / (port.x1 - port.x0);
  const perRow = on.height / (port.y1 - port.y0);
  const runs: Cell[] = [];
  const [first, last] = [Math.floor(port.x0), Math.min(matrix.columns, Math.ceil(port.x1))];
  for (let row = Math.floor(port.y0); row < Math.min(matrix.rows.length, Math.ceil(port.y1)); row += 1) {
    const offset = row * matrix.columns;
    const [y, bottom] = [Math.round((row - port.y0) * perRow), Math.round((row + 1 - port.y0) * perRow)];
    for (let at = marks.indexOf(1, offset + first); at >= 0 && at < offset + last; at = marks.indexOf(1, at)) {
      if (runs.length === FEW) return null;
      const from = at - offset;
      do at += 1;
      while (at < offset + last && marks[at] === 1 && at - offset - from < longest);
      const [x, right] = [Math.round((from - port.x0) * perColumn), Math.round((at - offset - port.x0) * perColumn)];
      runs.push({ x, y, width: Math.max(1, right - x), height: Math.max(1, bottom - y) });
    }
  }
  return runs;
}

let mask: OffscreenCanvas | null = null;
let layer: OffscreenCanvas | null = null;

function patternOver(
  context: CanvasRenderingContext2D,
  matrix: Matrix,
  port: Viewport,
  marks: Uint8Array,
  tile: OffscreenCanvas,
): void {
  const { width, height } = context.canvas;
  const [across, down] = binsFor(matrix, port, width, height);
  mask ??= new OffscreenCanvas(1, 1);
  layer ??= new OffscreenCanvas(1, 1);
  [mask.width, mask.height, layer.width, layer.height] = [across.count, down.count, width, height];
  const image = new ImageData(across.count, down.count);
  const pixels = new Uint32Array(image.data.buffer);
  forMarkedBins(matrix.columns, marks, across, down, (x, y) => (pixels[y * across.count + x] = 0xff000000));
  mask.getContext("2d")?.putImageData(image, 0, 0);
  const over = layer.getContext("2d");
  if (over === null) return;
  const [perColumn, perRow] = [width / (port.x1 - port.x0), height / (port.y1 - port.y0)];
  over.imageSmoothingEnabled = false;
  over.drawImage(
    mask,
    (across.from - port.x0) * perColumn,
    (down.from - port.y0) * perRow,
    (across.to - across.from) * perColumn,
    (down.to - down.from) * perRow,
  );
  over.globalCompositeOperation = "source-in";
  over.fillStyle = over.createPattern(tile, "repeat") ?? STROKE;
  over.fillRect(0, 0, width, height);
  context.drawImage(layer, 0, 0);
}

/** Bins of this many CSS pixels have no room for strokes of their own: what is told is which bins are marked. */
const LEGIBLE = 4;

/** Bins from one mark to the next in a picture whose bins are `bin` device pixels large; 0 = large enough to draw over. */
export function stampPeriod(bin: number, ratio: number): number {
  return bin >= LEGIBLE * ratio ? 0 : Math.max(2, Math.round((SPACING * ratio) / bin));
}

/** Marks as bins of the picture itself. Each stretch of marked bins shows at least one, however short it is. */
export function stampMarks({ pixels, width }: Pixels, matrix: Matrix, across: Bins, down: Bins, period: number): void {
  for (const [marks, shadeOf] of [[matrix.conflicts, strokeAt], [matrix.soft, dotAt]] as const) {
    if (marks === null) continue;
    let [before, first, shown] = [-2, 0, true];
    const close = () => void (shown || (pixels[first] = shadeOf(0, 0, period)));
    forMarkedBins(matrix.columns, marks, across, down, (x, y) => {
      const at = y * width + x;
      if (at !== before && at !== before + 1) {
        close();
        [first, shown] = [at, false];
      }
      before = at;
      const shade = shadeOf(x, y, period);
      if (shade === 0) return;
      shown = true;
      pixels[at] = shade;
    });
    close();
  }
}

const packed = (colour: string) => (0xff000000 | parseInt(colour.slice(5, 7) + colour.slice(3, 5) + colour.slice(1, 3), 16)) >>> 0;
const [DARK_PIXEL, STROKE_PIXEL, DOT_PIXEL] = [packed(DARK), packed(STROKE), packed(DOT)];

/** A pixel as ImageData has it, 0 = the cell's own. */
function strokeAt(x: number, y: number, period: number): number {
  const wide = Math.max(1, Math.round(period / SPACING));
  const at = (x + y) % period;
  if (at < wide) return STROKE_PIXEL;
  return period >= SPACING && (at < 2 * wide || at >= period - wide) ? DARK_PIXEL : 0;
}

function dotAt(x: number, y: number, period: number): number {
  const wide = Math.max(1, Math.round(period / SPACING));
  const [across, down] = [x % period, y % period];
  if (across < wide && down < wide) return DOT_PIXEL;
  return period >= SPACING && across < 2 * wide && down < 2 * wide ? DARK_PIXEL : 0;
}

const tiles = new Map<string, OffscreenCanvas>();

function tileOf(name: string, size: number, draw: (on: OffscreenCanvasRenderingContext2D) => void): OffscreenCanvas {
  const known = tiles.get(name);
  if (known !== undefined) return known;
  const tile = new OffscreenCanvas(size, size);
  const on = tile.getContext("2d");
  if (on !== null) draw(on);
  tiles.set(name, tile);
  return tile;
}

/** Diagonals that meet at the tile's edges. */
function strokesTile(ratio: number): OffscreenCanvas {
  const size = Math.max(4, Math.round(SPACING * ratio));
  return tileOf(`strokes ${size}`, size, (on) => {
    for (const [style, width] of [[DARK, 2.4 * ratio], [STROKE, 1.2 * ratio]] as const) {
      on.strokeStyle = style;
      on.lineWidth = width;
      on.beginPath();
      for (const shift of [-size, 0, size]) {
        on.moveTo(shift - size, 2 * size);
        on.lineTo(shift + 2 * size, -size);
      }
      on.stroke();
    }
  });
}

function dotsTile(ratio: number): OffscreenCanvas {
  const size = Math.max(4, Math.round(SPACING * ratio));
  return tileOf(`dots ${size}`, size, (on) => {
    const dot = Math.max(1, Math.round(1.5 * ratio));
    on.fillStyle = DARK;
    on.fillRect(0, 0, dot + 2, dot + 2);
    on.fillStyle = DOT;
    on.fillRect(1, 1, dot, dot);
  });
}
