/** A view as the query of a link, and back. Only what differs from the default is written. */
import { DEFAULT_VIEW, MOST_ROWS, type KeyRange, type Range, type RowMark, type Selection, type View, type Zoom } from "./view";
import { SERIES } from "./wire";

const LONGEST_ID = 200;
const LATEST_MS = 253_402_300_799_999;

const DAY_MS = 86_400_000;
const SPANS: readonly (readonly [string, number])[] = [
  ["d", DAY_MS],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
];

/** "15m" for 900000; milliseconds as they are where no unit fits. */
export function writtenSpan(ms: number): string {
  // A day is "24h", as the choice of ranges has it.
  const unit = SPANS.find(([, length]) => ms % length === 0 && (length < DAY_MS || ms > length));
  return unit === undefined ? `${ms}ms` : `${ms / unit[1]}${unit[0]}`;
}

/** undefined for what is no length of time. */
export function readSpan(text: string): number | undefined {
  const found = /^(\d{1,12})(ms|s|m|h|d)$/.exec(text);
  if (found === null) return undefined;
  const length = found[2] === "ms" ? 1 : (SPANS.find(([name]) => name === found[2])?.[1] ?? 1);
  const ms = Number(found[1]) * length;
  return ms > 0 && ms <= LATEST_MS ? ms : undefined;
}

export function encodeView(view: View): string {
  const query = new URLSearchParams();
  const put = (name: string, value: string, usual: string) => value !== usual && query.set(name, value);
  const usual = DEFAULT_VIEW;
  put("series", view.series, usual.series);
  put("node", view.node, usual.node);
  put("range", writtenRange(view.range), writtenRange(usual.range));
  put("rows", String(view.rows), String(usual.rows));
  put("keys", view.keys === null ? "" : `${view.keys.start}~${view.keys.end}`, "");
  put("scale", view.scale, usual.scale);
  put("brightness", String(view.brightness), String(usual.brightness));
  put("unit", view.unit, usual.unit);
  put("refresh", view.refreshMs === 0 ? "" : writtenSpan(view.refreshMs), "");
  put("paused", view.paused ? "1" : "", "");
  put("live", view.live ? "" : "0", "");
  put("zoom", view.zoom === null ? "" : `${view.zoom.fromMs}-${view.zoom.toMs}`, "");
  put("top", view.zoom === null ? "" : writtenMark(view.zoom.top), "");
  put("bottom", view.zoom === null ? "" : writtenMark(view.zoom.bottom), "");
  put("cell", view.cell === null ? "" : `${view.cell.columnMs}@${view.cell.bucket}`, "");
  put("utc", view.utc ? "1" : "", "");
  return query.toString();
}

/** Whatever a link says wrongly is left at its default: a view is always shown. */
export function decodeView(query: string): View {
  const given = new URLSearchParams(query);
  const text = (name: string) => given.get(name) ?? "";
  return {
    series: oneOf(SERIES, text("series"), DEFAULT_VIEW.series),
    scale: oneOf(["log", "linear"] as const, text("scale"), DEFAULT_VIEW.scale),
    brightness: between(text("brightness"), 0.2, 5, DEFAULT_VIEW.brightness),
    unit: oneOf(["rate", "count"] as const, text("unit"), DEFAULT_VIEW.unit),
    range: readRange(text("range")),
    rows: Math.round(between(text("rows"), 1, MOST_ROWS, DEFAULT_VIEW.rows)),
    keys: readKeys(text("keys")),
    node: text("node").length <= LONGEST_ID ? text("node") : "",
    refreshMs: readSpan(text("refresh")) ?? 0,
    paused: text("paused") === "1",
    live: text("live") !== "0",
    zoom: readZoom(text("zoom"), text("top"), text("bottom")),
    cell: readCell(text("cell")),
    utc: text("utc") === "1",
  };
}

export function writtenRange(range: Range): string {
  if (range.kind === "last") return writtenSpan(range.ms);
  return range.kind === "all" ? "all" : `${range.fromMs}-${range.toMs}`;
}

export function readRange(text: string): Range {
  const ms = readSpan(text);
  if (ms !== undefined) return { kind: "last", ms };
  const ends = readEnds(text);
  if (ends !== undefined) return { kind: "between", fromMs: ends[0], toMs: ends[1] };
  return text === "all" ? { kind: "all" } : DEFAULT_VIEW.range;
}

function readEnds(text: string): readonly [number, number] | undefined {
  const found = /^(\d{1,15})-(\d{1,15})$/.exec(text);
  if (found === null) return undefined;
  const [from, to] = [Number(found[1]), Number(found[2])];
  return from < to && to <= LATEST_MS ? [from, to] : undefined;
}

function readKeys(text: string): KeyRange | null {
  const found = /^([A-Za-z0-9+/]*={0,2})~([A-Za-z0-9+/]*={0,2})$/.exec(text);
  const [start = "", end = ""] = found?.slice(1) ?? [];
  return start === "" && end === "" ? null : { start, end };
}

function writtenMark(mark: RowMark): string {
  return `${Number(mark.part.toFixed(4))}@${mark.bucket}`;
}

function readMark(text: string): RowMark | undefined {
  const found = /^(\d(?:\.\d{1,6})?)@(.+)$/s.exec(text);
  if (found === null || found[2] === undefined || found[2].length > LONGEST_ID) return undefined;
  const part = Number(found[1]);
  return part <= 1 ? { part, bucket: found[2] } : undefined;
}

function readZoom(times: string, top: string, bottom: string): Zoom | null {
  const ends = readEnds(times);
  const marks = [readMark(top), readMark(bottom)] as const;
  if (ends === undefined || marks[0] === undefined || marks[1] === undefined) return null;
  return { fromMs: ends[0], toMs: ends[1], top: marks[0], bottom: marks[1] };
}

function readCell(text: string): Selection | null {
  const found = /^(\d{1,15})@(.+)$/s.exec(text);
  if (found === null || found[2] === undefined || found[2].length > LONGEST_ID) return null;
  return { columnMs: Number(found[1]), bucket: found[2] };
}

function oneOf<Choice extends string>(choices: readonly Choice[], text: string, usual: Choice): Choice {
  return choices.find((choice) => choice === text) ?? usual;
}

function between(text: string, least: number, most: number, usual: number): number {
  const value = Number(text);
  return text !== "" && value >= least && value <= most ? value : usual;
}
