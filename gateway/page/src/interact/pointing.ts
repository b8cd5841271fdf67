import type { Matrix } from "../data/matrix";
import type { Selection } from "../data/view";
import type { Viewport } from "../data/viewport";
import type { Box } from "../draw/layout";
import { amount, perSecond, several } from "../scale/amounts";
import { rangeIn } from "../scale/slices";
import { clock } from "../scale/time";

/** The cell at a place of the plot, in its CSS pixels; null beside it. */
export function cellAt(x: number, y: number, plot: Box, matrix: Matrix, port: Viewport): Selection | null {
  const column = Math.floor(port.x0 + (x / plot.width) * (port.x1 - port.x0));
  const row = Math.floor(port.y0 + (y / plot.height) * (port.y1 - port.y0));
  const [head, stamp] = [matrix.rows[row], matrix.stamps[column]];
  return head === undefined || stamp === undefined ? null : { bucket: head.bucketId, columnMs: stamp };
}

/** Row and column of a cell in a matrix, undefined where it has none such. */
export function placeOfCell(matrix: Matrix, cell: Selection): { readonly row: number; readonly column: number } | undefined {
  const row = matrix.rows.findIndex((head) => head.bucketId === cell.bucket);
  const column = matrix.stamps.indexOf(cell.columnMs);
  return row < 0 || column < 0 ? undefined : { row, column };
}

export function describe(cell: Selection, matrix: Matrix, utc: boolean): string {
  const place = placeOfCell(matrix, cell);
  const head = place === undefined ? undefined : matrix.rows[place.row];
  if (place === undefined || head === undefined) return "";
  const unit = matrix.series.endsWith("bytes") ? "bytes" : "ops";
  const at = place.row * matrix.columns + place.column;
  const lines = [
    `${head.bucketId}${head.aggregate ? ` (${several(head.routeCount, "route")})` : ""}`,
    rangeIn(matrix, head),
    `${clock(cell.columnMs - matrix.stepMs, utc)} – ${clock(cell.columnMs, utc)}${utc ? " UTC" : ""}`,
  ];
  if (matrix.known[place.column] !== 1) return [...lines, "no data"].join("\n");
  const value = matrix.values[at] as number;
  const total = matrix.columnTotals[place.column] as number;
  lines.push(`${amount(perSecond(value, matrix.stepMs))} ${unit}/s (${several(value, unit.slice(0, -1), unit)} in the window)`);
  const missing = matrix.node === "" && matrix.fanout !== null ? matrix.fanout.expected - matrix.fanout.responded : 0;
  if (missing > 0 && (value === 0 || matrix.series.startsWith("read"))) lines.push(`without ${several(missing, "node")} that did not answer: unknown, not zero`);
  if (value > 0) lines.push(`${((value / total) * 100).toFixed(1)} % of all ${matrix.series.replace("_", " ")} in it`);
  if (matrix.conflicts?.[at] === 1) lines.push("nodes disagree about this cell");
  if (matrix.soft?.[at] === 1) lines.push("an estimate: sub-sampled");
  return lines.join("\n");
}
