import type { Matrix } from "../data/matrix";
import type { Viewport } from "../data/viewport";

/** Between device pixels: from a cell's column and row to where it begins on the canvas. */
function placer(context: CanvasRenderingContext2D, port: Viewport) {
  const perColumn = context.canvas.width / (port.x1 - port.x0);
  const perRow = context.canvas.height / (port.y1 - port.y0);
  return {
    x: (column: number) => Math.round((column - port.x0) * perColumn),
    y: (row: number) => Math.round((row - port.y0) * perRow),
  };
}

const SPACING = 6;

/** Strokes over each cell on which nodes disagree, dark beside light so that they show on every shade. */
export function hatchConflicts(context: CanvasRenderingContext2D, matrix: Matrix, port: Viewport, ratio: number): void {
  const { conflicts } = matrix;
  if (conflicts === null) return;
  context.save();
  context.beginPath();
  forMarked(matrix, port, conflicts, context, (x, y, width, height) => context.rect(x, y, width, height));
  context.clip();
  strokes(context, ratio, "#06131d", 2.4 * ratio, 0);
  strokes(context, ratio, "#8fe3ff", 1.2 * ratio, 0);
  context.restore();
}

function strokes(context: CanvasRenderingContext2D, ratio: number, style: string, width: number, shift: number): void {
  const { width: right, height: bottom } = context.canvas;
  context.strokeStyle = style;
  context.lineWidth = width;
  context.beginPath();
  for (let at = shift - bottom; at < right; at += SPACING * ratio) {
    context.moveTo(at, bottom);
    context.lineTo(at + bottom, 0);
  }
  context.stroke();
}

/** A dot in the middle of each cell that is an estimate. */
export function dotSoft(context: CanvasRenderingContext2D, matrix: Matrix, port: Viewport, ratio: number): void {
  const { soft } = matrix;
  if (soft === null) return;
  const size = Math.max(1, Math.round(1.5 * ratio));
  forMarked(matrix, port, soft, context, (x, y, width, height) => {
    const [left, top] = [Math.round(x + width / 2 - size / 2), Math.round(y + height / 2 - size / 2)];
    context.fillStyle = "#06131d";
    context.fillRect(left - 1, top - 1, size + 2, size + 2);
    context.fillStyle = "#ffffff";
    context.fillRect(left, top, size, size);
  });
}

/** Every marked cell in view, at least a pixel large. */
function forMarked(
  matrix: Matrix,
  port: Viewport,
  marks: Uint8Array,
  context: CanvasRenderingContext2D,
  act: (x: number, y: number, width: number, height: number) => void,
): void {
  const place = placer(context, port);
  const [first, last] = [Math.floor(port.x0), Math.min(matrix.columns, Math.ceil(port.x1))];
  for (let row = Math.floor(port.y0); row < Math.min(matrix.rows.length, Math.ceil(port.y1)); row += 1) {
    const offset = row * matrix.columns;
    for (let column = first; column < last; column += 1) {
      if (marks[offset + column] !== 1) continue;
      const [x, y] = [place.x(column), place.y(row)];
      act(x, y, Math.max(1, place.x(column + 1) - x), Math.max(1, place.y(row + 1) - y));
    }
  }
}
