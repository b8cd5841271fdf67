import { codeOf, UNKNOWN, ZERO } from "./codes";
import { binsOf, foldByMaximum } from "./fold";
import { timeGrid, type TimeGrid } from "./grid";
import type { Matrix, RowDetail, RowHead, Small } from "./matrix";
import type { WireMatrix, WireRow } from "./wire";

/** At most this many cells of a small picture: what a corner of the page has pixels for. */
const SMALL = { columns: 158, rows: 34 };

/** Turns an answer into arrays that are drawn without looking at it again. node: whose view was asked for. */
export function ingest(body: WireMatrix, node: string): Matrix {
  const grid = timeGrid(body.column_unix_ms, body.step_ms ?? 0);
  const columns = grid.columns.length;
  const cells = body.rows.length * columns;
  const values = new Float64Array(cells);
  const codes = new Uint16Array(cells);
  const columnTotals = new Float64Array(columns);
  const rowTotals = new Float64Array(body.rows.length);
  let top = 0;
  body.rows.forEach((row, number) => {
    const offset = number * columns;
    const source = row.values;
    let total = 0;
    for (let at = 0; at < columns; at += 1) {
      const column = grid.columns[at] as number;
      if (column < 0) continue;
      const value = source[column] ?? 0;
      if (value === 0) {
        codes[offset + at] = ZERO;
        continue;
      }
      values[offset + at] = value;
      codes[offset + at] = codeOf(value);
      columnTotals[at] = (columnTotals[at] as number) + value;
      total += value;
      if (value > top) top = value;
    }
    rowTotals[number] = total;
  });
  return {
    series: body.series,
    node,
    stepMs: grid.stepMs,
    generatedAt: body.generated_at ?? "",
    rows: body.rows.map(headOf),
    columns,
    stamps: grid.stamps,
    known: Uint8Array.from(grid.columns, (column) => (column < 0 ? UNKNOWN : 1)),
    columnNodes: Uint16Array.from(grid.columns, (column) => (column < 0 ? 0 : (body.column_nodes?.[column] ?? 0))),
    values,
    codes,
    conflicts: marksOf(body.rows, grid, (row) => row.conflicts ?? row.conflict),
    soft: marksOf(body.rows, grid, (row) => row.soft ?? false),
    columnTotals,
    rowTotals,
    top,
    small: smallOf(codes, body.rows.length, columns),
    fanout: body.fanout ?? null,
  };
}

function smallOf(codes: Uint16Array, rows: number, columns: number): Small {
  return foldByMaximum({ codes, columns }, binsOf(0, columns, columns, SMALL.columns), binsOf(0, rows, rows, SMALL.rows));
}

function headOf(row: WireRow): RowHead {
  return {
    bucketId: row.bucket_id,
    label: row.label ?? "",
    start: row.start,
    end: row.end,
    aggregate: row.aggregate,
    routeIds: row.route_ids ?? [],
    routeIdsTruncated: row.route_ids_truncated ?? false,
    routeCount: row.route_count,
    conflict: row.conflict,
  };
}

/** marked: a mark a column, or one for all known cells of the row. */
function marksOf(
  rows: readonly WireRow[],
  grid: TimeGrid,
  marked: (row: WireRow) => readonly boolean[] | boolean,
): Uint8Array | null {
  const columns = grid.columns.length;
  let marks: Uint8Array | null = null;
  rows.forEach((row, number) => {
    const own = marked(row);
    if (own === false) return;
    marks ??= new Uint8Array(rows.length * columns);
    for (let at = 0; at < columns; at += 1) {
      const column = grid.columns[at] as number;
      if (column >= 0 && (own === true || own[column] === true)) marks[number * columns + at] = 1;
    }
  });
  return marks;
}

/** The arrays that may be handed from the worker to the page without a copy. */
export function buffersOf(matrix: Matrix): Transferable[] {
  const arrays = [matrix.values, matrix.codes, matrix.stamps, matrix.known, matrix.columnNodes, matrix.columnTotals];
  const marks = [matrix.rowTotals, matrix.conflicts, matrix.soft, matrix.small.codes];
  return [...arrays, ...marks].flatMap((array) => (array === null ? [] : [array.buffer as ArrayBuffer]));
}

/** One row of an answer with its identities, null when the answer has no such row. */
export function rowDetail(body: WireMatrix, bucketId: string): RowDetail | null {
  const row = body.rows.find((one) => one.bucket_id === bucketId);
  if (row === undefined) return null;
  return {
    bucketId,
    series: body.series,
    stepMs: timeGrid(body.column_unix_ms, body.step_ms ?? 0).stepMs,
    stamps: body.column_unix_ms,
    values: row.values,
    raftGroupIds: row.raft_group_ids ?? [],
    leaderTerms: row.leader_terms ?? [],
  };
}
