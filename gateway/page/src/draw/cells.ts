import type { Matrix } from "../data/matrix";
import type { Viewport } from "../data/viewport";
import type { Shading } from "../scale/colour";
import { alike, colour, covers, heldFor, mannerOf, type Held, type Manner, type Prepared } from "./colouring";
import { dotSoft, hatchConflicts } from "./marks";

const ROOM = 256;

interface Made extends Held {
  readonly matrix: Matrix;
  readonly manner: Manner;
}

/** What is painted and in which colours. prepared: a picture of the matrix that somebody else coloured, if there is one. */
export interface Cells {
  readonly matrix: Matrix;
  readonly port: Viewport;
  readonly shading: Shading;
  readonly prepared: Prepared | null;
}

/** Paints the cells of a viewport on a canvas of device pixels; keeps what the next frame can use again. */
export class CellPainter {
  #picture = new OffscreenCanvas(1, 1);
  #made: Made | null = null;
  #codes = new Uint16Array(0);
  #image: ImageData | null = null;

  /** ratio: device pixels a CSS pixel, for the marks over cells. */
  paint(context: CanvasRenderingContext2D, cells: Cells, ratio: number): void {
    const { matrix, port, shading } = cells;
    const { width, height } = context.canvas;
    const manner = mannerOf(matrix, port, { width, height, ratio }, shading);
    if (manner === undefined) return;
    this.#place(context, this.#madeFor(cells, manner), port);
    if (manner.stamp > 0) return;
    hatchConflicts(context, matrix, port, ratio);
    dotSoft(context, matrix, port, ratio);
  }

  #madeFor({ matrix, port, prepared }: Cells, manner: Manner): Made {
    const before = this.#made;
    if (before !== null && before.matrix === matrix && alike(before.manner, manner) && covers(matrix, before, port)) return before;
    if (prepared !== null && alike(prepared.manner, manner) && covers(matrix, prepared, port)) {
      return this.#keep(matrix, manner, prepared, imageFrom(prepared));
    }
    const began = performance.now();
    // A second frame of one size is a drag: more than is in view.
    const moving = before !== null && alike({ ...before.manner, shading: manner.shading }, manner);
    const held = heldFor(matrix, port, manner, moving ? 0.5 : 0);
    const [width, height] = [held.across.count, held.down.count];
    const image = this.#imageOf(width, height);
    if (this.#codes.length < width * height) this.#codes = new Uint16Array(width * height);
    colour({ pixels: new Uint32Array(image.data.buffer), width: image.width }, matrix, held, manner, this.#codes);
    performance.measure("keyviz-colour", { start: began, end: performance.now() });
    return this.#keep(matrix, manner, held, image);
  }

  #keep(matrix: Matrix, manner: Manner, { across, down }: Held, image: ImageData): Made {
    const picture = this.#picture;
    const whole = (size: number, before: number) => (size <= before ? before : Math.ceil(size / ROOM) * ROOM);
    const [width, height] = [whole(image.width, picture.width), whole(image.height, picture.height)];
    if (width !== picture.width) picture.width = width;
    if (height !== picture.height) picture.height = height;
    picture.getContext("2d")?.putImageData(image, 0, 0, 0, 0, across.count, down.count);
    this.#made = { matrix, manner, across, down };
    return this.#made;
  }

  // Larger than it must be, so that the frames of a zoom, each of another size, share one.
  #imageOf(width: number, height: number): ImageData {
    const before = this.#image;
    if (before !== null && before.width >= width && before.height >= height) return before;
    const whole = (size: number) => Math.ceil(size / ROOM) * ROOM;
    this.#image = new ImageData(whole(Math.max(width, before?.width ?? 1)), whole(Math.max(height, before?.height ?? 1)));
    return this.#image;
  }

  #place(context: CanvasRenderingContext2D, { across, down, manner: { perX, perY } }: Made, port: Viewport): void {
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

const imageFrom = ({ pixels, across, down }: Prepared) => new ImageData(new Uint8ClampedArray(pixels.buffer), across.count, down.count);
