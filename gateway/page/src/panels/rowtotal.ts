/** How many operations a row has, for the share of each key; or, in words, why nobody knows. */
import type { Matrix } from "../data/matrix";
import { bucketOf } from "./buckets";
import { lacksNodes, type RowTotal, type WireHotKeys } from "./hotkeys";
import { listed, missingOf } from "./nodes";

/** Of one window: what the cell says, where that is the truth and the keys are of the same operations. */
export function cellTotal(picture: Matrix, row: number, column: number, answer: WireHotKeys): RowTotal {
  const unknown = cellUnknown(picture, row, column) || keysUnknown(answer);
  if (unknown !== "") return { unknown };
  const total = picture.values[row * picture.columns + column] ?? 0;
  const certain = answer.keys.reduce((most, { count, lower }) => Math.max(most, lower ?? count - answer.error_bound), 0);
  return certain > total ? { unknown: "the keys are of another moment than the picture" } : { total };
}

/** Of all windows that are held: all that was seen, where every operation was looked at. */
export function heldTotal(bucketId: string, answer: WireHotKeys): RowTotal {
  const lacks = keysUnknown(answer);
  if (lacks !== "") return { unknown: lacks };
  if (bucketOf(bucketId).slice !== undefined) return { unknown: "what this slice has in all windows together is not told" };
  if (answer.sample_rate !== 1) return { unknown: "not every operation was looked at, and nodes may differ in how many were" };
  if (answer.dropped_samples > 0) return { unknown: "operations of which no key is known may be of other rows" };
  return { total: answer.sampled_n + answer.skipped_long_keys };
}

function cellUnknown(picture: Matrix, row: number, column: number): string {
  const at = row * picture.columns + column;
  if (picture.series.endsWith("bytes")) return "bytes are shown, and keys are counted in operations";
  if (picture.known[column] !== 1) return "nobody has data for this window of the row";
  if (picture.soft?.[at] === 1) return "the value of the cell is an estimate";
  if (picture.conflicts?.[at] === 1) return "nodes disagree about the value of the cell";
  if (picture.node !== "") return ""; // one node's own view lacks nobody
  const missing = missingOf(picture.fanout);
  if (missing.length > 0) return `the cell was counted without ${listed(missing.map((node) => node.node_id || node.node))}`;
  const [holders, responded] = [picture.columnNodes[column] ?? 0, picture.fanout?.responded ?? 0];
  return holders > 0 && holders < responded ? `only ${holders} of ${responded} nodes hold this window` : "";
}

const keysUnknown = (answer: WireHotKeys) => (lacksNodes(answer) ? "some node's operations are in no key" : "");
