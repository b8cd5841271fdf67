import type { Matrix } from "../data/matrix";
import type { Viewport } from "../data/viewport";
import { binsFor, foldByMaximum, type Bins } from "./fold";

const LARGEST_SIDE = 8192;

/** Paints the cells of a viewport on a canvas of device pixels; keeps what the next frame can use again. */
export class CellPainter {
  #whole: OffscreenCanvas | null = null;
  #wholeOf: Matrix | null = null;
  #wholeTable: Uint32Array | null = null;
  #folded = new OffscreenCanvas(1, 1);
  #codes = new Uint16Array(0);

  paint(context: CanvasRenderingContext2D, matrix: Matrix, port: Viewport, table: Uint32Array): void {
    const { width, height } = context.canvas;
    const [across, down] = binsFor(matrix, port, width, height);
    if (across.count <= 0 || down.count <= 0) return;
    context.imageSmoothingEnabled = false;
    const folds = port.x1 - port.x0 > width || port.y1 - port.y0 > height;
    const small = matrix.columns <= LARGEST_SIDE && matrix.rows.length <= LARGEST_SIDE;
    if (!folds && small) {
      const whole = this.#wholePicture(matrix, table);
      draw(context, whole, { across, down, port, left: across.from, top: down.from });
      return;
    }
    const image = this.#foldedPicture(matrix, across, down, table);
    draw(context, image, { across, down, port, left: 0, top: 0 });
  }

  /** One pixel a cell; made once for a matrix and its colours, and then only moved about. */
  #wholePicture(matrix: Matrix, table: Uint32Array): OffscreenCanvas {
    if (this.#whole !== null && this.#wholeOf === matrix && this.#wholeTable === table) return this.#whole;
    this.#whole ??= new OffscreenCanvas(1, 1);
    colour(this.#whole, matrix.codes, matrix.columns, matrix.rows.length, table);
    this.#wholeOf = matrix;
    this.#wholeTable = table;
    return this.#whole;
  }

  #foldedPicture(matrix: Matrix, across: Bins, down: Bins, table: Uint32Array): OffscreenCanvas {
    const size = across.count * down.count;
    if (this.#codes.length < size) this.#codes = new Uint16Array(size);
    const { codes, width, height } = foldByMaximum(matrix, across, down, this.#codes);
    colour(this.#folded, codes, width, height, table);
    return this.#folded;
  }
}

function colour(canvas: OffscreenCanvas, codes: Uint16Array, width: number, height: number, table: Uint32Array): void {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const hottest = table.length - 1;
  for (let at = 0; at < pixels.length; at += 1) {
    const code = codes[at] as number;
    pixels[at] = table[code < hottest ? code : hottest] as number;
  }
  canvas.getContext("2d")?.putImageData(image, 0, 0);
}

interface Placing {
  readonly across: Bins;
  readonly down: Bins;
  readonly port: Viewport;
  /** Where the first bin is in the source. */
  readonly left: number;
  readonly top: number;
}

function draw(context: CanvasRenderingContext2D, source: OffscreenCanvas, placing: Placing): void {
  const { across, down, port, left, top } = placing;
  const perColumn = context.canvas.width / (port.x1 - port.x0);
  const perRow = context.canvas.height / (port.y1 - port.y0);
  const [x, y] = [(across.from - port.x0) * perColumn, (down.from - port.y0) * perRow];
  const [width, height] = [(across.to - across.from) * perColumn, (down.to - down.from) * perRow];
  context.drawImage(source, left, top, across.count, down.count, x, y, width, height);
}
