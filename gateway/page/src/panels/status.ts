import type { Fanout, NodeOutcome, Refused, Series } from "./wire";

/** The sentences that tell a reader how far the picture can be believed. */
export function bannerText(fanout: Fanout | undefined, series: Series): string {
  const missing = fanout?.nodes.filter((node) => !node.ok) ?? [];
  const lines: string[] = [];
  if (missing.length > 0) {
    lines.push(`Not complete: ${missing.map(missingNode).join("; ")}. ${meaning(series)}`);
  }
  for (const node of fanout?.nodes ?? []) {
    const codes = [...new Set(node.warnings.map((warning) => warning.code))].filter((code) => code !== "short_history");
    if (codes.length > 0) lines.push(`${name(node)}: ${codes.map((code) => code.replaceAll("_", " ")).join(", ")}`);
  }
  return lines.join("\n");
}

function missingNode(node: NodeOutcome): string {
  return `${name(node)} (${node.error === "" ? node.kind : node.error})`;
}

export function name(node: NodeOutcome): string {
  return node.node_id === "" ? node.node : `${node.node_id} ${node.node}`;
}

function meaning(series: Series): string {
  return series.startsWith("read")
    ? "Reads that it served are missing from every cell."
    : "Writes of the ranges that it led are missing.";
}

/** Why there is no picture, and what to do. */
export function emptyText(reply: Refused | null): string {
  if (reply === null) return "No closed window yet. The first column appears after one step.";
  if (reply.code === "keyviz_disabled") return "The sampler is off on every node.\nTurn it on to see traffic.";
  if (reply.code === "no_peers") return `No node can be reached.\n${reply.message}`;
  if (reply.code === "unauthenticated") return "Not signed in, or the session has ended.";
  return `${reply.code}: ${reply.message}`;
}

/** Remembers ids of nodes by address, so that a node that is gone is still called by its name. */
export class NodeNames {
  readonly #known = new Map<string, string>();

  fill(fanout: Fanout | undefined): Fanout | undefined {
    if (fanout === undefined) return undefined;
    const nodes = fanout.nodes.map((node) => {
      if (node.node_id !== "") this.#known.set(node.node, node.node_id);
      return { ...node, node_id: node.node_id || (this.#known.get(node.node) ?? "") };
    });
    return { ...fanout, nodes };
  }
}
