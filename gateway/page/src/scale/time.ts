import { scaleTime, scaleUtc } from "d3-scale";
import { timeFormat, utcFormat } from "d3-time-format";
import { momentAt, placeOf, type Viewport } from "../data/viewport";
import type { Matrix } from "../data/matrix";

export interface TimeTick {
  /** Pixels from the left of the plot. */
  readonly x: number;
  /** Where the middle of the text would hang over an end of the plot, the end that it is written up to instead. */
  readonly anchor: "start" | "middle" | "end";
  /** "" where it would touch its neighbour. */
  readonly text: string;
}

const PIXELS_A_TICK = 96;
const APART = 10;

/** Round moments in view with their places; each that begins a new day tells the date too. widthOf measures text. */
export function timeTicks(
  matrix: Matrix,
  port: Viewport,
  width: number,
  { utc, widthOf }: { readonly utc: boolean; readonly widthOf: (text: string) => number },
): readonly TimeTick[] {
  if (matrix.columns === 0) return [];
  const ends = [new Date(momentAt(matrix, port.x0)), new Date(momentAt(matrix, port.x1))];
  const scale = (utc ? scaleUtc() : scaleTime()).domain(ends);
  const perColumn = width / (port.x1 - port.x0);
  const moments = scale.ticks(Math.max(2, Math.floor(width / PIXELS_A_TICK)));
  const written = writer(moments, utc);
  const ticks = moments.map((moment): TimeTick => {
    const x = (placeOf(matrix, moment.getTime()) - port.x0) * perColumn;
    const text = written(moment);
    const overhang = widthOf(text) / 2;
    return { x, anchor: x < overhang ? "start" : x > width - overhang ? "end" : "middle", text };
  });
  return apart(ticks, widthOf);
}

/** Of labels that would touch the later one goes, or the one that tells no date. */
function apart(ticks: readonly TimeTick[], widthOf: (text: string) => number): readonly TimeTick[] {
  const kept: TimeTick[] = [];
  let last: { readonly at: number; readonly end: number; readonly dated: boolean } | null = null;
  for (const tick of ticks) {
    const wide = widthOf(tick.text);
    const begin = tick.x - (tick.anchor === "start" ? 0 : tick.anchor === "middle" ? wide / 2 : wide);
    const dated = tick.text.includes(",");
    if (last !== null && begin < last.end + APART) {
      if (last.dated || !dated) {
        kept.push({ ...tick, text: "" });
        continue;
      }
      kept[last.at] = { ...(kept[last.at] as TimeTick), text: "" };
    }
    last = { at: kept.length, end: begin + wide, dated };
    kept.push(tick);
  }
  return kept;
}

function writer(moments: readonly Date[], utc: boolean): (moment: Date) => string {
  const distance = moments.length < 2 ? 0 : (moments[1]?.getTime() ?? 0) - (moments[0]?.getTime() ?? 0);
  const format = utc ? utcFormat : timeFormat;
  if (distance >= 86_400_000) return format("%b %-d");
  const day = format("%b %-d");
  const clock = format(distance >= 60_000 || distance === 0 ? "%H:%M" : distance >= 1_000 ? "%H:%M:%S" : "%H:%M:%S.%L");
  let before = "";
  return (moment) => {
    const today = day(moment);
    const text = today === before || before === "" ? clock(moment) : `${today}, ${clock(moment)}`;
    before = today;
    return text;
  };
}

/** "27 Apr 2026, 11:45:00" in the clock that the view uses. */
export function moment(unixMs: number, utc: boolean): string {
  return (utc ? utcFormat : timeFormat)("%-d %b %Y, %H:%M:%S")(new Date(unixMs));
}

/** "11:45:00", with milliseconds where there are any. */
export function clock(unixMs: number, utc: boolean): string {
  return (utc ? utcFormat : timeFormat)(unixMs % 1000 === 0 ? "%H:%M:%S" : "%H:%M:%S.%L")(new Date(unixMs));
}

interface Writing {
  readonly utc: boolean;
  readonly short: boolean;
  readonly nowMs: number;
}

/**
 * "27 Apr 11:45 – 12:45": without a day that is today, with the last one too where it is another, with a year that is
 * not this one; with seconds where they are not zero on both ends of one day. short: "11:45–12:45".
 */
export function stretch(fromMs: number, toMs: number, { utc, short, nowMs }: Writing): string {
  const format = utc ? utcFormat : timeFormat;
  const [from, to] = [new Date(fromMs), new Date(toMs)];
  if (short) return `${format("%H:%M")(from)}–${format("%H:%M")(to)}`;
  const [first, last, today] = [from, to, new Date(nowMs)].map(format("%-d %b %Y"));
  const year = format(" %Y")(new Date(nowMs));
  const day = (named = "") => `${named.endsWith(year) ? named.slice(0, -year.length) : named} `;
  const whole = first !== last || (fromMs % 60_000 === 0 && toMs % 60_000 === 0);
  const time = (ms: number) => (whole ? format("%H:%M")(new Date(ms)) : clock(ms, utc));
  return `${first === last && last === today ? "" : day(first)}${time(fromMs)} – ${first === last ? "" : day(last)}${time(toMs)}`;
}

/** The name of the clock: "UTC" or the zone that the browser lives in. */
export function zone(utc: boolean): string {
  return utc ? "UTC" : new Intl.DateTimeFormat().resolvedOptions().timeZone;
}

const FIELD = "%Y-%m-%dT%H:%M:%S";

/** As a datetime-local field has it. */
export function toField(unixMs: number, utc: boolean): string {
  return (utc ? utcFormat : timeFormat)(FIELD)(new Date(unixMs));
}

/** Unix ms of what a datetime-local field holds, NaN for nothing. */
export function fromField(text: string, utc: boolean): number {
  return Date.parse(utc && text !== "" ? `${text}Z` : text);
}
