import type { Matrix } from "../data/matrix";
import type { Viewport } from "../data/viewport";
import { anchoredBins, foldByMaximum, type Bins } from "../data/fold";
import { dotSoft, hatchConflicts, stampMarks, stampPeriod } from "./marks";

const LARGEST_SIDE = 8192;
const ROOM = 256;

/** What of a matrix a picture holds, and how: any two equal ones are the same pixels. */
interface Made {
  readonly matrix: Matrix;
  readonly table: Uint32Array;
  /** Cells a device pixel, 1 where there are pixels enough for each cell. */
  readonly perX: number;
  readonly perY: number;
  readonly across: Bins;
  readonly down: Bins;
  /** Bins from one mark to the next where marks are part of the picture; 0 = they are drawn over it. */
  readonly stamp: number;
}

/** Paints the cells of a viewport on a canvas of device pixels; keeps what the next frame can use again. */
export class CellPainter {
  #picture = new OffscreenCanvas(1, 1);
  #made: Made | null = null;
  #codes = new Uint16Array(0);
  #image: ImageData | null = null;

  /** ratio: device pixels a CSS pixel, for the marks over cells. */
  paint(context: CanvasRenderingContext2D, matrix: Matrix, port: Viewport, table: Uint32Array, ratio: number): void {
    const { width, height } = context.canvas;
    const [wide, high] = [port.x1 - port.x0, port.y1 - port.y0];
    if (!(wide > 0 && high > 0)) return;
    const bin = Math.max(1, width / wide, height / high);
    const stamp = matrix.conflicts === null && matrix.soft === null ? 0 : stampPeriod(bin, ratio);
    const made = this.#madeFor({ matrix, table, stamp, perX: Math.max(1, wide / width), perY: Math.max(1, high / height) }, port);
    this.#place(context, made, port);
    if (stamp > 0) return;
    hatchConflicts(context, matrix, port, ratio);
    dotSoft(context, matrix, port, ratio);
  }

  #madeFor(wanted: Pick<Made, "matrix" | "table" | "stamp" | "perX" | "perY">, port: Viewport): Made {
    const { matrix, perX, perY } = wanted;
    const before = this.#made;
    if (before !== null && same(before, wanted) && covers(before, port)) return before;
    // A second frame of one size is a drag, and a picture of single cells serves every zoom: more than is in view.
    const moving = before !== null && same({ ...before, matrix, table: wanted.table }, wanted);
    const cellByCell = perX === 1 && perY === 1 && Math.max(matrix.columns, matrix.rows.length) <= LARGEST_SIDE;
    const spare = cellByCell ? Infinity : moving ? 0.5 : 0;
    const across = anchoredBins(port.x0, port.x1, matrix.columns, perX, spare === Infinity ? matrix.columns : spare * (port.x1 - port.x0));
    const down = anchoredBins(port.y0, port.y1, matrix.rows.length, perY, spare === Infinity ? matrix.rows.length : spare * (port.y1 - port.y0));
    this.#made = { ...wanted, across, down };
    const image = this.#folded(matrix, across, down, wanted.table);
    if (wanted.stamp > 0) stampMarks(image, matrix, across, down, wanted.stamp);
    this.#picture.getContext("2d")?.putImageData(image, 0, 0, 0, 0, across.count, down.count);
    return this.#made;
  }

  #folded(matrix: Matrix, across: Bins, down: Bins, table: Uint32Array): ImageData {
    const size = across.count * down.count;
    if (this.#codes.length < size) this.#codes = new Uint16Array(size);
    const { codes, width, height } = foldByMaximum(matrix, across, down, this.#codes);
    const image = this.#imageOf(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    for (let row = 0; row < height; row += 1) {
      const [from, to] = [row * width, row * image.width];
      for (let at = 0; at < width; at += 1) pixels[to + at] = table[codes[from + at] as number] as number;
    }
    return image;
  }

  // Larger than it must be, so that the frames of a zoom, each of another size, share one.
  #imageOf(width: number, height: number): ImageData {
    const before = this.#image;
    if (before !== null && before.width >= width && before.height >= height) return before;
    const whole = (size: number) => Math.ceil(size / ROOM) * ROOM;
    this.#image = new ImageData(whole(Math.max(width, before?.width ?? 1)), whole(Math.max(height, before?.height ?? 1)));
    this.#picture.width = this.#image.width;
    this.#picture.height = this.#image.height;
    return this.#image;
  }

  #place(context: CanvasRenderingContext2D, { across, down, perX, perY }: Made, port: Viewport): void {
    const { width, height } = context.canvas;
    const [perColumn, perRow] = [width / (port.x1 - port.x0), height / (port.y1 - port.y0)];
    let [x, y] = [(across.from - port.x0) * perColumn, (down.from - port.y0) * perRow];
    let [wide, high] = [(across.to - across.from) * perColumn, (down.to - down.from) * perRow];
    // Where a bin is a pixel it stands on one.
    if (perX > 1) [x, wide] = [Math.round(x), across.count];
    if (perY > 1) [y, high] = [Math.round(y), down.count];
    context.imageSmoothingEnabled = false;
    context.drawImage(this.#picture, 0, 0, across.count, down.count, x, y, wide, high);
  }
}

function same(made: Pick<Made, "matrix" | "table" | "stamp" | "perX" | "perY">, wanted: typeof made): boolean {
  const near = (one: number, other: number) => Math.abs(one - other) < 1e-9 * other;
  const alike = made.matrix === wanted.matrix && made.table === wanted.table && made.stamp === wanted.stamp;
  return alike && near(made.perX, wanted.perX) && near(made.perY, wanted.perY);
}

function covers({ matrix, across, down }: Made, port: Viewport): boolean {
  return (
    across.from <= port.x0 &&
    Math.min(across.to, matrix.columns) >= port.x1 &&
    down.from <= port.y0 &&
    Math.min(down.to, matrix.rows.length) >= port.y1
  );
}
