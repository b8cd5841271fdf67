/** The picture with its axes and bars: everything between a matrix with a viewport and pixels. */
import type { Matrix } from "../data/matrix";
import type { Viewport } from "../data/viewport";
import type { Shading } from "../scale/colour";
import { keyTicks } from "../scale/labels";
import { timeTicks } from "../scale/time";
import { drawAxes } from "./axes";
import { CellPainter } from "./cells";
import type { Prepared, Surface } from "./colouring";
import { fitted, layoutOf, pixelsOf, type Layout } from "./layout";
import { barsAbove, barsBeside, type BarColours } from "./margins";
import { widthOf } from "./ruler";

export interface Scene {
  readonly matrix: Matrix;
  readonly port: Viewport;
  readonly shading: Shading;
  readonly prepared: Prepared | null;
  readonly utc: boolean;
}

export interface Canvases {
  readonly frame: HTMLElement;
  readonly heatmap: HTMLCanvasElement;
  readonly above: HTMLCanvasElement;
  readonly beside: HTMLCanvasElement;
  readonly axes: SVGSVGElement;
}

const LABEL_GAP = 14;

export class Stage {
  readonly #on: Canvases;
  readonly #painter = new CellPainter();
  #colours: BarColours = { bar: "", partial: "" };
  layout: Layout;

  constructor(on: Canvases) {
    this.#on = on;
    this.layout = layoutOf(on.frame.clientWidth, on.frame.clientHeight);
  }

  /** The frame has another size, or the page another theme. Both are costly to ask for in every frame. */
  fit(): void {
    const { frame } = this.#on;
    this.layout = layoutOf(frame.clientWidth, frame.clientHeight);
    const style = getComputedStyle(frame);
    this.#colours = { bar: style.getPropertyValue("--bar"), partial: style.getPropertyValue("--bar-partial") };
  }

  /** What cells are painted on. */
  get surface(): Surface {
    const ratio = window.devicePixelRatio || 1;
    return { ...pixelsOf(this.layout.plot, ratio), ratio };
  }

  draw(scene: Scene): void {
    const began = performance.now();
    const { matrix, port } = scene;
    const ratio = window.devicePixelRatio || 1;
    const { plot } = this.layout;
    const cells = fitted(this.#on.heatmap, plot, ratio);
    if (matrix.columns > 0 && matrix.rows.length > 0) {
      this.#painter.paint(cells, scene, ratio);
    }
    this.#bars(matrix, port, ratio);
    const labels = plot.left - LABEL_GAP;
    drawAxes(
      this.#on.axes,
      this.layout,
      keyTicks(matrix, port, plot.height, labels, widthOf),
      timeTicks(matrix, port, plot.width, { utc: scene.utc, widthOf }),
    );
    performance.measure("keyviz-draw", { start: began, end: performance.now() });
  }

  #bars(matrix: Matrix, port: Viewport, ratio: number): void {
    const above = fitted(this.#on.above, this.layout.above, ratio);
    const beside = fitted(this.#on.beside, this.layout.beside, ratio);
    if (matrix.columns === 0 || matrix.rows.length === 0) return;
    barsAbove(above, matrix, port, this.#colours, matrix.fanout?.responded ?? 0);
    barsBeside(beside, matrix, port, this.#colours);
  }
}
