import type { Matrix } from "../data/matrix";
import type { Viewport } from "../data/viewport";
import { elided } from "./keys";
import { keyIn } from "./slices";

export interface KeyTick {
  /** Pixels from the top of the plot. */
  readonly y: number;
  readonly text: string;
}

export interface KeyTicks {
  /** What all keys in view begin with and no tick repeats; "" = nothing worth leaving out. */
  readonly prefix: string;
  readonly ticks: readonly KeyTick[];
}

const PIXELS_A_TICK = 17;
const SHORTEST_PREFIX = 3;
const FEWEST_OF_ITS_OWN = 6;

/** First keys of evenly spread rows in view. width: pixels for a label; widthOf measures text. */
export function keyTicks(
  matrix: Matrix,
  port: Viewport,
  height: number,
  width: number,
  widthOf: (text: string) => number,
): KeyTicks {
  const perRow = height / (port.y1 - port.y0);
  const every = Math.max(1, Math.ceil(PIXELS_A_TICK / perRow));
  const chosen: { row: number; key: string; label: string }[] = [];
  for (let row = Math.ceil(port.y0 / every - 1e-9) * every; row < port.y1 && row < matrix.rows.length; row += every) {
    const head = matrix.rows[row];
    if (head !== undefined) {
      chosen.push({ row, key: head.start === "" ? "" : keyIn(matrix, head, head.start), label: head.label });
    }
  }
  const prefix = commonPrefix(chosen.map(({ key }) => key).filter((key) => key !== ""));
  const ticks = chosen.map(({ row, key, label }, number) => {
    const whole = key === "" ? "(first key)" : prefix === "" ? key : `…${key.slice(prefix.length)}`;
    const labelled = (shown: string) => (label === "" ? shown : `${shown} · ${label}`);
    const above = commonPrefix([chosen[number - 1]?.key ?? "", key], FEWEST_OF_ITS_OWN);
    // Where it does not fit, what it shares with the tick above goes first.
    const shown = widthOf(labelled(whole)) > width && above !== "" ? `…${key.slice(above.length)}` : whole;
    return { y: (row - port.y0) * perRow, text: elided(labelled(shown), width, widthOf) };
  });
  return { prefix, ticks };
}

/** What all keys begin with, cut back so that each keeps `own` characters; "" for less than is worth leaving out. */
export function commonPrefix(keys: readonly string[], own = 1): string {
  const [first, ...others] = keys;
  if (first === undefined || others.length === 0) return "";
  let length = first.length;
  for (const key of others) {
    let same = 0;
    while (same < length && same < key.length && key[same] === first[same]) same += 1;
    length = same;
  }
  length = Math.min(length, ...keys.map((key) => key.length - own));
  return length < SHORTEST_PREFIX ? "" : first.slice(0, length);
}
