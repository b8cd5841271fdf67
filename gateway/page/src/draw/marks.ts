/** What is drawn over cells: strokes where nodes disagree, dots where a value is an estimate. */
import type { Matrix } from "../data/matrix";
import type { Viewport } from "../data/viewport";
import { binsFor, forMarkedBins, type Bins } from "./fold";

const DARK = "#06131d";
const STROKE = "#8fe3ff";
const DOT = "#ffffff";
const SPACING = 6;
/** More marked cells than these are drawn by mask and pattern, at a cost that their number does not change. */
const FEW = 400;

interface Cell {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Strokes over each cell on which nodes disagree, dark beside light so that they show on every shade. */
export function hatchConflicts(context: CanvasRenderingContext2D, matrix: Matrix, port: Viewport, ratio: number): void {
  const { conflicts } = matrix;
  if (conflicts === null) return;
  const cells = marked(matrix, port, conflicts, context.canvas);
  if (cells === null) {
    patternOver(context, matrix, port, conflicts, strokesTile(ratio));
    return;
  }
  if (cells.length === 0) return;
  context.save();
  context.beginPath();
  for (const { x, y, width, height } of cells) context.rect(x, y, width, height);
  context.clip();
  context.fillStyle = context.createPattern(strokesTile(ratio), "repeat") ?? STROKE;
  context.fillRect(0, 0, context.canvas.width, context.canvas.height);
  context.restore();
}

/** A dot in the middle of each cell that is an estimate. */
export function dotSoft(context: CanvasRenderingContext2D, matrix: Matrix, port: Viewport, ratio: number): void {
  const { soft } = matrix;
  if (soft === null) return;
  const cells = marked(matrix, port, soft, context.canvas);
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

/** The marked cells in view, in pixels of the canvas and at least one of them large; null when there are many. */
function marked(matrix: Matrix, port: Viewport, marks: Uint8Array, on: HTMLCanvasElement): readonly Cell[] | null {
  const perColumn = on.width / (port.x1 - port.x0);
  const perRow = on.height / (port.y1 - port.y0);
  const cells: Cell[] = [];
  const [first, last] = [Math.floor(port.x0), Math.min(matrix.columns, Math.ceil(port.x1))];
  for (let row = Math.floor(port.y0); row < Math.min(matrix.rows.length, Math.ceil(port.y1)); row += 1) {
    const offset = row * matrix.columns;
    for (let at = marks.indexOf(1, offset + first); at >= 0 && at < offset + last; at = marks.indexOf(1, at + 1)) {
      if (cells.length === FEW) return null;
      const column = at - offset;
      const [x, y] = [Math.round((column - port.x0) * perColumn), Math.round((row - port.y0) * perRow)];
      const [right, bottom] = [Math.round((column + 1 - port.x0) * perColumn), Math.round((row + 1 - port.y0) * perRow)];
      cells.push({ x, y, width: Math.max(1, right - x), height: Math.max(1, bottom - y) });
    }
  }
  return cells;
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

/** Where each bin is one pixel: the tiles' pixels right into the picture, wherever a bin holds a marked cell. */
export function stampMarks(image: ImageData, matrix: Matrix, across: Bins, down: Bins, ratio: number): void {
  const pixels = new Uint32Array(image.data.buffer);
  for (const [marks, tile] of [[matrix.conflicts, strokesTile], [matrix.soft, dotsTile]] as const) {
    if (marks === null) continue;
    const found = pixelsOf(tile(ratio));
    const { size } = found;
    forMarkedBins(matrix.columns, marks, across, down, (x, y) => {
      const pixel = found.pixels[(y % size) * size + (x % size)] as number;
      if (pixel >>> 24 > 127) pixels[y * image.width + x] = (pixel | 0xff000000) >>> 0;
    });
  }
}

interface TilePixels {
  readonly size: number;
  readonly pixels: Uint32Array;
}

const tilePixels = new Map<OffscreenCanvas, TilePixels>();

function pixelsOf(tile: OffscreenCanvas): TilePixels {
  const known = tilePixels.get(tile);
  if (known !== undefined) return known;
  const image = tile.getContext("2d")?.getImageData(0, 0, tile.width, tile.height);
  const read = { size: tile.width, pixels: new Uint32Array(image?.data.buffer ?? new ArrayBuffer(4 * tile.width ** 2)) };
  tilePixels.set(tile, read);
  return read;
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
