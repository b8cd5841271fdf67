/** How far the picture can be believed, node by node: sentences, no elements. */
import { several } from "../scale/amounts";
import type { Fanout, NodeOutcome, NodeWarning, Series } from "./wire";

export interface Banner {
  readonly title: string;
  readonly lines: readonly string[];
}

const MOST_NAMED = 4;

export function nameOf(node: NodeOutcome): string {
  if (node.node === "self") return node.node_id === "" ? "this process" : `${node.node_id} (this process)`;
  return node.node_id === "" ? node.node : `${node.node_id} at ${node.node}`;
}

const KINDS: Readonly<Record<string, string>> = {
  unreachable: "cannot be reached",
  deadline_exceeded: "did not answer in time",
  message_too_large: "sent more than the cap allows",
  overloaded: "is overloaded",
  unauthenticated: "refused our credentials",
  malformed: "sent an answer that breaks the rules",
  incompatible: "speaks another version",
  disabled: "has its sampler off",
  internal: "failed inside",
};

/** One word of state, a reason for people, and what the connection or the node said, for whoever looks into it. */
export function stateOf(node: NodeOutcome): { readonly state: string; readonly reason: string; readonly said: string } {
  if (!node.ok) {
    const reason = KINDS[node.kind] ?? node.kind.replaceAll("_", " ");
    return { state: "missing", reason, said: node.error === node.kind ? "" : node.error };
  }
  if (node.warnings.some((warning) => warning.code === "duplicate_node")) {
    return { state: "left out", reason: "the same node is counted under another address", said: "" };
  }
  return { state: node.warnings.length > 0 ? "warns" : "ok", reason: "", said: "" };
}

export const missingOf = (fanout: Fanout | null | undefined): readonly NodeOutcome[] => fanout?.nodes.filter((node) => !node.ok) ?? [];

/** "n3 at 10.0.0.3:50051 cannot be reached." for each; past some they are counted. */
export function reasonsOf(missing: readonly NodeOutcome[], most: number): readonly string[] {
  const lines = missing.slice(0, most).map((node) => `${nameOf(node)} ${stateOf(node).reason}.`);
  if (missing.length > most) lines.push(`And ${missing.length - most} more: the list of nodes has all.`);
  return lines;
}

const and = new Intl.ListFormat("en");

/** "n3, n4 and 2 more". */
export function listed(names: readonly string[], most = MOST_NAMED): string {
  const shown = names.slice(0, most);
  return and.format(names.length > most ? [...shown, `${names.length - most} more`] : shown);
}

/** What a number lacks while nodes are missing; "" where nobody is. */
export function withoutThem(fanout: Fanout | null | undefined, series: Series): string {
  const missing = missingOf(fanout);
  if (missing.length === 0) return "";
  const [them, leader] = missing.length === 1 ? ["it", "leader"] : ["they", "leaders"];
  const who = listed(missing.map((node) => `${node.node_id || node.node} (${stateOf(node).reason})`));
  const what = isRead(series) ? `reads that ${them} served` : `writes that ${them} took as ${leader}`;
  return `Counted without ${who}: ${what} are unknown, not zero.`;
}

const isRead = (series: Series) => series === "reads" || series === "read_bytes";

/** Which nodes are missing and what that means for a merged picture; undefined where nobody is. node: whose own view it is. */
export function missingBanner(fanout: Fanout | undefined, series: Series, node = ""): Banner | undefined {
  const missing = missingOf(fanout);
  if (fanout === undefined || missing.length === 0) return undefined;
  const lines = [...reasonsOf(missing, MOST_NAMED), ...(node === "" ? [meaning(missing.length, series)] : [])];
  return { title: `Not complete: ${missing.length} of ${several(fanout.expected, "node")} missing`, lines };
}

function meaning(count: number, series: Series): string {
  const them = count === 1 ? "it" : "they";
  return isRead(series)
    ? `Reads are summed over the nodes that served them: what ${them} served is in no cell, so every cell may be too low.`
    : `Writes are counted by the leader that took them: ranges that ${them} led show too little or nothing, the others are complete.`;
}

export interface Notice {
  readonly code: string;
  readonly title: string;
  readonly nodes: readonly string[];
  /** At most a few of what the nodes said; `count` is how many there are. */
  readonly details: readonly string[];
  readonly count: number;
  readonly advice: string;
}

const ADVICE: Readonly<Record<string, readonly [string, string]>> = {
  clock_skew: [
    "A clock is off",
    "Its windows may be drawn a column too early or too late. Bring its clock back in step (NTP), then it lines up again.",
  ],
  short_history: [
    "History is shorter than the range",
    "The left part lacks what these nodes no longer or not yet hold, so it may be too low. Choose a later start, or let nodes keep more columns.",
  ],
  duplicate_node: [
    "A node is listed twice",
    "It is counted once, so the picture is right. Take one of its addresses out of the peers.",
  ],
  duplicate_node_id: [
    "Two nodes use one id",
    "Both are counted, but their names cannot be told apart. Give one of them an id of its own.",
  ],
  catalog_divergence: [
    "Nodes disagree about ranges",
    "The first node's ranges are drawn. It is normal for moments after a split or merge; if it stays, a node holds an old catalogue.",
  ],
  row_budget_on_peer: [
    "An older node cut its rows",
    "It answers at most 1024 rows, so cold ranges of it may be missing. Upgrade it to see all.",
  ],
};

const SAID = 3;

/** One notice a kind of warning, gravest first; each tells what it means and what to do. */
export function notices(fanout: Fanout | undefined): readonly Notice[] {
  const found = new Map<string, { nodes: Set<string>; details: string[] }>();
  for (const node of fanout?.nodes ?? []) {
    for (const warning of node.warnings) {
      const one = found.get(warning.code) ?? { nodes: new Set<string>(), details: [] };
      one.nodes.add(nameOf(node));
      one.details.push(detailOf(node, warning));
      found.set(warning.code, one);
    }
  }
  const order = Object.keys(ADVICE);
  const place = (code: string) => (order.includes(code) ? order.indexOf(code) : order.length);
  return [...found]
    .sort(([left], [right]) => place(left) - place(right))
    .map(([code, { nodes, details }]) => {
      const [title, advice] = ADVICE[code] ?? [code.replaceAll("_", " "), "This page does not know what it means."];
      return { code, title, advice, nodes: [...nodes], details: details.slice(0, SAID), count: details.length };
    });
}

const MOMENTS = /\b1\d{12}\b/g;

/** Unix milliseconds become moments that people can read. */
export const withMoments = (said: string): string =>
  said.replaceAll(MOMENTS, (digits) => new Date(Number(digits)).toISOString().slice(0, 19) + "Z");

/** What the node's warning says. */
export function detailOf(node: NodeOutcome, warning: NodeWarning): string {
  const detail = withMoments(warning.detail);
  const about = warning.bucket_id === "" ? "" : ` (${warning.bucket_id})`;
  return `${nameOf(node)}${about}: ${detail === "" ? warning.code.replaceAll("_", " ") : detail}`;
}

/** Where names are kept over a reload, as a browser's storage has it. */
export type Keeping = Pick<Storage, "getItem" | "setItem" | "removeItem">;

const KEPT = "keyviz-nodes";
const MOST_KEPT = 4096;

/** Remembers ids of nodes by address, so that a node that is gone is still called by its name, after a reload too. */
export class NodeNames {
  readonly #known: Map<string, string>;
  readonly #keeping: Keeping | null;

  constructor(keeping: Keeping | null = null) {
    this.#keeping = keeping;
    this.#known = keptNames(keeping);
  }

  fill(fanout: Fanout): Fanout {
    let changed = false;
    const nodes = fanout.nodes.map((node) => {
      const before = this.#known.get(node.node) ?? "";
      if (node.node_id !== "" && node.node_id !== before) {
        this.#known.set(node.node, node.node_id);
        changed = true;
      }
      return { ...node, node_id: node.node_id || before };
    });
    if (changed) this.#keep();
    return { ...fanout, nodes };
  }

  forget(): void {
    this.#known.clear();
    this.#keep();
  }

  #keep(): void {
    try {
      if (this.#known.size === 0) this.#keeping?.removeItem(KEPT);
      else this.#keeping?.setItem(KEPT, JSON.stringify([...this.#known].slice(-MOST_KEPT)));
    } catch {
      // They hold for this page then.
    }
  }
}

function keptNames(keeping: Keeping | null): Map<string, string> {
  try {
    const kept: unknown = JSON.parse(keeping?.getItem(KEPT) ?? "[]");
    const isName = (one: unknown): one is [string, string] => Array.isArray(one) && one.length === 2 && one.every((part) => typeof part === "string");
    return new Map(Array.isArray(kept) ? kept.filter(isName) : []);
  } catch {
    return new Map(); // storage may be forbidden, or hold what is not ours
  }
}
