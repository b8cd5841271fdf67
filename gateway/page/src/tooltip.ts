import { amount, type Box } from "./draw";
import type { TimeGrid } from "./grid";
import { range } from "./keys";
import type { Matrix } from "./wire";

export interface Cell {
  readonly row: number;
  readonly at: number;
}

export function cellAt(x: number, y: number, matrix: Matrix, grid: TimeGrid, box: Box): Cell | undefined {
  const at = Math.floor((x / box.width) * grid.columns.length);
  const row = Math.floor((y / box.height) * matrix.rows.length);
  const inside = at >= 0 && at < grid.columns.length && row >= 0 && row < matrix.rows.length;
  return inside ? { row, at } : undefined;
}

export function describe(cell: Cell, matrix: Matrix, grid: TimeGrid, unit: string): string {
  const row = matrix.rows[cell.row];
  const column = grid.columns[cell.at] ?? -1;
  if (row === undefined) return "";
  const end = grid.first + cell.at * grid.step;
  const clock = (stamp: number) => new Date(stamp).toLocaleTimeString();
  const lines = [
    `${row.bucket_id}${row.aggregate ? ` (${row.route_count} routes)` : ""}`,
    range(row.start, row.end),
    `${clock(end - grid.step)} – ${clock(end)}`,
  ];
  if (column < 0) return [...lines, "no data"].join("\n");
  const value = row.values[column] ?? 0;
  lines.push(`${amount((value * 1000) / grid.step)} ${unit}/s (${value.toLocaleString()} ${unit} in the window)`);
  const group = row.raft_group_ids?.[column] ?? 0;
  if (group > 0) lines.push(`Raft group ${group}, term ${row.leader_terms?.[column] ?? 0}`);
  if (row.conflicts?.[column] ?? (row.conflicts === undefined && row.conflict)) lines.push("nodes disagree about this cell");
  if (row.soft?.[column] ?? false) lines.push("an estimate: sub-sampled");
  return lines.join("\n");
}
