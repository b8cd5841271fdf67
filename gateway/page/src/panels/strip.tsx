/** Below the picture: each node's share of the traffic over the same time. */
import { useEffect, useRef, useState } from "preact/hooks";
import { matrixPath } from "../data/asking";
import type { WireMatrix } from "../data/wire";
import { several } from "../scale/amounts";
import { clock } from "../scale/time";
import { matrix, refused, settled, theme, view } from "../state";
import { askSmall, useTold } from "./loading";
import { missingOf, stateOf } from "./nodes";
import { imbalanceText, nodeShares, overall, type NodeTotals, type Shares } from "./shares";
import { counted, nodes } from "./told";
import { compactly } from "./units";

const MOST_NODES = 32;
const AT_ONCE = 4;
const AGAIN_MS = 10_000;
const HEIGHT = 28;
/** Shown from the start where it takes little room and few questions; otherwise on demand. */
const FEW_NODES = 8;
const TALL_ENOUGH = "(min-height: 620px) and (min-width: 701px)";

/** Colours of nodes in order: distinct in hue and in lightness, so that neighbours differ without hue too. */
export const NODE_COLOURS = ["#4e79c4", "#f2b134", "#3f9c8f", "#d1605e", "#8cc26a", "#8a63b8", "#e8956a", "#7a7f8c"] as const;

export function ShareStrip() {
  const [chosen, choose] = useState<boolean | null>(null);
  // Until nodes have answered they are taken to be few, so that the picture keeps its size when they have.
  const unknown = matrix.value === null && refused.value === null;
  const many = nodes.value?.nodes.length ?? (unknown ? FEW_NODES : 0);
  const open = chosen ?? (many > 1 && many <= FEW_NODES && window.matchMedia(TALL_ENOUGH).matches);
  const toggled = (now: boolean) => now !== open && choose(now);
  return (
    <details id="shares" data-testid="shares" open={open} onToggle={(event) => toggled(event.currentTarget.open)}>
      <summary>Each node's share of the traffic</summary>
      {open && (
        <div class="share-room">
          <Strip />
        </div>
      )}
    </details>
  );
}

function Strip() {
  const picture = matrix.value;
  const told = nodes.value;
  const { range, series, keys } = view.value;
  const ids = [...new Set((told?.nodes ?? []).filter((one) => one.ok && one.node_id !== "").map((one) => one.node_id))];
  const asked = ids.slice(0, MOST_NODES);
  const last = picture?.stamps[picture.columns - 1] ?? 0;
  const round = Math.floor(last / Math.max(AGAIN_MS, picture?.stepMs ?? 0));
  const key = asked.length === 0 ? "" : JSON.stringify([asked, range, series, keys]);
  const parts = useTold<readonly NodeTotals[]>(key, round, (signal) => everyNode(asked, signal));
  if (told === undefined) return picture === null ? null : <p class="quiet">There is one node: all traffic is its own.</p>;
  if (ids.length === 0) return <p class="quiet">No node tells its name, so their shares cannot be asked for one by one.</p>;
  if (picture?.columns === 0) return <p class="quiet">No window is shown that could be shared out.</p>;
  const silent = missingOf(told).map((one) => ({ name: one.node_id || one.node, reason: stateOf(one).reason }));
  if (parts === undefined || picture === null) return <p class="quiet">Asking the nodes…</p>;
  const shares = nodeShares(parts, Array.from(picture.stamps), picture.stepMs);
  // Who answered for the picture may still not answer for itself alone.
  const unasked = asked.filter((id) => !shares.nodes.includes(id)).map((id) => ({ name: id, reason: "did not tell its part" }));
  const lacking = [...silent, ...unasked];
  const missing = lacking.map(({ name }) => name);
  return (
    <>
      <Bars shares={shares} missing={missing} />
      <div class="share-line">
        <ul class="share-legend">
          {overall(shares).map((part, number) => (
            <li key={part.node} data-node={part.node} title={`${compactly(part.total)} ${counted.value}`}>
              <span class="swatch" style={{ background: colourOf(number) }} aria-hidden="true" />
              <bdi>{part.node}</bdi> {Math.round(part.share * 100)} %
              {part.unknown > 0 && ` (no data for ${several(part.unknown, "window")})`}
            </li>
          ))}
          {lacking.slice(0, MOST_NODES).map(({ name, reason }) => (
            <li key={`missing ${name}`} data-missing={name}>
              <span class="swatch unknown" aria-hidden="true" />
              <bdi>{name}</bdi> {reason}
            </li>
          ))}
        </ul>
        <span data-testid="imbalance">
          {imbalanceText(shares, missing)}
          {ids.length > asked.length && ` The first ${asked.length} of ${ids.length} nodes are shown.`}
        </span>
      </div>
    </>
  );
}

const colourOf = (number: number) => NODE_COLOURS[number % NODE_COLOURS.length] as string;

/** One row of totals a node: the budget of one row folds everything into it and keeps every column's total. */
async function everyNode(ids: readonly string[], signal: AbortSignal): Promise<readonly NodeTotals[]> {
  const asked = view.peek();
  const found: NodeTotals[] = [];
  for (let first = 0; first < ids.length; first += AT_ONCE) {
    const some = ids.slice(first, first + AT_ONCE);
    const answers = await Promise.all(
      some.map((node) => askSmall<WireMatrix>(matrixPath({ ...asked, node, rows: 1 }, Date.now()), signal)),
    );
    answers.forEach((answer, at) => {
      if (answer.kind === "told") found.push(totalsOf(some[at] ?? "", answer.body));
    });
  }
  return found;
}

function totalsOf(node: string, body: WireMatrix): NodeTotals {
  const totals = body.column_unix_ms.map((_, at) => body.rows.reduce((sum, row) => sum + (row.values[at] ?? 0), 0));
  return { node, stamps: body.column_unix_ms, totals };
}

/** On the picture's own time axis, so that a change here stands below what changed there. */
function Bars({ shares, missing }: { readonly shares: Shares; readonly missing: readonly string[] }) {
  const holder = useRef<HTMLCanvasElement>(null);
  const port = settled.value?.port ?? null;
  const { utc } = view.value;
  const mode = theme.value;
  useEffect(() => {
    const canvas = holder.current;
    const plot = document.getElementById("heatmap");
    if (canvas === null || plot === null || port === null) return undefined;
    const draw = () => {
      canvas.style.marginLeft = plot.style.left;
      canvas.style.width = plot.style.width;
      paint(canvas, shares, port);
    };
    // It draws at once too.
    const watch = new ResizeObserver(draw);
    watch.observe(plot);
    return () => watch.disconnect();
  }, [shares, port, mode]);
  const [from, to] = [shares.stamps[0], shares.stamps[shares.stamps.length - 1]];
  const when = from === undefined || to === undefined ? "" : ` from ${clock(from, utc)} to ${clock(to, utc)}`;
  return <canvas ref={holder} class="strip" data-testid="strip" role="img" aria-label={`Shares of nodes${when}. ${imbalanceText(shares, missing)}`} />;
}

function paint(canvas: HTMLCanvasElement, shares: Shares, port: { readonly x0: number; readonly x1: number }): void {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(HEIGHT * ratio)];
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  if (context === null) return;
  const each = width / (port.x1 - port.x0);
  const last = Math.min(shares.stamps.length, Math.ceil(port.x1));
  for (let at = Math.max(0, Math.floor(port.x0)); at < last; at += 1) {
    const left = Math.round((at - port.x0) * each);
    const right = Math.max(left + 1, Math.round((at + 1 - port.x0) * each));
    let below = height;
    shares.shares.forEach((own, number) => {
      const tall = (own[at] ?? 0) * height;
      context.fillStyle = colourOf(number);
      const top = Math.round(below - tall);
      context.fillRect(left, top, right - left, Math.round(below) - top);
      below -= tall;
    });
  }
}
