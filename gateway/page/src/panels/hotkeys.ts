/** The keys behind a row: how an answer reads, and what to say where there is none. */
import { bucketOf } from "./buckets";
import { keyForms, type KeyForms } from "./keyforms";
import { listed, missingOf, stateOf, withMoments } from "./nodes";
import { several } from "../scale/amounts";
import { shareOf, span } from "./units";
import type { Fanout, NodeOutcome } from "./wire";

/** How many operations a row has, or why nobody knows. */
export type RowTotal = { readonly total: number } | { readonly unknown: string };

/** The gateway's answer, as far as the page reads it. Counts are scaled to true frequency. */
export interface WireHotKeys {
  readonly keys: readonly { readonly key_b64: string; readonly count: number; readonly lower?: number; readonly upper?: number }[];
  /** n of "1 in n". */
  readonly sample_rate: number;
  readonly sampled_n: number;
  readonly dropped_samples: number;
  readonly skipped_long_keys: number;
  readonly degraded: boolean;
  readonly error_bound: number;
  /** Of a key that is not in the list; not told by older gateways. */
  readonly unlisted_bound?: number;
  readonly left_out_keys?: number;
  readonly snapshot_at: string;
  readonly confidence?: number;
  /** Absent where there was none. */
  readonly fanout?: Fanout | undefined;
}

/** In place of keys: there are none to tell, and why. */
export interface WireNoHotKeys {
  readonly absent: { readonly error: string; readonly message: string };
  readonly fanout?: Fanout | undefined;
}

export interface HotKeyRow {
  readonly forms: KeyForms;
  readonly count: number;
  readonly lower: number;
  readonly upper: number;
  /** Of the row's operations; undefined where nobody knows how many these are. */
  readonly share: string | undefined;
  /** Fractions (0 to 1) of the largest upper bound, for drawing: lower <= at <= upper. */
  readonly whisker: { readonly from: number; readonly at: number; readonly to: number };
}

/**
 * What to ask for a row: undefined where a row is no route. columnMs, stepMs: the column that ends then, with all the
 * shorter windows that a node may have in it; 0 = all windows that are held.
 */
export function hotKeysPath(asks: {
  readonly bucketId: string;
  readonly series: string;
  readonly columnMs: number;
  readonly stepMs: number;
  readonly top: number;
  readonly node: string;
}): string | undefined {
  const { bucketId, series, columnMs, stepMs, top, node } = asks;
  const bucket = bucketOf(bucketId);
  if (bucket.kind !== "route") return undefined;
  const asked = new URLSearchParams({ route_id: bucket.routeId, series: series.startsWith("read") ? "reads" : "writes", top: String(top), absent: "200" });
  if (bucket.label !== "") asked.set("label", bucket.label);
  if (bucket.slice !== undefined) asked.set("sub_bucket", String(bucket.slice));
  if (node !== "") asked.set("node", node);
  if (columnMs > 0) {
    asked.set("from_unix_ms", String(columnMs - Math.max(1, stepMs) + 1));
    asked.set("to_unix_ms", String(columnMs + 1));
  }
  return `/admin/api/v1/keyviz/hotkeys?${asked.toString()}`;
}

export function hotKeyRows(answer: WireHotKeys, row: RowTotal): readonly HotKeyRow[] {
  const bounded = answer.keys.map(({ key_b64, count, lower, upper }) => ({
    forms: keyForms(key_b64),
    count,
    lower: Math.max(0, Math.min(count, lower ?? count - answer.error_bound)),
    upper: Math.max(count, upper ?? count + answer.error_bound),
  }));
  const most = bounded.reduce((largest, key) => Math.max(largest, key.upper), 1);
  return bounded.map((key) => ({
    ...key,
    share: "total" in row ? shareOf(Math.min(key.count, row.total), row.total) : undefined,
    whisker: { from: key.lower / most, at: key.count / most, to: key.upper / most },
  }));
}

/** How far the list can be believed, a sentence each; empty where it is exact. */
export function caveats(answer: WireHotKeys): readonly string[] {
  const said: string[] = [];
  if (answer.sample_rate > 1) said.push(`Estimated: one operation in ${answer.sample_rate} was looked at${confidenceOf(answer)}.`);
  const unlisted = answer.unlisted_bound ?? answer.error_bound;
  if (unlisted > 0) said.push(`A key that is not listed may have up to ${several(unlisted, "operation")}.`);
  if (answer.skipped_long_keys > 0) said.push(`Left out for keys longer than the limit: ${several(answer.skipped_long_keys, "sampled operation")}.`);
  if (answer.dropped_samples > 0) said.push(`Left out for want of memory or time: ${several(answer.dropped_samples, "sampled operation")}.`);
  const leftOut = answer.left_out_keys ?? 0;
  if (leftOut > 0) said.push(`Left out on the way, for answers have room for so much: ${several(leftOut, "colder key")}.`);
  return said;
}

/** That operations are missing, and of whom as far as that is told; "" where none are. What was left out is a caveat. */
export function incomplete(answer: WireHotKeys): string {
  const lacking = whoLacks(answer.fanout);
  if (lacking !== "") return lacking;
  if (lacksNodes(answer)) return "Not complete: some node did not contribute.";
  return answer.degraded ? "Not complete." : "";
}

/** How the node fared whose own view was asked for; how all did where it is none of them. */
export function ofNode(fanout: Fanout | undefined, node: string): Fanout | undefined {
  const own = fanout?.nodes.filter((one) => one.ok && one.node_id === node) ?? [];
  return fanout === undefined || node === "" || own.length === 0 ? fanout : { ...fanout, nodes: own };
}

/** Of whom operations are missing, and why; "" where nobody's are. */
export function whoLacks(fanout: Fanout | undefined): string {
  const lacking = [...missingOf(fanout).map(reasonOf), ...warnedOf(fanout)];
  return lacking.length === 0 ? "" : `Not complete: ${lacking.join("; ")}.`;
}

/** Whether operations of some node are missing, which no bound covers. */
export function lacksNodes(answer: WireHotKeys): boolean {
  if (whoLacks(answer.fanout) !== "") return true;
  return answer.degraded && answer.skipped_long_keys === 0 && answer.dropped_samples === 0 && (answer.left_out_keys ?? 0) === 0;
}

function reasonOf(node: NodeOutcome): string {
  const { reason, said } = stateOf(node);
  const name = node.node_id || node.node;
  if (node.kind === "disabled" && said.includes("hotkeys_disabled")) return `${name} has hot keys off`;
  return node.kind === "incompatible" && said !== "" ? `${name}: ${said}` : `${name} ${reason}`;
}

/** Warnings that tell of missing operations: "n1 and n2: it holds less of the past than other nodes". */
function warnedOf(fanout: Fanout | undefined): readonly string[] {
  const names = new Map<string, string[]>();
  for (const node of fanout?.nodes ?? []) {
    for (const { code, detail } of node.warnings) {
      if (!LACKS.includes(code)) continue;
      const said = withMoments(detail === "" ? code.replaceAll("_", " ") : detail);
      names.set(said, [...(names.get(said) ?? []), node.node_id || node.node]);
    }
  }
  return [...names].map(([said, of]) => `${listed(of)}: ${said}`);
}

const LACKS = ["short_history", "catalog_divergence"];

function confidenceOf(answer: WireHotKeys): string {
  const { confidence } = answer;
  return confidence === undefined || confidence >= 1 ? "" : `; intervals hold at ${Number((confidence * 100).toFixed(4))} % confidence`;
}

export function freshness(answer: WireHotKeys, nowMs: number, stepMs: number, clock: (ms: number) => string): string {
  const at = Date.parse(answer.snapshot_at);
  if (Number.isNaN(at)) return "";
  const window = stepMs > 0 ? `the window ${clock(at - stepMs)} – ${clock(at)}` : `the window that ended at ${clock(at)}`;
  return `Newest in it: ${window}, ${span(nowMs - at)} ago.`;
}

/** A plain sentence in place of a list of keys. */
export function noKeys(code: string, message: string): string {
  switch (code) {
    case "aggregate":
      return "This row holds several routes, and keys are remembered route by route. Zoom in to one of them.";
    case "no_route":
      return "This row is no route, so no keys are remembered for it.";
    case "hotkeys_disabled":
      return "Hot keys are off on these nodes. They show user keys, so a store must turn them on.";
    case "keyviz_disabled":
      return "The sampler is off, so no keys are seen.";
    case "no_snapshot":
      return "No keys yet: no window that is held has traffic of this row.";
    case "out_of_snapshot_window":
      return "The keys of this window are no longer held. Pin a newer one.";
    case "forbidden":
      return "Not allowed: hot keys are user keys, and this session's role may only look at the heatmap.";
    case "unauthenticated":
      return "The session has ended. Sign in again to see keys.";
    case "unknown_endpoint":
      return "This gateway is older and knows no hot keys.";
    case "incompatible":
      return "These nodes are older and know no hot keys.";
    case "empty":
      return "No key was seen in this window.";
    default:
      return message === "" ? `No keys: ${code.replaceAll("_", " ")}.` : `No keys: ${message}.`;
  }
}
