/** What is shown, as files for other tools. */
import { keyForms } from "./keyforms";
import type { Shown, ShownRow } from "./shown";

const HEAD = ["bucket_id", "label", "start_hex", "end_hex", "route_count", "aggregate", "conflict"];

/** One line a row, one field a column; an empty field is unknown, 0 is no traffic. RFC 4180 with CRLF. */
export function toCsv(shown: Shown): string {
  const stamps = shown.stamps.map((stamp) => new Date(stamp).toISOString());
  const lines = [[...HEAD, ...stamps].join(",")];
  for (const row of shown.rows) {
    const head = [row.bucketId, row.label, hexOrNothing(row.start), hexOrNothing(row.end)].map(field);
    const marks = [String(row.routeCount), String(row.aggregate), String(row.conflicts.some(Boolean))];
    lines.push([...head, ...marks, ...row.values.map((value) => (value === undefined ? "" : String(value)))].join(","));
  }
  return lines.join("\r\n") + "\r\n";
}

function hexOrNothing(base64: string): string {
  return base64 === "" ? "" : `0x${keyForms(base64).hex}`;
}

/** Quoted where it must be; a text that a spreadsheet would run as a formula is kept a text. */
function field(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** As the gateway writes it, cut to what is shown; null is unknown. */
export function toJson(shown: Shown): string {
  return JSON.stringify({
    column_unix_ms: shown.stamps,
    step_ms: shown.stepMs,
    series: shown.series,
    generated_at: shown.generatedAt,
    ...(shown.node === "" ? {} : { node: shown.node }),
    rows: shown.rows.map(jsonRow),
  });
}

function jsonRow(row: ShownRow): Record<string, unknown> {
  return {
    bucket_id: row.bucketId,
    ...(row.label === "" ? {} : { label: row.label }),
    start: row.start,
    end: row.end,
    aggregate: row.aggregate,
    route_count: row.routeCount,
    values: row.values.map((value) => value ?? null),
    conflict: row.conflicts.some(Boolean),
    ...(row.conflicts.some(Boolean) ? { conflicts: row.conflicts } : {}),
    ...(row.soft.some(Boolean) ? { soft: row.soft } : {}),
  };
}

/** `keyviz-writes-20260427T114500Z-20260427T124500Z.csv`: sorts by time and needs no quoting anywhere. */
export function fileName(shown: Shown, suffix: string): string {
  const moment = (ms: number) => new Date(ms).toISOString().slice(0, 19).replaceAll(/[-:]/g, "") + "Z";
  const first = shown.stamps[0];
  const last = shown.stamps[shown.stamps.length - 1];
  const range = first === undefined || last === undefined ? [] : [moment(first - shown.stepMs), moment(last)];
  const node = shown.node.replaceAll(/[^A-Za-z0-9._]+/g, "_").slice(0, 40);
  return `${["keyviz", ...(node === "" ? [] : [node]), shown.series, ...range].join("-")}.${suffix}`;
}
