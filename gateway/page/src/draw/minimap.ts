/** All of the picture, small, folded by maximum, with a frame around what is in view. */
import type { Matrix } from "../data/matrix";
import { wholeOf, type Viewport } from "../data/viewport";
import { CellPainter } from "./cells";

const painter = new CellPainter();

export function drawMinimap(context: CanvasRenderingContext2D, matrix: Matrix, port: Viewport, table: Uint32Array): void {
  const { width, height } = context.canvas;
  context.clearRect(0, 0, width, height);
  if (matrix.columns === 0 || matrix.rows.length === 0) return;
  const whole = wholeOf(matrix);
  painter.paint(context, matrix, whole, table);
  const [perColumn, perRow] = [width / whole.x1, height / whole.y1];
  const [left, top] = [port.x0 * perColumn, port.y0 * perRow];
  const [wide, high] = [Math.max(3, (port.x1 - port.x0) * perColumn), Math.max(3, (port.y1 - port.y0) * perRow)];
  context.fillStyle = "rgb(0 0 0 / 55%)";
  context.beginPath();
  context.rect(0, 0, width, height);
  context.rect(left, top, wide, high);
  context.fill("evenodd");
  context.lineWidth = Math.max(1, window.devicePixelRatio);
  context.strokeStyle = "#ffffff";
  context.strokeRect(left + 0.5, top + 0.5, Math.max(1, wide - 1), Math.max(1, high - 1));
}
