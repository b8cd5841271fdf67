/** How the traffic spreads over the nodes, column by column, so that imbalance shows at once. */
import { listed } from "./nodes";

export interface NodeTotals {
  readonly node: string;
  readonly stamps: readonly number[];
  readonly totals: readonly number[];
}

export interface Shares {
  readonly nodes: readonly string[];
  readonly stamps: readonly number[];
  /** shares[i][j] is node i's part of column j, 0 to 1; undefined where it holds no such window. */
  readonly shares: readonly (readonly (number | undefined)[])[];
  /** What all nodes together counted in each column. */
  readonly totals: readonly number[];
}

/** stamps: the columns of the picture; a node's own stamp belongs to the one within half a step. */
export function nodeShares(parts: readonly NodeTotals[], stamps: readonly number[], stepMs: number): Shares {
  const placed = parts.map((part) => placedOn(part, stamps, stepMs));
  const totals = stamps.map((_, at) => placed.reduce((sum, values) => sum + (values[at] ?? 0), 0));
  const shares = placed.map((values) =>
    values.map((value, at) => {
      const total = totals[at] ?? 0;
      return value === undefined ? undefined : total > 0 ? value / total : 0;
    }),
  );
  return { nodes: parts.map((part) => part.node), stamps, shares, totals };
}

function placedOn(part: NodeTotals, stamps: readonly number[], stepMs: number): (number | undefined)[] {
  const placed: (number | undefined)[] = stamps.map(() => undefined);
  let at = 0;
  part.stamps.forEach((stamp, number) => {
    while (at < stamps.length && (stamps[at] ?? 0) < stamp - stepMs / 2) at += 1;
    const near = stamps[at];
    if (near !== undefined && Math.abs(near - stamp) <= stepMs / 2) placed[at] = (placed[at] ?? 0) + (part.totals[number] ?? 0);
  });
  return placed;
}

export interface NodeShare {
  readonly node: string;
  readonly share: number;
  readonly total: number;
  /** Windows that it has no data for, the newest that any node holds aside. */
  readonly unknown: number;
}

/** Each node's part of everything in view, in the order of the nodes. */
export function overall(shares: Shares): readonly NodeShare[] {
  const all = shares.totals.reduce((sum, total) => sum + total, 0);
  // Nodes close a window moments apart, so the newest that any of them has says nothing of the others.
  const newest = shares.stamps.map((_, at) => shares.shares.some((own) => own[at] !== undefined)).lastIndexOf(true);
  return shares.nodes.map((node, number) => {
    const own = shares.shares[number] ?? [];
    const total = own.reduce<number>((sum, share, at) => sum + (share ?? 0) * (shares.totals[at] ?? 0), 0);
    return { node, total, share: all > 0 ? total / all : 0, unknown: own.slice(0, Math.max(0, newest)).filter((share) => share === undefined).length };
  });
}

/** So much more than an even part is no longer even: of two nodes 63 %, of three 42 %. */
const CLEARLY = 1.25;

/** Whether one node carries clearly more than an even part, in words. missing: who is in none of the numbers, by name. */
export function imbalanceText(shares: Shares, missing: readonly string[] = []): string {
  if (missing.length > 0) return `${amongOthers(shares)} Without ${listed(missing)}: how all of it spreads is not known.`;
  const parts = overall(shares);
  const busiest = busiestOf(parts);
  if (busiest === undefined || busiest.total === 0) return "No traffic in what is shown.";
  const fair = 1 / parts.length;
  if (parts.length < 2) return `${busiest.node} carries all of it.`;
  return busiest.share > CLEARLY * fair
    ? `${busiest.node} carries ${percent(busiest.share)}, an even part would be ${percent(fair)}.`
    : `Evenly spread: the busiest, ${busiest.node}, carries ${percent(busiest.share)}.`;
}

const percent = (share: number) => `${Math.round(share * 100)} %`;

const busiestOf = (parts: readonly NodeShare[]) =>
  parts.reduce<NodeShare | undefined>((best, part) => (best === undefined || part.share > best.share ? part : best), undefined);

function amongOthers(shares: Shares): string {
  const parts = overall(shares);
  const busiest = busiestOf(parts);
  if (busiest === undefined || busiest.total === 0) return "No traffic at the nodes that answered.";
  return parts.length < 2 ? `Only ${busiest.node} answered.` : `Of the nodes that answered, ${busiest.node} carries most: ${percent(busiest.share)}.`;
}
